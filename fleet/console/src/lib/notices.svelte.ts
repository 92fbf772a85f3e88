/** Short messages to the person: errors stay until they are dismissed, the rest fades. */

import { ApiProblem } from './api';
import { t } from './i18n.svelte';

const FADE_MS = 6000;
// More than this at once nobody reads: the oldest goes.
const MOST = 4;

export interface Notice {
  key: number;
  tone: 'error' | 'done';
  title: string;
  lines: string[];
}

/** What went wrong, in words for a person. */
export function inWords(error: unknown): string {
  if (!(error instanceof ApiProblem)) return String(error);
  if (error.kind === 'timeout') return t('timedOut');
  if (error.kind === 'network') return t('noAnswer');
  if (error.status === 403) return error.detail ? `${t('notAllowed')} ${error.detail}` : t('notAllowed');
  if (error.status === 429) return t('tooManyTries');
  if (error.status >= 500) return `${t('serverFault', { status: error.status })} ${error.detail}`.trim();
  return error.detail || t('serverFault', { status: error.status });
}

class Notices {
  list = $state<Notice[]>([]);
  #nextKey = 1;

  error(title: string, error?: unknown): void {
    const fields = error instanceof ApiProblem ? error.fields : [];
    const lines = error === undefined ? [] : [inWords(error)];
    this.#add('error', title, [...lines, ...fields.slice(0, 5).map((f) => `${f.where}: ${f.reason}`)]);
  }

  done(title: string): void {
    const key = this.#add('done', title, []);
    setTimeout(() => this.dismiss(key), FADE_MS);
  }

  dismiss(key: number): void {
    this.list = this.list.filter((notice) => notice.key !== key);
  }

  #add(tone: Notice['tone'], title: string, lines: string[]): number {
    const key = this.#nextKey++;
    const others = this.list.filter((n) => n.title !== title || n.lines.join() !== lines.join());
    this.list = [...others, { key, tone, title, lines }].slice(-MOST);
    return key;
  }
}

export const notices = new Notices();

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
  /** What the message is about, if it can be settled later. */
  about: string | null;
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

  error(title: string, error?: unknown, about: string | null = null): void {
    const fields = error instanceof ApiProblem ? error.fields : [];
    const lines = error === undefined ? [] : [inWords(error)];
    const details = fields.slice(0, 5).map((field) => `${field.where}: ${field.reason}`);
    this.#add({ tone: 'error', title, lines: [...lines, ...details], about });
  }

  done(title: string): void {
    const key = this.#add({ tone: 'done', title, lines: [], about: null });
    setTimeout(() => this.dismiss(key), FADE_MS);
  }

  dismiss(key: number): void {
    this.list = this.list.filter((notice) => notice.key !== key);
  }

  /** Takes back what was said about something that is well again. */
  settle(about: string): void {
    if (this.list.some((notice) => notice.about === about)) {
      this.list = this.list.filter((notice) => notice.about !== about);
    }
  }

  #add(notice: Omit<Notice, 'key'>): number {
    const key = this.#nextKey++;
    const text = ({ title, lines }: Omit<Notice, 'key'>): string => [title, ...lines].join('\n');
    const others = this.list.filter((other) => text(other) !== text(notice));
    this.list = [...others, { ...notice, key }].slice(-MOST);
    return key;
  }
}

export const notices = new Notices();

/** Manned aircraft that were reported, and what rules have done by themselves. */

import { api, orAbsent } from './api';
import { i18n, term } from './i18n.svelte';
import type { AircraftReport, DoneByRule, MannedAircraft } from './types_pilot';
import { RESPONSES } from './words_pilot';

export class Airspace {
  /** Null: not read yet, or the service does not have it. */
  aircraft = $state.raw<MannedAircraft[] | null>(null);
  absent = $state(false);

  constructor(private readonly readAgain: () => void) {}

  async read(): Promise<void> {
    this.aircraft = await orAbsent(api.aircraft());
    this.absent = this.aircraft === null;
  }

  async report(report: AircraftReport): Promise<void> {
    await api.reportAircraft(report);
    this.readAgain();
  }

  async forget(ident: string): Promise<void> {
    await api.forgetAircraft(ident);
    this.readAgain();
  }

  clear(): void {
    this.aircraft = null;
  }
}

export class Journal {
  /** The newest first; null: not read yet, or the service does not have it. */
  entries = $state.raw<DoneByRule[] | null>(null);
  absent = $state(false);
  standing = $derived((this.entries ?? []).filter(({ ended_at }) => ended_at === null).length);

  async read(): Promise<void> {
    const found = await orAbsent(api.contingencies());
    this.absent = found === null;
    this.entries = found?.toSorted((a, b) => Date.parse(b.noticed_at) - Date.parse(a.noticed_at)) ?? null;
  }

  /** What was seen. */
  seen(entry: DoneByRule): string {
    return i18n.language === 'ja' ? entry.seen_ja : entry.seen_en;
  }

  /** What the rule does about it. */
  response(entry: DoneByRule): string {
    const named = i18n.language === 'ja' ? entry.response_ja : entry.response_en;
    return named ?? (entry.response === null ? '' : term(RESPONSES, entry.response));
  }

  clear(): void {
    this.entries = null;
  }
}

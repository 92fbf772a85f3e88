/** Alarms: what is stored of them, what gateways say of them now, and both as one list for people. */

import { api } from './api';
import { i18n } from './i18n.svelte';
import { chime } from './chime.svelte';
import type { Alarm, AlarmDefinition, AlarmRow, AlarmState, ProcessLive, Urgency, VehicleLive } from './types';

export const RANK: Record<Urgency, number> = { urgent: 0, high: 1, medium: 2 };
// A stored alarm may come a moment before the snapshot that shows it, and go a moment after.
const MISSING_MS = 3000;
// Nobody can have heard more; the oldest are forgotten first.
const MOST_HEARD = 500;
/** Raised by others than the process that they are about, so that no snapshot of that one speaks of them. */
const FROM_OUTSIDE = new Set(['gateway_silent', 'pilot_silent', 'medical_late', 'feed_silent']);

export interface ShownAlarm extends Alarm {
  /** What tells it from all others that stand: its source, code and key. */
  name: string;
  source_kind: 'vehicle' | 'process';
  source_id: string;
  standing: boolean;
  /** It is in the database, where people's answers are kept; if not, an answer is this console's own. */
  stored: boolean;
  acknowledged_by: string | null;
  shelf_reason: string | null;
}

type Source = Pick<ShownAlarm, 'source_kind' | 'source_id'>;
const nameOf = (source: Source, alarm: { code: string; key?: string }): string =>
  `${source.source_kind}/${source.source_id}/${alarm.code}/${alarm.key ?? ''}`;

export class Alarms {
  /** All that are not closed: those that stand first, of these the most urgent, then the oldest. */
  list = $state.raw<ShownAlarm[]>([]);
  /** What each alarm means and what answers it, by code. */
  table = $state.raw<Readonly<Record<string, AlarmDefinition>>>({});
  standing = $derived(this.list.filter((alarm) => alarm.standing && alarm.state !== 'shelved'));
  /** Those that wait for somebody to say that they know. */
  open = $derived(this.list.filter(({ state }) => state === 'unacknowledged' || state === 'returned'));
  acknowledged = $derived(this.list.filter(({ state }) => state === 'acknowledged'));
  shelved = $derived(this.list.filter(({ state }) => state === 'shelved'));
  /** Closed ones too for a while: a list that was asked for before must not bring them back. */
  #rows = new Map<string, AlarmRow & { takenMs: number }>();
  #live = new Map<string, { source: Source; alarms: Map<string, Alarm> }>();
  /** Over before they were stored: only this console knows of them, and keeps them until they are seen. */
  #unstored = new Map<string, ShownAlarm>();
  #missing = new Map<string, number>();
  /** What was acknowledged here while it could not be stored. */
  #noted = new Set<string>();
  #heard = new Set<string>();

  constructor(private readonly readList: () => void) {}

  /** Takes stored alarms or changes of them; `reset`: too much was missed, and the list is read anew. */
  take(rows: AlarmRow[], reset = false): void {
    for (const row of rows) this.#keep(row);
    if (reset) this.readList();
    this.#show();
  }

  /** Takes all alarms that were open when somebody asked (monotonic wall time); what was heard since is newer. */
  replace(rows: AlarmRow[], askedMs: number): void {
    const open = new Set(rows.map((row) => row.alarm_id));
    for (const [alarmId, row] of this.#rows) {
      if (!open.has(alarmId) && row.takenMs < askedMs) this.#rows.delete(alarmId);
    }
    this.take(rows);
  }

  /** Takes the alarms of a snapshot; vehicles and processes that are not in it stay as they were. */
  hear(vehicles: VehicleLive[], processes: ProcessLive[] = []): void {
    for (const { vehicle_id, alarms } of vehicles) this.#hearOf({ source_kind: 'vehicle', source_id: vehicle_id }, alarms);
    for (const { name, alarms } of processes) this.#hearOf({ source_kind: 'process', source_id: name }, alarms);
    this.#show();
  }

  async acknowledge(alarm: ShownAlarm): Promise<void> {
    if (alarm.stored && alarm.alarm_id) this.take([await api.acknowledgeAlarm(alarm.alarm_id)]);
    else {
      this.#noted.add(occurrence(alarm.name, alarm.since));
      this.#unstored.delete(alarm.name);
      this.#show();
    }
  }

  async shelve(alarm: ShownAlarm, minutes: number, reason: string): Promise<void> {
    if (alarm.alarm_id) this.take([await api.shelveAlarm(alarm.alarm_id, minutes, reason)]);
  }

  async unshelve(alarm: ShownAlarm): Promise<void> {
    if (alarm.alarm_id) this.take([await api.unshelveAlarm(alarm.alarm_id)]);
  }

  clear(): void {
    [this.#rows, this.#live, this.#unstored, this.#missing, this.#noted, this.#heard].forEach((known) => known.clear());
    this.list = [];
  }

  /** The most urgent alarm that stands for a vehicle. */
  worstOf(vehicleId: string): Urgency | null {
    const standing = this.standing.filter((alarm) => alarm.source_id === vehicleId);
    return standing.toSorted((a, b) => RANK[a.urgency] - RANK[b.urgency])[0]?.urgency ?? null;
  }

  /** For how many minutes an alarm may be put aside; 0: not at all. */
  shelveMost(alarm: ShownAlarm): number {
    const row = alarm.alarm_id ? this.#rows.get(alarm.alarm_id) : undefined;
    return alarm.stored ? (row?.shelve_max_min ?? this.table[alarm.code]?.shelve_max_min ?? 0) : 0;
  }

  textOf(alarm: Alarm): string {
    return i18n.language === 'ja' ? alarm.text_ja : alarm.text_en;
  }

  #keep(row: AlarmRow): void {
    const known = this.#rows.get(row.alarm_id);
    if (known && stamp(known) > stamp(row)) return;
    this.#unstored.delete(nameOf(row, row));
    if (row.state === 'unacknowledged' && this.#noted.delete(occurrence(nameOf(row, row), row.since))) this.#pass(row);
    this.#rows.set(row.alarm_id, { ...known, ...row, takenMs: performance.now() });
  }

  /** Hands on what was acknowledged here before it was stored; if that fails, it is open again. */
  #pass(row: AlarmRow): void {
    api.acknowledgeAlarm(row.alarm_id).then((answer) => this.take([answer]), () => this.readList());
  }

  #hearOf(source: Source, alarms: Alarm[] = []): void {
    const named = new Map(alarms.map((alarm) => [nameOf(source, alarm), alarm]));
    const before = this.#live.get(`${source.source_kind}/${source.source_id}`)?.alarms;
    for (const [name, alarm] of before ?? []) {
      const unanswered = alarm.state === 'unacknowledged' && !this.#noted.has(occurrence(name, alarm.since));
      const stored = alarm.alarm_id !== null && this.#rows.has(alarm.alarm_id);
      if (!named.has(name) && unanswered && !stored) {
        this.#unstored.set(name, { ...this.#fromLive(name, source, alarm), state: 'returned', standing: false });
      }
    }
    for (const name of named.keys()) this.#unstored.delete(name);
    this.#live.set(`${source.source_kind}/${source.source_id}`, { source, alarms: named });
  }

  #show(): void {
    const shown = new Map<string, ShownAlarm>(this.#unstored);
    for (const row of this.#rows.values()) {
      const alarm = row.state === 'normal' ? null : this.#fromRow(row);
      if (alarm) shown.set(alarm.name, alarm);
    }
    for (const { source, alarms } of this.#live.values()) {
      for (const [name, alarm] of alarms) shown.set(name, this.#merged(name, source, alarm, shown.get(name)));
    }
    const sorted = [...shown.values()].toSorted(
      (a, b) =>
        Number(b.standing) - Number(a.standing) || (RANK[a.urgency] ?? 9) - (RANK[b.urgency] ?? 9) ||
        (a.since ?? '').localeCompare(b.since ?? '') || a.name.localeCompare(b.name),
    );
    // Snapshots come five times a second, and hardly ever with a change of these.
    if (JSON.stringify(sorted) !== JSON.stringify(this.list)) this.list = sorted;
    this.#sound();
  }

  /** What the database says, unless its source has not spoken of it for a while. */
  #fromRow(row: AlarmRow): ShownAlarm | null {
    const name = nameOf(row, row);
    const heard = this.#live.get(`${row.source_kind}/${row.source_id}`)?.alarms;
    const gone = row.standing && !FROM_OUTSIDE.has(row.code) && heard !== undefined && !heard.has(name);
    if (!gone) this.#missing.delete(row.alarm_id);
    else if (!this.#missing.has(row.alarm_id)) this.#missing.set(row.alarm_id, performance.now());
    const over = gone && performance.now() - (this.#missing.get(row.alarm_id) ?? 0) > MISSING_MS;
    if (over && row.state === 'acknowledged') return null;
    return {
      name,
      source_kind: row.source_kind,
      source_id: row.source_id,
      code: row.code,
      key: row.key ?? '',
      urgency: row.urgency,
      state: over && row.state === 'unacknowledged' ? 'returned' : (row.state as AlarmState),
      text_ja: row.text_ja,
      text_en: row.text_en,
      since: row.since,
      alarm_id: row.alarm_id,
      standing: row.standing && !over,
      stored: true,
      acknowledged_by: row.acknowledged_by ?? null,
      shelved_until: row.shelved_until ?? null,
      shelf_reason: row.shelf_reason ?? null,
    };
  }

  #fromLive(name: string, source: Source, alarm: Alarm): ShownAlarm {
    const noted = this.#noted.has(occurrence(name, alarm.since)) && alarm.state === 'unacknowledged';
    return {
      ...alarm,
      ...source,
      name,
      key: alarm.key ?? '',
      state: noted ? 'acknowledged' : (alarm.state ?? 'unacknowledged'),
      alarm_id: alarm.alarm_id ?? null,
      standing: true,
      stored: false,
      acknowledged_by: null,
      shelved_until: alarm.shelved_until ?? null,
      shelf_reason: null,
    };
  }

  /** What a gateway says now, with what people did by the database; news that came after that count again. */
  #merged(name: string, source: Source, alarm: Alarm, row: ShownAlarm | undefined): ShownAlarm {
    const live = this.#fromLive(name, source, alarm);
    if (!row?.stored) return live;
    const anew =
      !row.standing || RANK[live.urgency] < RANK[row.urgency] || Date.parse(live.since ?? '') > Date.parse(row.since ?? '');
    return anew
      ? { ...live, alarm_id: row.alarm_id, stored: true }
      : { ...row, text_ja: live.text_ja, text_en: live.text_en };
  }

  /** Sounds once for each urgent alarm that nobody has acknowledged. */
  #sound(): void {
    const urgent = this.list.filter((alarm) => alarm.urgency === 'urgent' && alarm.state === 'unacknowledged');
    const fresh = urgent.filter((alarm) => !this.#heard.has(`${alarm.name}@${alarm.since}`));
    if (fresh.length === 0) return;
    for (const alarm of fresh) this.#heard.add(`${alarm.name}@${alarm.since}`);
    this.#heard = new Set([...this.#heard].slice(-MOST_HEARD));
    chime.sound();
  }
}

/** One occurrence of an alarm, however its moment is written. */
const occurrence = (name: string, since: string | null): string => `${name}@${Date.parse(since ?? '')}`;
const stamp = (row: AlarmRow): number => Date.parse(row.changed_at ?? row.at ?? '') || 0;

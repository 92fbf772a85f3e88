/** Who controls which vehicle, and who is on duty: what the service says, and the moves of this person. */

import { api, orAbsent } from './api';
import { inWords, notices } from './notices.svelte';
import { t } from './i18n.svelte';
import type { ControlMove, ControlRow, DutyRow } from './types_pilot';

export class Authority {
  /** By vehicle; null: not read yet, or the service does not have it. */
  rows = $state.raw<ReadonlyMap<string, ControlRow> | null>(null);
  duty = $state.raw<DutyRow[] | null>(null);
  /** The service answered that it does not have it. */
  absent = $state(false);
  /** What is being asked now, by vehicle, and why the last move did not work. */
  busy = $state<Record<string, ControlMove>>({});
  problems = $state<Record<string, string>>({});
  changingDuty = $state(false);

  readonly #me: () => string | undefined;
  readonly #readAgain: () => void;

  constructor(me: () => string | undefined, readAgain: () => void) {
    this.#me = me;
    this.#readAgain = readAgain;
  }

  onDuty = $derived.by(() => this.duty?.some(({ user_id }) => user_id === this.#me()) ?? false);
  /** Vehicles that somebody wants this person to take over. */
  offers = $derived.by(() => {
    const me = this.#me();
    return [...(this.rows?.values() ?? [])].filter(({ offered_to }) => offered_to !== null && offered_to === me);
  });

  async read(): Promise<void> {
    const [control, duty] = await Promise.all([orAbsent(api.control()), orAbsent(api.duty())]);
    this.absent = control === null;
    this.rows = control === null ? null : new Map(control.map((row) => [row.vehicle_id, row]));
    this.duty = duty;
  }

  pilotOf(vehicleId: string): string | null {
    return this.rows?.get(vehicleId)?.pilot ?? null;
  }

  isMine(vehicleId: string): boolean {
    return this.pilotOf(vehicleId) === this.#me();
  }

  /** Whether this person may give more than a hold: its controller may, and everybody where there is no control. */
  commands(vehicleId: string): boolean {
    return this.rows === null || this.isMine(vehicleId);
  }

  /** Its pilot does not answer or has gone: it may be taken. Whoever looks at this is there. */
  isSilent(vehicleId: string): boolean {
    const row = this.rows?.get(vehicleId);
    return row?.pilot != null && !this.isMine(vehicleId) && (row.silent ?? false);
  }

  /** A pilot as people know them. */
  nameOf(userId: string): string {
    const named = this.duty?.find(({ user_id }) => user_id === userId)?.display_name;
    return named ?? [...(this.rows?.values() ?? [])].find(({ pilot }) => pilot === userId)?.display_name ?? userId;
  }

  async move(vehicleId: string, move: ControlMove, to?: string): Promise<void> {
    if (this.busy[vehicleId]) return;
    delete this.problems[vehicleId];
    this.busy[vehicleId] = move;
    try {
      await api.moveControl(vehicleId, move, to);
    } catch (error) {
      this.problems[vehicleId] = inWords(error);
    } finally {
      delete this.busy[vehicleId];
      this.#readAgain();
    }
  }

  async changeDuty(move: 'start' | 'end'): Promise<void> {
    this.changingDuty = true;
    try {
      await api.moveDuty(move);
    } catch (error) {
      notices.error(t('dutyNotChanged'), error);
    } finally {
      this.changingDuty = false;
      this.#readAgain();
    }
  }

  clear(): void {
    this.rows = this.duty = null;
    this.busy = {};
    this.problems = {};
  }
}

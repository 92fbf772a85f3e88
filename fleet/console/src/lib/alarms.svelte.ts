/** Alarms that the vehicles' gateways raise, and which of them somebody at this console has seen. */

import type { Alarm, Urgency, VehicleLive } from './types';

const RANK: Record<Urgency, number> = { urgent: 0, high: 1, medium: 2 };
const STORAGE_KEY = 'todoke-alarms-seen';
// As many as anybody could have seen in a session; the oldest are forgotten first.
const MOST_REMEMBERED = 500;

export interface RaisedAlarm extends Alarm {
  key: string;
  vehicle_id: string;
  /** The condition is over; it stays until it is seen, so that nothing passes unnoticed. */
  over: boolean;
  seen: boolean;
}

export class Alarms {
  /** All that stand or were not seen yet: the unseen first, of these the most urgent, then the oldest. */
  list = $state.raw<RaisedAlarm[]>([]);
  unseen = $derived(this.list.filter((alarm) => !alarm.seen));
  seen = $derived(this.list.filter((alarm) => alarm.seen));
  #seen = new Set<string>(remembered());

  /** Takes the alarms of a snapshot; vehicles that are not in it stay as they were. */
  hear(vehicles: VehicleLive[]): void {
    const heard = new Set(vehicles.map((vehicle) => vehicle.vehicle_id));
    const standing = vehicles.flatMap(({ vehicle_id, alarms }) =>
      (alarms ?? []).map((alarm) => this.#raised(vehicle_id, alarm)),
    );
    if (standing.length === 0 && this.list.length === 0) return;
    const codes = new Set(standing.map(({ vehicle_id, code }) => `${vehicle_id}/${code}`));
    const before = this.list
      .filter((alarm) => !heard.has(alarm.vehicle_id) || !codes.has(`${alarm.vehicle_id}/${alarm.code}`))
      .map((alarm) => (heard.has(alarm.vehicle_id) ? { ...alarm, over: true } : alarm))
      .filter((alarm) => !alarm.over || !alarm.seen);
    this.#show([...standing, ...before]);
  }

  see(key: string): void {
    this.#remember(key);
    this.#show(
      this.list
        .map((alarm) => (alarm.key === key ? { ...alarm, seen: true } : alarm))
        .filter((alarm) => !alarm.over || !alarm.seen),
    );
  }

  clear(): void {
    this.list = [];
  }

  /** The most urgent alarm that stands for a vehicle. */
  worstOf(vehicleId: string): Urgency | null {
    const standing = this.list.filter((alarm) => alarm.vehicle_id === vehicleId && !alarm.over);
    return standing.toSorted((a, b) => RANK[a.urgency] - RANK[b.urgency])[0]?.urgency ?? null;
  }

  #raised(vehicle_id: string, alarm: Alarm): RaisedAlarm {
    const key = `${vehicle_id}/${alarm.code}/${alarm.since}`;
    return { ...alarm, key, vehicle_id, over: false, seen: this.#seen.has(key) };
  }

  #show(alarms: RaisedAlarm[]): void {
    const sorted = alarms.toSorted(
      (a, b) =>
        Number(a.seen) - Number(b.seen) || Number(a.over) - Number(b.over) ||
        (RANK[a.urgency] ?? 9) - (RANK[b.urgency] ?? 9) || (a.since ?? '').localeCompare(b.since ?? '') ||
        a.key.localeCompare(b.key),
    );
    // Snapshots come five times a second, and hardly ever with a change of these.
    const text = (list: RaisedAlarm[]): string => JSON.stringify(list);
    if (text(sorted) !== text(this.list)) this.list = sorted;
  }

  #remember(key: string): void {
    this.#seen.add(key);
    try {
      sessionStorage.setItem(STORAGE_KEY, JSON.stringify([...this.#seen].slice(-MOST_REMEMBERED)));
    } catch {
      // Then a reload shows it again, which does no harm.
    }
  }
}

function remembered(): string[] {
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? '[]');
    return Array.isArray(stored) ? stored.filter((key) => typeof key === 'string') : [];
  } catch {
    return [];
  }
}

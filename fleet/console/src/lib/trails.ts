/** Where each vehicle has been in the last minutes of domain time. Kept outside of reactive state: it is
 *  read by the map at the rate of snapshots. */

import type { TrackPoint, VehicleLive } from './types';

export const TRAIL_MS = 10 * 60_000;
// At five snapshots a second and real time a trail would hold 3,000 points; this is closer than a pixel.
const LEAST_STEP_MS = 2000;

interface Point {
  tMs: number;
  lon: number;
  lat: number;
}

export class Trails {
  #points = new Map<string, Point[]>();

  /** Adds what the service stored before this page was opened, below what was seen since. */
  addTrack(vehicleId: string, track: TrackPoint[]): void {
    const seen = this.#points.get(vehicleId) ?? [];
    const first = seen[0]?.tMs ?? Infinity;
    const older = track
      .map(([t, lat, lon]) => ({ tMs: typeof t === 'number' ? t * 1000 : Date.parse(t), lon, lat }))
      .filter((p) => p.tMs < first && Number.isFinite(p.tMs) && Number.isFinite(p.lat + p.lon));
    this.#points.set(vehicleId, [...older, ...seen]);
  }

  add(live: VehicleLive): void {
    if (live.lat === null || live.lon === null || live.t === null) return;
    const tMs = Date.parse(live.t);
    if (Number.isNaN(tMs)) return;
    const points = this.#points.get(live.vehicle_id) ?? [];
    const last = points.at(-1);
    if (last && tMs - last.tMs < LEAST_STEP_MS) return;
    points.push({ tMs, lon: live.lon, lat: live.lat });
    const old = points.findIndex((p) => p.tMs >= tMs - TRAIL_MS);
    if (old > 0) points.splice(0, old);
    this.#points.set(live.vehicle_id, points);
  }

  /** The trail as `[lon, lat]`, oldest first; empty when there is none. */
  of(vehicleId: string, nowMs: number): [number, number][] {
    const points = this.#points.get(vehicleId) ?? [];
    return points.filter((p) => p.tMs >= nowMs - TRAIL_MS).map((p) => [p.lon, p.lat]);
  }

  clear(): void {
    this.#points.clear();
  }
}

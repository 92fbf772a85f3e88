/** The decisions that vehicles wait for, as a queue. */

import type { Site, VehicleLive, Wait, WaitFor } from './types';

export interface Decision {
  vehicleId: string;
  wait: Wait;
  /** Nobody came to unlock in time. */
  expired: boolean;
  /** Domain seconds until it goes on without; null: it waits for ever. */
  leftS: number | null;
}

const KNOWN: ReadonlySet<WaitFor> = new Set(['drop_clear', 'unlock', 'crossing', 'resume']);

/** What a pilot has to decide, the least time left first, then what has waited longest. A recipient who still has time
 *  to unlock is nobody else's decision. */
export function decisionsOf(live: Iterable<VehicleLive>, nowMs: number): Decision[] {
  const found: Decision[] = [];
  for (const { vehicle_id: vehicleId, waits: wait } of live) {
    if (!wait || !KNOWN.has(wait.what)) continue;
    const leftS = wait.until ? (Date.parse(wait.until) - nowMs) / 1000 : null;
    const expired = wait.what === 'unlock' && leftS !== null && leftS <= 0;
    if (wait.what === 'unlock' && leftS !== null && !expired) continue;
    found.push({ vehicleId, wait, expired, leftS });
  }
  return found.toSorted(
    (a, b) =>
      (a.leftS ?? Infinity) - (b.leftS ?? Infinity) || Date.parse(a.wait.since) - Date.parse(b.wait.since) ||
      a.vehicleId.localeCompare(b.vehicleId),
  );
}

const METRES_PER_DEGREE = 111_320;

/** Ground distance in metres of two places that are close together. */
export function distanceM(a: { lat: number; lon: number }, b: { lat: number; lon: number }): number {
  const east = (b.lon - a.lon) * METRES_PER_DEGREE * Math.cos((a.lat * Math.PI) / 180);
  return Math.hypot(east, (b.lat - a.lat) * METRES_PER_DEGREE);
}

/** Sites by their distance from a place; null: nobody knows where that is, and the order stays. */
export function byDistance(sites: Site[], from: { lat: number; lon: number } | null): { site: Site; metres: number | null }[] {
  if (!from) return sites.map((site) => ({ site, metres: null }));
  return sites
    .map((site) => ({ site, metres: distanceM(from, site) }))
    .toSorted((a, b) => a.metres - b.metres);
}

/** Whether a drone may be sent there to land. */
export const canDivertTo = (site: Site): boolean => site.accepts_drone || site.kind === 'emergency';

/** Where a vehicle is, if that is known. */
export function placeOf(live: VehicleLive | null | undefined): { lat: number; lon: number } | null {
  return live && live.lat !== null && live.lon !== null ? { lat: live.lat, lon: live.lon } : null;
}

/** How far a vehicle's shown state can be believed. */

import type { Activity, Region, Vehicle, VehicleKind, VehicleLive } from './types';

/** Domain seconds that may pass between two signs of life; a robot need only speak every 30 s (VDA 5050). */
const HEARD_EVERY_S: Record<VehicleKind, number> = { drone: 10, robot: 40 };
/** Wall seconds that a sign of life may be on its way. */
const TRANSPORT_S = 3;

export type Hearing =
  | { kind: 'connected' }
  | { kind: 'silent'; seconds: number }
  | { kind: 'never' };

/**
 * Whether a vehicle is heard. Its link says so; but a gateway that died says nothing any more, so an old
 * last word counts as silence as well.
 */
export function hearing(
  live: VehicleLive | null | undefined, kind: VehicleKind, nowMs: number, speed: number,
): Hearing {
  if (!live?.t) return { kind: 'never' };
  const seconds = Math.max(0, (nowMs - Date.parse(live.t)) / 1000);
  const old = seconds > HEARD_EVERY_S[kind] + TRANSPORT_S * speed;
  return live.connected && !old ? { kind: 'connected' } : { kind: 'silent', seconds };
}

/** Height above home in metres: what the vehicle says, else from the altitude of its home site. */
export function heightAboveHome(
  vehicle: Vehicle, live: VehicleLive | null | undefined, region: Region | null,
): number | null {
  if (!live) return null;
  if (typeof live.alt_home_m === 'number') return live.alt_home_m;
  const home = region?.sites.find((site) => site.site_id === vehicle.home_site);
  return home && typeof live.alt_amsl_m === 'number' ? live.alt_amsl_m - home.alt_amsl_m : null;
}

export type Tone = 'calm' | 'going' | 'attention' | 'alarm' | 'quiet';

const ACTIVITY_TONES: Record<Activity, Tone> = {
  unknown: 'quiet',
  idle: 'calm',
  takeoff: 'going',
  mission: 'going',
  hold: 'attention',
  return: 'attention',
  land: 'attention',
  manual: 'attention',
  fault: 'alarm',
};

/** The colour of what a vehicle is doing: fault above silence above activity. */
export function toneOf(activity: Activity, heard: Hearing): Tone {
  if (activity === 'fault') return 'alarm';
  if (heard.kind !== 'connected') return 'quiet';
  return ACTIVITY_TONES[activity] ?? 'quiet';
}

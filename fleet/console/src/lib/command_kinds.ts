/** The commands as the console offers them: with what picture, to what, in which group, and when they are pointless. */

import type { CommandKind, CommandParams, Vehicle, VehicleKind, VehicleLive } from './types';

/** Where on the card: at once, always there, or among the rarer ones; what answers a wait stands in the queue too. */
export type Group = 'stop' | 'way' | 'change' | 'delivery';

interface Offer {
  kind: CommandKind;
  icon: 'pause' | 'stop' | 'home' | 'play' | 'down' | 'divert' | 'speed' | 'height' | 'release' | 'skip' | 'lock' | 'abort';
  group: Group;
  only?: VehicleKind;
  /** What has to be entered or chosen before it can be proposed. */
  asks?: 'site' | 'speed' | 'altitude';
  /** It is about a step of the mission: the one that the vehicle is at. */
  ofStep?: boolean;
}

export const OFFERS: readonly Offer[] = [
  { kind: 'return', icon: 'home', group: 'way' },
  { kind: 'resume', icon: 'play', group: 'way' },
  { kind: 'land', icon: 'down', group: 'way', only: 'drone' },
  { kind: 'divert', icon: 'divert', group: 'way', only: 'drone', asks: 'site' },
  { kind: 'speed', icon: 'speed', group: 'change', asks: 'speed' },
  { kind: 'altitude', icon: 'height', group: 'change', only: 'drone', asks: 'altitude' },
  { kind: 'release', icon: 'release', group: 'delivery', only: 'drone', ofStep: true },
  { kind: 'unlock', icon: 'lock', group: 'delivery', only: 'robot', ofStep: true },
  { kind: 'skip', icon: 'skip', group: 'delivery', ofStep: true },
  { kind: 'abort', icon: 'abort', group: 'delivery' },
];

/** Limits of what may be entered: the service's (`fleet/command_kinds.py`), which also knows those of the type. */
export const LIMITS = {
  speed: { least: 1, most: 100, step: 0.5, unit: 'm/s' },
  altitude: { least: 10, most: 150, step: 1, unit: 'm' },
} as const;

export const offersFor = (vehicle: Vehicle): Offer[] =>
  OFFERS.filter(({ only }) => only === undefined || only === vehicle.kind);

/** The step of its mission that a command is about: the one that it waits at, else the one that it is at. */
export function stepOf(live: VehicleLive | null): number | null {
  return live?.waits?.step ?? live?.step ?? null;
}

/** The parameters of a command that needs nothing but the state; null when the state does not give them. */
export function paramsOf(offer: { ofStep?: boolean }, live: VehicleLive | null): CommandParams | null {
  if (!offer.ofStep) return {};
  const step = stepOf(live);
  return step === null ? null : { step };
}

/** Whether a command would change nothing, going by a state that is fresh. What is not known is left to the service. */
export function pointless(kind: CommandKind, vehicle: Vehicle, live: VehicleLive): boolean {
  const resting = live.activity === 'idle' && live.on_ground;
  const standing = vehicle.kind === 'drone' && live.on_ground;
  switch (kind) {
    case 'resume': return !live.mission_id || !(['hold', 'unknown'].includes(live.activity) || live.waits?.what === 'resume');
    case 'return': return resting || live.activity === 'return';
    case 'land': return resting || live.activity === 'land' || standing;
    case 'divert': case 'altitude': case 'speed': return resting || standing;
    case 'release': case 'skip': case 'unlock': return !live.mission_id || stepOf(live) === null;
    case 'abort': return !live.mission_id;
    default: return false;
  }
}

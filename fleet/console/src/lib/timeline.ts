/** The plan and what became of it, as bars on a time axis: one row a vehicle. */

import type { Mission, MissionState, OrderState, PlanRun, Stop, Vehicle } from './types';

export interface BarStop {
  atMs: number;
  siteId: string;
  orderIds: string[];
  done: boolean;
  home: boolean;
}

export interface Bar {
  id: string;
  vehicleId: string;
  /** Which trip of its vehicle it is, from 1. */
  ordinal: number;
  state: MissionState | 'proposed';
  mission: Mission | null;
  plannedStartMs: number;
  plannedEndMs: number;
  /** As it was, or as it must be expected now. */
  startMs: number;
  endMs: number;
  startedAt: string | null;
  endedAt: string | null;
  lateMs: number;
  stops: BarStop[];
}

export interface Row {
  vehicleId: string;
  kind: Vehicle['kind'];
  bars: Bar[];
}

/** What ended longer ago belongs to another day. */
const DAY_MS = 12 * 3_600_000;
/** Less is noise: people round, and so do plans. */
export const LATE_MS = 120_000;

const ms = (moment: string): number => Date.parse(moment);
const DONE: ReadonlySet<OrderState> = new Set(['delivered']);

/** Bars of all missions of the day, and dashed ones of a plan that waits for a decision. */
export function rows(vehicles: Vehicle[], missions: Mission[], proposed: PlanRun | null, nowMs: number): Row[] {
  const bars = new Map<string, Bar[]>(vehicles.map((vehicle) => [vehicle.vehicle_id, []]));
  for (const mission of missions) {
    if (Math.max(ms(mission.planned_arrive), mission.ended_at ? ms(mission.ended_at) : 0) < nowMs - DAY_MS) continue;
    bars.get(mission.vehicle_id)?.push(missionBar(mission, nowMs));
  }
  for (const route of proposed?.plan?.routes ?? []) {
    for (const [i, trip] of route.trips.entries()) {
      const bar = proposedBar(route.vehicle_id, `${proposed?.run_id}/${route.vehicle_id}/${i}`, trip.legs);
      if (bar) bars.get(route.vehicle_id)?.push(bar);
    }
  }
  return vehicles.map(({ vehicle_id, kind }) => {
    const sorted = (bars.get(vehicle_id) ?? []).toSorted((a, b) => a.startMs - b.startMs || a.id.localeCompare(b.id));
    return { vehicleId: vehicle_id, kind, bars: sorted.map((bar, i) => ({ ...bar, ordinal: i + 1 })) };
  });
}

function missionBar(mission: Mission, nowMs: number): Bar {
  const [plannedStartMs, plannedEndMs] = [ms(mission.planned_depart), ms(mission.planned_arrive)];
  const over = mission.ended_at !== null;
  const known = (mission.delay_s ?? 0) * 1000;
  // Time goes on between two readings of the list.
  const delay = over ? 0 : mission.started_at ? known : Math.max(known, nowMs - plannedStartMs);
  const startMs = mission.started_at ? ms(mission.started_at) : Math.max(plannedStartMs + delay, plannedStartMs);
  // One that was given up before it began has no length of its own.
  const neverBegan = over && !mission.started_at;
  // The way home of one that was given up takes no longer than the way out did.
  const givenUp = mission.state === 'returning';
  const homeMs = givenUp ? Math.min(plannedEndMs + delay, nowMs + (nowMs - startMs)) : plannedEndMs + delay;
  const expectedMs = Math.max(homeMs, mission.started_at ? nowMs : 0);
  const endMs = neverBegan ? plannedEndMs : mission.ended_at ? ms(mission.ended_at) : expectedMs;
  const lateMs = neverBegan || givenUp || mission.state === 'cancelled' ? 0 : Math.max(0, endMs - plannedEndMs, startMs - plannedStartMs);
  const states = new Map(mission.orders.map((order) => [order.order_id, order.state]));
  const begun = neverBegan ? plannedStartMs : startMs;
  return {
    id: mission.mission_id,
    vehicleId: mission.vehicle_id,
    ordinal: 0,
    state: mission.state,
    mission,
    plannedStartMs,
    plannedEndMs,
    startMs: begun,
    endMs: Math.max(endMs, begun),
    startedAt: mission.started_at,
    endedAt: mission.ended_at,
    lateMs,
    stops: (mission.stops ?? []).map((stop, i, all) => ({
      atMs: Math.min(ms(stop.arrive) + (over && mission.started_at ? begun - plannedStartMs : delay), Math.max(endMs, begun)),
      siteId: stop.to_site,
      orderIds: stop.order_ids,
      done: stop.order_ids.length > 0 && stop.order_ids.every((id) => DONE.has(states.get(id) ?? 'received')),
      home: i === all.length - 1,
    })).filter((stop) => !givenUp || stop.done || stop.home),
  };
}

function proposedBar(vehicleId: string, id: string, legs: (Stop & { depart: string; action: string })[]): Bar | null {
  const [first, last] = [legs[0], legs.at(-1)];
  if (!first || !last) return null;
  const [startMs, endMs] = [ms(first.depart), ms(last.arrive)];
  return {
    id, vehicleId, ordinal: 0, state: 'proposed', mission: null,
    plannedStartMs: startMs, plannedEndMs: endMs, startMs, endMs,
    startedAt: null, endedAt: null, lateMs: 0,
    stops: legs.map((leg) => ({
      atMs: ms(leg.arrive), siteId: leg.to_site, orderIds: leg.order_ids, done: false, home: leg.action === 'home',
    })),
  };
}

export interface Axis {
  fromMs: number;
  toMs: number;
  ticks: number[];
}

const TICK_MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 240] as const;
const TICK_PX = 64;

/** The time that all bars and now need, with a tick every so many whole minutes that labels have room. */
export function axis(shown: Row[], nowMs: number, widthPx: number): Axis {
  const bars = shown.flatMap((row) => row.bars);
  const first = Math.min(nowMs, ...bars.flatMap((bar) => [bar.startMs, bar.plannedStartMs]));
  const last = Math.max(nowMs + 5 * 60_000, ...bars.flatMap((bar) => [bar.endMs, bar.plannedEndMs]));
  const room = Math.max(60_000, (last - first) * 0.03);
  const [fromMs, toMs] = [first - room, last + room];
  const most = Math.max(2, Math.floor(widthPx / TICK_PX));
  const step = (TICK_MINUTES.find((minutes) => (toMs - fromMs) / (minutes * 60_000) <= most) ?? 480) * 60_000;
  // Whole minutes of the wall clock: zones are off by quarters of an hour at most.
  const ticks: number[] = [];
  for (let at = Math.ceil(fromMs / step) * step; at < toMs; at += step) ticks.push(at);
  return { fromMs, toMs, ticks };
}

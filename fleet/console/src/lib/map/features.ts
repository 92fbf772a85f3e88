/** GeoJSON of what the map shows. GeoJSON puts longitude first; the service's API latitude. */

import type { Feature, FeatureCollection, Geometry, Position } from 'geojson';
import { i18n, nameOf } from '../i18n.svelte';
import type { Trails } from '../trails';
import type { Bounds, Mission, MissionState, PlanRun, Region, Vehicle, VehicleLive } from '../types';
import { heightAboveHome, hearing, toneOf } from '../vehicle';
import { OBSTACLES } from '../words';
import { drawnOnce, wayBack } from './paths';
import { siteIcon, vehicleIcon } from './symbols';

type Properties = Record<string, string | number | boolean | null>;
export const feature = (geometry: Geometry, properties: Properties = {}): Feature => ({
  type: 'Feature', geometry, properties,
});
export const collection = (features: Feature[] = []): FeatureCollection => ({
  type: 'FeatureCollection', features,
});

const METRES_PER_DEGREE = 111_320;

/** Where the work is, with room for symbols and names: sites and zones; ways may lead far out of it. */
export function workArea(region: Region): Bounds {
  const points = [
    ...region.sites.map(({ lat, lon }): [number, number] => [lat, lon]), ...region.zones.flatMap(({ ring }) => ring),
  ];
  if (points.length < 2) return region.bounds;
  const [lats, lons] = [points.map(([lat]) => lat), points.map(([, lon]) => lon)];
  const [south, north] = [Math.min(...lats), Math.max(...lats)];
  const [west, east] = [Math.min(...lons), Math.max(...lons)];
  const room = (low: number, high: number): number => Math.max((high - low) * 0.06, 200 / METRES_PER_DEGREE);
  const [lat, lon] = [room(south, north), room(west, east)];
  return { south: south - lat, west: west - lon, north: north + lat, east: east + lon };
}

/** The smallest bounds around both. */
export function around(a: Bounds, b: Bounds): Bounds {
  return {
    south: Math.min(a.south, b.south), west: Math.min(a.west, b.west),
    north: Math.max(a.north, b.north), east: Math.max(a.east, b.east),
  };
}

/** What lies outside of what is mapped, as one polygon with a hole. */
export function outside({ south, west, north, east }: Bounds): FeatureCollection {
  const box = (s: number, w: number, n: number, e: number): Position[] => [[w, s], [e, s], [e, n], [w, n], [w, s]];
  const hole = box(south, west, north, east).reverse();
  return collection([
    feature({ type: 'Polygon', coordinates: [box(south - 5, west - 5, north + 5, east + 5), hole] }),
  ]);
}

/** Lines every `stepM` metres, to judge distances by. */
export function grid({ south, west, north, east }: Bounds, stepM: number): FeatureCollection {
  const latStep = stepM / METRES_PER_DEGREE;
  const lonStep = latStep / Math.cos((((south + north) / 2) * Math.PI) / 180);
  const lines: Position[][] = [];
  // A region the size of a country would need a coarser grid, not a million lines.
  if ((north - south) / latStep > 200 || (east - west) / lonStep > 200) return collection();
  for (let lat = south + latStep; lat < north; lat += latStep) lines.push([[west, lat], [east, lat]]);
  for (let lon = west + lonStep; lon < east; lon += lonStep) lines.push([[lon, south], [lon, north]]);
  return collection([feature({ type: 'MultiLineString', coordinates: lines })]);
}

/** One feature each for all ways of robots and for all others, however many there are. */
export function ways(region: Region): FeatureCollection {
  return collection([
    feature({ type: 'MultiLineString', coordinates: region.ways.map(flipped) }, { other: false }),
    feature({ type: 'MultiLineString', coordinates: (region.other_ways ?? []).map(flipped) }, { other: true }),
  ]);
}

export function zones(region: Region): FeatureCollection {
  return collection(
    region.zones.map((zone) => {
      const ring = zone.ring.map(([lat, lon]): Position => [lon, lat]);
      const [first, last] = [ring[0], ring.at(-1)];
      if (first && last && (first[0] !== last[0] || first[1] !== last[1])) ring.push(first);
      const { zone_id: id, restriction } = zone;
      return feature({ type: 'Polygon', coordinates: [ring] }, { id, restriction, name: nameOf(zone) });
    }),
  );
}

export function lanes(region: Region): FeatureCollection {
  return collection(
    region.lanes.map(({ section_id: id, line }) => feature({ type: 'LineString', coordinates: flipped(line) }, { id })),
  );
}

const flipped = (line: number[][]): Position[] => line.map(([lat = 0, lon = 0]) => [lon, lat]);

export function land(region: Region): FeatureCollection {
  return collection(
    (region.features ?? [])
      // Obstacles are drawn as such.
      .filter(({ kind, coords }) => kind !== 'power_line' && coords.length > 1)
      .map(({ kind, coords, closed }) => {
        const line = flipped(coords);
        const geometry: Geometry = closed
          ? { type: 'Polygon', coordinates: [[...line, line[0] ?? []]] }
          : { type: 'LineString', coordinates: line };
        return feature(geometry, { kind });
      }),
  );
}

/** Lines between pylons, and a point for each pylon and mast. */
export function obstacles(region: Region): FeatureCollection {
  return collection(
    (region.obstacles ?? []).flatMap(({ kind, name_en, name_ja, line }) => {
      const points = flipped(line);
      const word = OBSTACLES[kind]?.[i18n.language] ?? kind;
      const name = i18n.language === 'ja' ? (name_ja ?? word) : name_en || word;
      const tops = points.map((coordinates) => feature({ type: 'Point', coordinates }, { mast: points.length === 1 }));
      return points.length < 2 ? tops : [feature({ type: 'LineString', coordinates: points }, { name }), ...tops];
    }),
  );
}

/** `active`: the sites where a delivery is on its way. */
export function sites(region: Region, active: ReadonlySet<string>): FeatureCollection {
  return collection(
    region.sites.map((site) =>
      feature(
        { type: 'Point', coordinates: [site.lon, site.lat] },
        {
          id: site.site_id,
          name: nameOf(site),
          icon: siteIcon(site),
          hub: site.kind === 'hub',
          port: site.kind === 'drone_port',
          active: active.has(site.site_id),
        },
      ),
    ),
  );
}

const CURRENT: ReadonlySet<MissionState> = new Set(['starting', 'underway', 'held', 'returning']);
const COMING: ReadonlySet<MissionState> = new Set(['planned', 'loaded', 'accepted']);

/** Where deliveries are on their way to. */
export function activeSites(missions: Mission[]): ReadonlySet<string> {
  const current = missions.filter((mission) => CURRENT.has(mission.state));
  return new Set(current.flatMap((mission) => (mission.stops ?? []).map((stop) => stop.to_site)));
}

// A mission's path never changes, and finding its ways back takes a while.
const drawnMissions = new Map<string, Position[][]>();
const MOST_DRAWN = 200;

function missionLines(mission: Mission): Position[][] {
  const known = drawnMissions.get(mission.mission_id);
  if (known) return known;
  const lines = drawnOnce(flipped(mission.path as number[][]));
  if (drawnMissions.size >= MOST_DRAWN) drawnMissions.clear();
  drawnMissions.set(mission.mission_id, lines);
  return lines;
}

interface Paths {
  missions: Mission[];
  vehicles: Vehicle[];
  shown: PlanRun | null;
  selected: string | null;
  /** Vehicles that are on their way home: what they were to do is given up. */
  returning: ReadonlySet<string>;
}

/** Paths of missions that are coming or under way, and of a plan that is looked at. */
export function routes({ missions, vehicles, shown, selected, returning }: Paths): FeatureCollection {
  const kinds = new Map(vehicles.map((v) => [v.vehicle_id, v.kind]));
  const features: Feature[] = [];
  const add = (vehicleId: string, use: string, coordinates: Position[][]): void => {
    const dim = selected !== null && selected !== vehicleId;
    const kind = kinds.get(vehicleId) ?? 'drone';
    if (coordinates.length > 0) features.push(feature({ type: 'MultiLineString', coordinates }, { use, kind, dim }));
  };
  for (const mission of missions) {
    const current = CURRENT.has(mission.state);
    if ((!current && !COMING.has(mission.state)) || !mission.path || mission.path.length < 2) continue;
    if (current && returning.has(mission.vehicle_id)) continue;
    add(mission.vehicle_id, current ? 'current' : 'planned', missionLines(mission));
  }
  for (const route of shown?.plan?.routes ?? []) {
    const legs = route.trips.flatMap((trip) => trip.legs).filter((leg) => leg.path.length > 1);
    add(route.vehicle_id, 'proposed', drawnOnce(legs.flatMap((leg) => leg.path.map(({ lat, lon }) => [lon, lat]))));
  }
  return collection(features);
}

interface Picture {
  region: Region;
  vehicles: Vehicle[];
  missions: ReadonlyMap<string, Mission>;
  live: Readonly<Record<string, VehicleLive>>;
  trails: Trails;
  alarmed: ReadonlySet<string>;
  selected: string | null;
  nowMs: number;
  speed: number;
  blind: boolean;
}

export function vehiclePoints(picture: Picture): FeatureCollection {
  const { region, vehicles, live, alarmed, selected, nowMs, speed, blind } = picture;
  const features: Feature[] = [];
  for (const vehicle of vehicles) {
    const { vehicle_id, kind } = vehicle;
    const state = live[vehicle_id];
    if (!state || state.lat === null || state.lon === null) continue;
    const heard = hearing(state, kind, nowMs, speed);
    const tone = blind ? 'quiet' : toneOf(state.activity, heard);
    const heightM = kind === 'drone' && !state.on_ground ? heightAboveHome(vehicle, state, region) : null;
    const chosen = vehicle_id === selected;
    const parked = state.activity === 'idle' && state.on_ground && !alarmed.has(vehicle_id) && !chosen;
    features.push(
      feature(
        { type: 'Point', coordinates: [state.lon, state.lat] },
        {
          id: vehicle_id,
          icon: vehicleIcon(kind, tone),
          heading: state.heading_deg ?? 0,
          name: vehicle_id,
          label: heightM === null ? vehicle_id : `${vehicle_id}\n${Math.round(heightM)} m`,
          selected: chosen,
          alarm: alarmed.has(vehicle_id),
          parked,
          // Whose name comes first where there is no room for all.
          rank: chosen ? 4 : alarmed.has(vehicle_id) ? 3 : parked ? 0 : kind === 'drone' ? 2 : 1,
        },
      ),
    );
  }
  return collection(features);
}

/** Where vehicles have been, and the way that one takes that gives its mission up. */
export function trailLines({ vehicles, missions, live, trails, selected, nowMs }: Picture): FeatureCollection {
  const features: Feature[] = [];
  for (const { vehicle_id, kind } of vehicles) {
    const coordinates: Position[] = trails.of(vehicle_id, nowMs);
    const state = live[vehicle_id];
    const at: Position | null = state && state.lat !== null && state.lon !== null ? [state.lon, state.lat] : null;
    if (at) coordinates.push(at);
    const dim = selected !== null && selected !== vehicle_id;
    if (coordinates.length > 1) features.push(feature({ type: 'LineString', coordinates }, { use: 'trail', kind, dim }));
    const path = missions.get(state?.mission_id ?? '')?.path;
    // A drone that is not heard comes home by itself.
    const lost = kind === 'drone' && state?.connected === false && !state.on_ground;
    if (at && state && (lost || state.activity === 'return') && path && path.length > 1) {
      const home = wayBack(at, flipped(path as number[][]), kind, state.step ?? null);
      features.push(feature({ type: 'LineString', coordinates: home }, { use: 'home', kind, dim }));
    }
  }
  return collection(features);
}

/** GeoJSON of what the map shows. GeoJSON puts longitude first; the service's API latitude. */

import type { Feature, FeatureCollection, Geometry, Position } from 'geojson';
import { nameOf } from '../i18n.svelte';
import type { Trails } from '../trails';
import type { Mission, MissionState, PlanRun, Region, Vehicle, VehicleLive } from '../types';
import { heightAboveHome, hearing, toneOf } from '../vehicle';
import { drawnOnce } from './paths';
import { vehicleIcon } from './symbols';

type Properties = Record<string, string | number | boolean | null>;
const feature = (geometry: Geometry, properties: Properties = {}): Feature => ({
  type: 'Feature', geometry, properties,
});
export const collection = (features: Feature[] = []): FeatureCollection => ({
  type: 'FeatureCollection', features,
});

const METRES_PER_DEGREE = 111_320;

/** The region with room around its outermost points for their symbols and names. */
export function widened(region: Region): Region {
  const { south, west, north, east } = region.bounds;
  const room = (low: number, high: number): number => Math.max((high - low) * 0.06, 200 / METRES_PER_DEGREE);
  const [lat, lon] = [room(south, north), room(west, east)];
  return { ...region, bounds: { south: south - lat, west: west - lon, north: north + lat, east: east + lon } };
}

/** What lies outside of the region, as one polygon with the region as its hole. */
export function outside({ bounds: { south, west, north, east } }: Region): FeatureCollection {
  const box = (s: number, w: number, n: number, e: number): Position[] => [[w, s], [e, s], [e, n], [w, n], [w, s]];
  const hole = box(south, west, north, east).reverse();
  return collection([
    feature({ type: 'Polygon', coordinates: [box(south - 5, west - 5, north + 5, east + 5), hole] }),
  ]);
}

/** Lines every `stepM` metres, to judge distances by. */
export function grid({ bounds: { south, west, north, east } }: Region, stepM: number): FeatureCollection {
  const latStep = stepM / METRES_PER_DEGREE;
  const lonStep = latStep / Math.cos((((south + north) / 2) * Math.PI) / 180);
  const lines: Position[][] = [];
  // A region the size of a country would need a coarser grid, not a million lines.
  if ((north - south) / latStep > 200 || (east - west) / lonStep > 200) return collection();
  for (let lat = south + latStep; lat < north; lat += latStep) lines.push([[west, lat], [east, lat]]);
  for (let lon = west + lonStep; lon < east; lon += lonStep) lines.push([[lon, south], [lon, north]]);
  return collection([feature({ type: 'MultiLineString', coordinates: lines })]);
}

export function ways(region: Region): FeatureCollection {
  const coordinates = region.ways.map((way) => way.map(([lat, lon]) => [lon, lat]));
  return collection([feature({ type: 'MultiLineString', coordinates })]);
}

export function zones(region: Region): FeatureCollection {
  return collection(
    region.zones.map((zone) => {
      const ring = zone.ring.map(([lat, lon]): Position => [lon, lat]);
      const [first, last] = [ring[0], ring.at(-1)];
      if (first && last && (first[0] !== last[0] || first[1] !== last[1])) ring.push(first);
      return feature({ type: 'Polygon', coordinates: [ring] }, { name: nameOf(zone) });
    }),
  );
}

export function sites(region: Region): FeatureCollection {
  return collection(
    region.sites.map((site) =>
      feature(
        { type: 'Point', coordinates: [site.lon, site.lat] },
        { name: nameOf(site), kind: site.kind, hub: site.kind === 'hub' },
      ),
    ),
  );
}

const CURRENT: ReadonlySet<MissionState> = new Set(['starting', 'underway', 'held', 'returning']);
const COMING: ReadonlySet<MissionState> = new Set(['planned', 'loaded', 'accepted']);

/** Paths of missions that are coming or under way, and of a plan that is looked at. */
export function routes(missions: Mission[], vehicles: Vehicle[], shown: PlanRun | null): FeatureCollection {
  const kinds = new Map(vehicles.map((v) => [v.vehicle_id, v.kind]));
  const features: Feature[] = [];
  for (const mission of missions) {
    const current = CURRENT.has(mission.state);
    if ((!current && !COMING.has(mission.state)) || !mission.path || mission.path.length < 2) continue;
    const coordinates = drawnOnce(mission.path.map(([lat, lon]) => [lon, lat]));
    features.push(
      feature(
        { type: 'MultiLineString', coordinates },
        { use: current ? 'current' : 'planned', kind: kinds.get(mission.vehicle_id) ?? 'drone' },
      ),
    );
  }
  for (const route of shown?.plan?.routes ?? []) {
    const legs = route.trips.flatMap((trip) => trip.legs).filter((leg) => leg.path.length > 1);
    const coordinates = drawnOnce(legs.flatMap((leg) => leg.path.map(({ lat, lon }) => [lon, lat])));
    if (coordinates.length === 0) continue;
    const kind = kinds.get(route.vehicle_id) ?? 'drone';
    features.push(feature({ type: 'MultiLineString', coordinates }, { use: 'proposed', kind }));
  }
  return collection(features);
}

interface Picture {
  region: Region;
  vehicles: Vehicle[];
  live: Readonly<Record<string, VehicleLive>>;
  trails: Trails;
  selected: string | null;
  nowMs: number;
  speed: number;
  blind: boolean;
}

export function vehiclePoints({ region, vehicles, live, selected, nowMs, speed, blind }: Picture): FeatureCollection {
  const features: Feature[] = [];
  for (const vehicle of vehicles) {
    const { vehicle_id, kind } = vehicle;
    const state = live[vehicle_id];
    if (!state || state.lat === null || state.lon === null) continue;
    const heard = hearing(state, kind, nowMs, speed);
    const tone = blind ? 'quiet' : toneOf(state.activity, heard);
    const heightM = kind === 'drone' && !state.on_ground ? heightAboveHome(vehicle, state, region) : null;
    features.push(
      feature(
        { type: 'Point', coordinates: [state.lon, state.lat] },
        {
          id: vehicle_id,
          icon: vehicleIcon(kind, tone),
          heading: state.heading_deg ?? 0,
          label: heightM === null ? vehicle_id : `${vehicle_id}\n${Math.round(heightM)} m`,
          selected: vehicle_id === selected,
        },
      ),
    );
  }
  return collection(features);
}

export function trailLines({ vehicles, live, trails, nowMs }: Picture): FeatureCollection {
  const features: Feature[] = [];
  for (const { vehicle_id, kind } of vehicles) {
    const coordinates: Position[] = trails.of(vehicle_id, nowMs);
    const state = live[vehicle_id];
    if (state && state.lat !== null && state.lon !== null) coordinates.push([state.lon, state.lat]);
    if (coordinates.length > 1) features.push(feature({ type: 'LineString', coordinates }, { kind }));
  }
  return collection(features);
}

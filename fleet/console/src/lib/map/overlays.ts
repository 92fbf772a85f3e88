/** GeoJSON of what pilots lay over the map: a flight's fence, manned aircraft, and what is being chosen. */

import type { FeatureCollection, Position } from 'geojson';
import { duration, t } from '../i18n.svelte';
import type { Site, VehicleLive } from '../types';
import type { MannedAircraft, MissionFence } from '../types_pilot';
import { collection, feature } from './features';

type Place = { lat: number; lon: number };
const at = ({ lat, lon }: Place): Position => [lon, lat];
const ring = (points: Place[]): Position[] => [...points, ...points.slice(0, 1)].map(at);

/** The corridor of a flight, what is left out of it, and where it may come down in an emergency. */
export function fenceShapes(found: MissionFence | null): FeatureCollection {
  if (!found) return collection();
  const area = (use: string) => (points: Place[]) => feature({ type: 'Polygon', coordinates: [ring(points)] }, { use });
  return collection([
    ...(found.fence?.inclusions ?? []).map(area('inside')),
    ...(found.fence?.exclusions ?? []).map(area('outside')),
    ...found.rally.map((place) => feature({ type: 'Point', coordinates: at(place) }, { use: 'rally' })),
  ]);
}

const METRES_PER_DEGREE = 111_320;
const AHEAD_S = 60;

/** A circle of so many metres as a ring. */
function circle({ lat, lon }: Place, radiusM: number): Position[] {
  const perLon = METRES_PER_DEGREE * Math.cos((lat * Math.PI) / 180);
  return Array.from({ length: 49 }, (_, i) => {
    const angle = (i / 48) * 2 * Math.PI;
    return [lon + (radiusM * Math.sin(angle)) / perLon, lat + (radiusM * Math.cos(angle)) / METRES_PER_DEGREE];
  });
}

/** Aircraft with people aboard: where each was seen, how high, how long ago, and a minute of its way on. */
export function aircraftPoints(aircraft: MannedAircraft[], nowMs: number, speed: number): FeatureCollection {
  return collection(
    aircraft.flatMap((one) => {
      const ageS = Math.max(0, (nowMs - Date.parse(one.observed_at)) / 1000);
      const height = one.alt_amsl_m === null ? t('heightUnknown') : `${Math.round(one.alt_amsl_m)} m`;
      const label = `${one.name || one.ident}\n${height} · ${t('ago', { time: duration(ageS / speed) })}`;
      const shapes = [
        feature(
          { type: 'Point', coordinates: at(one) },
          { use: 'aircraft', label, heading: one.track_deg ?? 0, icon: one.track_deg === null ? 'manned-still' : 'manned' },
        ),
      ];
      if (one.radius_m) shapes.push(feature({ type: 'Polygon', coordinates: [circle(one, one.radius_m)] }, { use: 'around' }));
      if (one.track_deg !== null && one.speed_mps) {
        const way = one.speed_mps * AHEAD_S;
        const angle = (one.track_deg * Math.PI) / 180;
        const perLon = METRES_PER_DEGREE * Math.cos((one.lat * Math.PI) / 180);
        const ahead = [one.lon + (way * Math.sin(angle)) / perLon, one.lat + (way * Math.cos(angle)) / METRES_PER_DEGREE];
        shapes.push(feature({ type: 'LineString', coordinates: [at(one), ahead] }, { use: 'ahead' }));
      }
      return shapes;
    }),
  );
}

/** Sites that a vehicle can be diverted to, and the straight way to the one that is chosen. */
export function divertPicks(sites: Site[], chosen: Site | null, live: VehicleLive | null): FeatureCollection {
  const marks = sites.map((site) =>
    feature({ type: 'Point', coordinates: at(site) }, { use: 'pick', chosen: site.site_id === chosen?.site_id }),
  );
  if (!chosen || !live || live.lat === null || live.lon === null) return collection(marks);
  const way = feature({ type: 'LineString', coordinates: [[live.lon, live.lat], at(chosen)] }, { use: 'way' });
  return collection([...marks, way]);
}

/** The place that was touched. */
export const pickedPlace = (place: Place | null): FeatureCollection =>
  collection(place ? [feature({ type: 'Point', coordinates: at(place) }, { use: 'pick', chosen: true })] : []);

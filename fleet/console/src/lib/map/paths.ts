/** Paths as they are drawn: a way that is travelled out and back is drawn once. */

import type { Position } from 'geojson';
import type { VehicleKind } from '../types';

const METRES_PER_DEGREE = 111_320;
/** The way back need not have the points of the way out, nor lie on it to the centimetre. */
const BESIDE_M = 15;
/** Cosine of the angle from which on two directions are opposite. */
const OPPOSITE = -0.95;

interface Stretch {
  x: number;
  y: number;
  dx: number;
  dy: number;
  length: number;
}

/** Metres east and north of the path's first point, on a plane: paths are short. */
function metresFrom([lon0 = 0, lat0 = 0]: Position): (point: Position) => [number, number] {
  const perLon = METRES_PER_DEGREE * Math.cos((lat0 * Math.PI) / 180);
  return ([lon = 0, lat = 0]) => [(lon - lon0) * perLon, (lat - lat0) * METRES_PER_DEGREE];
}

function stretch([x, y]: [number, number], [toX, toY]: [number, number]): Stretch {
  const [dx, dy] = [toX - x, toY - y];
  return { x, y, dx, dy, length: Math.hypot(dx, dy) };
}

/** Whether `a` runs back beside `b`: opposite, and with its middle close to it. */
function goesBack(a: Stretch, b: Stretch): boolean {
  if ((a.dx * b.dx + a.dy * b.dy) / (a.length * b.length) > OPPOSITE) return false;
  const [x, y] = [a.x + a.dx / 2 - b.x, a.y + a.dy / 2 - b.y];
  const along = Math.max(0, Math.min(1, (x * b.dx + y * b.dy) / b.length ** 2));
  return Math.hypot(x - along * b.dx, y - along * b.dy) < BESIDE_M;
}

/** The lines that show a path, without its ways back: dashes laid over dashes look like a solid line. */
export function drawnOnce(path: Position[]): Position[][] {
  const metres = metresFrom(path[0] ?? []);
  const drawn: Stretch[] = [];
  const lines: Position[][] = [];
  let line: Position[] = [];
  for (const [i, to] of path.entries()) {
    const from = path[i - 1];
    if (!from) continue;
    const way = stretch(metres(from), metres(to));
    if (way.length < 0.5) continue;
    if (drawn.some((other) => goesBack(way, other))) {
      line = [];
      continue;
    }
    drawn.push(way);
    if (line.length === 0) lines.push((line = [from]));
    line.push(to);
  }
  return lines;
}

/** The way home of a vehicle that gives its mission up: a drone flies on along the mission from its current `step`, a
 *  robot drives back over the places that it came by. */
export function wayBack(at: Position, path: Position[], kind: VehicleKind, step: number | null): Position[] {
  const metres = metresFrom(at);
  if (kind === 'drone') return [at, ...path.slice(Math.min(step ?? path.length, path.length - 1))];
  const away = path.map((point) => Math.hypot(...metres(point)));
  // The first of the places that are about as near: out and back lie on each other.
  const nearest = away.findIndex((distance) => distance <= Math.min(...away) + BESIDE_M);
  return [at, ...path.slice(0, nearest + 1).reverse()];
}

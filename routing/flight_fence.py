"""The fence of a flight in plan: one polygon to stay in, zones inside it to stay out of, and where it may come down.

An autopilot keeps few points (PX4 64), and knows no height in its polygons. So the corridor round all legs is drawn
outwards until it fits, and a zone becomes an exclusion only where the flight has no business at any height.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import Areas, Floats, applies, areas_of, over_limit_m, zone_limits_amsl
from routing.errors import BadInput
from routing.geo import LocalFrame, Position
from routing.permits import permits_for
from routing.problem import FleetVehicle, Permit, Separation
from routing.region.model import Region, Restriction, Zone
from routing.vehicle_type import Airframe, VehicleType

HALF_WIDTH_M = 50.0
"""Half of a drone lane's standard width of 100 m (Japan, guideline for drone lanes 1.1). A flight is within 12 m of
its path with 95 % (``Separation.containment_m``) and is told to have left its plan at once from 26 m more on
(``telemetry.monitors.conformance``), so that a pilot knows before the fence acts."""

WING_HALF_WIDTH_M = 130.0
"""On its wing a vehicle that is told to hold circles with 80 m (PX4: NAV_LOITER_RAD), from anywhere on its path."""

OFF_PATH_M = Separation().containment_m
"""What is shut out stays so far from the path, from home and from rally points: a flight as planned meets no fence."""

SIDEWAYS = 2.0
"""A site so many half widths beside the path still gets a way to it inside the fence."""

MAX_POINTS = 64
"""What PX4 keeps for polygons in all (v1.16.1: a 65th is NO_SPACE)."""
MAX_RALLY = 32
"""Rally points that PX4 keeps."""

_BEYOND_M = 100.0
"""Zones are cut off so far outside the corridor."""
_LEAST_AREA_M2 = 25.0
"""A corner of a zone in the corridor that is smaller is left: it is less than a position's error."""
_CORRIDOR_POINTS = 24
"""Zones get no more points than leave so many to the corridor, if it needs them."""
_TOLERANCES_M = (1.0, 4.0, 11.0, 23.0, 45.0, 90.0, 256.0, 1_024.0, 4_096.0)
_COARSEST_ZONE_M = 64.0
_MITRE = 1.5
"""Where a path turns back on itself a corner of the corridor would run far beyond the turn."""

_ROUNDS = 3

Ring = tuple[Position, ...]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FlightFence:
    """Rings are not closed and have no altitude. ``rally``: ids of the sites that lie safely inside, nearest to the
    path first. ``left_out``: zones in the corridor for which no points were left; the path keeps away from them."""

    inclusion: Ring
    exclusions: tuple[Ring, ...] = ()
    rally: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """Points in all."""
        return len(self.inclusion) + sum(len(ring) for ring in self.exclusions)


def half_width_m(vehicle_type: VehicleType) -> float:
    """How far beside its path the fence of a type of drone is."""
    return WING_HALF_WIDTH_M if vehicle_type.built_as is Airframe.VTOL else HALF_WIDTH_M


def closed_on(
    zones: Sequence[Zone],
    permits: Sequence[Permit],
    vehicle: FleetVehicle | VehicleType | None,
    during: tuple[datetime, datetime],
    path: Sequence[Position],
    region: Region,
) -> list[Zone]:
    """Return the zones that a flight along ``path`` may not enter: those that apply during it, that no permit of the
    vehicle's opens, and that are not above or below all of its heights. Raises ``BadInput`` naming a bad zone."""
    named = {zone_id for i in permits_for(permits, vehicle, during) for zone_id in permits[i].zones}
    heights = [place.alt_amsl_m for place in path]
    return [
        zone
        for zone in zones
        if zone.restriction is not Restriction.NONE
        and not (zone.restriction is Restriction.AUTHORISATION and zone.zone_id in named)
        and applies(zone, *during)
        and not _at_other_height(zone, min(heights), max(heights), region)
    ]


def flight_fence(
    path: Sequence[Position],
    *,
    frame: LocalFrame,
    home: Sequence[Position],
    sites: Sequence[tuple[str, Position]] = (),
    closed: Sequence[Zone] = (),
    half_width_m: float = HALF_WIDTH_M,
    points: int = MAX_POINTS,
) -> FlightFence:
    """Return the fence of a flight along ``path`` (all legs, one after the other) from and to ``home`` pads.

    ``sites`` are candidates for rally points. The inclusion holds all that is within ``half_width_m`` of the path.
    Holes that the path encloses are inside, unless a zone of ``closed`` is there. Zones nearer than ``OFF_PATH_M``
    to the path are flown through, under or over by right (the validator has passed it) and are no exclusions.
    The same input gives the same fence. Raises ``BadInput`` for places that are none and a budget that is too small.
    """
    if points < 8:
        raise BadInput(f"a fence needs at least 8 points, not {points}")
    line = _line(path, home, frame)
    areas = areas_of(closed, frame)
    areas[shapely.distance(areas, line) < OFF_PATH_M] = None
    rally, ways = _promised(line, sites, frame, areas, SIDEWAYS * half_width_m)
    core = shapely.union_all([shapely.buffer(line, half_width_m), *ways.tolist()])
    keep_off = shapely.union_all([line, *(shapely.Point(at) for _, at in rally)])
    reach = _filled(core)
    for _ in range(_ROUNDS):
        shapes = _exclusions(areas, reach, keep_off, max(0, points - _CORRIDOR_POINTS))
        spent = sum(len(shape.exterior.coords) - 1 for shape in shapes)
        inclusion = _corridor(line, ways, core, half_width_m, points - spent)
        # What was drawn wider for want of points may have taken in more of a zone.
        if not len(left := _open(areas, inclusion, shapes)):
            break
        reach = shapely.union_all([reach, inclusion])
    return FlightFence(
        _ring(inclusion, frame),
        tuple(_ring(shape, frame) for shape in shapes),
        tuple(site_id for site_id, _ in rally),
        tuple(closed[i].zone_id for i in left),
    )


def contains(inclusions: Sequence[Ring], exclusions: Sequence[Ring], place: Position) -> bool:
    """Whether a place is inside all inclusions and outside all exclusions, as PX4 takes it."""
    frame = LocalFrame(place)
    here = shapely.Point(0.0, 0.0)
    inside = shapely.contains(_areas(inclusions, frame), here)
    outside = ~shapely.intersects(_areas(exclusions, frame), here)
    return bool(inside.all() and outside.all())


def keeps_inside(inclusions: Sequence[Ring], exclusions: Sequence[Ring], a: Position, b: Position) -> bool:
    """Whether the straight way from ``a`` to ``b`` stays in the fence."""
    frame = LocalFrame(a)
    way = shapely.LineString([(0.0, 0.0), frame.to_local(b)])
    inside = shapely.covers(_areas(inclusions, frame), way)
    outside = ~shapely.intersects(_areas(exclusions, frame), way)
    return bool(inside.all() and outside.all())


def _areas(rings: Sequence[Ring], frame: LocalFrame) -> Areas:
    return np.array([shapely.Polygon([frame.to_local(place) for place in ring]) for ring in rings], dtype=object)


def _line(path: Sequence[Position], home: Sequence[Position], frame: LocalFrame) -> shapely.Geometry:
    """The path as one line, each home joined to it by the shortest way."""
    if not path:
        raise BadInput("a fence needs a path")
    at = np.array([frame.to_local(place) for place in (*path, *home)], dtype=np.float64)
    for place, (east, north) in zip((*path, *home), at, strict=True):
        if not (math.isfinite(east) and math.isfinite(north)):
            raise BadInput(f"a fence needs places on the earth, not {place}")
    along, homes = at[: len(path)], at[len(path) :]
    # A path of one place is a line too; a centimetre is nothing.
    line = shapely.LineString(np.vstack((along, along[-1] + 0.01)))
    ways: Areas = np.asarray(shapely.shortest_line(shapely.points(homes), line), dtype=object)
    joined: shapely.Geometry = shapely.union_all([line, *ways.tolist()])
    return joined


def _at_other_height(zone: Zone, lowest_m: float, highest_m: float, region: Region) -> bool:
    ring = np.array([region.frame.to_local(Position(lat, lon)) for lat, lon in zone.ring])
    floor, ceiling = zone_limits_amsl(zone, region, ring[:, 0], ring[:, 1])
    under = float(floor.min()) - over_limit_m(zone.floor_reference, region) >= highest_m
    over = float(ceiling.max()) + over_limit_m(zone.ceiling_reference, region) <= lowest_m
    return under or over


def _promised(
    line: shapely.Geometry,
    sites: Sequence[tuple[str, Position]],
    frame: LocalFrame,
    areas: Areas,
    reach_m: float,
) -> tuple[list[tuple[str, tuple[float, float]]], Areas]:
    """Sites that a straight way leads to from the path past all zones; and the ways, as wide as a flight needs."""
    if not sites:
        return [], np.zeros(0, dtype=object)
    at: Floats = np.array([frame.to_local(place) for _, place in sites])
    spots: Areas = np.asarray(shapely.points(at), dtype=object)
    away: Floats = np.asarray(shapely.distance(spots, line))
    spurs: Areas = np.asarray(shapely.buffer(shapely.shortest_line(spots, line), 2.0 * OFF_PATH_M), dtype=object)
    in_zones = shapely.intersects(spurs[:, None], areas[None, :]).any(axis=1)
    near = np.flatnonzero((away <= reach_m) & ~in_zones).tolist()
    chosen = sorted(near, key=lambda i: (away[i], sites[i][0]))[:MAX_RALLY]
    return [(sites[i][0], (float(at[i, 0]), float(at[i, 1]))) for i in chosen], spurs[chosen]


def _corridor(
    line: shapely.Geometry,
    ways: Areas,
    core: shapely.Geometry,
    width_m: float,
    points: int,
) -> shapely.Polygon:
    """The tightest polygon of those tried that covers the core with so many points."""
    needed = shapely.buffer(core, -0.01)
    for shape in _corridors(line, ways, width_m, core):
        filled = shapely.Polygon(shape.exterior) if isinstance(shape, shapely.Polygon) else None
        if filled is None or len(filled.exterior.coords) - 1 > points:
            continue
        if filled.is_valid and filled.covers(needed):
            return filled
    return _polygon(shapely.minimum_rotated_rectangle(shapely.buffer(core, 1.0)))


def _corridors(
    line: shapely.Geometry,
    ways: Areas,
    width_m: float,
    core: shapely.Geometry,
) -> Iterator[shapely.Geometry]:
    """Polygons round the core, from the tightest to its hull, each drawn outwards by what it leaves out."""
    for tolerance in _TOLERANCES_M:
        straight = shapely.simplify(line, tolerance)
        # Circles of 8 corners lie inside the circle by 1 - cos(22.5 degrees).
        round_m = (width_m + tolerance) / math.cos(math.pi / 8.0)
        beside = shapely.buffer(ways, tolerance, quad_segs=2)
        for shape in (
            shapely.buffer(straight, width_m + tolerance, join_style="mitre", mitre_limit=_MITRE, cap_style="square"),
            shapely.buffer(straight, round_m, quad_segs=2),
        ):
            whole = _filled(shapely.union_all([shape, *beside.tolist()]))
            yield shapely.simplify(whole, 0.1)
            yield _outline(whole, tolerance)
    for tolerance in _TOLERANCES_M:
        yield _outline(shapely.convex_hull(core), tolerance)


def _outline(shape: shapely.Geometry, tolerance_m: float) -> shapely.Geometry:
    """A simpler shape round a shape."""
    return shapely.simplify(shapely.buffer(shape, tolerance_m, join_style="mitre"), tolerance_m)


def _polygon(shape: shapely.Geometry) -> shapely.Polygon:
    return shapely.Polygon(shapely.get_exterior_ring(shape))


def _filled(shape: shapely.Geometry) -> shapely.Geometry:
    """A shape with its holes."""
    filled: shapely.Geometry = shapely.union_all(shapely.polygons(shapely.get_exterior_ring(shapely.get_parts(shape))))
    return filled


def _open(areas: Areas, inclusion: shapely.Polygon, shapes: list[shapely.Polygon]) -> Ints:
    """Numbers of the zones of which more than a corner is left open inside."""
    there = shapely.difference(shapely.intersection(areas, inclusion), shapely.union_all(shapes))
    return np.flatnonzero(np.nan_to_num(shapely.area(there)) >= _LEAST_AREA_M2)


def _exclusions(
    areas: Areas, reach: shapely.Geometry, keep_off: shapely.Geometry, points: int
) -> list[shapely.Polygon]:
    """Polygons round the parts of zones within reach, nearest to the path first, with so many points in all."""
    there = shapely.get_parts(shapely.union_all(shapely.intersection(areas, shapely.buffer(reach, _BEYOND_M))))
    there = there[(shapely.area(there) >= _LEAST_AREA_M2) & shapely.intersects(there, reach)]
    there = there[np.lexsort((shapely.get_x(shapely.centroid(there)), shapely.distance(there, keep_off)))]
    found = [shapes for part in there if (shapes := _drawn(part, keep_off))]
    # The finest first; whoever has the most points gives some, and where nobody can, the farthest goes.
    chosen = [0] * len(found)

    def cost(i: int) -> int:
        return len(found[i][chosen[i]].exterior.coords) - 1

    while sum(map(cost, range(len(found)))) > points:
        coarser = [i for i in range(len(found)) if chosen[i] + 1 < len(found[i])]
        if coarser:
            chosen[max(coarser, key=lambda i: (cost(i), i))] += 1
        else:
            found.pop()
            chosen.pop()
    return [shapes[i] for shapes, i in zip(found, chosen, strict=True)]


def _drawn(part: shapely.Polygon, keep_off: shapely.Geometry) -> list[shapely.Polygon]:
    """Polygons round a part of a zone that are off the path, each with fewer points than the one before."""
    found: list[shapely.Polygon] = []
    outlines = [_outline(part, tolerance) for tolerance in (0.1, *(t for t in _TOLERANCES_M if t <= _COARSEST_ZONE_M))]
    hull = shapely.convex_hull(part)
    for drawn in (*outlines, hull, shapely.minimum_rotated_rectangle(hull)):
        if not isinstance(drawn, shapely.Polygon):
            continue
        shape = shapely.Polygon(drawn.exterior)
        fewer = not found or len(shape.exterior.coords) < len(found[-1].exterior.coords)
        if fewer and shape.is_valid and shape.covers(part) and shape.distance(keep_off) >= OFF_PATH_M:
            found.append(shape)
    if not found:
        found.append(_polygon(part))
    return found


def _ring(shape: shapely.Polygon, frame: LocalFrame) -> Ring:
    at: Floats = shapely.get_coordinates(shapely.orient_polygons(shape).exterior)[:-1]
    return tuple(frame.to_global(float(east), float(north)) for east, north in at)

"""Outlines of zones as files give them, made into rings that planning can use.

Everything is done in degrees, which keeps rings as they are: whether a ring crosses itself does not depend on scale.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from routing.errors import BadInput
from routing.geo import LocalFrame, Position
from routing.region.landscape import local_coords
from routing.region.model import Zone
from routing.region.notes import ImportNotes
from routing.region.protected import circle

MAX_CORNERS = 100_000
"""Corners of one ring."""

MAX_RADIUS_M = 500_000.0
LEAST_M2 = 1.0
DIGITS = 7
"""Decimals of a degree that are kept: 1 cm."""

_M_PER_DEGREE = 111_195.0

Coords = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A zone without its ring, and its outline: ``(lon, lat)`` rows, the last as the first, or one row of a circle.

    ``feature`` numbers what it comes from in the file; ``reach_m`` is kept around the outline (the radius of a
    circle). ``where`` names it for people.
    """

    zone: Zone
    feature: int
    where: str
    outline: Coords
    reach_m: float = 0.0


def ring_of(ring: object, where: str, notes: ImportNotes) -> Coords:
    """Read ``[lon, lat]`` corners; an open ring is closed and the notes say so, longitudes run on past 180.

    Raises ``BadInput`` naming the corner.
    """
    if not isinstance(ring, list):
        raise BadInput(f"{where}: a ring is a list of [lon, lat]")
    if len(ring) > MAX_CORNERS:
        raise BadInput(f"{where} has {len(ring)} corners; at most {MAX_CORNERS}")
    corners = _quickly(ring)
    if corners is None:
        corners = np.array([place_of(place, f"{where}, corner {index}") for index, place in enumerate(ring)])
    if len(set(map(tuple, corners.tolist()))) < 3:
        raise BadInput(f"{where} has fewer than 3 different corners")
    if (corners[0] != corners[-1]).any():
        notes.warn(f"{where} was not closed; it was closed")
        corners = np.vstack((corners, corners[:1]))
    # A step of more than half the earth is one across the antimeridian.
    if np.ptp(corners[:, 0]) > 180.0:
        corners[:, 0] = np.unwrap(corners[:, 0], period=360.0)
    return corners


def _quickly(ring: Sequence[object]) -> Coords | None:
    """All corners at once, where nothing is wrong with any."""
    try:
        corners = np.array(ring, dtype=object)[:, :2]
        numbers = corners.astype(np.float64)
    except (ValueError, TypeError, IndexError):
        return None
    if any(type(value) not in (float, int) for value in corners.flat) or numbers.shape[1] != 2:
        return None
    return numbers if bool(_on_earth(numbers).all()) else None


def _on_earth(corners: Coords) -> npt.NDArray[np.bool_]:
    # No number that is none is less than another.
    return np.asarray((np.abs(corners[..., 0]) <= 360.0) & (np.abs(corners[..., 1]) < 90.0))


def place_of(place: object, where: str) -> tuple[float, float]:
    """Read ``[lon, lat]``; raises ``BadInput`` saying what is wrong with it."""
    if not isinstance(place, list) or len(place) < 2:
        raise BadInput(f"{where}: [lon, lat] is needed")
    lon, lat = place[0], place[1]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in (lon, lat)):
        raise BadInput(f"{where}: [lon, lat] in numbers is needed")
    if not _on_earth(np.array([lon, lat], dtype=np.float64)):
        turned = " (latitude first? The longitude comes first)" if abs(lat) <= 180 and abs(lon) < 90 else ""
        raise BadInput(f"{where}: [{lon}, {lat}] is not on the earth{turned}")
    return float(lon), float(lat)


def shell_of(rings: object, where: str, notes: ImportNotes) -> Coords:
    """The outer ring of a polygon; holes are read for mistakes, and closed, which the notes say."""
    if not isinstance(rings, list) or not rings or not all(isinstance(ring, list) for ring in rings):
        raise BadInput(f"{where}: a polygon is a list of rings, each a list of [lon, lat]")
    outlines = [ring_of(ring, f"{where}: ring {number}", notes) for number, ring in enumerate(rings)]
    if len(outlines) > 1:
        notes.warn(f"{where}: its holes are closed: the whole of it is a zone")
    return outlines[0]


def circle_of(place: object, radius_m: float, where: str) -> tuple[Coords, float]:
    """The outline and reach of a circle; raises ``BadInput`` for a centre or radius that cannot be."""
    if not 0.0 < radius_m <= MAX_RADIUS_M:
        raise BadInput(f"{where}: a radius of {radius_m:g} m; up to {MAX_RADIUS_M:.0f} m are possible")
    return np.array([place_of(place, where)]), radius_m


def read_each(
    items: Iterable[object],
    where: str,
    notes: ImportNotes,
    read: Callable[[Mapping[str, Any], int, str, ImportNotes], Iterable[Draft]],
) -> list[Draft]:
    """Read the zones of a list by ``read(item, index, where, notes)``. One that cannot be read is left out, and the
    notes name it and say why.
    """
    drafts: list[Draft] = []
    for index, item in enumerate(items):
        place = f"{where} {index}"
        try:
            if not isinstance(item, Mapping):
                raise BadInput(f"{place}: an object is needed")
            drafts += read(item, index, place, notes)
        except BadInput as error:
            notes.skip("zones that cannot be read")
            notes.warn(f"{error}; it was left out")
    return drafts


def finished(drafts: Sequence[Draft], notes: ImportNotes, *, strict: bool) -> tuple[Zone, ...]:
    """Zones with valid rings of degrees within 180, in the sequence of the drafts.

    Rings that cross themselves become all that they enclose, and what reaches across the antimeridian is cut there;
    a feature that becomes several zones has ``-1``, ``-2`` ... after its id. What encloses nothing raises
    ``BadInput`` (``strict``) or is left out, with a note.
    """
    if not drafts:
        return ()
    shapes, owner = _parts(_reached(drafts), drafts, notes)
    middle = shapely.get_coordinates(shapely.centroid(shapes))
    square_m = shapely.area(shapes) * _M_PER_DEGREE**2 * np.cos(np.radians(middle[:, 1]))
    shapes, owner = shapes[square_m >= LEAST_M2], owner[square_m >= LEAST_M2]
    for index in sorted(set(range(len(drafts))) - set(owner.tolist())):
        told = f"{drafts[index].where}: encloses less than {LEAST_M2:g} m2"
        if strict:
            raise BadInput(f"{told}; a point or line needs a buffer in metres")
        notes.skip("zones that enclose nothing")
        notes.warn(f"{told}; it was left out")
    totals = Counter(drafts[index].feature for index in owner)
    seen: Counter[int] = Counter()
    zones = []
    for shape, index in zip(shapes, owner, strict=True):
        draft = drafts[index]
        seen[draft.feature] += 1
        suffix = f"-{seen[draft.feature]}" if totals[draft.feature] > 1 else ""
        zones.append(replace(draft.zone, zone_id=draft.zone.zone_id + suffix, ring=_ring(shape)))
    return tuple(zones)


def _reached(drafts: Sequence[Draft]) -> npt.NDArray[np.object_]:
    """Polygons in degrees of all drafts, possibly invalid; circles and margins are drawn in a frame of their own."""
    rings = [_widened(draft) if draft.reach_m else draft.outline for draft in drafts]
    lengths = [len(ring) for ring in rings]
    owner = np.repeat(np.arange(len(rings)), lengths)
    return np.asarray(shapely.polygons(shapely.linearrings(np.vstack(rings), indices=owner)))


def _widened(draft: Draft) -> Coords:
    lon, lat = draft.outline.mean(axis=0)
    # Its own longitude is 0, so that none of its corners lies beyond 180.
    frame = LocalFrame(Position(float(lat), 0.0))
    points = local_coords(draft.outline - [lon, 0.0], frame)
    grown: shapely.Geometry
    if len(points) == 1:
        grown = circle(points[0], draft.reach_m, _sides(draft.reach_m))
    else:
        # Mitred corners lie outside the round ones: few of them, and none nearer than asked for.
        grown = shapely.buffer(_enclosed(points), draft.reach_m, join_style="mitre")
        if len(shapely.get_parts(grown)) > 1:
            # Loops of one ring that stay apart, margin and all: what lies between is not worth another zone.
            grown = shapely.convex_hull(grown)
    scale = local_coords(np.array([[1.0, 1.0]]), frame) - local_coords(np.array([[0.0, 0.0]]), frame)
    origin = local_coords(np.array([[0.0, 0.0]]), frame)
    return np.asarray((shapely.get_coordinates(shapely.get_exterior_ring(grown)) - origin) / scale + [lon, 0.0])


def _sides(radius_m: float) -> int:
    """Corners of a circle: more for large ones, of which corners would shut 3 % more than is meant."""
    return 12 if radius_m <= 500.0 else 24 if radius_m <= 2_000.0 else 48


def _enclosed(ring: Coords) -> shapely.Geometry:
    """Everything that a ring encloses, however often it goes around it."""
    lines = shapely.get_parts(shapely.node(shapely.linearrings(ring)))
    return shapely.coverage_union_all(shapely.get_parts(shapely.polygonize(lines)))


def _parts(
    shapes: npt.NDArray[np.object_], drafts: Sequence[Draft], notes: ImportNotes
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """Valid polygons within 180 degrees, and which draft each belongs to."""
    for index in np.flatnonzero(~shapely.is_valid(shapes)).tolist():
        reason = shapely.is_valid_reason(shapes[index])[:60].partition("[")[0]
        notes.warn(f"{drafts[index].where}: repaired: {reason}")
        shapes[index] = _enclosed(shapely.get_coordinates(shapely.get_exterior_ring(shapes[index])))
    bounds = np.nan_to_num(shapely.bounds(shapes))
    for index in np.flatnonzero((bounds[:, 0] < -180.0) | (bounds[:, 2] > 180.0)).tolist():
        shapes[index] = _cut(shapes[index])
    parts, owner = shapely.get_parts(shapes, return_index=True)
    areas = shapely.get_dimensions(parts) == 2
    return np.asarray(parts[areas]), np.asarray(owner[areas], dtype=np.int64)


def _cut(shape: shapely.Geometry) -> shapely.MultiPolygon:
    """A shape cut at the antimeridian, each piece brought back to longitudes within 180."""
    turns = np.arange(-2, 3) * 360.0
    edge = np.full_like(turns, 90.0)
    windows = shapely.box(turns - 180.0, -edge, turns + 180.0, edge)
    pieces, window = shapely.get_parts(shapely.intersection(shape, windows), return_index=True)
    coords, owner = shapely.get_coordinates(pieces, return_index=True)
    coords[:, 0] -= turns[window[owner]]
    moved = shapely.set_coordinates(pieces, coords)
    return shapely.MultiPolygon(list(moved[shapely.get_dimensions(moved) == 2]))


def _ring(shape: shapely.Geometry) -> tuple[tuple[float, float], ...]:
    lon_lat = np.round(shapely.get_coordinates(shapely.get_exterior_ring(shape)), DIGITS)
    return tuple((lat, lon) for lon, lat in lon_lat.tolist())


def finite(value: object, where: str, what: str) -> float:
    """Read a number, also where a file has it as text; raises ``BadInput`` naming it."""
    if isinstance(value, str):
        try:
            return finite(float(value.strip()), where, what)
        except ValueError:
            raise BadInput(f"{where}: {what} {value[:40]!r} is not a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"{where}: {what} {str(value)[:40]} is not a number")
    return float(value)

"""Tall things in OpenStreetMap that flights must clear: power lines, ropeways, masts, chimneys, wind turbines.

Few of them have a height in the data. One without gets a figure at the upper end of its class, and its name says
that it is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from routing.geo import LocalFrame, Position
from routing.region.landscape import local_coords
from routing.region.model import Obstacle, Terrain
from routing.region.notes import ImportNotes
from routing.region.osm import Coords, OsmData, OsmWay, Tags
from routing.region.ways import metres

LINE_MARGIN_M = 30.0
"""Distance from the middle of a power line: half of its width (10 m), its survey and the drone's position (20 m)."""

MAST_MARGIN_M = 25.0
"""Distance from a mast: its guys and platforms (5 m), its survey and the drone's position (20 m)."""

SUPPORT_STEP_M, SUPPORT_SLACK_M = 60.0, 5.0
"""Where supports are looked for that the data does not hold, and the error of the terrain that is no reason for one."""

TALL_BUILDING_M = 30.0
"""Buildings from this height on are obstacles; lower ones are far below the least height of flight."""

_FLOOR_M = 3.2

# Heights of pylons by voltage: the upper end of what is built (for instance 15 to 55 m for lattice towers up to
# 230 kV, 60 to 80 m at 400 to 500 kV: CIGRE TB 207 and the makers' catalogues).
_PYLON_M = ((300_000, 80.0), (150_000, 60.0), (50_000, 45.0), (0, 30.0))
_UNKNOWN_PYLON_M = 60.0
_MINOR_LINE_M = 15.0

# Heights of the highest support of ropeways; the rope between two supports is not above the line between them.
_ROPEWAY_M = {
    **dict.fromkeys(("drag_lift", "t-bar", "j-bar", "platter", "rope_tow", "magic_carpet"), 12.0),
    **dict.fromkeys(("chair_lift", "mixed_lift", "goods"), 25.0),
    **dict.fromkeys(("gondola", "cable_car"), 60.0),
    "zip_line": 30.0,
}

_MAST_M = {
    **dict.fromkeys(("mast", "communications_tower", "antenna"), 60.0),
    **dict.fromkeys(("chimney", "cooling_tower"), 100.0),
    **dict.fromkeys(("water_tower", "silo", "lighthouse", "crane", "gasometer", "flagpole"), 40.0),
    "tower": 60.0,
}
_TOWER_M = {"bell_tower": 40.0, "observation": 50.0, "watchtower": 30.0, "defensive": 30.0, "cooling": 100.0}
_WIND_TURBINE_M = 200.0


@dataclass(frozen=True, slots=True)
class _Draft:
    osm_id: str
    kind: str
    what: str
    lon_lat: Coords
    heights_m: tuple[float, ...]
    assumed: bool
    margin_m: float


def obstacles_of(data: OsmData, frame: LocalFrame, terrain: Terrain, notes: ImportNotes) -> tuple[Obstacle, ...]:
    """Return the obstacles in the extent, with the heights of their tops AMSL."""
    drafts = [*_lines(data, notes), *_masts(data, notes), *_buildings(data)]
    obstacles = []
    for draft in drafts:
        points = _tops(local_coords(draft.lon_lat, frame), np.array(draft.heights_m), terrain)
        places = [frame.to_global(float(east), float(north)) for east, north, _ in points]
        line = tuple(
            Position(round(place.lat, 7), round(place.lon, 7), round(float(top), 1))
            for place, (_, _, top) in zip(places, points, strict=True)
        )
        name = f"{draft.what}, {max(draft.heights_m):.0f} m high" + (" (assumed)" if draft.assumed else "")
        obstacles.append(Obstacle(draft.osm_id, draft.kind, name, line, draft.margin_m))
        notes.counts[f"obstacles: {draft.kind}"] += 1
    assumed = sum(draft.assumed for draft in drafts)
    if assumed:
        notes.warn(f"{assumed} of {len(drafts)} obstacles have no height in the data: that of their class is assumed")
    return tuple(obstacles)


def _tops(at: Coords, heights_m: Coords, terrain: Terrain) -> Coords:
    """Rows of east, north and top AMSL of a line.

    A rope or wire hangs below the straight line between its supports. Where that line comes nearer to the ground
    than the supports are high, there must be a support that the data does not hold: a point is put there.
    """
    if len(at) == 1:
        return np.column_stack((at, terrain.height_m(*at.T) + heights_m))
    stations = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(at, axis=0).T))))
    between = np.arange(0.0, stations[-1], SUPPORT_STEP_M)
    every = np.union1d(stations, between)
    east, north, height = (np.interp(every, stations, column) for column in (*at.T, heights_m))
    ground = terrain.height_m(east, north)
    given = np.isin(every, stations)
    chord = np.interp(every, every[given], (ground + height)[given])
    missing = ground + height > chord + SUPPORT_SLACK_M
    rows = np.column_stack((east, north, np.maximum(chord, ground + height)))
    return np.asarray(rows[given | missing])


def _lines(data: OsmData, notes: ImportNotes) -> Iterator[_Draft]:
    heights = {point.osm_id: height for point in data.points if (height := height_m(point.tags)) is not None}
    rules: dict[str, tuple[str, Callable[[Tags], float | None]]] = {
        "power": ("power_line", _power_line_m),
        "aerialway": ("ropeway", lambda tags: _ROPEWAY_M.get(tags["aerialway"])),
    }
    for way in data.lines:
        for key, (kind, default) in rules.items():
            if key not in way.tags or way.tags.get("location") in ("underground", "underwater"):
                continue
            assumed_m = default(way.tags)
            if assumed_m is None:
                if way.refs[0] != way.refs[-1]:
                    notes.skip(f"lines of kind {key}={way.tags[key]} (nothing tall)")
                continue
            yield from _runs(data, way, kind, assumed_m, heights)


def _power_line_m(tags: Tags) -> float | None:
    if tags["power"] == "minor_line":
        return _MINOR_LINE_M
    if tags["power"] != "line":
        return None
    volts = [int(v) for v in re.findall(r"\d+", tags.get("voltage", ""))]
    return next(height for least, height in _PYLON_M if max(volts) >= least) if volts else _UNKNOWN_PYLON_M


def _runs(data: OsmData, way: OsmWay, kind: str, assumed_m: float, at_node: Mapping[int, float]) -> Iterator[_Draft]:
    """The parts of a line in the extent, each with one point before and after it, so that no span is lost."""
    inside = data.extent.contains(way.coords[:, 0], way.coords[:, 1])
    known = ~np.isnan(way.coords[:, 0])
    wanted = scipy.ndimage.binary_dilation(inside) & known
    own_m = height_m(way.tags)
    what = clean_kind(kind, way.tags)
    for number, run in enumerate(_spans(wanted)):
        tops = [at_node.get(way.refs[i], own_m if own_m is not None else assumed_m) for i in run]
        assumed = own_m is None and not all(way.refs[i] in at_node for i in run)
        if len(run) > 1:
            osm_id = f"w{way.osm_id}" + (f".{number}" if number else "")
            yield _Draft(osm_id, kind, what, way.coords[list(run)], tuple(tops), assumed, LINE_MARGIN_M)


def _spans(wanted: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[range]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], wanted.astype(int), [0]))))
    return [range(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def clean_kind(kind: str, tags: Tags) -> str:
    """``power line 110 kV``, ``gondola Funicamp``: what an obstacle is called."""
    if kind == "ropeway":
        return f"{tags['aerialway'].replace('_', ' ')} {tags.get('name', '')}".strip()
    volts = [int(v) for v in re.findall(r"\d+", tags.get("voltage", ""))]
    return f"power line {max(volts) / 1000:g} kV" if volts else "power line"


def _masts(data: OsmData, notes: ImportNotes) -> Iterator[_Draft]:
    on_lines = {ref for way in data.lines for ref in way.refs}
    for point in data.points:
        power, tags = point.tags.get("power"), point.tags
        if power == "pole" or (power in ("tower", "portal") and point.osm_id in on_lines):
            notes.skip("power poles (lower than any flight)", power == "pole" and point.osm_id not in on_lines)
            continue
        assumed_m = _UNKNOWN_PYLON_M if power in ("tower", "portal") else _mast_m(tags)
        if assumed_m is not None:
            yield _mast(f"p{point.osm_id}", np.array([[point.lon, point.lat]]), tags, assumed_m, 0.0)
    for area in data.areas:
        assumed_m = _mast_m(area.tags)
        centre = area.ring[:-1].mean(axis=0, keepdims=True)
        if assumed_m is not None and data.extent.contains(centre[:, 0], centre[:, 1]).all():
            yield _mast(f"a{area.osm_id}", centre, area.tags, assumed_m, _radius_m(area.ring))


def _mast_m(tags: Tags) -> float | None:
    if tags.get("generator:source") == "wind":
        return _WIND_TURBINE_M
    what = tags.get("man_made", "")
    if what == "tower":
        return _TOWER_M.get(tags.get("tower:type", ""), _MAST_M["tower"])
    return _MAST_M.get(what)


def _mast(osm_id: str, at: Coords, tags: Tags, assumed_m: float, radius_m: float) -> _Draft:
    own_m = height_m(tags)
    what = "wind turbine" if tags.get("generator:source") == "wind" else tags.get("man_made", "pylon")
    name = f"{what.replace('_', ' ')} {tags.get('name', '')}".strip()
    top_m = assumed_m if own_m is None else own_m
    return _Draft(osm_id, "mast", name, at, (top_m,), own_m is None, round(MAST_MARGIN_M + radius_m, 1))


def _buildings(data: OsmData) -> Iterator[_Draft]:
    for area in data.areas:
        if area.tags.get("building", "no") == "no" or _mast_m(area.tags) is not None:
            continue
        top_m = height_m(area.tags)
        assumed = top_m is None
        if top_m is None:
            floors = re.fullmatch(r"\d{1,3}(\.5)?", area.tags.get("building:levels", ""))
            top_m = float(floors[0]) * _FLOOR_M + 3.0 if floors else 0.0
        centre = area.ring[:-1].mean(axis=0, keepdims=True)
        if top_m >= TALL_BUILDING_M and data.extent.contains(centre[:, 0], centre[:, 1]).all():
            name = f"building {area.tags.get('name', '')}".strip()
            margin_m = round(MAST_MARGIN_M + _radius_m(area.ring), 1)
            yield _Draft(f"b{area.osm_id}", "building", name, centre, (top_m,), assumed, margin_m)


def _radius_m(ring: Coords) -> float:
    """Distance of the farthest corner from the middle."""
    lon, lat = ring[:-1].mean(axis=0)
    corners = local_coords(ring, LocalFrame(Position(float(lat), float(lon))))
    return float(np.hypot(*corners.T).max())


def height_m(tags: Tags) -> float | None:
    """The height that tags give, if any."""
    for key in ("height", "est_height", "building:height"):
        found = metres(tags.get(key, ""))
        if found is not None and found <= 1_000.0:
            return found
    return None

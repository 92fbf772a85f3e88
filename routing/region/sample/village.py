"""A small fictional mountain village, made from a seed, for demonstrations and tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from routing.geo import LocalFrame, Position
from routing.region.model import GroundEdge, GroundNode, Region, Site, SiteKind, Terrain, Zone

ORIGIN = Position(35.47, 138.36, 420.0)
HALF_M = 1_750.0
STEP_M = 25.0
NODE_SPACING_M = 25.0

_Array = npt.NDArray[np.float64]

# Ways in valley coordinates: metres east, and metres north of the valley's axis. The first point of each
# but the first way lies on an earlier way, so that they join there; the lane joins at both ends.
_WAYS: tuple[tuple[tuple[float, float], ...], ...] = (
    ((0, 0), (150, 0), (300, 0), (400, 0), (540, 0)),
    ((0, 0), (-150, 0), (-300, 0), (-520, 0)),
    ((0, 0), (40, 90), (150, 105), (230, 85), (300, 0)),
    ((-150, 0), (-200, -70), (-290, -100), (-330, -140)),
    ((-290, -100), (-360, -75)),
    ((400, 0), (430, 80), (500, 130)),
)
# (id, Japanese name, English name, east, offset from the axis, accepts drones too), each on a way's point.
_ROBOT_STOPS = (
    ("drop-1", "村役場", "Village office", -150.0, 0.0, False),
    ("drop-2", "診療所", "Clinic", 230.0, 85.0, True),
    ("drop-3", "川端集会所", "Kawabata hall", -330.0, -140.0, False),
    ("drop-4", "郵便局", "Post office", 400.0, 0.0, True),
)
# (id, names, east and north of the hub): hamlets that no way reaches.
_HAMLETS = (
    ("drop-5", "上ノ沢", "Kaminosawa", 520.0, 570.0),
    ("drop-6", "日向", "Hinata", -960.0, 760.0),
    ("drop-7", "奥平", "Okudaira", -640.0, -720.0),
    ("drop-8", "栗畑", "Kuribatake", 1_080.0, -820.0),
)
_SCHOOL_ON_LINE = ("drop-6", 0.35)
_SCHOOL_OUTLINE_M = ((-80.0, -55.0), (70.0, -65.0), (85.0, 40.0), (0.0, 75.0), (-75.0, 50.0))


def village_region(seed: int = 1) -> Region:
    """Return the village of Sugigase, which does not exist, about 3 x 3 km; equal seeds give equal regions.

    A valley with a hub, a footpath network (a tree with one loop), four stops for robots 150 to 500 m from
    the hub, four for drones in hamlets 0.7 to 1.6 km away, and a school that flights must go around.
    """
    rng = np.random.default_rng(seed)
    land = _Land(rng)
    frame = LocalFrame(ORIGIN)

    def place(east_m: float, north_m: float) -> Position:
        found = frame.to_global(east_m, north_m)
        position = Position(round(found.lat, 7), round(found.lon, 7))
        height = terrain.height_m(*frame.to_local(position))
        return Position(position.lat, position.lon, round(float(height), 2))

    terrain = land.terrain()
    nodes, edges, node_at = _network(land, place, frame)
    sites = _sites(rng, land, place, nodes, node_at)
    return Region(
        region_id="sugigase",
        name_ja="杉ヶ瀬村",
        name_en="Sugigase Village",
        origin=ORIGIN,
        terrain=terrain,
        sites=sites,
        nodes=nodes,
        edges=edges,
        zones=(_school(sites, frame),),
    )


class _Land:
    """The shape of the ground: a winding valley between two ridges with spurs, and a little roughness."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._bend_m = float(rng.uniform(80.0, 110.0))
        self._bend_length_m = float(rng.uniform(600.0, 750.0))
        self._phase, self._spur_phase = (float(phase) for phase in rng.uniform(0, 2 * math.pi, 2))
        self._ridges_m = (float(rng.uniform(190.0, 230.0)), float(rng.uniform(220.0, 260.0)))
        directions = rng.uniform(0, 2 * math.pi, 6)
        lengths = rng.uniform(60.0, 140.0, 6)
        self._waves = np.stack((np.cos(directions) / lengths, np.sin(directions) / lengths), axis=1)
        self._wave_phases = rng.uniform(0, 2 * math.pi, 6)

    def axis_m(self, east_m: npt.ArrayLike) -> _Array:
        """North coordinate of the valley's axis."""
        east = np.asarray(east_m, dtype=np.float64)
        return np.asarray(self._bend_m * np.sin(east / self._bend_length_m + self._phase))

    def height_m(self, east: _Array, north: _Array) -> _Array:
        offset = north - self.axis_m(east)
        rise = np.clip((np.abs(offset) - 130.0) / 900.0, 0.0, 1.0)
        slope = rise * rise * (3.0 - 2.0 * rise)
        ridge = np.where(offset < 0, self._ridges_m[0], self._ridges_m[1]) * slope
        spurs = 50.0 * slope * np.sin(east / 300.0 + self._spur_phase + np.sign(offset))
        waves = sum(
            np.sin(east * wave[0] + north * wave[1] + phase)
            for wave, phase in zip(self._waves, self._wave_phases, strict=True)
        )
        floor = ORIGIN.alt_amsl_m + 0.02 * east + 0.03 * np.abs(offset)
        return np.asarray(floor + ridge + spurs + waves * (0.3 + 3.0 * slope))

    def terrain(self) -> Terrain:
        axis = np.arange(-HALF_M, HALF_M + STEP_M / 2, STEP_M)
        east, north = np.meshgrid(axis, axis)
        # Rounded, so that the last bits of a platform's sine do not make another region.
        heights = np.round(self.height_m(east, north), 1).astype(np.float32)
        return Terrain(-HALF_M, -HALF_M, STEP_M, heights, "JGD2011 vertical (simulated)", 0.5)


def _network(
    land: _Land, place: Callable[[float, float], Position], frame: LocalFrame
) -> tuple[tuple[GroundNode, ...], tuple[GroundEdge, ...], dict[tuple[float, float], str]]:
    """Nodes about ``NODE_SPACING_M`` apart on the ways, the edges between them, and the nodes of points."""
    nodes: dict[str, Position] = {}
    node_at: dict[tuple[float, float], str] = {}
    edges: list[GroundEdge] = []

    def node(east: float, offset: float) -> str:
        key = (east, offset)
        if key not in node_at:
            node_at[key] = f"n{len(nodes)}"
            nodes[node_at[key]] = place(east, float(land.axis_m(east)) + offset)
        return node_at[key]

    for way in _WAYS:
        for start, end in itertools.pairwise(way):
            names = [node(*point) for point in _divided(land, start, end)]
            for a, b in itertools.pairwise(names):
                edges.append(GroundEdge(a, b, _length_m(frame, nodes[a], nodes[b])))
    return tuple(GroundNode(name, at) for name, at in nodes.items()), tuple(edges), node_at


def _divided(land: _Land, start: Sequence[float], end: Sequence[float]) -> list[tuple[float, float]]:
    rise = float(land.axis_m(end[0]) - land.axis_m(start[0])) + end[1] - start[1]
    count = max(1, round(math.hypot(end[0] - start[0], rise) / NODE_SPACING_M))
    inner = [
        (start[0] + (end[0] - start[0]) * i / count, start[1] + (end[1] - start[1]) * i / count)
        for i in range(1, count)
    ]
    return [(start[0], start[1]), *inner, (end[0], end[1])]


def _length_m(frame: LocalFrame, a: Position, b: Position) -> float:
    (east_a, north_a), (east_b, north_b) = frame.to_local(a), frame.to_local(b)
    return round(math.hypot(east_b - east_a, north_b - north_a, b.alt_amsl_m - a.alt_amsl_m), 2)


def _sites(
    rng: np.random.Generator,
    land: _Land,
    place: Callable[[float, float], Position],
    nodes: tuple[GroundNode, ...],
    node_at: dict[tuple[float, float], str],
) -> tuple[Site, ...]:
    positions = {node.node_id: node.position for node in nodes}
    at_hub = node_at[(0, 0)]
    hub_north = float(land.axis_m(0.0))
    pads = (positions[at_hub], *(place(0.0, hub_north - 14.0 * i) for i in (1, 2, 3)))
    names = ("道の駅 杉ヶ瀬", "Sugigase roadside station")
    sites = [Site("hub-1", SiteKind.HUB, *names, positions[at_hub], at_hub, True, True, pads)]
    for site_id, name_ja, name_en, east, offset, drones in _ROBOT_STOPS:
        node = node_at[(east, offset)]
        at = positions[node]
        pads = (at,) if drones else ()
        sites.append(Site(site_id, SiteKind.DROP_POINT, name_ja, name_en, at, node, drones, True, pads))
    for site_id, name_ja, name_en, east, north in _HAMLETS:
        shift_east, shift_north = (float(shift) for shift in rng.uniform(-30.0, 30.0, 2))
        position = place(east + shift_east, hub_north + north + shift_north)
        sites.append(Site(site_id, SiteKind.DROP_POINT, name_ja, name_en, position, None, True, False, (position,)))
    return tuple(sites)


def _school(sites: tuple[Site, ...], frame: LocalFrame) -> Zone:
    """The school lies on the straight line from the hub to a hamlet."""
    site_id, share = _SCHOOL_ON_LINE
    hub = frame.to_local(sites[0].position)
    hamlet = next(frame.to_local(site.position) for site in sites if site.site_id == site_id)
    middle = tuple(hub[i] + share * (hamlet[i] - hub[i]) for i in range(2))
    corners = [frame.to_global(middle[0] + east, middle[1] + north) for east, north in _SCHOOL_OUTLINE_M]
    ring = tuple((round(corner.lat, 7), round(corner.lon, 7)) for corner in corners)
    return Zone("school", "school", "杉ヶ瀬小学校", "Sugigase elementary school", (*ring, ring[0]))

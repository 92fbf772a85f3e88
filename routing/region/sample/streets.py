"""Roads, lanes, footways and tracks, laid out along and across the valleys."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from routing.geo import LocalFrame, Position
from routing.region.model import GroundEdge, GroundNode, Terrain, WayKind
from routing.region.sample.curve import Array, Curve
from routing.region.sample.land import HALF_EAST_M, Land

SPACING_M = 25.0
"""Nodes are at most this far apart, before lanes are bent a little."""
ROAD_M = 75.0
"""The main road runs so far north of the river."""
KERB_M = 6.0
"""Between the middle of the main road and that of its footway, or its other side."""
STEEPEST_ROBOT = 0.12
"""Steeper ways are none for robots; the model's limit of 15 % less what the terrain may be wrong."""
NARROWEST_ROBOT_M = 1.0

_ROBOT_KINDS = {WayKind.FOOTWAY, WayKind.PATH, WayKind.CROSSING, WayKind.RESIDENTIAL, WayKind.SERVICE}
_ROAD_LIMITS_KMH = {WayKind.ROAD: 50.0, WayKind.RESIDENTIAL: 30.0, WayKind.SERVICE: 20.0}
"""Roads of the municipality, which larger robots may use, and their speed limits."""

Spot = tuple[int, float, float]
"""A place by valley (0 is the main one), metres along its axis and metres to the left of it."""


@dataclass(frozen=True, slots=True)
class Make:
    """What a way is made as."""

    kind: WayKind
    width_m: float
    surface: str = "asphalt"


ROAD = Make(WayKind.ROAD, 6.0)
FOOTWAY = Make(WayKind.FOOTWAY, 2.0)
LANE = Make(WayKind.RESIDENTIAL, 4.0)
ALLEY = Make(WayKind.RESIDENTIAL, 2.8, "concrete")
SERVICE = Make(WayKind.SERVICE, 3.5)
RIVERSIDE = Make(WayKind.PATH, 1.8, "gravel")
CROSSING = Make(WayKind.CROSSING, 3.0)
STEPS = Make(WayKind.STEPS, 1.5, "stone")
TRACK = Make(WayKind.TRACK, 2.5, "gravel")


@dataclass(frozen=True, slots=True)
class _Line:
    """A straight line in a valley's coordinates: along it at ``fixed`` aside, or across at ``fixed`` along."""

    valley: int
    across: bool
    fixed: float
    start: float
    end: float
    make: Make

    def covers(self, value: float) -> bool:
        return self.start - 0.5 <= value <= self.end + 0.5

    def spot(self, value: float) -> Spot:
        along, aside = (self.fixed, value) if self.across else (value, self.fixed)
        return self.valley, round(along, 1), round(aside, 1)


@dataclass(slots=True)
class Streets:
    """Lines to lay out, and chains of spots beside them; ``build`` joins all where they cross."""

    land: Land
    lines: list[_Line] = field(default_factory=list)
    chains: list[tuple[tuple[Spot, ...], Make]] = field(default_factory=list)

    def along(self, valley: int, aside: float, start: float, end: float, make: Make) -> None:
        """Lay a way along a valley."""
        self.lines.append(_Line(valley, False, round(aside, 1), round(start, 1), round(end, 1), make))

    def across(self, valley: int, along: float, start: float, end: float, make: Make) -> None:
        """Lay a way across a valley; where it meets the main road's sides, it crosses it."""
        low, high = sorted((start, end))
        self.lines.append(_Line(valley, True, round(along, 1), round(low, 1), round(high, 1), make))

    def chain(self, spots: Iterable[Spot], make: Make) -> None:
        """Lay a way over spots, of which the first lies on another way."""
        rounded = tuple((valley, round(along, 1), round(aside, 1)) for valley, along, aside in spots)
        self.chains.append((rounded, make))

    def pieces(self) -> list[tuple[Spot, Spot, Make]]:
        """Return all ways between the spots where they meet."""
        found: list[tuple[Spot, Spot, Make]] = []
        extra = [spot for spots, _ in self.chains for spot in (spots[0], spots[-1])]
        for line in self.lines:
            values = {line.start, line.end}
            for other in self.lines:
                crosses = other.valley == line.valley and other.across != line.across
                if crosses and line.covers(other.fixed) and other.covers(line.fixed):
                    values.add(other.fixed)
            for valley, along, aside in extra:
                fixed, value = (along, aside) if line.across else (aside, along)
                if valley == line.valley and abs(fixed - line.fixed) < 0.05 and line.covers(value):
                    values.add(value)
            for a, b in itertools.pairwise(sorted(values)):
                found.append((line.spot(a), line.spot(b), self._made(line, a, b)))
        for spots, make in self.chains:
            found += [(a, b, make) for a, b in itertools.pairwise(spots)]
        return found

    def _made(self, line: _Line, a: float, b: float) -> Make:
        by_road = line.valley == 0 and line.across and ROAD_M in (a, b) and b - a <= KERB_M + 0.1
        return CROSSING if by_road and line.make.kind is not WayKind.SERVICE else line.make


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """The ground network, and where its nodes and spots are in the plane."""

    nodes: tuple[GroundNode, ...]
    edges: tuple[GroundEdge, ...]
    places: Array
    numbers: dict[Spot, int]

    def node(self, valley: int, along: float, aside: float) -> int:
        """Number of the node at a spot where ways meet or end."""
        return self.numbers[valley, round(along, 1), round(aside, 1)]


def build(streets: Streets, frame: LocalFrame) -> Network:
    """Divide all ways into edges of some ``SPACING_M`` and measure them on the terrain."""
    curves = [valley.axis for valley in (streets.land.main, *streets.land.sides)]
    numbers: dict[Spot, int] = {}
    spots: list[Array] = []
    links: dict[tuple[int, int], Make] = {}

    def number(spot: Spot) -> int:
        if spot not in numbers:
            numbers[spot] = len(spots)
            spots.append(_place(curves, spot))
        return numbers[spot]

    for start, end, make in streets.pieces():
        if start == end:
            continue
        chain = [number(start)]
        for spot in _between(start, end, math.dist(_place(curves, start), _place(curves, end))):
            if isinstance(spot, tuple):
                chain.append(number(spot))
            else:
                spots.append(_place(curves, start) * (1 - spot) + _place(curves, end) * spot)
                chain.append(len(spots) - 1)
        chain.append(number(end))
        for a, b in itertools.pairwise(chain):
            links.setdefault((min(a, b), max(a, b)), make)
    places = _bent(np.array(spots))
    nodes = _nodes(places, streets.land.terrain, frame)
    at = np.array([(*frame.to_local(node.position), node.position.alt_amsl_m) for node in nodes])
    edges = tuple(_edge(nodes, at, a, b, make) for (a, b), make in links.items())
    return Network(nodes, edges, at[:, :2], numbers)


def _place(curves: list[Curve], spot: Spot) -> Array:
    return curves[spot[0]].at(spot[1], spot[2])


def _between(start: Spot, end: Spot, length_m: float) -> Iterable[Spot | float]:
    """Spots between two of one valley, or shares of the straight line between two valleys."""
    count = max(1, math.ceil(length_m / SPACING_M))
    for i in range(1, count):
        share = i / count
        if start[0] == end[0]:
            along = start[1] + share * (end[1] - start[1])
            yield (start[0], round(along, 1), round(start[2] + share * (end[2] - start[2]), 1))
        else:
            yield share


def _bent(places: Array) -> Array:
    """Lanes are not drawn with a ruler: moves every place by some metres, and its neighbours with it."""
    east, north = places.T
    shift = np.stack(
        (
            4.0 * np.sin(north / 61.0 + np.sin(east / 97.0)) + 3.0 * np.sin(east / 173.0),
            4.0 * np.sin(east / 67.0 + np.sin(north / 89.0)) + 3.0 * np.sin(north / 151.0),
        ),
        axis=1,
    )
    return np.asarray(places + shift)


def _nodes(places: Array, terrain: Terrain, frame: LocalFrame) -> tuple[GroundNode, ...]:
    rounded = [frame.to_global(float(east), float(north)) for east, north in places]
    rounded = [Position(round(place.lat, 7), round(place.lon, 7)) for place in rounded]
    local = np.array([frame.to_local(place) for place in rounded])
    heights = terrain.height_m(local[:, 0], local[:, 1])
    return tuple(
        GroundNode(f"n{i}", Position(place.lat, place.lon, round(float(height), 2)))
        for i, (place, height) in enumerate(zip(rounded, heights, strict=True))
    )


def _edge(nodes: tuple[GroundNode, ...], at: Array, a: int, b: int, make: Make) -> GroundEdge:
    level_m = math.dist(at[a, :2], at[b, :2])
    rise_m = abs(float(at[a, 2] - at[b, 2]))
    fit = make.kind in _ROBOT_KINDS and make.width_m >= NARROWEST_ROBOT_M
    limit_kmh = _ROAD_LIMITS_KMH.get(make.kind)
    return GroundEdge(
        nodes[a].node_id,
        nodes[b].node_id,
        round(math.hypot(level_m, rise_m), 2),
        make.kind,
        make.width_m,
        make.surface,
        make.kind is WayKind.CROSSING,
        fit and rise_m <= STEEPEST_ROBOT * level_m,
        road=limit_kmh is not None,
        max_speed_mps=None if limit_kmh is None else round(limit_kmh / 3.6, 3),
    )


def lay_out(rng: np.random.Generator, land: Land) -> tuple[Streets, dict[str, list[float]]]:
    """Lay out all ways; also return for each settlement the metres along its valley at which lanes cross.

    Settlements are ``town``, ``west``, ``east`` in the main valley and ``side-0`` to ``side-5``.
    """
    streets = Streets(land)
    streets.along(0, ROAD_M, 0.0, land.main.axis.length_m, ROAD)
    crosses = {
        "town": _main_settlement(rng, streets, land.town, lanes=(165.0, 245.0), half_m=900.0, footway_m=1_500.0),
        "west": _main_settlement(rng, streets, land.main_hamlets[0], lanes=(150.0,), half_m=620.0, footway_m=1_250.0),
        "east": _main_settlement(rng, streets, land.main_hamlets[1], lanes=(150.0,), half_m=620.0, footway_m=1_250.0),
    }
    for i, (join, side) in enumerate(land.joins):
        crosses[f"side-{i}"] = _side_settlement(rng, streets, i, join, side)
    return streets, crosses


def _main_settlement(
    rng: np.random.Generator,
    streets: Streets,
    centre: float,
    *,
    lanes: tuple[float, ...],
    half_m: float,
    footway_m: float,
) -> list[float]:
    """A settlement between the river and the foot of the mountains; lanes become shorter away from the road."""
    length = streets.land.main.axis.length_m
    shrunk = min(1.0, max(0.75, streets.land.half_east_m / HALF_EAST_M))
    half_m, footway_m = half_m * shrunk, footway_m * shrunk
    low, high = max(120.0, centre - footway_m), min(length - 120.0, centre + footway_m)
    streets.along(0, ROAD_M + KERB_M, low, high, FOOTWAY)
    streets.along(0, 28.0, centre - half_m, centre + half_m, RIVERSIDE)
    crosses = []
    at = centre - half_m
    while at <= centre + half_m:
        crosses.append(round(at, 1))
        at += float(rng.uniform(120.0, 190.0))
    for i, lane in enumerate(lanes):
        reach = half_m * (1.0 - 0.3 * i)
        streets.along(0, lane, centre - reach, centre + reach, LANE if i == 0 else ALLEY)
    for i, at in enumerate(crosses):
        deepest = max([lane for j, lane in enumerate(lanes) if abs(at - centre) <= half_m * (1.0 - 0.3 * j) + 0.1])
        streets.across(0, at, 28.0 if i % 2 == 0 else ROAD_M + KERB_M, deepest, LANE)
    # Over the river, and a lane on the other side.
    bridges = (crosses[len(crosses) // 4], crosses[-1 - len(crosses) // 4])
    for at in bridges:
        streets.across(0, at, -85.0, 28.0, ALLEY)
    streets.along(0, -85.0, bridges[0] - 180.0, bridges[1] + 180.0, ALLEY)
    for at in (low, high):
        streets.across(0, at, ROAD_M, ROAD_M + KERB_M, CROSSING)
    middle = crosses[len(crosses) // 2]
    top = max(lanes)
    streets.chain([(0, middle, top), (0, middle + 8.0, top + 60.0), (0, middle + 4.0, top + 130.0)], STEPS)
    return crosses


def _side_settlement(rng: np.random.Generator, streets: Streets, index: int, join: float, side: int) -> list[float]:
    """The road up a side valley, and a hamlet near its end."""
    valley = index + 1
    axis = streets.land.sides[index].axis
    centre = streets.land.side_hamlets[index]
    road, upper, lower = 30.0 * side, 72.0 * side, -38.0 * side
    end = axis.length_m - 150.0
    streets.along(valley, road, 170.0, end, SERVICE)
    if side > 0:
        streets.across(0, join, ROAD_M, 110.0, SERVICE)
        streets.chain([(0, join, 110.0), (valley, 170.0, road)], SERVICE)
    else:
        streets.across(0, join, -60.0, ROAD_M, SERVICE)
        streets.chain([(0, join, -60.0), (valley, 170.0, road)], SERVICE)
    crosses = [centre - 190.0, centre + float(rng.uniform(-40.0, 40.0)), centre + 180.0]
    streets.along(valley, upper, crosses[0], crosses[-1], ALLEY)
    for at in crosses:
        streets.across(valley, at, road, upper, ALLEY)
    streets.across(valley, crosses[1], lower, road, ALLEY)
    streets.along(valley, lower, crosses[1] - 120.0, crosses[1] + 120.0, Make(WayKind.PATH, 1.2, "earth"))
    climb = [(valley, end, road)] + [(valley, end + 35.0 * i, road + 12.0 * i * i * side) for i in range(1, 6)]
    streets.chain(climb, TRACK)
    return crosses

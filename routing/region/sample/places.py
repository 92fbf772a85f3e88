"""Sites and no-fly zones of the fictional municipality."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routing.errors import NoPlan
from routing.geo import LocalFrame, Position
from routing.region.model import Site, SiteKind, Zone
from routing.region.sample.curve import Array
from routing.region.sample.land import Land
from routing.region.sample.names import HAMLET_STOPS, TOWN_STOPS, Name, Names
from routing.region.sample.streets import Network

PAD_GRID_M = 16.0
STOPS = {"town": 6, "west": 3, "east": 3}
"""Drop points of robots around each hub."""
BY_BOTH = 2
"""Of those of each hub so many, the farthest, accept drones too."""
IN_HAMLET = 3
"""Drop points of drones in each side valley's hamlet."""
STOP_WAY_M = (500.0, 1_500.0)

_HUB_YARD_M = 45.0
"""From the last lane to the first row of pads."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Turns places of the plane into positions."""

    land: Land
    frame: LocalFrame

    def position(self, place: Array | Sequence[float]) -> Position:
        """The position on the ground, rounded as surveyors do: 1 cm."""
        found = self.frame.to_global(float(place[0]), float(place[1]))
        found = Position(round(found.lat, 7), round(found.lon, 7))
        height = self.land.terrain.height_m(*self.frame.to_local(found))
        return Position(found.lat, found.lon, round(float(height), 2))

    def local(self, position: Position) -> Array:
        """The place of a position."""
        return np.array(self.frame.to_local(position))

    def main(self, along: float, aside: float) -> Array:
        """A place by the main valley's axis."""
        return self.land.main.axis.at(along, aside)

    def side(self, index: int, along: float, aside: float) -> Array:
        """A place by a side valley's axis."""
        return self.land.sides[index].axis.at(along, aside)


def _ring(ground: Ground, corners: Sequence[Array]) -> tuple[tuple[float, float], ...]:
    points = [ground.frame.to_global(float(east), float(north)) for east, north in corners]
    ring = tuple((round(point.lat, 7), round(point.lon, 7)) for point in points)
    return (*ring, ring[0])


def make_zones(ground: Ground, names: Names) -> tuple[Zone, ...]:
    """School, clinic and helipad of the town."""
    town = ground.land.town
    reach = min(1.0, ground.land.half_east_m / 7_500.0)

    def plot(along: float, aside: float, wide: float, deep: float) -> tuple[tuple[float, float], ...]:
        corners = ((-wide, -deep), (wide, -deep), (wide, deep * 0.6), (wide * 0.5, deep), (-wide, deep))
        return _ring(ground, [ground.main(town + along * reach + x / 2, aside + y / 2) for x, y in corners])

    centre = ground.main(town + 640.0 * reach, -190.0)
    turns = np.linspace(0, 2 * math.pi, 16, endpoint=False)
    circle = [centre + 75.0 * np.array([math.cos(turn), math.sin(turn)]) for turn in turns]
    ja, en = names.town
    return (
        Zone("school", "school", f"{ja}小中学校", f"{en} school", plot(-480.0, 335.0, 170.0, 130.0)),
        Zone("clinic", "clinic", f"{ja}診療所", f"{en} clinic", plot(400.0, 300.0, 110.0, 70.0)),
        Zone("helipad", "helipad", "防災ヘリポート", "Disaster helipad", _ring(ground, circle)),
    )


@dataclass(slots=True)
class _Numbered:
    """Makes sites with ids counted by kind."""

    ground: Ground
    sites: list[Site]

    def add(
        self, kind: SiteKind, prefix: str, name: Name, at: Position, *, node: str | None = None,
        drone: bool = True, robot: bool = False, pads: Sequence[Position] = (),
    ) -> None:  # fmt: skip
        count = sum(site.site_id.startswith(f"{prefix}-") for site in self.sites) + 1
        frame = self.ground.frame
        near = sorted(pads, key=lambda pad: math.dist(frame.to_local(pad), frame.to_local(at)))
        self.sites.append(Site(f"{prefix}-{count}", kind, *name, at, node, drone, robot, tuple(near)))


def make_sites(
    rng: np.random.Generator, ground: Ground, names: Names, network: Network, crosses: dict[str, list[float]]
) -> tuple[Site, ...]:
    """Hubs first, then drop points, drone ports and emergency landing places. Raises ``NoPlan`` if none fit."""
    made = _Numbered(ground, [])
    ja, en = names.town
    hubs = {
        "town": (f"スーパー{ja}", f"{en} supermarket"),
        "west": (f"{names.hamlets[0][0]}郵便局", f"{names.hamlets[0][1]} post office"),
        "east": (f"旧{names.hamlets[1][0]}小学校", f"Closed {names.hamlets[1][1]} school"),
    }
    lanes = {"town": 245.0, "west": 150.0, "east": 150.0}
    nodes = {key: _hub(made, network, name, crosses[key], lanes[key]) for key, name in hubs.items()}
    taken: set[int] = set()
    for key, node in nodes.items():
        own = TOWN_STOPS if key == "town" else HAMLET_STOPS
        prefix = ("", "") if key == "town" else names.hamlets[0 if key == "west" else 1]
        _robot_stops(rng, made, network, node, STOPS[key], taken, [_joined(prefix, name) for name in own])
    for i in range(len(ground.land.sides)):
        _hamlet(rng, made, names.hamlets[2 + i], i, crosses[f"side-{i}"])
    for i, share in enumerate((0.07, 0.345, 0.66)):
        at = ground.position(ground.main(share * ground.land.main.axis.length_m, -95.0))
        name = (f"河川敷{'一二三'[i]}号緊急着陸場", f"Riverbank emergency landing {i + 1}")
        made.add(SiteKind.EMERGENCY, "emergency", name, at, pads=(at,))
    return tuple(made.sites)


def _joined(prefix: Name, name: Name) -> Name:
    return (prefix[0] + name[0], f"{prefix[1]} {name[1]}".strip())


def _hub(made: _Numbered, network: Network, name: Name, crosses: list[float], lane: float) -> int:
    """A hub on the last lane, at the lane across next to the middle; its yard with six pads lies behind."""
    along = crosses[len(crosses) // 2 + 1]
    node = network.node(0, along, lane)
    ground = made.ground
    pads = [
        ground.position(ground.main(along + column * PAD_GRID_M, lane + _HUB_YARD_M + row * PAD_GRID_M))
        for row in range(2)
        for column in (-1, 0, 1)
    ]
    at = network.nodes[node].position
    made.add(SiteKind.HUB, "hub", name, at, node=f"n{node}", robot=True, pads=pads)
    return node


def _ways(network: Network, start: int) -> dict[int, float]:
    """Metres from a node to all that robots reach (Dijkstra 1959)."""
    links: dict[str, list[tuple[str, float]]] = {}
    for edge in network.edges:
        if edge.robot:
            links.setdefault(edge.a, []).append((edge.b, edge.length_m))
            links.setdefault(edge.b, []).append((edge.a, edge.length_m))
    found: dict[str, float] = {}
    queue = [(0.0, f"n{start}")]
    while queue:
        length, node = heapq.heappop(queue)
        if node in found or length > STOP_WAY_M[1]:
            continue
        found[node] = length
        for other, step in links.get(node, []):
            heapq.heappush(queue, (length + step, other))
    return {int(node[1:]): length for node, length in found.items()}


def _robot_stops(
    rng: np.random.Generator, made: _Numbered, network: Network, hub: int, count: int, taken: set[int],
    names: list[Name],
) -> None:  # fmt: skip
    """Drop points by lanes 500 m to 1,500 m from a hub, far from one another; the last ones accept drones too."""
    ways = _ways(network, hub)
    fit = sorted(node for node, length in ways.items() if STOP_WAY_M[0] + 30 <= length <= STOP_WAY_M[1] - 30)
    far = max((ways[node] for node in fit), default=0.0)
    if far < STOP_WAY_M[0]:
        raise NoPlan("the scale is too small for drop points of robots; take a larger one")
    chosen: list[int] = []
    for wanted in np.linspace(STOP_WAY_M[0] + 90.0, far - 20.0, count):
        others = network.places[[*taken, *chosen]] if taken or chosen else np.empty((0, 2))
        room = [
            (abs(ways[node] - wanted) / 100.0 - min(2.0, _gap_m(network.places[node], others) / 150.0), node)
            for node in fit
            if node not in chosen and node not in taken
        ]
        chosen.append(min(room)[1])
    for i, node in enumerate(chosen):
        place = network.nodes[node].position
        pads: list[Position] = []
        if i >= count - BY_BOTH:
            beside = rng.uniform(0, 2 * math.pi)
            pads = [made.ground.position(network.places[node] + 9.0 * np.array([math.cos(beside), math.sin(beside)]))]
        made.add(SiteKind.DROP_POINT, "drop", names[i], place, node=f"n{node}", drone=bool(pads), robot=True, pads=pads)
    taken.update(chosen)


def _gap_m(place: Array, others: Array) -> float:
    return float(np.hypot(*(others - place).T).min()) if len(others) else math.inf


def _hamlet(rng: np.random.Generator, made: _Numbered, name: Name, index: int, crosses: list[float]) -> None:
    """Drop points of drones, and a drone port below the hamlet."""
    ground, side = made.ground, made.ground.land.joins[index][1]
    first = int(rng.integers(len(HAMLET_STOPS)))
    stops = ((crosses[0] + 60.0, 54.0), (crosses[-1] - 70.0, 92.0), (crosses[1] + 30.0, -58.0))
    for i, (along, aside) in enumerate(stops):
        at = ground.position(ground.side(index, along + float(rng.uniform(-20, 20)), side * aside))
        stop = _joined(name, HAMLET_STOPS[(first + 2 * i) % len(HAMLET_STOPS)])
        made.add(SiteKind.DROP_POINT, "drop", stop, at, pads=(at,))
    low = crosses[0] - 110.0
    pads = [ground.position(ground.side(index, low + x, side * -30.0)) for x in (0.0, PAD_GRID_M)]
    made.add(SiteKind.DRONE_PORT, "port", _joined(name, ("ドローンポート", "drone port")), pads[0], pads=pads)

"""Ways of robots of each type on a ground network, one by one and many to many."""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.driving import CROSSING_WAIT_S, drive, stretches
from routing.energy import movement_wh
from routing.errors import BadInput, NoWay
from routing.geo import LocalFrame, Position
from routing.ground import GroundNetwork
from routing.region.model import Feature, GroundEdge, GroundNode, Region, Terrain, WayKind
from routing.region.sample import sample_region
from routing.solve import solve
from routing.validate import validate
from routing.vehicle_type import VehicleType
from tests.problems import ROAD_ROBOT, ROBOT, order, problem, robot

ORIGIN = Position(35.0, 138.0)
FRAME = LocalFrame(ORIGIN)
FLAT = Terrain(-5_000.0, -5_000.0, 5_000.0, np.zeros((3, 3), dtype=np.float32), "test", 0.0)

Places = dict[str, tuple[float, float, float]]

# Two ways from a to c: straight over b, 200 m, and around over d, 400 m.
SQUARE: Places = {"a": (0, 0, 0), "b": (100, 0, 0), "c": (200, 0, 0), "d": (100, 173.2, 0)}


def _region(places: Places, edges: list[GroundEdge], features: tuple[Feature, ...] = ()) -> Region:
    nodes = tuple(GroundNode(name, FRAME.to_global(*at)) for name, at in places.items())
    measured = tuple(replace(edge, length_m=math.dist(places[edge.a], places[edge.b])) for edge in edges)
    return Region("test", "", "Test", ORIGIN, FLAT, (), nodes, measured, (), features=features)


def _edge(first: str, last: str, **changes: Any) -> GroundEdge:
    return replace(GroundEdge(first, last, 0.0, WayKind.RESIDENTIAL, road=True), **changes)


def _square(**changes: Any) -> Region:
    """With the piece from a to b changed."""
    return _region(SQUARE, [_edge("a", "b", **changes), _edge("b", "c"), _edge("a", "d"), _edge("d", "c")])


def _way(region: Region, kind: VehicleType, start: str = "a", end: str = "c") -> str:
    return "".join(GroundNetwork(region).path(start, end, kind).nodes)


def test_the_quickest_way_is_taken_where_nothing_is_against_it() -> None:
    assert _way(_square(), ROBOT) == "abc"
    assert _way(_square(), ROAD_ROBOT) == "abc"


@pytest.mark.parametrize(
    ("changes", "sidewalk", "road"),
    [
        ({"robot": False}, "adc", "abc"),
        ({"road": False}, "abc", "adc"),
        ({"kind": WayKind.STEPS}, "adc", "adc"),
        ({"width_m": 0.9}, "adc", "adc"),
        ({"width_m": 0.9, "kind": WayKind.ROAD}, "adc", "abc"),  # that is the width of its sidewalk
        ({"width_m": 1.1}, "abc", "adc"),
        ({"kerb_m": 0.04}, "abc", "abc"),
        ({"kerb_m": 0.15}, "adc", "adc"),
        ({"incline": 0.08}, "abc", "abc"),
        ({"incline": -0.5}, "adc", "adc"),
        ({"one_way": True}, "abc", "abc"),
        ({"one_way": True, "a": "b", "b": "a"}, "abc", "adc"),
        ({"max_speed_mps": 1.0}, "abc", "adc"),
    ],
)
def test_each_type_keeps_to_the_ways_that_it_may_and_can_use(changes: dict[str, Any], sidewalk: str, road: str) -> None:
    region = _square(**changes)
    assert (_way(region, ROBOT), _way(region, ROAD_ROBOT)) == (sidewalk, road)


def test_without_a_tag_the_heights_of_the_nodes_are_the_slope() -> None:
    steep = SQUARE | {"b": (100, 0, 60)}
    region = _region(steep, [_edge("a", "b"), _edge("b", "c"), _edge("a", "d"), _edge("d", "c")])
    assert _way(region, ROBOT) == "adc"
    # A tag is better known than heights.
    tagged = tuple(replace(edge, incline=0.02) if "b" in (edge.a, edge.b) else edge for edge in region.edges)
    assert _way(replace(region, edges=tagged), ROBOT) == "abc"


def test_a_short_piece_is_not_steep_for_the_rounding_of_its_heights() -> None:
    places: Places = {"a": (0, 0, 0), "b": (0.5, 0, 0.1), "c": (100, 0, 0)}
    assert _way(_region(places, [_edge("a", "b"), _edge("b", "c")]), ROBOT) == "abc"


def _ring(*corners: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    places = [FRAME.to_global(*corner) for corner in corners]
    return tuple((place.lat, place.lon) for place in places)


def test_robots_stay_in_the_approved_area_and_out_of_what_is_excluded() -> None:
    around_ad = Feature("robot_area", "town", _ring((-9, -9), (209, -9), (209, 190), (-9, 190)), closed=True)
    across_ab = Feature("no_robot_area", "yard", _ring((40, -5), (60, -5), (60, 5), (40, 5)), closed=True)
    north = Feature("robot_area", "north", _ring((-9, 4), (209, 4), (209, 190), (-9, 190)), closed=True)
    assert _way(replace(_square(), features=(around_ad,)), ROBOT) == "abc"
    assert _way(replace(_square(), features=(around_ad, across_ab)), ROBOT) == "adc"
    assert _way(replace(_square(), features=(across_ab,)), ROAD_ROBOT) == "adc"
    with pytest.raises(NoWay, match="does not connect a and c"):
        _way(replace(_square(), features=(north,)), ROBOT)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width_m": 0.5}, "ways too narrow for it are in the way"),
        ({"incline": 0.5}, "ways too steep for it are in the way"),
        ({"kerb_m": 0.3}, "kerbs too high for it are in the way"),
        ({"robot": False}, "does not connect a and b$"),
    ],
)
def test_why_there_is_no_way_is_said(changes: dict[str, Any], reason: str) -> None:
    network = GroundNetwork(_region({"a": (0, 0, 0), "b": (50, 0, 0)}, [_edge("a", "b", **changes)]))
    with pytest.raises(NoWay, match=reason):
        network.path("a", "b", ROBOT)


def test_a_one_way_street_is_no_way_back() -> None:
    network = GroundNetwork(_region({"a": (0, 0, 0), "b": (50, 0, 0)}, [_edge("a", "b", one_way=True)]))
    assert network.path("a", "b", ROAD_ROBOT).nodes == ("a", "b")
    with pytest.raises(NoWay, match="one-way streets are in the way"):
        network.path("b", "a", ROAD_ROBOT)


def test_parts_of_a_crossing_that_follow_one_another_are_waited_at_once() -> None:
    # Over both halves of one crossing, or around without any: 26 m and one wait (51 m at 6 km/h) beat 60 m, and two
    # crossings with a refuge between them do not.
    places: Places = {"a": (0, 0, 0), "b": (13, 0, 0), "c": (26, 0, 0), "d": (13, 27, 0), "e": (14, 0, 0)}
    halves = [_edge("a", "b", crossing=True), _edge("b", "c", crossing=True), _edge("a", "d"), _edge("d", "c")]
    assert _way(_region(places, halves), ROBOT) == "abc"
    refuge = [_edge("a", "b", crossing=True), _edge("b", "e"), _edge("e", "c", crossing=True), *halves[2:]]
    assert _way(_region(places, refuge), ROBOT) == "adc"


def _brute_s(region: Region, start: str) -> dict[str, float]:
    """Seconds to all nodes by Dijkstra over (node, on a crossing), for a sidewalk robot on the level."""
    done: dict[tuple[str, bool], float] = {}
    queue = [(0.0, start, False)]
    while queue:
        seconds, node, on = heapq.heappop(queue)
        if (node, on) in done:
            continue
        done[node, on] = seconds
        for edge in region.edges:
            if edge.robot and node in (edge.a, edge.b):
                other = edge.b if node == edge.a else edge.a
                wait = CROSSING_WAIT_S if edge.crossing and not on else 0.0
                heapq.heappush(queue, (seconds + wait + edge.length_m / ROBOT.cruise_speed_mps, other, edge.crossing))
    best: dict[str, float] = {}
    for (node, _), seconds in done.items():
        best[node] = min(seconds, best.get(node, math.inf))
    return best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 14), st.integers(1, 24))
def test_every_way_of_a_random_network_is_the_quickest(seed: int, size: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    places = {f"n{i}": (float(x), float(y), 0.0) for i, (x, y) in enumerate(rng.uniform(0, 300, (size, 2)))}
    pairs = sorted({tuple(sorted(rng.choice(size, 2, replace=False).tolist())) for _ in range(count)})
    edges = [
        _edge(f"n{a}", f"n{b}", crossing=bool(rng.random() < 0.3), robot=bool(rng.random() < 0.9)) for a, b in pairs
    ]
    region = _region(places, edges)
    network = GroundNetwork(region)
    some = [f"n{i}" for i in rng.choice(size, min(size, 5), replace=False)]
    matrix = network.matrix(some, ROBOT)
    for (i, start), (j, end) in itertools.product(enumerate(some), repeat=2):
        wanted_s = _brute_s(region, start).get(end, math.inf)
        if math.isinf(wanted_s):
            assert math.isinf(matrix.seconds[i, j])
            with pytest.raises(NoWay):
                network.path(start, end, ROBOT)
            continue
        for path in (network.path(start, end, ROBOT), matrix.path(i, j)):
            assert (path.nodes[0], path.nodes[-1]) == (start, end)
            took_s = sum(path.lengths_m) / ROBOT.cruise_speed_mps + CROSSING_WAIT_S * path.crossings
            assert took_s == pytest.approx(wanted_s, abs=1e-6)
            for (a, b), edge in zip(itertools.pairwise(path.nodes), path.edges, strict=True):
                assert {a, b} == {edge.a, edge.b}
                assert edge.robot
        assert matrix.length_m[i, j] == pytest.approx(sum(path.lengths_m))
        assert matrix.crossings[i, j] == path.crossings


@pytest.mark.parametrize("kind", [ROBOT, ROAD_ROBOT], ids=lambda kind: kind.type_id)
def test_a_matrix_says_what_driving_its_ways_takes(kind: VehicleType) -> None:
    region = sample_region(1)
    network = GroundNetwork(region)
    usable = np.flatnonzero(network.usable_nodes(kind))
    nodes = [region.nodes[i].node_id for i in np.random.default_rng(3).choice(usable, 25, replace=False)]
    matrix = network.matrix(nodes, kind)
    edges = {(edge.a, edge.b): edge for edge in region.edges}
    energy_wh = matrix.energy_wh(kind, 5.0)
    compared = 0
    for i, j in itertools.permutations(range(len(nodes)), 2):
        if math.isinf(matrix.seconds[i, j]) or matrix.length_m[i, j] < 50.0:
            continue
        path = matrix.path(i, j)
        moved = drive(
            kind, region.frame, path.positions, crossings=path.crossings, stretches=stretches(path.nodes, edges)
        )
        assert matrix.seconds[i, j] == pytest.approx(moved.duration_s, rel=0.03)
        assert matrix.length_m[i, j] == pytest.approx(moved.distance_m, rel=1e-3)
        assert matrix.climb_m[i, j] == pytest.approx(moved.climb_m, abs=0.01)
        assert energy_wh[i, j] == pytest.approx(movement_wh(kind, 5.0, moved), rel=0.03)
        compared += 1
    assert compared > 100


def test_the_ways_home_are_the_ways_out_turned_around() -> None:
    region = sample_region(1)
    network = GroundNetwork(region)
    hub = str(region.site("hub-1").node)
    out, home = network.reach(hub, ROBOT), network.reach(hub, ROBOT, homewards=True)
    reached = np.isfinite(out.seconds[0])
    assert reached.sum() > 300
    assert np.array_equal(reached, np.isfinite(home.seconds[0]))
    assert home.length_m[0][reached] == pytest.approx(out.length_m[0][reached])
    heights = np.array([node.position.alt_amsl_m for node in region.nodes])
    rise_m = heights - region.nodes[out.nodes.index(hub)].position.alt_amsl_m
    assert out.climb_m[0][reached] - home.climb_m[0][reached] == pytest.approx(rise_m[reached], abs=0.01)


def test_a_network_without_ways_connects_nothing_and_fails_nowhere() -> None:
    network = GroundNetwork(_region({"a": (0, 0, 0), "b": (9, 0, 0)}, []))
    matrix = network.matrix(["a", "b"], ROBOT)
    assert matrix.seconds.tolist() == [[0.0, math.inf], [math.inf, 0.0]]
    with pytest.raises(NoWay, match="does not connect"):
        matrix.path(0, 1)
    with pytest.raises(NoWay, match="node x is not in the ground network"):
        network.matrix(["a", "x"], ROBOT)
    assert network.path("a", "a", ROBOT).lengths_m == ()


@pytest.mark.parametrize(
    "changes",
    [
        *({"max_speed_mps": 0.0}, {"max_speed_mps": math.nan}, {"kerb_m": -0.1}, {"kerb_m": math.inf}),
        {"incline": math.nan},
    ],
    ids=str,
)
def test_an_edge_with_figures_that_cannot_be_is_named(changes: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="edge a-b has no"):
        _square(**changes)


@pytest.mark.parametrize("kind", [ROBOT, ROAD_ROBOT], ids=lambda kind: kind.type_id)
def test_what_is_planned_for_robots_of_each_type_the_validator_passes(kind: VehicleType) -> None:
    region = sample_region(1)
    hub = region.frame.to_local(region.site("hub-1").position)
    corners = [(hub[0] + x, hub[1] + y) for x, y in ((-4e3, -4e3), (4e3, -4e3), (4e3, 4e3), (-4e3, 4e3))]
    places = [region.frame.to_global(*corner) for corner in corners]
    town = Feature("robot_area", "town", tuple((place.lat, place.lon) for place in places), closed=True)
    region = replace(region, features=(*region.features, town))
    reach = GroundNetwork(region).reach(str(region.site("hub-1").node), kind)
    seconds = dict(zip(reach.nodes, reach.seconds[0].tolist(), strict=True))
    stops = [site.site_id for site in region.sites if site.node and 60 < seconds[site.node] < 1_500]
    made = problem(
        [order(f"o{i}", stop, mass_kg=2.0) for i, stop in enumerate(stops[:4])], [robot(kind=kind)], region=region
    )
    plan = solve(made, seconds=0.5)
    assert len(stops) >= 2
    assert plan.unserved == ()
    assert validate(made, plan) == ()

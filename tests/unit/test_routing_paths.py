"""Flight paths in the airspace, and ways on the ground network."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from routing.airspace import CEILING_AGL_M, MIN_CLEARANCE_M, ZONE_MARGIN_M, zone_areas
from routing.errors import BadInput, NoWay
from routing.flight_path import FlightPaths
from routing.geo import LocalFrame, Position
from routing.ground import GroundNetwork, GroundPath
from routing.region.model import GroundEdge, GroundNode, Obstacle, Region, Terrain, WayKind, Zone
from tests.problems import village

ORIGIN = Position(35.0, 138.0)
FRAME = LocalFrame(ORIGIN)


def _region(
    *zones: list[tuple[float, float]],
    heights: tuple[tuple[float, ...], ...] | None = None,
    obstacles: tuple[Obstacle, ...] = (),
) -> Region:
    """4 x 4 km around the origin; flat at 100 m unless heights on a grid of 100 m are given."""
    flat = tuple(tuple(100.0 for _ in range(41)) for _ in range(41))
    rings = [[FRAME.to_global(*corner) for corner in zone] for zone in zones]
    return Region(
        "test",
        "試験",
        "Test",
        ORIGIN,
        Terrain(-2000.0, -2000.0, 100.0, np.array(heights or flat, dtype=np.float32), "test", 0.0),
        (),
        (),
        (),
        tuple(
            Zone(f"z{i}", "test", "", "", tuple((corner.lat, corner.lon) for corner in ring))
            for i, ring in enumerate(rings)
        ),
        obstacles,
    )


def _at(east_m: float, north_m: float) -> Position:
    return FRAME.to_global(east_m, north_m, 100.0)


def _length_m(path: tuple[Position, ...]) -> float:
    return sum(math.dist(FRAME.to_local(a), FRAME.to_local(b)) for a, b in pairwise(path))


def _heights_agl(region: Region, path: tuple[Position, ...]) -> list[float]:
    heights = []
    for a, b in pairwise(path):
        count = max(1, math.ceil(math.dist(region.frame.to_local(a), region.frame.to_local(b)) / 2.0))
        for share in np.linspace(0, 1, count + 1):
            lat, lon = a.lat + share * (b.lat - a.lat), a.lon + share * (b.lon - a.lon)
            amsl = a.alt_amsl_m + share * (b.alt_amsl_m - a.alt_amsl_m)
            heights.append(amsl - region.ground_amsl_m(Position(lat, lon)))
    return heights


def test_with_nothing_in_the_way_a_flight_is_straight_and_level() -> None:
    path = FlightPaths(_region()).path(_at(-500, 0), _at(500, 0))
    assert len(path) == 2
    assert _length_m(path) == pytest.approx(1000, abs=0.1)
    assert {point.alt_amsl_m for point in path} == {165.0}


def test_a_zone_in_the_way_is_flown_around_at_the_shortest() -> None:
    region = _region([(-100, -100), (100, -100), (100, 300), (-100, 300)])
    path = FlightPaths(region).path(_at(-500, 0), _at(500, 0))
    line = shapely.LineString([FRAME.to_local(point) for point in path])
    assert shapely.distance(line, zone_areas(region, 0.0)[0]) >= ZONE_MARGIN_M
    # South about, along corners 26 m off: sqrt(374^2 + 126^2) * 2 + 252.
    assert _length_m(path) == pytest.approx(2 * math.hypot(374, 126) + 252, abs=1.0)


def test_two_zones_that_overlap_with_their_margins_are_one_obstacle() -> None:
    region = _region([(-50, -600), (50, -600), (50, -10), (-50, -10)], [(-50, 10), (50, 10), (50, 200), (-50, 200)])
    path = FlightPaths(region).path(_at(-500, 0), _at(500, 0))
    assert max(FRAME.to_local(point)[1] for point in path) > 200 + ZONE_MARGIN_M


def test_a_place_in_or_near_a_zone_has_no_way_and_the_reason_says_so() -> None:
    paths = FlightPaths(_region([(-100, -100), (100, -100), (100, 100), (-100, 100)]))
    with pytest.raises(NoWay, match="start lies in a no-fly zone"):
        paths.path(_at(0, 0), _at(500, 0))
    with pytest.raises(NoWay, match="destination lies in a no-fly zone"):
        paths.path(_at(500, 0), _at(110, 0))


def test_a_ring_of_zones_closes_every_way() -> None:
    ring = [(-300, -300), (300, -300), (300, 300), (-300, 300)]
    walls = [[a, b, (b[0] * 1.2, b[1] * 1.2), (a[0] * 1.2, a[1] * 1.2)] for a, b in pairwise([*ring, ring[0]])]
    with pytest.raises(NoWay, match="close every way"):
        FlightPaths(_region(*walls)).path(_at(0, 0), _at(1000, 0))


def test_a_zone_without_an_area_is_named() -> None:
    with pytest.raises(BadInput, match="z0"):
        FlightPaths(_region([(0, 0), (10, 10), (20, 20)]))


def test_a_hill_too_high_for_one_altitude_is_climbed_in_small_steps() -> None:
    row = tuple(100.0 + 2.0 * max(0.0, 100.0 - abs(i - 20) * 15.0) for i in range(41))
    region = _region(heights=(row,) * 41)
    path = FlightPaths(region).path(_at(-1500, 0), _at(1500, 0))
    heights = _heights_agl(region, path)
    assert min(heights) >= MIN_CLEARANCE_M
    assert max(heights) <= CEILING_AGL_M
    assert max(abs(b.alt_amsl_m - a.alt_amsl_m) for a, b in pairwise(path)) <= 10.01


def test_a_slope_of_60_degrees_is_followed_and_a_cliff_is_not() -> None:
    slope = tuple(100.0 + 170.0 * min(5, max(0, i - 18)) for i in range(41))
    region = _region(heights=(slope,) * 41)
    heights = _heights_agl(region, FlightPaths(region).path(_at(-500, 0), _at(1000, 0)))
    assert min(heights) >= MIN_CLEARANCE_M
    assert max(heights) <= CEILING_AGL_M
    cliff = tuple(100.0 if i < 20 else 2100.0 for i in range(41))
    with pytest.raises(NoWay, match="too steep"):
        FlightPaths(_region(heights=(cliff,) * 41)).path(_at(-500, 0), _at(500, 0))


def _line(east_m: float, top_m: float, *, north_m: float = 1900.0, margin_m: float = 30.0) -> Obstacle:
    """A power line from south to north, its top so high over the ground at 100 m."""
    ends = (FRAME.to_global(east_m, -north_m, 100.0 + top_m), FRAME.to_global(east_m, north_m, 100.0 + top_m))
    return Obstacle(f"line-{east_m:.0f}", "power_line", "Line", ends, margin_m)


def _over(path: tuple[Position, ...], east_m: float) -> float:
    """Height over the ground at 100 m where a path from west to east passes."""
    local = [(*FRAME.to_local(point), point.alt_amsl_m) for point in path]
    return float(np.interp(east_m, [e for e, _, _ in local], [a for _, _, a in local])) - 100.0


def test_a_low_power_line_is_flown_over_as_if_it_were_not_there() -> None:
    path = FlightPaths(_region(obstacles=(_line(0, 30.0),))).path(_at(-500, 0), _at(500, 0))
    assert _over(path, 0) == pytest.approx(65, abs=0.1)


def test_a_tall_power_line_is_flown_over_with_20_m_to_spare_over_all_of_its_margin() -> None:
    path = FlightPaths(_region(obstacles=(_line(0, 80.0),))).path(_at(-500, 0), _at(500, 0))
    for east_m in (-30, 0, 30):
        assert _over(path, east_m) >= 100.0
    assert _over(path, -400) < 90.0
    assert _length_m(path) == pytest.approx(1000, abs=1)


def test_a_line_too_tall_for_the_ceiling_is_flown_around_or_closes_the_way() -> None:
    short = FlightPaths(_region(obstacles=(_line(0, 140.0, north_m=300.0),))).path(_at(-500, 0), _at(500, 0))
    line = shapely.LineString([FRAME.to_local(point) for point in short])
    assert shapely.distance(line, shapely.LineString([(0, -300), (0, 300)])) >= 30.0
    assert 1100 < _length_m(short) < 1300
    ring = [(-300, -300), (300, -300), (300, 300), (-300, 300), (-300, -300)]
    fence = Obstacle("fence", "ropeway", "Fence", tuple(FRAME.to_global(*corner, 240.0) for corner in ring), 30.0)
    with pytest.raises(NoWay, match="close every way"):
        FlightPaths(_region(obstacles=(fence,))).path(_at(0, 0), _at(1000, 0))


def test_nobody_comes_down_next_to_a_mast() -> None:
    mast = Obstacle("mast", "mast", "Mast", (FRAME.to_global(500, 10, 120.0),), 30.0)
    with pytest.raises(NoWay, match="destination is too near to an obstacle"):
        FlightPaths(_region(obstacles=(mast,))).path(_at(-500, 0), _at(500, 0))


def test_a_layer_is_so_much_higher_where_there_is_room() -> None:
    paths = FlightPaths(_region(obstacles=(_line(0, 80.0),)))
    assert _over(paths.path(_at(-500, 0), _at(500, 0), layer_m=25.0), -400) >= 90.0
    high = paths.path(_at(-500, 0), _at(500, 0), layer_m=75.0)
    assert _over(high, -400) == pytest.approx(140, abs=0.1)
    assert max(_heights_agl(_region(), high)) <= CEILING_AGL_M


def test_a_flight_follows_the_valley_where_the_straight_line_climbs_a_mountain() -> None:
    """Between two valleys that meet in the south stands a ridge 700 m high."""
    rows = []
    for j in range(41):
        width = max(0.0, 8.0 - max(0.0, 14.0 - j))
        rows.append(tuple(100.0 + 700.0 * min(1.0, max(0.0, (width - abs(i - 20)) / 8.0)) for i in range(41)))
    region = _region(heights=tuple(rows))
    start, end = _at(-1200, 200), _at(1200, 200)
    path = FlightPaths(region).path(start, end)
    heights = _heights_agl(region, path)
    assert min(heights) >= MIN_CLEARANCE_M
    assert max(heights) <= CEILING_AGL_M
    assert max(point.alt_amsl_m for point in path) < 400.0
    assert min(FRAME.to_local(point)[1] for point in path) < -400.0


def test_other_pads_of_a_site_use_the_way_found_for_the_first() -> None:
    region = _region([(-100, -100), (100, -100), (100, 300), (-100, 300)])
    paths = FlightPaths(region)
    first = paths.path(_at(-500, 0), _at(500, 0))
    other = paths.path(_at(-500, 14), _at(500, 0), anchors=(_at(-500, 0), _at(500, 0)))
    for a, b in zip(other[1:], first[1:], strict=True):
        assert math.dist(FRAME.to_local(a), FRAME.to_local(b)) < 0.01
    assert FRAME.to_local(other[0]) == pytest.approx((-500, 14), abs=0.01)


def test_there_and_back_are_equally_long() -> None:
    region = village(1)
    paths = FlightPaths(region)
    hub, hamlet = region.site("hub-1").position, region.site("drop-6").position
    there, back = paths.path(hub, hamlet), paths.path(hamlet, hub)
    assert _length_m(there) == pytest.approx(_length_m(back), abs=0.1)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 8),
    st.tuples(*[st.floats(-1500, 1500)] * 4),
)
def test_every_path_keeps_the_rules(seed: int, ends: tuple[float, float, float, float]) -> None:
    region = village(seed)
    frame = region.frame

    def ground(east_m: float, north_m: float) -> Position:
        return frame.to_global(east_m, north_m, float(region.terrain.height_m(east_m, north_m)))

    start, end = ground(*ends[:2]), ground(*ends[2:])
    near = zone_areas(region, ZONE_MARGIN_M + 8.0)
    assume(not any(shapely.intersects_xy(near, *frame.to_local(place)).any() for place in (start, end)))
    path = FlightPaths(region).path(start, end)
    assert math.dist(frame.to_local(path[0]), frame.to_local(start)) < 0.01
    assert math.dist(frame.to_local(path[-1]), frame.to_local(end)) < 0.01
    local = [frame.to_local(point) for point in path]
    assert shapely.distance(shapely.LineString(local), zone_areas(region, 0.0)[0]) >= ZONE_MARGIN_M
    heights = _heights_agl(region, path)
    assert min(heights) >= MIN_CLEARANCE_M
    assert max(heights) <= CEILING_AGL_M


def _network_region(*edges: tuple[str, str, float]) -> Region:
    names = sorted({name for a, b, _ in edges for name in (a, b)} | {"island"})
    nodes = tuple(GroundNode(name, Position(35.0, 138.0 + i / 1e4)) for i, name in enumerate(names))
    return replace(_region(), nodes=nodes, edges=tuple(GroundEdge(*edge) for edge in edges))


def _network(*edges: tuple[str, str, float]) -> GroundNetwork:
    return GroundNetwork(_network_region(*edges))


def test_a_road_is_crossed_where_it_saves_more_than_the_wait() -> None:
    def way(around_m: float) -> GroundPath:
        region = _network_region(("a", "b", 10.0), ("b", "c", 10.0), ("a", "d", around_m), ("d", "c", around_m))
        edges = tuple(replace(edge, crossing=edge.b in ("b", "c") and edge.a in ("a", "b")) for edge in region.edges)
        return GroundNetwork(replace(region, edges=edges)).path("a", "c")

    # The wait is 25 m at 6 km/h, and the two edges of the crossing follow one another: one wait.
    assert (way(20.0).nodes, way(20.0).crossings) == (("a", "d", "c"), 0)
    assert (way(25.0).nodes, way(25.0).crossings) == (("a", "b", "c"), 1)


def test_a_way_that_robots_may_not_use_is_not_taken() -> None:
    region = _network_region(("a", "b", 10.0), ("a", "c", 30.0), ("c", "b", 30.0))
    steps = replace(region.edges[0], kind=WayKind.STEPS, robot=False)
    path = GroundNetwork(replace(region, edges=(steps, *region.edges[1:]))).path("a", "b")
    assert path.nodes == ("a", "c", "b")


def test_the_shortest_way_counts_metres_not_edges() -> None:
    path = _network(("a", "b", 10.0), ("b", "c", 10.0), ("c", "d", 10.0), ("a", "d", 50.0)).path("a", "d")
    assert path.nodes == ("a", "b", "c", "d")
    assert path.lengths_m == (10.0, 10.0, 10.0)
    assert len(path.positions) == 4


def test_edges_are_driven_both_ways_and_the_shorter_of_two_is_taken() -> None:
    network = _network(("a", "b", 30.0), ("b", "a", 20.0))
    assert network.path("a", "b").lengths_m == (20.0,)
    assert network.path("b", "a").nodes == ("b", "a")
    assert network.path("a", "a").nodes == ("a",)


def test_a_node_that_no_edge_reaches_has_no_way() -> None:
    network = _network(("a", "b", 10.0))
    with pytest.raises(NoWay, match="does not connect a and island"):
        network.path("a", "island")
    with pytest.raises(NoWay, match="nowhere is not in the ground network"):
        network.path("a", "nowhere")

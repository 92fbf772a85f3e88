"""The ground network, obstacles, zones and features that an import makes from a map."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely

from routing.errors import BadInput
from routing.geo import Position
from routing.region import network as network_module
from routing.region.landscape import features_of
from routing.region.model import GroundEdge, Obstacle, Terrain, WayKind, Zone
from routing.region.network import LONGEST_M, Network, build_network
from routing.region.notes import ImportNotes, silent
from routing.region.obstacles import obstacles_of
from routing.region.osm import OsmData, read_osm
from routing.region.protected import circle, protected_zones, widened
from tests.map_kit import SmallMap

HALF_M = 2_000.0


def _terrain(height: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None, step_m: float = 20.0) -> Terrain:
    axis = np.arange(-HALF_M, HALF_M + step_m / 2, step_m)
    east, north = np.meshgrid(axis, axis)
    heights = np.full(east.shape, 500.0) if height is None else height(east, north)
    return Terrain(-HALF_M, -HALF_M, step_m, heights.astype(np.float32), "test", 1.0)


def _data(small: SmallMap, folder: Path) -> OsmData:
    return read_osm(small.write(folder / "map.osm.pbf"), small.extent(HALF_M), ImportNotes(), silent)


def _network(
    small: SmallMap, folder: Path, terrain: Terrain | None = None, notes: ImportNotes | None = None
) -> Network:
    return build_network(_data(small, folder), small.frame, terrain or _terrain(), notes or ImportNotes())


def _along(network: Network, wanted: Callable[[GroundEdge], bool]) -> float:
    return sum(edge.length_m for edge in network.edges if wanted(edge))


def _degrees(network: Network) -> dict[str, int]:
    ends = [end for edge in network.edges for end in (edge.a, edge.b)]
    return {name: ends.count(name) for name in ends}


def test_ways_are_split_at_junctions_and_into_short_straight_pieces(tmp_path: Path) -> None:
    small = SmallMap()
    junction = small.node(0, 0)
    small.way([(-210, 0), junction, (330, 0)], {"highway": "residential"})
    small.way([junction, (0, 120), (90, 120)], {"highway": "footway"})
    network = _network(small, tmp_path)
    assert max(edge.length_m for edge in network.edges) <= LONGEST_M + 0.01
    assert _along(network, lambda edge: edge.kind is WayKind.RESIDENTIAL) == pytest.approx(540, abs=0.5)
    assert _along(network, lambda edge: edge.kind is WayKind.FOOTWAY) == pytest.approx(210, abs=0.5)
    degrees = _degrees(network)
    assert sorted(degrees.values()).count(3) == 1
    assert sorted(degrees.values()).count(1) == 3
    [crossroads] = [name for name, degree in degrees.items() if degree == 3]
    at = next(node.position for node in network.nodes if node.node_id == crossroads)
    assert small.frame.to_local(at) == pytest.approx((0, 0), abs=0.05)


def test_small_bends_are_straightened_and_large_ones_are_not(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), (10, 0.5), (20, 0), (30, 0.5), (40, 0), (40, 30)], {"highway": "footway"})
    network = _network(small, tmp_path)
    assert len(network.edges) == 2
    assert sum(edge.length_m for edge in network.edges) == pytest.approx(70, abs=0.1)


def test_a_loop_keeps_its_shape(tmp_path: Path) -> None:
    small = SmallMap()
    start = small.node(0, 0)
    small.way([(-60, 0), start], {"highway": "residential"})
    small.way([start, (60, 0), (60, 60), (0, 60), start], {"highway": "residential"})
    network = _network(small, tmp_path)
    assert sum(edge.length_m for edge in network.edges) == pytest.approx(300, abs=0.5)


def test_ways_are_cut_at_the_extent(tmp_path: Path) -> None:
    small = SmallMap()
    points = [(float(east), 0.0) for east in range(-3_000, 3_001, 40)]
    small.way(points, {"highway": "residential"})
    network = _network(small, tmp_path)
    assert np.abs(network.xy).max() <= HALF_M + 0.1
    assert sum(edge.length_m for edge in network.edges) == pytest.approx(4_000, abs=81)


def test_lone_parts_are_left_out_and_counted(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), (1_000, 0)], {"highway": "residential"})
    small.way([(0, 300), (50, 300)], {"highway": "residential"})
    small.way([(0, 600), (500, 600)], {"highway": "residential"})
    notes = ImportNotes()
    network = _network(small, tmp_path, notes=notes)
    assert sum(edge.length_m for edge in network.edges) == pytest.approx(1_500, abs=1)
    assert notes.skipped["parts of the network that nothing joins to the rest"] == 1
    assert notes.skipped["metres of way in such parts"] == 50


def test_robots_keep_off_steep_ways(tmp_path: Path) -> None:
    small = SmallMap()
    corner = small.node(0, 0)
    small.way([(-600, 0), corner], {"highway": "residential"})
    small.way([corner, (0, 600)], {"highway": "residential"})
    notes = ImportNotes()
    # 20 % to the north, level to the east.
    network = _network(small, tmp_path, _terrain(lambda east, north: 1_000 + 0.2 * north), notes)
    assert _along(network, lambda edge: edge.robot) == pytest.approx(600, abs=60)
    closed = notes.skipped["metres of way closed to robots: steeper than 15 %"]
    assert closed == pytest.approx(600 * math.hypot(1, 0.2), abs=60)
    # Length is measured on the slope.
    assert sum(edge.length_m for edge in network.edges) == pytest.approx(600 + 600 * math.hypot(1, 0.2), abs=5)


def test_heights_follow_the_ground_without_its_noise(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 3, (201, 201))
    small = SmallMap()
    small.way([(-1_500, 0), (1_500, 0)], {"highway": "residential"})
    terrain = _terrain(lambda east, north: 800 + 0.05 * east + noise)
    network = _network(small, tmp_path, terrain)
    heights = np.array([node.position.alt_amsl_m for node in network.nodes])
    assert np.abs(heights - (800 + 0.05 * network.xy[:, 0])).max() < 6
    assert _steepest(network, heights) < 0.8 * _steepest(network, terrain.height_m(*network.xy.T))


def _steepest(network: Network, heights: np.ndarray) -> float:
    a, b = network.ends.T
    return float(np.max(np.abs(heights[a] - heights[b]) / np.hypot(*(network.xy[a] - network.xy[b]).T)))


def test_a_tunnel_goes_through_the_mountain(tmp_path: Path) -> None:
    small = SmallMap()
    west, east = small.node(-400, 0), small.node(400, 0)
    small.way([(-900, 0), west], {"highway": "residential"})
    small.way([west, east], {"highway": "residential", "tunnel": "yes"})
    small.way([east, (900, 0)], {"highway": "residential"})
    terrain = _terrain(lambda e, n: 500 + 300 * np.clip(1 - np.abs(e) / 350, 0, 1))
    network = _network(small, tmp_path, terrain)
    assert max(node.position.alt_amsl_m for node in network.nodes) < 515
    assert all(edge.robot for edge in network.edges)


def test_barriers_close_the_way_beside_them(tmp_path: Path) -> None:
    small = SmallMap()
    stile = small.node(0, 0, {"barrier": "stile"})
    small.way([(-200, 0), stile, (200, 0)], {"highway": "footway"})
    gate = small.node(0, 300, {"barrier": "gate"})
    small.way([(-200, 300), gate, (200, 300)], {"highway": "footway"})
    notes = ImportNotes()
    network = _network(small, tmp_path, notes=notes)
    closed = [edge for edge in network.edges if not edge.robot]
    at = {node.node_id: small.frame.to_local(node.position) for node in network.nodes}
    assert closed
    assert all(abs(at[end][1]) < 1 for edge in closed for end in (edge.a, edge.b))
    assert notes.skipped["metres of way closed to robots: barriers"] > 0
    # A gate that is not locked can be passed.
    assert all(edge.robot for edge in network.edges if at[edge.a][1] > 200)


def test_crossings_are_marked_on_the_way_that_crosses(tmp_path: Path) -> None:
    small = SmallMap()
    middle = small.node(0, 0, {"highway": "crossing"})
    small.way([(-100, 0), middle, (100, 0)], {"highway": "secondary"})
    small.way([(0, -40), middle, (0, 40)], {"highway": "footway"})
    network = _network(small, tmp_path)
    assert {edge.kind for edge in network.edges if edge.crossing} == {WayKind.FOOTWAY}
    assert sum(edge.crossing for edge in network.edges) == 2


def test_of_two_pieces_between_the_same_nodes_the_one_for_robots_is_kept(tmp_path: Path) -> None:
    small = SmallMap()
    a, b = small.node(0, 0), small.node(40, 0)
    small.way([a, b], {"highway": "steps"})
    small.way([a, b], {"highway": "footway"})
    network = _network(small, tmp_path)
    assert [(edge.kind, edge.robot) for edge in network.edges] == [(WayKind.FOOTWAY, True)]


def test_nothing_for_pedestrians_is_an_error(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), (500, 0)], {"highway": "motorway"})
    with pytest.raises(BadInput, match="no ways for pedestrians"):
        _network(small, tmp_path)


def test_a_city_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_module, "MAX_NODES", 10)
    small = SmallMap()
    small.way([(0, 0), (1_000, 0)], {"highway": "residential"})
    with pytest.raises(BadInput, match=r"2[12] nodes; at most 10 are taken: give a smaller --bbox"):
        _network(small, tmp_path)


def _obstacles(small: SmallMap, folder: Path, terrain: Terrain | None = None) -> list[Obstacle]:
    small.way([(0, -1_500), (100, -1_500)], {"highway": "path"})
    return list(obstacles_of(_data(small, folder), small.frame, terrain or _terrain(), ImportNotes()))


def _tops_m(obstacle: Obstacle) -> list[float]:
    return [round(point.alt_amsl_m - 500.0, 1) for point in obstacle.line]


@pytest.mark.parametrize(
    ("tags", "top_m", "assumed"),
    [
        ({"power": "line", "height": "42"}, 42.0, False),
        ({"power": "line", "voltage": "400000;110000"}, 80.0, True),
        ({"power": "line", "voltage": "220000"}, 60.0, True),
        ({"power": "line", "voltage": "66000"}, 45.0, True),
        ({"power": "line", "voltage": "20000"}, 30.0, True),
        ({"power": "line"}, 60.0, True),
        ({"power": "minor_line"}, 15.0, True),
        ({"aerialway": "gondola"}, 60.0, True),
        ({"aerialway": "chair_lift", "height": "30 m"}, 30.0, False),
        ({"aerialway": "drag_lift"}, 12.0, True),
    ],
)
def test_lines_have_their_height_or_that_of_their_class(
    tmp_path: Path, tags: dict[str, str], top_m: float, assumed: bool
) -> None:
    small = SmallMap()
    small.way([(0, 0), (300, 0), (600, 0)], tags)
    [obstacle] = _obstacles(small, tmp_path)
    assert _tops_m(obstacle) == [top_m] * 3
    assert ("(assumed)" in obstacle.name_en) is assumed
    assert obstacle.kind == ("ropeway" if "aerialway" in tags else "power_line")
    assert obstacle.margin_m == 30.0


def test_a_pylon_with_a_height_lifts_its_line(tmp_path: Path) -> None:
    small = SmallMap()
    pylon = small.node(300, 0, {"power": "tower", "height": "90"})
    small.way([(0, 0), pylon, (600, 0)], {"power": "line", "voltage": "66000"})
    [obstacle] = _obstacles(small, tmp_path)
    assert _tops_m(obstacle) == [45.0, 90.0, 45.0]


def test_a_ropeway_over_a_hill_has_a_support_on_it(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(-600, 0), (600, 0)], {"aerialway": "chair_lift"})
    hill = _terrain(lambda east, north: 500 + 200 * np.exp(-((east / 200) ** 2)))
    [obstacle] = _obstacles(small, tmp_path, hill)
    assert max(point.alt_amsl_m for point in obstacle.line) >= 500 + 195 + 25
    # Over a valley the rope stays up.
    valley = _terrain(lambda east, north: 500 - 200 * np.exp(-((east / 200) ** 2)))
    [obstacle] = _obstacles(small, tmp_path, valley)
    assert len(obstacle.line) == 2
    assert min(point.alt_amsl_m for point in obstacle.line) >= 524


def test_cables_in_the_ground_are_no_obstacles(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), (300, 0)], {"power": "cable"})
    small.way([(0, 9), (300, 9)], {"power": "line", "location": "underground"})
    small.way([(0, 99), (300, 99)], {"man_made": "pipeline"})
    assert _obstacles(small, tmp_path) == []


@pytest.mark.parametrize(
    ("tags", "top_m"),
    [
        ({"man_made": "mast", "height": "35"}, 35.0),
        ({"man_made": "tower", "tower:type": "communication"}, 60.0),
        ({"man_made": "tower", "tower:type": "bell_tower"}, 40.0),
        ({"man_made": "chimney"}, 100.0),
        ({"power": "generator", "generator:source": "wind"}, 200.0),
        ({"power": "tower"}, 60.0),
    ],
)
def test_masts_stand_alone(tmp_path: Path, tags: dict[str, str], top_m: float) -> None:
    small = SmallMap()
    small.node(100, 100, tags)
    [obstacle] = _obstacles(small, tmp_path)
    assert obstacle.kind == "mast"
    assert _tops_m(obstacle) == [top_m]


def test_pylons_of_a_line_and_poles_are_not_obstacles_of_their_own(tmp_path: Path) -> None:
    small = SmallMap()
    pylons = [small.node(300.0 * i, 0, {"power": "tower"}) for i in range(3)]
    small.way(pylons, {"power": "line"})
    small.node(500, 500, {"power": "pole"})
    assert [obstacle.kind for obstacle in _obstacles(small, tmp_path)] == ["power_line"]


def test_only_tall_buildings_are_obstacles(tmp_path: Path) -> None:
    small = SmallMap()
    small.area((0, 0), 10, {"building": "yes"})
    small.area((100, 0), 10, {"building": "yes", "building:levels": "4"})
    small.area((200, 0), 20, {"building": "yes", "building:levels": "12"})
    [obstacle] = _obstacles(small, tmp_path)
    assert _tops_m(obstacle) == [pytest.approx(41.4, abs=0.1)]
    assert obstacle.margin_m == pytest.approx(25 + 20 * math.sqrt(2), abs=0.2)


def _zones(small: SmallMap, folder: Path, notes: ImportNotes | None = None) -> list[Zone]:
    small.way([(0, -1_500), (100, -1_500)], {"highway": "path"})
    return list(protected_zones(_data(small, folder), small.frame, notes or ImportNotes()))


def _shape(zone: Zone, small: SmallMap) -> shapely.Polygon:
    return shapely.Polygon([small.frame.to_local(Position(lat, lon)) for lat, lon in zone.ring])


def test_schools_hospitals_and_helipads_are_zones(tmp_path: Path) -> None:
    small = SmallMap()
    small.area((0, 0), 60, {"amenity": "school", "name": "小学校", "name:en": "Primary school"})
    small.node(900, 0, {"amenity": "hospital"})
    small.node(0, 900, {"aeroway": "helipad"})
    small.node(0, -900, {"amenity": "restaurant"})
    zones = {zone.kind: zone for zone in _zones(small, tmp_path)}
    assert set(zones) == {"school", "hospital", "helipad"}
    assert (zones["school"].name_ja, zones["school"].name_en) == ("小学校", "Primary school")
    assert zones["hospital"].name_ja == "病院"
    assert _shape(zones["school"], small).contains(shapely.box(-60, -60, 60, 60))
    assert _shape(zones["school"], small).area < 135**2
    assert _shape(zones["hospital"], small).contains(shapely.Point(900, 0).buffer(99.9))
    assert _shape(zones["helipad"], small).contains(shapely.Point(0, 900).buffer(199.9))


def test_the_point_of_a_school_within_its_grounds_is_no_second_zone(tmp_path: Path) -> None:
    small = SmallMap()
    small.area((0, 0), 150, {"amenity": "school"})
    small.node(10, 10, {"amenity": "school"})
    notes = ImportNotes()
    assert len(_zones(small, tmp_path, notes)) == 1
    assert notes.skipped["protected places within a larger one of their kind"] == 1


def test_widened_shapes_never_come_nearer_than_asked() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        outline = shapely.MultiPoint(rng.uniform(-200, 200, (9, 2))).convex_hull
        for metres in (0.0, 50.0, 500.0):
            assert widened(outline, metres).contains(outline.buffer(metres))
    line = shapely.LineString([(0, 0), (800, 100)])
    assert widened(line, 500.0).contains(line.buffer(500.0))
    assert circle(np.array([5.0, 6.0]), 100.0).contains(shapely.Point(5, 6).buffer(99.9))


def test_features_are_cut_at_the_extent_and_simplified(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), (100, 0)], {"highway": "path"})
    small.way([(float(east), 3.0 * (east % 20 == 0)) for east in range(-5_000, 5_001, 10)], {"waterway": "river"})
    lake = [(1_900.0 + 400 * math.cos(a), 400 * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 200)[:-1]]
    ids = [small.node(*point) for point in lake]
    small.way([*ids, ids[0]], {"natural": "water", "name": "Lake"})
    small.area((0, 500), 1.5, {"building": "yes"})
    small.area((0, 600), 8, {"building": "yes"})
    notes = ImportNotes()
    found = features_of(_data(small, tmp_path), small.frame, notes)
    kinds = [(feature.kind, feature.closed) for feature in found]
    assert kinds == [("water", True), ("building", True), ("river", False)]
    local = [small.frame.to_local(Position(lat, lon)) for feature in found for lat, lon in feature.coords]
    assert np.abs(np.array(local)).max() <= HALF_M + 1
    assert found[0].name == "Lake"
    assert 10 < len(found[0].coords) < 60
    assert len(found[2].coords) < 10


def test_the_network_does_not_depend_on_anything_but_the_file(tmp_path: Path) -> None:
    small = SmallMap()
    rows = [[small.node(100.0 * x, 100.0 * y) for x in range(5)] for y in range(5)]
    for row in (*rows, *map(list, zip(*rows, strict=True))):
        small.way(row, {"highway": "residential"})
    first, second = _network(small, tmp_path), _network(small, tmp_path)
    assert first.nodes == second.nodes
    assert first.edges == second.edges
    assert all(a != b for a, b in itertools.pairwise(node.node_id for node in first.nodes))

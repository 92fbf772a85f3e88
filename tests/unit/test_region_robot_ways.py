"""What the tags of a map mean for robots: which of them may use a way, which way round, and what it is like."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from routing.errors import BadInput
from routing.geo import LocalFrame
from routing.region.model import Feature, GroundEdge, Terrain, WayKind
from routing.region.network import Network, build_network
from routing.region.notes import ImportNotes, silent
from routing.region.osm import read_osm
from routing.region.robot_area import read_robot_areas
from routing.region.ways import WayRule, incline, kerb_m, read_way, speed_mps
from tests.map_kit import SmallMap

HALF_M = 1_000.0
FLAT = Terrain(-HALF_M, -HALF_M, HALF_M, np.full((3, 3), 500.0, dtype=np.float32), "test", 1.0)


def _rule(**tags: str) -> WayRule:
    rule = read_way({key.replace("__", ":"): value for key, value in tags.items()})
    assert isinstance(rule, WayRule), rule
    return rule


def _network(
    small: SmallMap, folder: Path, areas: list[Feature] | None = None, notes: ImportNotes | None = None
) -> Network:
    data = read_osm(small.write(folder / "map.osm.pbf"), small.extent(HALF_M), ImportNotes(), silent)
    return build_network(data, small.frame, FLAT, notes or ImportNotes(), areas=areas or [])


@pytest.mark.parametrize(
    "tags",
    [
        {"highway": "unclassified", "sidewalk": "no"},
        {"highway": "tertiary"},
        {"highway": "primary"},
        {"highway": "secondary", "sidewalk": "right"},
        {"highway": "secondary", "sidewalk__both": "yes", "sidewalk__both__width": "1.8"},
        {"highway": "primary", "sidewalk": "no", "foot": "designated"},
        {"highway": "residential", "sidewalk": "no"},
        {"highway": "steps", "ramp__wheelchair": "yes"},
        {"highway": "residential", "smoothness": "intermediate"},
    ],
    ids=str,
)
def test_where_sidewalk_robots_may_drive(tags: dict[str, str]) -> None:
    assert _rule(**tags).why_not == ""


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"highway": "primary", "sidewalk": "no"}, "roads without a sidewalk"),
        ({"highway": "secondary_link", "sidewalk": "none"}, "roads without a sidewalk"),
        ({"highway": "trunk", "foot": "yes"}, "trunk"),
        ({"highway": "tertiary", "sidewalk__left": "separate"}, "a way of its own"),
        ({"highway": "secondary", "sidewalk": "left", "sidewalk__left__width": "0.6"}, "narrower"),
        ({"highway": "footway", "smoothness": "very_bad"}, "too rough"),
        ({"highway": "footway", "incline": "1:5"}, "steeper"),
        ({"highway": "steps", "ramp": "yes"}, "steps"),
    ],
    ids=str,
)
def test_where_they_may_not(tags: dict[str, str], reason: str) -> None:
    assert reason in _rule(**tags).why_not


def test_roads_whose_sidewalks_nobody_mapped_are_closed_on_request() -> None:
    for road, allowed in (("primary", ("unclassified",)), ("unclassified", ()), ("road", ("primary",))):
        rule = read_way({"highway": road}, allowed)
        assert isinstance(rule, WayRule)
        assert rule.why_not == "roads without a sidewalk"
    with_sidewalk = read_way({"highway": "primary", "sidewalk": "both"}, ())
    assert isinstance(with_sidewalk, WayRule)
    assert with_sidewalk.why_not == ""


def test_the_width_of_a_road_is_that_of_its_sidewalk() -> None:
    assert _rule(highway="secondary", sidewalk="both", width="7", sidewalk__both__width="1.4").width_m == 1.4
    assert _rule(highway="secondary", sidewalk="both", width="7").width_m is None
    assert _rule(highway="residential", width="5").width_m == 5.0


@pytest.mark.parametrize(
    "tags",
    [
        {"highway": "residential"},
        {"highway": "tertiary", "maxspeed": "50"},
        {"highway": "primary", "maxspeed": "40"},
        {"highway": "secondary", "maxspeed": "30 mph"},
        {"highway": "unclassified", "foot": "no"},
        {"highway": "residential", "vehicle": "private", "motor_vehicle": "destination"},
        {"highway": "track", "tracktype": "grade1", "surface": "asphalt"},
    ],
    ids=str,
)
def test_where_road_robots_may_drive(tags: dict[str, str]) -> None:
    assert _rule(**tags).why_no_road == ""


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"highway": "footway"}, "pedestrians"),
        ({"highway": "pedestrian", "motor_vehicle": "yes"}, "pedestrians"),
        ({"highway": "trunk", "sidewalk": "both"}, "main roads"),
        ({"highway": "primary"}, "main roads"),
        ({"highway": "tertiary", "maxspeed": "70"}, "too fast"),
        ({"highway": "residential", "motor_vehicle": "no"}, "closed to vehicles"),
        ({"highway": "service", "access": "private", "foot": "yes"}, "closed to vehicles"),
        ({"highway": "residential", "oneway": "reversible"}, "direction changes"),
        ({"highway": "unclassified", "surface": "gravel"}, "too rough"),
    ],
    ids=str,
)
def test_where_road_robots_may_not(tags: dict[str, str], reason: str) -> None:
    assert reason in _rule(**tags).why_no_road


@pytest.mark.parametrize(
    ("tags", "way"),
    [
        ({}, 0),
        ({"oneway": "yes"}, 1),
        ({"oneway": "-1"}, -1),
        ({"oneway": "no"}, 0),
        ({"junction": "roundabout"}, 1),
        ({"oneway": "yes", "oneway__motor_vehicle": "no"}, 0),
    ],
    ids=str,
)
def test_one_way_streets(tags: dict[str, str], way: int) -> None:
    assert _rule(highway="residential", **tags).one_way == way


@pytest.mark.parametrize(
    ("text", "slope"),
    [("8%", 0.08), ("-12.5 %", -0.125), ("5°", 0.0875), ("1:10", 0.1), ("-1:8", -0.125), ("+6,5%", 0.065)],
)
def test_inclines_keep_their_sign(text: str, slope: float) -> None:
    assert incline(text) == pytest.approx(slope, abs=1e-4)


@pytest.mark.parametrize("text", ["up", "down", "steep", "", "8", "1:0", "nan%", "9" * 400 + "x%"])
def test_inclines_without_a_figure_are_left_to_the_terrain(text: str) -> None:
    assert incline(text) is None


@pytest.mark.parametrize(
    ("text", "kmh"),
    [("50", 50), ("20 mph", 32.19), ("30;50", 50), ("DE:urban", 50), ("FR:zone30", 30), ("JP:20", 20), ("none", 130)],
)
def test_speed_limits(text: str, kmh: float) -> None:
    assert speed_mps(text) == pytest.approx(kmh / 3.6, abs=0.01)


@pytest.mark.parametrize("text", ["", "signals", "fast", "0", "-30"])
def test_what_is_no_speed_limit_is_none(text: str) -> None:
    assert speed_mps(text) is None


@pytest.mark.parametrize(
    ("tags", "height_m"),
    [
        ({"kerb": "flush"}, 0.0),
        ({"kerb": "lowered"}, 0.03),
        ({"kerb": "raised"}, 0.15),
        ({"barrier": "kerb"}, 0.15),
        ({"kerb": "raised", "kerb:height": "0.08"}, 0.08),
        ({"barrier": "kerb", "height": "5 cm"}, 0.05),
        ({"barrier": "bollard"}, 0.0),
    ],
    ids=str,
)
def test_kerbs(tags: dict[str, str], height_m: float) -> None:
    assert kerb_m(tags) == pytest.approx(height_m)


def _at(network: Network, edge: GroundEdge, frame: LocalFrame) -> tuple[float, float]:
    """East of its two ends."""
    at = {node.node_id: frame.to_local(node.position)[0] for node in network.nodes}
    return at[edge.a], at[edge.b]


def test_an_edge_runs_with_its_one_way_and_its_incline_with_it(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), (40, 0)], {"highway": "residential", "oneway": "-1", "incline": "5%", "maxspeed": "30"})
    (edge,) = (network := _network(small, tmp_path)).edges
    east_a, east_b = _at(network, edge, small.frame)
    assert east_a > east_b
    assert (edge.one_way, edge.road, edge.robot) == (True, True, True)
    assert edge.incline == -0.05
    assert edge.max_speed_mps == pytest.approx(8.333)


def test_one_way_means_nothing_where_no_road_robot_may_go(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), (40, 0)], {"highway": "footway", "oneway": "yes"})
    (edge,) = _network(small, tmp_path).edges
    assert (edge.one_way, edge.road) == (False, False)


def test_a_kerb_is_on_the_crossing_and_not_on_the_sidewalk_past_it(tmp_path: Path) -> None:
    small = SmallMap()
    corner = small.node(0, 0, {"barrier": "kerb", "kerb": "raised"})
    far = small.node(0, 8, {"kerb": "lowered"})
    small.way([(-40, 0), corner, (40, 0)], {"highway": "footway", "footway": "sidewalk"})
    small.way([corner, far], {"highway": "footway", "footway": "crossing", "crossing": "uncontrolled"})
    small.way([far, (0, 48)], {"highway": "footway"})
    network = _network(small, tmp_path)
    kerbs = {(edge.kind, edge.crossing): edge.kerb_m for edge in network.edges}
    assert kerbs == {(WayKind.FOOTWAY, False): 0.0, (WayKind.CROSSING, True): 0.15}
    # Behind it no site for the usual robot is put.
    passed = [edge.kind for edge, passes in zip(network.edges, network.for_robots(), strict=True) if passes]
    assert WayKind.CROSSING not in passed
    assert all(edge.robot for edge in network.edges)


def test_a_kerb_in_the_middle_of_a_path_is_on_the_path(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), small.node(20, 0, {"kerb": "raised"}), (40, 0)], {"highway": "footway"})
    assert {edge.kerb_m for edge in _network(small, tmp_path).edges} == {0.15}


def test_what_is_marked_as_no_crossing_is_none(tmp_path: Path) -> None:
    small = SmallMap()
    middle = small.node(0, 0, {"highway": "crossing", "crossing": "no"})
    small.way([(-40, 0), middle, (40, 0)], {"highway": "tertiary"})
    small.way([(0, -40), middle], {"highway": "footway"})
    edges = {edge.kind: edge for edge in _network(small, tmp_path).edges}
    assert not edges[WayKind.FOOTWAY].robot
    assert edges[WayKind.ROAD].robot


def test_bollards_stop_road_robots_alone(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), small.node(20, 0, {"barrier": "bollard"}), (40, 0)], {"highway": "residential"})
    assert {(edge.robot, edge.road) for edge in _network(small, tmp_path).edges} == {(True, False)}


def test_a_street_closed_to_pedestrians_is_for_road_robots(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), (40, 0)], {"highway": "tertiary", "foot": "no"})
    assert [(edge.robot, edge.road) for edge in _network(small, tmp_path).edges] == [(False, True)]


def _area(small: SmallMap, *rings: list[tuple[float, float]], **properties: object) -> dict[str, object]:
    corners = [[small.frame.to_global(*corner) for corner in (*ring, ring[0])] for ring in rings]
    coordinates = [[[place.lon, place.lat] for place in ring] for ring in corners]
    geometry = {"type": "Polygon", "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _areas(folder: Path, small: SmallMap, *features: dict[str, object]) -> list[Feature]:
    path = folder / "area.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return read_robot_areas(path, small.frame, ImportNotes())


def test_ways_outside_the_approved_area_and_in_its_holes_are_closed(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(float(east), 0.0) for east in range(-200, 201, 40)], {"highway": "residential"})
    outer = [(-130.0, -50.0), (130.0, -50.0), (130.0, 50.0), (-130.0, 50.0)]
    hole = [(-10.0, -10.0), (10.0, -10.0), (10.0, 10.0), (-10.0, 10.0)]
    areas = _areas(tmp_path, small, _area(small, outer, hole, name="Town"))
    assert [(area.kind, area.name) for area in areas] == [("robot_area", "Town"), ("no_robot_area", "Town")]
    notes = ImportNotes()
    network = _network(small, tmp_path, areas, notes)
    open_at = {tuple(sorted(map(round, _at(network, edge, small.frame)))) for edge in network.edges if edge.robot}
    assert open_at
    assert all(low >= -130 and high <= 130 and not (low < 10 and high > -10) for low, high in open_at)
    assert {edge.robot for edge in network.edges} == {edge.road for edge in network.edges} == {True, False}
    assert notes.skipped["metres of way closed to robots: outside the approved area"] > 100


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        ({"type": "Point", "coordinates": [1.5, 42.5]}, "feature 0: Polygon or MultiPolygon needed"),
        ({"type": "Polygon", "coordinates": [[[1.5, 42.5], [1.6, 42.5], [1.5, 42.5]]]}, "feature 0"),
        ({"type": "Polygon", "coordinates": [[[1.5, 942], [1.6, 42.5], [1.6, 42.6], [1.5, 942]]]}, "degrees"),
        ({"type": "Polygon", "coordinates": [[[1.5, 42.5]] * 4]}, "encloses less than"),
        ({"type": "Polygon", "coordinates": "here"}, "feature 0: not a polygon"),
    ],
    ids=str,
)
def test_an_area_that_is_none_is_named(tmp_path: Path, geometry: dict[str, object], reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        _areas(tmp_path, SmallMap(), {"type": "Feature", "geometry": geometry, "properties": None})

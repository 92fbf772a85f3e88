"""Flight paths among zones with heights, times, permits and lanes, under radio links and over people."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import shapely

from routing.airspace import CEILING_AGL_M, MIN_CLEARANCE_M, ZONE_OVER_M, applies, zone_limits_amsl
from routing.errors import BadInput, NoWay
from routing.flight_path import FlightPaths
from routing.geo import LocalFrame, Position
from routing.problem import Permit, Policy
from routing.region.model import (
    AltitudeReference,
    LaneSection,
    Layer,
    Obstacle,
    Period,
    Population,
    Region,
    Restriction,
    Terrain,
    Zone,
)
from tests.problems import DRONE

FRAME = LocalFrame(Position(35.0, 138.0))
WEDNESDAY = datetime(2026, 4, 1, 0, 0, tzinfo=UTC)
WALL = ((-100.0, -2100.0), (100.0, -2100.0), (100.0, 2100.0), (-100.0, 2100.0))
"""From the southern to the northern border, between west and east."""


def _ring(*corners: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    places = [FRAME.to_global(*corner) for corner in corners]
    return tuple((place.lat, place.lon) for place in places)


def _zone(*corners: tuple[float, float], zone_id: str = "z", **how: Any) -> Zone:
    return Zone(zone_id, "test", "", "", _ring(*(corners or WALL)), **how)


def _region(*zones: Zone, heights: Any = None, error_m: float = 0.0, **more: Any) -> Region:
    """4 x 4 km around the origin; flat at 100 m unless told otherwise."""
    grid = np.full((41, 41), 100.0) if heights is None else heights
    terrain = Terrain(-2000.0, -2000.0, 100.0, np.asarray(grid, dtype=np.float32), "test", error_m)
    return Region("test", "試験", "Test", FRAME.origin, terrain, (), (), (), zones, **more)


def _at(east_m: float, north_m: float) -> Position:
    return FRAME.to_global(east_m, north_m, 100.0)


WEST, EAST = _at(-600, 0), _at(600, 0)


def _height(path: tuple[Position, ...], east_m: float) -> float:
    """Height above 100 m where a path from west to east passes."""
    local = [(*FRAME.to_local(point), point.alt_amsl_m) for point in path]
    return float(np.interp(east_m, [e for e, _, _ in local], [a for _, _, a in local])) - 100.0


def _length_m(path: tuple[Position, ...]) -> float:
    return sum(math.dist(FRAME.to_local(a), FRAME.to_local(b)) for a, b in pairwise(path))


# Heights.


def test_a_zone_is_passed_under_where_there_is_room_below_its_floor() -> None:
    path = FlightPaths(_region(_zone(floor_m=100.0))).path(WEST, EAST, layer_m=60.0)
    assert _length_m(path) == pytest.approx(1200, abs=1)
    for east_m in (-120, 0, 120):
        assert MIN_CLEARANCE_M <= _height(path, east_m) <= 100.0 - ZONE_OVER_M
    assert _height(path, -500) > 100.0


def test_a_zone_is_passed_over_where_there_is_room_above_its_ceiling() -> None:
    path = FlightPaths(_region(_zone(ceiling_m=90.0))).path(WEST, EAST)
    assert _length_m(path) == pytest.approx(1200, abs=1)
    for east_m in (-120, 0, 120):
        assert _height(path, east_m) >= 90.0 + ZONE_OVER_M
    assert _height(path, -550) < 90.0


@pytest.mark.parametrize("limits", [{"floor_m": 70.0}, {"ceiling_m": 135.0}, {"floor_m": 75.0, "ceiling_m": 300.0}])
def test_a_zone_without_room_under_or_over_it_is_flown_around(limits: dict[str, float]) -> None:
    box = ((-100.0, -300.0), (100.0, -300.0), (100.0, 300.0), (-100.0, 300.0))
    path = FlightPaths(_region(_zone(*box, **limits))).path(WEST, EAST)
    line = shapely.LineString([FRAME.to_local(point) for point in path])
    assert shapely.distance(line, shapely.Polygon(box)) >= 20.0


def test_nobody_takes_off_under_a_zone_that_reaches_to_the_ground() -> None:
    paths = FlightPaths(_region(_zone(ceiling_m=90.0)))
    with pytest.raises(NoWay, match="start lies in a no-fly zone"):
        paths.path(_at(0, 0), EAST)
    # Under a floor one may.
    assert FlightPaths(_region(_zone(floor_m=100.0))).path(_at(0, 0), EAST)


def test_a_floor_above_the_sea_closes_the_mountain_and_not_the_valley() -> None:
    """Half of the zone lies over ground 100 m higher: there, its floor at 260 m leaves no room."""
    heights = np.full((41, 41), 100.0)
    heights[26:, :] = 200.0
    zone = _zone(floor_m=260.0, floor_reference=AltitudeReference.AMSL)
    paths = FlightPaths(_region(zone, heights=heights))
    low = paths.path(WEST, EAST)
    assert _length_m(low) == pytest.approx(1200, abs=1)
    assert max(point.alt_amsl_m for point in low) <= 250.0
    start, end = (FRAME.to_global(east, 1200.0, 200.0) for east in (-600.0, 600.0))
    around = paths.path(start, end)
    norths = [FRAME.to_local(point)[1] for point in around if abs(FRAME.to_local(point)[0]) < 125.0]
    assert all(north < 650.0 for north in norths)


def test_terrain_error_comes_on_top_of_the_clearance() -> None:
    path = FlightPaths(_region(error_m=16.0)).path(WEST, EAST)
    assert _height(path, 0) == pytest.approx(MIN_CLEARANCE_M + 16.0 + 5.0, abs=0.1)


def test_tall_trees_are_flown_over_with_room_to_spare() -> None:
    values = np.zeros((41, 41))
    values[:, 20] = 45.0
    path = FlightPaths(_region(canopy=Layer(-2000.0, -2000.0, 100.0, values))).path(WEST, EAST)
    assert all(_height(path, east) >= 45.0 + 30.0 for east in (-99, 0, 99))
    assert _height(path, -500) == pytest.approx(65.0, abs=6.0)


def test_ellipsoidal_limits_go_through_the_geoid_and_without_one_there_is_an_error() -> None:
    zone = _zone(floor_m=240.0, floor_reference=AltitudeReference.ELLIPSOID)
    geoid = Layer(-2500.0, -2500.0, 500.0, np.full((11, 11), 40.0), "EGM2008 (EPSG:3855)")
    region = _region(zone, geoid=geoid)
    assert zone_limits_amsl(zone, region, [0.0], [0.0])[0] == pytest.approx([200.0])
    path = FlightPaths(region).path(WEST, EAST, layer_m=60.0)
    assert _height(path, 0) <= 100.0 - ZONE_OVER_M
    with pytest.raises(BadInput, match=r"zone z: .*no geoid model"):
        FlightPaths(_region(zone))


def test_limits_that_contradict_one_another_are_flown_around() -> None:
    """Under one zone and over another that overlaps it there is no height: the way leads past one of them."""
    box = ((-100.0, -300.0), (100.0, -300.0), (100.0, 2100.0), (-100.0, 2100.0))
    region = _region(_zone(zone_id="over", floor_m=95.0), _zone(*box, zone_id="under", ceiling_m=90.0))
    path = FlightPaths(region).path(_at(-600, 0), _at(600, 0))
    line = shapely.LineString([FRAME.to_local(point) for point in path])
    assert shapely.distance(line, shapely.Polygon(box)) >= 20.0
    assert max(_height(path, east) for east in (-100, 0, 100)) <= 95.0 - ZONE_OVER_M


# Times.


def test_a_zone_counts_while_it_applies() -> None:
    noon = Period(weekdays=(2,), from_minute=720, to_minute=780)
    paths = FlightPaths(_region(_zone(schedule=(noon,))))

    def during(hour: float, days: int = 0) -> tuple[datetime, datetime]:
        begin = WEDNESDAY + timedelta(days=days, hours=hour)
        return begin, begin + timedelta(minutes=10)

    assert _length_m(paths.path(WEST, EAST, during=during(9))) == pytest.approx(1200, abs=1)
    assert _length_m(paths.path(WEST, EAST, during=during(12.5, days=1))) == pytest.approx(1200, abs=1)
    # Without a time it may apply.
    for when in (during(12.5), during(11.9), None):
        with pytest.raises(NoWay, match="close every way"):
            paths.path(WEST, EAST, during=when)
    spans = paths.eras(WEDNESDAY, WEDNESDAY + timedelta(days=1))
    assert [begin.hour for begin, _ in spans] == [0, 12, 13]


@pytest.mark.parametrize(
    ("period", "hour", "expected"),
    [
        (Period(from_minute=1380, to_minute=60), 23.5, True),
        (Period(from_minute=1380, to_minute=60), 24.5, True),
        (Period(from_minute=1380, to_minute=60), 1.5, False),
        # On the night from Tuesday to Wednesday, which is Tuesday's.
        (Period(weekdays=(1,), from_minute=1380, to_minute=60), 0.5, True),
        (Period(weekdays=(2,), from_minute=1380, to_minute=60), 0.5, False),
        (Period(begins=WEDNESDAY + timedelta(hours=2)), 1.0, False),
        (Period(begins=WEDNESDAY + timedelta(hours=2)), 3.0, True),
        (Period(ends=WEDNESDAY + timedelta(hours=2)), 2.0, False),
        (Period(ends=WEDNESDAY + timedelta(hours=2)), 1.99, True),
        (Period(ends=WEDNESDAY + timedelta(hours=2), from_minute=60, to_minute=240), 3.0, False),
    ],
)
def test_periods_pass_midnight_and_begin_and_end(period: Period, hour: float, expected: bool) -> None:
    moment = WEDNESDAY + timedelta(hours=hour)
    assert applies(_zone(schedule=(period,)), moment, moment) is expected


# Permits.


def _permit(*corners: tuple[float, float], **how: Any) -> Permit:
    box = corners or ((-400.0, -400.0), (400.0, -400.0), (400.0, 400.0), (-400.0, 400.0))
    return Permit("p1", _ring(*box), **({"zones": ("z",)} | how))


def _goes(permit: Permit, **how: Any) -> bool:
    """Whether there is a way through a zone that needs an authorisation."""
    region = _region(_zone(restriction=Restriction.AUTHORISATION))
    try:
        FlightPaths(region, permits=[permit]).path(WEST, EAST, **how)
    except NoWay:
        return False
    return True


def test_a_permit_that_names_a_zone_opens_it_where_when_and_for_whom_it_says() -> None:
    day = (WEDNESDAY, WEDNESDAY + timedelta(minutes=10))
    assert _goes(_permit())
    assert not _goes(_permit(zones=("other",)))
    assert not _goes(_permit((-50.0, -50.0), (50.0, -50.0), (50.0, 50.0), (-50.0, 50.0)))
    assert _goes(_permit(type_ids=(DRONE.type_id,)), vehicle=DRONE)
    assert not _goes(_permit(type_ids=("another",)), vehicle=DRONE)
    # Midnight in UTC is nine in the morning in Japan.
    assert _goes(_permit(from_minute=480, to_minute=1020), during=day)
    assert not _goes(_permit(from_minute=600, to_minute=1020), during=day)
    assert not _goes(_permit(from_minute=480, to_minute=1020))
    assert _goes(_permit(daylight=True), during=day)
    night = (WEDNESDAY + timedelta(hours=12), WEDNESDAY + timedelta(hours=12, minutes=10))
    assert not _goes(_permit(daylight=True), during=night)
    assert not _goes(_permit(ends=WEDNESDAY + timedelta(minutes=5)), during=day)
    assert not _goes(_permit(ceiling_agl_m=50.0))


def test_a_permits_ceiling_is_kept_in_its_zone() -> None:
    region = _region(_zone(restriction=Restriction.AUTHORISATION))
    path = FlightPaths(region, permits=[_permit(ceiling_agl_m=80.0)]).path(WEST, EAST, layer_m=60.0)
    assert max(_height(path, east) for east in (-110, 0, 110)) <= 80.0
    assert _height(path, -550) > 100.0


def test_where_every_flight_needs_a_permit_none_leaves_its_area() -> None:
    """The area is bent: the straight line leaves it."""
    bent = ((-700.0, -100.0), (0.0, -500.0), (700.0, -100.0), (700.0, 200.0), (0.0, -200.0), (-700.0, 200.0))
    permit = Permit("p1", _ring(*bent))
    paths = FlightPaths(_region(), permits=[permit], policy=Policy(permit_required=True))
    path = paths.path(WEST, EAST)
    assert shapely.covers(shapely.Polygon(bent), shapely.LineString([FRAME.to_local(point) for point in path]))
    with pytest.raises(NoWay, match="destination lies outside the area of every permit"):
        paths.path(WEST, _at(0, 600))


def test_no_permit_opens_a_prohibited_zone() -> None:
    with pytest.raises(NoWay, match="close every way"):
        FlightPaths(_region(_zone()), permits=[_permit()]).path(WEST, EAST)
    assert FlightPaths(_region(_zone(restriction=Restriction.NONE))).path(WEST, EAST)


# Lanes.


def _lane(*places: tuple[float, float], **how: Any) -> LaneSection:
    line = tuple(FRAME.to_global(*place, 200.0) for place in places)
    return LaneSection(**({"section_id": "s", "a": "a", "b": "b", "line": line} | how))


def test_a_zone_for_lanes_only_is_crossed_along_the_lane() -> None:
    town = _zone(restriction=Restriction.CONDITIONAL, conditions=("lane",))
    lane = _lane((-800, 400), (0, 500), (800, 400))
    path = FlightPaths(_region(town, lanes=(lane,))).path(WEST, EAST)
    line = shapely.LineString([(-800, 400), (0, 500), (800, 400)])
    for place in shapely.segmentize(shapely.LineString([FRAME.to_local(p) for p in path]), 5.0).coords:
        assert abs(place[0]) > 120.0 or shapely.distance(line, shapely.Point(place)) <= 50.0
    for zone in (town, replace(town, conditions=("lane", "transponder"))):
        with pytest.raises(NoWay, match="close every way"):
            FlightPaths(_region(zone, lanes=(lane,) if zone is not town else ())).path(WEST, EAST)


def test_a_lane_is_worth_a_small_detour_and_no_large_one() -> None:
    near = _lane((-600, 60), (-300, 90), (300, 90), (600, 60))
    path = FlightPaths(_region(lanes=(near,))).path(WEST, EAST)
    assert max(FRAME.to_local(point)[1] for point in path) == pytest.approx(90.0, abs=1.0)
    far = _lane((-600, 600), (600, 600))
    assert len(FlightPaths(_region(lanes=(far,))).path(WEST, EAST)) == 2


def test_a_one_way_lane_is_taken_its_way_only() -> None:
    lane = _lane((-600, 60), (-300, 90), (300, 90), (600, 60), one_way=True)
    paths = FlightPaths(_region(lanes=(lane,)))
    assert len(paths.path(WEST, EAST)) > 2
    assert len(paths.path(EAST, WEST)) == 2


def test_nobody_flies_against_a_one_way_lane_through_a_zone_for_lanes_only() -> None:
    """The lane home lies 600 m farther north than the lane out."""
    town = _zone(restriction=Restriction.CONDITIONAL, conditions=("lane",))
    out = _lane((-800, 0), (800, 0), one_way=True)
    paths = FlightPaths(_region(town, lanes=(out,)))
    assert _length_m(paths.path(WEST, EAST)) == pytest.approx(1200, abs=1)
    with pytest.raises(NoWay, match="one-way"):
        paths.path(EAST, WEST)
    home = _lane((800, 600), (-800, 600), section_id="t", a="c", b="d", one_way=True)
    both = FlightPaths(_region(town, lanes=(out, replace(home, one_way=False))))
    back = both.path(EAST, WEST)
    assert max(FRAME.to_local(point)[1] for point in back) >= 550.0


@pytest.mark.parametrize(
    ("lanes", "words"),
    [
        ((_lane((0, 0), (100, 0)), _lane((0, 0), (100, 0))), "s: its id is used twice"),
        ((_lane((0, 0), (0, 0)),), "at least 2 different points"),
        ((_lane((0, 0), (math.nan, 0)),), "points on the earth"),
        ((_lane((0, 0), (100, 0), width_m=0.0),), "width_m must be a number above 0"),
        ((_lane((0, 0), (100, 0)), _lane((500, 0), (600, 0), section_id="t")), "junction a is 500 m from"),
    ],
)
def test_lanes_that_cannot_be_are_refused_by_name(lanes: tuple[LaneSection, ...], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        FlightPaths(_region(lanes=lanes))


# Radio.


def _radio(least_m: float, *, rows: slice = slice(None), step_m: float = 100.0) -> Layer:
    """A band 200 to 300 m wide across the way from west to east, where the link begins so high."""
    values = np.zeros((41, 41))
    values[rows, 20:22] = least_m
    return Layer(-2000.0, -2000.0, step_m, values)


def test_a_flight_rises_to_where_it_has_a_link() -> None:
    region = _region(radio=_radio(110.0))
    path = FlightPaths(region).path(WEST, EAST, vehicle=DRONE)
    assert _length_m(path) == pytest.approx(1200, abs=1)
    assert min(_height(path, east) for east in (-30, 50, 130)) >= 110.0
    # Nobody asks for a link without a vehicle, or where the policy does not.
    assert _height(FlightPaths(region).path(WEST, EAST), 50) == pytest.approx(65, abs=0.1)
    loose = FlightPaths(region, policy=Policy(radio=False))
    assert _height(loose.path(WEST, EAST, vehicle=DRONE), 50) == pytest.approx(65, abs=0.1)
    # So short a gap is no reason to climb.
    patient = replace(DRONE, lost_link_s=60.0)
    assert _height(FlightPaths(region).path(WEST, EAST, vehicle=patient), 50) == pytest.approx(65, abs=0.1)


def test_a_shadow_as_high_as_the_ceiling_is_flown_around() -> None:
    region = _region(radio=_radio(math.inf, rows=slice(16, 25)))
    path = FlightPaths(region).path(WEST, EAST, vehicle=DRONE)
    assert abs(FRAME.to_local(path[len(path) // 2])[1]) > 400.0
    closed = _region(radio=_radio(CEILING_AGL_M))
    with pytest.raises(NoWay, match="no radio link for longer"):
        FlightPaths(closed).path(WEST, EAST, vehicle=DRONE)


# People.


def _people(persons: float) -> Population:
    """A town 500 m across in the middle."""
    values = np.zeros((16, 16))
    values[7:9, 7:9] = persons
    return Population(-2000.0, -2000.0, 250.0, values)


def test_people_are_flown_around_where_the_limit_says_so() -> None:
    """400 persons on a quarter of a kilometre squared: class 5 for a drone of 1 m (under 5,000 to the square km)."""
    region, small = _region(population=_people(100.0)), replace(DRONE, span_m=1.0)
    limited = FlightPaths(region, policy=Policy(ground_risk=4))
    path = limited.path(WEST, EAST, vehicle=small)
    assert not shapely.intersects(shapely.box(-250, -250, 250, 250), shapely.LineString(map(FRAME.to_local, path)))
    assert FlightPaths(region, policy=Policy(ground_risk=5)).path(WEST, _at(0, 0), vehicle=small)
    with pytest.raises(NoWay, match="more people live"):
        limited.path(WEST, _at(0, 0), vehicle=small)
    with pytest.raises(NoWay, match="more people live"):
        FlightPaths(region, policy=Policy(ground_risk=5)).path(WEST, _at(0, 0), vehicle=replace(DRONE, span_m=2.0))
    with pytest.raises(BadInput, match="no population"):
        FlightPaths(_region(), policy=Policy(ground_risk=4))


def test_a_small_detour_around_people_is_worth_it() -> None:
    region = _region(population=_people(2_000.0))
    path = FlightPaths(region).path(WEST, EAST, vehicle=DRONE)
    assert not shapely.intersects(shapely.box(-200, -200, 200, 200), shapely.LineString(map(FRAME.to_local, path)))
    assert len(FlightPaths(region).path(WEST, EAST)) == 2


# Many at once.


def test_paths_all_at_once_are_those_one_by_one_whatever_the_number_of_threads() -> None:
    rng = np.random.default_rng(3)
    boxes = [
        _zone((x, y), (x + 90, y), (x + 90, y + 150), (x, y + 150), zone_id=f"z{i}", ceiling_m=[None, 80.0][i % 2])
        for i, (x, y) in enumerate(rng.uniform(-1800, 1700, (40, 2)))
    ]
    heights = 100.0 + 60.0 * np.sin(np.arange(41) / 3.0)[:, None] * np.cos(np.arange(41) / 4.0)
    mast = Obstacle("mast", "mast", "Mast", (FRAME.to_global(0.0, 0.0, 240.0),), 40.0)
    region = _region(*boxes, heights=heights, obstacles=(mast,))
    ends = rng.uniform(-1900, 1900, (600, 4))
    pairs = [(_at(*end[:2]), _at(*end[2:])) for end in ends]
    layers = rng.uniform(0, 40, 600)
    many, one_thread = (FlightPaths(region).paths(pairs, layers_m=layers, workers=count) for count in (3, 1))
    assert [str(path) for path in many] == [str(path) for path in one_thread]
    assert 50 < sum(isinstance(path, NoWay) for path in many) < 500
    single = FlightPaths(region)
    for pair, layer, path in list(zip(pairs, layers, many, strict=True))[:40]:
        if isinstance(path, NoWay):
            with pytest.raises(NoWay, match=str(path)[:60]):
                single.path(*pair, layer_m=layer)
        else:
            assert single.path(*pair, layer_m=layer) == path


# Bad input.


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        (_zone((0, 0), (100, 100), (100, 0), (0, 150)), "zone z: the ring crosses or touches itself"),
        (replace(_zone(), ring=()), "zone z: the ring needs at least 3 different points"),
        (replace(_zone(), ring=((35.0, 138.0),) * 5), "zone z: the ring needs at least 3 different points"),
        (replace(_zone(), ring=((35.0, math.nan), (35.1, 138.0), (35.1, 138.1))), "zone z: the ring needs"),
        (_zone((0, 0), (50, 50), (100, 100)), "zone z: the ring encloses less than 1 m2"),
        (_zone(floor_m=120.0, ceiling_m=60.0), "zone z: its floor, 120 m, is not below its ceiling, 60 m"),
        (_zone(floor_m=math.nan), "zone z: floor_m must be a number"),
        (_zone(margin_m=-1.0), "zone z: margin_m must be 0 or more"),
        (
            _zone(schedule=(Period(begins=WEDNESDAY.replace(tzinfo=None)),)),
            "zone z: the times of its schedule need a time zone",
        ),
        (_zone(schedule=(Period(weekdays=(7,)),)), "zone z: weekdays"),
        (_zone(schedule=(Period(from_minute=-5),)), "zone z: minutes"),
    ],
)
def test_a_zone_that_cannot_be_is_named(zone: Zone, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        FlightPaths(_region(zone))
    with pytest.raises(BadInput, match=words):
        FlightPaths(_region(), zones=[zone])


def test_a_zone_added_twice_and_a_permit_that_cannot_be_are_refused() -> None:
    with pytest.raises(BadInput, match="zone id 'z' is used twice"):
        FlightPaths(_region(_zone()), zones=[_zone()])
    with pytest.raises(BadInput, match="permit p1: the ring crosses itself"):
        FlightPaths(_region(), permits=[_permit((0, 0), (100, 100), (100, 0), (0, 100))])
    with pytest.raises(BadInput, match="permit p1: it ends before it begins"):
        FlightPaths(_region(), permits=[_permit(begins=WEDNESDAY, ends=WEDNESDAY - timedelta(days=1))])


def test_a_zones_own_margin_is_kept() -> None:
    box = ((-100.0, -100.0), (100.0, -100.0), (100.0, 300.0), (-100.0, 300.0))
    path = FlightPaths(_region(_zone(*box, margin_m=120.0))).path(WEST, EAST)
    line = shapely.LineString([FRAME.to_local(point) for point in path])
    assert 120.0 <= shapely.distance(line, shapely.Polygon(box)) < 135.0

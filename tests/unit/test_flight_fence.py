"""Fences of flights: what is inside, what is shut out, and that an autopilot can keep them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.profiles import load_profile
from routing.errors import BadInput
from routing.flight_fence import (
    HALF_WIDTH_M,
    MAX_POINTS,
    MAX_RALLY,
    OFF_PATH_M,
    FlightFence,
    closed_on,
    contains,
    flight_fence,
    keeps_inside,
)
from routing.geo import LocalFrame, Position
from routing.problem import Permit
from routing.region.model import AltitudeReference, Restriction, Zone
from routing.region.sample import sample_region

ORIGIN = Position(35.0, 135.0, 0.0)
FRAME = LocalFrame(ORIGIN)
Places = list[tuple[float, float]]

far = st.floats(-5_000, 5_000)
paths = st.lists(st.tuples(far, far), min_size=1, max_size=40)
boxes = st.lists(st.tuples(far, far, st.floats(5, 800), st.floats(5, 800)), max_size=12)


def at(east_m: float, north_m: float) -> Position:
    return FRAME.to_global(east_m, north_m, 100.0)


def box(name: str, east_m: float, north_m: float, width_m: float, height_m: float) -> Zone:
    corners = ((0, 0), (width_m, 0), (width_m, height_m), (0, height_m))
    ring = [at(east_m + x, north_m + y) for x, y in corners]
    return Zone(name, "school", name, name, tuple((place.lat, place.lon) for place in ring))


def fence_of(places: Places, zones: list[Zone] | None = None, **more: object) -> FlightFence:
    path = [at(*place) for place in places]
    return flight_fence(path, frame=FRAME, home=[path[0]], closed=zones or [], **more)  # type: ignore[arg-type]


def area(ring: tuple[Position, ...]) -> shapely.Polygon:
    return shapely.Polygon([FRAME.to_local(place) for place in ring])


def line(places: Places) -> shapely.LineString:
    return shapely.LineString([*places, (places[-1][0] + 0.01, places[-1][1])])


@settings(max_examples=60, deadline=None)
@given(paths, boxes)
def test_any_flight_gets_a_fence_that_it_does_not_meet_and_that_an_autopilot_can_keep(
    places: Places, squares: list[tuple[float, float, float, float]]
) -> None:
    zones = [box(f"z{i}", *square) for i, square in enumerate(squares)]

    fence = fence_of(places, zones)

    inside, shut = area(fence.inclusion), [area(ring) for ring in fence.exclusions]
    assert fence.points <= MAX_POINTS
    assert inside.is_valid
    assert all(ring.is_valid and ring.area > 1.0 for ring in shut)
    assert inside.covers(line(places).buffer(HALF_WIDTH_M - 0.5))
    assert all(ring.distance(line(places)) >= OFF_PATH_M - 0.1 for ring in shut)
    assert contains([fence.inclusion], fence.exclusions, at(*places[0]))


@settings(max_examples=30, deadline=None)
@given(paths, boxes)
def test_every_zone_in_the_corridor_that_the_path_keeps_off_is_shut_out_or_named(
    places: Places, squares: list[tuple[float, float, float, float]]
) -> None:
    zones = [box(f"z{i}", *square) for i, square in enumerate(squares)]

    fence = fence_of(places, zones)

    shut = shapely.union_all([area(ring) for ring in fence.exclusions]).buffer(0.1)
    inside = area(fence.inclusion)
    for zone in zones:
        there = area(tuple(Position(*corner) for corner in zone.ring))
        if there.distance(line(places)) < OFF_PATH_M or zone.zone_id in fence.left_out:
            continue
        assert shapely.area(shapely.difference(there.intersection(inside), shut)) < 26.0


def test_a_straight_flight_has_a_fence_as_wide_as_a_lane() -> None:
    fence = fence_of([(0, 0), (3_000, 0)])

    assert len(fence.inclusion) <= 8
    west, south, east, north = area(fence.inclusion).bounds
    assert (south, north) == pytest.approx((-50, 50), abs=5)
    assert (west, east) == pytest.approx((-50, 3_050), abs=30)


def test_the_same_flight_has_the_same_fence() -> None:
    places = [(0.0, 0.0), (700.0, 300.0), (1_500.0, -200.0), (0.0, 0.0)]
    zones = [box("a", 600, 60, 50, 50), box("b", 900, 250, 80, 40)]

    assert fence_of(places, zones) == fence_of(places, zones)


def test_what_a_loop_encloses_is_inside_but_for_a_zone() -> None:
    loop: Places = [(0, 0), (1_000, 0), (1_000, 1_000), (0, 1_000), (0, 0)]

    fence = fence_of(loop, [box("school", 100, 100, 300, 300)])

    assert contains([fence.inclusion], fence.exclusions, at(700, 700))
    assert not contains([fence.inclusion], fence.exclusions, at(200, 200))


def test_a_zone_that_the_flight_crosses_is_no_exclusion() -> None:
    fence = fence_of([(0, 0), (1_000, 0)], [box("crossed", 400, -20, 100, 300), box("beside", 700, 20, 50, 50)])

    assert len(fence.exclusions) == 1
    assert contains([fence.inclusion], fence.exclusions, at(450, 0))
    assert not contains([fence.inclusion], fence.exclusions, at(720, 30))


def test_a_zone_out_of_reach_costs_no_points() -> None:
    assert fence_of([(0, 0), (1_000, 0)], [box("away", 400, 200, 100, 300)]).exclusions == ()


def test_more_zones_than_points_are_shut_out_nearest_first_and_the_others_named() -> None:
    zones = [box(f"z{i:02}", 100 + 60 * i, 20 + i / 2, 20, 20) for i in range(30)]

    fence = fence_of([(0, 0), (3_000, 0)], zones)

    assert fence.points <= MAX_POINTS
    assert len(fence.exclusions) == (MAX_POINTS - 24) // 4
    assert fence.left_out == tuple(f"z{i:02}" for i in range(10, 30))


def test_sites_beside_the_path_are_promised_with_a_way_to_them() -> None:
    sites = [("near", at(500, 90)), ("far", at(500, 900)), ("shut", at(800, -90)), ("on", at(1_000, 0))]

    fence = fence_of([(0, 0), (1_000, 0)], [box("z", 760, -70, 80, 20)], sites=sites)

    assert fence.rally == ("on", "near")
    assert contains([fence.inclusion], fence.exclusions, at(500, 90))
    assert keeps_inside([fence.inclusion], fence.exclusions, at(500, 0), at(500, 90))
    assert not keeps_inside([fence.inclusion], fence.exclusions, at(800, 0), at(800, -90))


def test_there_are_no_more_rally_points_than_an_autopilot_takes() -> None:
    sites = [(f"s{i}", at(25.0 * i, 0)) for i in range(60)]

    assert len(fence_of([(0, 0), (2_000, 0)], sites=sites).rally) == MAX_RALLY


@pytest.mark.parametrize("bad", [Position(math.nan, 135), Position(35, math.inf)])
def test_a_place_that_is_none_is_refused(bad: Position) -> None:
    with pytest.raises(BadInput, match="places on the earth"):
        flight_fence([ORIGIN, bad], frame=FRAME, home=[ORIGIN])


def test_a_fence_without_a_path_is_refused() -> None:
    with pytest.raises(BadInput, match="needs a path"):
        flight_fence([], frame=FRAME, home=[])


REGION = sample_region()
NOON = datetime(2026, 5, 1, 3, tzinfo=UTC)
FLIGHT = (NOON, NOON + timedelta(minutes=20))


def _over_region(height_m: float) -> list[Position]:
    ground = REGION.ground_amsl_m(REGION.origin)
    return [Position(REGION.origin.lat, REGION.origin.lon, ground + height_m)]


def _zone(**more: object) -> Zone:
    lat, lon = REGION.origin.lat, REGION.origin.lon
    ring = tuple((lat + dy, lon + dx) for dx, dy in ((0, 0), (0.001, 0), (0.001, 0.001), (0, 0.001)))
    return Zone("z", "school", "z", "z", ring, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("zone", "closed"),
    [
        (_zone(), True),
        (_zone(restriction=Restriction.NONE), False),
        (_zone(restriction=Restriction.AUTHORISATION), False),
        (_zone(floor_m=3_000.0, floor_reference=AltitudeReference.AMSL), False),
        (_zone(ceiling_m=-50.0, ceiling_reference=AltitudeReference.AMSL), False),
        (_zone(floor_m=50.0), True),
    ],
)
def test_a_zone_is_closed_unless_a_permit_or_another_height_opens_it(zone: Zone, closed: bool) -> None:
    permit = Permit("p", ring=_zone().ring, zones=("z",))

    found = closed_on([zone], [permit], load_profile("multirotor_1kg"), FLIGHT, _over_region(80.0), REGION)

    assert bool(found) is closed

"""Straight ways that nobody has planned: their height, what they take and what is in their way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import shapely

from hardware.profiles import load_profile
from routing.airspace import CEILING_AGL_M
from routing.geo import Position
from routing.region.model import Period, Region, Restriction, Terrain, Zone
from routing.straight_way import LEAST_OVER_M, Closed, StraightWay, Target, level_amsl_m, straight_ways
from routing.wind import Wind
from tests.problems import START, village

DRONE = load_profile("multirotor_1kg")


def region(*, hill_m: float = 0.0, zones: tuple[Zone, ...] = ()) -> Region:
    """Flat land at 100 m with a ridge of ``hill_m`` across its middle."""
    heights = np.full((101, 101), 100.0)
    heights[:, 48:53] += hill_m
    found = village(1)
    terrain = Terrain(-1_000.0, -1_000.0, 20.0, heights, "test", 0.5)
    return replace(
        found,
        terrain=terrain,
        zones=zones,
        obstacles=(),
        canopy=None,
        radio=None,
        population=None,
        lanes=(),
        geoid=None,
    )


def at(place: Region, east: float, north: float, alt: float) -> Position:
    return place.frame.to_global(east, north, alt)


def one_way(
    place: Region,
    *,
    alt: float = 180.0,
    begin: tuple[float, float] = (-600.0, 0.0),
    end: tuple[float, float] = (600.0, 0.0),
    **more: Any,
) -> StraightWay:
    target = Target("site", at(place, *end, 100.0))
    (way,) = straight_ways(place, DRONE, at(place, *begin, alt), [target], at=START, **more)
    return way


def box(name: str, west: float, south: float, east: float, north: float, **more: Any) -> Zone:
    ring = [(west, south), (east, south), (east, north), (west, north)]
    corners = tuple((p.lat, p.lon) for p in (region().frame.to_global(*corner) for corner in ring))
    return Zone(name, "school", name, name, corners, **more)


def test_over_flat_land_a_drone_keeps_its_height() -> None:
    way = one_way(region(), alt=180.0)

    assert way.alt_amsl_m == 180.0
    assert not way.too_high
    assert way.distance_m == pytest.approx(1_200.0, rel=0.01)


@pytest.mark.parametrize(("alt", "level"), [(110.0, 160.5), (400.0, 250.0)])
def test_one_that_is_too_low_or_too_high_goes_to_the_edge_of_its_band(alt: float, level: float) -> None:
    assert one_way(region(), alt=alt).alt_amsl_m == pytest.approx(level)


def test_a_ridge_is_flown_over_and_the_ceiling_is_kept_on_both_sides() -> None:
    place = region(hill_m=80.0)

    way = one_way(place, alt=150.0)

    assert way.alt_amsl_m >= 180.0 + LEAST_OVER_M
    assert way.alt_amsl_m <= 100.0 + CEILING_AGL_M + 1e-6
    assert not way.too_high


def test_over_a_ridge_that_is_too_tall_for_both_the_ground_counts_and_it_is_said() -> None:
    place = region(hill_m=200.0)

    way = one_way(place, alt=150.0)

    assert way.alt_amsl_m == pytest.approx(300.0 + LEAST_OVER_M + 0.5)
    assert way.too_high


def test_above_the_place_where_it_comes_down_it_does_not_climb_first() -> None:
    place = region()
    here = at(place, 0.0, 0.0, 120.0)

    assert level_amsl_m(place, here, at(place, 3.0, 0.0, 100.0)) == (120.0, False)


def test_the_nearest_is_the_one_that_takes_least_energy_not_the_least_metres() -> None:
    place = region()
    here = at(place, 0.0, 0.0, 180.0)
    upwind, downwind = Target("up", at(place, 500.0, 0.0, 100.0)), Target("down", at(place, -600.0, 0.0, 100.0))

    calm = straight_ways(place, DRONE, here, [downwind, upwind], at=START)
    windy = straight_ways(place, DRONE, here, [downwind, upwind], at=START, wind=Wind(-8.0, 0.0, 8.0))

    assert [way.site_id for way in calm] == ["up", "down"]
    assert [way.site_id for way in windy] == ["down", "up"]
    assert all(way.needed_wh > 0 for way in calm)


def test_what_cannot_be_reached_against_the_wind_is_left_out() -> None:
    place = region()
    target = Target("up", at(place, 500.0, 0.0, 100.0))

    assert straight_ways(place, DRONE, at(place, 0, 0, 180), [target], at=START, wind=Wind(-30.0, 0.0, 30.0)) == ()


def test_parcels_and_distance_make_a_way_dearer() -> None:
    place = region()
    near, far = one_way(place, end=(0.0, 0.0)), one_way(place)

    assert near.needed_wh < far.needed_wh < one_way(place, payload_kg=1.0).needed_wh


@pytest.mark.parametrize(
    ("zone", "closed"),
    [
        (box("across", -50, -50, 50, 50), True),
        (box("beside", -50, 200, 50, 300), False),
        (box("a corner", -50, 12, 50, 100), True),  # within its margin of 20 m
        (box("below", -50, -50, 50, 50, ceiling_m=30.0), False),
        (box("above", -50, -50, 50, 50, floor_m=120.0), False),
        (box("asks nothing", -50, -50, 50, 50, restriction=Restriction.NONE), False),
        (box("takes a permit", -50, -50, 50, 50, restriction=Restriction.AUTHORISATION), True),
        (box("tomorrow", -50, -50, 50, 50, schedule=(Period(begins=START + timedelta(days=1)),)), False),
        (box("low at its end", 550, -50, 650, 50, ceiling_m=30.0), True),
        (box("around its beginning", -650, -50, -550, 50), False),
        (box("around all of it", -700, -50, 700, 50), True),
    ],
)
def test_closed_zones_on_the_way_are_named(zone: Zone, closed: bool) -> None:
    way = one_way(region(zones=(zone,)))

    assert way.through == ((zone.zone_id,) if closed else ())
    assert way.clear is not closed


def test_what_is_closed_besides_counts_too() -> None:
    area = Closed("a helicopter", shapely.box(-50, -50, 50, 50))

    assert one_way(region(), closed=[area]).through == ("a helicopter",)


def test_a_way_without_length_is_a_landing() -> None:
    way = one_way(region(), begin=(0.0, 0.0), end=(0.0, 0.0))

    assert way.distance_m == pytest.approx(0.0, abs=0.01)
    assert way.duration_s > 20.0

"""Monitors of the airspace: zones, the fence, and other vehicles; with the samples of a real autopilot's flight."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from routing.airspace import CEILING_AGL_M
from routing.geo import Position
from routing.problem import Permit, Separation
from routing.region.model import AltitudeReference, LaneSection, Period, Restriction, Zone
from telemetry.monitors.fence import Approved, FenceBreach
from telemetry.monitors.finding import Finding
from telemetry.monitors.monitor import place_of
from telemetry.monitors.traffic import AHEAD_S, Flying, Velocity, too_close
from telemetry.monitors.zones import ClosedAirspace, ZoneBreach
from telemetry.sample import Sample
from tests.flown import EVERY_S, Flown, changed, flown, found, many_zones, moved
from tests.problems import DRONE

APART = Separation()
SOON = timedelta(seconds=2)


# -- zones and the fence ------------------------------------------------------------------------------------


def zone_around(flight: Flown, sample: Sample, *, half_m: float = 60.0, **changes: Any) -> Zone:
    place = place_of(sample, flight.frame)
    assert place is not None
    corners = [
        flight.frame.to_global(place[0] + east, place[1] + north)
        for east, north in ((-half_m, -half_m), (half_m, -half_m), (half_m, half_m), (-half_m, half_m))
    ]
    ring = tuple((corner.lat, corner.lon) for corner in corners)
    return replace(Zone("z-1", "school", "小学校", "School", ring), **changes)


def first_inside(flight: Flown, half_m: float = 60.0) -> datetime:
    there = place_of(flight.samples[flight.cruising()], flight.frame)
    assert there is not None
    for sample in flight.airborne():
        place = place_of(sample, flight.frame)
        assert place is not None
        if max(abs(place[0] - there[0]), abs(place[1] - there[1])) < half_m:
            return sample.t
    raise AssertionError


def breaches(flight: Flown, zone: Zone, permits: tuple[Permit, ...] = ()) -> list[tuple[datetime, Finding]]:
    airspace = ClosedAirspace(flight.region, [zone], permits)
    return found(ZoneBreach(airspace, DRONE), flight.samples)


def test_a_drone_in_a_closed_zone_is_found_at_once_with_the_zones_name_until_it_has_left() -> None:
    flight = flown()
    seen = breaches(flight, zone_around(flight, flight.samples[flight.cruising()]))
    assert seen[0][0] - first_inside(flight) <= timedelta(seconds=EVERY_S)
    assert (seen[0][1].key, seen[0][1].values) == ("z-1", {"zone": "小学校"})
    assert len(seen) < len(flight.samples) / 2


HIGH_M = 5_000.0


@pytest.mark.parametrize(
    ("changes", "inside"),
    [
        ({"floor_m": 200.0, "floor_reference": AltitudeReference.AGL}, False),
        ({"floor_m": 10.0, "floor_reference": AltitudeReference.AGL}, True),
        ({"ceiling_m": 30.0, "ceiling_reference": AltitudeReference.AGL}, False),
        ({"ceiling_m": HIGH_M, "ceiling_reference": AltitudeReference.AMSL}, True),
        ({"restriction": Restriction.NONE}, False),
        ({"restriction": Restriction.AUTHORISATION}, True),
    ],
)
def test_a_zone_is_closed_between_its_floor_and_ceiling_as_far_as_it_is_restricted(
    changes: dict[str, Any], inside: bool
) -> None:
    flight = flown()
    zone = zone_around(flight, flight.samples[flight.cruising()], **changes)
    assert bool(breaches(flight, zone)) is inside


def test_a_zone_is_closed_while_it_applies() -> None:
    flight = flown()
    around = zone_around(flight, flight.samples[flight.cruising()])
    begins = first_inside(flight)
    now = replace(around, schedule=(Period(begins=begins + timedelta(seconds=2), ends=begins + timedelta(hours=1)),))
    assert breaches(flight, now)[0][0] >= begins + timedelta(seconds=2)
    later = replace(around, schedule=(Period(begins=begins + timedelta(hours=1), ends=None),))
    assert breaches(flight, later) == []


def test_a_permit_that_names_a_zone_opens_it_for_its_types() -> None:
    flight = flown()
    around = zone_around(flight, flight.samples[flight.cruising()], restriction=Restriction.AUTHORISATION)
    wide = zone_around(flight, flight.samples[flight.cruising()], half_m=500.0).ring
    assert breaches(flight, around, (Permit("p-1", wide, zones=("z-1",)),)) == []
    assert breaches(flight, around, (Permit("p-1", wide, zones=("z-2",)),))
    assert breaches(flight, around, (Permit("p-1", wide, zones=("z-1",), type_ids=("vtol_5kg",)),))


def test_a_zone_for_lanes_only_is_open_along_its_lane() -> None:
    flight = flown()
    sample = flight.samples[flight.cruising()]
    lanes_only = zone_around(flight, sample, restriction=Restriction.CONDITIONAL, conditions=("lane",))
    assert breaches(flight, lanes_only)

    line = tuple(Position((s.lat_e7 or 0) / 1e7, (s.lon_e7 or 0) / 1e7, 600.0) for s in flight.airborne()[::25])
    lane = LaneSection("l-1", "a", "b", line)
    region = replace(flight.region, lanes=(lane,))
    assert found(ZoneBreach(ClosedAirspace(region, [lanes_only]), DRONE), flight.samples) == []


def test_five_hundred_zones_cost_a_fraction_of_a_millisecond_a_sample() -> None:
    flight = flown()
    monitor = ZoneBreach(ClosedAirspace(flight.region, many_zones(flight.region)), DRONE)
    samples = flight.airborne()
    took = []
    for _ in range(3):
        begin = time.perf_counter()
        for sample in samples:
            monitor.take(sample)
        took.append((time.perf_counter() - begin) / len(samples))
    # Ten times of what it takes alone: the machine is busy.
    assert min(took) < 1e-3


def test_a_drone_above_the_ceiling_or_beyond_the_region_has_left_what_is_approved() -> None:
    flight = flown()
    fence = FenceBreach(Approved(flight.region), DRONE)
    begin = flight.samples[flight.cruising()].t
    seen = found(fence, changed(flight.samples, flight.cruising(), lambda s: moved(s, flight.frame, up_m=120.0)))
    assert seen[0][0] - begin < SOON
    assert 0.0 < float(seen[0][1].values["outside_m"]) < 120.0

    width_m = flight.region.terrain.east_m - flight.region.terrain.west_m
    seen = found(fence, changed(flight.samples, flight.cruising(), lambda s: moved(s, flight.frame, east_m=width_m)))
    assert seen[0][0] - begin < SOON


def test_permits_are_the_fence_where_there_are_any() -> None:
    flight = flown()
    places = [place_of(sample, flight.frame) for sample in flight.airborne()]
    rows = np.array([place for place in places if place is not None])
    low, high = rows[:, :2].min(axis=0) - 20.0, rows[:, :2].max(axis=0) + 20.0
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    ring = tuple((p.lat, p.lon) for p in (flight.frame.to_global(*corner) for corner in corners))
    around = Permit("p-1", ring, ceiling_agl_m=CEILING_AGL_M)
    assert found(FenceBreach(Approved(flight.region, [around]), DRONE), flight.samples) == []
    assert found(FenceBreach(Approved(flight.region, [replace(around, ceiling_agl_m=40.0)]), DRONE), flight.samples)
    half = replace(around, ring=(ring[0], (ring[1][0], (ring[0][1] + ring[1][1]) / 2), ring[3]))
    assert found(FenceBreach(Approved(flight.region, [half]), DRONE), flight.samples)
    # A permit that does not hold, or is for others, is none.
    over = replace(around, ends=flight.trip.depart - timedelta(days=1))
    assert found(FenceBreach(Approved(flight.region, [over]), DRONE), flight.samples)[0][1].values == {}


# -- separation ----------------------------------------------------------------------------------------------


def flying(name: str, *place: float, velocity: Velocity = (0.0, 0.0, 0.0), at_s: float = 0.0) -> Flying:
    return Flying(name, at_s, (place[0], place[1], place[2]), velocity)


def pairs(*vehicles: Flying, own: int = 1, now_s: float = 0.0) -> list[Finding]:
    results = too_close(vehicles[:own], vehicles, now_s=now_s, apart=APART)
    return [finding for findings in results.values() for finding in findings]


@pytest.mark.parametrize(
    ("place", "is_near"),
    [
        ((49.0, 0.0, 119.0), True),
        ((51.0, 0.0, 100.0), False),
        ((0.0, 0.0, 121.0), False),
        ((40.0, 40.0, 100.0), False),
    ],
)
def test_two_are_too_close_horizontally_and_vertically_at_once(place: tuple[float, ...], is_near: bool) -> None:
    seen = pairs(flying("a", 0.0, 0.0, 100.0), flying("b", *place))
    assert bool(seen) is is_near
    assert all(finding.worse and finding.key == "b" for finding in seen)


def test_two_that_head_for_one_another_are_found_before_they_are_too_close() -> None:
    ahead_m = APART.horizontal_m + 20.0 * (AHEAD_S - 0.5)
    a = flying("a", 0.0, 0.0, 100.0, velocity=(10.0, 0.0, 0.0))
    (finding,) = pairs(a, flying("b", ahead_m, 0.0, 100.0, velocity=(-10.0, 0.0, 0.0)))
    assert not finding.worse
    assert finding.values == {"other": "b", "horizontal_m": round(ahead_m, 1), "vertical_m": 0.0}
    assert pairs(a, flying("b", ahead_m + 30.0, 0.0, 100.0, velocity=(-10.0, 0.0, 0.0))) == []
    assert pairs(a, flying("b", ahead_m, 0.0, 100.0, velocity=(10.0, 0.0, 0.0))) == []


def test_heights_that_close_in_count_at_the_moment_when_places_do() -> None:
    a = flying("a", 0.0, 0.0, 100.0)
    assert pairs(a, flying("b", 10.0, 0.0, 130.0, velocity=(0.0, 0.0, -3.0)))
    assert pairs(a, flying("b", 10.0, 0.0, 140.0, velocity=(0.0, 0.0, -3.0))) == []
    # It is beyond by the time it is down here.
    assert pairs(a, flying("b", 0.0, 0.0, 130.0, velocity=(25.0, 0.0, -3.0))) == []


def test_positions_are_carried_on_to_now_and_old_ones_left_out() -> None:
    a = flying("a", 0.0, 0.0, 100.0, at_s=2.0)
    comes = flying("b", 100.0, 0.0, 100.0, velocity=(-30.0, 0.0, 0.0))
    assert pairs(a, comes, now_s=2.0)[0].values["horizontal_m"] == 40.0
    assert pairs(a, comes, now_s=3.5) == []


def test_three_hundred_vehicles_are_compared_in_some_milliseconds() -> None:
    rng = np.random.default_rng(2)
    fleet = [
        flying(f"d-{i}", *(x * 10_000.0 for x in rng.random(2)), 100.0 + 50.0 * rng.random(), velocity=(5.0, 5.0, 0.0))
        for i in range(300)
    ]
    took = []
    for _ in range(5):
        begin = time.perf_counter()
        too_close(fleet[:30], fleet, now_s=0.0, apart=APART)
        took.append(time.perf_counter() - begin)
    # Alone it takes a tenth of this; at 5 Hz a whole core would bear 200 ms.
    assert min(took) < 0.05

"""Trips kept apart: forbidden differences of departure, timetables, and what a late launch may do."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.deconflict import GUARD_S, Occupancy, first_free, forbidden, given_trip, occupancy, too_near
from routing.plan import Plan, Trip
from routing.problem import FleetVehicle, GivenTrip, Problem, Separation, Stay, TimedPosition
from routing.region.model import Region
from routing.solve import CROWDED, solve
from routing.trajectory import trajectory
from routing.validate import validate
from routing.vehicle_type import VehicleKind
from tests.problems import START, drone, minutes, order, problem, robot, village

Array = npt.NDArray[np.float64]
Point = tuple[float, float, float]

APART = Separation(late_s=20.0, drift=0.0)


def _flight(*points: Point, speed_mps: float = 10.0) -> Occupancy:
    """Along straight lines at one speed."""
    corners = np.array(points)
    along = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1)))) / speed_mps
    seconds = np.append(np.arange(0.0, along[-1], 1.0), along[-1])
    return occupancy(seconds, np.stack([np.interp(seconds, along, corners[:, k]) for k in range(3)], axis=1), ())


def _allowed(ranges: Array, offset: float) -> bool:
    return not any(least < offset < greatest for least, greatest in ranges)


def test_flights_that_cross_must_not_be_at_the_crossing_together() -> None:
    east, north = _flight((-1000, 0, 100), (1000, 0, 100)), _flight((0, -500, 100), (0, 500, 100))
    ((least, greatest),) = forbidden(east, north, APART)
    # At the crossing after 100 s and after 50 s: equal if the second leaves 50 s later. Within 20 s of lateness, and
    # the time in which the two of them fly past one another at 50 m and more.
    assert (least + greatest) / 2 == pytest.approx(50, abs=2)
    assert 20 + 50 * 2**0.5 / 10 < (greatest - least) / 2 < 20 + 50 * 2**0.5 / 10 + GUARD_S + 4


def test_flights_one_above_the_other_or_far_apart_are_free() -> None:
    east = _flight((-1000, 0, 100), (1000, 0, 100))
    assert not len(forbidden(east, _flight((0, -500, 121), (0, 500, 121)), APART))
    assert len(forbidden(east, _flight((0, -500, 119), (0, 500, 119)), APART))
    assert not len(forbidden(east, _flight((-1000, 65, 100), (1000, 65, 100)), APART))


def test_flights_towards_one_another_exclude_everything_in_which_they_would_meet() -> None:
    there, back = _flight((0, 0, 100), (2000, 0, 100)), _flight((2000, 0, 100), (0, 0, 100))
    ((least, greatest),) = forbidden(there, back, APART)
    assert least < -200
    assert greatest > 200


def test_vertical_flight_at_neighbouring_pads_is_one_at_a_time_whatever_the_heights() -> None:
    up = _flight((0, 0, 0), (0, 0, 100), speed_mps=2.0)
    down = _flight((14, 0, 100), (14, 0, 0), speed_mps=2.0)
    far = _flight((60, 0, 100), (60, 0, 0), speed_mps=2.0)
    ((least, greatest),) = forbidden(up, down, APART)
    assert least == pytest.approx(-70 - GUARD_S, abs=0.1)
    assert greatest == pytest.approx(70 + GUARD_S, abs=0.1)
    assert not len(forbidden(up, far, APART))


def test_a_robot_and_a_drone_do_not_share_a_drop_point() -> None:
    stay = occupancy(np.empty(0), np.empty((0, 3)), [("drop-4", 300.0, 330.0)])
    elsewhere = occupancy(np.empty(0), np.empty((0, 3)), [("drop-2", 300.0, 330.0)])
    drop = occupancy(
        np.array([0.0, 60.0, 120.0]), np.array([[0.0, 0, 90], [0, 0, 4], [0, 0, 90]]), [("drop-4", 60, 68)]
    )
    assert not len(forbidden(stay, elsewhere, APART))
    ((least, greatest),) = forbidden(stay, drop, APART)
    # The drone has the place for all of its way down and up, 0 to 120 s.
    assert (least, greatest) == (300 - 120 - 20 - GUARD_S, 330 - 0 + 20 + GUARD_S)


def test_the_first_free_moment_lies_after_ranges_that_overlap() -> None:
    taken = [np.array([[10.0, 30.0]]), np.array([[25.0, 50.0], [60.0, 70.0]])]
    assert first_free(0.0, taken) == 0.0
    assert first_free(12.0, taken) == 50.0
    assert first_free(55.0, taken) == 55.0
    assert first_free(5.0, []) == 5.0


_POINTS = st.lists(
    st.tuples(st.floats(-400, 400), st.floats(-400, 400), st.sampled_from([60.0, 85.0, 110.0])), min_size=2, max_size=5
)


@settings(max_examples=150, deadline=None)
@given(_POINTS, _POINTS, st.floats(-150, 150), st.floats(0, 20), st.floats(0, 20))
def test_what_is_allowed_stays_apart_even_when_late(
    first: list[Point], second: list[Point], offset: float, late_a: float, late_b: float
) -> None:
    a, b = _flight(*first), _flight(*second)
    if not _allowed(forbidden(a, b, APART), offset):
        return
    times = np.arange(-200.0, 700.0, 0.25)
    at = []
    for flight, departure in ((a, late_a), (b, offset + late_b)):
        since = times - departure
        places = np.stack([np.interp(since, flight.seconds, flight.places[:, k]) for k in range(3)], axis=1)
        places[(since < 0) | (since > flight.seconds[-1])] = np.nan
        at.append(places)
    between = at[0] - at[1]
    too_near = (np.hypot(between[:, 0], between[:, 1]) < 50.0) & (np.abs(between[:, 2]) < 20.0)
    assert not too_near.any()


def _busy(drones: int = 4) -> Problem:
    """Every hamlet twice, as soon as possible, by drones from one hub."""
    orders = [order(f"o{i}", f"drop-{5 + i % 4}", mass_kg=0.8, latest=minutes(240)) for i in range(2 * drones)]
    return problem(orders, [drone(f"drone-{i + 1}", pad=i) for i in range(drones)])


def _trips(made: Problem, plan: Plan) -> list[tuple[FleetVehicle, Trip]]:
    vehicles = {vehicle.vehicle_id: vehicle for vehicle in made.vehicles}
    return [(vehicles[route.vehicle_id], trip) for route in plan.routes for trip in route.trips]


def _least_distances(region: Region, trips: list[tuple[FleetVehicle, Trip]], delays: Array) -> tuple[float, float]:
    """The least horizontal distance of flights within 20 m in height, and the least vertical one within 50 m."""
    flown = [trajectory(trip, vehicle, region) for vehicle, trip in trips]
    end = max((path.start - START).total_seconds() + path.seconds[-1] for path in flown) + 60
    times = np.arange(0.0, end, 0.5)
    at = []
    for path, delay in zip(flown, delays, strict=True):
        since = times - (path.start - START).total_seconds() - delay
        places = path.at(since)
        places[(since < 0) | (since > path.seconds[-1])] = np.nan
        at.append(places)
    horizontal, vertical = [np.inf], [np.inf]
    for (i, a), (j, b) in itertools.combinations(enumerate(at), 2):
        if trips[i][0] is trips[j][0]:
            continue
        level, up = np.hypot(*(a - b)[:, :2].T), np.abs((a - b)[:, 2])
        horizontal.append(np.min(level[up < 20.0], initial=np.inf))
        vertical.append(np.min(up[level < 50.0], initial=np.inf))
    return float(min(horizontal)), float(min(vertical))


def test_flights_from_one_hub_stay_apart_however_late_each_of_them_is() -> None:
    made = _busy()
    plan = solve(made)
    assert validate(made, plan) == ()
    assert not plan.unserved
    trips = _trips(made, plan)
    assert len(trips) == 8
    rng = np.random.default_rng(1)
    for delays in (np.zeros(8), *rng.uniform(0.0, 20.0, (20, 8)), *rng.choice([0.0, 20.0], (20, 8))):
        horizontal_m, vertical_m = _least_distances(made.region, trips, delays)
        assert horizontal_m >= 50.0
        assert vertical_m >= 20.0


def test_without_separation_the_same_flights_would_meet() -> None:
    made = replace(_busy(), separation=Separation(0.0, 0.0, 0.0, 0.0))
    trips = _trips(made, solve(made))
    horizontal_m, _ = _least_distances(made.region, trips, np.zeros(len(trips)))
    assert horizontal_m < 50.0


def test_launches_and_landings_at_one_hub_do_not_overlap() -> None:
    made = _busy()
    ground = made.region.site("hub-1").position.alt_amsl_m
    spans = []
    for vehicle, trip in _trips(made, solve(made)):
        path = trajectory(trip, vehicle, made.region)
        pad = np.array(made.region.frame.to_local(made.region.site("hub-1").pads[vehicle.pad]))
        near = (np.hypot(*(path.places[:, :2] - pad).T) < 2.0) & (path.places[:, 2] > ground)
        starts = np.flatnonzero(np.diff(np.concatenate(([0], near.astype(int), [0]))))
        offset = (path.start - START).total_seconds()
        spans += [(offset + path.seconds[a], offset + path.seconds[b - 1]) for a, b in starts.reshape(-1, 2)]
    assert len(spans) == 16
    for (_, end), (begin, _) in itertools.pairwise(sorted(spans)):
        assert begin >= end + 20.0


def test_the_plan_leaves_other_approved_flights_alone() -> None:
    made = _busy(2)
    approved = solve(replace(made, orders=made.orders[:2]))
    given = tuple(given_trip(trip, vehicle, made.region) for vehicle, trip in _trips(made, approved))
    newcomers = (drone("drone-3", pad=2), drone("drone-4", pad=3))
    later = replace(made, orders=made.orders[2:], vehicles=newcomers)
    careless, careful = solve(later), solve(replace(later, given=given))
    assert {v.rule for v in validate(replace(later, given=given), careless)} & {"separation", "pad.column"}
    assert validate(replace(later, given=given), careful) == ()
    assert len(careful.unserved) == 0


def test_a_given_trip_is_late_by_what_it_is_told_and_begins_where_it_is_told() -> None:
    made = problem([order("a", "drop-5")])
    ((vehicle, trip),) = _trips(made, solve(made))
    given = given_trip(trip, vehicle, made.region, delay=timedelta(seconds=90))
    assert given.track[0].at == trip.depart + timedelta(seconds=90)
    assert given.stays == (Stay("drop-5", trip.legs[0].arrive + timedelta(seconds=90), given.stays[0].leave),)
    now = trip.legs[0].arrive
    rest = given_trip(trip, vehicle, made.region, since=now)
    assert now <= rest.track[0].at < now + timedelta(seconds=2)
    assert rest.track[-1].position.alt_amsl_m == pytest.approx(made.region.site("hub-1").pads[0].alt_amsl_m, abs=0.1)
    assert given_trip(trip, vehicle, made.region, since=trip.arrive + timedelta(minutes=1)).stays == ()


def test_a_late_launch_is_asked_about_before_it_is_made() -> None:
    made = replace(_busy(2), max_trips_per_vehicle=2)
    trips = _trips(made, solve(made))
    (first, second), frame = [trip for trip in trips if trip[1].trip_id.endswith("-t1")], made.region.frame
    others = [given_trip(second[1], second[0], made.region)]

    def asked(late_s: float) -> list[str]:
        late = given_trip(first[1], first[0], made.region, delay=timedelta(seconds=late_s))
        return too_near(late, others, frame, replace(made.separation, late_s=0.0))

    assert asked(0.0) == asked(made.separation.late_s) == []
    gap_s = abs(first[1].depart - second[1].depart).total_seconds()
    assert asked(gap_s if first[1].depart < second[1].depart else -gap_s) == [second[1].trip_id]
    own = replace(others[0], vehicle_id=first[0].vehicle_id)
    assert too_near(others[0], [own], frame, made.separation) == [own.trip_id]


def _hovering(site_id: str, until_min: float) -> GivenTrip:
    """Someone else's drone hovers over a site from the beginning."""
    above = replace(village(1).site(site_id).landing, alt_amsl_m=village(1).site(site_id).landing.alt_amsl_m + 70.0)
    return GivenTrip("other", "other", (TimedPosition(START, above), TimedPosition(minutes(until_min), above)))


def test_an_order_waits_for_the_air_to_be_clear_or_is_dropped_with_the_reason() -> None:
    patient = replace(problem([order("a", "drop-5", latest=minutes(60))], [drone()]), given=(_hovering("drop-5", 30),))
    plan = solve(patient)
    assert validate(patient, plan) == ()
    assert plan.routes[0].trips[0].legs[0].arrive > minutes(30)
    hurried = replace(patient, orders=(order("a", "drop-5", latest=minutes(20)),))
    (entry,) = solve(hurried).unserved
    assert (entry.reason, entry.final) == (CROWDED, False)


def test_an_order_without_a_slot_for_one_vehicle_goes_by_another() -> None:
    made = problem([order("a", "drop-4", mass_kg=0.5, latest=minutes(25))], [drone(), robot()])
    assert solve(made).routes[0].vehicle_id == "drone-1"
    blocked = replace(made, given=(_hovering("hub-1", 30),))
    plan = solve(blocked)
    assert validate(blocked, plan) == ()
    assert [route.vehicle_id for route in plan.routes] == ["robot-1"]


def test_a_drone_waits_until_the_robot_has_left_the_drop_point() -> None:
    stay = GivenTrip("other", "robot-9", (), (Stay("drop-4", START, minutes(20)),))
    made = replace(problem([order("a", "drop-4")], [drone()]), given=(stay,))
    plan = solve(made)
    assert validate(made, plan) == ()
    assert plan.routes[0].trips[0].legs[0].arrive > minutes(20)


def test_robots_pass_one_another_and_leave_together() -> None:
    orders = [order(f"o{i}", site, mass_kg=15.0) for i, site in enumerate(("drop-1", "drop-4"))]
    made = problem(orders, [robot("robot-1"), robot("robot-2")])
    plan = solve(made)
    assert validate(made, plan) == ()
    assert [route.trips[0].depart for route in plan.routes] == [START, START]


def test_traffic_costs_little_time_when_there_is_room() -> None:
    made = _busy()
    apart, alone = solve(made), solve(replace(made, separation=Separation(0.0, 0.0, 0.0, 0.0)))
    last = [max(trip.arrive for route in plan.routes for trip in route.trips) for plan in (apart, alone)]
    assert last[0] - last[1] < timedelta(minutes=15)
    kinds = {vehicle.type.kind for vehicle, _ in _trips(made, apart)}
    assert kinds == {VehicleKind.DRONE}

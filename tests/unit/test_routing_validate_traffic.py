"""The validator on traffic, pads, obstacles, wind and crossings: a good plan passes, each thing broken is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import pairwise

import pytest

from routing.geo import Position
from routing.plan import Leg, Plan, Trip
from routing.problem import FleetVehicle, GivenTrip, Problem, Separation, Stay, TimedPosition
from routing.region.model import GroundEdge, Obstacle, Region
from routing.solve import solve
from routing.trajectory import trajectory
from routing.validate import validate
from routing.wind import Wind
from tests.problems import drone, minutes, order, problem, robot, village


@cache
def _made() -> tuple[Problem, Plan]:
    """Two drones with a trip each to different hamlets, and a drone and a robot to the same drop point."""
    made = problem(
        [
            order("north", "drop-6", mass_kg=0.9),
            order("south", "drop-8", mass_kg=0.9),
            order("light", "drop-4", mass_kg=0.9),
            order("heavy", "drop-4", mass_kg=19.5),
        ],
        [drone("drone-1"), drone("drone-2", pad=1), drone("drone-3", pad=2), robot()],
        max_trips=1,
    )
    plan = solve(made)
    assert not plan.unserved
    assert len(plan.routes) == 4
    return made, plan


def _trip(plan: Plan, change: Callable[[Trip], Trip], route: int) -> Plan:
    routes = list(plan.routes)
    routes[route] = replace(routes[route], trips=(change(routes[route].trips[0]),))
    return replace(plan, routes=tuple(routes))


def _shifted(trip: Trip, by: timedelta) -> Trip:
    return replace(
        trip,
        legs=tuple(
            replace(leg, depart=leg.depart + by, arrive=leg.arrive + by, leave=leg.leave + by) for leg in trip.legs
        ),
    )


def _together(plan: Plan, a: int, b: int) -> Plan:
    """Route ``b`` arrives at its drop when ``a`` arrives at its own."""
    arrivals = [plan.routes[i].trips[0].legs[0].arrive for i in (a, b)]
    return _trip(plan, lambda trip: _shifted(trip, arrivals[0] - arrivals[1]), b)


def _to(plan: Plan, site_id: str, kind: str) -> int:
    """The route of a kind of vehicle to a site."""
    return next(
        i
        for i, route in enumerate(plan.routes)
        if route.vehicle_id.startswith(kind) and route.trips[0].legs[0].to_site == site_id
    )


def _rules(made: Problem, plan: Plan) -> set[str]:
    return {violation.rule for violation in validate(made, plan)}


def _on_the_way(plan: Plan, share: float = 0.5) -> Position:
    """A point of the first drone's way out."""
    a, b = next(
        (a, b) for a, b in pairwise(plan.routes[0].trips[0].legs[0].path) if abs(a.lat - b.lat) + abs(a.lon - b.lon) > 0
    )
    return Position(*(x + share * (y - x) for x, y in zip(_numbers(a), _numbers(b), strict=True)))


def _numbers(place: Position) -> tuple[float, float, float]:
    return (place.lat, place.lon, place.alt_amsl_m)


def _with_obstacle(made: Problem, *tops: Position, margin_m: float = 30.0) -> Problem:
    obstacle = Obstacle("thing", "power_line" if len(tops) > 1 else "mast", "Thing", tops, margin_m)
    return replace(made, region=replace(made.region, obstacles=(obstacle,)))


def test_the_plan_as_solved_breaks_no_rule() -> None:
    made, plan = _made()
    assert validate(made, plan) == ()


def _pair(gap_s: float) -> tuple[Problem, Plan]:
    """Two drones to opposite hamlets, the second so long after the first."""
    made, plan = _two()
    gap = plan.routes[0].trips[0].depart - plan.routes[1].trips[0].depart
    return made, _trip(plan, lambda trip: _shifted(trip, gap + timedelta(seconds=gap_s)), 1)


@cache
def _two() -> tuple[Problem, Plan]:
    """Two drones with a trip each, planned as if each were alone."""
    made = problem([order("north", "drop-6"), order("south", "drop-8")], [drone(), drone("drone-2", pad=1)])
    plans = [
        solve(replace(made, orders=(each,), vehicles=(vehicle,)))
        for each, vehicle in zip(made.orders, made.vehicles, strict=True)
    ]
    return made, Plan(tuple(plan.routes[0] for plan in plans), (), 0.0)


def test_launches_at_once_are_named_with_both_trips() -> None:
    found = validate(*_pair(0.0))
    assert {violation.rule for violation in found} == {"separation", "pad.column"}
    message = next(violation.message for violation in found if violation.rule == "separation")
    assert "drone-1-t1 and drone-2-t1 come within" in message


def test_launches_far_enough_apart_only_when_both_are_on_time_do_not_pass() -> None:
    first = []
    for apart in (Separation(late_s=0.0, drift=0.0), Separation(drift=0.0), Separation()):
        passing = (gap for gap in range(20, 150) if not _rules(replace(_pair(gap)[0], separation=apart), _pair(gap)[1]))
        first.append(next(passing))
    assert first[1] == first[0] + 20
    assert first[1] < first[2] < first[1] + 30


def test_more_separation_than_was_planned_for_does_not_pass() -> None:
    made, plan = _made()
    assert "separation" in _rules(replace(made, separation=Separation(horizontal_m=900.0, vertical_m=200.0)), plan)


def test_a_robot_and_a_drone_at_one_drop_point_are_named() -> None:
    made, plan = _made()
    air, ground = _to(plan, "drop-4", "drone"), _to(plan, "drop-4", "robot")
    found = [v for v in validate(made, _together(plan, air, ground)) if v.rule == "drop.shared"]
    assert len(found) == 1
    assert "drop-4" in found[0].message


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_robot_that_comes_while_the_drone_goes_down_or_up_is_too_near_as_well(seconds: int) -> None:
    made, plan = _made()
    air, ground = _to(plan, "drop-4", "drone"), _to(plan, "drop-4", "robot")
    near = _trip(_together(plan, air, ground), lambda trip: _shifted(trip, timedelta(seconds=seconds)), ground)
    assert "drop.shared" in _rules(made, near)


def _given(made: Problem, plan: Plan, route: int) -> GivenTrip:
    """A trip of the plan under another name, by hand."""
    path = trajectory(plan.routes[route].trips[0], made.vehicles[0], made.region)
    track = tuple(
        TimedPosition(path.start + timedelta(seconds=float(s)), made.region.frame.to_global(*(float(x) for x in place)))
        for s, place in zip(path.seconds, path.places, strict=True)
    )
    return GivenTrip("approved", "drone-9", track)


def test_a_flight_that_is_under_way_already_is_kept_clear_of() -> None:
    made, plan = _made()
    found = validate(replace(made, given=(_given(made, plan, 0),)), plan)
    assert {"separation", "pad.column"} <= {violation.rule for violation in found}
    assert all("approved" in violation.message for violation in found)
    assert {violation.subject for violation in found} <= {route.trips[0].trip_id for route in plan.routes}


def test_trips_that_are_given_are_not_judged_against_one_another() -> None:
    made, plan = _made()
    first = _given(made, plan, 0)
    twice = (first, replace(first, trip_id="twin", vehicle_id="drone-8"))
    stays = tuple(GivenTrip(f"r{i}", f"r{i}", (), (Stay("drop-1", minutes(1), minutes(2)),)) for i in range(2))
    assert validate(replace(made, orders=(), given=(*twice, *stays)), Plan((), (), 0.0)) == ()


def test_an_own_pad_is_started_from_and_landed_on() -> None:
    made, plan = _made()
    moved = [replace(vehicle, pad=3) if vehicle.vehicle_id == "drone-1" else vehicle for vehicle in made.vehicles]
    found = [v for v in validate(replace(made, vehicles=tuple(moved)), plan) if v.rule == "path.ends"]
    assert {violation.subject for violation in found} == {"drone-1-t1/1", "drone-1-t1/2"}


def test_a_leg_that_does_not_begin_where_the_last_one_ended_is_named() -> None:
    made, plan = _made()

    def jump(trip: Trip) -> Trip:
        first = replace(trip.legs[1].path[0], lat=trip.legs[1].path[0].lat + 2e-5)
        return replace(trip, legs=(trip.legs[0], replace(trip.legs[1], path=(first, *trip.legs[1].path[1:]))))

    assert "path.ends" in _rules(made, _trip(plan, jump, 0))


def test_a_drop_over_the_pad_of_another_drone_is_named() -> None:
    made, plan = _made()
    to = plan.routes[0].trips[0].legs[0].to_site
    parked = FleetVehicle("parked", made.vehicles[0].type, to, made.start)
    found = [v for v in validate(replace(made, vehicles=(*made.vehicles, parked)), plan) if v.rule == "pad.taken"]
    assert [violation.subject for violation in found] == [f"{plan.routes[0].trips[0].trip_id}/1"]


def test_a_mast_in_the_way_is_named_unless_it_is_passed_well_over_its_top() -> None:
    made, plan = _made()
    there = _on_the_way(plan)

    def mast(below_m: float) -> Problem:
        return _with_obstacle(made, replace(there, alt_amsl_m=there.alt_amsl_m - below_m))

    assert "drone.obstacle" in _rules(mast(10.0), plan)
    assert "drone.obstacle" in _rules(mast(19.0), plan)
    assert "drone.obstacle" not in _rules(mast(35.0), plan)


def test_a_power_line_counts_between_its_pylons_at_their_height_there() -> None:
    made, plan = _made()
    there = _on_the_way(plan)

    def line(up_m: float) -> Problem:
        west = Position(there.lat - 2e-3, there.lon - 2e-3, there.alt_amsl_m - 200.0 + up_m)
        east = Position(there.lat + 2e-3, there.lon + 2e-3, there.alt_amsl_m + 200.0 + up_m)
        return _with_obstacle(made, west, east, margin_m=5.0)

    assert "drone.obstacle" in _rules(line(0.0), plan)
    assert "drone.obstacle" not in _rules(line(-50.0), plan)


def test_coming_down_beside_an_obstacle_is_named_whatever_its_height() -> None:
    made, plan = _made()
    pad = made.region.site(plan.routes[0].trips[0].legs[0].to_site).landing
    low = replace(pad, lat=pad.lat + 1e-4, alt_amsl_m=pad.alt_amsl_m + 5.0)
    found = [v for v in validate(_with_obstacle(made, low), plan) if v.rule == "drone.obstacle"]
    assert {violation.subject for violation in found} == {f"{plan.routes[0].trips[0].trip_id}/{leg}" for leg in (1, 2)}


def test_wind_that_was_not_planned_for_does_not_pass() -> None:
    made, plan = _made()
    assert "speed.time" in _rules(replace(made, wind=Wind(12.0, 0.0)), plan)
    assert "energy.stated" in _rules(replace(made, wind=Wind(7.0, 7.0)), plan)
    assert "drone.wind" in _rules(replace(made, wind=Wind(16.0, 0.0)), plan)
    assert "drone.wind" in _rules(replace(made, wind=Wind(2.0, 0.0, 16.0)), plan)


def _way_of_robot(region: Region, plan: Plan) -> Leg:
    return plan.routes[_to(plan, "drop-4", "robot")].trips[0].legs[0]


def test_a_crossing_takes_time_and_a_way_closed_to_robots_is_no_way() -> None:
    made, plan = _made()
    nodes = _way_of_robot(made.region, plan).nodes[1:3]

    def changed(change: Callable[[GroundEdge], GroundEdge]) -> Problem:
        edges = tuple(change(e) if {e.a, e.b} == set(nodes) else e for e in made.region.edges)
        return replace(made, region=replace(made.region, edges=edges))

    assert "speed.time" in _rules(changed(lambda edge: replace(edge, crossing=True)), plan)
    assert "robot.way" in _rules(changed(lambda edge: replace(edge, robot=False)), plan)
    assert village(1) is made.region


def test_a_path_around_the_world_is_answered_at_once() -> None:
    made, plan = _made()

    def far(trip: Trip) -> Trip:
        leg = trip.legs[0]
        away = replace(leg.path[0], lon=leg.path[0].lon - 170.0)
        return replace(trip, legs=(replace(leg, path=(leg.path[0], away, *leg.path[1:])), *trip.legs[1:]))

    assert "drone.path" in _rules(made, _trip(plan, far, 0))

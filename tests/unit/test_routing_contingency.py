"""A drone's own way home by its failsafe setting, and plans on which it is safe to need it."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from routing.contingency import contingency_of, return_altitude_m, without_clashes
from routing.errors import NoWay
from routing.geo import distance_m
from routing.own_way import OwnWay, own_way_home
from routing.plan import Plan, Route, StopAction, Trip, Unserved
from routing.problem import FleetVehicle, Policy, Problem
from routing.region.model import Obstacle, Zone
from routing.trajectory import trajectory
from routing.validate.contingency import check_contingency
from tests.mountain_trip import mountain_trip
from tests.plain import GROUND_M, at, far, plain_plan, plain_problem, retimed, trip

PROBLEM = replace(plain_problem(), policy=Policy(contingency=True))
DROP = StopAction.DROP


def flying(rtl_type: int, *, pad: int | None = 0) -> FleetVehicle:
    drone = PROBLEM.vehicles[0]
    return replace(drone, type=replace(drone.type, rtl_type=rtl_type), pad=pad)


def to_the_east(vehicle: FleetVehicle, *, up_m: float = 60.0) -> Trip:
    return trip(PROBLEM, vehicle, [("east", DROP, ["a"])], up_m=up_m)


def own_way(rtl_type: int, **how: float) -> OwnWay:
    vehicle = flying(rtl_type)
    return OwnWay(to_the_east(vehicle), vehicle, PROBLEM.region, payloads_kg=[0.2, 0.0], **how)


def plan_of(*trips: tuple[FleetVehicle, Trip]) -> tuple[Problem, Plan]:
    problem = replace(PROBLEM, vehicles=tuple(vehicle for vehicle, _ in trips))
    routes = tuple(Route(vehicle.vehicle_id, "hub", (made,)) for vehicle, made in trips)
    return problem, Plan(routes, (), 0.0)


def test_along_the_mission_it_flies_what_is_left_of_the_trip_without_the_stop() -> None:
    way = own_way(2)
    made = to_the_east(flying(2))
    planned = trajectory(made, flying(2), PROBLEM.region)
    at_s = 100.0

    ways = way.ways([at_s])

    service_s = (made.legs[1].depart - made.legs[0].arrive).total_seconds()
    assert ways.left_s[0] == pytest.approx(way.duration_s - at_s - service_s, abs=1.0)
    since = np.array([0.0, 30.0, ways.left_s[0]])
    assert ways.places(since)[0, :2] == pytest.approx(planned.at(at_s + since[:2]), abs=0.5)
    assert ways.places(since)[0, 2] == pytest.approx((0.0, 0.0, GROUND_M), abs=0.5)


def test_along_the_mission_it_comes_down_at_the_drop_but_does_not_wait_there() -> None:
    ways = own_way(2).ways([60.0])

    places = ways.places(np.arange(0.0, ways.left_s[0], 0.5))[0]

    down = places[np.hypot(places[:, 0] - far("east")[0], places[:, 1]) < 1.0]
    assert down[:, 2].min() == pytest.approx(GROUND_M + 4.0, abs=1.0)
    lowest_s = 0.5 * np.count_nonzero(down[:, 2] < down[:, 2].min() + 0.2)
    assert lowest_s < 3.0, "a stop takes 8 s"


def test_from_the_ground_and_after_the_landing_there_is_no_way_left() -> None:
    way = own_way(2)

    ways = way.ways([0.0, way.duration_s])

    assert (ways.left_s == 0.0).all()
    assert not ways.airborne.any()


def test_with_type_4_it_turns_round_on_the_way_out_and_goes_on_on_the_way_home() -> None:
    way = own_way(4)

    ways = way.ways([60.0, 100.0, way.duration_s - 60.0])

    assert ways.forwards.tolist() == [False, False, True]
    assert ways.left_s[0] < ways.left_s[1]
    back = ways.places(np.array([0.0, 20.0, ways.left_s[1]]))[1]
    assert back[1, 0] < back[0, 0], "towards the hub"
    assert back[2] == pytest.approx((0.0, 0.0, GROUND_M), abs=0.5)


@pytest.mark.parametrize("rtl_type", [0, 1, 3])
def test_straight_it_climbs_flies_and_comes_down(rtl_type: int) -> None:
    ways = own_way(rtl_type, return_alt_amsl_m=GROUND_M + 120.0).ways([100.0])

    places = ways.places(np.arange(0.0, ways.left_s[0] + 1.0, 1.0))[0]

    assert places[:, 2].max() == pytest.approx(GROUND_M + 120.0)
    assert np.ptp(places[:15, 0]) < 0.1, "up first"
    assert np.abs(places[:, 1]).max() < 0.1
    assert places[-1] == pytest.approx((0.0, 0.0, GROUND_M), abs=0.5)


def test_a_return_altitude_brings_nobody_down() -> None:
    ways = own_way(0, return_alt_amsl_m=GROUND_M + 20.0).ways([100.0])

    assert ways.places(np.array([0.0, 20.0]))[0, 1, 2] == pytest.approx(GROUND_M + 60.0)


def test_along_the_mission_it_lands_on_the_landing_pad_else_where_it_took_off() -> None:
    made = replace(to_the_east(flying(2)), pad=0, landing_pad=1)
    pads = {}
    for rtl_type in (0, 2, 4):
        vehicle = flying(rtl_type, pad=None)
        pads[rtl_type] = own_way_home(made, vehicle, PROBLEM.region, 60.0).pad(0)

    hub = PROBLEM.region.site("hub").pads
    assert (pads[0], pads[2], pads[4]) == (hub[0], hub[1], hub[0])


def test_the_costliest_contingency_carries_the_parcel_home() -> None:
    vehicle = flying(2)
    made = to_the_east(vehicle)

    light, heavy = (OwnWay(made, vehicle, PROBLEM.region, payloads_kg=[kg, 0.0]).costliest_wh() for kg in (0.0, 1.0))

    planned = sum(leg.energy_wh for leg in made.legs)
    assert light == pytest.approx(planned, rel=0.02)
    assert heavy > light * 1.1


def test_turning_round_half_way_costs_less_than_going_on() -> None:
    on, back = (own_way(rtl_type).ways([100.0]).energy_wh[0] for rtl_type in (2, 4))

    assert back < 0.7 * on


def test_used_and_still_needed_add_up_to_the_trip_where_it_is_light() -> None:
    way = OwnWay(to_the_east(flying(2)), flying(2), PROBLEM.region)
    ways = way.ways(np.linspace(10.0, way.duration_s - 10.0, 20))

    total = ways.used_wh + ways.energy_wh

    assert total.max() - total.min() < 3.0, "but for the hover over the drop"


def test_a_return_altitude_is_found_over_flat_ground_and_none_in_the_mountains() -> None:
    assert return_altitude_m(PROBLEM, flying(0), to_the_east(flying(0))) == pytest.approx(GROUND_M + 62.0)

    region, vehicle, made, _ = mountain_trip()
    up_there = replace(vehicle, type=replace(vehicle.type, rtl_type=0))
    assert return_altitude_m(replace(PROBLEM, region=region), up_there, made) is None
    with pytest.raises(NoWay, match="no return altitude"):
        contingency_of(replace(PROBLEM, region=region), up_there, made)


def test_zones_and_masts_are_in_the_way_of_straight_ways() -> None:
    """On a trip with a bend the straight way home leads over what the trip goes around."""
    bend = [at(0.0, 0.0, 60.0), at(400.0, 600.0, 60.0), at(*far("east"), 60.0)]
    vehicle = flying(0)
    out, home = to_the_east(vehicle).legs
    made = retimed(
        PROBLEM,
        vehicle,
        Trip("around", (replace(out, path=tuple(bend)), replace(home, path=tuple(reversed(bend))))),
    )
    made = replace(made, return_alt_amsl_m=GROUND_M + 70.0)
    ring = tuple((p.lat, p.lon) for p in (at(700, -50), at(800, -50), at(800, 50), at(700, 50), at(700, -50)))
    school = Zone("school", "school", "", "School", ring)
    mast = Obstacle("mast", "mast", "Mast", (at(750.0, 0.0, 60.0),), 30.0)
    for changes, what in (({"zones": (school,)}, "in a zone"), ({"obstacles": (mast,)}, "over an obstacle")):
        there = replace(PROBLEM, region=replace(PROBLEM.region, **changes))
        problem, plan = plan_of((vehicle, made))
        found = list(check_contingency(replace(problem, region=there.region), plan))
        assert [what in violation.message for violation in found] == [True]
        higher = return_altitude_m(there, vehicle, made)
        assert higher is None if what == "in a zone" else higher == pytest.approx(GROUND_M + 82.0)


def test_a_setting_that_leads_nowhere_is_no_way_home() -> None:
    with pytest.raises(NoWay, match="RTL_TYPE 5"):
        contingency_of(PROBLEM, flying(5), to_the_east(flying(5)))


def test_nothing_is_asked_of_plans_whose_policy_does_not() -> None:
    problem, plan = plan_of((flying(5), to_the_east(flying(5))))

    assert list(check_contingency(replace(problem, policy=Policy()), plan)) == []
    assert [violation.rule for violation in check_contingency(problem, plan)] == ["contingency.path"]


def test_a_straight_way_too_low_over_the_ground_is_named_with_its_place() -> None:
    vehicle = flying(0)
    low = replace(to_the_east(vehicle), return_alt_amsl_m=GROUND_M + 40.0)
    problem, plan = plan_of((vehicle, low))

    (found,) = check_contingency(problem, plan)

    assert "too near to the ground" in found.message
    assert found.unit == "m"
    assert found.place is not None
    assert found.at is not None
    assert low.depart < found.at < low.arrive


def meeting(rtl_type: int) -> tuple[Problem, Plan]:
    """One is on its way home from the east when another goes there, 30 m higher; straight ways are at one height."""
    first = flying(rtl_type)
    second = replace(PROBLEM.vehicles[1], type=first.type)
    east = to_the_east(first)
    out = trip(
        PROBLEM, second, [("east", DROP, ["c"])], depart=east.depart + timedelta(seconds=175), trip_id="out", up_m=90.0
    )
    return plan_of(
        *((v, replace(made, return_alt_amsl_m=GROUND_M + 120)) for v, made in ((first, east), (second, out)))
    )


def test_two_that_would_climb_into_one_another_are_named_with_the_moment() -> None:
    found = [v for v in check_contingency(*meeting(0)) if v.rule == "contingency.separation"]

    assert len(found) == 1
    assert found[0].subject == "out"
    assert "after all have to come home by themselves" in found[0].message
    assert found[0].size is not None
    assert found[0].size < 50.0
    assert found[0].at is not None


def test_on_along_their_missions_those_two_stay_apart() -> None:
    assert list(check_contingency(*meeting(2))) == []


def test_a_plan_is_freed_of_trips_that_could_not_all_come_home() -> None:
    problem, plan = meeting(0)

    freed = without_clashes(problem, plan)

    assert list(check_contingency(problem, freed)) == []
    assert [made.trip_id for route in freed.routes for made in route.trips] == ["trip"]
    assert [(each.order_id, each.reason[:10]) for each in freed.unserved] == [("c", "its drones")]


def test_a_plan_without_trouble_is_left_as_it_is() -> None:
    problem = replace(plain_problem(), policy=Policy(contingency=True))
    plan = plain_plan(problem)

    assert without_clashes(problem, plan) is plan
    assert isinstance(plan.unserved[0], Unserved)


def test_a_morning_of_trips_is_looked_at_in_well_under_two_seconds() -> None:
    drone = flying(2)
    trips = []
    for number in range(24):
        vehicle = replace(drone, vehicle_id=f"d{number}")
        site = ("east", "west", "north", "south")[number % 4]
        made = trip(
            PROBLEM,
            vehicle,
            [(site, DROP, ["a"])],
            depart=PROBLEM.start + timedelta(seconds=150 * number),
            trip_id=f"t{number}",
        )
        trips.append((vehicle, made))
    problem, plan = plan_of(*trips)

    begun = time.process_time()
    list(check_contingency(problem, plan))

    assert time.process_time() - begun < 2.0


def test_the_way_home_ends_on_a_pad_of_the_site_from_every_moment() -> None:
    region, vehicle, made, pad = mountain_trip()
    ways = OwnWay(made, vehicle, region).ways(np.arange(10.0, 500.0, 35.0))

    ends = ways.places(np.array([math.ceil(ways.left_s.max())]))[:, 0]

    for east, north, alt in ends:
        assert distance_m(region.frame.to_global(east, north), pad) < 0.5
        assert alt == pytest.approx(pad.alt_amsl_m, abs=0.5)

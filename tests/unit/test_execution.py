"""Planned trips as missions: what a vehicle is given beside its steps."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from fleet.execution import compile_mission, mission_from_json, mission_to_json
from hardware.mavlink.fence_items import fence_items, inside, rally_items
from hardware.mavlink.translate import NAV_TAKEOFF, NAV_VTOL_TAKEOFF, translate
from hardware.mission import Mission, StepKind
from hardware.profiles import load_profile
from routing.geo import Position
from routing.motion import HOP_MPS
from routing.plan import StopAction
from routing.problem import FleetVehicle, Permit, Problem
from routing.region.model import Period, Restriction, Site, SiteKind, Zone
from tests.plain import at, far, plain_problem, trip
from tests.problems import START, VTOL

DROP = StopAction.DROP


def problem_with(*sites: Site) -> Problem:
    plain = plain_problem()
    return replace(plain, region=replace(plain.region, sites=(*plain.region.sites, *sites)))


def site(site_id: str, east_m: float, north_m: float, kind: SiteKind = SiteKind.EMERGENCY) -> Site:
    place = at(east_m, north_m)
    return Site(site_id, kind, "", site_id, place, None, True, False, (place,))


def zone(zone_id: str, east_m: float, north_m: float, **more: object) -> Zone:
    corners = ((0, 0), (40, 0), (40, 20), (0, 20))
    ring = tuple((at(east_m + x, north_m + y).lat, at(east_m + x, north_m + y).lon) for x, y in corners)
    return Zone(zone_id, "school", zone_id, zone_id, ring, **more)  # type: ignore[arg-type]


def mission(problem: Problem, vehicle: FleetVehicle | None = None, **more: object) -> Mission:
    vehicle = vehicle or problem.vehicles[0]
    made = trip(problem, vehicle, [("east", DROP, ["a"])])
    return compile_mission("m-1", made, vehicle.type, problem.region, vehicle=vehicle, **more)  # type: ignore[arg-type]


def test_a_drone_is_given_its_corridor_with_all_of_its_steps_inside() -> None:
    found = mission(plain_problem())

    assert found.fence is not None
    assert len(fence_items(found)) <= 64
    assert inside(found.fence, at(750, 40))
    assert not inside(found.fence, at(750, 80))
    assert found.energy_wh is not None
    assert found.energy_wh > 1.0
    assert (found.vtol, found.winch) == (False, False)


def test_emergency_sites_in_the_corridor_are_rally_points_at_ground_level() -> None:
    problem = problem_with(
        site("near", 700, 30),
        site("far", 700, 300),
        site("drop", 400, 20, SiteKind.DROP_POINT),
        site("behind", -800, 0),
    )

    rally = mission(problem).rally

    hub = problem.region.site("hub").landing
    assert {(place.lat, place.lon) for place in rally} == {
        (place.lat, place.lon) for place in (hub, problem.region.site("near").landing)
    }
    assert {place.alt_amsl_m for place in rally} == {100.0}
    assert len(rally_items(mission(problem))) == 2


def test_zones_that_are_closed_to_the_flight_are_shut_out_and_others_are_not() -> None:
    problem = plain_problem()
    permit = Permit("p", ring=zone("z", 0, 0).ring, zones=("open",))
    zones = [
        zone("shut", 300, 25),
        zone("open", 600, 25, restriction=Restriction.AUTHORISATION),
        zone("under", 900, 25, ceiling_m=20.0),
    ]

    fence = mission(problem, zones=zones, permits=[permit]).fence

    assert fence is not None
    assert len(fence.exclusions) == 1
    assert not inside(fence, at(320, 35))
    assert inside(fence, at(620, 35))
    assert inside(fence, at(920, 35))


def test_a_zone_that_closes_while_a_late_launch_would_fly_is_shut_out_too() -> None:
    problem = plain_problem()
    soon, tomorrow = (Period(begins=START + timedelta(hours=hours)) for hours in (1, 24))
    zones = [zone("soon", 300, 25, schedule=(soon,)), zone("tomorrow", 600, 25, schedule=(tomorrow,))]

    fence = mission(problem, zones=zones).fence

    assert fence is not None
    assert not inside(fence, at(320, 35))
    assert inside(fence, at(620, 35))


def test_a_vtol_is_told_to_fly_on_its_wing_and_to_lower_its_parcels() -> None:
    problem = plain_problem()
    vtol = FleetVehicle("v", VTOL, "hub", START, 0)

    found = mission(problem, vtol)

    assert found.vtol
    assert found.winch
    assert {step.speed_mps for step in found.steps} == {None}
    assert translate(found).items[0].command == NAV_VTOL_TAKEOFF
    assert inside(found.fence, at(750, 120)) if found.fence else False, "room to circle"


def test_a_vtol_flies_a_leg_that_is_too_short_for_its_wing_on_its_rotors_and_the_next_one_as_usual() -> None:
    problem = plain_problem()
    vtol = FleetVehicle("v", VTOL, "hub", START, 0)
    made = trip(problem, vtol, [("east", DROP, ["a"]), ("west", DROP, ["b"])])
    near = tuple(
        replace(place, lon=made.legs[0].path[0].lon + (i * 0.001)) for i, place in enumerate(made.legs[0].path)
    )
    short = replace(made, legs=(replace(made.legs[0], path=near), *made.legs[1:]))

    found = compile_mission("m", short, VTOL, problem.region)

    assert [(step.kind, step.speed_mps) for step in found.steps if step.speed_mps] == [
        (StepKind.TAKEOFF, HOP_MPS),
        (StepKind.MOVE, VTOL.cruise_speed_mps),
    ]
    assert translate(found).items[0].command == NAV_TAKEOFF


def test_a_mission_survives_the_database() -> None:
    found = mission(problem_with(site("near", 700, 30)), zones=[zone("shut", 300, 25)])

    assert mission_from_json(json.loads(json.dumps(mission_to_json(found)))) == found


def test_a_robot_has_no_fence() -> None:
    problem = plain_problem()
    robot = problem.vehicles[2]

    found = mission(problem, robot)

    assert (found.fence, found.rally, found.energy_wh) == (None, (), None)


@pytest.mark.parametrize(("type_id", "winch"), [("multirotor_1kg", False), ("vtol_5kg", True)])
def test_the_profile_says_how_parcels_are_let_go(type_id: str, winch: bool) -> None:
    assert (load_profile(type_id).release == "winch") is winch


def test_the_way_home_of_the_far_end_is_inside_too() -> None:
    fence = mission(plain_problem()).fence

    assert fence is not None
    assert inside(fence, Position(*_degrees(far("east"))))


def _degrees(place: tuple[float, float]) -> tuple[float, float]:
    position = at(*place)
    return position.lat, position.lon

"""Planned times and energy against the simulated autopilot, which flies the trip as it is dispatched."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest

from fleet.execution import compile_mission
from hardware.mavlink.translate import translate
from hardware.profiles import profile_data
from routing.plan import Plan, Trip
from routing.problem import FleetVehicle, Problem
from routing.solve import solve
from routing.trajectory import home_pads, trajectory
from simulators.autopilot import Autopilot
from simulators.flight import Airframe
from simulators.missions import Item
from simulators.modes import Mode
from simulators.world import Wind, World
from tests.drone_pilot import Pilot
from tests.problems import DRONE, drone, order, problem

Track = list[tuple[float, float, float, float]]


@cache
def _made() -> tuple[Problem, Plan]:
    made = problem(
        [order("a", "drop-5"), order("b", "drop-6"), order("c", "drop-8", mass_kg=0.9)],
        [drone(), drone("drone-2", pad=2)],
    )
    return made, solve(made)


def _flown(vehicle: FleetVehicle, trip: Trip, made: Problem) -> tuple[Track, float]:
    """Positions (seconds since the command to leave, east, north, AMSL) until it disarms, and the energy used."""
    region = made.region
    payload_kg = sum(o.mass_kg for o in made.orders if o.order_id in trip.order_ids)
    pilot = Pilot(profile_data(DRONE.type_id)["parameters"])
    pad, _ = home_pads(trip, vehicle, region)
    pilot.body = Airframe(DRONE, pad, World(region, Wind()), random.Random(1))
    pilot.pilot = Autopilot(pilot.body, pilot.params, pilot.store, pilot, payload_kg=payload_kg)
    items = translate(compile_mission("m", trip, DRONE, region)).items
    pilot.run(6).upload([Item(5 if i.frame == 0 else i.frame, i.command, i.params, i.x, i.y, i.z, True) for i in items])
    pilot.run(1).pilot.set_mode(Mode.MISSION)
    assert pilot.pilot.arm(), pilot.texts
    begun_s, full_wh = pilot.pilot.now_s, pilot.body.energy_wh
    track: Track = []
    while pilot.pilot.armed:
        now = pilot.run(0.5).pilot.now_s - begun_s
        assert now < 2 * (trip.arrive - trip.depart).total_seconds()
        track.append((now, *region.frame.to_local(pilot.body.position()), pilot.body.alt_m))
    assert pilot.pilot.mission.finished
    return track, full_wh - pilot.body.energy_wh


def _trip(made: Problem, plan: Plan, number: int) -> tuple[FleetVehicle, Trip]:
    """One of the trips of the plan, whichever drone flies it."""
    vehicles = {vehicle.vehicle_id: vehicle for vehicle in made.vehicles}
    return [(vehicles[route.vehicle_id], trip) for route in plan.routes for trip in route.trips][number]


@pytest.mark.parametrize("number", [0, -1])
def test_a_trip_takes_the_time_and_energy_planned_within_ten_percent(number: int) -> None:
    made, plan = _made()
    vehicle, trip = _trip(made, plan, number)
    track, energy_wh = _flown(vehicle, trip, made)
    planned_s = (trip.arrive - trip.depart).total_seconds()
    assert track[-1][0] == pytest.approx(planned_s, rel=0.10)
    planned_wh = sum(leg.energy_wh for leg in trip.legs)
    assert energy_wh == pytest.approx(planned_wh, rel=0.10)


@pytest.mark.parametrize("number", [0, -1])
def test_on_its_way_it_is_where_it_is_planned_to_be_within_the_slack_kept(number: int) -> None:
    """Or it was, or will be, so many seconds before or after."""
    made, plan = _made()
    vehicle, trip = _trip(made, plan, number)
    track, _ = _flown(vehicle, trip, made)
    path = trajectory(trip, vehicle, made.region)
    for now, east, north, alt in track[::10]:
        slack = made.separation.late_s + 2 * made.separation.drift * now
        near = path.at(np.arange(now - slack, now + slack, 0.5)) - np.array([east, north, alt])
        assert np.min(np.hypot(near[:, 0], near[:, 1]) + np.abs(near[:, 2])) < 8.0, f"after {now:.0f} s"

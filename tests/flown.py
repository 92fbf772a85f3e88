"""A delivery flown by the simulated autopilot, as the samples that a gateway would take, and what was planned."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np

from fleet.execution import compile_mission, mission_to_json
from hardware.link import Activity, VehicleState
from hardware.mavlink.translate import translate
from hardware.mission import Mission
from hardware.profiles import profile_data
from routing.deconflict import given_trip
from routing.formats.json import given_to_json
from routing.geo import LocalFrame, Position
from routing.plan import Trip
from routing.problem import FleetVehicle, GivenTrip
from routing.region.model import Region, Zone
from routing.solve import solve
from routing.trajectory import home_pads
from simulators.autopilot import Autopilot
from simulators.flight import Airframe
from simulators.missions import Item
from simulators.modes import Mode
from simulators.world import Wind, World
from telemetry.monitors.finding import Finding
from telemetry.monitors.monitor import Monitor
from telemetry.sample import Sample
from tests.drone_pilot import Pilot
from tests.problems import DRONE, drone, order, problem

EVERY_S = 0.2
LATE = timedelta(seconds=137)
"""How much later than planned the flight departs."""
MASS_KG = 0.8


@dataclass(frozen=True, slots=True)
class Flown:
    """One flight from arming to disarming."""

    region: Region
    vehicle: FleetVehicle
    trip: Trip
    given: GivenTrip
    samples: tuple[Sample, ...]

    @property
    def frame(self) -> LocalFrame:
        """The region's."""
        return self.region.frame

    @property
    def row(self) -> dict[str, Any]:
        """Its mission as the database would tell of it (``watching.sql``)."""
        mission = compile_mission("m-1", self.trip, self.vehicle.type, self.region)
        stops = [
            {"to_site": leg.to_site, "order_ids": list(leg.order_ids), "leave": leg.leave.isoformat()}
            for leg in self.trip.legs
        ]
        return {
            "mission_id": "m-1",
            "region_id": self.region.region_id,
            "state": "underway",
            "reason": None,
            "trip": {"mission": mission_to_json(mission), "stops": stops},
            "planned_depart": self.trip.depart,
            "started_at": None,
            "given": given_to_json(self.given),
            "masses_kg": {order_id: MASS_KG for leg in self.trip.legs for order_id in leg.order_ids},
        }

    def airborne(self) -> list[Sample]:
        """The samples in the air."""
        return [sample for sample in self.samples if not sample.on_ground]

    def cruising(self) -> int:
        """The index of a sample on the way out, well above the ground."""
        return next(i for i, sample in enumerate(self.samples) if i * EVERY_S > 60.0 and not sample.on_ground)


@cache
def flown(wind_mps: float = 0.0) -> Flown:
    """One delivery of five minutes, planned and flown."""
    made = problem([order("a", "drop-4", mass_kg=MASS_KG)], [drone()])
    plan = solve(made, seconds=1.0, seed=1)
    vehicle, trip, region = made.vehicles[0], plan.routes[0].trips[0], made.region
    pad, _ = home_pads(trip, vehicle, region)
    mission = compile_mission("m-1", trip, DRONE, region)
    samples = fly(mission, region, pad, departs=trip.depart + LATE, wind_mps=wind_mps)
    return Flown(region, vehicle, trip, given_trip(trip, vehicle, region), samples)


def fly(
    mission: Mission, region: Region, pad: Position, *, departs: datetime, mass_kg: float = MASS_KG, wind_mps: float = 0
) -> tuple[Sample, ...]:
    """Fly a mission from arming to disarming, with a sample each ``EVERY_S`` of the drone's own time."""
    pilot = Pilot(profile_data(DRONE.type_id)["parameters"])
    pilot.body = Airframe(DRONE, pad, World(region, Wind(wind_mps, 250.0)), random.Random(1))
    pilot.pilot = Autopilot(pilot.body, pilot.params, pilot.store, pilot, payload_kg=mass_kg)
    items = translate(mission).items
    pilot.run(6).upload([Item(5 if i.frame == 0 else i.frame, i.command, i.params, i.x, i.y, i.z, True) for i in items])
    pilot.run(1).pilot.set_mode(Mode.MISSION)
    assert pilot.pilot.arm(), pilot.texts
    samples: list[Sample] = []
    began_s = pilot.pilot.now_s
    while pilot.pilot.armed:
        now_s = pilot.run(EVERY_S).pilot.now_s - began_s
        samples.append(_sample(pilot, departs + timedelta(seconds=now_s), len(samples), pad.alt_amsl_m))
    assert pilot.pilot.mission.finished
    return tuple(samples)


def _sample(pilot: Pilot, t: datetime, seq: int, home_m: float) -> Sample:
    body = pilot.body
    lat, lon, alt_m = body.estimate()
    return Sample(
        "drone-1",
        t,
        seq,
        vehicle_ms=round(pilot.pilot.now_s * 1000),
        lat_e7=round(lat * 1e7),
        lon_e7=round(lon * 1e7),
        alt_amsl_cm=round(alt_m * 100),
        alt_home_cm=round((alt_m - home_m) * 100),
        vel_n_cms=round(body.vn * 100),
        vel_e_cms=round(body.ve * 100),
        vel_d_cms=round(-body.vu * 100),
        battery_pct_x10=int(body.battery_fraction * 100) * 10,
        link_pct_x10=1000,
        armed=True,
        on_ground=body.on_ground,
        mode="MISSION",
        mission_id="m-1",
    )


def moved(sample: Sample, frame: LocalFrame, east_m: float = 0.0, north_m: float = 0.0, up_m: float = 0.0) -> Sample:
    """The same sample elsewhere."""
    assert sample.lat_e7 is not None
    assert sample.lon_e7 is not None
    assert sample.alt_amsl_cm is not None
    east, north = frame.to_local(Position(sample.lat_e7 / 1e7, sample.lon_e7 / 1e7))
    place = frame.to_global(east + east_m, north + north_m)
    return replace(
        sample,
        lat_e7=round(place.lat * 1e7),
        lon_e7=round(place.lon * 1e7),
        alt_amsl_cm=sample.alt_amsl_cm + round(up_m * 100),
    )


def found(
    monitor: Monitor, samples: Iterable[Sample], *, first: Sequence[Monitor] = ()
) -> list[tuple[datetime, Finding]]:
    """Show samples to monitors; return what the last one found when, each time that it was asked."""
    seen = []
    for sample in samples:
        for other in first:
            other.take(sample)
        monitor.take(sample)
        seen += [(sample.t, finding) for finding in monitor.findings(sample.t)]
    return seen


def changed(
    samples: Sequence[Sample], since: int, change: Callable[[Sample], Sample], *, seconds: float = 1e9
) -> list[Sample]:
    """The same samples, but for those from one on for some time, which are changed."""
    begin = samples[since].t
    return [change(sample) if begin <= sample.t < begin + timedelta(seconds=seconds) else sample for sample in samples]


def many_zones(region: Region, count: int = 500) -> list[Zone]:
    """Round zones all over a region, above where anybody flies."""
    rng = np.random.default_rng(1)
    zones = []
    for i, (east, north) in enumerate(rng.uniform(-3_000.0, 3_000.0, (count, 2))):
        corners = [
            region.frame.to_global(east + 150.0 * np.cos(a), north + 150.0 * np.sin(a))
            for a in np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
        ]
        ring = tuple((corner.lat, corner.lon) for corner in corners)
        zones.append(Zone(f"z-{i}", "school", "", f"School {i}", ring, floor_m=4_999.0, ceiling_m=5_000.0))
    return zones


def state_of(sample: Sample, **changes: Any) -> VehicleState:
    """What a link says when it has just heard a sample."""
    assert sample.lat_e7 is not None
    assert sample.lon_e7 is not None
    place = Position(sample.lat_e7 / 1e7, sample.lon_e7 / 1e7, (sample.alt_amsl_cm or 0) / 100)
    state = VehicleState(
        t=sample.t,
        connected=True,
        activity=Activity.MISSION,
        armed=True,
        on_ground=bool(sample.on_ground),
        position=place,
        battery_pct=(sample.battery_pct_x10 or 0) / 10,
    )
    return replace(state, **changes)

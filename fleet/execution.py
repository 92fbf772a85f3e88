"""From a planned trip to the mission that a vehicle executes, and back from the stored form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter

from fleet.drop_point import GATE_S, DropPoints
from hardware.mission import Fence, Mission, Step, StepKind
from routing.flight_fence import closed_on, flight_fence, half_width_m
from routing.geo import Position, distance_m
from routing.motion import HOP_MPS, RELEASE_HEIGHT_M, stays_on_rotors
from routing.plan import Leg, StopAction, Trip
from routing.problem import FleetVehicle, Permit
from routing.region.model import Region, SiteKind, Zone
from routing.vehicle_type import Airframe, ReleaseBy, VehicleKind, VehicleType

_MISSION = TypeAdapter(Mission)

_RALLY_KINDS = (SiteKind.EMERGENCY, SiteKind.DRONE_PORT, SiteKind.HUB)
"""Sites at which a drone may come down unplanned: drop points have people."""

LATE = timedelta(hours=2)
"""A launch may be so late: what is closed by then, beside its path, is shut out too. Own choice; more than a day's
plan waits for its pilot. What is closed on its path by then, the look ahead of each launch and flight is for."""


def compile_mission(
    mission_id: str,
    trip: Trip,
    vehicle_type: VehicleType,
    region: Region,
    *,
    drops: DropPoints | None = None,
    zones: Sequence[Zone] | None = None,
    permits: Sequence[Permit] = (),
    vehicle: FleetVehicle | None = None,
) -> Mission:
    """Return the steps that fly or drive ``trip``: the same trip always gives the same steps.

    At the ``drops`` that are not fenced a drone waits to be told that they are clear, and at those that ask for a code
    a robot waits for it; ``None``: nothing waits anywhere. A drone's fence shuts ``zones`` out (``None``: the region's)
    but for those that the flight may cross, by ``permits`` of the ``vehicle`` among others.
    """
    if vehicle_type.kind is not VehicleKind.DRONE:
        robot_steps = tuple(_robot_steps(trip, vehicle_type, region, drops))
        return Mission(mission_id, robot_steps, vehicle_type.cruise_speed_mps, region.region_id)
    fence, rally = _fence(trip, vehicle or vehicle_type, region, region.zones if zones is None else zones, permits)
    return Mission(
        mission_id,
        tuple(_drone_steps(trip, vehicle_type, region, drops)),
        vehicle_type.cruise_speed_mps,
        region.region_id,
        trip.return_alt_amsl_m,
        fence=fence,
        rally=rally,
        vtol=vehicle_type.built_as is Airframe.VTOL,
        winch=vehicle_type.release is ReleaseBy.WINCH,
        energy_wh=sum(leg.energy_wh for leg in trip.legs),
    )


def _fence(
    trip: Trip, vehicle: FleetVehicle | VehicleType, region: Region, zones: Sequence[Zone], permits: Sequence[Permit]
) -> tuple[Fence, tuple[Position, ...]]:
    """The corridor of a trip without what is closed to it, and the emergency sites in it at ground level."""
    vehicle_type = vehicle.type if isinstance(vehicle, FleetVehicle) else vehicle
    path = [place for leg in trip.legs for place in leg.path]
    sites = {site.site_id: site.landing for site in region.sites if site.accepts_drone and site.kind in _RALLY_KINDS}
    found = flight_fence(
        path,
        frame=region.frame,
        home=[path[0], path[-1]],
        sites=list(sites.items()),
        closed=closed_on(zones, permits, vehicle, (trip.depart, trip.arrive + LATE), path, region),
        half_width_m=half_width_m(vehicle_type),
    )
    places = (sites[site_id] for site_id in found.rally)
    rally = tuple(Position(place.lat, place.lon, region.ground_amsl_m(place)) for place in places)
    return Fence((found.inclusion,), found.exclusions), rally


def _drone_steps(trip: Trip, vehicle_type: VehicleType, region: Region, drops: DropPoints | None) -> list[Step]:
    steps = [Step(StepKind.TAKEOFF, trip.legs[0].path[0])]
    speed_mps = vehicle_type.cruise_speed_mps
    for leg in trip.legs:
        first = len(steps)
        # The first point of a leg is above where the leg before has ended: it is flown to by climbing there.
        points = leg.path[1:] if first == 1 else leg.path
        steps += [Step(StepKind.MOVE, point) for point in points]
        steps.append(_drone_stop(leg, vehicle_type, region, drops))
        wanted = _leg_speed_mps(leg, vehicle_type)
        if wanted != speed_mps:
            speed_mps = wanted
            # The take-off belongs to the first leg.
            first = 0 if first == 1 else first
            steps[first] = replace(steps[first], speed_mps=speed_mps)
    return steps


def _leg_speed_mps(leg: Leg, vehicle_type: VehicleType) -> float:
    """A VTOL flies ways that are too short for its wing on its rotors, as planned (``routing.motion``)."""
    level_m = sum(distance_m(a, b) for a, b in pairwise(leg.path))
    cruise = vehicle_type.cruise_speed_mps
    return min(HOP_MPS, cruise) if stays_on_rotors(vehicle_type, level_m) else cruise


def _drone_stop(leg: Leg, vehicle_type: VehicleType, region: Region, drops: DropPoints | None) -> Step:
    above = leg.path[-1]
    ground_amsl_m = region.ground_amsl_m(above)
    if leg.action is StopAction.HOME:
        return Step(StepKind.LAND, Position(above.lat, above.lon, ground_amsl_m))
    release = Position(above.lat, above.lon, ground_amsl_m + RELEASE_HEIGHT_M)
    gate_s = GATE_S if drops is not None and drops[leg.to_site].gated else 0.0
    dwell_s = min(5.0, vehicle_type.service_s)
    return Step(StepKind.RELEASE, release, order_ids=leg.order_ids, dwell_s=dwell_s, gate_s=gate_s)


def _robot_steps(trip: Trip, vehicle_type: VehicleType, region: Region, drops: DropPoints | None) -> list[Step]:
    first = trip.legs[0]
    steps = [Step(StepKind.MOVE, first.path[0], node=first.nodes[0])]
    for leg in trip.legs:
        steps += [
            Step(StepKind.MOVE, point, node=node) for point, node in zip(leg.path[1:], leg.nodes[1:], strict=True)
        ]
        if leg.action is StopAction.DROP:
            steps.append(
                Step(
                    StepKind.RELEASE,
                    leg.path[-1],
                    node=leg.nodes[-1],
                    order_ids=leg.order_ids,
                    dwell_s=vehicle_type.service_s,
                    unlock=drops is not None and drops[leg.to_site].unlock,
                )
            )
    return _with_crossings(steps, region)


def _with_crossings(steps: list[Step], region: Region) -> list[Step]:
    """Mark the steps from which the way on crosses a road; of several steps at one node, the last."""
    ways = set(pairwise(step.node for step in steps))
    roads = {way for edge in region.edges if edge.crossing for way in ((edge.a, edge.b), (edge.b, edge.a))} & ways
    ahead = [(step.node, after.node) in roads for step, after in pairwise(steps)]
    return [replace(step, crossing=crossing) for step, crossing in zip(steps, [*ahead, False], strict=True)]


def mission_to_json(mission: Mission) -> dict[str, Any]:
    """Return plain data for the database."""
    return asdict(mission)


def mission_from_json(data: dict[str, Any]) -> Mission:
    """Read what ``mission_to_json`` returned."""
    return _MISSION.validate_python(data)

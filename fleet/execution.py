"""From a planned trip to the mission that a vehicle executes, and back from the stored form."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from hardware.mission import Mission, Step, StepKind
from routing.geo import Position
from routing.motion import RELEASE_HEIGHT_M
from routing.plan import Leg, StopAction, Trip
from routing.region.model import Region
from routing.vehicle_type import VehicleKind, VehicleType

_MISSION = TypeAdapter(Mission)


def compile_mission(mission_id: str, trip: Trip, vehicle_type: VehicleType, region: Region) -> Mission:
    """Return the steps that fly or drive ``trip``: the same trip always gives the same steps."""
    if vehicle_type.kind is VehicleKind.DRONE:
        steps = _drone_steps(trip, vehicle_type, region)
    else:
        steps = _robot_steps(trip, vehicle_type, region)
    return Mission(mission_id, tuple(steps), vehicle_type.cruise_speed_mps, region.region_id, trip.return_alt_amsl_m)


def _drone_steps(trip: Trip, vehicle_type: VehicleType, region: Region) -> list[Step]:
    steps = [Step(StepKind.TAKEOFF, trip.legs[0].path[0])]
    for leg in trip.legs:
        # The first point of a leg is above where the leg before has ended: it is flown to by climbing there.
        points = leg.path[1:] if len(steps) == 1 else leg.path
        steps += [Step(StepKind.MOVE, point) for point in points]
        steps.append(_drone_stop(leg, vehicle_type, region))
    return steps


def _drone_stop(leg: Leg, vehicle_type: VehicleType, region: Region) -> Step:
    above = leg.path[-1]
    ground_amsl_m = region.ground_amsl_m(above)
    if leg.action is StopAction.HOME:
        return Step(StepKind.LAND, Position(above.lat, above.lon, ground_amsl_m))
    release = Position(above.lat, above.lon, ground_amsl_m + RELEASE_HEIGHT_M)
    return Step(StepKind.RELEASE, release, order_ids=leg.order_ids, dwell_s=min(5.0, vehicle_type.service_s))


def _robot_steps(trip: Trip, vehicle_type: VehicleType, region: Region) -> list[Step]:
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
                )
            )
    return steps


def mission_to_json(mission: Mission) -> dict[str, Any]:
    """Return plain data for the database."""
    return asdict(mission)


def mission_from_json(data: dict[str, Any]) -> Mission:
    """Read what ``mission_to_json`` returned."""
    return _MISSION.validate_python(data)

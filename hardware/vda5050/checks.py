"""Whether a robot could and would take an order now. Pure functions; each raises what stands in the way."""

from __future__ import annotations

import math

from hardware.errors import MissionRejected, Refused
from hardware.vda5050.makers import Quirks
from hardware.vda5050.messages import State
from hardware.vda5050.route import START_DEVIATION_M, Route, reached_index


def check_hand_over(vehicle_id: str, route: Route, quirks: Quirks) -> None:
    """Raise ``MissionRejected`` for parcels under lock on a robot that nobody can unlock from afar."""
    locked = any(drop.trigger_id for drop in route.drops)
    if locked and not (quirks.unlock and quirks.shows_added_actions):
        raise MissionRejected(
            f"mission {route.order_id}: its parcels are to be unlocked by us, and {vehicle_id} offers no action "
            f"for that ({quirks.source})"
        )


def check_free(vehicle_id: str, raw: State) -> None:
    """Raise ``Refused`` unless the robot would take a new order now."""
    if raw.operating_mode != "AUTOMATIC":
        raise Refused(f"{vehicle_id} is in mode {raw.operating_mode}, not AUTOMATIC")
    if raw.order_active:
        raise Refused(f"{vehicle_id} is busy with order {raw.order_id!r}")
    check_fit(vehicle_id, raw)


def check_fit(vehicle_id: str, raw: State) -> None:
    """Raise ``Refused`` while the robot needs a person: FATAL errors and its emergency stop."""
    stops = [error.words() for error in raw.errors if error.fatal]
    if raw.safety_state.e_stop != "NONE":
        stops.append(f"emergency stop {raw.safety_state.e_stop}")
    if stops:
        raise Refused(f"{vehicle_id} is not fit to drive: {'; '.join(stops)}")


def check_place(vehicle_id: str, route: Route, raw: State) -> None:
    """Raise ``Refused`` unless the robot stands at the first node, on the same map."""
    first, pose = route.nodes[0], raw.agv_position
    if pose is not None and pose.map_id != route.map_id:
        raise Refused(f"{vehicle_id} is on map {pose.map_id!r}, the mission on {route.map_id!r}")
    if raw.last_node_id == first.node_id:
        return
    if pose is None or not pose.position_initialized:
        raise Refused(f"{vehicle_id} does not know where it is; the mission starts at {first.node_id}")
    away_m = math.dist((pose.x, pose.y), first.xy_m)
    if away_m > START_DEVIATION_M:
        raise Refused(f"{vehicle_id} is {away_m:.0f} m from node {first.node_id}, where the mission starts")


def check_off_road(vehicle_id: str, route: Route | None, raw: State) -> None:
    """Raise ``Refused`` while the robot drives across a road: without its order it would stop there."""
    if route is None or not raw.driving:
        return
    at = reached_index(route, raw)
    if at < route.road_until or any(kerb <= at < far for kerb, far in route.crossings):
        raise Refused(f"{vehicle_id} is crossing a road: let it reach the far kerb, or hold it")

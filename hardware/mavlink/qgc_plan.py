"""A drone's mission as a QGroundControl plan file, to be looked at or flown there.

Format: QGroundControl developer guide, "Plan File Format" (version 1; mission version 2).
"""

from __future__ import annotations

import math
from typing import Any

from hardware.mavlink.translate import DO_JUMP, FRAME_GLOBAL, Item, translate
from hardware.mission import Fence, Mission
from routing.vehicle_type import Airframe, VehicleType

_PX4 = 12
"""MAV_AUTOPILOT_PX4."""
_QUADROTOR, _VTOL = 2, 22
"""MAV_TYPE of what QGroundControl shows."""
_ABSOLUTE = 2
"""QGroundControl's altitude mode AMSL."""


def plan_of(mission: Mission, vehicle_type: VehicleType) -> dict[str, Any]:
    """Return the plan file's content: the very items that the link uploads. Raises ``MissionRejected``.

    Home is where it takes off, at the height of the landing: the first step says the height to climb to.
    """
    items = translate(mission).items
    start, end = mission.steps[0].position, mission.steps[-1].position
    return {
        "fileType": "Plan",
        "version": 1,
        "groundStation": "Todoke",
        "geoFence": {"version": 2, "circles": [], "polygons": _polygons(mission.fence)},
        # QGroundControl keeps rally points above home.
        "rallyPoints": {
            "version": 2,
            "points": [[place.lat, place.lon, place.alt_amsl_m - end.alt_amsl_m] for place in mission.rally],
        },
        "mission": {
            "version": 2,
            "firmwareType": _PX4,
            "vehicleType": _VTOL if vehicle_type.built_as is Airframe.VTOL else _QUADROTOR,
            "cruiseSpeed": mission.speed_mps,
            "hoverSpeed": mission.speed_mps,
            "globalPlanAltitudeMode": _ABSOLUTE,
            "plannedHomePosition": [start.lat, start.lon, end.alt_amsl_m],
            "items": [_item(item, number) for number, item in enumerate(items, start=1)],
        },
    }


def _polygons(fence: Fence | None) -> list[dict[str, Any]]:
    if fence is None:
        return []
    return [
        {"version": 1, "inclusion": inclusion, "polygon": [[place.lat, place.lon] for place in ring]}
        for inclusion, rings in ((True, fence.inclusions), (False, fence.exclusions))
        for ring in rings
    ]


def _item(item: Item, number: int) -> dict[str, Any]:
    placed = item.frame == FRAME_GLOBAL
    place = [item.x / 1e7, item.y / 1e7, item.z] if placed else [float(item.x), float(item.y), item.z]
    params = list(item.params)
    if item.command == DO_JUMP:
        # It names the item by doJumpId, which counts from 1.
        params[0] += 1
    shown: dict[str, Any] = {
        "type": "SimpleItem",
        "autoContinue": True,
        "command": item.command,
        "doJumpId": number,
        "frame": item.frame,
        # JSON has no NaN; QGroundControl reads null as one.
        "params": [None if math.isnan(value) else value for value in (*params, *place)],
    }
    if placed:
        shown |= {"Altitude": item.z, "AltitudeMode": _ABSOLUTE, "AMSLAltAboveTerrain": None}
    return shown

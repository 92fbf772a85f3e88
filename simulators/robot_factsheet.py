"""A robot's factsheet (VDA 5050 2.1.0, section 6.15)."""

from __future__ import annotations

from typing import Any

from routing.vehicle_type import VehicleType
from simulators.robot_actions import CAPABILITIES, LOAD_POSITION
from simulators.robot_cargo import MAX_LOADS
from simulators.robot_messages import (
    MAX_ACTIONS,
    MAX_ID_CHARACTERS,
    MAX_MESSAGE_BYTES,
    MAX_NODES,
    MAX_PARAMETERS,
)
from simulators.robot_orders import ROBOT_HEIGHT_M

LENGTH_M, WIDTH_M = 1.2, 0.7
"""Largest outline of a remotely operated small vehicle in Japan (Road Traffic Act enforcement order)."""

_REQUIRED = ("order.nodes.nodePosition",)
_SUPPORTED = (
    "order.nodes.nodePosition.theta",
    "order.nodes.nodePosition.allowedDeviationXY",
    "order.nodes.nodePosition.allowedDeviationTheta",
    "order.nodes.actions.actionParameters",
    "order.edges.actions.actionParameters",
    "order.edges.maxSpeed",
    "order.edges.maxHeight",
    "order.edges.rotationAllowed",
    "order.edges.maxRotationSpeed",
    "order.edges.length",
    "state.agvPosition",
    "state.velocity",
    "state.loads",
    "state.paused",
    "state.newBaseRequest",
    "state.batteryState.batteryVoltage",
    "state.batteryState.reach",
)


def factsheet(profile: VehicleType, *, state_interval_s: float, visualization_interval_s: float) -> dict[str, Any]:
    """Return the factsheet without its header.

    ``blockingTypes`` of the actions is left out: the text wants an array there, and the published schema
    accepts none.
    """
    return {
        "typeSpecification": {
            "seriesName": profile.name,
            "seriesDescription": f"Simulated {profile.type_id}",
            "agvKinematic": "DIFF",
            "agvClass": "CARRIER",
            "maxLoadMass": profile.payload_kg,
            "localizationTypes": ["NATURAL"],
            "navigationTypes": ["VIRTUAL_LINE_GUIDED"],
        },
        "physicalParameters": {
            "speedMin": 0.05,
            "speedMax": profile.cruise_speed_mps,
            "accelerationMax": profile.acceleration_mps2,
            "decelerationMax": profile.acceleration_mps2,
            "heightMin": ROBOT_HEIGHT_M,
            "heightMax": ROBOT_HEIGHT_M,
            "width": WIDTH_M,
            "length": LENGTH_M,
        },
        "protocolLimits": _limits(state_interval_s, visualization_interval_s),
        "protocolFeatures": {
            "optionalParameters": [
                *({"parameter": name, "support": "REQUIRED"} for name in _REQUIRED),
                *({"parameter": name, "support": "SUPPORTED"} for name in _SUPPORTED),
            ],
            "agvActions": [_action(name) for name in CAPABILITIES],
        },
        "agvGeometry": {"envelopes2d": [_envelope()]},
        "loadSpecification": {
            "loadPositions": [LOAD_POSITION],
            "loadSets": [
                {
                    "setName": "PARCEL",
                    "loadType": "PARCEL",
                    "loadPositions": [LOAD_POSITION],
                    "maxWeight": profile.payload_kg,
                    "pickTime": profile.service_s,
                    "dropTime": profile.service_s,
                }
            ],
        },
    }


def _limits(state_interval_s: float, visualization_interval_s: float) -> dict[str, Any]:
    return {
        "maxStringLens": {"msgLen": MAX_MESSAGE_BYTES, "idLen": MAX_ID_CHARACTERS, "idNumericalOnly": False},
        "maxArrayLens": {
            "order.nodes": MAX_NODES,
            "order.edges": MAX_NODES,
            "node.actions": MAX_ACTIONS,
            "edge.actions": MAX_ACTIONS,
            "actions.actionsParameters": MAX_PARAMETERS,
            "instantActions": MAX_ACTIONS,
            "state.loads": MAX_LOADS,
        },
        "timing": {
            "minOrderInterval": 0.1,
            "minStateInterval": 0.1,
            "defaultStateInterval": state_interval_s,
            "visualizationInterval": visualization_interval_s,
        },
    }


def _action(name: str) -> dict[str, Any]:
    can = CAPABILITIES[name]
    entry: dict[str, Any] = {
        "actionType": name,
        "actionDescription": can.description,
        "actionScopes": list(can.scopes),
    }
    if can.parameters:
        entry["actionParameters"] = [
            {"key": key, "valueDataType": kind, "description": text, "isOptional": True}
            for key, kind, text in can.parameters
        ]
    return entry


def _envelope() -> dict[str, Any]:
    x, y = LENGTH_M / 2, WIDTH_M / 2
    corners = ((x, y), (-x, y), (-x, -y), (x, -y))
    return {"set": "body", "polygonPoints": [{"x": a, "y": b} for a, b in corners]}

"""A robot that does what a test tells it, down to what no good robot would do.

It speaks raw JSON over MQTT, and checks what fleet control sends against the rules and the official schemas.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hardware.mqtt import MqttClient, Will
from tests.broker import Broker
from tests.vda5050_schemas import have_schemas, schema_errors

IDLE: dict[str, Any] = {
    "orderId": "",
    "orderUpdateId": 0,
    "lastNodeId": "A",
    "lastNodeSequenceId": 0,
    "nodeStates": [],
    "edgeStates": [],
    "driving": False,
    "paused": False,
    "newBaseRequest": False,
    "actionStates": [],
    "batteryState": {"batteryCharge": 80.0, "charging": False},
    "operatingMode": "AUTOMATIC",
    "errors": [],
    "safetyState": {"eStop": "NONE", "fieldViolation": False},
    "agvPosition": {"x": 0.0, "y": 0.0, "theta": 0.0, "mapId": "sample", "positionInitialized": True},
}


FACTSHEET: dict[str, Any] = {
    "protocolFeatures": {
        "optionalParameters": [
            {"parameter": "order.edges.maxSpeed", "support": "SUPPORTED"},
            {"parameter": "order.nodes.nodePosition.allowedDeviationXY", "support": "SUPPORTED"},
        ],
        "agvActions": [
            {
                "actionType": "drop",
                "actionScopes": ["NODE"],
                "actionParameters": [{"key": "loadId", "valueDataType": "STRING", "isOptional": True}],
            }
        ],
    },
    "protocolLimits": {"maxArrayLens": {"order.nodes": 100}, "timing": None},
}


class ScriptedRobot:
    """``deaf`` messages to come are not heard, ``deaf_to_orders`` orders; orders are met with the error ``refusal``.

    ``orders`` and ``instants`` are what was heard and what was not; ``breaches`` what broke a rule.
    """

    def __init__(self, client: MqttClient, serial: str, maker: str = "maker") -> None:
        self.serial, self.maker, self.version = serial, maker, "2.1.0"
        self.state: dict[str, Any] = json.loads(json.dumps(IDLE))
        self.header_id = 0
        self._said_at = datetime.now(UTC)
        self.deaf = self.deaf_to_orders = 0
        self.refusal: str | None = None
        self.obeys = True
        self.orders: list[dict[str, Any]] = []
        self.instants: list[dict[str, Any]] = []
        self.breaches: list[str] = []
        self.client = client
        self._prefix = f"uagv/v2/{maker}/{serial}"
        self._base_end: dict[str, Any] | None = None

    def header(self) -> dict[str, Any]:
        self.header_id += 1
        # Its clock has milliseconds, and no two messages of one robot are of the same.
        self._said_at = max(datetime.now(UTC), self._said_at + timedelta(milliseconds=1))
        return {
            "headerId": self.header_id,
            "timestamp": self._said_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "version": self.version,
            "manufacturer": self.maker,
            "serialNumber": self.serial,
        }

    async def announce(self, connection_state: str = "ONLINE") -> None:
        message = {**self.header(), "connectionState": connection_state}
        await self.raw("connection", json.dumps(message).encode(), qos=1, retain=True)

    async def say(self, **changes: Any) -> dict[str, Any]:
        """Publish the state with these changes, which last."""
        self.state.update(changes)
        message = {**self.header(), **self.state}
        await self.raw("state", json.dumps(message).encode())
        return message

    async def raw(self, leaf: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        await self.client.publish(f"{self._prefix}/{leaf}", payload, qos=qos, retain=retain)

    async def reach(self, index: int, **changes: Any) -> None:
        """Be at the node of this index, its hand-overs and those before done."""
        self.advance(index)
        await self.say(**changes)

    def advance(self, index: int) -> None:
        node = next(n for n in self.state["nodeStates"] if n["sequenceId"] == 2 * index)
        if not node["released"]:
            self.breaches.append(f"node {index} reached, but not released")
        self.state["lastNodeId"], self.state["lastNodeSequenceId"] = node["nodeId"], 2 * index
        for name in ("nodeStates", "edgeStates"):
            self.state[name] = [n for n in self.state[name] if n["sequenceId"] > 2 * index]

    def act(self, action_id: str, status: str) -> None:
        """Set the status of an action."""
        for action in self.state["actionStates"]:
            if action["actionId"] == action_id:
                action["actionStatus"] = status

    async def serve(self) -> None:
        inbox = self.client.subscribe((f"{self._prefix}/order", f"{self._prefix}/instantActions"))
        await inbox.ready()
        await self.announce()
        await self.raw("factsheet", json.dumps({**self.header(), **FACTSHEET}).encode(), retain=True)
        await self.say()
        async for message in inbox:
            leaf = message.topic.rsplit("/", 1)[1]
            body = json.loads(message.payload)
            if have_schemas() and self.version == "2.1.0":
                self.breaches += schema_errors(leaf, body)
            heard = self.deaf <= 0
            self.deaf -= 1
            if leaf == "order":
                self.orders.append(body)
                heard = heard and self.deaf_to_orders <= 0
                self.deaf_to_orders -= 1
                if heard:
                    await self._take_order(body)
            else:
                self.instants += body["actions"]
                if heard:
                    await self._take_actions(body["actions"])

    async def _take_order(self, order: dict[str, Any]) -> None:
        if self.refusal is not None:
            reference = [{"referenceKey": "orderId", "referenceValue": order["orderId"]}]
            error = {
                "errorType": self.refusal,
                "errorLevel": "WARNING",
                "errorDescription": "the lid is open",
                "errorReferences": reference,
            }
            await self.say(errors=[error])
            return
        state, first = self.state, order["nodes"][0]
        same = order["orderId"] == state["orderId"]
        if same and order["orderUpdateId"] <= state["orderUpdateId"]:
            await self.say()
            return
        if same and first != self._base_end:
            self.breaches.append(f"update begins with {first}, the base ends with {self._base_end}")
        start = first["sequenceId"]
        keep = {
            name: [n for n in state[name] if n["sequenceId"] < start + (name == "nodeStates")] if same else []
            for name in ("nodeStates", "edgeStates")
        }
        new = order["nodes"][1:]
        actions = [a for n in (new if same else order["nodes"]) for a in n["actions"]]
        known = state["actionStates"] if same else []
        known += [
            {"actionId": a["actionId"], "actionType": a["actionType"], "actionStatus": "WAITING"}
            for a in actions
            if a["actionId"] not in [k["actionId"] for k in known]
        ]
        self._base_end = [n for n in order["nodes"] if n["released"]][-1]
        fields = ("nodeId", "sequenceId", "released")
        await self.say(
            orderId=order["orderId"],
            orderUpdateId=order["orderUpdateId"],
            nodeStates=keep["nodeStates"] + [{k: n[k] for k in fields} for n in new],
            edgeStates=keep["edgeStates"]
            + [{k: e[k] for k in ("edgeId", "sequenceId", "released")} for e in order["edges"]],
            actionStates=known,
            errors=[],
            **({} if same else {"lastNodeId": first["nodeId"], "lastNodeSequenceId": 0}),
        )

    async def _take_actions(self, actions: list[dict[str, Any]]) -> None:
        state = self.state
        for action in actions:
            if action["actionId"] in [a["actionId"] for a in state["actionStates"]]:
                continue
            status = "FINISHED" if self.obeys else "FAILED"
            if self.obeys and action["actionType"] in ("startPause", "stopPause"):
                state["paused"] = action["actionType"] == "startPause"
            if self.obeys and action["actionType"] == "emergencyStop":
                state["safetyState"] = {"eStop": "REMOTE", "fieldViolation": False}
            if self.obeys and action["actionType"] == "unlockCompartment":
                self.act(action["actionParameters"][0]["value"], "FINISHED")
            if self.obeys and action["actionType"] == "cancelOrder":
                state["nodeStates"], state["edgeStates"], state["driving"] = [], [], False
                for other in state["actionStates"]:
                    if other["actionStatus"] != "FINISHED":
                        other["actionStatus"] = "FAILED"
            state["actionStates"].append(
                {"actionId": action["actionId"], "actionType": action["actionType"], "actionStatus": status}
            )
        await self.say()


@contextlib.asynccontextmanager
async def scripted_robot(
    broker: Broker,
    serial: str,
    prepare: Callable[[ScriptedRobot], None] | None = None,
    *,
    maker: str = "maker",
) -> AsyncIterator[ScriptedRobot]:
    """Connect a robot; its last will has an old header, as all have."""
    old = {
        "headerId": 0,
        "timestamp": "2020-01-01T00:00:00.000Z",
        "version": "2.1.0",
        "manufacturer": maker,
        "serialNumber": serial,
        "connectionState": "CONNECTIONBROKEN",
    }
    will = Will(f"uagv/v2/{maker}/{serial}/connection", json.dumps(old).encode())
    client = MqttClient(host=broker.host, port=broker.port, client_id=f"robot-{serial}", will=will)
    async with client:
        await client.wait_connected()
        robot = ScriptedRobot(client, serial, maker)
        if prepare is not None:
            prepare(robot)
        serving = asyncio.create_task(robot.serve())
        try:
            yield robot
        finally:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving

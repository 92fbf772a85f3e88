"""Master control as robot tests need it: writes orders, and reads what a robot says, as plain JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from simulators.robot_config import RobotConfig
from simulators.robot_report import Intervals, Reporter
from simulators.robot_vehicle import Robot
from simulators.vehicle_log import VehicleLog

MAKER, SERIAL, MAP = "todoke-sim", "r1", "demo"
START_MS = 1_775_000_000_000
SCHEMAS = Path(__file__).parents[1].parent / "shared" / "data" / "vda5050" / "2.1.0"
_headers = count()


def schema(topic: str) -> dict[str, Any]:
    """Return the official schema of a topic; skips the test, loudly, where it is not at hand."""
    path = SCHEMAS / f"{topic}.schema"
    if not path.exists():
        pytest.skip(f"official VDA 5050 schemas are not at {SCHEMAS}: outgoing messages are NOT checked")
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if topic == "state":
        # The text (section 6.11) has PAUSED, the published schema forgot it; the text wins.
        status = data["properties"]["actionStates"]["items"]["properties"]["actionStatus"]
        status["enum"] = [*status["enum"], "PAUSED"]
    return data


def header(*, serial: str = SERIAL, version: str = "2.1.0") -> dict[str, Any]:
    """Return a message header of master control."""
    return {
        "headerId": next(_headers),
        "timestamp": "2026-04-01T09:30:00.00Z",
        "version": version,
        "manufacturer": MAKER,
        "serialNumber": serial,
    }


def action(action_id: str, kind: str = "drop", blocking: str = "HARD", **parameters: object) -> dict[str, Any]:
    """Return an action with its parameters."""
    return {
        "actionId": action_id,
        "actionType": kind,
        "blockingType": blocking,
        "actionParameters": [{"key": key, "value": value} for key, value in parameters.items()],
    }


def order(
    points: Iterable[tuple[str, float, float]],
    *,
    released: int | None = None,
    order_id: str = "o1",
    update_id: int = 0,
    first: int = 0,
    node_actions: dict[str, list[dict[str, Any]]] | None = None,
    edge_actions: dict[str, list[dict[str, Any]]] | None = None,
    max_speed: float | None = None,
    serial: str = SERIAL,
) -> dict[str, Any]:
    """Return an order along ``(node id, x, y)``.

    The first ``released`` nodes are its base (all by default). ``first`` is the sequenceId of its first
    node. Edges are named after the nodes that they connect, as in ``a-b``.
    """
    places = list(points)
    base = len(places) if released is None else released
    nodes = [
        {
            "nodeId": name,
            "sequenceId": first + 2 * index,
            "released": index < base,
            "nodePosition": {"x": x, "y": y, "mapId": MAP},
            "actions": (node_actions or {}).get(name, []),
        }
        for index, (name, x, y) in enumerate(places)
    ]
    edges: list[dict[str, Any]] = []
    for index, (start, end) in enumerate(pairwise(places)):
        name = f"{start[0]}-{end[0]}"
        edge = {
            "edgeId": name,
            "sequenceId": first + 2 * index + 1,
            "released": index + 1 < base,
            "startNodeId": start[0],
            "endNodeId": end[0],
            "actions": (edge_actions or {}).get(name, []),
        }
        edges.append(edge | ({} if max_speed is None else {"maxSpeed": max_speed}))
    ids = {"orderId": order_id, "orderUpdateId": update_id}
    return header(serial=serial) | ids | {"nodes": nodes, "edges": edges}


def instant(*actions: dict[str, Any], serial: str = SERIAL) -> dict[str, Any]:
    """Return an instantActions message."""
    return header(serial=serial) | {"actions": list(actions)}


class Bench:
    """A robot without a network, its clock in the test's hand."""

    def __init__(self, folder: Path, **config: Any) -> None:
        basis: dict[str, Any] = {"vehicle_id": "robot-1", "manufacturer": MAKER, "serial": SERIAL, "map_id": MAP}
        basis |= {"type_id": "sidewalk_robot", "x": 0.0, "y": 0.0, "node_id": "a"}
        self.log_path = folder / "robot-1.jsonl"
        self.log = VehicleLog(self.log_path)
        self.robot = Robot(RobotConfig(**(basis | config)), seed=1, now_ms=START_MS, log=self.log)
        self.reporter = Reporter(self.robot, Intervals())
        self.sent: dict[str, list[dict[str, Any]]] = {
            "state": [],
            "visualization": [],
            "factsheet": [],
            "connection": [],
        }
        self._speak()

    @property
    def state(self) -> dict[str, Any]:
        """The last state that it sent."""
        return self.sent["state"][-1]

    def status(self, action_id: str) -> str:
        """The status of an action in the last state."""
        statuses: dict[str, str] = {each["actionId"]: each["actionStatus"] for each in self.state["actionStates"]}
        return statuses[action_id]

    def errors(self) -> list[str]:
        """The types of the errors in the last state."""
        return [error["errorType"] for error in self.state["errors"]]

    def events(self, name: str) -> list[dict[str, Any]]:
        """What its own log says of one event."""
        # Not splitlines: a text from a message may hold other line separators.
        lines = self.log_path.read_text(encoding="utf-8").strip("\n").split("\n")
        return [record for record in map(json.loads, lines) if record["event"] == name]

    def send(self, message: dict[str, Any] | bytes, topic: str | None = None) -> None:
        """Deliver a message and let the robot answer."""
        if isinstance(message, bytes):
            payload, kind = message, topic or "order"
        else:
            payload, kind = json.dumps(message).encode(), "order" if "orderId" in message else "instantActions"
        self.robot.receive(topic or kind, payload)
        self._speak()

    def run(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds * 10)):
            self.robot.step(self.robot.now_ms + 100, 0.1)
            self._speak()

    def run_until(self, done: Callable[[], bool], limit_s: float = 600.0) -> float:
        """Let time pass until something holds; returns the seconds, fails after ``limit_s``."""
        started_ms = self.robot.now_ms
        while not done():
            passed_s = (self.robot.now_ms - started_ms) / 1000
            assert passed_s < limit_s, f"not within {limit_s} s; last state {self.state}"
            self.run(0.1)
        return (self.robot.now_ms - started_ms) / 1000

    def idle(self) -> bool:
        """Whether the last state shows an idle robot."""
        actions_done = all(each["actionStatus"] in ("FINISHED", "FAILED") for each in self.state["actionStates"])
        return not self.state["nodeStates"] and actions_done and not self.state["driving"]

    def _speak(self) -> None:
        for message in self.reporter.outgoing():
            self.sent[message.topic].append(json.loads(message.payload))

"""What a robot says: connection, state, visualization and factsheet messages, and when they are due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

import orjson

from simulators.robot_factsheet import factsheet
from simulators.robot_faults import Trouble
from simulators.robot_vehicle import Robot

VERSION = "2.1.0"


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often it speaks, in seconds of domain time; ``state_max_s`` always, the others while driving."""

    state_s: float = 1.0
    state_max_s: float = 15.0
    visualization_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish on the topic's last level. ``position`` is what to log once it was sent."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    position: dict[str, Any] | None = None


def iso_ms(moment_ms: int) -> str:
    """Format milliseconds since the Unix epoch as the standard's timestamp."""
    seconds, ms = divmod(moment_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


class Reporter:
    """Puts a robot into messages. The same robot and seed give the same messages."""

    def __init__(self, robot: Robot, intervals: Intervals) -> None:
        self._robot = robot
        self._intervals = intervals
        # ``next`` on a count is atomic: the last will is made in the thread of the connection.
        self._headers = {topic: count() for topic in ("connection", "state", "visualization", "factsheet")}
        self._state_ms = self._visualization_ms = robot.now_ms

    def _header(self, topic: str, now_ms: int) -> dict[str, Any]:
        """Return a header that counts on its topic (section 6.4)."""
        return {
            "headerId": next(self._headers[topic]) & 0xFFFFFFFF,
            "timestamp": iso_ms(now_ms),
            "version": VERSION,
            "manufacturer": self._robot.config.manufacturer,
            "serialNumber": self._robot.config.serial,
        }

    def connection(self, state: str, now_ms: int) -> Outgoing:
        """Return the message that says how the connection is: retained, and alone with QoS 1."""
        message = self._header("connection", now_ms) | {"connectionState": state}
        return Outgoing("connection", orjson.dumps(message), qos=1, retain=True)

    def connected(self) -> Outgoing:
        """Return what comes first on a new connection; factsheet and state follow from ``outgoing``."""
        self._robot.log("connected")
        self._robot.changed = self._robot.factsheet_due = True
        return self.connection("ONLINE", self._robot.now_ms)

    def outgoing(self) -> list[Outgoing]:
        """Return what is due: the state on an event or after its interval, visualization, factsheet."""
        robot, now_ms = self._robot, self._robot.now_ms
        driving = robot.seems_to_drive
        due_s = min(self._intervals.state_s if driving else 1e9, self._intervals.state_max_s)
        state_due = robot.changed or abs(now_ms - self._state_ms) >= due_s * 1000
        # The distance, not the difference: a simulation's clock that was set back must not silence it.
        pictured_ms = abs(now_ms - self._visualization_ms)
        picture_due = driving and pictured_ms >= self._intervals.visualization_s * 1000
        messages: list[Outgoing] = []
        if state_due or picture_due:
            robot.localisation.wander()
        if robot.factsheet_due:
            messages.append(self._factsheet())
        if state_due:
            messages.append(self._state())
        if picture_due:
            self._visualization_ms = now_ms
            message = self._header("visualization", now_ms) | self._pose()
            messages.append(Outgoing("visualization", orjson.dumps(message)))
        return messages

    def _factsheet(self) -> Outgoing:
        robot = self._robot
        robot.factsheet_due = False
        body = factsheet(
            robot.profile,
            state_interval_s=self._intervals.state_max_s,
            visualization_interval_s=self._intervals.visualization_s,
        )
        message = self._header("factsheet", robot.now_ms) | body
        return Outgoing("factsheet", orjson.dumps(message), retain=True)

    def _pose(self) -> dict[str, Any]:
        drive = self._robot.drive
        x, y, theta = self._robot.localisation.pose(drive)
        return {
            "agvPosition": {
                "x": round(x, 3),
                "y": round(y, 3),
                "theta": round(theta, 4),
                "mapId": self._robot.config.map_id,
                "positionInitialized": True,
            },
            "velocity": {"vx": round(drive.speed_mps, 3), "vy": 0.0, "omega": round(drive.omega, 4)},
        }

    def _state(self) -> Outgoing:
        robot, book, pose = self._robot, self._robot.book, self._pose()
        robot.changed = False
        self._state_ms = robot.now_ms
        message = self._header("state", robot.now_ms) | {
            "orderId": book.order_id,
            "orderUpdateId": book.order_update_id,
            "lastNodeId": book.last_node_id,
            "lastNodeSequenceId": book.last_node_sequence_id,
            "nodeStates": [
                {"nodeId": node.node_id, "sequenceId": node.sequence_id, "released": node.released}
                for node in book.nodes
            ],
            "edgeStates": [
                {"edgeId": edge.edge_id, "sequenceId": edge.sequence_id, "released": edge.released}
                for edge in book.edges
            ],
            "driving": robot.seems_to_drive,
            "paused": robot.paused,
            "newBaseRequest": robot.near_end_of_base(),
            "actionStates": [item.report() for item in robot.actions.all],
            "batteryState": self._battery(),
            "operatingMode": robot.mode,
            "errors": [error.report() for error in robot.errors.active],
            "safetyState": {"eStop": robot.e_stop, "fieldViolation": Trouble.OBSTACLE in robot.faults.active},
            **pose,
        }
        if robot.cargo.loads is not None:
            message["loads"] = robot.cargo.loads
        position = pose["agvPosition"]
        logged = {key: position[key] for key in ("x", "y", "theta")}
        logged |= {"header_id": message["headerId"], "order_id": book.order_id}
        return Outgoing("state", orjson.dumps(message), position=logged)

    def _battery(self) -> dict[str, Any]:
        battery = self._robot.battery
        return {
            "batteryCharge": round(battery.percent, 2),
            # 13 lithium-ion cells from 3.2 V empty to 4.15 V full, taken as linear.
            "batteryVoltage": round(41.6 + 0.1235 * battery.percent, 2),
            "charging": False,
            "reach": battery.reach_m(),
        }

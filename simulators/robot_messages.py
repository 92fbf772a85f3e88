"""What a robot reads from ``order`` and ``instantActions`` (VDA 5050 2.1.0, sections 6.6.6 and 6.9).

Written against the text of the standard and shared with nothing outside the simulators. An optional field
that is ``null`` counts as absent and unknown fields are ignored, since other makers send both; everything
else is strict.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

MAX_MESSAGE_BYTES = 1_048_576
MAX_ID_CHARACTERS = 256
MAX_NODES = 2_000
MAX_ACTIONS = 50
MAX_PARAMETERS = 50

UInt32 = Annotated[int, Field(ge=0, le=4_294_967_295)]
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS)]
Metres = Annotated[float, Field(ge=-1e6, le=1e6)]
Angle = Annotated[float, Field(ge=-3.14159265359, le=3.14159265359)]
Positive = Annotated[float, Field(ge=0, le=1e6)]


class Rejection(Exception):
    """A message that the robot does not take over; becomes a warning in its state (section 6.6.4).

    ``references`` are the error references of section 7.1 as key and value.
    """

    def __init__(self, error_type: str, description: str, references: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(f"{error_type}: {description}")
        self.error_type = error_type
        self.description = description
        self.references = references


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", alias_generator=to_camel, frozen=True)


class ActionParameter(_Part):
    """One key and its value."""

    key: str
    value: Any


class Action(_Part):
    """What the robot is asked to do on a node, on an edge or at once."""

    action_type: Id
    action_id: Id
    blocking_type: Literal["NONE", "SOFT", "HARD"]
    action_parameters: Annotated[list[ActionParameter], Field(max_length=MAX_PARAMETERS)] | None = None

    def parameter(self, key: str) -> Any:
        """Return the value of a parameter, ``None`` when it is absent or null."""
        for parameter in self.action_parameters or ():
            if parameter.key == key:
                return parameter.value
        return None


Actions = Annotated[list[Action], Field(max_length=MAX_ACTIONS)]


class NodePosition(_Part):
    """Where a node is, in metres of the map."""

    x: Metres
    y: Metres
    map_id: Id
    theta: Angle | None = None
    allowed_deviation_xy: Positive | None = Field(default=None, alias="allowedDeviationXY")
    allowed_deviation_theta: Annotated[float, Field(ge=0, le=3.141592654)] | None = None


class Node(_Part):
    """A node of an order."""

    node_id: Id
    sequence_id: UInt32
    released: bool
    actions: Actions
    node_position: NodePosition | None = None


class Edge(_Part):
    """An edge of an order, with the optional fields that a robot has to act upon or refuse."""

    edge_id: Id
    sequence_id: UInt32
    released: bool
    start_node_id: Id
    end_node_id: Id
    actions: Actions
    max_speed: float | None = None
    max_height: float | None = None
    min_height: float | None = None
    orientation: Angle | None = None
    orientation_type: Literal["GLOBAL", "TANGENTIAL"] | None = None
    direction: str | None = None
    rotation_allowed: bool | None = None
    max_rotation_speed: float | None = None
    trajectory: dict[str, Any] | None = None
    corridor: dict[str, Any] | None = None


class _Message(_Part):
    header_id: UInt32
    timestamp: str
    version: Annotated[str, Field(pattern=r"^2\.\d+\.\d+$")]
    manufacturer: str
    serial_number: str

    @model_validator(mode="after")
    def _timestamp_is_iso_8601(self) -> Self:
        if datetime.fromisoformat(self.timestamp).tzinfo is None:
            raise ValueError("timestamp must be UTC, as in 2026-04-01T09:30:00.00Z")
        return self


class Order(_Message):
    """An order or an order update whose structure is right."""

    order_id: Id
    order_update_id: UInt32
    nodes: Annotated[list[Node], Field(min_length=1, max_length=MAX_NODES)]
    edges: Annotated[list[Edge], Field(max_length=MAX_NODES)]
    zone_set_id: str | None = None

    @model_validator(mode="after")
    def _graph_is_sound(self) -> Self:
        """Check the rules of section 6.6.1: counts, sequence, connection, and what may be released."""
        nodes, edges = self.nodes, self.edges
        if len(edges) != len(nodes) - 1:
            raise ValueError(f"{len(nodes)} nodes need {len(nodes) - 1} edges, not {len(edges)}")
        if not nodes[0].released:
            raise ValueError(f"the first node {nodes[0].node_id!r} must be released")
        parts: list[Node | Edge] = [nodes[0]]
        for edge, node in zip(edges, nodes[1:], strict=True):
            parts += (edge, node)
        if parts[0].sequence_id % 2:
            raise ValueError("sequenceIds of nodes are even")
        for before, after in pairwise(parts):
            if after.sequence_id != before.sequence_id + 1:
                raise ValueError(f"sequenceId {after.sequence_id} does not follow {before.sequence_id}")
            if after.released and not before.released:
                raise ValueError(f"sequenceId {after.sequence_id} is released after an unreleased part")
        for index, edge in enumerate(edges):
            if (edge.start_node_id, edge.end_node_id) != (nodes[index].node_id, nodes[index + 1].node_id):
                raise ValueError(f"edge {edge.edge_id!r} does not connect the nodes around it")
            if edge.released and not nodes[index + 1].released:
                raise ValueError(f"edge {edge.edge_id!r} is released but its end node is not")
        return self


class InstantActions(_Message):
    """Actions to carry out at once."""

    actions: Actions


M = TypeVar("M", bound=_Message)


def _references(topic: str, raw: object) -> list[tuple[str, str]]:
    references = [("topic", topic)]
    if isinstance(raw, dict):
        for key in ("headerId", "orderId", "orderUpdateId"):
            value = raw.get(key)
            if isinstance(value, str | int) and not isinstance(value, bool):
                references.append((key, str(value)[:MAX_ID_CHARACTERS]))
    return references


def read_message(kind: type[M], payload: bytes, *, topic: str, manufacturer: str, serial: str) -> M:
    """Read a message addressed to one robot.

    Raises ``Rejection`` with ``validationError`` that says what is wrong with which field.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        text = f"message of {len(payload)} bytes; at most {MAX_MESSAGE_BYTES} are taken"
        raise Rejection("validationError", text, (("topic", topic),))
    try:
        raw = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise Rejection("validationError", f"not JSON: {error}", (("topic", topic),)) from error
    references = _references(topic, raw)
    try:
        message = kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if where:
            references.append(("field", where))
        text = f"{where}: {first['msg']}" if where else first["msg"]
        raise Rejection("validationError", text, tuple(references)) from error
    if (message.manufacturer, message.serial_number) != (manufacturer, serial):
        references.append(("field", "serialNumber"))
        text = f"addressed to {message.manufacturer}/{message.serial_number}"
        raise Rejection("validationError", text, tuple(references))
    return message

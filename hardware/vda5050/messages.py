"""Messages of VDA 5050 2.1.0, as far as fleet control needs them.

What robots send is read leniently: ``null`` is the same as absent, unknown fields and unknown words are
let be, and only what a decision rests on is required. What we send is written strictly: the names of the
standard, nothing that is not set. Where the official text and the JSON schemas differ, the text is
followed (``PAUSED`` is an action status, though the schema of the state forgets it).
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
)
from pydantic.alias_generators import to_camel

from hardware.errors import HardwareError
from hardware.vda5050.makers import Quirks
from telemetry.clock import Clock

VERSION = "2.1.0"
UINT32 = 2**32
MAX_MESSAGE_BYTES = 1_000_000
"""Longer messages are refused unread."""
LOAD_LIMIT = 8
"""Loads of which the names are kept."""
LARGEST_M = 100_000.0
"""A robot further than this from its map's origin is not believed."""
INSTANT_ACTIONS = frozenset(("startPause", "stopPause", "cancelOrder", "stateRequest", "factsheetRequest"))
"""The instant actions of the standard that we send; those of makers (``makers``) are known by their ids."""
INSTANT_PREFIX = "instant-"
"""What the ids of our instant actions begin with."""


class MalformedMessage(HardwareError):
    """A message is not what the standard says; the text names the field. Nothing was changed by it.

    ``reason`` is the kind of fault: ``oversized``, ``nul``, ``not_json`` or ``invalid``.
    """

    def __init__(self, text: str, reason: str = "invalid") -> None:
        super().__init__(text)
        self.reason = reason


def _name(field: str) -> str:
    # The text's spelling; the schema of 2.0.0 has allowedDeviationXy.
    return "allowedDeviationXY" if field == "allowed_deviation_xy" else to_camel(field)


class Part(BaseModel):
    """A message or a part of one: read leniently, written with the standard's names."""

    model_config = ConfigDict(
        alias_generator=_name,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        str_max_length=10_000,
    )


def _in_utc(value: datetime) -> datetime:
    # The standard demands UTC; a robot that leaves the Z away means it all the same.
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]


Remark = Any
"""A field on which no decision rests: taken as it comes, and looked at where it is used (``number_in``, ``loads_in``),
so that one that is nonsense does not cost the rest of the message."""


def number_in(remark: object) -> float | None:
    """Return a remark that is a sensible number, else ``None``."""
    kind = type(remark)
    if kind is not float and kind is not int:
        return None
    assert isinstance(remark, int | float)
    return float(remark) if isfinite(remark) and abs(remark) < 1e9 else None


def loads_in(remark: object) -> list[str] | None:
    """Return the names of the loads in a remark, ``loadId`` or else ``loadType``; ``None`` when it is no list."""
    if not isinstance(remark, list | tuple):
        return None
    loads = (each for each in remark[:LOAD_LIMIT] if isinstance(each, dict))
    return [str(each.get("loadId") or each.get("loadType") or "?")[:64] for each in loads]


class Header(Part):
    """What every message begins with (6.4). ``header_id`` is counted per topic."""

    header_id: int = Field(ge=0, lt=UINT32)
    timestamp: Moment
    version: str
    manufacturer: str
    serial_number: str

    @field_serializer("timestamp")
    def _timestamp(self, value: datetime) -> str:
        return value.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"

    @property
    def vehicle_ms(self) -> int:
        """The message time in ms since the Unix epoch."""
        return round(self.timestamp.timestamp() * 1000)


class ActionParameter(Part):
    """A parameter of an action."""

    key: str
    value: str | float | bool | list[Any] | dict[str, Any]


class Action(Part):
    """An action on a node or at once (6.8)."""

    action_type: str
    action_id: str
    blocking_type: str
    action_description: str | None = None
    action_parameters: tuple[ActionParameter, ...] | None = None


class NodePosition(Part):
    """Where a node is: metres east (x) and north (y) of the map's origin."""

    x: float
    y: float
    map_id: str
    theta: float | None = None
    allowed_deviation_xy: float | None = Field(default=None, ge=0)


class Node(Part):
    """A node of an order."""

    node_id: str
    sequence_id: int
    released: bool
    node_position: NodePosition | None = None
    actions: tuple[Action, ...] = ()


class Edge(Part):
    """An edge of an order; ``max_speed`` in m/s."""

    edge_id: str
    sequence_id: int
    released: bool
    start_node_id: str
    end_node_id: str
    max_speed: float | None = None
    actions: tuple[Action, ...] = ()


class Order(Header):
    """Topic ``order``: a new order or an update of the one under way (6.6)."""

    order_id: str
    order_update_id: int = Field(ge=0)
    nodes: tuple[Node, ...] = Field(min_length=1)
    edges: tuple[Edge, ...]


class InstantActions(Header):
    """Topic ``instantActions``: what the robot does at once (6.9)."""

    actions: tuple[Action, ...]


class NodeState(Part):
    """A node that is still to be reached."""

    node_id: str
    sequence_id: int = Field(ge=0, lt=UINT32)
    released: bool


class ActionState(Part):
    """How far an action is (6.11). A status that we do not know is one that is not over."""

    action_id: str
    action_status: str
    action_type: str | None = None
    result_description: str | None = None

    @property
    def over(self) -> bool:
        """Whether the robot will do no more about it."""
        return self.action_status in ("FINISHED", "FAILED")

    @property
    def instant(self) -> bool:
        """Whether it is an instant action of ours; the type is optional in a state, the id is not."""
        return self.action_type in INSTANT_ACTIONS or self.action_id.startswith(INSTANT_PREFIX)


class AgvPosition(Part):
    """Where the robot is; ``theta`` in radians counter-clockwise from x (east)."""

    x: float = Field(ge=-LARGEST_M, le=LARGEST_M)
    y: float = Field(ge=-LARGEST_M, le=LARGEST_M)
    theta: float = 0.0
    map_id: str
    position_initialized: bool = True
    localization_score: Remark = None


class Velocity(Part):
    """Speed in the robot's own axes, x forward and y left, in m/s."""

    vx: float | None = Field(default=None, ge=-100, le=100)
    vy: float | None = Field(default=None, ge=-100, le=100)
    omega: float | None = None


class BatteryState(Part):
    """The battery; ``battery_charge`` in percent."""

    battery_charge: float = Field(ge=-1, le=101)
    battery_voltage: float | None = Field(default=None, ge=0, le=10_000)
    charging: bool = False
    reach: Remark = None


class ErrorReference(Part):
    """What an error is about."""

    reference_key: str
    reference_value: str

    @field_validator("reference_value", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) else value


class ErrorState(Part):
    """An error that is present. Any level but ``WARNING`` is read as one that stops the robot."""

    error_type: str
    error_level: str
    error_references: tuple[ErrorReference, ...] = ()
    error_description: str | None = None
    error_hint: str | None = None

    @property
    def fatal(self) -> bool:
        """Whether a person is needed."""
        return self.error_level != "WARNING"

    def refers_to(self, key: str, value: str) -> bool:
        """Whether one of its references is this one."""
        return any(ref.reference_key == key and ref.reference_value == value for ref in self.error_references)

    def words(self) -> str:
        """The error in one line."""
        parts = [f"{self.error_level} {self.error_type}", self.error_description, self.error_hint]
        return ": ".join(part for part in parts if part)


class SafetyState(Part):
    """Emergency stop and protective field."""

    e_stop: str = "NONE"
    field_violation: bool = False


class State(Header):
    """Topic ``state`` (6.10). Of the edges that are still to be driven only matters whether there are any."""

    order_id: str
    order_update_id: int = Field(ge=0, lt=UINT32)
    last_node_id: str
    last_node_sequence_id: int = Field(ge=0, lt=UINT32)
    driving: bool
    paused: bool = False
    new_base_request: bool = False
    operating_mode: str = Field(max_length=64)
    node_states: Annotated[tuple[NodeState, ...], FailFast()]
    edge_states: tuple[Any, ...] = ()
    action_states: Annotated[tuple[ActionState, ...], FailFast()]
    loads: Remark = None
    distance_since_last_node: Remark = None
    agv_position: AgvPosition | None = None
    velocity: Velocity | None = None
    battery_state: BatteryState | None = None
    errors: Annotated[tuple[ErrorState, ...], FailFast()] = ()
    safety_state: SafetyState = SafetyState()

    @property
    def commandable(self) -> bool:
        """Whether fleet control is in charge; in the other modes nothing is sent (table 1)."""
        return self.operating_mode in ("AUTOMATIC", "SEMIAUTOMATIC")

    @property
    def order_active(self) -> bool:
        """Whether an order is being executed or waits for its next base (6.6.2, figure 8, step 3).

        Instant actions are in ``actionStates`` too; one under way does not make an order.
        """
        return bool(self.node_states or self.edge_states) or any(
            not action.over and not action.instant for action in self.action_states
        )

    def action(self, action_id: str) -> ActionState | None:
        """Return the state of an action, ``None`` when the robot does not list it."""
        return next((action for action in self.action_states if action.action_id == action_id), None)


class Visualization(Part):
    """Topic ``visualization``: position and speed at a higher rate; all fields are optional (6.13)."""

    header_id: int | None = Field(default=None, ge=0, lt=UINT32)
    timestamp: Moment | None = None
    agv_position: AgvPosition | None = None
    velocity: Velocity | None = None


class Connection(Header):
    """Topic ``connection`` (6.14); the header of a last will is always old."""

    connection_state: str


M = TypeVar("M", bound=Part)


def read(model: type[M], payload: bytes) -> M:
    """Read a message; raises ``MalformedMessage`` naming topic and field."""
    what = model.__name__[0].lower() + model.__name__[1:]
    if len(payload) > MAX_MESSAGE_BYTES:
        raise MalformedMessage(f"{what}: {len(payload)} bytes are more than {MAX_MESSAGE_BYTES}", "oversized")
    if b"\\" in payload and b"\\u0000" in payload:
        # Valid JSON, but no text of ours, and none that a database takes.
        raise MalformedMessage(f"{what}: a text holds the character U+0000", "nul")
    try:
        return model.model_validate_json(payload, by_alias=True, by_name=False)
    except ValidationError as error:
        # Null is the same as absent; that is rare, and looked for only when it matters.
        if b"null" in payload:
            return _read_without_nulls(model, payload, what)
        raise _malformed(what, error) from error


def _read_without_nulls(model: type[M], payload: bytes, what: str) -> M:
    try:
        return model.model_validate(_without_nulls(orjson.loads(payload)), by_alias=True, by_name=False)
    except ValidationError as error:
        raise _malformed(what, error) from error
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"{what}: not JSON: {error}", "not_json") from error


def _malformed(what: str, error: ValidationError) -> MalformedMessage:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return MalformedMessage(f"{what}: not JSON: {first['msg']}", "not_json")
    field = ".".join(str(part) for part in first["loc"]) or "message"
    return MalformedMessage(f"{what}: {field}: {first['msg']}")


def _without_nulls(data: Any) -> Any:
    """Leave out what is null, which is the same as absent."""
    if isinstance(data, dict):
        return {key: _without_nulls(value) for key, value in data.items() if value is not None}
    return [_without_nulls(value) for value in data] if isinstance(data, list) else data


def write(message: Part, quirks: Quirks | None = None) -> bytes:
    """Write a message as the standard has it, or as a maker does: field names, without fields that are not set."""
    written = message.model_dump(by_alias=True, exclude_none=True)
    if quirks is not None and isinstance(message, Order) and quirks.deviation_key != "allowedDeviationXY":
        for node in written["nodes"]:
            position = node.get("nodePosition", {})
            if "allowedDeviationXY" in position:
                position[quirks.deviation_key] = position.pop("allowedDeviationXY")
    if quirks is not None and isinstance(message, InstantActions) and quirks.instant_key != "actions":
        written["instantActions"] = written["actions"]
        if quirks.instant_key != "both":
            del written["actions"]
    return orjson.dumps(written)


class HeaderSource:
    """Makes the headers of our messages to one robot: counted per topic, stamped with domain time."""

    def __init__(self, *, manufacturer: str, serial: str, clock: Clock) -> None:
        self._manufacturer = manufacturer
        self._serial = serial
        self._clock = clock
        self._next: dict[str, int] = {}

    def next(self, topic: str, version: str = VERSION) -> dict[str, Any]:
        """Return the header fields of the next message on ``topic``, in a version of the standard."""
        header_id = self._next.get(topic, 0)
        self._next[topic] = (header_id + 1) % UINT32
        return {
            "header_id": header_id,
            "timestamp": self._clock.now(),
            "version": version,
            "manufacturer": self._manufacturer,
            "serial_number": self._serial,
        }

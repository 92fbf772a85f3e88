"""Samples and events as the bytes of their rows in PostgreSQL's binary COPY format, checked on the way.

Rows are made in the loop that serves vehicles, some ten thousand a second, and COPY then takes their bytes as
they are. Format: PostgreSQL documentation, COPY, Binary Format; every value in network byte order after its
length, -1 for NULL; timestamps in microseconds since 2000-01-01 UTC, jsonb as text after its version, 1.
``to_row`` is the plain way, which names what is wrong; ``telemetry.rows`` makes the same of many at once.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import orjson

from telemetry.errors import NotStorable
from telemetry.event import VehicleEvent
from telemetry.sample import Sample

COLUMNS: Mapping[str, str] = {
    "t": "timestamptz",
    "vehicle_ms": "int8",
    "seq": "int8",
    "lat_e7": "int4",
    "lon_e7": "int4",
    "alt_amsl_cm": "int4",
    "alt_home_cm": "int4",
    "vel_n_cms": "int4",
    "vel_e_cms": "int4",
    "vel_d_cms": "int4",
    "heading_cdeg": "int4",
    "battery_pct_x10": "int4",
    "voltage_mv": "int4",
    "current_ca": "int4",
    "roll_cdeg": "int4",
    "pitch_cdeg": "int4",
    "wind_n_cms": "int4",
    "wind_e_cms": "int4",
    "link_pct_x10": "int4",
    "step": "int4",
    "armed": "bool",
    "on_ground": "bool",
    "vehicle_id": "text",
    "mode": "text",
    "mission_id": "text",
    "extra": "jsonb",
}
"""The columns of ``sample`` and their types, in the order of the statements in ``sql/store.sql``."""

Row = tuple[str, int, int, bytes]
"""Vehicle, time in microseconds since 2000-01-01 UTC, ``seq``, which tell the newest of a vehicle; and the bytes."""

COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
COPY_TRAILER = struct.pack(">h", -1)
NULL = struct.pack(">i", -1)
REQUIRED = {"t", "seq", "vehicle_ms", "vehicle_id"}
MOST_EXTRA_BYTES = 64 * 1024
"""As JSON. A VDA 5050 state has a few kB; more would let one vehicle fill the memory of all."""
MOST_EVENT_CHARACTERS = 4000

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INTEGERS = {"int2": ">ih", "int4": ">ii", "int8": ">iq"}
_MOST_CHARACTERS = {"vehicle_id": 63, "kind": 63, "text": MOST_EVENT_CHARACTERS}


def to_row(sample: Sample) -> Row:
    """Return a sample's row; raises ``NotStorable`` naming the field that the store cannot hold.

    All checks are here, so that one sample can never make the database refuse a batch.
    """
    values = [
        NULL if (value := getattr(sample, name)) is None and name not in REQUIRED else _value(name, kind, value)
        for name, kind in COLUMNS.items()
    ]
    data = b"".join((struct.pack(">h", len(values)), *values))
    return sample.vehicle_id, _microseconds(sample.t), sample.seq, data


def to_event_row(event: VehicleEvent) -> bytes:
    """Return an event's row for ``copy_events``; raises ``NotStorable`` naming the field."""
    if type(event.severity) is not int or not 0 <= event.severity <= 7:
        raise NotStorable(f"severity must be 0 to 7, not {event.severity!r:.80}")
    values = (
        encode_text("vehicle_id", event.vehicle_id),
        _value("t", "timestamptz", event.t),
        _value("severity", "int2", event.severity),
        encode_text("kind", event.kind),
        encode_text("text", event.text),
    )
    return b"".join((struct.pack(">h", len(values)), *values))


def _value(name: str, kind: str, value: object) -> bytes:
    """A value after its length."""
    if kind in _INTEGERS:
        return _integer(name, kind, value)
    if kind == "bool":
        if type(value) is not bool:
            raise NotStorable(f"{name} must be true, false or not said, not {value!r:.80}")
        return struct.pack(">i?", 1, value)
    if kind == "timestamptz":
        return struct.pack(">iq", 8, _microseconds(value))
    return encode_extra(value) if kind == "jsonb" else encode_text(name, value)


def _integer(name: str, kind: str, value: object) -> bytes:
    code = _INTEGERS[kind]
    size = struct.calcsize(code) - 4
    # Not isinstance: True is an int, and would be stored as 1.
    if type(value) is not int or not -(1 << (size * 8 - 1)) <= value < 1 << (size * 8 - 1):
        raise NotStorable(f"{name} must be an integer of {size * 8} bits, not {value!r:.80}")
    return struct.pack(code, size, value)


def _microseconds(t: object) -> int:
    if not isinstance(t, datetime) or t.tzinfo is None:
        raise NotStorable(f"t must be a time with a time zone, not {t!r:.80}")
    try:
        return (t - _EPOCH) // _MICROSECOND
    except (TypeError, ValueError, OverflowError) as error:  # a zone that does not know its offset
        raise NotStorable(f"t must be a time with a time zone: {error}") from error


def encode_text(name: str, value: object) -> bytes:
    """Return a text after its length; raises ``NotStorable`` naming the field."""
    most = _MOST_CHARACTERS.get(name, 255)
    if type(value) is not str:
        raise NotStorable(f"{name} must be text, not {value!r:.80}")
    if not 0 < len(value) <= most or "\0" in value:
        raise NotStorable(f"{name} must be 1 to {most} characters without NUL, not {value!r:.80}")
    try:
        encoded = value.encode()
    except UnicodeEncodeError as error:
        raise NotStorable(f"{name} is not text: {error}") from error
    return struct.pack(">i", len(encoded)) + encoded


def encode_extra(extra: object) -> bytes:
    """Return ``extra`` as jsonb after its length, NULL when there is nothing in it; raises ``NotStorable``."""
    if not isinstance(extra, Mapping):
        raise NotStorable(f"extra must be names with values, not {extra!r:.80}")
    if not extra:
        return NULL
    try:
        encoded = orjson.dumps(dict(extra))
    except (TypeError, ValueError) as error:
        raise NotStorable(f"extra is not JSON: {error}") from error
    if len(encoded) > MOST_EXTRA_BYTES:
        raise NotStorable(f"extra must be at most {MOST_EXTRA_BYTES} bytes of JSON, not {len(encoded)}")
    if b"\\u0000" in encoded:
        raise NotStorable("extra holds a NUL character, which PostgreSQL cannot keep")
    return struct.pack(">i", len(encoded) + 1) + b"\x01" + encoded

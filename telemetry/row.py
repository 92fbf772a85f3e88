"""A sample as the bytes of its row in PostgreSQL's binary COPY format, checked on the way.

Rows are made in the loop that serves vehicles, some ten thousand a second, and COPY then takes their bytes as
they are. Format: PostgreSQL documentation, COPY, Binary Format; every value in network byte order after its
length, -1 for NULL; timestamps in microseconds since 2000-01-01 UTC, jsonb as text after its version, 1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import orjson

from telemetry.errors import NotStorable
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

COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
COPY_TRAILER = struct.pack(">h", -1)

_NAMES = tuple(COLUMNS)
_NUMBERS = tuple((name, kind) for name, kind in COLUMNS.items() if kind in ("int4", "int8", "bool"))
_REQUIRED = {"seq", "vehicle_ms"}
_CODES = {"int4": "i", "int8": "q", "bool": "?"}
_SIZES = {"int4": 4, "int8": 8, "bool": 1}
_read_numbers = attrgetter(*(name for name, _ in _NUMBERS))
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NULL = struct.pack(">i", -1)
_LENGTH = struct.Struct(">i")
_MAX_ID_LENGTH = 63

# What a row's numbers are packed from: the count of columns, the lengths that occur, the time, and the numbers.
_FIRST = (len(_NAMES), -1, 1, 4, 8)
_PLACE_OF_LENGTH = {length: place for place, length in enumerate(_FIRST) if place}
_PLACE_OF_TIME = len(_FIRST)

_Pack = tuple[Callable[..., bytes], Callable[[tuple[Any, ...]], tuple[Any, ...]]]


class Row(NamedTuple):
    """A sample's row, and what is needed to tell the newest of a vehicle; ``t_us`` since 2000-01-01 UTC."""

    vehicle_id: str
    t_us: int
    seq: int
    data: bytes


def to_row(sample: Sample) -> Row:
    """Return a sample's row; raises ``NotStorable`` naming the field that the store cannot hold.

    All checks are here, so that one sample can never make the database refuse a batch.
    """
    numbers = _read_numbers(sample)
    try:
        t_us = (sample.t - _EPOCH) // _MICROSECOND
        pack, choose = _packing(tuple(map(type, numbers)))
        data = pack(*choose((*_FIRST, t_us, *numbers)))
    except (struct.error, TypeError, OverflowError) as error:
        raise _not_storable(sample) from error
    vehicle, mode, mission, extra = _text("vehicle_id", sample.vehicle_id), _NULL, _NULL, _NULL
    if sample.mode is not None:
        mode = _text("mode", sample.mode)
    if sample.mission_id is not None:
        mission = _text("mission_id", sample.mission_id)
    if sample.extra:
        extra = _json(sample.extra)
    return Row(sample.vehicle_id, t_us, sample.seq, b"".join((data, vehicle, mode, mission, extra)))


@lru_cache(maxsize=4096)
def _packing(types: tuple[type, ...]) -> _Pack:
    """How numbers of these types are packed with their lengths; raises ``TypeError`` for a type that does not fit."""
    code, places = ">hiq", [0, _PLACE_OF_LENGTH[8], _PLACE_OF_TIME]
    for place, ((name, kind), found) in enumerate(zip(_NUMBERS, types, strict=True), start=_PLACE_OF_TIME + 1):
        if found is type(None) and name not in _REQUIRED:
            code += "i"
            places.append(_PLACE_OF_LENGTH[-1])
        elif found is (bool if kind == "bool" else int):
            code += "i" + _CODES[kind]
            places += [_PLACE_OF_LENGTH[_SIZES[kind]], place]
        else:
            raise TypeError(name)
    return struct.Struct(code).pack, itemgetter(*places)


def _not_storable(sample: Sample) -> NotStorable:
    """Why the numbers of a sample cannot be packed."""
    if not isinstance(sample.t, datetime) or sample.t.tzinfo is None:
        return NotStorable(f"t must be a time with a time zone, not {sample.t!r:.80}")
    for (name, kind), value in zip(_NUMBERS, _read_numbers(sample), strict=True):
        if value is None and name not in _REQUIRED:
            continue
        if kind == "bool":
            if type(value) is not bool:
                return NotStorable(f"{name} must be true, false or not said, not {value!r:.80}")
        elif type(value) is not int or not -(1 << (_SIZES[kind] * 8 - 1)) <= value < 1 << (_SIZES[kind] * 8 - 1):
            return NotStorable(f"{name} must be an integer of {_SIZES[kind] * 8} bits, not {value!r:.80}")
    return NotStorable(f"the sample of {sample.vehicle_id!r:.80} cannot be stored")


def _text(name: str, value: object) -> bytes:
    # Looked at before the cache is: True and 1.0 hash like 1, and what cannot be hashed is no text.
    if type(value) is not str:
        raise NotStorable(f"{name} must be text, not {value!r:.80}")
    return _known_text(name, value)


@lru_cache(maxsize=16_384)
def _known_text(name: str, value: str) -> bytes:
    most = _MAX_ID_LENGTH if name == "vehicle_id" else 255
    if not 0 < len(value) <= most or "\0" in value:
        raise NotStorable(f"{name} must be 1 to {most} characters without NUL, not {value!r:.80}")
    try:
        encoded = value.encode()
    except UnicodeEncodeError as error:
        raise NotStorable(f"{name} is not text: {error}") from error
    return _LENGTH.pack(len(encoded)) + encoded


def _json(extra: Mapping[str, object]) -> bytes:
    try:
        encoded = orjson.dumps(dict(extra))
    except (TypeError, ValueError) as error:
        raise NotStorable(f"extra is not JSON: {error}") from error
    if b"\\u0000" in encoded:
        raise NotStorable("extra holds a NUL character, which PostgreSQL cannot keep")
    return _LENGTH.pack(len(encoded) + 1) + b"\x01" + encoded

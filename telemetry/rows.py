"""Many samples as rows at once, in a third of the time of ``to_row`` on each, and the very same bytes.

The numbers of a sample go through ``marshal``, the quickest exact statement of values with their types that
Python has: a code a value (``i`` and four bytes for an integer of 32 bits, ``N``, ``T``, ``F``; ``l`` and ``g`` and
others are what the store does not take). Samples with the same codes have the same bytes at the same places, in
marshal's form and in COPY's, so that numpy carries them over by the block. Nothing is kept in marshal's form, whose
version 2 is checked when this is imported. Whatever is unusual is left to ``to_row``, which also says what is wrong.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from itertools import repeat
from operator import add, itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from telemetry.errors import NotStorable
from telemetry.row import COLUMNS, NULL, Row, encode_extra, encode_text, to_row
from telemetry.sample import Sample

CHUNK = 500
"""Samples made into rows at a time, which takes about a millisecond: the loop serves vehicles in between."""

_Places = NDArray[np.intp]
_Bytes = NDArray[np.uint8]

_MARSHAL = 2
_UNDERSTOOD = marshal.dumps((1, -2, None, True, False), _MARSHAL) == b"(\x05\0\0\0i\x01\0\0\0i\xfe\xff\xff\xffNTF"
_FIRST_CODE = 5
"""The codes of a tuple's values begin behind its own code and its length."""
_NUMBERS = tuple(kind for kind in COLUMNS.values() if kind in ("int4", "bool"))
_MOST_SHAPES = 8
"""Samples of more shapes in one chunk are a vehicle's nonsense, or an attack: the rest take the plain way."""

_data = itemgetter(3)
_NOT_MADE: Row = ("", 0, 0, b"")

_HEAD = np.dtype(
    [
        ("columns", ">i2"),
        *(
            (f"{name}{part}", f">i{size}")
            for name in ("t", "vehicle_ms", "seq")
            for part, size in (("_length", 4), ("", 8))
        ),
    ]
)
_EPOCH_S = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
_LAST_S = 2**32  # 2106; as a float, a time before it is exact to a quarter of a microsecond


class _Unusual(Exception):
    """Among these samples is one that only ``to_row`` can judge."""


class _Shape(NamedTuple):
    """Where the numbers of samples with the same codes lie: in marshal's form, and behind a row's head."""

    length: int
    code_places: _Places
    codes: _Bytes
    flag_places: _Places
    flags_to: _Places
    integers_from: _Places
    integers_to: _Places
    blank: _Bytes
    """The row's part with the lengths of its values, to be filled in."""


def to_rows(samples: Sequence[Sample]) -> tuple[list[Row], list[tuple[Sample, NotStorable]]]:
    """Return rows in the order of the samples, and apart the samples that the store cannot hold, with the reason."""
    if not samples:
        return [], []
    found = [_NOT_MADE] * len(samples)
    if _UNDERSTOOD:
        # What is raised says that one of them is to blame: each is looked at by itself.
        with suppress(_Unusual, TypeError, ValueError, AttributeError, OverflowError):
            found = _quickly(samples)
    if all(map(_data, found)):
        return found, []
    rows: list[Row] = []
    refused: list[tuple[Sample, NotStorable]] = []
    for sample, row in zip(samples, found, strict=True):
        try:
            rows.append(row if row[3] else to_row(sample))
        except NotStorable as error:
            refused.append((sample, error))
    return rows, refused


def _quickly(samples: Sequence[Sample]) -> list[Row]:
    """Rows of samples, without data for one that is to be looked at by itself."""
    head = _heads(samples)
    starts = _starts(samples, head)
    known = _tails.get
    tails = [known(texts) or _tail(texts) for texts in [(s.vehicle_id, s.mode, s.mission_id) for s in samples]]
    if all(starts) and all(tails):
        data = list(map(add, starts, tails))
    else:
        data = [start + tail if start and tail else b"" for start, tail in zip(starts, tails, strict=True)]
    extras = [s.extra for s in samples]
    if any(extras):
        _add_extras(data, extras)
    return list(zip([s.vehicle_id for s in samples], head["t"].tolist(), [s.seq for s in samples], data, strict=True))


def _heads(samples: Sequence[Sample]) -> NDArray[np.void]:
    """The rows' beginnings: how many columns, and those that every sample has."""
    times = [s.t for s in samples]
    if set(map(type, times)) != {datetime} or {t.tzinfo for t in times} != {UTC}:
        raise _Unusual
    vehicle_ms, seqs = [s.vehicle_ms for s in samples], [s.seq for s in samples]
    if set(map(type, vehicle_ms)) | set(map(type, seqs)) != {int}:
        raise _Unusual
    seconds = np.fromiter(map(datetime.timestamp, times), np.float64, len(times))
    if seconds.min() < 0 or seconds.max() >= _LAST_S:
        raise _Unusual
    whole = np.floor(seconds)
    head = np.empty(len(samples), _HEAD)
    head["columns"] = len(COLUMNS)
    head["t_length"] = head["vehicle_ms_length"] = head["seq_length"] = 8
    head["t"] = (whole.astype(np.int64) - _EPOCH_S) * 1_000_000 + np.rint((seconds - whole) * 1e6).astype(np.int64)
    head["vehicle_ms"], head["seq"] = np.array(vehicle_ms, np.int64), np.array(seqs, np.int64)
    return head


def _starts(samples: Sequence[Sample], head: NDArray[np.void]) -> list[bytes]:
    """The rows up to their texts; nothing for one that is to be looked at by itself."""
    found = [b""] * len(samples)
    marshalled = list(map(marshal.dumps, _numbers(samples), repeat(_MARSHAL)))
    lengths = np.fromiter(map(len, marshalled), np.intp, len(marshalled))
    heads = head.view(np.uint8).reshape(len(samples), -1)
    left = np.arange(len(samples))
    for _ in range(_MOST_SHAPES):
        if not left.size:
            break
        shape = _shape(_codes(marshalled[left[0]]))
        if shape is None:
            left = left[1:]
            continue
        fits = lengths[left] == shape.length
        alike = left[fits]
        block = np.frombuffer(b"".join([marshalled[place] for place in alike.tolist()]), np.uint8)
        rows, same = _filled(shape, heads[alike], block.reshape(len(alike), -1))
        data, width = rows.tobytes(), rows.shape[1]
        pieces = [data[start : start + width] for start in range(0, len(data), width)]
        if same.all() and len(alike) == len(samples):
            return pieces  # as a rule: they are all of one shape
        for place, fine, piece in zip(alike.tolist(), same.tolist(), pieces, strict=True):
            if fine:
                found[place] = piece
        fits[fits] = same
        left = left[~fits]
    return found


def _numbers(samples: Sequence[Sample]) -> list[tuple[int | bool | None, ...]]:
    """What ``_NUMBERS`` are the kinds of. Written out, this takes a third of the time of an ``attrgetter``."""
    # fmt: off
    return [
        (
            s.lat_e7, s.lon_e7, s.alt_amsl_cm, s.alt_home_cm, s.vel_n_cms, s.vel_e_cms, s.vel_d_cms,
            s.heading_cdeg, s.battery_pct_x10, s.voltage_mv, s.current_ca, s.roll_cdeg, s.pitch_cdeg,
            s.wind_n_cms, s.wind_e_cms, s.link_pct_x10, s.step, s.armed, s.on_ground,
        )
        for s in samples
    ]
    # fmt: on


def _filled(shape: _Shape, heads: _Bytes, block: _Bytes) -> tuple[_Bytes, NDArray[np.bool_]]:
    """Rows up to their texts, and which of them are of this shape; the others are rubbish."""
    flags = block[:, shape.flag_places]
    same = (block[:, shape.code_places] == shape.codes).all(axis=1)
    same &= ((flags == ord("T")) | (flags == ord("F"))).all(axis=1)
    rows = np.empty((len(block), heads.shape[1] + len(shape.blank)), np.uint8)
    rows[:, : heads.shape[1]] = heads
    numbers = rows[:, heads.shape[1] :]
    numbers[:] = shape.blank
    numbers[:, shape.integers_to] = block[:, shape.integers_from]
    numbers[:, shape.flags_to] = flags == ord("T")
    return rows, same


def _codes(marshalled: bytes) -> bytes:
    """The types of the numbers; true and false are one."""
    codes, place = bytearray(), _FIRST_CODE
    for _ in _NUMBERS:
        code = marshalled[place]
        codes.append(ord("F") if code == ord("T") else code)
        if code not in b"iNTF":
            break
        place += 5 if code == ord("i") else 1
    return bytes(codes)


@lru_cache(maxsize=1024)
def _shape(codes: bytes) -> _Shape | None:
    """The shape of samples with these codes, ``None`` when they are nothing to store."""
    places: list[int] = []
    flags: list[int] = []
    flags_to: list[int] = []
    source: list[int] = []
    target: list[int] = []
    blank, place = bytearray(), _FIRST_CODE
    if len(codes) < len(_NUMBERS):
        return None
    for kind, code in zip(_NUMBERS, codes, strict=True):
        if code == ord("N"):
            places.append(place)
            blank += NULL
            place += 1
        elif code == ord("i") and kind == "int4":
            places.append(place)
            blank += struct.pack(">ii", 4, 0)
            source += range(place + 4, place, -1)  # marshal has the last byte first
            target += range(len(blank) - 4, len(blank))
            place += 5
        elif code == ord("F") and kind == "bool":
            blank += struct.pack(">i?", 1, False)
            flags.append(place)
            flags_to.append(len(blank) - 1)
            place += 1
        else:
            return None
    return _Shape(
        length=place,
        code_places=np.array(places, np.intp),
        codes=np.array([code for code in codes if code != ord("F")], np.uint8),
        flag_places=np.array(flags, np.intp),
        flags_to=np.array(flags_to, np.intp),
        integers_from=np.array(source, np.intp),
        integers_to=np.array(target, np.intp),
        blank=np.frombuffer(bytes(blank), np.uint8),
    )


_tails: dict[tuple[str, str | None, str | None], bytes] = {}
_MOST_TAILS = 16_384


def _tail(texts: tuple[str, str | None, str | None]) -> bytes:
    """A row's texts, with no ``extra``; nothing when they cannot be stored."""
    vehicle_id, mode, mission_id = texts
    try:
        tail = b"".join(
            (
                encode_text("vehicle_id", vehicle_id),
                NULL if mode is None else encode_text("mode", mode),
                NULL if mission_id is None else encode_text("mission_id", mission_id),
                NULL,
            )
        )
    except NotStorable:
        return b""
    if len(_tails) >= _MOST_TAILS:
        _tails.clear()
    _tails[texts] = tail
    return tail


def _add_extras(data: list[bytes], extras: Sequence[object]) -> None:
    for place, extra in enumerate(extras):
        if extra and data[place]:
            try:
                data[place] = data[place][: -len(NULL)] + encode_extra(extra)
            except NotStorable:
                data[place] = b""

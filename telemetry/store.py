"""The store of samples: what a row is, how a batch gets in once, and the newest of each vehicle.

``latest_sample`` holds one row a vehicle, replaced by each batch. The alternative, a descent of the index
per vehicle, has to look into every partition for a vehicle that has been silent: with 90 days of
partitions and 100 vehicles that is 9,000 descents for each look at the map, against 100 rows here. The
price is one update a vehicle and batch, and a row only changes when the sample is newer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID, uuid4

import orjson
from psycopg import AsyncConnection
from psycopg.errors import CheckViolation
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from telemetry.errors import NotStorable
from telemetry.sample import Sample
from telemetry.sqlfile import statements

Row = tuple[Any, ...]
"""A sample's values in the order of ``COLUMNS``; ``extra`` is JSON bytes or ``None``."""

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
    "step": "int4",
    "armed": "bool",
    "on_ground": "bool",
    "vehicle_id": "text",
    "mode": "text",
    "extra": "jsonb",
}
"""The columns of ``sample`` and their types, in the order of the statements in ``sql/store.sql``."""

DAYS_BEHIND, DAYS_AHEAD = 1, 7
"""Partitions are kept ready for this many days around the present."""

_SQL = statements("telemetry.sql", "store.sql")
_NAMES = tuple(COLUMNS)
_read = attrgetter(*_NAMES)
_T, _SEQ, _VEHICLE, _MODE, _EXTRA = (_NAMES.index(n) for n in ("t", "seq", "vehicle_id", "mode", "extra"))
_BITS = {"int4": 31, "int8": 63}
_INTEGERS = tuple(
    (index, name, 1 << _BITS[kind]) for index, (name, kind) in enumerate(COLUMNS.items()) if kind in _BITS
)
_FLAGS = tuple((index, name) for index, (name, kind) in enumerate(COLUMNS.items()) if kind == "bool")
_MAX_ID_LENGTH = 63


def _check_text(name: str, value: object, max_length: int) -> None:
    if type(value) is not str or not 0 < len(value) <= max_length or "\0" in value:
        raise NotStorable(f"{name} must be 1 to {max_length} characters without NUL, not {value!r:.80}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise NotStorable(f"{name} is not text: {error}") from error


def _encode_extra(extra: Mapping[str, object]) -> bytes | None:
    if not extra:
        return None
    try:
        encoded = orjson.dumps(dict(extra))
    except (TypeError, ValueError) as error:
        raise NotStorable(f"extra is not JSON: {error}") from error
    if b"\\u0000" in encoded:
        raise NotStorable("extra holds a NUL character, which PostgreSQL cannot keep")
    return encoded


def to_row(sample: Sample) -> Row:
    """Return a sample's row; raises ``NotStorable`` naming the field that the store cannot hold.

    All checks are here, so that one sample can never make the database refuse a batch.
    """
    values: list[Any] = list(_read(sample))
    t = values[_T]
    if not isinstance(t, datetime) or t.tzinfo is None:
        raise NotStorable(f"t must be a time with a time zone, not {t!r:.80}")
    for index, name, bound in _INTEGERS:
        value = values[index]
        if value is None and name not in ("seq", "vehicle_ms"):
            continue
        if type(value) is not int or not -bound <= value < bound:
            raise NotStorable(f"{name} must be an integer of {bound.bit_length()} bits, not {value!r:.80}")
    for index, name in _FLAGS:
        if values[index] is not None and type(values[index]) is not bool:
            raise NotStorable(f"{name} must be true, false or not said, not {values[index]!r:.80}")
    _check_text("vehicle_id", values[_VEHICLE], _MAX_ID_LENGTH)
    if values[_MODE] is not None:
        _check_text("mode", values[_MODE], 255)
    values[_EXTRA] = _encode_extra(values[_EXTRA])
    return tuple(values)


def to_sample(row: Mapping[str, Any]) -> Sample:
    """Return the sample of a row read from the store."""
    return Sample(**{**row, "extra": row["extra"] or {}})


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that are written together, once. Its identity goes with it wherever it waits."""

    rows: Sequence[Row]
    batch_id: UUID = field(default_factory=uuid4)

    def encode(self) -> bytes:
        """Return the batch as bytes for the spool (JSON; times in microseconds since 1970)."""
        rows = [
            [_microseconds(row[_T]), *row[1:_EXTRA], None if row[_EXTRA] is None else row[_EXTRA].decode()]
            for row in self.rows
        ]
        return orjson.dumps({"v": 1, "id": str(self.batch_id), "columns": _NAMES, "rows": rows})

    @classmethod
    def decode(cls, data: bytes) -> Batch:
        """Read what ``encode`` wrote; raises ``ValueError`` when the bytes are something else."""
        found = orjson.loads(data)
        try:
            if found["v"] != 1 or tuple(found["columns"]) != _NAMES:
                raise ValueError("a batch of another version")
            rows = [
                (
                    _EPOCH + timedelta(microseconds=row[_T]),
                    *row[1:_EXTRA],
                    None if row[_EXTRA] is None else row[_EXTRA].encode(),
                )
                for row in found["rows"]
            ]
            return cls(rows, UUID(found["id"]))
        except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise ValueError(f"not a batch: {error!r}") from error


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _microseconds(t: datetime) -> int:
    return (t - _EPOCH) // timedelta(microseconds=1)


def _newest(rows: Iterable[Row]) -> list[Row]:
    """Return the newest row of each vehicle, sorted by vehicle so that two writers cannot deadlock."""
    newest: dict[str, Row] = {}
    for row in rows:
        known = newest.get(row[_VEHICLE])
        if known is None or (known[_T], known[_SEQ]) < (row[_T], row[_SEQ]):
            newest[row[_VEHICLE]] = row
    return [newest[vehicle_id] for vehicle_id in sorted(newest)]


def _as_json(rows: Iterable[Row]) -> str:
    """Return rows as a JSON array of objects: a statement for all is several times quicker than one for each."""
    return orjson.dumps(
        [dict(zip(_NAMES, (*row[:_EXTRA], row[_EXTRA] and orjson.Fragment(row[_EXTRA])), strict=True)) for row in rows]
    ).decode()


def _with_jsonb(row: Row) -> Row:
    return row if row[_EXTRA] is None else (*row[:_EXTRA], Jsonb(row[_EXTRA], dumps=bytes))


async def write_batch(connection: AsyncConnection[Any], batch: Batch, *, writer: str) -> bool:
    """Store a batch in one transaction; ``False`` when it had been stored before and nothing was done."""
    try:
        return await _write_once(connection, batch, writer)
    except CheckViolation:
        # The partition of its day was made while the batch was on its way into the default partition.
        return await _write_once(connection, batch, writer)


async def _write_once(connection: AsyncConnection[Any], batch: Batch, writer: str) -> bool:
    async with connection.transaction():
        claimed = await connection.execute(
            _SQL["claim_batch"], {"batch_id": batch.batch_id, "writer": writer, "samples": len(batch.rows)}
        )
        if await claimed.fetchone() is None:
            return False
        async with connection.cursor() as cursor:
            async with cursor.copy(_SQL["copy_samples"]) as copy:
                copy.set_types(list(COLUMNS.values()))
                for row in batch.rows:
                    await copy.write_row(_with_jsonb(row))
            await cursor.execute(_SQL["upsert_latest"], {"rows": _as_json(_newest(batch.rows))})
    return True


async def ensure_partitions(connection: AsyncConnection[Any], around: datetime) -> int:
    """Make the partitions of the days around a domain time that are missing; return how many that were.

    To be called when the day changes, ahead of the samples. Samples of other days are not lost: they go to
    the default partition, and move when the partition of their day is made. Where samples are a hypertable
    there is nothing to do, and nothing is done.
    """
    day = around.astimezone(UTC).date()
    span = {"first": day - timedelta(days=DAYS_BEHIND), "last": day + timedelta(days=DAYS_AHEAD)}
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["ensure_partitions"], span)
        row = await cursor.fetchone()
    return int(row["made"]) if row else 0


async def latest(connection: AsyncConnection[Any], vehicle_ids: Sequence[str] | None = None) -> list[Sample]:
    """Return the newest sample of each vehicle (of all when ``None``), sorted by vehicle.

    A vehicle that was never heard of is not in the list. A sample that arrives late changes nothing.
    """
    wanted = None if vehicle_ids is None else list(vehicle_ids)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["latest"], {"vehicle_ids": wanted})
        return [to_sample(row) for row in await cursor.fetchall()]


async def add_event(
    connection: AsyncConnection[Any], vehicle_id: str, t: datetime, *, severity: int, text: str
) -> None:
    """Keep what a vehicle said in words; ``severity`` after RFC 5424, 0 (emergency) to 7 (debug)."""
    await connection.execute(_SQL["add_event"], {"vehicle_id": vehicle_id, "t": t, "severity": severity, "text": text})


async def forget_batches(connection: AsyncConnection[Any], age: timedelta) -> int:
    """Forget the identities of batches written longer than ``age`` ago (wall time); return how many.

    ``age`` must be longer than a spool may wait for a machine that is away.
    """
    cursor = await connection.execute(_SQL["forget_batches"], {"age": age})
    return cursor.rowcount

"""Samples and events as rows, batches as bytes: what the store can hold goes through whole, the rest is refused."""

from __future__ import annotations

import struct
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum
from itertools import product

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.batch import Batch
from telemetry.errors import NotStorable
from telemetry.event import VehicleEvent
from telemetry.row import COLUMNS, MOST_EXTRA_BYTES, Row, to_event_row, to_row
from telemetry.rows import to_rows
from telemetry.sample import Sample

T = datetime(2026, 4, 1, 9, 30, 0, 123456, tzinfo=UTC)
PLAIN = Sample("drone-1", T, 1, 2)
YEAR_US = 365 * 86_400_000_000
EVENT = VehicleEvent("drone-1", T, severity=4, text="low battery")


class _Enum(IntEnum):
    ONE = 1


_int4 = st.none() | st.integers(-(2**31), 2**31 - 1)
_int8 = st.integers(-(2**63), 2**63 - 1)
_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=63)

samples = st.builds(
    Sample,
    vehicle_id=_text,
    t=st.datetimes(timezones=st.just(UTC)),
    seq=_int8,
    vehicle_ms=_int8,
    **{name: _int4 for name, kind in COLUMNS.items() if kind == "int4"},
    **{name: st.none() | st.booleans() for name, kind in COLUMNS.items() if kind == "bool"},
    mode=st.none() | _text,
    mission_id=st.none() | _text,
    extra=st.dictionaries(_text, st.integers(-(2**53), 2**53) | _text | st.booleans(), max_size=3),
)


def test_every_field_of_a_sample_has_a_column() -> None:
    assert {field.name for field in fields(Sample)} == set(COLUMNS)


@given(st.lists(samples, min_size=1, max_size=5))
def test_a_batch_is_the_same_after_its_way_through_the_spool(some: list[Sample]) -> None:
    batch = Batch([to_row(sample) for sample in some], [b"an event", b"another"])

    back = Batch.decode(batch.encode())

    assert (back.batch_id, back.rows, back.events, back.columns) == (
        batch.batch_id,
        batch.rows,
        batch.events,
        batch.columns,
    )


BAD = [
    (replace(PLAIN, t=T.replace(tzinfo=None)), "t must"),
    (replace(PLAIN, t="2026-04-01T09:30:00Z"), "t must"),  # type: ignore[arg-type]
    (replace(PLAIN, t=None), "t must"),  # type: ignore[arg-type]
    (replace(PLAIN, lat_e7=2**31), "lat_e7"),
    (replace(PLAIN, lat_e7=-(2**31) - 1), "lat_e7"),
    (replace(PLAIN, seq=-(2**63) - 1), "seq"),
    (replace(PLAIN, seq=1.0), "seq"),  # type: ignore[arg-type]
    (replace(PLAIN, seq=True), "seq"),
    (replace(PLAIN, lon_e7=1.5), "lon_e7"),  # type: ignore[arg-type]  # what a vehicle's JSON may hold
    (replace(PLAIN, lon_e7=float("nan")), "lon_e7"),  # type: ignore[arg-type]
    (replace(PLAIN, step="3"), "step"),  # type: ignore[arg-type]
    (replace(PLAIN, voltage_mv=True), "voltage_mv"),
    (replace(PLAIN, step=_Enum.ONE), "step"),
    (replace(PLAIN, vehicle_ms=None), "vehicle_ms"),  # type: ignore[arg-type]
    (replace(PLAIN, armed=1), "armed"),  # type: ignore[arg-type]
    (replace(PLAIN, on_ground="no"), "on_ground"),  # type: ignore[arg-type]
    (replace(PLAIN, vehicle_id=""), "vehicle_id"),
    (replace(PLAIN, vehicle_id="x" * 64), "vehicle_id"),
    (replace(PLAIN, vehicle_id=["a"]), "vehicle_id"),  # type: ignore[arg-type]
    (replace(PLAIN, vehicle_id=None), "vehicle_id"),  # type: ignore[arg-type]
    (replace(PLAIN, mode="a\0b"), "mode"),
    (replace(PLAIN, mode="\ud800"), "mode"),
    (replace(PLAIN, mission_id=""), "mission_id"),
    (replace(PLAIN, extra=[1]), "extra"),  # type: ignore[arg-type]
    (replace(PLAIN, extra={"a": object()}), "extra"),
    (replace(PLAIN, extra={"a": "b\0"}), "extra"),
    (replace(PLAIN, extra={"a": "\ud800"}), "extra"),
    (replace(PLAIN, extra={"a": 2**70}), "extra"),
    (replace(PLAIN, extra={"a": "x" * MOST_EXTRA_BYTES}), "extra"),
]


@pytest.mark.parametrize(("bad", "field"), BAD)
def test_what_the_database_would_refuse_is_refused_before_by_name(bad: Sample, field: str) -> None:
    with pytest.raises(NotStorable, match=field):
        to_row(bad)


@pytest.mark.parametrize(("bad", "field"), BAD)
def test_one_bad_sample_among_many_is_refused_by_name_and_spoils_no_other(bad: Sample, field: str) -> None:
    good = [replace(PLAIN, seq=number, lat_e7=number) for number in range(4)]

    rows, refused = to_rows([*good[:2], bad, *good[2:]])

    assert rows == [to_row(sample) for sample in good]
    assert [sample is bad for sample, _ in refused] == [True]
    assert field in str(refused[0][1])


@given(st.lists(samples, max_size=12))
def test_many_samples_at_once_make_the_same_rows_as_each_by_itself(some: list[Sample]) -> None:
    rows, refused = to_rows(some)

    assert rows == [to_row(sample) for sample in some]
    assert refused == []


@given(st.lists(st.tuples(samples, st.sampled_from([bad for bad, _ in BAD]) | samples), max_size=6))
def test_good_and_bad_in_any_order_are_told_apart(pairs: list[tuple[Sample, Sample]]) -> None:
    mixed = [sample for pair in pairs for sample in pair]

    rows, refused = to_rows(mixed)

    bad = [id(sample) for sample, _ in refused]
    assert rows == [to_row(sample) for sample in mixed if id(sample) not in bad]
    for sample, _ in refused:
        with pytest.raises(NotStorable):
            to_row(sample)


@given(st.lists(st.integers(-40 * YEAR_US, 120 * YEAR_US), min_size=1))
def test_a_time_is_kept_to_the_microsecond(since_2000_us: list[int]) -> None:
    epoch = datetime(2000, 1, 1, tzinfo=UTC)

    rows, _ = to_rows([replace(PLAIN, t=epoch + timedelta(microseconds=us)) for us in since_2000_us])

    assert [row[1] for row in rows] == since_2000_us


def test_samples_of_more_shapes_than_are_expected_are_all_made_into_rows() -> None:
    some = [
        replace(PLAIN, lat_e7=lat, lon_e7=lon, step=step, current_ca=current)
        for lat, lon, step, current in product((None, 7), repeat=4)
    ] * 3

    rows, refused = to_rows(some)

    assert (rows, refused) == ([to_row(sample) for sample in some], [])


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (replace(EVENT, severity=8), "severity"),
        (replace(EVENT, severity=True), "severity"),
        (replace(EVENT, t=T.replace(tzinfo=None)), "t must"),
        (replace(EVENT, text=""), "text"),
        (replace(EVENT, text="a\0b"), "text"),
        (replace(EVENT, text="x" * 4001), "text"),
        (replace(EVENT, kind="\ud800"), "kind"),
        (replace(EVENT, vehicle_id=None), "vehicle_id"),  # type: ignore[arg-type]
    ],
)
def test_an_event_that_the_database_would_refuse_is_refused_before_by_name(bad: VehicleEvent, field: str) -> None:
    with pytest.raises(NotStorable, match=field):
        to_event_row(bad)


def test_the_newest_of_each_vehicle_is_by_time_and_then_by_number() -> None:
    def row(vehicle_id: str, second: int, seq: int) -> Row:
        return to_row(Sample(vehicle_id, T + timedelta(seconds=second), seq, 0))

    in_order = Batch([row("b", 1, 1), row("a", 2, 1), row("b", 3, 2)])
    late = Batch([row("b", 3, 2), row("a", 2, 1), row("b", 1, 1)])
    same_moment = Batch([row("a", 1, 8), row("a", 1, 7)])

    assert in_order.newest() == late.newest() == [row("a", 2, 1), row("b", 3, 2)]
    assert same_moment.newest() == [row("a", 1, 8)]


def test_halves_of_a_batch_hold_all_of_it_in_order_and_have_the_same_identities_each_time() -> None:
    batch = Batch([to_row(replace(PLAIN, seq=number)) for number in range(5)], [b"one", b"two", b"three"])

    def pieces(part: Batch) -> list[Batch]:
        halves = part.halves()
        return [part] if halves is None else [piece for half in halves for piece in pieces(half)]

    first, again = pieces(batch), pieces(Batch.decode(batch.encode()))
    assert [len(piece) for piece in first] == [1] * 8
    assert [row for piece in first for row in piece.rows] == batch.rows
    assert [event for piece in first for event in piece.events] == batch.events
    assert [piece.batch_id for piece in first] == [piece.batch_id for piece in again]
    assert len({piece.batch_id for piece in first}) == 8


def test_a_batch_of_the_version_without_events_can_still_be_read() -> None:
    row = to_row(PLAIN)
    batch = Batch([row])
    data = batch.encode()
    (length,) = struct.unpack_from("<I", data)
    header = orjson.loads(data[4 : 4 + length])
    del header["events"]
    old = orjson.dumps(header | {"v": 2})

    back = Batch.decode(struct.pack("<I", len(old)) + old + data[4 + length :])

    assert (back.batch_id, back.rows, back.events) == (batch.batch_id, [row], [])


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    in_japan = replace(PLAIN, t=T.astimezone(timezone(timedelta(hours=9))))

    back = Batch.decode(Batch([to_row(in_japan)]).encode())

    assert list(back.rows) == [to_row(PLAIN)]
    assert to_rows([in_japan])[0] == [to_row(PLAIN)]


def _of_unknown_columns() -> bytes:
    return Batch([], [], columns=["t", "warp_factor"]).encode()


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{}", b"[]", b"null", b"\x02\0\0\0{}", b'{"v":2}', b"\x00\xff"),
        b'{"v":1,"id":"x","columns":["t"],"rows":[]}',
        _of_unknown_columns(),
    ],
)
def test_bytes_that_are_no_batch_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        Batch.decode(data)

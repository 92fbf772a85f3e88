"""Samples as rows and batches as bytes: what the store can hold goes through whole, the rest is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.batch import Batch
from telemetry.errors import NotStorable
from telemetry.row import COLUMNS, to_row
from telemetry.sample import Sample

T = datetime(2026, 4, 1, 9, 30, 0, 123456, tzinfo=UTC)
PLAIN = Sample("drone-1", T, 1, 2)

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
    extra=st.dictionaries(_text, st.integers(-(2**53), 2**53) | _text | st.booleans(), max_size=3),
)


def test_every_field_of_a_sample_has_a_column() -> None:
    assert {field.name for field in fields(Sample)} == set(COLUMNS)


@given(st.lists(samples, min_size=1, max_size=5))
def test_a_batch_is_the_same_after_its_way_through_the_spool(some: list[Sample]) -> None:
    batch = Batch([to_row(sample) for sample in some])

    back = Batch.decode(batch.encode())

    assert (back.batch_id, list(back.rows)) == (batch.batch_id, list(batch.rows))


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (replace(PLAIN, t=T.replace(tzinfo=None)), "t must"),
        (replace(PLAIN, lat_e7=2**31), "lat_e7"),
        (replace(PLAIN, seq=-(2**63) - 1), "seq"),
        (replace(PLAIN, lon_e7=1.5), "lon_e7"),  # type: ignore[arg-type]  # what a vehicle's JSON may hold
        (replace(PLAIN, voltage_mv=True), "voltage_mv"),
        (replace(PLAIN, vehicle_ms=None), "vehicle_ms"),  # type: ignore[arg-type]
        (replace(PLAIN, armed=1), "armed"),  # type: ignore[arg-type]
        (replace(PLAIN, vehicle_id=""), "vehicle_id"),
        (replace(PLAIN, vehicle_id="x" * 64), "vehicle_id"),
        (replace(PLAIN, mode="a\0b"), "mode"),
        (replace(PLAIN, mode="\ud800"), "mode"),
        (replace(PLAIN, extra={"a": object()}), "extra"),
        (replace(PLAIN, extra={"a": "b\0"}), "extra"),
        (replace(PLAIN, extra={"a": "\ud800"}), "extra"),
        (replace(PLAIN, extra={"a": 2**70}), "extra"),
    ],
)
def test_what_the_database_would_refuse_is_refused_before_by_name(bad: Sample, field: str) -> None:
    with pytest.raises(NotStorable, match=field):
        to_row(bad)


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    in_japan = replace(PLAIN, t=T.astimezone(timezone(timedelta(hours=9))))

    back = Batch.decode(Batch([to_row(in_japan)]).encode())

    assert list(back.rows) == [to_row(PLAIN)]


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b'{"v":2}', b"\x00\xff", b'{"v":1,"id":"x","columns":["t"],"rows":[]}'],
)
def test_bytes_that_are_no_batch_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        Batch.decode(data)

"""What had to be dropped: told once by vehicle, over a crash."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from telemetry.gaps import DroppedSamples
from telemetry.row import Row, to_row
from telemetry.sample import Sample

T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)


def _rows(vehicle_id: str, *seconds: int) -> list[Row]:
    return [to_row(Sample(vehicle_id, T + timedelta(seconds=second), second, 0)) for second in seconds]


def test_a_gap_is_from_the_first_to_the_last_sample_of_a_vehicle(tmp_path: Path) -> None:
    dropped = DroppedSamples(tmp_path / "gaps.json")

    dropped.note(_rows("drone-1", 3, 1, 2) + _rows("robot-1", 7))

    first, second = dropped.waiting()
    assert (first.vehicle_id, first.samples, second.vehicle_id, second.samples) == ("drone-1", 3, "robot-1", 1)
    assert (first.began_at, first.ended_at) == (T + timedelta(seconds=1), T + timedelta(seconds=3))


def test_what_was_saved_is_there_for_the_next_process_until_it_is_told(tmp_path: Path) -> None:
    first = DroppedSamples(tmp_path / "gaps.json")
    first.note(_rows("drone-1", 1, 2))
    first.save()

    second = DroppedSamples(tmp_path / "gaps.json")
    second.load()
    assert second.waiting() == first.waiting()
    second.told(second.waiting())
    second.save()

    assert second.waiting() == []
    assert not (tmp_path / "gaps.json").exists()


def test_a_gap_that_has_grown_while_it_was_told_is_told_again_with_the_same_beginning(tmp_path: Path) -> None:
    dropped = DroppedSamples(tmp_path / "gaps.json")
    dropped.note(_rows("drone-1", 1))
    sent = dropped.waiting()
    dropped.note(_rows("drone-1", 2))

    dropped.told(sent)

    [gap] = dropped.waiting()
    assert (gap.began_at, gap.samples) == (T + timedelta(seconds=1), 2)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"[[1]]", b'[["a", 1, 2]]', b"\xff"])
def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "gaps.json").write_bytes(content)
    dropped = DroppedSamples(tmp_path / "gaps.json")

    dropped.load()

    assert dropped.waiting() == []

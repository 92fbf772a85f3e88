"""Conditions of a process that writes samples: a database that takes nothing, a spool that fills, samples lost."""

from __future__ import annotations

from dataclasses import replace

from fleet.alarm_table import definition
from fleet.process_conditions import LOSING_S, WriterWatch
from telemetry.writer import WriterHealth

WELL = WriterHealth(
    waiting_samples=0,
    spool_batches=0,
    spool_bytes=0,
    spool_max_bytes=1_000_000,
    database_down=False,
    oldest_unsaved_s=0.0,
    last_write_s=0.1,
    dropped=0,
)


def _holding(watch: WriterWatch, health: WriterHealth, now_s: float = 0.0) -> set[str]:
    return {finding.code for finding in watch.look(health, now_s) if finding.holds}


def test_a_writer_that_is_well_shows_nothing() -> None:
    assert _holding(WriterWatch(), WELL) == set()


def test_a_database_that_takes_nothing_is_told_with_how_long() -> None:
    (away, *_) = WriterWatch().look(replace(WELL, database_down=True, last_write_s=12.4), 0.0)
    assert away.holds
    assert definition(away.code).text(away.values).en == "The database takes nothing (for 12 s)"
    (never, *_) = WriterWatch().look(replace(WELL, database_down=True, last_write_s=None), 0.0)
    assert definition(never.code).text(never.values).ja == "データベースに書けません"


def test_a_spool_that_is_half_full_is_filling_until_it_is_well_below_that() -> None:
    watch = WriterWatch()
    used = [100_000, 499_000, 500_000, 460_000, 440_000, 480_000]
    shown = ["spool_filling" in _holding(watch, replace(WELL, spool_bytes=each)) for each in used]
    assert shown == [False, False, True, True, False, False]


def test_samples_that_are_lost_are_told_while_more_may_be() -> None:
    watch = WriterWatch()
    assert _holding(watch, replace(WELL, dropped=3), 100.0) == {"spool_full"}
    assert _holding(watch, replace(WELL, dropped=3), 100.0 + LOSING_S - 0.1) == {"spool_full"}
    assert _holding(watch, replace(WELL, dropped=3), 100.0 + LOSING_S) == set()
    assert _holding(watch, replace(WELL, dropped=4), 200.0) == {"spool_full"}


def test_a_spool_without_room_does_not_divide_by_it() -> None:
    assert _holding(WriterWatch(), replace(WELL, spool_max_bytes=0)) == set()

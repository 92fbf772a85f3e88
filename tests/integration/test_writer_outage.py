"""The writer while the database stops, crashes, hangs or is slow: every sample arrives, once, in order."""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.db.migrate import migrate
from telemetry.event import VehicleEvent
from telemetry.spool import Spool
from telemetry.writer import SampleWriter, WriterLimits
from tests.postgres import TestServer
from tests.writer_kit import (
    QUICK,
    T,
    locked,
    numbers,
    numbers_as_written,
    put,
    rows,
    sample,
    spool_files,
    until,
    until_spooled,
)

VEHICLES = 200


async def test_samples_and_events_of_an_outage_wait_on_disk_and_arrive_when_the_database_is_back(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        put(writer, range(100))
        await writer.flush(timeout_s=10)
        crashing_server.crash()
        put(writer, range(100, 400))
        writer.put_event(VehicleEvent("drone-1", T, severity=2, text="heard in the outage"))
        await until_spooled(writer, 301)
        await until(lambda: writer.health.database_down, "it knows that the database is down")
        crashing_server.start()
        put(writer, range(400, 500))
        await writer.flush(timeout_s=20)
        health = writer.health

    assert await numbers(crashing_server.dsn) == list(range(500))
    assert [row["text"] for row in await rows(crashing_server.dsn, "SELECT text FROM vehicle_event")] == [
        "heard in the outage"
    ]
    assert (writer.counts.dropped, writer.counts.stored, health.database_down) == (0, 501, False)
    assert not spool_files(tmp_path)


async def test_two_hundred_vehicles_go_on_sending_while_the_database_is_stopped(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    """The minute that an outage may last is lived through in ``make bench ONLY=outage``."""
    vehicles = [f"drone-{number:03}" for number in range(VEHICLES)]
    sent = 0

    async def send(ticks: int) -> None:
        nonlocal sent
        for _ in range(ticks):
            for vehicle_id in vehicles:
                writer.put(sample(sent, vehicle_id))
            sent += 1
            await asyncio.sleep(0.1)

    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1") as writer:
        await send(5)
        crashing_server.crash()
        await send(20)
        assert writer.health.spool_batches > 1
        crashing_server.start()
        await send(5)
        await writer.flush(timeout_s=60)

    expected = [{"vehicle_id": vehicle_id, "seqs": list(range(sent))} for vehicle_id in vehicles]
    assert expected == await rows(
        crashing_server.dsn,
        """SELECT vehicle_id, array_agg(seq ORDER BY xmin::text::bigint, seq) AS seqs
           FROM sample GROUP BY vehicle_id ORDER BY vehicle_id""",
    )


async def test_what_comes_after_an_outage_is_written_after_what_came_in_it(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    crashing_server.crash()
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        for step in range(5):
            put(writer, range(50 * step, 50 * step + 50))
            await until_spooled(writer, 50 * step + 50)
        crashing_server.start()
        for number in range(250, 1000):
            writer.put(sample(number))
            await asyncio.sleep(0)
        await writer.flush(timeout_s=20)

    assert await numbers_as_written(crashing_server.dsn) == list(range(1000))


async def test_the_writer_starts_and_ends_without_a_database_and_the_next_one_delivers(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    crashing_server.crash()
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as first:
        put(first, range(120))
    assert (first.counts.stored, first.counts.spooled) == (0, 120)

    crashing_server.start()
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as second:
        await second.flush(timeout_s=20)

    assert await numbers(crashing_server.dsn) == list(range(120))


async def test_a_batch_under_way_when_the_server_is_killed_arrives_once(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        sent = 0
        for _ in range(3):
            stored_before = writer.counts.stored
            while writer.counts.stored < stored_before + 500:  # killed in the middle of the stream
                if writer.counts.received - writer.counts.stored < 1000:
                    put(writer, range(sent, sent + 50))
                    sent += 50
                await asyncio.sleep(0)
            crashing_server.crash()
            put(writer, range(sent, sent + 10))
            sent += 10
            crashing_server.start()
        await writer.flush(timeout_s=30)

    assert await numbers_as_written(crashing_server.dsn) == list(range(sent))


async def test_what_a_slow_database_has_not_taken_in_time_is_on_disk(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        async with locked(dsn, "sample"):
            put(writer, range(100))
            await until(lambda: writer.counts.stored == 0 and writer.in_memory == 0, "all is on disk")
            put(writer, range(100, 200))
            await until(lambda: writer.in_memory == 0, "what came later too")
            slow = writer.health
            shutil.copytree(tmp_path / "g1", tmp_path / "copy")  # as a crash now would leave it
        await writer.flush(timeout_s=20)

    assert (slow.database_down, slow.oldest_unsaved_s, slow.waiting_samples) == (False, 0.0, 0)
    assert slow.spool_batches >= 2
    assert await numbers_as_written(dsn) == list(range(200))

    async with SampleWriter(dsn, spool_dir=tmp_path, name="copy") as after_the_crash:
        await after_the_crash.flush(timeout_s=20)
    assert await numbers(dsn) == list(range(200)), "the copies of what was stored are recognised"
    assert after_the_crash.counts.stored == 0


async def test_nothing_goes_to_disk_while_the_database_is_quick(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=WriterLimits(secure_s=30)) as writer:
        for number in range(20):
            put(writer, range(100 * number, 100 * number + 100))
            await until(lambda: writer.in_memory < 100, "it is taken")
        await writer.flush(timeout_s=20)

    assert (writer.counts.stored, writer.counts.spooled) == (2000, 0)


async def test_a_hanging_database_does_not_hold_up_the_caller_and_loses_nothing(dsn: str, tmp_path: Path) -> None:
    limits = WriterLimits(batch_samples=10, batch_s=0.01, write_timeout_s=0.5, first_retry_s=0.05)
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        async with locked(dsn, "sample"):
            for start in range(0, 1000, 10):
                put(writer, range(start, start + 10))
                await asyncio.sleep(0)
            await until_spooled(writer, 1000)
            await until(lambda: writer.health.database_down, "the time for a write is over")
            assert writer.counts.stored == 0
        await writer.flush(timeout_s=20)

    assert await numbers_as_written(dsn) == list(range(1000))


async def test_at_the_end_what_a_hanging_database_has_not_taken_goes_to_disk(dsn: str, tmp_path: Path) -> None:
    limits = WriterLimits(batch_samples=10, max_batch_samples=10, batch_s=3600, secure_s=3600, close_timeout_s=0.2)
    async with locked(dsn, "sample"):
        async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as first:
            put(first, range(45))
        assert (first.counts.stored, first.counts.spooled, first.counts.dropped) == (0, 45, 0)

    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as second:
        await second.flush(timeout_s=20)

    assert await numbers(dsn) == list(range(45))


async def test_a_full_spool_keeps_the_oldest_and_the_newest_are_dropped_counted_and_recorded(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    limits = replace(QUICK, batch_s=0.01, spool_bytes=100_000)
    crashing_server.crash()
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=limits) as first:
        sent = 0
        while not first.counts.dropped:
            put(first, range(sent, sent + 50))
            sent += 50
            await until(lambda: not first.in_memory, "the samples are on disk, or dropped")
        put(first, range(sent, 5000))
        await until(lambda: not first.in_memory, "there is no waiting for room")
        assert sum(file.stat().st_size for file in spool_files(tmp_path)) <= 100_000
        assert first.counts.spooled + first.counts.dropped == 5000
    crashing_server.start()
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=limits) as second:
        put(second, range(6000, 6010))
        await second.flush(timeout_s=20)

    kept = 5000 - first.counts.dropped
    assert await numbers(crashing_server.dsn) == [*range(kept), *range(6000, 6010)]
    [gap] = await rows(crashing_server.dsn, "SELECT began_at, ended_at, samples FROM telemetry_gap")
    assert gap == {"began_at": sample(kept).t, "ended_at": sample(4999).t, "samples": first.counts.dropped}


async def test_a_gap_that_goes_on_is_told_as_one(crashing_server: TestServer, tmp_path: Path) -> None:
    limits = replace(QUICK, spool_bytes=1)  # nothing fits
    crashing_server.crash()
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        put(writer, range(50))
        await until(lambda: writer.health.database_down, "the first batch is being sent")
        for start in (50, 100):
            put(writer, range(start, start + 50))
            await until(lambda: writer.in_memory <= 50, "all but the batch that is being sent are dropped")
        crashing_server.start()
        await writer.flush(timeout_s=30)

    [gap] = await rows(crashing_server.dsn, "SELECT ended_at - began_at AS lasted, samples FROM telemetry_gap")
    assert gap["samples"] == writer.counts.dropped > 0
    assert len(await numbers(crashing_server.dsn)) == 150 - writer.counts.dropped


async def test_a_disk_that_refuses_does_not_stop_what_goes_straight_to_the_database(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    limits = replace(QUICK, write_timeout_s=0.3)
    monkeypatch.setattr(Spool, "extend", refuse)  # no real disk can be filled here
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        async with locked(dsn, "sample"):
            put(writer, range(500))
            began = time.monotonic()
            await until(lambda: time.monotonic() > began + 0.5 and writer.health.database_down, "it has tried both")
            assert writer.in_memory == 500
            assert writer.health.oldest_unsaved_s >= 0.5
        await writer.flush(timeout_s=20)

    assert await numbers_as_written(dsn) == list(range(500))


async def test_a_schema_that_is_not_there_yet_is_an_outage_and_no_loss(empty_dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(empty_dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        put(writer, range(10))
        await until_spooled(writer, 10)
        await migrate(empty_dsn)
        await writer.flush(timeout_s=10)

    assert await numbers(empty_dsn) == list(range(10))

"""The writer on a real database: what is put is stored, in batches, once, with all that it said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from telemetry import history
from telemetry.batch import Batch
from telemetry.errors import SpoolInUse
from telemetry.event import VehicleEvent
from telemetry.row import to_row
from telemetry.sample import Sample
from telemetry.sender import Sender
from telemetry.spool import Spool
from telemetry.store import latest, write_batch
from telemetry.writer import SampleWriter, WriterLimits
from tests.writer_kit import FULL, QUICK, T, numbers, put, rows, sample, until

EVENT = VehicleEvent("drone-1", T, severity=4, text="バッテリー低下", kind="status")


async def test_a_sample_is_in_the_store_with_all_that_it_said(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        writer.put(FULL)
        writer.put(sample(7, "robot-1"))
        await writer.flush(timeout_s=10)

        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            found = await latest(connection)

    assert found == [FULL, sample(7, "robot-1")]
    assert (await rows(dsn, "SELECT lat_e7 FROM sample WHERE vehicle_id = 'drone-1'"))[0]["lat_e7"] == 357_700_000


async def test_an_event_is_in_the_store_with_all_that_it_said(dsn: str, tmp_path: Path) -> None:
    landed = VehicleEvent("robot-1", T, severity=6, text="stands", kind="landed")
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        writer.put_event(EVENT)
        writer.put(FULL)
        writer.put_event(landed)
        await writer.flush(timeout_s=10)

    found = await rows(dsn, "SELECT vehicle_id, t, severity, text, kind FROM vehicle_event ORDER BY event_id")
    assert [VehicleEvent(**row) for row in found] == [EVENT, landed]
    assert (writer.counts.received, writer.counts.stored) == (3, 3)
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        assert len(await history.events(connection, "drone-1", T, T + timedelta(days=1), limit=10)) == 1


@pytest.mark.parametrize(
    "bad",
    [replace(EVENT, severity=8), replace(EVENT, text="a\0b"), replace(EVENT, kind=""), replace(EVENT, text="x" * 5000)],
)
async def test_an_event_that_cannot_be_stored_is_counted_and_harms_no_other(
    dsn: str, tmp_path: Path, bad: VehicleEvent
) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        writer.put_event(bad)
        writer.put_event(EVENT)

    assert len(await rows(dsn, "SELECT FROM vehicle_event")) == 1
    assert (writer.counts.received, writer.counts.stored, writer.counts.rejected) == (2, 1, 1)


async def test_samples_are_written_by_time_when_they_are_few(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        writer.put(FULL)

        await until(lambda: writer.counts.stored == 1, "one sample stored without a flush", 10)


async def test_samples_are_written_in_batches_when_they_are_many(dsn: str, tmp_path: Path) -> None:
    limits = WriterLimits(batch_samples=100, max_batch_samples=100, batch_s=3600, secure_s=3600)
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        put(writer, range(1000))
        await until(lambda: writer.counts.stored == 1000, "all stored, by count alone")

    batches = await rows(dsn, "SELECT writer, samples FROM sample_batch")
    assert batches == [{"writer": "g1", "samples": 100}] * 10


async def test_while_much_waits_the_newest_of_each_vehicle_is_still_the_newest_at_the_end(
    dsn: str, tmp_path: Path
) -> None:
    limits = WriterLimits(batch_samples=10, max_batch_samples=10, secure_s=3600)
    vehicles = [f"drone-{number}" for number in range(7)]
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        for number in range(400):
            writer.put(sample(number, vehicles[number % 7]))
        writer.put(sample(3, vehicles[0]))  # late
        await writer.flush(timeout_s=20)

    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        found = await latest(connection)
    assert [(newest.vehicle_id, newest.seq) for newest in found] == [
        (vehicle_id, max(range(place, 400, 7))) for place, vehicle_id in enumerate(vehicles)
    ]


async def test_the_newest_are_told_of_though_nothing_follows_that_could_be_stored(dsn: str) -> None:
    sender = Sender(dsn, name="g1", clock=None, timeout_s=20)
    for number in range(3):
        await sender.write(Batch([to_row(sample(number))]), more=True)
    assert sender.owes, "others were said to wait"

    await sender.settle()

    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        assert await latest(connection) == [sample(2)]
    assert not sender.owes
    await sender.close()


async def test_a_clean_end_stores_what_was_still_in_memory(dsn: str, tmp_path: Path) -> None:
    limits = WriterLimits(batch_samples=100, batch_s=3600, secure_s=3600)
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        put(writer, range(250))
        writer.put_event(EVENT)

    assert await numbers(dsn) == list(range(250))
    assert (writer.counts.stored, writer.counts.spooled, writer.in_memory) == (251, 0, 0)


async def test_an_error_of_the_caller_goes_through_as_it_is_and_loses_nothing(dsn: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
            put(writer, range(10))
            raise RuntimeError("something went wrong elsewhere")

    with pytest.raises(RuntimeError, match="elsewhere"):
        await work()

    assert await numbers(dsn) == list(range(10))


async def test_a_cancelled_caller_loses_nothing(dsn: str, tmp_path: Path) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
            put(writer, range(10))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.wait_for(inside.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await numbers(dsn) == list(range(10))


async def test_a_sample_that_cannot_be_stored_is_counted_and_harms_no_other(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        writer.put(sample(1))
        writer.put(Sample("drone-1", T, 2, 0, lat_e7=2**40))
        writer.put(Sample("drone-1", T, 3, 0, mode="\0"))
        writer.put(Sample(["no", "name"], None, "seq", 0))  # type: ignore[arg-type]  # what nobody has checked
        writer.put(sample(4))

    assert await numbers(dsn) == [1, 4]
    assert (writer.counts.received, writer.counts.stored, writer.counts.rejected) == (5, 2, 3)


async def test_when_all_was_rejected_nothing_is_waited_for(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        writer.put(Sample("drone-1", T, 2, 0, lat_e7=2**40))
        await writer.flush(timeout_s=10)

    assert (writer.counts.rejected, writer.in_memory) == (1, 0)


async def test_the_batch_that_is_sent_again_is_stored_once(dsn: str) -> None:
    batch = Batch([to_row(sample(number)) for number in range(5)])
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        first = await write_batch(connection, batch, writer="g1")
        again = await write_batch(connection, Batch.decode(batch.encode()), writer="g1")

    assert (first, again) == (True, False)
    assert await numbers(dsn) == [0, 1, 2, 3, 4]


@contextlib.asynccontextmanager
async def _losing_the_first_commits_answer(dsn: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Yield a way to the database on which the answer to the first COMMIT is lost, and what is set when it was."""
    server = conninfo_to_dict(dsn)
    cutting, lost = False, asyncio.Event()

    async def forward(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        nonlocal cutting
        reader, writer = await asyncio.open_connection(str(server["host"]), int(str(server["port"])))

        async def back() -> None:
            while chunk := await reader.read(65536):
                answers.write(chunk)

        returning = asyncio.create_task(back())
        with contextlib.suppress(ConnectionError):
            while chunk := await client.read(65536):
                cut = b"COMMIT\0" in chunk and not cutting
                if cut:
                    cutting = True
                    returning.cancel()
                    await asyncio.wait([returning])
                writer.write(chunk)
                if cut:
                    await reader.read(65536)  # the server has committed, and nobody hears of it
                    lost.set()
                    break
        returning.cancel()
        writer.close()
        answers.close()

    async with await asyncio.start_server(forward, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        yield make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable"), lost


async def test_a_batch_whose_commit_was_not_heard_of_arrives_once(dsn: str, tmp_path: Path) -> None:
    limits = replace(QUICK, first_retry_s=0.5)
    async with (
        _losing_the_first_commits_answer(dsn) as (way, lost),
        SampleWriter(way, spool_dir=tmp_path, name="g1", limits=limits) as writer,
    ):
        put(writer, range(20))
        await until(lost.is_set, "a COMMIT is answered, and nobody hears it")
        assert await numbers(dsn) == list(range(20)), "it was committed"
        await writer.flush(timeout_s=20)

    assert await numbers(dsn) == list(range(20))
    assert writer.counts.stored == 20


async def test_more_than_the_queue_takes_is_dropped_counted_and_recorded(dsn: str, tmp_path: Path) -> None:
    limits = WriterLimits(queue_samples=100, batch_s=3600, batch_samples=1000, secure_s=3600)
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        put(writer, range(150))
        assert writer.counts.dropped == writer.health.dropped == 50
        await writer.flush(timeout_s=20)

    assert await numbers(dsn) == list(range(100))
    [gap] = await rows(dsn, "SELECT vehicle_id, began_at, ended_at, cause, samples FROM telemetry_gap")
    assert gap == {
        "vehicle_id": "drone-1",
        "began_at": sample(100).t,
        "ended_at": sample(149).t,
        "cause": "dropped",
        "samples": 50,
    }


async def test_putting_after_the_end_is_counted_and_nothing_else(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        pass

    writer.put(FULL)
    writer.put_event(EVENT)

    assert (writer.counts.received, writer.counts.dropped) == (2, 2)


async def test_its_health_says_what_waits_and_when_it_last_wrote(dsn: str, tmp_path: Path) -> None:
    limits = WriterLimits(batch_s=3600, secure_s=3600, spool_bytes=12345)
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        before = writer.health
        put(writer, range(3))
        await until(lambda: writer.health.oldest_unsaved_s > 0.05, "the first grows older")
        waiting = writer.health
        await writer.flush(timeout_s=20)
        after = writer.health

    assert (before.waiting_samples, before.oldest_unsaved_s, before.last_write_s) == (0, 0.0, None)
    assert (waiting.waiting_samples, waiting.last_write_s, waiting.database_down) == (3, None, False)
    assert (after.waiting_samples, after.oldest_unsaved_s, after.spool_batches, after.spool_bytes) == (0, 0.0, 0, 0)
    assert after.spool_max_bytes == 12345
    assert after.last_write_s is not None


async def test_a_spooled_batch_that_nobody_can_read_is_kept_and_does_not_hold_up_the_others(
    dsn: str, tmp_path: Path
) -> None:
    good = [Batch([to_row(sample(number))]) for number in (1, 2)]
    with Spool(tmp_path / "g1") as spool:
        for record in (good[0].encode(), b"from another version", good[1].encode()):
            spool.append(record)

    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        await writer.flush(timeout_s=10)

    assert await numbers(dsn) == [1, 2]
    [kept] = (tmp_path / "g1").glob("*.unreadable")
    assert kept.read_bytes() == b"from another version"


async def test_two_writers_of_one_name_cannot_run_at_once(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1"):
        with pytest.raises(SpoolInUse):
            async with SampleWriter(dsn, spool_dir=tmp_path, name="g1"):
                pass
        async with SampleWriter(dsn, spool_dir=tmp_path, name="g2") as other:
            other.put(FULL)

    assert await numbers(dsn) == [FULL.seq]


@pytest.mark.parametrize("name", ["", "../other", "a/b", ".", "x" * 64])
def test_a_name_that_is_no_folder_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="writer name"):
        SampleWriter("", spool_dir=tmp_path, name=name)

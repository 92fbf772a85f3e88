"""The writer on a real database that stops, hangs and comes back: every sample arrives, once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from fleet.db.migrate import migrate
from telemetry.batch import Batch
from telemetry.clock import Clock
from telemetry.errors import SpoolInUse
from telemetry.row import to_row
from telemetry.sample import Sample
from telemetry.spool import Spool
from telemetry.store import ensure_partitions, latest, write_batch
from telemetry.writer import SampleWriter, WriterLimits
from tests.postgres import TestServer

T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
QUICK = WriterLimits(batch_samples=50, batch_s=0.05, first_retry_s=0.05, last_retry_s=0.2)

FULL = Sample(
    vehicle_id="drone-1",
    t=T,
    seq=2**40,
    vehicle_ms=1_775_035_800_123,
    lat_e7=357_700_000,
    lon_e7=-1_389_400_000,
    alt_amsl_cm=65_000,
    alt_home_cm=-120,
    vel_n_cms=1000,
    vel_e_cms=-1,
    vel_d_cms=0,
    heading_cdeg=35_999,
    battery_pct_x10=1000,
    voltage_mv=24_100,
    mode="任務",
    armed=True,
    on_ground=False,
    step=3,
    extra={"satellites": 14, "wind": {"n": 1.5}},
)


def _sample(number: int, vehicle_id: str = "drone-1") -> Sample:
    return Sample(vehicle_id, T + timedelta(milliseconds=100 * number), number, 100 * number, lat_e7=number)


async def _rows(dsn: str, sql: str) -> list[dict[str, Any]]:
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
        return await (await connection.execute(sql.encode())).fetchall()


async def _numbers(dsn: str) -> list[int]:
    return [row["seq"] for row in await _rows(dsn, "SELECT seq FROM sample ORDER BY seq")]


async def _until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"did not happen in {timeout_s} s: {what}"
        await asyncio.sleep(0.01)


async def _until_spooled(writer: SampleWriter, samples: int) -> None:
    await _until(lambda: writer.counts.spooled >= samples, f"{samples} samples are on disk")


def _spool_files(folder: Path) -> list[Path]:
    return list(folder.glob("**/*.spool"))


def _put(writer: SampleWriter, numbers: Sequence[int]) -> None:
    for number in numbers:
        writer.put(_sample(number))


@contextlib.asynccontextmanager
async def _locked(dsn: str, table: str) -> AsyncIterator[None]:
    """Hold a lock that makes whoever writes to the table wait."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


async def test_a_sample_is_in_the_store_with_all_that_it_said(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        writer.put(FULL)
        writer.put(_sample(7, "robot-1"))
        await writer.flush(timeout_s=10)

        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            found = await latest(connection)

    assert found == [FULL, _sample(7, "robot-1")]
    assert (await _rows(dsn, "SELECT lat_e7 FROM sample WHERE vehicle_id = 'drone-1'"))[0]["lat_e7"] == 357_700_000


async def test_samples_are_written_by_time_when_they_are_few(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        writer.put(FULL)

        await _until(lambda: writer.counts.stored == 1, "one sample stored without a flush", 10)


async def test_samples_are_written_in_batches_when_they_are_many(dsn: str, tmp_path: Path) -> None:
    limits = WriterLimits(batch_samples=100, max_batch_samples=100, batch_s=3600)
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        _put(writer, range(1000))
        await _until(lambda: writer.counts.stored == 1000, "all stored, by count alone")

    batches = await _rows(dsn, "SELECT writer, samples FROM sample_batch")
    assert batches == [{"writer": "g1", "samples": 100}] * 10


async def test_a_clean_end_stores_what_was_still_in_memory(dsn: str, tmp_path: Path) -> None:
    limits = WriterLimits(batch_samples=100, batch_s=3600)
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        _put(writer, range(250))

    assert await _numbers(dsn) == list(range(250))
    assert (writer.counts.stored, writer.counts.spooled, writer.in_memory) == (250, 0, 0)


async def test_an_error_of_the_caller_goes_through_as_it_is_and_loses_nothing(dsn: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
            _put(writer, range(10))
            raise RuntimeError("something went wrong elsewhere")

    with pytest.raises(RuntimeError, match="elsewhere"):
        await work()

    assert await _numbers(dsn) == list(range(10))


async def test_a_cancelled_caller_loses_nothing(dsn: str, tmp_path: Path) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
            _put(writer, range(10))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.wait_for(inside.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await _numbers(dsn) == list(range(10))


async def test_a_sample_that_cannot_be_stored_is_counted_and_harms_no_other(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        writer.put(_sample(1))
        writer.put(Sample("drone-1", T, 2, 0, lat_e7=2**40))
        writer.put(Sample("drone-1", T, 3, 0, mode="\0"))
        writer.put(_sample(4))

    assert await _numbers(dsn) == [1, 4]
    assert (writer.counts.received, writer.counts.stored, writer.counts.rejected) == (4, 2, 2)


async def test_the_batch_that_is_sent_again_is_stored_once(dsn: str) -> None:
    batch = Batch([to_row(_sample(number)) for number in range(5)])
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        first = await write_batch(connection, batch, writer="g1")
        again = await write_batch(connection, Batch.decode(batch.encode()), writer="g1")

    assert (first, again) == (True, False)
    assert await _numbers(dsn) == [0, 1, 2, 3, 4]


async def test_samples_of_an_outage_wait_on_disk_and_arrive_when_the_database_is_back(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        _put(writer, range(100))
        await writer.flush(timeout_s=10)
        crashing_server.crash()
        _put(writer, range(100, 400))
        await _until_spooled(writer, 300)
        crashing_server.start()
        _put(writer, range(400, 500))
        await writer.flush(timeout_s=20)

    assert await _numbers(crashing_server.dsn) == list(range(500))
    assert writer.counts.dropped == 0
    assert not _spool_files(tmp_path)


async def test_the_spool_is_delivered_in_the_order_in_which_it_was_filled(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    crashing_server.crash()
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        for step in range(5):
            _put(writer, range(50 * step, 50 * step + 50))
            await _until_spooled(writer, 50 * step + 50)
        crashing_server.start()
        await writer.flush(timeout_s=20)

    written = await _rows(crashing_server.dsn, "SELECT seq FROM sample ORDER BY tableoid, ctid")
    assert [row["seq"] for row in written] == list(range(250))


async def test_the_writer_starts_and_ends_without_a_database_and_the_next_one_delivers(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    crashing_server.crash()
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as first:
        _put(first, range(120))
    assert (first.counts.stored, first.counts.spooled) == (0, 120)

    crashing_server.start()
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as second:
        await second.flush(timeout_s=20)

    assert await _numbers(crashing_server.dsn) == list(range(120))


async def test_a_batch_under_way_when_the_server_is_killed_arrives_once(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        sent = 0
        for _ in range(3):
            stored_before = writer.counts.stored
            while writer.counts.stored < stored_before + 500:  # killed in the middle of the stream
                if writer.counts.received - writer.counts.stored < 1000:
                    _put(writer, range(sent, sent + 50))
                    sent += 50
                await asyncio.sleep(0)
            crashing_server.crash()
            _put(writer, range(sent, sent + 10))
            sent += 10
            crashing_server.start()
        await writer.flush(timeout_s=30)

    assert await _numbers(crashing_server.dsn) == list(range(sent))


async def test_a_hanging_database_does_not_hold_up_the_caller_and_loses_nothing(dsn: str, tmp_path: Path) -> None:
    limits = WriterLimits(batch_samples=10, batch_s=0.01, memory_samples=30, write_timeout_s=0.5, first_retry_s=0.05)
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        async with _locked(dsn, "sample"):
            for start in range(0, 1000, 10):
                _put(writer, range(start, start + 10))
                await asyncio.sleep(0)
            await _until_spooled(writer, 1000)
            assert writer.counts.stored == 0
        await writer.flush(timeout_s=20)

    assert await _numbers(dsn) == list(range(1000))


async def test_at_the_end_what_a_hanging_database_has_not_taken_goes_to_disk(dsn: str, tmp_path: Path) -> None:
    limits = WriterLimits(batch_samples=10, max_batch_samples=10, batch_s=3600, close_timeout_s=0.2)
    async with _locked(dsn, "sample"):
        async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as first:
            _put(first, range(45))
        assert (first.counts.stored, first.counts.spooled, first.counts.dropped) == (0, 45, 0)

    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as second:
        await second.flush(timeout_s=20)

    assert await _numbers(dsn) == list(range(45))


@contextlib.asynccontextmanager
async def _losing_the_first_commits_answer(dsn: str) -> AsyncIterator[str]:
    """Yield a way to the database on which the answer to the first COMMIT is lost with the connection."""
    server = conninfo_to_dict(dsn)
    lost = asyncio.Event()

    async def forward(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        reader, writer = await asyncio.open_connection(str(server["host"]), int(str(server["port"])))

        async def back() -> None:
            while chunk := await reader.read(65536):
                answers.write(chunk)

        returning = asyncio.create_task(back())
        with contextlib.suppress(ConnectionError):
            while chunk := await client.read(65536):
                cut = b"COMMIT\0" in chunk and not lost.is_set()
                if cut:
                    returning.cancel()
                    await asyncio.wait([returning])
                writer.write(chunk)
                if cut:
                    lost.set()
                    await reader.read(65536)  # the server has committed, and nobody hears of it
                    break
        returning.cancel()
        writer.close()
        answers.close()

    async with await asyncio.start_server(forward, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        yield make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
    assert lost.is_set()


async def test_a_batch_whose_commit_was_not_heard_of_arrives_once(dsn: str, tmp_path: Path) -> None:
    async with (
        _losing_the_first_commits_answer(dsn) as way,
        SampleWriter(way, spool_dir=tmp_path, name="g1", limits=QUICK) as writer,
    ):
        _put(writer, range(20))
        await _until_spooled(writer, 20)
        assert await _numbers(dsn) == list(range(20)), "it was committed"
        await writer.flush(timeout_s=20)

    assert await _numbers(dsn) == list(range(20))


async def test_a_full_spool_keeps_the_oldest_and_counts_the_newest_as_dropped(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    limits = WriterLimits(batch_s=0.01, queue_samples=300, spool_bytes=20_000, first_retry_s=0.05, last_retry_s=0.1)
    crashing_server.crash()
    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        sent = 0
        with contextlib.suppress(AssertionError):  # until the disk takes no more
            while sent < 5000:
                _put(writer, range(sent, sent + 50))
                sent += 50
                await _until(lambda: not writer.in_memory, "the samples are on disk", 2.0)
        _put(writer, range(sent, 5000))
        assert sum(file.stat().st_size for file in _spool_files(tmp_path)) <= 20_000
        assert writer.in_memory <= 300 + 50, "the queue, and the batch under way"
        assert writer.in_memory + writer.counts.spooled + writer.counts.dropped == 5000
        crashing_server.start()
        await writer.flush(timeout_s=20)

    assert writer.counts.dropped > 0
    assert await _numbers(crashing_server.dsn) == list(range(5000 - writer.counts.dropped))


async def test_more_than_the_queue_takes_is_dropped_and_counted_at_once(dsn: str, tmp_path: Path) -> None:
    limits = WriterLimits(queue_samples=100, batch_s=3600, batch_samples=1000)
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=limits) as writer:
        _put(writer, range(150))
        assert writer.counts.dropped == 50

    assert await _numbers(dsn) == list(range(100))


async def test_putting_after_the_end_is_counted_and_nothing_else(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        pass

    writer.put(FULL)

    assert (writer.counts.received, writer.counts.dropped) == (1, 1)


async def test_a_spooled_batch_that_nobody_can_read_does_not_hold_up_the_others(dsn: str, tmp_path: Path) -> None:
    good = [Batch([to_row(_sample(number))]) for number in (1, 2)]
    with Spool(tmp_path / "g1") as spool:
        for record in (good[0].encode(), b"from another version", good[1].encode()):
            spool.append(record)

    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        await writer.flush(timeout_s=10)

    assert await _numbers(dsn) == [1, 2]


async def test_a_schema_that_is_not_there_yet_is_an_outage_and_no_loss(empty_dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(empty_dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        _put(writer, range(10))
        await _until_spooled(writer, 10)
        await migrate(empty_dsn)
        await writer.flush(timeout_s=10)

    assert await _numbers(empty_dsn) == list(range(10))


async def test_two_writers_of_one_name_cannot_run_at_once(dsn: str, tmp_path: Path) -> None:
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1"):
        with pytest.raises(SpoolInUse):
            async with SampleWriter(dsn, spool_dir=tmp_path, name="g1"):
                pass
        async with SampleWriter(dsn, spool_dir=tmp_path, name="g2") as other:
            other.put(FULL)

    assert await _numbers(dsn) == [FULL.seq]


@pytest.mark.parametrize("name", ["", "../other", "a/b", ".", "x" * 64])
def test_a_name_that_is_no_folder_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="writer name"):
        SampleWriter("", spool_dir=tmp_path, name=name)


_KILLED_WRITER = """
import asyncio, sys
from datetime import datetime, timedelta
from pathlib import Path
from telemetry.sample import Sample
from telemetry.writer import SampleWriter, WriterLimits

async def main() -> None:
    dsn, folder, first = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    start = datetime.fromisoformat("2026-04-01T09:30:00+00:00")
    limits = WriterLimits(batch_samples=20, batch_s=0.01, first_retry_s=0.02, last_retry_s=0.05)
    async with SampleWriter(dsn, spool_dir=folder, name="g1", limits=limits) as writer:
        number = first
        while True:
            for _ in range(20):
                writer.put(Sample("drone-1", start + timedelta(milliseconds=number), number, number))
                number += 1
            await asyncio.sleep(0.001)
            if number % 200 == 0:  # a safe point: wait until all is in the store or on disk, and say so
                while writer.in_memory:
                    await asyncio.sleep(0.001)
                print(number, flush=True)

asyncio.run(main())
"""


@contextlib.contextmanager
def _killed_at_the_end(process: asyncio.subprocess.Process) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)


async def _run_and_kill(dsn: str, folder: Path, first: int, lines: int) -> int:
    """Run a writer, kill it in the middle after some safe points; return the last number known safe."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _KILLED_WRITER, dsn, str(folder), str(first), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    safe = first
    with _killed_at_the_end(process):
        async with asyncio.timeout(30):
            for _ in range(lines):
                line = await process.stdout.readline()
                assert line, "the writer ended by itself"
                with contextlib.suppress(ValueError):  # a line of its log
                    safe = int(line)
    await asyncio.wait_for(process.wait(), 10)
    return safe


async def test_what_was_on_disk_or_stored_survives_kill_9_in_and_after_an_outage(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    safe = []
    safe.append(await _run_and_kill(crashing_server.dsn, tmp_path, 0, lines=10))
    crashing_server.crash()
    safe.append(await _run_and_kill(crashing_server.dsn, tmp_path, 100_000, lines=10))
    safe.append(await _run_and_kill(crashing_server.dsn, tmp_path, 200_000, lines=10))
    torn = max(_spool_files(tmp_path))
    with torn.open("ab") as end:
        end.write(b"\x40\x00\x00\x00torn")  # what a crash in the middle of a write leaves
    crashing_server.start()

    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        await writer.flush(timeout_s=30)

    numbers = await _numbers(crashing_server.dsn)
    assert len(numbers) == len(set(numbers)), "a sample arrived twice"
    for first, last in zip((0, 100_000, 200_000), safe, strict=True):
        assert last > first
        assert set(range(first, last)) <= set(numbers)


async def test_the_partitions_around_the_clocks_time_are_made(native_dsn: str, tmp_path: Path) -> None:
    clock = Clock(anchor_wall=datetime.now(UTC), anchor_domain=T, speed=1.0)
    async with SampleWriter(native_dsn, spool_dir=tmp_path, name="g1", clock=clock) as writer:
        writer.put(FULL)

    partitions = {row["relname"] for row in await _rows(native_dsn, "SELECT relname FROM pg_class WHERE relkind = 'r'")}
    assert {"sample_20260331", "sample_20260401", "sample_20260408"} <= partitions
    assert await _rows(native_dsn, "SELECT count(*) AS n FROM sample_20260401") == [{"n": 1}]


async def test_samples_without_a_partition_are_kept_and_move_when_theirs_is_made(native_dsn: str) -> None:
    days = [T, T + timedelta(days=1), T + timedelta(days=300)]
    rows = [to_row(Sample("drone-1", t, number, 0)) for number, t in enumerate(days)]
    async with await psycopg.AsyncConnection.connect(native_dsn, autocommit=True) as connection:
        await write_batch(connection, Batch(rows), writer="g1")

        made = await ensure_partitions(connection, T)
        again = await ensure_partitions(connection, T)

    assert (made, again) == (9, 0)
    places = await _rows(native_dsn, "SELECT tableoid::regclass::text AS place FROM sample ORDER BY seq")
    assert [row["place"] for row in places] == ["sample_20260401", "sample_20260402", "sample_default"]


async def test_partitions_are_cut_at_midnight_utc_whatever_the_zone_of_the_session(native_dsn: str) -> None:
    midnight = datetime(2026, 4, 2, tzinfo=UTC)
    rows = [
        to_row(Sample("drone-1", t, number, 0))
        for number, t in enumerate([midnight - timedelta(microseconds=1), midnight])
    ]
    async with await psycopg.AsyncConnection.connect(
        native_dsn, autocommit=True, options="-c timezone=Asia/Tokyo"
    ) as connection:
        await ensure_partitions(connection, midnight)
        await write_batch(connection, Batch(rows), writer="g1")

    places = await _rows(native_dsn, "SELECT tableoid::regclass::text AS place FROM sample ORDER BY seq")
    assert [row["place"] for row in places] == ["sample_20260401", "sample_20260402"]


async def test_partitions_may_be_made_by_several_while_samples_come_in(native_dsn: str, tmp_path: Path) -> None:
    async def make() -> int:
        async with await psycopg.AsyncConnection.connect(native_dsn, autocommit=True) as connection:
            return await ensure_partitions(connection, T)

    async with SampleWriter(native_dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        _put(writer, range(2000))
        made = await asyncio.gather(*(make() for _ in range(4)))
        _put(writer, range(2000, 3000))
        await writer.flush(timeout_s=20)

    assert sum(made) == 9
    assert await _numbers(native_dsn) == list(range(3000))

"""The writer on a server that cannot write, or will not take a row: the trouble is told from the row."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import errors

from telemetry.batch import Batch
from telemetry.event import VehicleEvent
from telemetry.row import to_row
from telemetry.sample import Sample
from telemetry.sender import is_rows_fault
from telemetry.spool import Spool
from telemetry.store import write_batch
from telemetry.writer import SampleWriter
from tests.postgres import TestServer
from tests.writer_kit import QUICK, T, execute, numbers, numbers_as_written, put, rows, sample, until, until_spooled

WAL_SEGMENT_BYTES = 16 * 1024 * 1024


def _limit_files(server: psutil.Process, size: str) -> None:
    """Limit the files of a server and of its processes; only its own user may, and root become that user."""
    user, group = (server.uids().real, server.gids().real) if os.geteuid() == 0 else (None, None)
    for process in (server, *server.children()):
        command = ["prlimit", "--pid", str(process.pid), f"--fsize={size}:"]
        done = subprocess.run(command, capture_output=True, check=False, timeout=20, user=user, group=group)
        assert done.returncode == 0 or not process.is_running(), done.stderr


@contextlib.contextmanager
def _no_file_beyond(dsn: str, size: int) -> Iterator[None]:
    """Let no process of a server make a file larger than this, as if its disk were full."""
    if shutil.which("prlimit") is None:
        pytest.skip("there is no prlimit, which comes with Linux, to limit the files of a server")
    with psycopg.connect(dsn) as connection:
        server = psutil.Process(connection.info.backend_pid).parent()
    assert server is not None
    _limit_files(server, str(size))
    try:
        yield
    finally:
        _limit_files(server, "unlimited")


async def test_a_server_whose_disk_is_full_is_an_outage_and_no_loss(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    dsn = crashing_server.dsn
    bulk = {"bulk": random.Random(5).randbytes(900).hex()}
    sent = 0
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        # Its log is written in files of this size: with less it would not refuse, but crash.
        with _no_file_beyond(dsn, WAL_SEGMENT_BYTES):
            while not writer.health.database_down:
                assert sent < 100_000, "the table never became as large as a file may be"
                for _ in range(200):
                    writer.put(replace(sample(sent), extra=bulk))
                    sent += 1
                await until(lambda: writer.in_memory < 1000, "it is taken, or on disk")
            put(writer, range(sent, sent + 1000))
            sent += 1000
            await until(lambda: writer.in_memory == 0, "all is on disk or in the store")
            assert 0 < writer.counts.stored < sent
            assert writer.health.spool_batches > 0
        await writer.flush(timeout_s=60)

    assert await numbers_as_written(dsn) == list(range(sent))
    assert (writer.counts.rejected, writer.counts.dropped) == (0, 0)


async def test_a_server_that_is_read_only_is_an_outage_and_no_loss(dsn: str, tmp_path: Path) -> None:
    [database] = [row["name"] for row in await rows(dsn, "SELECT current_database() AS name")]
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        await execute(dsn, f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
        put(writer, range(100))
        await until_spooled(writer, 100)
        await until(lambda: writer.health.database_down, "it was refused")
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            await connection.execute("SET default_transaction_read_only = off")
            await connection.execute(f'ALTER DATABASE "{database}" RESET default_transaction_read_only'.encode())
        await writer.flush(timeout_s=20)

    assert await numbers(dsn) == list(range(100))
    assert writer.counts.rejected == 0


async def test_rows_that_the_database_refuses_are_left_out_and_all_others_are_stored(dsn: str, tmp_path: Path) -> None:
    await execute(dsn, "ALTER TABLE sample ADD CONSTRAINT unlucky CHECK (seq NOT IN (13, 14, 499))")
    await execute(dsn, "ALTER TABLE vehicle_event ADD CONSTRAINT polite CHECK (text <> 'rude')")
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
        put(writer, range(500))
        for text in ("hello", "rude", "goodbye"):
            writer.put_event(VehicleEvent("drone-1", T, severity=6, text=text))
        await writer.flush(timeout_s=30)

    assert await numbers(dsn) == [number for number in range(500) if number not in (13, 14, 499)]
    events = await rows(dsn, "SELECT text FROM vehicle_event ORDER BY event_id")
    assert [row["text"] for row in events] == ["hello", "goodbye"]
    assert (writer.counts.stored, writer.counts.rejected) == (499, 4)


async def test_a_batch_with_a_refused_row_that_is_sent_again_is_stored_once(dsn: str, tmp_path: Path) -> None:
    await execute(dsn, "ALTER TABLE sample ADD CONSTRAINT unlucky CHECK (seq <> 13)")
    batch = Batch([to_row(sample(number)) for number in range(40)])
    for _ in range(2):  # as a process leaves it that was killed before it could forget it
        with Spool(tmp_path / "g1") as spool:
            spool.append(batch.encode())
        async with SampleWriter(dsn, spool_dir=tmp_path, name="g1") as writer:
            await writer.flush(timeout_s=20)

    assert await numbers(dsn) == [number for number in range(40) if number != 13]


async def test_when_a_table_refuses_everything_it_is_the_tables_fault_and_nothing_is_rejected(
    dsn: str, tmp_path: Path
) -> None:
    await execute(dsn, "ALTER TABLE sample ADD CONSTRAINT nothing CHECK (seq < 0)")
    async with SampleWriter(dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        put(writer, range(300))
        await until(lambda: writer.health.database_down, "the table is found to be the trouble", 60)
        await until(lambda: writer.in_memory == 0, "all is on disk")
        await execute(dsn, "ALTER TABLE sample DROP CONSTRAINT nothing")
        await writer.flush(timeout_s=30)

    assert await numbers(dsn) == list(range(300))
    assert writer.counts.rejected == 0


async def test_a_batch_of_fewer_columns_from_an_earlier_version_is_stored(dsn: str) -> None:
    columns = ("t", "vehicle_ms", "seq", "vehicle_id")
    vehicle_id, t_us, seq, data = to_row(Sample("drone-1", T, 7, 8))
    head, values = data[:2], data[2:]
    assert head == (26).to_bytes(2)
    times, texts = values[:36], values[36 + 19 * 4 :]
    short = (4).to_bytes(2) + times + texts[: 4 + len("drone-1")]
    batch = Batch([(vehicle_id, t_us, seq, short)], columns=columns)

    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        assert await write_batch(connection, Batch.decode(batch.encode()), writer="g1")

    assert await rows(dsn, "SELECT vehicle_id, t, seq, vehicle_ms, lat_e7 FROM latest_sample") == [
        {"vehicle_id": "drone-1", "t": T, "seq": 7, "vehicle_ms": 8, "lat_e7": None}
    ]


@pytest.mark.parametrize(
    "error",
    [
        *(errors.DiskFull, errors.OutOfMemory, errors.TooManyConnections, errors.InsufficientResources),
        *(errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.QueryCanceled),
        *(errors.IoError, errors.InternalError_, errors.ReadOnlySqlTransaction, errors.LockNotAvailable),
        *(errors.DeadlockDetected, errors.SerializationFailure, errors.UndefinedTable, errors.ConnectionFailure),
        *(errors.InsufficientPrivilege, psycopg.OperationalError),
    ],
)
def test_trouble_of_the_server_is_not_the_rows_fault(error: type[psycopg.Error]) -> None:
    assert not is_rows_fault(error())


@pytest.mark.parametrize(
    "error",
    [
        *(errors.NumericValueOutOfRange, errors.BadCopyFileFormat, errors.CharacterNotInRepertoire),
        *(errors.CheckViolation, errors.NotNullViolation, errors.ProgramLimitExceeded, errors.RaiseException),
    ],
)
def test_what_no_server_would_store_is_the_rows_fault(error: type[psycopg.Error]) -> None:
    assert is_rows_fault(error())

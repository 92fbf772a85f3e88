"""An outage of a minute (``TODOKE_OUTAGE_S``) while 200 vehicles send at 10 Hz, and kill -9 in another."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from fleet.db.migrate import migrate
from telemetry.sample import Sample
from telemetry.writer import SampleWriter
from tests.benchmarks.figures import Figure
from tests.killed_sender import EVERY_S, VEHICLES, send_until_killed
from tests.postgres import TestServer, running_server

SECONDS = float(os.environ.get("TODOKE_OUTAGE_S", "60"))
BEFORE_S, AFTER_S = 2.0, 5.0
T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
_IDS = [f"drone-{number:03}" for number in range(VEHICLES)]


class _Sending:
    """200 vehicles that send, and the greatest age that a sample had reached before it was safe."""

    def __init__(self, writer: SampleWriter) -> None:
        self._writer = writer
        self.sent = 0
        self.oldest_s = 0.0

    async def go_on(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            for vehicle_id in _IDS:
                self._writer.put(Sample(vehicle_id, T + timedelta(milliseconds=100 * self.sent), self.sent, self.sent))
            self.sent += 1
            for _ in range(5):
                await asyncio.sleep(max(0.0, now + EVERY_S - time.monotonic()) / 5)
                self.oldest_s = max(self.oldest_s, self._writer.health.oldest_unsaved_s)


async def _stored(dsn: str) -> dict[str, list[int]]:
    """The numbers stored of each vehicle, in the order in which they were written."""
    query = """SELECT vehicle_id, array_agg(seq ORDER BY xmin::text::bigint, seq)
               FROM sample GROUP BY vehicle_id"""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        return dict(await (await connection.execute(query)).fetchall())


async def _empty(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("TRUNCATE sample, latest_sample, sample_batch")


async def _outage(server: TestServer, folder: Path) -> list[Figure]:
    async with SampleWriter(server.dsn, spool_dir=folder, name="g1") as writer:
        sending = _Sending(writer)
        await sending.go_on(BEFORE_S)
        await asyncio.to_thread(server.crash)
        await sending.go_on(SECONDS)
        on_disk = writer.health.spool_bytes
        await asyncio.to_thread(server.start)
        back = time.monotonic()
        await sending.go_on(AFTER_S)
        await writer.flush(timeout_s=120)
        caught_up_s = time.monotonic() - back
    stored = await _stored(server.dsn)
    written = [stored.get(vehicle_id, []) for vehicle_id in _IDS]
    return [
        Figure(
            "outage lost", sum(len(set(range(sending.sent)) - set(seqs)) for seqs in written), "samples", aim="<= 0"
        ),
        Figure("outage double", sum(len(seqs) - len(set(seqs)) for seqs in written), "samples", aim="<= 0"),
        Figure("outage out of order", sum(seqs != sorted(seqs) for seqs in written), "vehicles", aim="<= 0"),
        Figure("outage oldest unsaved", sending.oldest_s, "s", aim="<= 0.2"),
        Figure("outage on disk", on_disk / 2**20, "MB"),
        Figure("outage caught up after", caught_up_s, "s", aim="<= 30"),
    ]


async def _killed(server: TestServer, folder: Path) -> list[Figure]:
    await _empty(server.dsn)
    await asyncio.to_thread(server.crash)
    lines, killed_at = await send_until_killed(server.dsn, folder, 0, ticks=50)
    await asyncio.to_thread(server.start)
    async with SampleWriter(server.dsn, spool_dir=folder, name="g1") as writer:
        await writer.flush(timeout_s=120)
    written = list((await _stored(server.dsn)).values())
    whole = min(map(len, written))
    lost = [killed_at - line.at for line in lines if line.number >= whole]
    wrong = sum(seqs != list(range(len(seqs))) for seqs in written) + VEHICLES - len(written)
    return [
        Figure("kill -9 oldest lost", max(lost, default=0.0), "s", aim="<= 0.2"),
        Figure("kill -9 double, missing or out of order", wrong, "vehicles", aim="<= 0"),
    ]


def measure() -> list[Figure]:
    """Crash a server of our own, bring it back, and look at what is in it; then kill who writes."""
    with running_server() as server, tempfile.TemporaryDirectory() as folder:
        asyncio.run(migrate(server.dsn))
        figures = asyncio.run(_outage(server, Path(folder) / "outage"))
        return figures + asyncio.run(_killed(server, Path(folder) / "killed"))

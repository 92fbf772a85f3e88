"""A process in which 200 vehicles send through a writer, to be killed: run as a program, this is that process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from telemetry.sample import Sample
from telemetry.writer import SampleWriter, WriterLimits

VEHICLES = 200
EVERY_S = 0.1


@dataclass(frozen=True)
class Put:
    """All vehicles' samples of one number, when they had been put (monotonic), and how the spool was then."""

    number: int
    at: float
    spooled_batches: int
    dropped: int


async def _send(dsn: str, folder: Path, first: int, spool_bytes: int) -> None:
    start = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
    vehicles = [f"drone-{number:03}" for number in range(VEHICLES)]
    async with SampleWriter(dsn, spool_dir=folder, name="g1", limits=WriterLimits(spool_bytes=spool_bytes)) as writer:
        number = first
        while True:
            t = start + timedelta(milliseconds=100 * number)
            for vehicle_id in vehicles:
                writer.put(Sample(vehicle_id, t, number, number))
            print(f"put {number} {time.monotonic()} {writer.health.spool_batches} {writer.counts.dropped}", flush=True)
            number += 1
            await asyncio.sleep(EVERY_S)


def _read(line: bytes) -> list[Put]:
    word, *values = line.decode().split() or [""]
    if word != "put":
        return []  # of its log
    number, at, batches, dropped = values
    return [Put(int(number), float(at), int(batches), int(dropped))]


async def send_until_killed(
    dsn: str, folder: Path, first: int, *, ticks: int, spool_bytes: int = 10**9, until_dropped: bool = False
) -> tuple[list[Put], float]:
    """Let such a process send numbers from ``first`` on, and kill it; return what it had put and when it was."""
    arguments = (str(Path(__file__)), dsn, str(folder), str(first), str(spool_bytes))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    lines: list[Put] = []
    try:
        async with asyncio.timeout(120):
            while len(lines) < ticks or (until_dropped and not lines[-1].dropped):
                line = await process.stdout.readline()
                assert line, "the sender ended by itself"
                lines += _read(line)
    finally:
        killed_at = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
    for line in (await process.stdout.read()).splitlines(keepends=True):
        lines += _read(line) if line.endswith(b"\n") else []
    async with asyncio.timeout(10):
        await process.wait()
    return lines, killed_at


if __name__ == "__main__":
    asyncio.run(_send(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))

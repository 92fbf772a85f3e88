"""A thousand vehicles at 10 Hz for ``TODOKE_SOAK_S`` seconds (60; 600 for the ten minutes): memory is flat."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import psutil

from telemetry.writer import SampleWriter
from tests.benchmarks.figures import Figure
from tests.benchmarks.ingest import VEHICLES, make_samples
from tests.postgres import fresh_database, server_dsn, template_database

SECONDS = float(os.environ.get("TODOKE_SOAK_S", "60"))
TICK_S = 0.01
EACH_TICK = VEHICLES // 10
SETTLED = 0.25
"""Part of the time after which caches and arenas have their size."""
_MB = 2**20


async def _soak(dsn: str, folder: Path) -> list[Figure]:
    process = psutil.Process()
    pattern = make_samples(VEHICLES)
    sizes: list[tuple[float, int]] = []
    oldest_s = late_s = 0.0
    async with SampleWriter(dsn, spool_dir=folder, name="soak") as writer:
        began, cpu = time.monotonic(), time.process_time()
        ticks = round(SECONDS / TICK_S)
        for tick in range(ticks):
            first = tick * EACH_TICK
            for sample in pattern[first % VEHICLES : first % VEHICLES + EACH_TICK]:
                seq = first // VEHICLES
                writer.put(replace(sample, seq=seq, t=sample.t + timedelta(milliseconds=100 * seq)))
            now = time.monotonic() - began
            if tick % round(1 / TICK_S) == 0:
                sizes.append((now, process.memory_info().rss))
            oldest_s = max(oldest_s, writer.health.oldest_unsaved_s)
            late_s = max(late_s, now - tick * TICK_S)
            await asyncio.sleep(max(0.0, (tick + 1) * TICK_S - now))
        taken_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
        await writer.flush(timeout_s=60)
    lost = ticks * EACH_TICK - writer.counts.stored
    settled = np.array([size for size in sizes if size[0] > SETTLED * SECONDS] or sizes)
    growth = float(np.polyfit(settled[:, 0], settled[:, 1], 1)[0]) * 60 / _MB if len(settled) > 1 else 0.0
    return [
        Figure("soak offered", ticks * EACH_TICK / taken_s, "samples/s", aim=">= 9500"),
        Figure("soak lost", lost, "samples", aim="<= 0"),
        Figure("soak growth of memory", growth, "MB/min", aim="<= 1"),
        Figure("soak memory", sizes[-1][1] / _MB, "MB"),
        Figure("soak processor", cpu_s / taken_s, "of one core", aim="<= 0.5"),
        Figure("soak oldest unsaved", oldest_s, "s", aim="<= 0.2"),
        Figure("soak went to disk", writer.counts.spooled / (ticks * EACH_TICK), "of samples"),
        Figure("soak loop late by", late_s, "s"),
    ]


def measure() -> list[Figure]:
    """Offer samples at a steady rate, and look at memory, processor time and what is not yet safe."""
    with (
        server_dsn() as server,
        template_database(server) as template,
        fresh_database(server, template=template) as dsn,
        tempfile.TemporaryDirectory() as folder,
    ):
        return asyncio.run(_soak(dsn, Path(folder)))

"""What the service says of itself: names, bounded labels, and what processes share on one machine."""

from __future__ import annotations

import asyncio
import math
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from fleet import metrics
from fleet.books import Books
from fleet.metrics_share import SharedMetrics, clear, folder_of

# A process that shares its metrics: it counts 3 more, holds a level of 7, and lives until it is killed.
PROCESS = """
import sys, time
import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
from pathlib import Path
from fleet.metrics_share import share
shared = share(Path(sys.argv[1]), sys.argv[2])
from fleet import metrics
from fleet.books import Books
metrics.SAMPLES_STORED.follow(3)
metrics.SAMPLES_WAITING.set(7)
metrics.WRITE_DURATION.observe(0.02)
print("ready" if shared else "alone", flush=True)
time.sleep(600)
"""


@asynccontextmanager
async def sharing(home: Path, name: str, *, says: bytes = b"ready\n") -> AsyncIterator[None]:
    """Run such a process; killed without warning at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, str(home), name, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == says
        yield
    finally:
        process.kill()
        await process.wait()


def read(home: Path) -> dict[str, dict[str, float]]:
    """Return the values that a scrape of ``home`` gives, by sample and process."""
    registry = CollectorRegistry()
    registry.register(SharedMetrics(home))
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[sample.labels.get("process", "")] = sample.value
    return found


def families() -> Iterator[Metric]:
    return iter(metrics.REGISTRY.collect())


def test_names_follow_the_conventions_of_prometheus() -> None:
    names = [(family.name, family.type) for family in families()]

    assert len(names) > 30
    for name, kind in names:
        assert re.fullmatch(r"todoke_[a-z_]+[a-z]", name), name
        assert not re.search(r"_(ms|millis|minutes|kb|mb|percent|pct)(_|$)", name), f"{name}: no base unit"
        assert not name.endswith("_total"), f"{name}: a level is no total"
        if kind == "histogram":
            assert name.endswith("_seconds")


def test_no_label_can_grow_with_the_fleet_or_its_users() -> None:
    for family in families():
        for sample in family.samples:
            assert set(sample.labels) <= {
                "process", "version", "reason", "kind", "urgency", "method", "route", "status", "outcome", "state", "le"
            }, family.name  # fmt: skip


def test_a_count_kept_elsewhere_is_followed_and_never_goes_down(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a process exports is looked through by other tests: this count is kept out of it.
    registry = CollectorRegistry()
    monkeypatch.setattr(metrics, "REGISTRY", registry)
    counts = metrics.Counts("todoke_test_followed_total", "For a test")

    for count in (5, 5, 9, 2, 3):
        counts.follow(count)

    assert registry.get_sample_value("todoke_test_followed_total", {"process": "local"}) == 10


async def test_one_scrape_gives_what_all_processes_count(tmp_path: Path) -> None:
    async with sharing(tmp_path, "gateway-1"), sharing(tmp_path, "gateway-2"):
        found = read(tmp_path)

    assert found["todoke_samples_stored_total"] == {"gateway-1": 3, "gateway-2": 3}
    assert found["todoke_samples_waiting"] == {"gateway-1": 7, "gateway-2": 7}
    assert found["todoke_sample_write_duration_seconds_count"] == {"gateway-1": 1, "gateway-2": 1}


async def test_a_killed_process_leaves_its_counts_and_no_gauges(tmp_path: Path) -> None:
    async with sharing(tmp_path, "gateway-2"):
        async with sharing(tmp_path, "gateway-1"):
            pass
        found = read(tmp_path)

    assert found["todoke_samples_waiting"] == {"gateway-2": 7}
    assert found["todoke_samples_stored_total"] == {"gateway-1": 3, "gateway-2": 3}


async def test_a_restarted_process_counts_on_and_adds_no_files(tmp_path: Path) -> None:
    async with sharing(tmp_path, "gateway-1"):
        files = sorted(os.listdir(folder_of(tmp_path)))

    for _ in range(2):
        async with sharing(tmp_path, "gateway-1"):
            found = read(tmp_path)

    assert found["todoke_samples_stored_total"] == {"gateway-1": 9}
    assert found["todoke_samples_waiting"] == {"gateway-1": 7}
    assert sorted(os.listdir(folder_of(tmp_path))) == files


async def test_a_second_process_of_a_name_counts_for_itself_alone(tmp_path: Path) -> None:
    async with sharing(tmp_path, "gateway-1"), sharing(tmp_path, "gateway-1", says=b"alone\n"):
        assert read(tmp_path)["todoke_samples_stored_total"] == {"gateway-1": 3}


async def test_a_name_is_no_path(tmp_path: Path) -> None:
    async with sharing(tmp_path, "../my_gateway"):
        assert read(tmp_path)["todoke_samples_waiting"] == {"..-my-gateway": 7}


async def test_files_that_cannot_be_read_are_begun_anew(tmp_path: Path) -> None:
    folder_of(tmp_path).mkdir(parents=True)
    file = folder_of(tmp_path) / "counter_gateway-1.db"
    file.write_bytes(b"\xff\xff\x00\x00" * 500)

    async with sharing(tmp_path, "gateway-1"):
        assert read(tmp_path)["todoke_samples_stored_total"] == {"gateway-1": 3}


async def test_without_room_on_the_disk_a_process_counts_for_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")

    async with sharing(tmp_path, "gateway-1", says=b"alone\n"):
        pass


async def test_the_supervisor_begins_with_nothing(tmp_path: Path) -> None:
    async with sharing(tmp_path, "gateway-1"):
        pass

    clear(tmp_path)

    assert read(tmp_path) == {}
    clear(tmp_path)


def test_what_is_not_known_is_not_a_number_that_could_be_believed() -> None:
    metrics.PLANNING_QUEUE.set(4)

    Books().unknown()

    assert math.isnan(metrics.REGISTRY.get_sample_value("todoke_planning_queue_length") or 0)
    metrics.PLANNING_QUEUE.set(0)

"""Metrics of a whole service: one address for all its processes, through crashes and restarts."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fleet.config import load
from fleet.metrics_share import SharedMetrics
from fleet.supervisor import Supervisor
from tests.homes import service_home, until
from tests.integration.day import day_on, eventually, service

# A role that counts one and holds a level in its first life only.
ROLE = """
import asyncio, signal, sys
from pathlib import Path
from fleet.metrics_share import share
home, name = Path(sys.argv[1]), sys.argv[2]
share(home, name)
from fleet import metrics
from fleet.runtime import beat, load_runtime

async def main():
    runtime = load_runtime(home, name)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    metrics.SAMPLES_STORED.inc()
    lived = home / f"{name}.lived"
    if not lived.exists():
        metrics.SAMPLES_WAITING.set(7)
    lived.touch()
    runtime.ready()
    beating = asyncio.create_task(beat(runtime))
    await stop.wait()

asyncio.run(main())
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with service_home() as folder:
        yield folder


def by_process(text: str) -> dict[str, dict[str, float]]:
    """Return the sum of each sample by process."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            values, process = found.setdefault(sample.name, {}), sample.labels.get("process", "")
            values[process] = values.get(process, 0.0) + sample.value
    return found


def shared(home: Path) -> dict[str, dict[str, float]]:
    registry = CollectorRegistry()
    registry.register(SharedMetrics(home))
    return by_process(generate_latest(registry).decode())


async def test_a_killed_process_leaves_no_gauges_to_its_next_life_and_counts_on(home: Path) -> None:
    settings = load({"home": home, "api_port": 0}, environ={})
    roles = {name: [sys.executable, "-c", ROLE, str(home), name] for name in ("gateway-1", "gateway-2")}
    async with Supervisor(settings, roles=roles, for_tests=True) as running:
        before = shared(home)
        first = running.pid_of("gateway-1")

        os.kill(first, signal.SIGKILL)

        await until(lambda: running.runtime.pids.get("gateway-1") not in (None, first))
        after = shared(home)

    assert before["todoke_samples_waiting"] == {"gateway-1": 7, "gateway-2": 7}
    assert after["todoke_samples_waiting"] == {"gateway-2": 7}
    assert after["todoke_samples_stored_total"] == {"gateway-1": 2, "gateway-2": 1}


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_one_address_gives_the_metrics_of_a_service_at_work(home: Path) -> None:
    async with service(home, speed=10.0) as running, httpx.AsyncClient() as client, day_on(running):
        address = running.runtime.api_url
        found: dict[str, dict[str, float]] = {}

        async def at_work() -> bool:
            nonlocal found
            found = by_process((await client.get(f"{address}/metrics")).raise_for_status().text)
            return (
                found.get("todoke_vehicles_connected", {}).get("gateway-1", 0) == 2
                and found.get("todoke_samples_stored_total", {}).get("gateway-1", 0) > 100
                and found.get("todoke_planning_runs_total", {}).get("planner", 0) >= 1
                and found.get("todoke_vehicles_registered", {}).get("", 0) == 2
            )

        await eventually("all processes have said what they do", at_work, within_s=90)
        ready = await client.get(f"{address}/api/ready")
        await running.kill("gateway-1")
        gone = by_process((await client.get(f"{address}/metrics")).text)

    assert ready.status_code == 200, ready.text
    processes = {"gateway-1", "planner", "api"}
    for name in ("loop_lag_seconds_count", "process_cpu_seconds_total", "process_resident_memory_bytes"):
        assert {process for process, value in found[f"todoke_{name}"].items() if value > 0} == processes
    assert found["todoke_bus_connected"] == {"gateway-1": 1, "api": 1}
    assert found["todoke_samples_received_total"]["gateway-1"] >= found["todoke_samples_stored_total"]["gateway-1"]
    assert found["todoke_samples_dropped_total"]["gateway-1"] == 0
    assert found["todoke_intake_accepted_total"]["gateway-1"] > 100
    assert found["todoke_sample_write_duration_seconds_count"]["gateway-1"] > 0
    assert found["todoke_bus_messages_received_total"]["gateway-1"] > 0
    assert found["todoke_alarms_standing"]["gateway-1"] >= 0
    assert found["todoke_live_clients"]["api"] == 0
    assert found["todoke_gateway_tick_duration_seconds_count"]["gateway-1"] > 10
    assert found["todoke_spool_limit_bytes"]["gateway-1"] > 1e6
    assert found["todoke_leases_held"][""] <= 2
    assert sum(found["todoke_orders"].values()) == 2
    assert sum(found["todoke_http_requests_total"].values()) > 0
    assert gone["todoke_samples_stored_total"]["gateway-1"] >= found["todoke_samples_stored_total"]["gateway-1"]
    started = "todoke_process_started_timestamp_seconds"
    assert gone[started]["gateway-1"] > found[started]["gateway-1"], "nothing is shown of the one that was killed"

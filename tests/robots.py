"""Simulated robots as a process of their own, and links to them, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from routing.geo import LocalFrame, Position
from telemetry.clock import Clock
from tests.broker import Broker

ORIGIN = Position(35.36, 138.73)
FRAME = LocalFrame(ORIGIN)
MAP_ID = "sample"


def clock_at(speed: float) -> Clock:
    """Return a clock that runs ``speed`` times faster from now on."""
    now = datetime.now(UTC)
    return Clock(now, now, speed)


def robot_config(serial: str, **changes: Any) -> dict[str, Any]:
    """Return the simulator's configuration of a robot at node A, the map's origin."""
    return {
        "vehicle_id": f"robot-{serial}",
        "manufacturer": "todoke-sim",
        "serial": serial,
        "type_id": "sidewalk_robot",
        "map_id": MAP_ID,
        "x": 0.0,
        "y": 0.0,
        "theta": 0.0,
        "node_id": "A",
        "battery_pct": 90.0,
        **changes,
    }


@contextlib.asynccontextmanager
async def simulated_robots(
    folder: Path, broker: Broker, clock: Clock, robots: Sequence[dict[str, Any]]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the robot simulator; its output goes to ``robots.log`` in the folder."""
    config = {
        "speed": clock.speed,
        "seed": 1,
        "log_dir": str(folder / "logs"),
        "anchor_wall": clock.anchor_wall.isoformat(),
        "anchor_domain": clock.anchor_domain.isoformat(),
        "broker": {"host": broker.host, "port": broker.port},
        "robots": list(robots),
    }
    path = folder / "robots.json"
    path.write_text(json.dumps(config))
    with (folder / "robots.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "simulators.robot", str(path), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()

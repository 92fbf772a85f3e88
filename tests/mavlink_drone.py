"""The light simulator as a process, for tests of links."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hardware.mavlink.link import MavlinkLink
from tests.mavlink_kit import HOME, until

UID = "00000000000000a1"


@asynccontextmanager
async def drone(
    port: int, folder: Path, *, speed: float, params: dict[str, float] | None = None, bind: str = "127.0.0.1:0"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run one simulated drone at ``HOME`` that sends to ``port``; its log is ``d1.jsonl`` in the folder."""
    config = {
        "speed": speed,
        "seed": 1,
        "log_dir": str(folder),
        "drones": [
            {
                "vehicle_id": "d1",
                "system_id": 1,
                "hardware_uid": UID,
                "type_id": "multirotor_1kg",
                "home": {"lat": HOME.lat, "lon": HOME.lon, "alt_amsl_m": HOME.alt_amsl_m},
                "send_to": f"127.0.0.1:{port}",
                "bind": bind,
                "params": params or {},
            }
        ],
    }
    path = folder / "drone.json"
    path.write_text(json.dumps(config))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.drone", str(path), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


def logged(folder: Path) -> list[dict[str, Any]]:
    """Return what the drone has written to its log so far."""
    lines = (folder / "d1.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]


async def ready(link: MavlinkLink) -> None:
    """Wait until a drone can take off."""
    await until(lambda: link.state().ready and link._observer.home is not None, 60, "getting ready")

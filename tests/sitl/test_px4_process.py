"""Real PX4 SITL processes for the drones of a configuration, where a build of PX4 is at hand."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
from pathlib import Path
from typing import Any

import psutil
from pymavlink.dialects.v20 import common as m

from tests.drone_pilot import HOME, Station, delivery, program
from tests.px4 import FIRST_API_PORT, FIRST_LOCAL_PORT, px4_folder

SPEED = 5.0
LINK_LOSS_S = 10
"""As in the profile; PX4's own start script makes it 50 at this speed."""


def as_integer(parameter: Any) -> int:
    """Read a PARAM_VALUE's integer (bytewise encoding)."""
    return int(struct.unpack("<i", struct.pack("<f", parameter.param_value))[0])


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_instance() -> int:
    """Return an instance whose ports nobody holds: PX4's own and the one that it sends to."""
    for instance in range(7, -1, -1):
        if is_free(FIRST_LOCAL_PORT + instance) and is_free(FIRST_API_PORT + instance):
            return instance
    raise AssertionError("no PX4 instance is free")


def configured(folder: Path, instance: int) -> Path:
    """Write a configuration of one drone."""
    drone = {
        "vehicle_id": "drone-1",
        "system_id": instance + 1,
        "instance": instance,
        "home": {"lat": HOME.lat, "lon": HOME.lon, "alt_amsl_m": HOME.alt_amsl_m},
    }
    path = folder / "config.json"
    path.write_text(json.dumps({"speed": SPEED, "log_dir": str(folder / "logs"), "drones": [drone]}))
    return path


def px4_under(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    return [child for child in psutil.Process(process.pid).children() if child.name() == "px4"]


async def gone(processes: list[psutil.Process]) -> bool:
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, 10)
    return not alive


async def px4_started(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    for _ in range(400):
        if found := px4_under(process):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("no PX4 was started within 20 s")


async def test_flies_the_same_delivery_as_the_light_simulator(tmp_path: Path) -> None:
    folder, instance = px4_folder(), free_instance()
    config = configured(tmp_path, instance)
    station = Station(port=FIRST_API_PORT + instance)
    try:
        async with program(
            "simulators.px4", "--px4-dir", str(folder), str(config), log=tmp_path / "px4.log"
        ) as process:
            await station.wait("HEARTBEAT", lambda h: h.autopilot == m.MAV_AUTOPILOT_PX4, within_s=30)
            assert station.system_id == instance + 1
            await station.wait("HEARTBEAT", lambda h: h.system_status == m.MAV_STATE_STANDBY, within_s=30)
            async with asyncio.timeout(20):
                while as_integer(await station.parameter("COM_DL_LOSS_T")) != LINK_LOSS_S:
                    await station.wait("HEARTBEAT")
            assert await station.upload(delivery()) == 0
            async with asyncio.timeout(30):
                while await station.command(400, 1) != 0:
                    await station.wait("HEARTBEAT")
                while await station.command(176, 1, 4, 4) != 0:
                    await station.wait("HEARTBEAT")
            await station.wait("EXTENDED_SYS_STATE", lambda s: s.landed_state == 2, within_s=60)
            await station.wait("HEARTBEAT", lambda h: not h.base_mode & 128, within_s=120)
            assert (await station.wait("MISSION_CURRENT")).seq == 8
            children = px4_under(process)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 15) == 0
            assert await gone(children)
    finally:
        station.close()


async def test_px4_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    folder = px4_folder()
    config = configured(tmp_path, free_instance())
    async with program("simulators.px4", "--px4-dir", str(folder), str(config), log=tmp_path / "px4.log") as process:
        children = await px4_started(process)
        process.kill()
        await process.wait()
        assert await gone(children)


async def test_a_px4_that_ends_by_itself_is_reported_with_its_last_words(tmp_path: Path) -> None:
    folder = px4_folder()
    config = configured(tmp_path, free_instance())
    async with program("simulators.px4", "--px4-dir", str(folder), str(config), log=tmp_path / "px4.log") as process:
        (child, *_) = await px4_started(process)
        child.send_signal(signal.SIGKILL)
        assert await asyncio.wait_for(process.wait(), 15) == 1
    assert "PX4 of drone-1 ended with code -9" in (tmp_path / "px4.log").read_text()


async def test_a_folder_without_a_build_is_named(tmp_path: Path) -> None:
    config = configured(tmp_path, 0)
    async with program("simulators.px4", "--px4-dir", os.fspath(tmp_path), str(config), log=tmp_path / "l") as process:
        assert await asyncio.wait_for(process.wait(), 15) == 2
    assert str(tmp_path) in (tmp_path / "l").read_text()

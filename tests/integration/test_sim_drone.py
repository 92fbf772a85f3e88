"""The drone simulator as a process, over UDP, seen by pymavlink and by MAVSDK."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mavsdk.asyncio import Configuration, Mavsdk
from mavsdk.asyncio.plugins.action import ActionAsync
from mavsdk.asyncio.plugins.mission_raw import MissionRawAsync
from mavsdk.asyncio.plugins.param import ParamAsync
from mavsdk.asyncio.plugins.telemetry import TelemetryAsync
from mavsdk.component_type import ComponentType
from mavsdk.plugins.mission_raw import MissionItem
from mavsdk.plugins.telemetry import FlightMode
from pymavlink.dialects.v20 import common as m

from simulators.missions import FENCE, RALLY
from tests.drone_pilot import HOME, Station, at, delivery, placed, program, read_events

SPEED = 10.0
UID = "00000000deadbee1"
ARM, SET_MODE, REQUEST, INTERVAL = 400, 176, 512, 511


def configured(folder: Path, *ports: int, **drone: Any) -> Path:
    """Write a configuration with a drone for each port."""
    drones = [
        {
            "vehicle_id": f"drone-{n}",
            "system_id": n,
            "hardware_uid": UID if n == 1 else f"{n:016x}",
            "home": {"lat": HOME.lat, "lon": HOME.lon, "alt_amsl_m": HOME.alt_amsl_m},
            "send_to": f"127.0.0.1:{port}",
            "payload_kg": 0.8,
            **drone,
        }
        for n, port in enumerate(ports, start=1)
    ]
    anchors = {"anchor_wall": "2026-01-01T00:00:00+00:00", "anchor_domain": "2026-01-01T00:00:00+00:00"}
    path = folder / "config.json"
    path.write_text(json.dumps({"speed": SPEED, "seed": 1, "log_dir": str(folder), "drones": drones, **anchors}))
    return path


@asynccontextmanager
async def simulator(config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    async with program("simulators.drone", str(config), log=config.with_suffix(".log")) as process:
        yield process


@pytest.fixture
async def station() -> AsyncIterator[Station]:
    station = Station()
    yield station
    station.close()


async def ready(station: Station) -> None:
    """Wait until the drone would arm."""
    await station.wait("HEARTBEAT")
    await station.wait("HEARTBEAT", lambda h: h.system_status == m.MAV_STATE_STANDBY)


async def start_mission(station: Station) -> None:
    """Arm and start; a mission just uploaded is refused until it has been found feasible."""
    assert await station.command(ARM, 1) == 0
    async with asyncio.timeout(5):
        while await station.command(SET_MODE, 1, 4, 4) != 0:
            await station.wait("HEARTBEAT")


async def test_says_who_it_is_and_how_it_is_as_px4_does(tmp_path: Path, station: Station) -> None:
    async with simulator(configured(tmp_path, station.port)):
        await ready(station)
        beat = await station.wait("HEARTBEAT")
        assert (beat.type, beat.autopilot, beat.custom_mode) == (2, m.MAV_AUTOPILOT_PX4, 4 << 16 | 3 << 24)
        station.send(m.MAVLink_command_long_message(1, 1, REQUEST, 0, 148, 0, 0, 0, 0, 0, 0))
        version = await station.wait("AUTOPILOT_VERSION")
        assert version.uid == int(UID, 16)
        assert version.capabilities & m.MAV_PROTOCOL_CAPABILITY_PARAM_ENCODE_BYTEWISE
        home = await station.wait("HOME_POSITION")
        assert abs(home.latitude - HOME.lat * 1e7) < 300
        when = await station.wait("SYSTEM_TIME")
        assert when.time_unix_usec > 1_767_225_600_000_000


async def test_time_and_rates_are_the_vehicles_own(tmp_path: Path, station: Station) -> None:
    async with simulator(configured(tmp_path, station.port)):
        await ready(station)
        assert await station.command(INTERVAL, 33, 100_000) == 0
        assert await station.command(INTERVAL, 9999, 100_000) == m.MAV_RESULT_FAILED
        await station.wait("GLOBAL_POSITION_INT")
        first = await station.wait("GLOBAL_POSITION_INT")
        begun, beats = time.monotonic(), 0
        steps = []
        last = first.time_boot_ms
        station.heard.clear()
        while last - first.time_boot_ms < 20_000:
            position = await station.wait("GLOBAL_POSITION_INT")
            steps.append(position.time_boot_ms - last)
            last = position.time_boot_ms
        beats = sum(each.get_type() == "HEARTBEAT" for each in station.heard)
        assert sorted(steps)[len(steps) // 2] == 100
        assert 18 <= beats <= 22, "one heartbeat a second of vehicle time"
        assert 2.0 * 0.8 < time.monotonic() - begun < 2.0 * 3.0, "ten times as fast as the wall"


async def test_flies_a_delivery_and_its_log_says_the_same(tmp_path: Path, station: Station) -> None:
    async with simulator(configured(tmp_path, station.port)):
        await ready(station)
        assert await station.upload(delivery()) == 0
        await start_mission(station)
        await station.wait("EXTENDED_SYS_STATE", lambda s: s.landed_state == m.MAV_LANDED_STATE_IN_AIR)
        await station.wait("HEARTBEAT", lambda h: not h.base_mode & 128, within_s=60)
        current = await station.wait("MISSION_CURRENT")
        assert (current.seq, current.total) == (8, 9)
    events = read_events(tmp_path / "drone-1.jsonl")
    heard = {x.time_boot_ms: (x.lat, x.lon, x.alt) for x in station.heard if x.get_type() == "GLOBAL_POSITION_INT"}
    logged = {e["vehicle_ms"]: (e["lat_e7"], e["lon_e7"], e["alt_mm"]) for e in events if e["event"] == "position"}
    assert len(heard) > 100
    assert heard.items() <= logged.items()
    names = [e["event"] for e in events]
    for name in ("boot", "armed", "takeoff", "released", "landed", "disarmed"):
        assert names.count(name) == 1
    assert not [x for x in station.heard if x.get_type() == "COMMAND_ACK" and x.command == 211]


async def test_a_refusal_in_the_air_is_in_the_second_acknowledgement(tmp_path: Path, station: Station) -> None:
    async with simulator(configured(tmp_path, station.port)):
        await ready(station)
        assert await station.command(22, 0, 0, 0, 0, 0, 0, HOME.alt_amsl_m + 10) == 0
        assert await station.command(ARM, 1) == 0
        await station.wait("HEARTBEAT", lambda h: h.custom_mode >> 24 == 3, within_s=20)
        station.heard.clear()
        assert await station.command(SET_MODE, 1, 4, 4) == m.MAV_RESULT_TEMPORARILY_REJECTED
        acks = [x.result for x in station.heard if x.get_type() == "COMMAND_ACK"]
        assert acks == [0, 1]


@pytest.mark.parametrize(
    ("command", "result"),
    [((193, 0), 3), ((31000,), 3), ((20,), 0), ((22,), 0), ((300, 0, 0), 2), ((512, 9999), 2), ((178, 1, 5), 0)],
)
async def test_acknowledges_on_the_ground_as_px4_does(
    tmp_path: Path, station: Station, command: tuple[float, ...], result: int
) -> None:
    async with simulator(configured(tmp_path, station.port)):
        await ready(station)
        assert await station.command(int(command[0]), *command[1:]) == result


async def test_a_killed_autopilot_keeps_its_mission_and_parameters(tmp_path: Path, station: Station) -> None:
    config = configured(tmp_path, station.port)
    async with simulator(config) as process:
        await ready(station)
        assert await station.upload(delivery()) == 0
        assert await station.upload([placed(5003, at(0, 0, 0), 500)], FENCE) == 0
        assert await station.upload([placed(5100, at(0, 50, 0), frame=0)], RALLY) == 0
        station.send(m.MAVLink_param_set_message(1, 1, b"RTL_RETURN_ALT", 47.0, 9))
        await station.wait("PARAM_VALUE")
        await start_mission(station)
        await station.wait("EXTENDED_SYS_STATE", lambda s: s.landed_state == m.MAV_LANDED_STATE_TAKEOFF)
        process.kill()
        await process.wait()
    station.peer = None
    async with simulator(config):
        await ready(station)
        assert [i.command for i in await station.download()] == [i.command for i in delivery()]
        assert len(await station.download(FENCE)) == len(await station.download(RALLY)) == 1
        assert (await station.parameter("RTL_RETURN_ALT")).param_value == 47.0
        assert (await station.wait("EXTENDED_SYS_STATE")).landed_state == m.MAV_LANDED_STATE_ON_GROUND
        await start_mission(station)
        await station.wait("EXTENDED_SYS_STATE", lambda s: s.landed_state == m.MAV_LANDED_STATE_IN_AIR)
    assert [e["event"] for e in read_events(tmp_path / "drone-1.jsonl")].count("boot") == 2


async def test_a_reboot_by_command_starts_its_clock_again(tmp_path: Path, station: Station) -> None:
    async with simulator(configured(tmp_path, station.port)):
        await ready(station)
        before = (await station.wait("SYSTEM_TIME")).time_boot_ms
        assert await station.command(246, 1) == 0
        after = await station.wait("SYSTEM_TIME", lambda s: s.time_boot_ms < before)
        assert after.time_boot_ms < 4000
        await ready(station)
        assert await station.command(ARM, 1) == 0
        assert await station.command(246, 1) == m.MAV_RESULT_DENIED


async def test_a_damaged_state_file_means_an_empty_autopilot(tmp_path: Path, station: Station) -> None:
    (tmp_path / "drone-1.state.json").write_text('{"params": {"NO_SUCH": 1}}')
    async with simulator(configured(tmp_path, station.port)):
        await ready(station)
        assert await station.download() == []


async def test_damaged_and_foreign_datagrams_do_no_harm(tmp_path: Path, station: Station) -> None:
    chance = random.Random(7)
    async with simulator(configured(tmp_path, station.port)) as process:
        await ready(station)
        whole = m.MAVLink_command_long_message(1, 1, ARM, 0, 1, 0, 0, 0, 0, 0, 0).pack(station.mav)
        for _ in range(300):
            station.send_bytes(bytes(chance.randrange(256) for _ in range(chance.randrange(1, 300))))
            broken = bytearray(whole)
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
            station.send_bytes(bytes(broken))
        station.send(m.MAVLink_command_long_message(77, 1, ARM, 0, 1, 0, 0, 0, 0, 0, 0))
        nan = float("nan")
        for number in (22, 192, 178, 211, 176, 511, 300, 420, 246, 400):
            station.send(m.MAVLink_command_long_message(1, 1, number, 0, *[nan] * 7))
        assert (await station.parameter("MAV_SYS_ID")).param_count > 30
        assert process.returncode is None


async def test_all_parameters_are_listed(tmp_path: Path, station: Station) -> None:
    async with simulator(configured(tmp_path, station.port)):
        await ready(station)
        station.send(m.MAVLink_param_request_list_message(1, 1))
        first = await station.wait("PARAM_VALUE")
        await station.wait("PARAM_VALUE", lambda p: p.param_index == first.param_count - 1)
        names = {x.param_id for x in station.heard if x.get_type() == "PARAM_VALUE"}
        assert len(names) == first.param_count
        assert {"NAV_DLL_ACT", "COM_DL_LOSS_T", "RTL_TYPE", "MPC_XY_CRUISE"} <= names


async def test_one_process_flies_several_drones(tmp_path: Path) -> None:
    stations = [Station() for _ in range(3)]
    try:
        async with simulator(configured(tmp_path, *(s.port for s in stations))) as process:
            for n, station in enumerate(stations, start=1):
                await ready(station)
                assert station.system_id == n
                assert await station.upload(delivery(100 + n)) == 0
                await start_mission(station)
            for station in stations:
                await station.wait("VFR_HUD", lambda v: v.alt > HOME.alt_amsl_m + 5)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 5) == 0
    finally:
        for station in stations:
            station.close()


async def test_a_wrong_configuration_ends_it_with_the_key_named(tmp_path: Path) -> None:
    config = configured(tmp_path, 1, params={"NO_SUCH": 1})
    async with simulator(config) as process:
        assert await asyncio.wait_for(process.wait(), 15) == 2
    assert "NO_SUCH" in config.with_suffix(".log").read_text()


async def test_ends_cleanly_when_told(tmp_path: Path, station: Station) -> None:
    async with simulator(configured(tmp_path, station.port)) as process:
        await station.wait("HEARTBEAT")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == 0


def raw_items() -> list[MissionItem]:
    """The delivery as MAVSDK's items."""
    return [
        MissionItem(seq, i.frame, i.command, int(seq == 0), 1, *i.params, i.x, i.y, i.z, 0)
        for seq, i in enumerate(delivery())
    ]


async def test_mavsdk_works_with_it(tmp_path: Path, station: Station) -> None:
    port = station.port
    station.close()
    setup = Configuration.create_with_component_type(ComponentType.GROUND_STATION)
    async with asyncio.timeout(90), simulator(configured(tmp_path, port)), Mavsdk(setup) as mavsdk:
        await mavsdk.add_any_connection(f"udpin://127.0.0.1:{port}")
        system = await mavsdk.first_autopilot(timeout_s=20)
        assert system is not None
        telemetry, act = TelemetryAsync(system), ActionAsync(system)
        missions, params = MissionRawAsync(system), ParamAsync(system)
        await params.set_param_int("NAV_DLL_ACT", 0)
        assert await params.get_param_int("NAV_DLL_ACT") == 0
        async for healthy in telemetry.subscribe_health_all_ok():
            if healthy:
                break
        await missions.upload_mission(raw_items())
        assert [i.command for i in await missions.download_mission()] == [i.command for i in delivery()]
        await act.arm()
        while str(await telemetry.flight_mode()) != str(FlightMode.MISSION):
            # PX4 acknowledges at once and may then refuse: it has not found the mission feasible yet.
            await missions.start_mission()
            await asyncio.sleep(0.1)
        async for position in telemetry.subscribe_position():
            if position.relative_altitude_m > 20:
                break
        await act.hold()
        await act.return_to_launch()
        async for armed in telemetry.subscribe_armed():
            if not armed:
                break
    modes = [e["mode"] for e in read_events(tmp_path / "drone-1.jsonl") if e["event"] == "mode"]
    assert modes[:3] == ["AUTO.MISSION", "AUTO.LOITER", "AUTO.RTL"]

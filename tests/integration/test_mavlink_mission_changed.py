"""Somebody else loads a mission while ours is on the vehicle: another station at the same router, by pymavlink."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymavlink.dialects.v20 import common as m

from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.mavlink.messages import MissionCurrent
from hardware.mavlink.progress import ProgressTracker
from hardware.mavlink.translate import translate
from telemetry.event import VehicleEvent
from tests.mavlink_drone import UID, drone, ready
from tests.mavlink_kit import HOME, delivery, link_to, loaded, opened, until
from tests.mavlink_streams import bridge

SPEED = 8.0
MISSION, FENCE = 0, 1


class Station:
    """A ground station on a connection of its own, with system id 255."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._mav = m.MAVLink(None, srcSystem=255, srcComponent=190)
        self._mav.robust_parsing = True

    def say(self, message: Any) -> None:
        """Send a message."""
        self._writer.write(message.pack(self._mav))
        self._mav.seq = (self._mav.seq + 1) % 256

    async def hears(self, *kinds: str) -> Any:
        """Return the next message of one of the kinds that is for this station."""
        async with asyncio.timeout(20):
            while True:
                for message in self._mav.parse_buffer(await self._reader.read(4096)) or []:
                    if message.get_type() in kinds and message.target_system == 255:
                        return message

    async def load(self, items: list[Any], kind: int) -> None:
        """Upload items."""
        self.say(m.MAVLink_mission_count_message(1, 1, len(items), kind))
        while (asked := await self.hears("MISSION_REQUEST_INT", "MISSION_ACK")).get_type() != "MISSION_ACK":
            self.say(items[asked.seq])
        assert asked.type == 0


@asynccontextmanager
async def beside(folder: Path, events: list[VehicleEvent]) -> AsyncIterator[tuple[MavlinkLink, Station]]:
    """Run a vehicle that carries a mission of ours, and another station beside us."""
    async with bridge() as router, drone(router.udp_port, folder, speed=SPEED):
        address = MavlinkAddress(f"tcp://127.0.0.1:{router.tcp_port}", hardware_uid=UID)
        async with opened(link_to(address, speed=SPEED, home=HOME, events=events)) as link:
            await ready(link)
            await loaded(link, delivery())
            station = Station(*await asyncio.open_connection("127.0.0.1", router.tcp_port))
            yield link, station
            station._writer.close()


def mission_items() -> list[Any]:
    """A mission with as many items as ours, so that their number does not tell."""
    return [
        m.MAVLink_mission_item_int_message(
            *(1, 1, seq, 0, 22 if seq == 0 else 16, int(seq == 0), 1, 0.0, 0.0, 0.0, float("nan")),
            *(350_001_000 + 100 * seq, 1_350_000_000, 130.0, MISSION),
        )
        for seq in range(12)
    ]


def fence_items() -> list[Any]:
    corners = ((349_000_000, 1_349_000_000), (349_000_000, 1_351_000_000), (351_000_000, 1_350_000_000))
    return [
        m.MAVLink_mission_item_int_message(1, 1, seq, 0, 5001, 0, 1, 3.0, 0.0, 0.0, 0.0, lat, lon, 0.0, FENCE)
        for seq, (lat, lon) in enumerate(corners)
    ]


async def test_another_mission_is_told_until_ours_is_loaded_again(tmp_path: Path) -> None:
    events: list[VehicleEvent] = []
    async with beside(tmp_path, events) as (link, station):
        await station.load(mission_items(), MISSION)
        await until(lambda: "mission_changed" in link.state().conditions)

        assert link.state().progress.mission_id is None
        assert [event.text for event in events if event.kind == "mission"] == [
            "the mission on the vehicle was changed by someone else"
        ]
        assert not await link.recognise()
        assert "mission_changed" in link.state().conditions

        await loaded(link, delivery())
        await until(lambda: "mission_changed" not in link.state().conditions)
        assert link.state().progress.mission_id == "m-1"


async def test_a_mission_that_is_cleared_is_told(tmp_path: Path) -> None:
    async with beside(tmp_path, []) as (link, station):
        station.say(m.MAVLink_mission_clear_all_message(1, 1, MISSION))
        await until(lambda: "mission_changed" in link.state().conditions)

        assert link.state().progress.mission_id is None


async def test_another_fence_is_told_and_the_mission_stays_ours(tmp_path: Path) -> None:
    async with beside(tmp_path, []) as (link, station):
        await station.load(fence_items(), FENCE)
        await until(lambda: "mission_changed" in link.state().conditions)

        assert "fence" in " ".join(link.state().faults)
        assert link.state().progress.mission_id == "m-1"


async def test_a_station_that_only_reads_the_mission_changes_nothing(tmp_path: Path) -> None:
    async with beside(tmp_path, []) as (link, station):
        station.say(m.MAVLink_mission_request_list_message(1, 1, MISSION))
        count = await station.hears("MISSION_COUNT")
        station.say(m.MAVLink_mission_ack_message(1, 1, 0, MISSION))
        heard = link.state().t
        await until(lambda: link.state().t != heard)

        assert count.count > 0
        assert "mission_changed" not in link.state().conditions


@pytest.mark.parametrize("seen", [1, 2])
def test_a_vehicle_that_has_just_booted_may_not_know_its_mission_yet(seen: int) -> None:
    tracker = ProgressTracker()
    plan = translate(delivery())
    tracker.carry(plan, fresh=True)
    told, nothing = MissionCurrent(1, len(plan.items), 7), MissionCurrent(0, None, None)

    assert tracker.on_current(told)
    assert all(tracker.on_current(nothing) for _ in range(seen))
    assert tracker.on_current(told)
    assert [tracker.on_current(nothing) for _ in range(3)] == [True, True, False]

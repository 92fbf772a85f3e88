"""A gateway that a test plays: what it publishes of two vehicles and of itself, as the real one does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from fleet import live, users
from fleet.alarm_keeper import AlarmKeeper
from fleet.alarms import AlarmBook
from fleet.changes import listen
from hardware.link import Activity, VehicleState
from routing.geo import Position
from telemetry.monitors.finding import Finding
from tests.api_kit import Api
from tests.browser.console_page import ConsolePage, open_browser

DRONE, ROBOT = "drone-1", "robot-1"
FLYING = VehicleState(connected=True, activity=Activity.MISSION, armed=True, on_ground=False, battery_pct=61.0)


@dataclass(slots=True)
class Gateway:
    """Publishes two vehicles and itself as a gateway does.

    ``findings`` are what its monitors see, ``changes`` what is not as in ``FLYING`` of a vehicle's state, ``missions``
    what each is on. A vehicle in ``mute`` says nothing any more.
    """

    api: Api
    keeper: AlarmKeeper
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    of_process: list[Finding] = field(default_factory=list)
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    missions: dict[str, dict[str, Any]] = field(default_factory=dict)
    mute: Collection[str] = ()
    stores: bool = True
    _heard: dict[str, datetime] = field(default_factory=dict)

    async def run(self) -> None:
        """Look and publish five times a second."""
        while True:
            now, speed = self.api.context.clock.now(), self.api.context.clock.speed
            views = [self._view(number, vehicle_id) for number, vehicle_id in enumerate((DRONE, ROBOT))]
            own = self.keeper.book.take("process", "gateway-1", self.of_process, at=now, speed=speed)
            process = {"name": "gateway-1", "alarms": [asdict(alarm) for alarm in own]}
            self.api.context.live.take(live.encode_snapshot("gateway-1", now, views, process))
            if self.stores:
                await self.keeper.once()
            await asyncio.sleep(live.INTERVAL_S)

    def _view(self, number: int, vehicle_id: str) -> dict[str, Any]:
        now, speed = self.api.context.clock.now(), self.api.context.clock.speed
        site = self.api.world.region.sites[0].position
        place = Position(site.lat + 0.003 * (number + 1), site.lon, site.alt_amsl_m + 60)
        if vehicle_id not in self.mute:
            self._heard[vehicle_id] = now
        seen: dict[str, Any] = {"t": self._heard[vehicle_id], "position": place}
        state = replace(FLYING, **(seen | self.changes.get(vehicle_id, {})))
        found = self.findings.get(vehicle_id, [])
        alarms = self.keeper.book.take("vehicle", vehicle_id, found, at=now, speed=speed)
        mission = self.missions.get(vehicle_id)
        return live.vehicle_snapshot(vehicle_id, state, mission, gateway="gateway-1", alarms=alarms)


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def sign_in_link(api: Api, user_id: str) -> AsyncIterator[str]:
    """Serve the API inside, which tells of changes in the database; yield the address of a one-time sign-in."""
    async with api.world.database.transaction() as conn:
        token = await users.new_link(conn, user_id)
    told = listen(api.world.database.dsn, api.app.state.hub.changed)
    async with _meanwhile(told), api.served() as address:
        yield f"http://{address}/#sign-in={token}"


@asynccontextmanager
async def played(
    api: Api,
    *,
    user: str = "kato",
    language: str = "ja-JP",
    width: int = 1280,
    height: int = 800,
    drawn: bool = False,
    timed: bool = False,
) -> AsyncIterator[tuple[ConsolePage, Gateway]]:
    """A pilot's console with a drone and a robot under way.

    ``drawn``: with its map, which takes its time. ``timed``: the page's clock can be put forward.
    """
    await api.world.drone(DRONE)
    await api.world.robot(ROBOT)
    await api.world.user(user, "pilot")
    gateway = Gateway(api, AlarmKeeper(AlarmBook(), api.world.database, actor="gateway-1"))
    async with (
        _meanwhile(gateway.run()),
        sign_in_link(api, user) as link,
        open_browser() as browser,
    ):
        console = await ConsolePage.open(browser, language=language, width=width, height=height, drawn=drawn)
        if timed:
            await console.page.clock.install()
        await console.sign_in_by_link(link)
        yield console, gateway
        assert console.faults == []
        await console.close()

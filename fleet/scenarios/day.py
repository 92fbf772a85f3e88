"""A scripted day: what is there before it begins, who works in it, and when it is over."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from fleet import drop_point, missions, orders, regions, users, vehicles, workload
from fleet.db.database import Connection, Database
from fleet.embedded_broker import add_robot_user
from fleet.errors import FleetError, StartFailed
from fleet.runtime import Runtime
from fleet.scenarios.cast import Dispatcher, GroundCrew, Pilot, Recipient
from fleet.scenarios.orders import morning_csv
from fleet.simulation import SimulatedBroker, Simulation, describe_drones, describe_robots
from fleet.weather import Report
from routing.problem import Category
from routing.region.model import Region, Site, SiteKind
from telemetry.clock import Clock

OPEN_FOR = timedelta(hours=2)
CALM_DAY = Report(wind_from_deg=270.0, wind_mps=0.0, gust_mps=0.0)
ASKED_EVERY = 3
DRONE_TYPE, ROBOT_TYPE = "multirotor_1kg", "sidewalk_robot"
STAFF = {
    "dispatcher": ("配車係 / Dispatcher", "dispatcher"),
    "crew": ("地上係 / Ground crew", "ground_crew"),
    "pilot": ("操縦者 / Pilot", "pilot"),
    "demo": ("見学の操縦者 / Visiting pilot", "pilot"),
    "admin": ("管理者 / Administrator", "administrator"),
    "viewer": ("見学者 / Viewer", "viewer"),
}


@dataclass(frozen=True, slots=True)
class DayPlan:
    """What a day is made of."""

    drones: int = 1
    robots: int = 1
    orders: int = 2
    seed: int = 1
    px4_dir: Path | None = None
    weather: Report = CALM_DAY


@dataclass(slots=True)
class Day:
    """A day under way. ``tokens`` are sessions of the scripted staff."""

    plan: DayPlan
    region: Region
    runtime: Runtime
    clock: Clock
    simulation: Simulation
    tokens: dict[str, str] = field(default_factory=dict)

    async def is_over(self, conn: Connection) -> bool:
        """Whether every order is closed, every mission ended and no parcel left in a vehicle."""
        region_id = self.region.region_id
        rows = await orders.listing(conn, region_id=region_id)
        if len(rows) < self.plan.orders or any(row["state"] not in orders.CLOSED for row in rows):
            return False
        running = await missions.listing(conn, region_id=region_id)
        if any(row["state"] not in missions.ENDED for row in running):
            return False
        return not await missions.awaiting_unload(conn, region_id=region_id)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Have the scripted staff at work inside."""
        url = self.runtime.api_url
        dispatcher = Dispatcher(url, self.tokens["dispatcher"], self.clock, self.plan.weather)
        staff = (
            dispatcher,
            GroundCrew(url, self.tokens["crew"], self.clock),
            Pilot(url, self.tokens["pilot"], self.clock, visitor="demo"),
            Recipient(url, self.clock, dispatcher.links),
        )
        tasks = [asyncio.create_task(worker.work()) for worker in staff]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=5.0)


@asynccontextmanager
async def begin(
    plan: DayPlan,
    region: Region,
    runtime: Runtime,
) -> AsyncIterator[Day]:
    """Set a day up on a running service and yield it: region, staff, vehicles, simulators, orders.

    The service must have its own broker. The simulators end with the context, and outlive the service if it
    is killed inside.
    """
    clock = runtime.clock
    hubs = _hubs(region)
    pads = _places(hubs, plan.drones)
    drones = describe_drones(region, pads, type_id=DRONE_TYPE, px4=plan.px4_dir is not None)
    bases = [hubs[i % len(hubs)].site_id for i in range(plan.robots)]
    robots = describe_robots(region, bases, type_id=ROBOT_TYPE)
    passwords = {robot["serial"]: secrets.token_urlsafe(18) for robot in robots}
    for serial, password in passwords.items():
        await add_robot_user(
            runtime.home,
            serial,
            password,
            address=(runtime.broker_host, runtime.broker_port),
            pid=lambda: runtime.pids.get("broker"),
        )
    simulation = Simulation(
        runtime.home / "simulation",
        region=region,
        clock=clock,
        seed=plan.seed,
        drones=drones,
        robots=robots,
        broker=SimulatedBroker(runtime.broker_host, runtime.broker_port, passwords),
        px4_dir=plan.px4_dir,
        weather=None if plan.px4_dir else plan.weather,
    )
    async with simulation:
        day = Day(plan, region, runtime, clock, simulation)
        async with Database.open(runtime.dsn, max_size=2) as database, database.transaction() as conn:
            await _furnish(conn, day, _registrations(day, pads, bases))
        day.tokens = await _sign_in(day)
        await _import_orders(day, [hub.site_id for hub in hubs])
        yield day


async def sign_in_link(runtime: Runtime, user_id: str) -> str:
    """Return the address of a one-time sign-in for a user of the day."""
    async with Database.open(runtime.dsn, max_size=1) as database, database.transaction() as conn:
        token = await users.new_link(conn, user_id)
    return f"{runtime.api_url}/#sign-in={token}"


async def wait_until_over(day: Day, *, timeout_s: float, on_round: Callable[[Connection], Awaitable[None]]) -> None:
    """Wait for the end of the day, for at most ``timeout_s`` of wall time.

    Raises ``FleetError`` when a simulator ends by itself or the time is over.
    """
    async with Database.open(day.runtime.dsn, max_size=1) as database, asyncio.timeout(timeout_s) as limit:
        try:
            while True:
                failure = day.simulation.failure()
                if failure is not None:
                    raise StartFailed(failure)
                async with database.transaction() as conn:
                    await on_round(conn)
                    if await day.is_over(conn):
                        return
                await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            if limit.expired():
                raise FleetError(f"the day was not over after {timeout_s:.0f} s") from None
            raise


def _hubs(region: Region) -> list[Site]:
    """Return the hubs that the day works from: two at most, so that there is traffic at each."""
    hubs = [site for site in region.sites if site.kind is SiteKind.HUB and site.pads and site.node]
    if not hubs:
        raise FleetError(f"region {region.region_id!r} has no hub with a pad and a way: no day can begin there")
    return hubs[:2]


def _places(hubs: list[Site], drones: int) -> list[tuple[str, int]]:
    """Return a pad of its own for each drone, by turns of the hubs."""
    by_turns = sorted((pad, i, hub.site_id) for i, hub in enumerate(hubs) for pad in range(len(hub.pads)))
    if len(by_turns) < drones:
        raise FleetError(f"{drones} drones need a pad each; the hubs have {len(by_turns)}")
    return [(site_id, pad) for pad, _, site_id in by_turns[:drones]]


async def _furnish(conn: Connection, day: Day, fleet: list[vehicles.NewVehicle]) -> None:
    now = day.clock.now()
    await regions.store(conn, day.region, at=now)
    for user_id, (name, role) in STAFF.items():
        await users.put(conn, user_id=user_id, display_name=name, role=role, at=now, actor="admin")
    await workload.set_limit(
        conn,
        region_id=day.region.region_id,
        category=Category.LEVEL_4,
        most=min(max(1, len(fleet)), workload.MOST),
        source="the made-up permit of a scripted day",
        at=now,
        actor="admin",
    )
    for i, site in enumerate(site for site in day.region.sites if site.kind is SiteKind.DROP_POINT):
        # Every third recipient is asked, so that both ways are gone.
        asked = i % ASKED_EVERY == ASKED_EVERY - 1
        await drop_point.put(
            conn,
            region_id=day.region.region_id,
            site_id=site.site_id,
            kind="recipient" if asked else "fenced",
            unlock=asked,
            note="made up for a scripted day",
            at=now,
            actor="admin",
        )
    for new in fleet:
        await vehicles.register(conn, new, region_id=day.region.region_id, at=now, actor="admin")


def _registrations(day: Day, pads: list[tuple[str, int]], bases: list[str]) -> list[vehicles.NewVehicle]:
    fleet = [
        vehicles.NewVehicle(
            vehicle_id=drone["vehicle_id"],
            type_id=drone["type_id"],
            home_site=site_id,
            pad=pad,
            link={"protocol": "mavlink", "bind": drone["send_to"], "system_id": drone["system_id"]},
            simulated=True,
            # PX4 SITL makes up its uid.
            hardware_uid=None if day.plan.px4_dir else drone["hardware_uid"],
        )
        for drone, (site_id, pad) in zip(day.simulation.drones, pads, strict=True)
    ]
    fleet += [
        vehicles.NewVehicle(
            vehicle_id=robot["vehicle_id"],
            type_id=robot["type_id"],
            home_site=base,
            link={"protocol": "vda5050", "manufacturer": robot["manufacturer"], "serial": robot["serial"]},
            simulated=True,
        )
        for robot, base in zip(day.simulation.robots, bases, strict=True)
    ]
    return fleet


async def _sign_in(day: Day) -> dict[str, str]:
    tokens = {}
    async with (
        httpx.AsyncClient(base_url=day.runtime.api_url, timeout=10.0, trust_env=False) as http,
        Database.open(day.runtime.dsn, max_size=1) as database,
    ):
        for user_id in STAFF:
            async with database.transaction() as conn:
                link = await users.new_link(conn, user_id)
            answer = await http.post("/api/sign-in/link", json={"token": link})
            answer.raise_for_status()
            tokens[user_id] = answer.json()["token"]
    return tokens


async def _import_orders(day: Day, hubs: list[str]) -> None:
    text = morning_csv(
        day.region,
        hubs=hubs,
        count=day.plan.orders,
        seed=day.plan.seed,
        start=day.clock.now(),
        open_for=OPEN_FOR,
    )
    (day.simulation.folder / "orders.csv").write_text(text, encoding="utf-8")
    headers: dict[str, Any] = {
        "Authorization": f"Bearer {day.tokens['dispatcher']}",
        "Content-Type": "text/csv; charset=utf-8",
    }
    async with httpx.AsyncClient(base_url=day.runtime.api_url, timeout=30.0, trust_env=False) as http:
        answer = await http.post("/api/orders/import", content=text.encode(), headers=headers)
    if answer.is_error:
        raise FleetError(f"the day's orders were refused: {answer.text[:2000]}")

"""A small service for tests of the fleet's core: the sample village in a real database, and short ways to a state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from fleet import (
    custody,
    deliveries,
    drop_point,
    emergency_airspace,
    ground_checks,
    missions,
    orders,
    planning,
    regions,
    users,
    vehicles,
    weather,
)
from fleet.db.database import Connection, Database
from fleet.orders import NewOrder
from fleet.users import User
from fleet.vehicles import NewVehicle
from routing.formats.json import plan_to_json
from routing.problem import Category
from routing.region.model import Region, SiteKind
from routing.solve import solve
from routing.validate import validate
from telemetry import store
from telemetry.batch import Batch
from telemetry.row import to_row
from telemetry.sample import Sample
from tests.problems import START, village

CALM = weather.Report(wind_from_deg=270.0, wind_mps=1.0, gust_mps=2.0)
DRONE_LINK = {"protocol": "mavlink", "bind": "127.0.0.1:14600"}
ROBOT_LINK = {"protocol": "vda5050", "manufacturer": "test", "serial": "robot-1"}

# The region is the same for all tests and takes long to store.
_KEPT = ("region", "schema_migration")
_TABLES = """SELECT c.relname AS name FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relname <> ALL (%(kept)s)
    ORDER BY 1"""
_FENCED = """INSERT INTO drop_point (region_id, site_id, class, unlock, set_at, set_by)
    SELECT %(region_id)s, site_id, 'fenced', false, %(at)s, 'admin' FROM unnest(%(sites)s::text[]) AS site_id"""


@dataclass(slots=True)
class World:
    """The village's database, and the moment at which things happen in it."""

    database: Database
    region: Region = field(default_factory=lambda: village(1))
    at: datetime = START

    async def empty(self) -> None:
        """Forget everything but the region, in which nobody can walk onto a drop point."""
        tables = [row["name"] for row in await self.rows(_TABLES, kept=list(_KEPT))]
        filled = await self.one("SELECT " + ", ".join(f"EXISTS (SELECT 1 FROM {name}) AS {name}" for name in tables))
        async with self.database.transaction() as conn:
            if names := ", ".join(name for name in tables if filled[name]):
                await conn.execute(f"TRUNCATE {names} CASCADE".encode())
            if not await regions.listing(conn):
                await regions.store(conn, self.region, at=self.at)
            await conn.execute(
                _FENCED, {"region_id": self.region.region_id, "at": self.at, "sites": self._drop_sites()}
            )

    def _drop_sites(self) -> list[str]:
        return [site.site_id for site in self.region.sites if site.kind is SiteKind.DROP_POINT]

    def later(self, seconds: float) -> datetime:
        """Let time pass; return the moment."""
        self.at += timedelta(seconds=seconds)
        return self.at

    async def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """Return what a query finds."""
        async with self.database.transaction() as conn:
            return await (await conn.execute(statement.encode(), values)).fetchall()

    async def one(self, statement: str, **values: Any) -> dict[str, Any]:
        """Return the one row that a query finds."""
        (row,) = await self.rows(statement, **values)
        return row

    async def write(self, statement: str, **values: Any) -> None:
        """Change what the service itself would not."""
        async with self.database.transaction() as conn:
            await conn.execute(statement.encode(), values)

    async def somebody_listens(self) -> bool:
        """Return whether a connection listens for changes."""
        return bool(
            await self.rows(
                "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND datname = current_database()"
            )
        )

    async def somebody_waits(self) -> bool:
        """Return whether a connection waits for a lock."""
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return bool(await self.rows(waiting))

    async def digest(self) -> str:
        """Return a digest of everything that the core has written, to see whether something has changed."""
        written = (
            "delivery_order", "order_event", "custody", "mission", "mission_event", "mission_order", "command",
            "planning_run", "vehicle", "lease", "audit", "app_user", "sign_in_link",
            "vehicle_control", "pilot_duty",
        )  # fmt: skip
        parts = " UNION ALL ".join(f"SELECT '{table} ' || t::text AS text FROM {table} AS t" for table in written)
        row = await self.one(f"SELECT md5(string_agg(text, '|' ORDER BY text)) AS digest FROM ({parts}) AS everything")
        return str(row["digest"])

    @asynccontextmanager
    async def refused(self, kind: type[Exception], match: str = "") -> AsyncIterator[None]:
        """Assert that what is done inside is refused with ``kind``, and that nothing is written."""
        before = await self.digest()
        with pytest.raises(kind, match=match):
            yield
        assert await self.digest() == before

    async def drone(self, vehicle_id: str = "drone-1", *, port: int = 14600, pad: int = 0) -> str:
        """Register a drone on a pad of the hub."""
        return await self._register(vehicle_id, "multirotor_1kg", {**DRONE_LINK, "bind": f"127.0.0.1:{port}"}, pad)

    async def robot(self, vehicle_id: str = "robot-1") -> str:
        """Register a robot at the hub."""
        return await self._register(vehicle_id, "sidewalk_robot", {**ROBOT_LINK, "serial": vehicle_id})

    async def _register(self, vehicle_id: str, type_id: str, link: dict[str, Any], pad: int = 0) -> str:
        # Of the category in which one pilot may have several in the air.
        category = Category.LEVEL_3_5
        new = NewVehicle(vehicle_id, type_id, "hub-1", link, simulated=True, pad=pad, category=category)
        async with self.database.transaction() as conn:
            await vehicles.register(conn, new, region_id=self.region.region_id, at=self.at, actor="admin")
        return vehicle_id

    async def order(self, ref: str = "A1", dropoff: str = "drop-5", **changes: Any) -> str:
        """Take an order in; return its id."""
        async with self.database.transaction() as conn:
            row, _ = await self.receive(conn, new_order(ref, dropoff, at=self.at, **changes))
        return str(row["order_id"])

    async def receive(self, conn: Connection, order: NewOrder) -> tuple[dict[str, Any], bool]:
        """Take an order in, in the caller's transaction."""
        return await orders.receive(conn, order, region_id=self.region.region_id, at=self.at, actor="shop")

    async def request(self) -> str:
        """Ask for a plan; return the run's id."""
        async with self.database.transaction() as conn:
            row = await planning.request(conn, region_id=self.region.region_id, at=self.at, actor="dispatcher")
        return str(row["run_id"])

    async def propose(self) -> str:
        """Have a plan made of all that waits, by the real solver; return the run's id."""
        run_id = await self.request()
        async with self.database.transaction() as conn:
            run = await planning.claim(conn, holder="planner/1")
            assert run is not None
            problem, _ = await planning.build_problem(conn, run, at=self.at)
            await planning.record_problem(conn, run_id, problem)
            plan = solve(problem, seconds=0.0, seed=1)
            violations = [asdict(violation) for violation in validate(problem, plan)]
            await planning.finish(
                conn, run_id, holder="planner/1", at=self.at, plan=plan_to_json(plan), violations=violations, error=None
            )
        return run_id

    async def approve(self, run_id: str) -> list[str]:
        """Approve a plan; return its missions."""
        async with self.database.transaction() as conn:
            return await planning.approve(conn, run_id, at=self.at, actor="dispatcher")

    async def missions(self) -> list[str]:
        """Plan all that waits and approve it; return the missions, soonest first."""
        return await self.approve(await self.propose())

    async def store(self, samples: Sequence[Sample]) -> None:
        """Store samples as one batch, which is a transaction of its own."""
        async with await AsyncConnection.connect(self.database.dsn) as conn:
            await store.write_batch(conn, Batch([to_row(sample) for sample in samples]), writer="test")

    async def load(self, mission_id: str, *, checked: bool = True) -> None:
        """Load a mission's parcels, with all of the ground crew's checks in order."""
        async with self.database.transaction() as conn:
            vehicle = await vehicles.get(conn, (await missions.get(conn, mission_id))["vehicle_id"])
            checks = {check.name: True for check in ground_checks.of_kind(vehicle["kind"])} if checked else {}
            await missions.load(conn, mission_id, at=self.at, actor="crew", checks=checks)

    async def check(self, mission_id: str, name: str, *, ok: bool = True, note: str | None = None) -> None:
        """Say how one of the ground crew's checks stands."""
        async with self.database.transaction() as conn:
            await self._check(conn, mission_id, name, ok=ok, note=note)

    async def _check(
        self, conn: Connection, mission_id: str, name: str, *, ok: bool = True, note: str | None = None
    ) -> None:
        mission = await missions.get(conn, mission_id)
        await ground_checks.say(conn, mission, name, ok=ok, at=self.at, actor="crew", note=note)

    async def _look_again(self, conn: Connection, mission_id: str) -> None:
        """Repeat the checks that have become old."""
        mission = await missions.get(conn, mission_id)
        for found in await ground_checks.standing(conn, mission, at=self.at):
            if found.state == ground_checks.OLD:
                await self._check(conn, mission_id, found.check.name)

    async def drop_points(self, kind: str = "fenced", *, unlock: bool = False, only: Sequence[str] = ()) -> None:
        """Enter what the drop points of the village are like, or ``only`` some of them."""
        sites = only or self._drop_sites()
        async with self.database.transaction() as conn:
            for site_id in sites:
                await drop_point.put(
                    conn,
                    region_id=self.region.region_id,
                    site_id=site_id,
                    kind=kind,
                    unlock=unlock,
                    at=self.at,
                    actor="admin",
                )

    async def look_around(self, report: weather.Report = CALM) -> None:
        """Report the weather, and that somebody has looked for emergency airspace."""
        async with self.database.transaction() as conn:
            await self._look_around(conn, report)

    async def _look_around(self, conn: Connection, report: weather.Report) -> None:
        values: dict[str, Any] = {"region_id": self.region.region_id, "at": self.at}
        await weather.record(conn, report, observed_at=self.at, actor="station", **values)
        await emergency_airspace.record_check(conn, source="test", actor="dispatcher", **values)

    async def accept(self, mission_id: str) -> None:
        """Accept a mission's launch, on a calm day without emergency airspace."""
        async with self.database.transaction() as conn:
            await self._look_around(conn, CALM)
            await self._look_again(conn, mission_id)
            await missions.accept(conn, mission_id, at=self.at, actor="pilot")

    async def move(self, mission_id: str, *states: str, reason: str | None = None) -> None:
        """Take a mission through states as a gateway does; out of ``starting`` its orders go along."""
        async with self.database.transaction() as conn:
            for state in states:
                if state == "underway":
                    await missions.begin(conn, mission_id, at=self.at, cause="test")
                else:
                    await missions.move(conn, mission_id, state, at=self.at, cause="test", reason=reason)

    async def fly(self, mission_id: str) -> None:
        """Take a planned mission to where it is under way."""
        await self.load(mission_id)
        await self.accept(mission_id)
        await self.move(mission_id, "starting", "underway")

    async def deliver(self, mission_id: str, step: int) -> list[str]:
        """Record a release; return the orders delivered."""
        mission = await self.mission(mission_id)
        async with self.database.transaction() as conn:
            return await deliveries.deliver(
                conn,
                mission_id,
                vehicle_id=mission["vehicle_id"],
                step=step,
                to_site="drop",
                at=self.at,
                told=deliveries.Told("sensor", "test"),
                position=None,
            )

    async def unload(self, mission_id: str, *, missing: Sequence[str] = ()) -> list[str]:
        """Unload what came back."""
        async with self.database.transaction() as conn:
            return await missions.unload(conn, mission_id, at=self.at, actor="crew", missing=missing)

    async def mission(self, mission_id: str) -> dict[str, Any]:
        """Return a mission."""
        async with self.database.transaction() as conn:
            return await missions.get(conn, mission_id)

    async def carried(self, mission_id: str) -> list[dict[str, Any]]:
        """Return what a mission carries."""
        async with self.database.transaction() as conn:
            return await missions.carried(conn, mission_id)

    async def order_state(self, order_id: str) -> str:
        """Return the state of an order."""
        async with self.database.transaction() as conn:
            return str((await orders.get(conn, order_id))["state"])

    async def holders(self, order_id: str) -> list[str]:
        """Return the chain of custody of an order, as "kind:id"."""
        async with self.database.transaction() as conn:
            return [f"{row['holder_kind']}:{row['holder_id']}" for row in await custody.chain(conn, order_id)]

    async def causes(self, mission_id: str) -> list[tuple[str, str]]:
        """Return the transitions of a mission: the state reached, and why."""
        async with self.database.transaction() as conn:
            return [(row["to_state"], row["cause"]) for row in await missions.events(conn, mission_id)]

    async def user(self, user_id: str, role: str) -> User:
        """Make a user."""
        async with self.database.transaction() as conn:
            name = user_id.title()
            await users.put(conn, user_id=user_id, display_name=name, role=role, at=self.at, actor="test")
        return User(user_id, user_id.title(), role)

    async def session(self, user_id: str, role: str) -> users.Session:
        """Make a user and sign in."""
        await self.user(user_id, role)
        async with self.database.transaction() as conn:
            return await users.sign_in_by_link(conn, await users.new_link(conn, user_id))


async def until(condition: Callable[[], Awaitable[object]], *, within_s: float = 10.0) -> None:
    """Wait until ``condition`` holds. Raises ``TimeoutError``."""
    async with asyncio.timeout(within_s):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


def new_order(ref: str = "A1", dropoff: str = "drop-5", *, at: datetime = START, **changes: Any) -> NewOrder:
    """Return an order that a drone can serve within two hours, unless told otherwise."""
    values = {
        "external_ref": ref,
        "pickup_site": "hub-1",
        "dropoff_site": dropoff,
        "recipient": "Sato",
        "goods": "bread",
        "mass_kg": 0.3,
        "volume_l": 1.0,
        "earliest": at,
        "latest": at + timedelta(hours=2),
        "priority": 0,
    }
    return NewOrder(**(values | changes))

"""The supervisor: starts the parts of the service in order, keeps them running, stops them in order."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from fleet import metrics_share, regions
from fleet.config import Broker, Settings
from fleet.db.database import Database
from fleet.db.migrate import migrate
from fleet.embedded import EmbeddedBroker, EmbeddedPostgres
from fleet.embedded_broker import ACCEPTED, sign_in
from fleet.errors import ConfigError, NotFound, StartFailed
from fleet.keeper import Keeper, Part, RolePart, ServerPart
from fleet.logs import Console, LogFile
from fleet.places import MAY_SHARE_PORT, free_port, hold, make_home, port_is_free
from fleet.runtime import Runtime, with_pids
from fleet.service_clock import settle_clock
from telemetry.clock import Clock

SUPERVISOR = "service"
# A database or broker of somebody else may start at the same time as we do.
PEER_S = 60.0


def default_roles(settings: Settings) -> dict[str, list[str]]:
    """Return the processes of the service by name, in the order in which they are stopped last to first."""
    names = [f"gateway-{number}" for number in range(1, settings.gateways + 1)] + ["planner"]
    # One keeps its simple name; several share its address.
    names += ["api"] if settings.apis == 1 else [f"api-{number}" for number in range(1, settings.apis + 1)]
    return {
        # -P: a folder 'fleet' where the command is given must not hide ours.
        name: [sys.executable, "-P", "-m", "fleet.role", name.split("-")[0], name, str(settings.home)]
        for name in names
    }


class Supervisor:
    """The whole service as an asynchronous context: started and healthy inside, stopped after.

    Entering raises ``ConfigError`` or ``StartFailed`` and leaves nothing behind. ``roles`` replaces the
    service's own processes by others (name to command), which must keep to ``runtime.ready`` and its heartbeat;
    those first in it are stopped last. A part that ends is started again, after 0.2 s, then up to 10 s.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        roles: Mapping[str, Sequence[str]] | None = None,
        console: Console | None = None,
        for_tests: bool = False,
    ) -> None:
        self.settings = settings
        self.broker: EmbeddedBroker | None = None
        self._roles = default_roles(settings) if roles is None else roles
        self._console = console or Console(level=settings.log_level)
        self._for_tests = for_tests
        self._home = settings.home
        self._log: LogFile | None = None
        self._keepers: dict[str, Keeper] = {}
        self._runtime: Runtime | None = None
        self._stack = AsyncExitStack()

    @property
    def runtime(self) -> Runtime:
        """Where everything is, with the process ids of this moment."""
        if self._runtime is None:
            raise NotFound("the service is not running")
        return self._runtime

    @property
    def names(self) -> list[str]:
        """The names of the child processes."""
        return list(self._keepers)

    def pid_of(self, name: str) -> int:
        """Return a child's process id. Raises ``NotFound`` for an unknown one, and between end and restart."""
        if name not in self._keepers:
            raise NotFound(f"{name!r}: no such process; there are {', '.join(self._keepers)}")
        return self._keepers[name].pid

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._report("info", "stopping")
        await self._stack.aclose()

    async def _start(self) -> None:
        self._home = make_home(self.settings.home)
        lock = hold(self._home / "run" / "supervisor.lock", f"the service of {self._home}")
        self._stack.callback(lock.close)
        self._log = LogFile(self._home / "logs" / f"{SUPERVISOR}.log")
        self._stack.callback(self._log.close)
        self._stack.callback(lambda: self._report("info", "stopped"))
        port = self._settle_port()
        self._report("info", "starting", home=str(self._home))
        dsn = await self._start_database()
        applied = await migrate(dsn)
        if applied:
            self._report("info", "database brought up to date", migrations=len(applied))
        clock = await self._settle_clock(dsn)
        await self._store_regions(dsn, clock)
        broker = await self._start_broker()
        self._runtime = self._describe(dsn, broker, port, clock)
        self._save()
        metrics_share.clear(self._home)
        await self._start_roles()
        self._report("info", "ready", api=self._runtime.api_url, speed=clock.speed)

    def _settle_port(self) -> int:
        host, port = self.settings.api_host, self.settings.api_port
        if self.settings.apis > 1 and not MAY_SHARE_PORT:
            raise ConfigError("apis: this system does not let processes share a port (SO_REUSEPORT); use 1")
        try:
            if port == 0:
                return free_port(host)
            free = port_is_free(host, port)
        except OSError as error:
            raise ConfigError(f"api_host: {host!r} is no address of this machine ({error})") from error
        if not free:
            raise StartFailed(
                f"port {port} on {host} is taken or not allowed: choose another with --port or TODOKE_API_PORT "
                "(0: any free one)"
            )
        return port

    async def _start_database(self) -> str:
        if self.settings.database_url:
            await _reach_database(self.settings.database_url)
            return self.settings.database_url
        server = EmbeddedPostgres(self._home, for_tests=self._for_tests, on_line=self._sink("database"))
        await self._stack.enter_async_context(server)
        await self._keep("database", ServerPart(server))
        return server.dsn

    async def _settle_clock(self, dsn: str) -> Clock:
        speed = self.settings.speed if self.settings.speed_is_given else None
        async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=10, autocommit=True) as connection:
            clock = await settle_clock(connection, speed)
        if clock.simulated and self.settings.allow_real:
            raise ConfigError(f"allow_real: this database runs {clock.speed:g} times as fast; use a new TODOKE_HOME")
        return clock

    async def _store_regions(self, dsn: str, clock: Clock) -> None:
        async with Database.open(dsn, max_size=1) as database, database.transaction() as conn:
            for problem in await regions.store_kept(conn, self._home, at=clock.now()):
                self._report("warning", "a region is left out", why=problem)

    async def _start_broker(self) -> Broker:
        if self.settings.broker_url:
            broker = Broker.parse(self.settings.broker_url)
            await _reach_broker(broker, self.settings.broker_ca)
            return broker
        self.broker = EmbeddedBroker(self._home, on_line=self._sink("broker"))
        await self._stack.enter_async_context(self.broker)
        await self._keep("broker", ServerPart(self.broker))
        own = self.broker
        return Broker(host=own.host, port=own.port, username=own.username, password=own.password, tls=False)

    def _describe(self, dsn: str, broker: Broker, port: int, clock: Clock) -> Runtime:
        return Runtime(
            home=self._home,
            name=SUPERVISOR,
            dsn=dsn,
            broker_host=broker.host,
            broker_port=broker.port,
            broker_username=broker.username,
            broker_password=broker.password,
            broker_tls=broker.tls,
            broker_ca=self.settings.broker_ca,
            api_host=self.settings.api_host,
            api_port=port,
            clock=clock,
            allow_real=self.settings.allow_real,
            language=self.settings.language,
            log_level=self.settings.log_level,
            supervisor_pid=os.getpid(),
            apis=self.settings.apis,
            metrics_token=self.settings.metrics_token,
            adsb_url=self.settings.adsb_url,
            retention=self.settings.retention,
        )

    async def _start_roles(self) -> None:
        env = os.environ | {"TODOKE_HOME": str(self._home), "PYTHONUNBUFFERED": "1"}
        parts = {
            name: RolePart(name, argv, home=self._home, env=env, on_line=self._sink(name))
            for name, argv in self._roles.items()
        }
        self._stack.push_async_callback(self._stop_roles)
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, part in parts.items():
                    tasks.create_task(self._keep(name, part))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        self._save()

    async def _keep(self, name: str, part: Part) -> None:
        keeper = Keeper(name, part, report=self._report, changed=self._save)
        self._keepers[name] = keeper
        if not isinstance(part, RolePart):
            self._stack.push_async_callback(keeper.stop)
        await keeper.start()

    async def _stop_roles(self) -> None:
        """Stop kind by kind, those started last first; gateways hold vehicles and come last."""
        kinds = list(dict.fromkeys(_kind(name) for name in self._roles))
        for kind in reversed(kinds):
            async with asyncio.TaskGroup() as group:
                for name, keeper in self._keepers.items():
                    if name in self._roles and _kind(name) == kind:
                        group.create_task(keeper.stop())

    def _save(self) -> None:
        pids = {}
        for name, keeper in self._keepers.items():
            try:
                pids[name] = keeper.pid
            except NotFound:
                continue
        if self._runtime:
            self._runtime = with_pids(self._runtime, pids)
            try:
                self._runtime.save()
            except OSError as error:
                self._report("error", "cannot write the state of the service", why=str(error))

    def _sink(self, name: str) -> _Sink:
        file = LogFile(self._home / "logs" / f"{name}.log")
        self._stack.callback(file.close)
        return _Sink(name, file, self._console)

    def _report(self, level: str, event: str, **fields: object) -> None:
        entry = {"timestamp": datetime.now(UTC).isoformat(), "level": level, "event": event, **fields}
        if self._log:
            self._log.write(json.dumps(entry, ensure_ascii=False, default=str).encode())
        self._console.show(SUPERVISOR, entry)


class _Sink:
    """Takes a child's lines: to its log file, and those for people to the console."""

    def __init__(self, name: str, file: LogFile, console: Console) -> None:
        self._name = name
        self._file = file
        self._console = console

    def __call__(self, line: bytes) -> None:
        self._file.write(line)
        self._console.line(self._name, line)


def _kind(name: str) -> str:
    return name.split("-")[0]


async def _reach_database(dsn: str) -> None:
    deadline = time.monotonic() + PEER_S
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(dsn, connect_timeout=5)
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise StartFailed(f"database_url: no connection within {PEER_S:.0f} s: {error}") from error
            await asyncio.sleep(0.5)
        except psycopg.Error as error:
            raise ConfigError(f"database_url: {error}") from error
        else:
            await connection.close()
            return


async def _reach_broker(broker: Broker, ca: Path | None) -> None:
    try:
        tls = ssl.create_default_context(cafile=ca) if broker.tls else None
    except OSError as error:
        raise ConfigError(f"broker_ca: {ca}: {error}") from error
    deadline = time.monotonic() + PEER_S
    while (answer := await sign_in(broker.host, broker.port, broker.username, broker.password, tls=tls)) != ACCEPTED:
        if answer is not None:
            raise ConfigError(f"broker_url: {broker.host} refused the user name or password (code {answer})")
        if time.monotonic() > deadline:
            raise StartFailed(f"broker_url: no answer from {broker.host}:{broker.port} within {PEER_S:.0f} s")
        await asyncio.sleep(0.5)

"""Keep a part of the service running: start it, see when it ends or hangs, start it again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from fleet.child import Child
from fleet.embedded import EmbeddedBroker, EmbeddedPostgres
from fleet.errors import NotFound, StartFailed
from fleet.runtime import ready_file

READY_S = 60.0
STOP_S = 10.0
# Checks, a second apart, that see no heartbeat before a process counts as hung: a busy machine is not a fault.
HUNG_CHECKS = 20
CHECK_S = 1.0
# The first restart is quick, since vehicles are in the air.
FIRST_DELAY_S = 0.2
MAX_DELAY_S = 10.0
HEALTHY_S = 30.0

Report = Callable[..., None]


class Part(Protocol):
    """Something that runs in a child process."""

    @property
    def child(self) -> Child | None:
        """The process, ``None`` while there is none."""

    async def start(self) -> None:
        """Start it and wait until it serves. Raises ``StartFailed``."""

    async def watch(self) -> str:
        """Return why it no longer serves, when it does not."""

    async def stop(self) -> None:
        """Stop it; bounded in time."""


class ServerPart:
    """A server of our own: it watches over itself, so only its end is looked for."""

    def __init__(self, server: EmbeddedPostgres | EmbeddedBroker) -> None:
        self._server = server

    @property
    def child(self) -> Child | None:
        """The server's process."""
        return self._server.child

    async def start(self) -> None:
        """Start the server on the port that it had."""
        await self._server.start()

    async def watch(self) -> str:
        """Wait for its end."""
        if self._server.child is None:
            return "not started"
        return _ending(await self._server.child.wait())

    async def stop(self) -> None:
        """Stop the server."""
        await self._server.stop()


class RolePart:
    """A process that says ``runtime.ready`` and then keeps its heartbeat."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        home: Path,
        env: Mapping[str, str],
        on_line: Callable[[bytes], None],
    ) -> None:
        self.name = name
        self.child: Child | None = None
        self._argv = argv
        self._env = env
        self._on_line = on_line
        self._ready = ready_file(home, name)

    async def start(self) -> None:
        """Start the process and wait until it is ready."""
        await self.stop()
        self._ready.unlink(missing_ok=True)
        self.child = await Child.start(self.name, self._argv, env=self._env, on_line=self._on_line)
        deadline = time.monotonic() + READY_S
        while not self._ready.exists():
            if self.child.returncode is not None:
                await self.child.kill()
                raise StartFailed(self._say(_ending(self.child.returncode)))
            if time.monotonic() > deadline:
                await self.stop()
                raise StartFailed(self._say(f"not ready within {READY_S:.0f} s"))
            await asyncio.sleep(0.03)

    async def watch(self) -> str:
        """Wait for its end, or for its heartbeat to stop, and then end it."""
        child = self.child
        if child is None:
            return "not started"
        seen, missed = 0.0, 0
        while missed < HUNG_CHECKS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    return _ending(await child.wait())
            beat = self._beat()
            seen, missed = (beat, 0) if beat != seen else (seen, missed + 1)
        child.send(signal.SIGUSR1)  # it writes to its log where it hangs
        await child.stop((signal.SIGTERM, STOP_S))
        return f"hung for {HUNG_CHECKS * CHECK_S:.0f} s"

    async def stop(self) -> None:
        """Ask it to stop, and kill it when it does not."""
        child, self.child = self.child, None
        if child:
            await child.stop((signal.SIGTERM, STOP_S))

    def _beat(self) -> float:
        try:
            return self._ready.stat().st_mtime
        except OSError:
            return 0.0

    def _say(self, what: str) -> str:
        last = "\n".join(self.child.tail) if self.child else ""
        return f"{self.name} did not start: {what}\n{last}".rstrip()


class Keeper:
    """Keeps one part running until it is stopped."""

    def __init__(self, name: str, part: Part, *, report: Report, changed: Callable[[], None]) -> None:
        self.name = name
        self._part = part
        self._report = report
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process id. Raises ``NotFound`` between an end and the next start."""
        child = self._part.child
        if child is None or child.returncode is not None:
            raise NotFound(f"{self.name} is not running just now")
        return child.pid

    async def start(self) -> None:
        """Start the part, wait until it serves, and keep it from then on."""
        try:
            if self._part.child is None:
                await self._part.start()
        except BaseException:
            await self._part.stop()
            raise
        self._report("info", "started", part=self.name, pid=self.pid)
        self._task = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self) -> None:
        """Stop keeping the part, and stop it."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._part.stop()

    async def _keep(self) -> None:
        delay_s = FIRST_DELAY_S
        while True:
            since = time.monotonic()
            why = await self._part.watch()
            if time.monotonic() - since >= HEALTHY_S:
                delay_s = FIRST_DELAY_S
            self._report("error", "ended; starting again", part=self.name, why=why, in_s=delay_s)
            if self._part.child:
                await self._part.child.kill()  # what it had started goes with it
            delay_s = await self._again(delay_s)
            pid = self._part.child.pid if self._part.child else 0
            self._report("info", "started again", part=self.name, pid=pid)
            self._changed()

    async def _again(self, delay_s: float) -> float:
        """Start the part, with growing pauses, until it serves; return the next pause."""
        while True:
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, MAX_DELAY_S)
            try:
                await self._part.start()
            except Exception as error:  # whatever it is, the next try may do better, and nobody else tries
                self._report("error", "did not start", part=self.name, why=str(error), in_s=delay_s)
            else:
                return delay_s


def _ending(returncode: int) -> str:
    if returncode >= 0:
        return f"ended with status {returncode}"
    try:
        return f"ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"ended by signal {-returncode}"

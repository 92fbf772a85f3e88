"""One child process: started so that it dies with us, its output kept, its end bounded in time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fleet.errors import StartFailed

T = TypeVar("T")

MAX_LINE = 64_000
TAIL_LINES = 20
_SPAWN = Path(__file__).with_name("spawn.py")


@dataclass(frozen=True, slots=True)
class User:
    """The user that a child runs as."""

    uid: int
    gid: int


def command_line(
    argv: Sequence[str], *, user: User | None = None, death_signal: signal.Signals = signal.SIGKILL
) -> list[str]:
    """Return the command that runs ``argv`` as ``user`` and sends it ``death_signal`` when this thread ends."""
    who = f"{user.uid}:{user.gid}" if user else "-"
    return [sys.executable, "-I", "-S", str(_SPAWN), str(os.getpid()), who, str(int(death_signal)), *argv]


def run(
    argv: Sequence[str],
    *,
    user: User | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout_s: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run a short command to its end. Raises ``StartFailed`` when it takes longer than ``timeout_s``."""
    try:
        return subprocess.run(
            command_line(argv, user=user),
            env=env,
            input=stdin,
            text=True,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StartFailed(f"{argv[0]} did not finish within {timeout_s:.0f} s") from error


class Child:
    """A running child process. Make it with ``start``."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, on_line: Callable[[bytes], None] | None) -> None:
        self.name = name
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._process = process
        self._on_line = on_line
        self._group_gone = False
        self._reader = asyncio.create_task(self._read(), name=f"{name} output")

    @classmethod
    async def start(
        cls,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        user: User | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        on_line: Callable[[bytes], None] | None = None,
    ) -> Child:
        """Start ``argv`` in a session of its own, with both outputs given line by line to ``on_line``."""
        process = await asyncio.create_subprocess_exec(
            *command_line(argv, user=user, death_signal=death_signal),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(env),
            # A Ctrl-C in the terminal reaches only us, and we stop the children in order.
            start_new_session=True,
        )
        return cls(name, process, on_line)

    @property
    def pid(self) -> int:
        """The process id; also that of its session and process group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; ``None`` while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for the end, for as long as it takes, and return the exit status."""
        return await self._process.wait()

    async def unless_ended(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return the result of ``work``; ``None``, and no more work, when the process ends before."""
        doing = asyncio.create_task(work)
        ending = asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait({doing, ending}, return_when=asyncio.FIRST_COMPLETED)
            return doing.result() if doing.done() else None
        finally:
            doing.cancel()
            ending.cancel()
            await asyncio.wait({doing, ending})

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send each signal in turn and give it its seconds; then kill it and what it started."""
        for number, patience_s in steps:
            self.send(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._process.wait()
                break
        await self.kill()

    async def kill(self) -> None:
        """Kill the process, if it still runs, and what is left of its process group."""
        if not self._group_gone:  # later, the number may be somebody else's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._group_gone = True
        await self._process.wait()
        # Whoever else holds the pipe must not keep us waiting.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._reader

    async def _read(self) -> None:
        stream = self._process.stdout
        pending = b""
        while stream and (chunk := await stream.read(MAX_LINE)):
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > MAX_LINE:
                lines.append(pending)
                pending = b""
            for line in lines:
                self._take(line)
        if pending:
            self._take(pending)

    def _take(self, line: bytes) -> None:
        self.tail.append(line.decode(errors="replace")[:500])
        if self._on_line:
            self._on_line(line)

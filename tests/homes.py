"""Homes of services for tests, and the processes that work on them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

# A role as small as can be: it says that it is ready, keeps its heartbeat, and ends when it is told to.
ROLE = """
import asyncio, signal, sys
from pathlib import Path
from fleet.runtime import beat, load_runtime

async def main():
    runtime = load_runtime(Path(sys.argv[1]), sys.argv[2])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    runtime.ready()
    beating = asyncio.create_task(beat(runtime))
    await stop.wait()
    with open(Path(sys.argv[1]) / "stopped", "a") as file:
        file.write(sys.argv[2] + "\\n")

asyncio.run(main())
"""


@contextlib.contextmanager
def service_home() -> Iterator[Path]:
    """Yield a folder that other users can enter too, as PostgreSQL must for root; gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="todoke-test-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def small_roles(home: Path, *names: str) -> dict[str, list[str]]:
    """Return commands for a supervisor: processes that do nothing but live."""
    return {name: [sys.executable, "-c", ROLE, str(home), name] for name in names}


def processes_of(home: Path) -> list[str]:
    """Return the processes that were started for ``home``, by their arguments or working directory."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            places = [process.cwd(), *process.cmdline()]
            if process.pid != os.getpid() and any(str(home) in place for place in places):
                found.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
    return found


async def until(condition: Callable[[], object], *, within_s: float = 30.0) -> None:
    """Wait until ``condition`` holds. Raises ``TimeoutError``."""
    async with asyncio.timeout(within_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


def environment(home: Path, **more: str) -> Mapping[str, str]:
    """Return this environment with another home and none of its other settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TODOKE_")}
    return kept | {"TODOKE_HOME": str(home)} | more


async def ready_process(home: Path, script: str, *arguments: str, user: int | None = None) -> Process:
    """Start a Python script that gets ``home`` and ``arguments``, and return it when it has said "ready"."""
    # The other user may read everything, since Python or the project may lie in a folder of root's.
    rights = [f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=+dac_read_search"]
    as_user = [] if user is None else ["setpriv", *rights, "--ambient-caps=+dac_read_search"]
    process = await asyncio.create_subprocess_exec(
        *(*as_user, sys.executable, "-c", script, str(home), *arguments),
        env=environment(home),
        cwd=Path(__file__).parents[1],
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
    return process

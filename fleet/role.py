"""One process of the service: the API, a planner or a gateway. Run as ``python -m fleet.role KIND NAME HOME``."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path

import structlog

from fleet.errors import BadRequest, FleetError
from fleet.logs import configure
from fleet.metrics_share import share
from fleet.runtime import BEAT_S, Runtime, beat, load_runtime
from telemetry.clock import Clock

Run = Callable[[Runtime, Clock, asyncio.Event], Awaitable[None]]

KINDS = {"api": "fleet.api.server", "planner": "fleet.planner", "gateway": "fleet.gateway"}
# Less than the supervisor's patience, so that what did not stop can still be said.
STOP_S = 8.0


def find(kind: str) -> Run:
    """Return the ``run`` of a kind of role. Raises ``BadRequest`` for a kind that there is not."""
    if kind not in KINDS:
        raise BadRequest(f"{kind!r}: no such role; there are {', '.join(KINDS)}")
    found: Run = import_module(KINDS[kind]).run
    return found


async def serve(kind: str, runtime: Runtime) -> int:
    """Run a role until it is told to stop, or fails; return the exit status."""
    log = structlog.get_logger().bind(role=runtime.name)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    work = asyncio.ensure_future(find(kind)(runtime, runtime.clock, stop))
    # Only now: its metrics go where ``share`` has said.
    watch_process = import_module("fleet.observing").watch_process
    helpers = [asyncio.create_task(task) for task in (beat(runtime), _watch_parent(runtime, stop), watch_process())]
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await asyncio.wait({work}, timeout=STOP_S)
        if not work.done():
            log.error("did not stop in time; cancelled", seconds=STOP_S)
            work.cancel()
        await work
    except Exception:
        log.exception("role failed")
        return 1
    except asyncio.CancelledError:
        return 1
    finally:
        for task in (*helpers, stopping):
            task.cancel()
    if not stop.is_set():
        log.error("role ended without being told to")
        return 1
    return 0


async def _watch_parent(runtime: Runtime, stop: asyncio.Event) -> None:
    """Stop when the supervisor has died, where the kernel does not see to it."""
    if os.getppid() != runtime.supervisor_pid:
        return  # started by hand
    while True:
        await asyncio.sleep(BEAT_S)
        if os.getppid() != runtime.supervisor_pid:
            break
    stop.set()
    await asyncio.sleep(STOP_S)
    os._exit(1)


def main(kind: str, name: str, home: Path) -> int:
    """Run a role of the service of ``home`` in this process; return the exit status."""
    faulthandler.enable()
    # The supervisor asks a hung process where it hangs.
    with contextlib.suppress(AttributeError):
        faulthandler.register(signal.SIGUSR1, all_threads=True)
    try:
        runtime = load_runtime(home, name)
        configure(runtime.log_level)
        share(home, name)
        return asyncio.run(serve(kind, runtime))
    except FleetError as error:
        configure("info")
        structlog.get_logger().error(str(error), role=name)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))

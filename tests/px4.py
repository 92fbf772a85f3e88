"""PX4 in the loop (SIH quadrotor) for tests, where a build of it is at hand.

``TODOKE_PX4_DIR`` names a folder with ``bin/px4`` and ``etc``; without it the tests skip and say so.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from routing.geo import Position

FIRST_API_PORT = 14540
FIRST_LOCAL_PORT = 14580
INSTANCES = range(8)
"""From instance 9 on all share one port."""


@dataclass(frozen=True, slots=True)
class Px4:
    """A running autopilot; ``port`` is where it sends its telemetry, on loopback."""

    port: int
    process: asyncio.subprocess.Process


def px4_folder() -> Path:
    """Return the folder of the build; skips the test, loudly, where there is none."""
    folder = os.environ.get("TODOKE_PX4_DIR")
    if folder is None or not (Path(folder) / "bin" / "px4").exists():
        pytest.skip("TODOKE_PX4_DIR names no PX4 build: NOTHING is checked against a real autopilot")
    return Path(folder)


@asynccontextmanager
async def px4(
    work: Path,
    *,
    speed: float,
    home: Position,
    port: int | None = None,
    parameters: Mapping[str, float] | None = None,
    model: str = "sihsim_quadx",
) -> AsyncIterator[Px4]:
    """Run one PX4 from scratch in ``work``, as the instance that sends to ``port`` or as the first free one."""
    folder = px4_folder()
    with _claimed(None if port is None else port - FIRST_API_PORT) as instance:
        environment = _environment(speed=speed, home=home, parameters=parameters or {}, model=model)
        arguments = ["-d", "-i", str(instance), "-w", str(work), str(folder / "etc")]
        with (work / "px4.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(folder / "bin" / "px4"),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=work,
            )
        try:
            yield Px4(FIRST_API_PORT + instance, process)
        finally:
            await _stop(process)


def _environment(*, speed: float, home: Position, parameters: Mapping[str, float], model: str) -> dict[str, str]:
    return {
        **os.environ,
        "PX4_SIM_MODEL": model,
        "PX4_SIM_SPEED_FACTOR": f"{speed:g}",
        "PX4_HOME_LAT": str(home.lat),
        "PX4_HOME_LON": str(home.lon),
        "PX4_HOME_ALT": str(home.alt_amsl_m),
        "PX4_PARAM_SDLOG_MODE": "-1",
        "PX4_PARAM_SIM_BAT_DRAIN": "1500",
        "PX4_PARAM_SIM_BAT_MIN_PCT": "0",
        **{f"PX4_PARAM_{name}": f"{value:g}" for name, value in parameters.items()},
    }


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


def free_port() -> int:
    """Return a UDP port on loopback that nobody holds now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def _claimed(instance: int | None) -> Iterator[int]:
    """Have an instance for oneself among all tests on this machine: a given one, or the first that is free."""
    for choice in INSTANCES if instance is None else (instance,):
        with (Path(tempfile.gettempdir()) / f"todoke-px4-{choice}.lock").open("w") as claim:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if instance is None:
                    continue
            if instance is None and not all(_is_free(first + choice) for first in (FIRST_API_PORT, FIRST_LOCAL_PORT)):
                continue
            yield choice
            return
    raise RuntimeError(f"all PX4 ports from {FIRST_API_PORT} and {FIRST_LOCAL_PORT} are in use")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

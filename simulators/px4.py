"""PX4 SITL processes for the drones of a configuration: ``python -m simulators.px4 --px4-dir DIR CONFIG``."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hardware.profiles import load_profile, profile_data
from routing.errors import BadInput
from routing.vehicle_type import Airframe
from simulators.config import DroneConfig, SimulationConfig, read_config

_log = logging.getLogger("simulators.px4")

_STOP_S = 5.0
_LAST_LINES = 15
_PR_SET_PDEATHSIG = 1
_MODELS = {Airframe.MULTIROTOR: "sihsim_quadx", Airframe.VTOL: "sihsim_standard_vtol"}
"""PX4's own simulations. The VTOL's is a model of 0.2 kg that flies at 10 m/s, whatever the profile says."""
_SETTINGS: dict[str, float] = {
    "NAV_DLL_ACT": 2,
    "COM_DL_LOSS_T": 10,
    "SDLOG_MODE": -1,
    "MIS_TKO_LAND_REQ": 0,
    "PD_GRIPPER_TYPE": 0,
    "SIM_BAT_DRAIN": 1500,
    "SIM_BAT_MIN_PCT": 0,
}


_LATE_SETTINGS = ("COM_DL_LOSS_T", "COM_RC_LOSS_T", "COM_OF_LOSS_T", "COM_OBC_LOSS_T")
"""Set again when PX4 is up: its start script multiplies these by the speed factor, whatever was asked."""
_UP_S = 60.0
_UP_TEXT = b"Startup script returned successfully"


@dataclass(frozen=True, slots=True)
class Px4Process:
    """How to start one PX4. ``work_dir`` is absolute and made anew, so that the vehicle is a fresh one."""

    vehicle_id: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    work_dir: Path
    log_path: Path
    late_commands: tuple[tuple[str, ...], ...]


def px4_processes(config: SimulationConfig, px4_dir: Path) -> tuple[Px4Process, ...]:
    """What to start for each drone; raises ``BadInput`` for a missing build or a wrong ``instance``.

    Instance i has system id i + 1 and sends to 14540 + i from 14580 + i (from i = 10 on, all send to
    14549), and to 14550 from 18570 + i.
    """
    program, settings = px4_dir / "bin" / "px4", px4_dir / "etc"
    if not program.is_file() or not settings.is_dir():
        raise BadInput(f"{px4_dir}: no PX4 SITL build (bin/px4 and etc are expected)")
    instances = [drone.instance for drone in config.drones]
    for index, drone in enumerate(config.drones):
        if drone.instance is None:
            raise BadInput(f"drones.{index}.instance: missing; PX4 needs an instance number for {drone.vehicle_id}")
        if instances.count(drone.instance) > 1:
            raise BadInput(f"drones.{index}.instance: {drone.instance} is given twice")
        if drone.system_id != drone.instance + 1:
            raise BadInput(
                f"drones.{index}.system_id: PX4 instance {drone.instance} has system id {drone.instance + 1}, "
                f"not {drone.system_id}"
            )
    return tuple(_process(config, drone, program.resolve(), settings.resolve()) for drone in config.drones)


def _process(config: SimulationConfig, drone: DroneConfig, program: Path, settings: Path) -> Px4Process:
    work_dir = (config.log_dir / "px4" / drone.vehicle_id).resolve()
    params = {**_SETTINGS, **profile_data(drone.type_id).get("parameters", {}), **drone.params}
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(work_dir),
        "PX4_SIM_MODEL": _MODELS[load_profile(drone.type_id).built_as],
        "PX4_SIM_SPEED_FACTOR": f"{config.speed:g}",
        "PX4_HOME_LAT": repr(drone.home.lat),
        "PX4_HOME_LON": repr(drone.home.lon),
        "PX4_HOME_ALT": repr(drone.home.alt_amsl_m),
        **{f"PX4_PARAM_{name}": f"{value:g}" for name, value in params.items()},
    }
    argv = (str(program), "-d", "-i", str(drone.instance), "-w", str(work_dir), str(settings))
    log_path = config.log_dir.resolve() / f"{drone.vehicle_id}.px4.log"
    client = (str(program.with_name("px4-param")), "--instance", str(drone.instance), "set")
    late = tuple((*client, name, f"{params[name]:g}") for name in _LATE_SETTINGS if name in params)
    return Px4Process(drone.vehicle_id, argv, environment, work_dir, log_path, late)


def _dies_with(parent: int) -> Callable[[], None]:
    """Return what a child runs before PX4 starts: SIGKILL when its parent dies, also by SIGKILL."""
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


async def _start(process: Px4Process) -> asyncio.subprocess.Process:
    shutil.rmtree(process.work_dir, ignore_errors=True)
    process.work_dir.mkdir(parents=True)
    process.log_path.parent.mkdir(parents=True, exist_ok=True)
    with process.log_path.open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *process.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            cwd=process.work_dir,
            env=process.environment,
            preexec_fn=_dies_with(os.getpid()),
        )


async def _set_late(process: Px4Process) -> None:
    """Set the late parameters once the start script has ended; says so when that cannot be done."""
    deadline = asyncio.get_running_loop().time() + _UP_S
    while _UP_TEXT not in process.log_path.read_bytes():
        if asyncio.get_running_loop().time() > deadline:
            _log.error("PX4 of %s did not start up in %g s", process.vehicle_id, _UP_S)
            return
        await asyncio.sleep(0.1)
    for command in process.late_commands:
        client = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=process.work_dir
        )
        output, _ = await asyncio.wait_for(client.communicate(), _STOP_S)
        if client.returncode:
            _log.error("PX4 of %s: %s failed: %s", process.vehicle_id, " ".join(command), output.decode().strip())
    _log.info("PX4 of %s is up", process.vehicle_id)


def _last_lines(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-_LAST_LINES:])


async def _watch(process: Px4Process, child: asyncio.subprocess.Process, stop: asyncio.Event) -> bool:
    """Wait for the end of one PX4; returns whether it was wanted. An unwanted one is reported."""
    settling = asyncio.create_task(_set_late(process))
    code = await child.wait()
    settling.cancel()
    if stop.is_set():
        return True
    _log.error(
        "PX4 of %s ended with code %s; %s ends with:\n%s",
        process.vehicle_id,
        code,
        process.log_path,
        _last_lines(process.log_path),
    )
    return False


async def _end(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), _STOP_S)
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def run(processes: tuple[Px4Process, ...], stop: asyncio.Event) -> bool:
    """Run all PX4 until ``stop`` or until all have ended; returns whether none ended by itself.

    One that ends by itself is reported and leaves the others running, as in a real fleet.
    """
    children: list[asyncio.subprocess.Process] = []
    try:
        watches: list[asyncio.Task[bool]] = []
        for process in processes:
            child = await _start(process)
            children.append(child)
            watches.append(asyncio.create_task(_watch(process, child, stop)))
            _log.info("PX4 of %s is process %d, log %s", process.vehicle_id, child.pid, process.log_path)
        everything = asyncio.create_task(_all_of(watches))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([everything, stopped], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        stopped.cancel()
        await asyncio.gather(*(_end(child) for child in children))
        return await everything
    finally:
        stop.set()
        for child in children:
            await _end(child)


async def _all_of(watches: list[asyncio.Task[bool]]) -> bool:
    return all(await asyncio.gather(*watches))


async def _main(config: SimulationConfig, px4_dir: Path) -> bool:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await run(px4_processes(config, px4_dir), stop)


def main() -> int:
    """Read the configuration and run; 2 for a bad configuration, 1 when a PX4 ended by itself."""
    parser = argparse.ArgumentParser(prog="python -m simulators.px4", description="PX4 SITL drones.")
    parser.add_argument("--px4-dir", type=Path, required=True, help="folder with bin/px4 and etc")
    parser.add_argument("config", type=Path)
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), format="%(name)s %(levelname)s %(message)s")
    options = parser.parse_args()
    try:
        return 0 if asyncio.run(_main(read_config(options.config), options.px4_dir)) else 1
    except (BadInput, OSError) as error:
        _log.error("%s", error)
        return 2


if __name__ == "__main__":
    sys.exit(main())

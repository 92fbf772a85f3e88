"""A robot client that this project did not write (npm ``vda-5050-lib``), installed by the tests from a lock file."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.broker import Broker

MAKER = "vda-5050-lib"
ROOT = Path(__file__).resolve().parents[1]
SOURCES = Path(__file__).with_name("robot_client")
INSTALL_S = 60
# The same Node as the console and the broker of this project use.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def installed_client() -> Path:
    """Return a folder with the client's modules, installed once for each lock file; skips loudly where that fails."""
    lock = (SOURCES / "package-lock.json").read_bytes() + (SOURCES / "package.json").read_bytes()
    folder = ROOT / "build" / f"robot-client-{hashlib.sha256(lock).hexdigest()[:12]}"
    npm = shutil.which("npm", path=PATH)
    if npm is None or shutil.which("node", path=PATH) is None:
        pytest.skip("npm is not installed: THE ROBOT CLIENT OF ANOTHER MAKER WAS NOT TRIED")
    folder.parent.mkdir(exist_ok=True)
    with _alone(folder.with_suffix(".lock")):
        if not (folder / "node_modules").is_dir():
            _install(npm, folder)
    return folder / "node_modules"


def _install(npm: str, folder: Path) -> None:
    draft = folder.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCES / name, draft)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(
            command, cwd=draft, env={**os.environ, "PATH": PATH}, capture_output=True, text=True, timeout=INSTALL_S
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm ci took longer than {INSTALL_S} s: THE ROBOT CLIENT OF ANOTHER MAKER WAS NOT TRIED")
    if done.returncode:
        pytest.skip(f"npm ci failed: THE ROBOT CLIENT OF ANOTHER MAKER WAS NOT TRIED: {done.stderr[-500:]}")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one test process install at a time."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.asynccontextmanager
async def foreign_robot(
    broker: Broker, modules: Path, *, serial: str = "1", map_id: str = "sample", speed_mps: float = 20.0
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the client at node A, the map's origin."""
    options = {
        "serial": serial,
        "broker": f"mqtt://{broker.host}:{broker.port}",
        "map": map_id,
        "speed": speed_mps,
    }
    node = shutil.which("node", path=PATH)
    assert node is not None
    process = await asyncio.create_subprocess_exec(
        node,
        str(SOURCES / "robot.cjs"),
        json.dumps(options),
        env={"PATH": PATH, "NODE_PATH": str(modules)},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()

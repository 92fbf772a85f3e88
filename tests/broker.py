"""A real mosquitto on a free loopback port, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


@dataclass
class Broker:
    """A mosquitto process that a test may stop, freeze and start again on the same port."""

    folder: Path
    password: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    async def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self.port = self.port or free_port()
        config = self.folder / "mosquitto.conf"
        config.write_text(await self._config())
        assert MOSQUITTO is not None
        self.process = await asyncio.create_subprocess_exec(
            MOSQUITTO,
            "-c",
            str(config),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(self.host, self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)

    async def _config(self) -> str:
        lines = [f"listener {self.port} {self.host}", "persistence false", "user root"]
        if self.password is None:
            return "\n".join([*lines, "allow_anonymous true", ""])
        passwords = self.folder / "passwords"
        maker = await asyncio.create_subprocess_exec(
            "mosquitto_passwd", "-b", "-c", str(passwords), "tester", self.password
        )
        assert await maker.wait() == 0
        return "\n".join([*lines, "allow_anonymous false", f"password_file {passwords}", ""])

    async def stop(self) -> None:
        """Kill it without a farewell."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await asyncio.wait_for(self.process.wait(), 10)
            self.process = None


def free_port() -> int:
    """Return a loopback port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def running_broker(folder: Path, password: str | None = None) -> AsyncIterator[Broker]:
    """Run a broker; skips the test where no mosquitto is installed."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    broker = Broker(folder, password)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()

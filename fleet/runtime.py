"""What a running service tells its processes, and how they tell it that they are alive."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path

from fleet.errors import StartFailed
from fleet.places import write_private
from telemetry.clock import Clock
from telemetry.keeping import Limits

FILE_NAME = "runtime.json"
BEAT_S = 1.0


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of a running service: where they are, and who we are among them.

    ``name`` is this process's own ("gateway-1"); it is also the name of its leases. ``apis`` processes share the
    address of the API.
    """

    home: Path
    name: str
    dsn: str = field(repr=False)
    broker_host: str
    broker_port: int
    broker_username: str
    broker_password: str = field(repr=False)
    broker_tls: bool
    broker_ca: Path | None
    api_host: str
    api_port: int
    clock: Clock
    allow_real: bool
    language: str
    log_level: str
    supervisor_pid: int
    metrics_token: str = field(default="", repr=False)
    adsb_url: str = field(default="", repr=False)
    apis: int = 1
    retention: Limits = field(default_factory=Limits)
    pids: Mapping[str, int] = field(default_factory=dict)

    @property
    def api_url(self) -> str:
        """The address of the API for a client on this machine."""
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - recognised, not bound
        host = f"[{self.api_host}]" if ":" in self.api_host else self.api_host
        return f"http://{anywhere.get(self.api_host, host)}:{self.api_port}"

    def running(self) -> frozenset[str]:
        """Return the names of the service's processes now; those of our own start where that cannot be read."""
        try:
            return frozenset(load_runtime(self.home).pids)
        except StartFailed:
            return frozenset(self.pids)

    def ready(self, name: str | None = None) -> None:
        """Say that this process serves; from then on its event loop must turn, or it is taken for hung."""
        ready_file(self.home, name or self.name).write_text(str(os.getpid()), encoding="ascii")

    def save(self) -> None:
        """Write it for the processes of the service; only their user can read it."""
        values = asdict(self) | {"clock": None, "home": None, "name": None}
        values["broker_ca"] = str(self.broker_ca) if self.broker_ca else None
        values["clock"] = {
            "anchor_wall": self.clock.anchor_wall.isoformat(),
            "anchor_domain": self.clock.anchor_domain.isoformat(),
            "speed": self.clock.speed,
        }
        write_private(_path(self.home), json.dumps(values, indent=1))


def load_runtime(home: Path, name: str = "") -> Runtime:
    """Read what the supervisor of ``home`` wrote, as seen by its process ``name``.

    Raises ``StartFailed`` when no service has been started there.
    """
    home = Path(home).expanduser().absolute()
    try:
        values = json.loads(_path(home).read_text(encoding="utf-8"))
        clock = Clock(
            anchor_wall=datetime.fromisoformat(values["clock"]["anchor_wall"]),
            anchor_domain=datetime.fromisoformat(values["clock"]["anchor_domain"]),
            speed=values["clock"]["speed"],
        )
        ca = Path(values["broker_ca"]) if values["broker_ca"] else None
        known = {item.name: values[item.name] for item in fields(Runtime)}
        known["retention"] = Limits(**values["retention"])
    except FileNotFoundError as error:
        raise StartFailed(f"no service runs in {home}: start one with 'todoke serve'") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartFailed(f"{_path(home)}: cannot be read ({error!r}); start the service again") from error
    return Runtime(**(known | {"home": home, "name": name, "clock": clock, "broker_ca": ca}))


def with_pids(runtime: Runtime, pids: Mapping[str, int]) -> Runtime:
    """Return a copy with these process ids."""
    return replace(runtime, pids=dict(pids))


def ready_file(home: Path, name: str) -> Path:
    """Return the file by which a process says that it serves; its time stamp is its heartbeat."""
    return home / "run" / f"{name}.ready"


async def beat(runtime: Runtime) -> None:
    """Keep the heartbeat of a process that has said ``ready``, from its own event loop, until cancelled."""
    path = ready_file(runtime.home, runtime.name)
    while True:
        await asyncio.sleep(BEAT_S)
        if path.exists():
            now = time.time()
            os.utime(path, (now, now))


def _path(home: Path) -> Path:
    return home / "run" / FILE_NAME

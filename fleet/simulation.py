"""Simulated vehicles beside the service: each simulator a program of its own, started and stopped together."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fleet.child import Child
from fleet.errors import StartFailed
from fleet.weather import Report
from routing.region.bundle import pack
from routing.region.model import Region
from telemetry.clock import Clock

PX4_API_PORT = 14540
"""PX4 SITL instance i sends to this port + i on loopback."""


@dataclass(frozen=True, slots=True)
class SimulatedBroker:
    """Where simulated robots find the broker, and the password of each by serial number."""

    host: str
    port: int
    passwords: dict[str, str]


def free_udp_port() -> int:
    """Return a UDP port on loopback that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def describe_drones(
    region: Region, places: Sequence[tuple[str, int]], *, type_id: str, px4: bool = False
) -> list[dict[str, Any]]:
    """Return the configuration of a drone for each place: a site's id and the index of one of its pads."""
    drones = []
    for i, (site_id, pad) in enumerate(places):
        place = region.site(site_id).pads[pad]
        port = PX4_API_PORT + i if px4 else free_udp_port()
        drones.append(
            {
                "vehicle_id": f"drone-{i + 1}",
                "system_id": i + 1,
                "hardware_uid": f"{0x70D0CE0000000000 + i + 1:016x}",
                "type_id": type_id,
                "home": {"lat": place.lat, "lon": place.lon, "alt_amsl_m": region.ground_amsl_m(place)},
                "heading_deg": 0.0,
                "send_to": f"127.0.0.1:{port}",
                **({"instance": i} if px4 else {}),
            }
        )
    return drones


def describe_robots(region: Region, site_ids: Sequence[str], *, type_id: str) -> list[dict[str, Any]]:
    """Return the configuration of a robot for each site named, at the site's node."""
    nodes = {node.node_id: node.position for node in region.nodes}
    robots = []
    for i, site_id in enumerate(site_ids):
        node = region.site(site_id).node
        if node is None:
            raise StartFailed(f"site {site_id} has no node of the ground network; no robot can start there")
        x, y = region.frame.to_local(nodes[node])
        robots.append(
            {
                "vehicle_id": f"robot-{i + 1}",
                "manufacturer": "todoke-sim",
                "serial": f"robot-{i + 1}",
                "type_id": type_id,
                "map_id": region.region_id,
                "x": x,
                "y": y,
                "theta": 0.0,
                "node_id": node,
            }
        )
    return robots


class Simulation:
    """The running simulators of one day. ``log_dir`` holds each vehicle's own log (JSON lines)."""

    def __init__(
        self,
        folder: Path,
        *,
        region: Region,
        clock: Clock,
        seed: int,
        drones: list[dict[str, Any]],
        robots: list[dict[str, Any]],
        broker: SimulatedBroker | None,
        px4_dir: Path | None = None,
        weather: Report | None = None,
    ) -> None:
        self.folder = folder
        self.log_dir = folder / "logs"
        self.drones, self.robots = drones, robots
        self._region, self._clock, self._seed = region, clock, seed
        self._broker, self._px4_dir = broker, px4_dir
        self._weather = weather
        self._children: list[Child] = []

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    def failure(self) -> str | None:
        """Return which simulator has ended by itself, with its last words; None while all run."""
        for child in self._children:
            if child.returncode is not None:
                return f"{child.name} ended with code {child.returncode}: " + "\n".join(child.tail)
        return None

    async def _start(self) -> None:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        region = self.folder / "region.packed"
        region.write_bytes(await asyncio.to_thread(pack, self._region))
        common = {
            "speed": self._clock.speed,
            "seed": self._seed,
            "log_dir": str(self.log_dir),
            "anchor_wall": self._clock.anchor_wall.isoformat(),
            "anchor_domain": self._clock.anchor_domain.isoformat(),
        }
        if self.drones:
            config = {**common, "region": str(region), "drones": self.drones}
            if self._weather is not None:
                config |= {"wind_mps": self._weather.wind_mps, "wind_from_deg": self._weather.wind_from_deg}
            module = "simulators.px4" if self._px4_dir else "simulators.drone"
            extra = ["--px4-dir", str(self._px4_dir)] if self._px4_dir else []
            await self._run(module, config, extra)
        if self.robots:
            if self._broker is None:
                raise StartFailed("simulated robots need a broker")
            robots = [
                {**robot, "username": robot["serial"], "password": self._broker.passwords[robot["serial"]]}
                for robot in self.robots
            ]
            broker = {"host": self._broker.host, "port": self._broker.port}
            await self._run("simulators.robot", {**common, "broker": broker, "robots": robots}, [])

    async def _run(self, module: str, config: dict[str, Any], extra: list[str]) -> None:
        path = self.folder / f"{module.rpartition('.')[2]}.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")
        log = (self.folder / f"{path.stem}.log").open("ab")
        argv = [sys.executable, "-m", module, *extra, str(path)]
        child = await Child.start(module, argv, env=dict(os.environ), on_line=lambda line: _append(log, line))
        self._children.append(child)

    async def _stop(self) -> None:
        children, self._children = self._children, []
        await asyncio.gather(*(child.stop((signal.SIGTERM, 5.0)) for child in children))


def _append(log: Any, line: bytes) -> None:
    log.write(line if line.endswith(b"\n") else line + b"\n")
    log.flush()

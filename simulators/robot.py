"""Simulated delivery robots that speak VDA 5050 2.1: ``python -m simulators.robot CONFIG.json``.

One process runs many robots, each with its own connection to the broker. SIGTERM or SIGINT ends it; every
robot says OFFLINE first.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routing.errors import BadInput
from simulators.robot_config import RobotConfig, SimulatorConfig, load_config
from simulators.robot_mqtt import BrokerConnection
from simulators.robot_report import Intervals, Reporter
from simulators.robot_vehicle import Robot
from simulators.vehicle_log import VehicleLog
from simulators.world import WorldClock

STEP_MS = 100
"""Fixed step of the physics, in domain time."""
MIN_WAKE_S = 0.02
"""Shortest wait between rounds, wall time; a faster simulation takes more steps a round."""
MAX_LAG_S = 3.0
"""Wall time that is caught up with after a stall; after a longer one the time in between is left out."""
GOODBYE_S = 3.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Station:
    """A robot at its connection."""

    robot: Robot
    reporter: Reporter
    link: BrokerConnection
    log: VehicleLog
    connections: int = 0
    was_online: bool = False

    def listen(self) -> None:
        """Hand over what has come, and notice the connection coming and going."""
        online, connections = self.link.online, self.link.connections
        if self.was_online and (not online or connections != self.connections):
            self.robot.log("connection_lost")
        if online and connections != self.connections:
            self.connections = connections
            self.link.publish(self.reporter.connected())
        self.was_online = online
        for topic, payload in self.link.messages():
            self.robot.receive(topic, payload)

    def speak(self) -> None:
        """Publish what is due; a position that was sent goes to the vehicle's log."""
        for message in self.reporter.outgoing():
            sent = self.link.publish(message) is not None
            if sent and message.position is not None:
                self.robot.log("position", **message.position)


class Simulation:
    """All robots of one process and their time."""

    def __init__(self, config: SimulatorConfig) -> None:
        domain = config.anchor_domain or config.anchor_wall
        self._clock = WorldClock(config.anchor_wall, domain, config.speed)
        self._wake_s = max(MIN_WAKE_S, STEP_MS / 1000 / config.speed)
        self._now_ms = self._domain_ms()
        self._config = config
        self._stations = [self._station(robot) for robot in config.robots]

    def _domain_ms(self) -> int:
        return self._clock.domain_us() // 1000

    def _station(self, config: RobotConfig) -> Station:
        log = VehicleLog(self._config.log_dir / f"{config.vehicle_id}.jsonl")
        intervals = Intervals(
            self._config.state_interval_s,
            self._config.state_max_interval_s,
            self._config.visualization_interval_s,
        )
        robot = Robot(config, seed=self._config.seed, now_ms=self._now_ms, log=log)
        reporter = Reporter(robot, intervals)
        link = BrokerConnection(
            self._config.broker_of(config),
            manufacturer=config.manufacturer,
            serial=config.serial,
            client_id=config.name_at_broker,
            last_will=lambda: reporter.connection("CONNECTIONBROKEN", self._domain_ms()),
        )
        return Station(robot, reporter, link, log)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then say goodbye."""
        for station in self._stations:
            station.link.open()
        try:
            while not stop.is_set():
                self._round()
                try:
                    await asyncio.wait_for(stop.wait(), self._wake_s)
                except TimeoutError:
                    continue
        finally:
            self._say_goodbye()

    def _round(self) -> None:
        target_ms = self._domain_ms()
        if abs(target_ms - self._now_ms) > MAX_LAG_S * 1000 * max(1.0, self._config.speed):
            logger.warning("stalled for %.1f s of domain time", (target_ms - self._now_ms) / 1000)
            self._now_ms = target_ms - STEP_MS
        for station in self._stations:
            station.listen()
        while self._now_ms + STEP_MS <= target_ms:
            self._now_ms += STEP_MS
            for station in self._stations:
                station.robot.step(self._now_ms, STEP_MS / 1000)
        for station in self._stations:
            station.speak()

    def _say_goodbye(self) -> None:
        now_ms = self._domain_ms()
        deadline = time.monotonic() + GOODBYE_S
        sent = [station.link.publish(station.reporter.connection("OFFLINE", now_ms)) for station in self._stations]
        for info in sent:
            if info is not None:
                try:
                    info.wait_for_publish(max(0.0, deadline - time.monotonic()))
                except (RuntimeError, ValueError) as error:
                    logger.warning("OFFLINE could not be delivered: %s", error)
        for station, info in zip(self._stations, sent, strict=True):
            station.robot.log("shutdown")
            station.link.close(answered=info is not None and info.is_published())
            station.log.close()


async def simulate(config: SimulatorConfig) -> None:
    """Run the robots of a configuration until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Simulation(config).run(stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns 2 for a bad configuration, with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m simulators.robot", description="Simulated robots")
    parser.add_argument("config", type=Path, help="JSON file with the time, the broker and the robots")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        config = load_config(options.config)
    except BadInput as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        asyncio.run(simulate(config))
    except OSError as error:
        sys.stderr.write(f"{options.config}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

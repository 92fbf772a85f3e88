"""Simulated drones that speak MAVLink 2 over UDP as PX4 v1.16 does: ``python -m simulators.drone CONFIG``."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import sys
import time
from collections import deque
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from pymavlink.dialects.v20 import common as m

from hardware.profiles import load_profile, profile_data
from routing.errors import BadInput
from routing.geo import Position
from routing.motion import HOP_MPS
from routing.region.bundle import load_region
from routing.vehicle_type import Airframe
from simulators import missions
from simulators.autopilot import Autopilot
from simulators.commands import Command, Commands
from simulators.config import DroneConfig, SimulationConfig, read_config
from simulators.control import Control
from simulators.faults_aboard import Fault
from simulators.fence import Fence
from simulators.flight import Airframe as Body
from simulators.missions import MissionProtocol, MissionStore
from simulators.param_protocol import ParameterProtocol
from simulators.params import Parameters
from simulators.streams import Streams
from simulators.vehicle_log import VehicleLog
from simulators.world import Wind, World, WorldClock

_log = logging.getLogger("simulators.drone")

STEP_S = 0.02
"""One step of vehicle time: 50 Hz."""
_TICK_S = 0.01
_STEPS_PER_TICK = 100
_BACKLOG_S = 20.0
_DATAGRAM = 1400
_GCS = 6
_MAV_TYPE_STANDARD_VTOL = 22
_TEXTS_WAITING, _TEXT_WAITS_S = 8, 5.0


def parameters_of(config: DroneConfig) -> dict[str, float]:
    """The parameters that the maker of this type of drone sets, then those of the configuration."""
    kind = load_profile(config.type_id)
    vtol = kind.built_as is Airframe.VTOL
    level_mps = HOP_MPS if vtol else kind.cruise_speed_mps
    maker = {
        "FW_AIRSPD_TRIM": kind.cruise_speed_mps,
        "MAV_TYPE": _MAV_TYPE_STANDARD_VTOL if vtol else m.MAV_TYPE_QUADROTOR,
        "MPC_XY_CRUISE": level_mps,
        "MPC_XY_VEL_MAX": level_mps * 1.2,
        "MPC_Z_VEL_MAX_UP": kind.climb_speed_mps,
        "MPC_Z_VEL_MAX_DN": kind.descent_speed_mps,
        "MPC_ACC_HOR": kind.acceleration_mps2,
        "MAV_SYS_ID": config.system_id,
    }
    return {**maker, **profile_data(config.type_id).get("parameters", {}), **config.params}


class Drone(asyncio.DatagramProtocol):
    """One drone on its socket: decodes what comes in, steps the autopilot, sends what is due.

    It sends to ``send_to`` until somebody speaks to it, then to the last sender, as PX4 does.
    """

    def __init__(self, config: DroneConfig, whole: SimulationConfig, world: World, clock: WorldClock) -> None:
        """Build the drone; raises ``BadInput`` for an unknown parameter."""
        self.config = config
        self._clock = clock
        self._log = VehicleLog(whole.log_dir / f"{config.vehicle_id}.jsonl")
        self._state_path = whole.log_dir / f"{config.vehicle_id}.state.json"
        host, port = config.send_to.rsplit(":", 1)
        self._peer: tuple[str, int] = (host, int(port))
        self._transport: asyncio.DatagramTransport | None = None
        self._mav = m.MAVLink(None, srcSystem=config.system_id, srcComponent=1)
        self._mav.robust_parsing = True
        self._out: list[bytes] = []
        self._out_size = 0
        self._text_id = 0
        self._reboot_asked = False
        self._texts: deque[tuple[float, int, str]] = deque(maxlen=_TEXTS_WAITING)
        rng = random.Random(f"{whole.seed}/{config.vehicle_id}")
        home = Position(config.home.lat, config.home.lon, config.home.alt_amsl_m)
        self._body = Body(load_profile(config.type_id), home, world, rng)
        self._body.heading_deg = config.heading_deg
        self._body.energy_wh *= config.battery_pct / 100.0
        self.pilot: Autopilot
        self._boot()

    def _boot(self) -> None:
        try:
            self._params = Parameters(parameters_of(self.config), self.keep)
        except KeyError as error:
            raise BadInput(f"drone {self.config.vehicle_id}: params: no parameter {error.args[0]}") from error
        self._store = MissionStore()
        self._keeping = False
        self._reached_sent, self._reached_left, self._reached_due_s = -1, 0, 0.0
        self._current_sent = 0
        config = self.config
        self.pilot = Autopilot(
            self._body, self._params, self._store, self, payload_kg=config.payload_kg, faults=config.faults
        )
        self._restore()
        self._keeping = True
        self._mav.srcSystem = int(self._params["MAV_SYS_ID"]) or self.config.system_id
        self._streams = Streams(
            self.pilot, self._clock, self.send, hardware_uid=config.hardware_uid, firmware=config.firmware
        )
        self._commands = Commands(
            self.pilot, self._streams, acknowledge=self._acknowledge, send=self.send, reboot=self._ask_reboot
        )
        self._parameters = ParameterProtocol(self._params, send=self.send, log=self.log)
        self._missions = MissionProtocol(
            self._store,
            send=self.send,
            text=self.text,
            stored=self.pilot.stored,
            current_seq=lambda: self.pilot.mission.current,
        )
        place = self._body.position()
        self.log("boot", system_id=self._mav.srcSystem, lat=place.lat, lon=place.lon, alt_m=place.alt_amsl_m)

    # -- what the autopilot asks for -----------------------------------------------------------------

    def text(self, severity: int, text: str) -> None:
        """Say a STATUSTEXT. Without a ground station the last ones wait for it, for a few seconds."""
        self._texts.append((self.pilot.now_s, severity, text))
        self._tell_texts()

    def _tell_texts(self) -> None:
        if self.pilot.failsafes.link_lost:
            return
        while self._texts:
            said_s, severity, text = self._texts.popleft()
            if self.pilot.now_s - said_s < _TEXT_WAITS_S:
                self._tell_text(severity, text)

    def _tell_text(self, severity: int, text: str) -> None:
        """Send a text, in chunks of 50 bytes when it is longer."""
        # PX4 ends its texts with a tab, to tell them from those that come as events too.
        raw = f"{text}\t".encode()
        if len(raw) <= 50:
            self.send(m.MAVLink_statustext_message(severity, raw))
            return
        self._text_id = self._text_id % 65535 + 1
        for chunk, start in enumerate(range(0, len(raw), 50)):
            self.send(m.MAVLink_statustext_message(severity, raw[start : start + 50], self._text_id, chunk))

    def log(self, event: str, **fields: object) -> None:
        """Write to the vehicle's log."""
        self._log.write(event, int(self.pilot.now_s * 1000), **fields)

    def gripper_ack(self, result: int, partner: tuple[int, int] | None) -> None:
        """Acknowledge DO_GRIPPER to a partner. A mission item's is not heard on the link, as with PX4."""
        if partner is not None:
            progress = 255 if result == m.MAV_RESULT_IN_PROGRESS else 0
            self.send(m.MAVLink_command_ack_message(m.MAV_CMD_DO_GRIPPER, result, progress, 0, *partner))

    def home_changed(self) -> None:
        """Tell the new home at once."""
        place = self.pilot.home_position
        self.log("home", lat=place[0], lon=place[1], alt_m=round(place[2], 2)) if place else None

    def keep(self) -> None:
        """Write parameters and missions beside the log, so that a restart finds them."""
        if not self._keeping:
            return
        state = {
            "params": self._params.changed(),
            "missions": self._store.to_json(),
            "current": self.pilot.mission.current,
        }
        scratch = self._state_path.with_suffix(".tmp")
        scratch.write_text(json.dumps(state), encoding="utf-8")
        scratch.replace(self._state_path)

    def _restore(self) -> None:
        try:
            state = json.loads(self._state_path.read_text(encoding="utf-8"))
            for name, value in state["params"].items():
                self._params.set(name, value)
            self._store.restore(state["missions"])
            self.pilot.mission.current = min(int(state["current"]), max(0, len(self._store.items[0]) - 1))
            self.pilot.failsafes.fence = Fence.of(self._store.items[missions.FENCE])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            # A real autopilot with a damaged storage starts empty and says so.
            _log.warning("%s: %s cannot be used: %s", self.config.vehicle_id, self._state_path, error)
            self._store.clear()

    # -- the wire ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the socket is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def error_received(self, exc: Exception) -> None:
        """asyncio: nobody listens at the peer; PX4 goes on sending too."""

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """asyncio: decode a datagram and act on its messages; damaged bytes are skipped."""
        decoded = self._mav.parse_buffer(data) or []
        for message in decoded:
            if message.get_type() == "BAD_DATA":
                continue
            self._peer = (addr[0], addr[1])
            self._receive(message)
        self.flush()

    def send(self, message: Any) -> None:
        """Queue a message for the next datagram."""
        packed: bytes = bytes(message.pack(self._mav))
        self._mav.seq = (self._mav.seq + 1) % 256
        if self._out_size + len(packed) > _DATAGRAM:
            self.flush()
        self._out.append(packed)
        self._out_size += len(packed)

    def flush(self) -> None:
        """Send the queued messages in one datagram. A full socket buffer loses it, as UDP does."""
        if self._out and self._transport is not None:
            self._transport.sendto(b"".join(self._out), self._peer)
        self._out.clear()
        self._out_size = 0

    def close(self) -> None:
        """Close socket and log."""
        if self._transport is not None:
            self._transport.close()
        self._log.close()

    def _acknowledge(self, command: int, result: int, partner: tuple[int, int]) -> None:
        self.send(m.MAVLink_command_ack_message(command, result, 0, 0, *partner))

    def _for_me(self, message: Any) -> bool:
        system = getattr(message, "target_system", 0)
        return system in (0, self._mav.srcSystem) and getattr(message, "target_component", 0) in (0, 1, 190)

    def _receive(self, message: Any) -> None:
        kind = message.get_type()
        if kind == "HEARTBEAT":
            if message.type == _GCS:
                self.pilot.failsafes.heard_gcs()
                self._tell_texts()
        elif not self._for_me(message):
            return
        elif kind in ("COMMAND_LONG", "COMMAND_INT"):
            self._commands.handle(Command.of(message))
        elif kind == "MISSION_SET_CURRENT":
            if not self.pilot.mission.set_current(int(message.seq)):
                self.text(m.MAV_SEVERITY_CRITICAL, "WPM: WP CURR CMD: Not in list")
        elif kind.startswith("PARAM_"):
            self._parameters.handle(message)
        elif kind == "TIMESYNC" and message.tc1 == 0:
            self.send(m.MAVLink_timesync_message(int(self.pilot.now_s * 1e9), message.ts1))
        elif kind == "PING" and message.target_system == 0:
            partner = (message.get_srcSystem(), message.get_srcComponent())
            self.send(m.MAVLink_ping_message(message.time_usec, message.seq, *partner))
        else:
            self._missions.handle(message, self.pilot.now_s)

    # -- time ----------------------------------------------------------------------------------------

    def _ask_reboot(self) -> None:
        self._reboot_asked = True

    def step(self) -> None:
        """Move on by one step of vehicle time."""
        if self._reboot_asked:
            self._reboot_asked = False
            self.flush()
            self._boot()
        pilot = self.pilot
        pilot.step(STEP_S)
        self._missions.tick(pilot.now_s)
        self._tell_progress()
        self._parameters.tick()
        self._streams.tick(pilot.now_s)

    def _tell_progress(self) -> None:
        """MISSION_CURRENT and MISSION_ITEM_REACHED on change; the latter is repeated 10 times, 1 a second.

        Items completed within one step are told by the last of them only: PX4 skips indices likewise.
        """
        mission, now_s = self.pilot.mission, self.pilot.now_s
        if mission.current != self._current_sent:
            self._current_sent = mission.current
            self._streams.send(42)
        if mission.reached != self._reached_sent:
            self._reached_sent, self._reached_left = mission.reached, 10
            self._reached_due_s = now_s + 1.0
            if mission.reached >= 0:
                self.send(m.MAVLink_mission_item_reached_message(mission.reached))
        elif self._reached_sent >= 0 and self._reached_left and now_s >= self._reached_due_s:
            self._reached_left -= 1
            self._reached_due_s = now_s + 1.0
            self.send(m.MAVLink_mission_item_reached_message(self._reached_sent))


def _clock(config: SimulationConfig) -> WorldClock:
    now = datetime.now(UTC)
    return WorldClock(config.anchor_wall or now, config.anchor_domain or now, config.speed)


def _itself(drone: Drone) -> Drone:
    return drone


def _let_happen(drone: Drone, fault: Fault, value: float) -> None:
    drone.pilot.faults.apply(fault, value)


async def simulate(config: SimulationConfig, stop: asyncio.Event) -> None:
    """Run all drones until ``stop``; raises ``BadInput`` or ``OSError`` when one cannot be started."""
    region = load_region(config.region) if config.region else None
    world = World(region, Wind(config.wind_mps, config.wind_from_deg))
    clock = _clock(config)
    drones = [Drone(each, config, world, clock) for each in config.drones]
    loop = asyncio.get_running_loop()
    control: asyncio.BaseTransport | None = None
    try:
        for drone in drones:
            host, port = drone.config.bind.rsplit(":", 1)
            await loop.create_datagram_endpoint(partial(_itself, drone), local_addr=(host, int(port)))
        if config.control is not None:
            host, port = config.control.rsplit(":", 1)
            # A drone that restarts has another autopilot.
            apply_to = {each.config.vehicle_id: partial(_let_happen, each) for each in drones}
            control, _ = await loop.create_datagram_endpoint(lambda: Control(apply_to), local_addr=(host, int(port)))
        _log.info("%d drones at speed %g", len(drones), config.speed)
        await _run(drones, config.speed, stop)
    finally:
        if control is not None:
            control.close()
        for drone in drones:
            drone.close()


async def _run(drones: list[Drone], speed: float, stop: asyncio.Event) -> None:
    """Keep vehicle time at ``speed`` times wall time.

    Behind, at most ``_STEPS_PER_TICK`` steps a drone and tick catch up; what is more than
    ``_BACKLOG_S`` behind is given up, so that the vehicles' clocks slip instead of the program hanging.
    """
    last, owed_s = time.monotonic(), 0.0
    while not stop.is_set():
        now = time.monotonic()
        owed_s += (now - last) * speed
        last = now
        if owed_s > _BACKLOG_S:
            _log.warning("too slow: %.1f s of vehicle time given up", owed_s - _BACKLOG_S)
            owed_s = _BACKLOG_S
        steps = min(int(owed_s / STEP_S), _STEPS_PER_TICK)
        owed_s -= steps * STEP_S
        for drone in drones:
            for _ in range(steps):
                drone.step()
            drone.flush()
        await asyncio.sleep(_TICK_S)


async def _main(config: SimulationConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await simulate(config, stop)


def main() -> int:
    """Read the configuration and run until SIGTERM or SIGINT; 2 for a bad configuration."""
    parser = argparse.ArgumentParser(prog="python -m simulators.drone", description="Simulated drones (MAVLink).")
    parser.add_argument("config", type=Path)
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), format="%(name)s %(levelname)s %(message)s")
    try:
        asyncio.run(_main(read_config(parser.parse_args().config)))
    except (BadInput, OSError) as error:
        _log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""COMMAND_LONG and COMMAND_INT of the simulated autopilot, and how it acknowledges them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymavlink.dialects.v20 import common as m

from simulators.modes import Mode, mode_from
from simulators.streams import AUTOPILOT_VERSION, HOME
from simulators.wing import VtolState

if TYPE_CHECKING:
    from simulators.autopilot import Autopilot
    from simulators.streams import Streams

ACCEPTED, TEMPORARILY_REJECTED, DENIED, UNSUPPORTED, FAILED = 0, 1, 2, 3, 4
_CRITICAL, _INFO = 2, 6
_FORCE = 21196
_CUSTOM_MODE = 1
_UNANSWERED = {521, 2500, 2501, 2510, 2511, 205, 204, 220, m.MAV_CMD_NAV_DELAY, m.MAV_CMD_DO_WINCH}
"""Commands that PX4 leaves to parts that are not there: no acknowledgement at all."""
_DONE_WITHOUT_EFFECT = {195, 197, 187, 401, 519, 525}
"""Commands that PX4 acknowledges although a simulated drone has nothing to do them with: regions of interest,
actuators, pre-arm checks, versions, storage."""
_BATTERY_UNIT, _MOTOR_UNIT, _FAILURE_OK, _FAILURE_OFF = 100, 101, 0, 1


@dataclass(frozen=True, slots=True)
class Command:
    """A command of either form. ``x`` and ``y`` are degrees (or the plain parameters 5 and 6), ``z`` metres."""

    number: int
    params: tuple[float, float, float, float]
    x: float
    y: float
    z: float
    relative: bool
    partner: tuple[int, int]

    @classmethod
    def of(cls, message: Any) -> Command:
        """Read a COMMAND_LONG or COMMAND_INT."""
        params = (message.param1, message.param2, message.param3, message.param4)
        partner = (message.get_srcSystem(), message.get_srcComponent())
        if message.get_type() == "COMMAND_LONG":
            place = (message.param5, message.param6, message.param7)
            return cls(message.command, params, *place, relative=False, partner=partner)
        no_place = message.x == -0x80000000 or message.x == 0x7FFFFFFF
        x = math.nan if no_place else message.x * 1e-7
        y = math.nan if no_place else message.y * 1e-7
        relative = message.frame in (3, 6)
        return cls(message.command, params, x, y, message.z, relative, partner)


class Commands:
    """Carries commands out. ``acknowledge(command, result, partner)`` sends a COMMAND_ACK."""

    def __init__(
        self,
        pilot: Autopilot,
        telemetry: Streams,
        *,
        acknowledge: Callable[[int, int, tuple[int, int]], None],
        send: Callable[[Any], None],
        reboot: Callable[[], None],
    ) -> None:
        self._pilot = pilot
        self._streams = telemetry
        self._acknowledge = acknowledge
        self._send = send
        self._reboot = reboot
        self._handlers: dict[int, Callable[[Command], int | None]] = {
            m.MAV_CMD_COMPONENT_ARM_DISARM: self._arm_disarm,
            m.MAV_CMD_DO_SET_MODE: self._set_mode,
            m.MAV_CMD_NAV_TAKEOFF: self._takeoff,
            m.MAV_CMD_NAV_LAND: self._land,
            m.MAV_CMD_NAV_RETURN_TO_LAUNCH: self._return,
            m.MAV_CMD_DO_REPOSITION: self._reposition,
            m.MAV_CMD_MISSION_START: self._mission_start,
            m.MAV_CMD_DO_CHANGE_SPEED: self._change_speed,
            m.MAV_CMD_DO_CHANGE_ALTITUDE: self._change_altitude,
            m.MAV_CMD_DO_VTOL_TRANSITION: self._transition,
            m.MAV_CMD_DO_SET_HOME: self._set_home,
            m.MAV_CMD_DO_GRIPPER: self._gripper,
            m.MAV_CMD_SET_MESSAGE_INTERVAL: self._set_interval,
            m.MAV_CMD_GET_MESSAGE_INTERVAL: self._get_interval,
            m.MAV_CMD_REQUEST_MESSAGE: lambda c: self._request(round(c.params[0])),
            m.MAV_CMD_REQUEST_AUTOPILOT_CAPABILITIES: lambda c: self._request(AUTOPILOT_VERSION),
            m.MAV_CMD_GET_HOME_POSITION: lambda c: self._request(HOME),
            m.MAV_CMD_INJECT_FAILURE: self._inject_failure,
            m.MAV_CMD_PREFLIGHT_REBOOT_SHUTDOWN: self._restart,
        }

    def handle(self, command: Command) -> None:
        """Carry one command out and acknowledge it.

        PX4 acknowledges DO_SET_MODE twice: ACCEPTED when it is received, then its result.
        """
        handler = self._handlers.get(command.number)
        if command.number == m.MAV_CMD_DO_SET_MODE:
            self._acknowledge(command.number, ACCEPTED, command.partner)
        result = handler(command) if handler else self._unknown(command)
        self._pilot.log(
            "command",
            command=command.number,
            params=[p if math.isfinite(p) else None for p in (*command.params, command.x, command.y, command.z)],
            sender=list(command.partner),
            result=result,
        )
        if result is None:
            return
        self._acknowledge(command.number, result, command.partner)

    @staticmethod
    def _unknown(command: Command) -> int | None:
        if command.number in _DONE_WITHOUT_EFFECT:
            return ACCEPTED
        return None if command.number in _UNANSWERED else UNSUPPORTED

    def _arm_disarm(self, command: Command) -> int | None:
        action = round(command.params[0])
        if action not in (0, 1):
            self._pilot.text(_CRITICAL, f"Unsupported ARM_DISARM param: {command.params[0]:.3f}")
            return None
        force = math.isfinite(command.params[1]) and round(command.params[1]) == _FORCE
        done = self._pilot.arm() if action == 1 else self._pilot.disarm(force=force)
        return ACCEPTED if done else TEMPORARILY_REJECTED

    def _switch(self, mode: Mode) -> int:
        return ACCEPTED if self._pilot.set_mode(mode) else TEMPORARILY_REJECTED

    def _set_mode(self, command: Command) -> int:
        if not int(command.params[0]) & _CUSTOM_MODE:
            return ACCEPTED
        mode = mode_from(int(command.params[1]), int(command.params[2]))
        # A mode that it does not have is acknowledged and not taken.
        return ACCEPTED if mode is None else self._switch(mode)

    def _altitude(self, command: Command) -> float | None:
        if not math.isfinite(command.z):
            return None
        return command.z + (self._pilot.home_alt_m if command.relative else 0.0)

    def _takeoff(self, command: Command) -> int:
        return ACCEPTED if self._pilot.guided.takeoff(self._altitude(command)) else TEMPORARILY_REJECTED

    def _land(self, command: Command) -> int:
        self._pilot.text(_INFO, "Landing at current position")
        return self._switch(Mode.LAND)

    def _return(self, command: Command) -> int:
        result = self._switch(Mode.RTL)
        if result == ACCEPTED:
            self._pilot.text(_INFO, "Returning to launch")
        return result

    def _reposition(self, command: Command) -> int:
        flags = int(command.params[1]) if math.isfinite(command.params[1]) else 0
        if flags != 1:
            return UNSUPPORTED
        placed = math.isfinite(command.x) and math.isfinite(command.y)
        speed = command.params[0] if math.isfinite(command.params[0]) and command.params[0] > 0 else None
        place = (command.x, command.y) if placed else None
        done = self._pilot.guided.reposition(place, self._altitude(command), speed)
        return ACCEPTED if done else TEMPORARILY_REJECTED

    def _mission_start(self, command: Command) -> int:
        pilot = self._pilot
        if pilot.mission_trouble is not None:
            pilot.text(2, "Mission start denied! No valid mission")
            return DENIED
        if not -1 <= command.params[0] < len(pilot.mission.items):
            return DENIED
        if pilot.set_mode(Mode.MISSION) and pilot.arm():
            return ACCEPTED
        return TEMPORARILY_REJECTED

    def _change_speed(self, command: Command) -> int:
        self._pilot.guided.change_speed(command.params[1], of_air=round(command.params[0]) == 0)
        return ACCEPTED

    def _change_altitude(self, command: Command) -> int:
        """As a reposition to another altitude AMSL: out of a mission into a hold, whatever the frame says."""
        alt_m = command.params[0] if math.isfinite(command.params[0]) else None
        done = self._pilot.guided.reposition(None, alt_m, None)
        return ACCEPTED if done else TEMPORARILY_REJECTED

    def _transition(self, command: Command) -> int | None:
        """Without a wing nobody answers, as with PX4."""
        wing, wanted = self._pilot.wing, round(command.params[0])
        if wing is None:
            return None
        if wanted not in (VtolState.ROTORS, VtolState.WING):
            return UNSUPPORTED
        if wanted == VtolState.WING and self._pilot.mode in (Mode.TAKEOFF, Mode.LAND, Mode.RTL):
            return TEMPORARILY_REJECTED
        wing.go(VtolState(wanted))
        return ACCEPTED

    def _set_home(self, command: Command) -> int:
        """To where it is (parameter 1), or to a place."""
        if round(command.params[0]) == 1:
            self._pilot.set_home()
        elif math.isfinite(command.x) and math.isfinite(command.y) and math.isfinite(command.z):
            self._pilot.set_home((command.x, command.y, command.z))
        else:
            return DENIED
        return ACCEPTED

    def _gripper(self, command: Command) -> None:
        self._pilot.gripper.command(round(command.params[1]), partner=command.partner)

    def _set_interval(self, command: Command) -> int:
        known = self._streams.set_interval(round(command.params[0]), command.params[1])
        return ACCEPTED if known else FAILED

    def _get_interval(self, command: Command) -> int:
        number = round(command.params[0])
        self._send(m.MAVLink_message_interval_message(number, self._streams.interval_us(number)))
        return ACCEPTED

    def _request(self, message_id: int) -> int:
        return ACCEPTED if self._streams.send(message_id) else DENIED

    def _inject_failure(self, command: Command) -> int | None:
        """The simulated battery fails when it is told to; motors acknowledge it and run on; nothing else answers."""
        if not self._pilot.params["SYS_FAILURE_EN"]:
            return DENIED
        unit, kind = round(command.params[0]), round(command.params[1])
        if unit == _MOTOR_UNIT:
            return ACCEPTED
        if unit != _BATTERY_UNIT or kind not in (_FAILURE_OK, _FAILURE_OFF):
            return None
        self._pilot.battery_failed = kind == _FAILURE_OFF
        return ACCEPTED

    def _restart(self, command: Command) -> int:
        if self._pilot.armed:
            return DENIED
        if round(command.params[0]) not in (1, 3):
            return UNSUPPORTED
        self._reboot()
        return ACCEPTED

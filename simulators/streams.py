"""The telemetry messages of the simulated autopilot and when each is sent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pymavlink.dialects.v20 import common as m

from simulators import missions
from simulators.extended import mission_current

if TYPE_CHECKING:
    from simulators.autopilot import Autopilot
    from simulators.world import WorldClock

_SENSORS = (
    m.MAV_SYS_STATUS_SENSOR_3D_GYRO
    | m.MAV_SYS_STATUS_SENSOR_3D_ACCEL
    | m.MAV_SYS_STATUS_SENSOR_3D_MAG
    | m.MAV_SYS_STATUS_SENSOR_ABSOLUTE_PRESSURE
    | m.MAV_SYS_STATUS_SENSOR_GPS
    | m.MAV_SYS_STATUS_AHRS
    | m.MAV_SYS_STATUS_SENSOR_BATTERY
    | m.MAV_SYS_STATUS_PREARM_CHECK
)
_CAPABILITIES = (
    m.MAV_PROTOCOL_CAPABILITY_MISSION_FLOAT
    | m.MAV_PROTOCOL_CAPABILITY_PARAM_FLOAT
    | m.MAV_PROTOCOL_CAPABILITY_MISSION_INT
    | m.MAV_PROTOCOL_CAPABILITY_COMMAND_INT
    | m.MAV_PROTOCOL_CAPABILITY_PARAM_ENCODE_BYTEWISE
    | m.MAV_PROTOCOL_CAPABILITY_FLIGHT_TERMINATION
    | m.MAV_PROTOCOL_CAPABILITY_MAVLINK2
    | m.MAV_PROTOCOL_CAPABILITY_MISSION_FENCE
    | m.MAV_PROTOCOL_CAPABILITY_MISSION_RALLY
)
_RELEASE = 255
"""FIRMWARE_VERSION_TYPE_OFFICIAL."""

HEARTBEAT, SYS_STATUS, SYSTEM_TIME, GPS_RAW, ATTITUDE = 0, 1, 2, 24, 30
LOCAL_POSITION, GLOBAL_POSITION, MISSION_CURRENT, VFR_HUD = 32, 33, 42, 74
ALTITUDE, BATTERY, AUTOPILOT_VERSION, ESTIMATOR = 141, 147, 148, 230
WIND_COV, HOME, EXTENDED_STATE = 231, 242, 245

DEFAULT_RATES_HZ = {
    HEARTBEAT: 1.0,
    SYS_STATUS: 1.0,
    SYSTEM_TIME: 1.0,
    GPS_RAW: 1.0,
    ATTITUDE: 4.0,
    LOCAL_POSITION: 1.0,
    GLOBAL_POSITION: 5.0,
    MISSION_CURRENT: 1.0,
    VFR_HUD: 2.0,
    ALTITUDE: 1.0,
    BATTERY: 0.5,
    ESTIMATOR: 0.5,
    WIND_COV: 0.5,
    HOME: 0.5,
    EXTENDED_STATE: 1.0,
}
_FIXED = {HEARTBEAT, MISSION_CURRENT}
"""Not streams that SET_MESSAGE_INTERVAL changes, as in PX4."""


def _degrees_e7(value: float) -> int:
    return round(value * 1e7)


class Streams:
    """Builds messages from the autopilot's state and sends each at its rate of vehicle time."""

    def __init__(
        self, pilot: Autopilot, clock: WorldClock, send: Callable[[Any], None], *, hardware_uid: str, firmware: str
    ) -> None:
        self._pilot = pilot
        self._clock = clock
        self._uid = int(hardware_uid, 16)
        major, minor, patch = (int(part) for part in firmware.split("."))
        self._version = major << 24 | minor << 16 | patch << 8 | _RELEASE
        self._send = send
        self._interval_s = {message_id: 1.0 / rate for message_id, rate in DEFAULT_RATES_HZ.items()}
        self._due_s = dict.fromkeys(self._interval_s, 0.0)
        self._next_s = 0.0
        self._builders: dict[int, Callable[[], Any]] = {
            HEARTBEAT: self._heartbeat,
            SYS_STATUS: self._sys_status,
            SYSTEM_TIME: self._system_time,
            GPS_RAW: self._gps_raw,
            ATTITUDE: self._attitude,
            LOCAL_POSITION: self._local_position,
            GLOBAL_POSITION: self._global_position,
            MISSION_CURRENT: self._mission_current,
            VFR_HUD: self._vfr_hud,
            ALTITUDE: self._altitude,
            BATTERY: self._battery,
            AUTOPILOT_VERSION: self._autopilot_version,
            ESTIMATOR: self._estimator,
            WIND_COV: self._wind,
            HOME: self._home,
            EXTENDED_STATE: self._extended_state,
        }

    def tick(self, now_s: float) -> None:
        """Send what is due."""
        if now_s < self._next_s:
            return
        for message_id, due_s in self._due_s.items():
            if now_s >= due_s:
                interval_s = self._interval_s[message_id]
                # Keeps the phase, but a stream that was held up does not send a burst.
                self._due_s[message_id] = max(due_s + interval_s, now_s)
                self.send(message_id)
        self._next_s = min(self._due_s.values())

    def send(self, message_id: int) -> bool:
        """Send one message now; returns whether there is such a message and it has something to say."""
        builder = self._builders.get(message_id)
        message = builder() if builder else None
        if message is None:
            return False
        self._send(message)
        return True

    def set_interval(self, message_id: int, interval_us: float) -> bool:
        """SET_MESSAGE_INTERVAL: 0 the default rate, -1 off; returns whether it is a stream."""
        if message_id not in self._builders or message_id in _FIXED:
            return False
        if interval_us < 0:
            self._due_s.pop(message_id, None)
        else:
            default_s = 1.0 / DEFAULT_RATES_HZ.get(message_id, 1.0)
            self._interval_s[message_id] = max(interval_us * 1e-6, 0.004) if interval_us > 0 else default_s
            self._due_s[message_id] = self._pilot.now_s
            self._next_s = 0.0
        return True

    def interval_us(self, message_id: int) -> int:
        """MESSAGE_INTERVAL of a message: -1 when it is off, 0 when there is none such."""
        if message_id not in self._builders:
            return 0
        if message_id not in self._due_s:
            return -1
        return round(self._interval_s[message_id] * 1e6)

    @property
    def boot_ms(self) -> int:
        """The vehicle's clock as messages carry it."""
        return int(self._pilot.now_s * 1000)

    def _heartbeat(self) -> Any:
        pilot = self._pilot
        base = m.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED | m.MAV_MODE_FLAG_STABILIZE_ENABLED
        if pilot.mode.auto:
            base |= m.MAV_MODE_FLAG_AUTO_ENABLED | m.MAV_MODE_FLAG_GUIDED_ENABLED
        else:
            base |= m.MAV_MODE_FLAG_MANUAL_INPUT_ENABLED
        status = m.MAV_STATE_STANDBY if not pilot.arming_refusals() else m.MAV_STATE_UNINIT
        if pilot.armed:
            base |= m.MAV_MODE_FLAG_SAFETY_ARMED
            status = m.MAV_STATE_CRITICAL if pilot.failsafes.active else m.MAV_STATE_ACTIVE
        if pilot.crashed:
            status = m.MAV_STATE_FLIGHT_TERMINATION
        kind = int(pilot.params["MAV_TYPE"])
        return m.MAVLink_heartbeat_message(kind, m.MAV_AUTOPILOT_PX4, base, pilot.mode.custom_mode, status, 3)

    def _sys_status(self) -> Any:
        pilot = self._pilot
        healthy = _SENSORS
        if pilot.failsafes.gps_lost or pilot.now_s < 2.0:
            healthy &= ~(m.MAV_SYS_STATUS_SENSOR_GPS | m.MAV_SYS_STATUS_AHRS)
        if pilot.failsafes.battery_warning() >= 1:
            healthy &= ~m.MAV_SYS_STATUS_SENSOR_BATTERY
        if not pilot.armed and pilot.arming_refusals():
            healthy &= ~m.MAV_SYS_STATUS_PREARM_CHECK
        body = pilot.body
        voltage, current = body.voltage_v, body.power_w / max(body.voltage_v, 1.0)
        return m.MAVLink_sys_status_message(
            _SENSORS, _SENSORS, healthy, 300, round(voltage * 1000), min(32767, round(current * 100)),
            self._percent(), 0, 0, 0, 0, 0, 0,
        )  # fmt: skip

    def _percent(self) -> int:
        return max(0, min(100, math.ceil(self._pilot.battery_fraction * 100)))

    def _system_time(self) -> Any:
        off_us = round(self._pilot.faults.clock_off_s * 1e6)
        return m.MAVLink_system_time_message(max(0, self._clock.domain_us() + off_us), self.boot_ms)

    def _gps_raw(self) -> Any:
        pilot = self._pilot
        lost = pilot.failsafes.gps_lost or pilot.now_s < 1.0
        lat, lon, alt_m = pilot.body.estimate()
        ve, vn = pilot.body.ve, pilot.body.vn
        speed_cms = round(math.hypot(ve, vn) * 100)
        course = round(math.degrees(math.atan2(ve, vn)) % 360.0 * 100) % 36000
        return m.MAVLink_gps_raw_int_message(
            int(pilot.now_s * 1e6), 0 if lost else 3, _degrees_e7(lat), _degrees_e7(lon), round(alt_m * 1000),
            70, 110, speed_cms, course, max(0, int(pilot.params["SIM_GPS_USED"])),
            round(alt_m * 1000), 0 if lost else 900, 0 if lost else 1500, 0, 0,
        )  # fmt: skip

    def _attitude(self) -> Any:
        body = self._pilot.body
        heading = math.radians(body.heading_deg)
        forward = body.an * math.cos(heading) + body.ae * math.sin(heading)
        right = body.ae * math.cos(heading) - body.an * math.sin(heading)
        yaw = (heading + math.pi) % (2 * math.pi) - math.pi
        return m.MAVLink_attitude_message(
            self.boot_ms, math.atan2(right, 9.81), -math.atan2(forward, 9.81), yaw, 0.0, 0.0, 0.0
        )

    def _local_position(self) -> Any:
        body = self._pilot.body
        return m.MAVLink_local_position_ned_message(
            self.boot_ms, body.north_m, body.east_m, self._pilot.home_alt_m - body.alt_m,
            body.vn, body.ve, -body.vu,
        )  # fmt: skip

    def _global_position(self) -> Any:
        pilot = self._pilot
        if pilot.home_position is None or (pilot.failsafes.gps_lost and pilot.landed):
            return None
        # In flight without GPS it goes on to say where it thinks that it is, as PX4.
        lat, lon, alt_m = pilot.body.estimate()
        body = pilot.body
        message = m.MAVLink_global_position_int_message(
            self.boot_ms, _degrees_e7(lat), _degrees_e7(lon), round(alt_m * 1000),
            round((alt_m - pilot.home_alt_m) * 1000), round(body.vn * 100), round(body.ve * 100),
            round(-body.vu * 100), round(body.heading_deg * 100) % 36000,
        )  # fmt: skip
        pilot.log(
            "position", lat_e7=message.lat, lon_e7=message.lon, alt_mm=message.alt,
            relative_alt_mm=message.relative_alt, vx_cms=message.vx, vy_cms=message.vy, vz_cms=message.vz,
            hdg_cdeg=message.hdg,
        )  # fmt: skip
        return message

    def _mission_current(self) -> Any:
        pilot = self._pilot
        total = len(pilot.mission.items)
        ids = pilot.store.ids
        carried = (ids[missions.MISSION], ids[missions.FENCE], ids[missions.RALLY])
        return mission_current(pilot.mission.current, total or 65535, carried)

    def _vfr_hud(self) -> Any:
        body = self._pilot.body
        wind_e, wind_n = body.world.wind.east_north_mps
        airspeed = math.hypot(body.ve - wind_e, body.vn - wind_n)
        throttle = 50 if self._pilot.armed and not self._pilot.landed else 0
        return m.MAVLink_vfr_hud_message(
            airspeed, math.hypot(body.ve, body.vn), int(body.heading_deg) % 360, throttle, body.alt_m, body.vu
        )

    def _altitude(self) -> Any:
        body, home_m = self._pilot.body, self._pilot.home_alt_m
        above_home, above_ground = body.alt_m - home_m, body.alt_m - body.ground_m
        return m.MAVLink_altitude_message(
            int(self._pilot.now_s * 1e6), body.alt_m, body.alt_m, above_home, above_home, body.ground_m, above_ground
        )

    def _battery(self) -> Any:
        pilot, body = self._pilot, self._pilot.body
        current = body.power_w / max(body.voltage_v, 1.0)
        state = (1, 2, 3, 4)[pilot.failsafes.battery_warning()]
        used_wh = body.kind.battery_wh - body.energy_wh
        return m.MAVLink_battery_status_message(
            0, 0, 1, 32767, [round(body.voltage_v * 1000), *[65535] * 9], min(32767, round(current * 100)),
            round(used_wh / max(body.voltage_v, 1.0) * 1000), round(used_wh * 36), self._percent(), 0, state,
        )  # fmt: skip

    def _autopilot_version(self) -> Any:
        uid = self._uid
        return m.MAVLink_autopilot_version_message(
            _CAPABILITIES, self._version, self._version, 0, 0, [0] * 8, [0] * 8, [0] * 8, 0, 0, uid,
            [*uid.to_bytes(8, "big"), *[0] * 10],
        )  # fmt: skip

    def _estimator(self) -> Any:
        flags = 0 if self._pilot.failsafes.gps_lost or self._pilot.home_position is None else 831
        return m.MAVLink_estimator_status_message(
            int(self._pilot.now_s * 1e6), flags, 0.05, 0.05, 0.05, 0.05, 0.0, 0.0, 0.4, 0.6
        )

    def _wind(self) -> Any:
        """The wind that it meets, as an estimator finds it in flight; on the ground there is nothing to estimate."""
        if self._pilot.landed:
            return None
        body = self._pilot.body
        wind_e, wind_n = body.world.wind.east_north_mps
        gust_e, gust_n = body.gust_mps
        return m.MAVLink_wind_cov_message(
            int(self._pilot.now_s * 1e6), wind_n + gust_n, wind_e + gust_e, 0.0, 0.2, 0.0, body.alt_m, 0.5, 0.0
        )

    def _home(self) -> Any:
        home = self._pilot.home_position
        if home is None:
            return None
        lat, lon, alt_m = home
        return m.MAVLink_home_position_message(
            _degrees_e7(lat), _degrees_e7(lon), round(alt_m * 1000), 0.0, 0.0, 0.0, [1.0, 0.0, 0.0, 0.0],
            0.0, 0.0, 0.0, int(self._pilot.now_s * 1e6),
        )  # fmt: skip

    def _extended_state(self) -> Any:
        pilot = self._pilot
        state = m.MAV_LANDED_STATE_IN_AIR
        if pilot.landed:
            state = m.MAV_LANDED_STATE_ON_GROUND
        elif pilot.landing:
            state = m.MAV_LANDED_STATE_LANDING
        elif pilot.taking_off:
            state = m.MAV_LANDED_STATE_TAKEOFF
        vtol = m.MAV_VTOL_STATE_UNDEFINED if pilot.wing is None else int(pilot.wing.state)
        return m.MAVLink_extended_sys_state_message(vtol, state)

"""What a vehicle says of itself, kept as one state and turned into samples."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from hardware.arrivals import Arrivals
from hardware.conditions import (
    DUPLICATE_ID,
    HALF_OPEN,
    MISSION_CHANGED,
    SECOND_STATION,
    UNSIGNED,
    Conditions,
)
from hardware.lines import Line, Lines
from hardware.link import Activity, VehicleState
from hardware.mavlink import modes
from hardware.mavlink.events import words_of
from hardware.mavlink.frames import GROUND_SYSTEM_ID
from hardware.mavlink.messages import (
    Attitude,
    AutopilotVersion,
    BatteryStatus,
    CommandAck,
    Event,
    ExtendedSysState,
    GlobalPosition,
    GpsRaw,
    Heartbeat,
    HomePosition,
    Message,
    MissionAck,
    MissionCurrent,
    MissionItemReached,
    RadioStatus,
    StatusText,
    SysStatus,
    SystemTime,
    Wind,
)
from hardware.mavlink.modes import Mode
from hardware.mavlink.progress import ProgressTracker
from hardware.mavlink.translate import DO_GRIPPER, ItemPlan
from routing.geo import Position
from telemetry.sample import Sample

MAX_FAULTS = 10
MAX_TEXT_CHUNKS = 8
MAX_OPEN_TEXTS = 8
"""Texts under way in pieces; beyond it the oldest is given up."""
FAULT_SEVERITY = 4
"""MAV_SEVERITY_WARNING; lower is worse."""
REBOOT_MS = 1000
"""A clock that goes back by more is one that started again, not a datagram out of order."""
BATTERY_STALE_MS = 10_000
"""After this long without BATTERY_STATUS the figure of SYS_STATUS counts again."""
WIND_STALE_MS = 30_000
"""An older estimate of the wind is none; one of the attitude after ``ATTITUDE_STALE_MS``."""
ATTITUDE_STALE_MS = 3_000
QUALITY_WINDOW_S = 5.0
"""Wall time over which the share of messages that arrive is measured."""
CONDITION_S = 10.0
"""Wall time for which what is odd about the contact holds after it was last seen; a heartbeat comes each second."""
EVENT_TEXT_LENGTH = 500

HALF_OPEN_S = 1.0
"""Wall time for which a contact in one direction holds after it was last looked at."""

_UNSIGNED = {
    "unsigned": "messages come in its place that are not signed",
    "forged": "messages come in its place that are signed with another key",
    "stale": "messages come in its place that are signed and more than a minute old, or its clock is behind",
}
"""What is told of frames dropped because of their signature; one that came twice is no news."""

_CHANGED = "the mission on the vehicle was changed by someone else"
_CHANGED_AROUND = "fence or rally points on the vehicle were changed by someone else"

_PREARM_CHECK = 0x1000_0000
_ON_GROUND = 1
_TO_WING, _ON_WING = 1, 4
"""MAV_VTOL_STATE."""
FIX_STALE_S = 2.0
"""Wall time after which a position no longer says where a vehicle is."""

Tell = Callable[[datetime, int, str, str], None]
"""Told what happens: when (domain time), severity, kind and words, as in ``VehicleEvent``."""


def _silence(_at: datetime, _severity: int, _kind: str, _text: str) -> None:
    """Tell nobody."""


class Fix(NamedTuple):
    """Where a vehicle is, and its speed in space."""

    position: Position
    speed_mps: float


@dataclass(slots=True)
class Observer:
    """The latest of everything that a vehicle said.

    ``vehicle_ms`` is its own clock, 0 while not told; ``boots`` counts how often that clock started again. ``texts``
    numbers the status texts, so that a command can tell which came after it. ``speed`` is vehicle time over wall time.
    ``counts`` counts what was heard and not used, by reason. ``arrivals`` measures the link. ``answers``: the vehicle
    hears us too, and is surely the one that it should be. ``clock_off_s``: how far its date is ahead of ours, ``None``
    while it has none.
    """

    vehicle_id: str
    tracker: ProgressTracker = field(default_factory=ProgressTracker)
    speed: float = 1.0
    tell: Tell = _silence
    counts: Counter[str] = field(default_factory=Counter)
    conditions: Conditions = field(default_factory=Conditions)
    arrivals: Arrivals = field(default_factory=lambda: Arrivals(modulus=256, window_s=QUALITY_WINDOW_S))
    connected: bool = False
    answers: bool = True
    heartbeat: Heartbeat | None = None
    home: Position | None = None
    version: AutopilotVersion | None = None
    clock_off_s: float | None = None
    vehicle_ms: int = 0
    boots: int = 0
    texts: int = 0
    _heard: datetime | None = None
    _position: GlobalPosition | None = None
    _health: SysStatus | None = None
    _battery: BatteryStatus | None = None
    _battery_ms: int = 0
    _gps: GpsRaw | None = None
    _radio: RadioStatus | None = None
    _attitude: Attitude | None = None
    _wind: Wind | None = None
    _wind_ms: int = 0
    _extra: dict[str, object] = field(default_factory=dict)
    _lines: Lines | None = None
    _landed_state: int = 0
    _vtol_state: int = 0
    _placed_at: float = -math.inf
    _changed_plan: ItemPlan | None = None
    _around_plan: ItemPlan | None = None
    _around: tuple[int, int] = (0, 0)
    _seq: int = 0
    _faults: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=MAX_FAULTS))
    _open_texts: dict[int, dict[int, str]] = field(default_factory=dict)

    @property
    def mode(self) -> Mode:
        """The flight mode of the last heartbeat."""
        return Mode(0) if self.heartbeat is None else Mode.of(self.heartbeat)

    @property
    def armed(self) -> bool:
        """Whether the last heartbeat said armed."""
        return self.heartbeat is not None and self.heartbeat.armed

    @property
    def on_ground(self) -> bool:
        """Whether the vehicle stands; by its arming while it has not said more."""
        return self._landed_state == _ON_GROUND if self._landed_state else not self.armed

    @property
    def landed_known(self) -> bool:
        """Whether the vehicle has said if it stands or flies."""
        return self._landed_state != 0

    @property
    def ready(self) -> bool:
        """Whether it could arm in its mode: the pre-arm bit of SYS_STATUS."""
        return self._health is not None and bool(self._health.health & _PREARM_CHECK)

    @property
    def ill(self) -> int:
        """Bits of MAV_SYS_STATUS_SENSOR: what is there, is on and is not healthy."""
        health = self._health
        return 0 if health is None else health.present & health.enabled & ~health.health

    @property
    def gps(self) -> GpsRaw | None:
        """What the satellite receiver last told."""
        return self._gps

    @property
    def on_wing(self) -> bool:
        """Whether a VTOL flies on its wing, or is about to."""
        return self._vtol_state in (_TO_WING, _ON_WING)

    def fix(self) -> Fix | None:
        """Return where the vehicle is and how fast it moves; ``None`` unless it has said so just now."""
        place = self._position
        if place is None or time.monotonic() - self._placed_at > FIX_STALE_S:
            return None
        speed_mps = math.sqrt(place.vel_n_cms**2 + place.vel_e_cms**2 + place.vel_d_cms**2) / 100
        return Fix(_position(place.lat_e7, place.lon_e7, place.alt_amsl_mm), speed_mps)

    def change_around(self) -> None:
        """Take it that we change its fence or rally points ourselves."""
        self._around_plan = None

    @property
    def battery_pct(self) -> int | None:
        """Charge in percent, from BATTERY_STATUS of the first battery while that comes."""
        if self._battery is not None and self.vehicle_ms - self._battery_ms <= BATTERY_STALE_MS:
            return self._battery.battery_pct
        return None if self._health is None else self._health.battery_pct

    def take(self, message: Message, now: datetime) -> Sample | None:
        """Take a message heard at a domain time; a position makes a sample."""
        self._heard = now
        if type(message) is GlobalPosition:
            return self._take_position(message, now)
        take = self._TAKERS.get(type(message))
        if take is not None:
            take(self, message, now)
        return None

    def take_radio(self, message: RadioStatus) -> None:
        """Take what a telemetry radio on the way to the vehicle says of itself."""
        self._radio = message
        self._extra = self._extras()

    def see_rival(self, source: str) -> None:
        """Note that another source uses the vehicle's system id."""
        detail = f"the vehicle's system id is also used by {source}"
        self.conditions.see(DUPLICATE_ID, detail, until=time.monotonic() + CONDITION_S)

    def see_station(self, system_id: int, sign: str) -> None:
        """Note another ground station and by what it is known."""
        detail = f"ground station {system_id}: {sign}"
        self.conditions.see(SECOND_STATION, detail, until=time.monotonic() + CONDITION_S)

    def see_answers(self, answers: bool) -> None:
        """Note whether the vehicle that is heard hears us; to be told several times a second."""
        self.answers = answers
        if answers:
            self.conditions.end(HALF_OPEN)
        elif self.connected:
            detail = "it is heard, and answers nothing: it does not hear us"
            self.conditions.see(HALF_OPEN, detail, until=time.monotonic() + HALF_OPEN_S)

    def see_unanswered(self, source: str) -> None:
        """Note that what can only be the vehicle is heard and has not answered the question for its hardware."""
        detail = f"what is heard from {source} does not answer, so that nobody knows whether it is the vehicle"
        self.conditions.see(HALF_OPEN, detail, until=time.monotonic() + CONDITION_S)

    def see_unsigned(self, reason: str) -> None:
        """Note that frames in the vehicle's place are dropped for a reason of ``signing.REASONS``."""
        if detail := _UNSIGNED.get(reason):
            self.conditions.see(UNSIGNED, detail, until=time.monotonic() + CONDITION_S)

    def _see_other_mission(self, now: datetime, words: str, sign: str) -> None:
        """Note that somebody else has changed the mission or what goes with it, until ours is loaded again."""
        self._changed_plan = self.tracker.plan
        self.conditions.see(MISSION_CHANGED, sign, until=math.inf)
        self.tell(now, FAULT_SEVERITY, "mission", words)
        self.add_fault(words)

    def _take_heartbeat(self, message: Heartbeat, now: datetime) -> None:
        before, self.heartbeat = self.heartbeat, message
        if before is not None and before != message:
            if before.custom_mode != message.custom_mode:
                self.tell(now, 6, "mode", f"{Mode.of(before).name} -> {Mode.of(message).name}")
            if before.armed != message.armed:
                self.tell(now, 5, "armed", "armed" if message.armed else "disarmed")
        self._tell_tracker()
        self.tracker.on_heartbeat()
        self._tell_tracker()

    def _take_landed(self, message: ExtendedSysState, now: datetime) -> None:
        known, before = self._landed_state != 0, self._landed_state == _ON_GROUND
        self._landed_state, self._vtol_state = message.landed_state, message.vtol_state
        if known and message.landed_state and before != self.on_ground:
            self.tell(now, 5, "landed", "landed" if self.on_ground else "in the air")
        self._tell_tracker()

    def _take_health(self, message: SysStatus, _now: datetime) -> None:
        self._health = message

    def _take_battery(self, message: BatteryStatus, _now: datetime) -> None:
        if message.battery_id == 0:
            self._battery, self._battery_ms = message, self.vehicle_ms

    def _take_gps(self, message: GpsRaw, _now: datetime) -> None:
        if message != self._gps:
            self._gps = message
            self._extra = self._extras()

    def _take_attitude(self, message: Attitude, _now: datetime) -> None:
        self._attitude = message

    def _take_wind(self, message: Wind, _now: datetime) -> None:
        self._wind, self._wind_ms = message, self.vehicle_ms

    def _take_time(self, message: SystemTime, now: datetime) -> None:
        self.clock_off_s = None if message.unix_us is None else message.unix_us / 1e6 - now.timestamp()

    def _take_version(self, message: AutopilotVersion, _now: datetime) -> None:
        self.version = message

    def _take_home(self, message: HomePosition, _now: datetime) -> None:
        self.home = _position(message.lat_e7, message.lon_e7, message.alt_amsl_mm)

    def _take_event(self, message: Event, now: datetime) -> None:
        if words := words_of(message.event_id):
            self.tell(now, FAULT_SEVERITY, "status", words)
            self.add_fault(words)

    def _take_current(self, message: MissionCurrent, now: datetime) -> None:
        if not self.tracker.on_current(message):
            sign = "it does not say any more that it carries the mission that was loaded for it"
            self._see_other_mission(now, _CHANGED, sign)
            return
        plan, around = self.tracker.plan, (message.fence_id, message.rally_id)
        if plan is not None and plan is self._around_plan and around != self._around:
            self._see_other_mission(now, _CHANGED_AROUND, "it carries another fence or other rally points than before")
        self._around_plan, self._around = plan, around

    def _take_mission_ack(self, message: MissionAck, now: datetime) -> None:
        if message.target_system in (0, GROUND_SYSTEM_ID) or message.result != 0:
            return
        sign = f"it accepted what ground station {message.target_system} loaded"
        if message.mission_type != 0:
            self._see_other_mission(now, _CHANGED_AROUND, sign)
        elif self.tracker.plan is not None:
            self.tracker.drop()
            self._see_other_mission(now, _CHANGED, sign)

    def _take_reached(self, message: MissionItemReached, _now: datetime) -> None:
        self.tracker.on_reached(message.seq)

    def _take_ack(self, message: CommandAck, _now: datetime) -> None:
        if message.command == DO_GRIPPER and message.result == 0:
            self.tracker.on_release_acknowledged()

    def see_ack(self, message: CommandAck, system_id: int) -> None:
        """Look for whom an acknowledgement is: a command of another station is one that we did not give."""
        if message.target_system not in (0, GROUND_SYSTEM_ID, system_id):
            self.see_station(message.target_system, f"the vehicle acknowledges its command {message.command}")

    def add_fault(self, text: str) -> None:
        """Note a fault; the same one twice in a row is one."""
        if self._faults and self._faults[-1][1] == text:
            self._faults.pop()
        self.texts += 1
        self._faults.append((self.texts, text))

    def faults_since(self, text_number: int) -> tuple[str, ...]:
        """Return the faults noted after ``texts`` had this value, oldest first."""
        return tuple(text for number, text in self._faults if number > text_number)

    def state(self) -> VehicleState:
        """Return the state as the rest of the service sees it."""
        position, heartbeat = self._position, self.heartbeat
        if self.tracker.plan is not self._changed_plan:
            self.conditions.end(MISSION_CHANGED)
        return VehicleState(
            t=self._heard,
            connected=self.connected,
            activity=self._activity(),
            mode="" if heartbeat is None else self.mode.name,
            armed=self.armed,
            on_ground=self.on_ground,
            ready=self.connected and self.answers and self.ready,
            position=None if position is None else _position(position.lat_e7, position.lon_e7, position.alt_amsl_mm),
            heading_deg=None if position is None or position.heading_cdeg is None else position.heading_cdeg / 100,
            speed_mps=None if position is None else (position.vel_n_cms**2 + position.vel_e_cms**2) ** 0.5 / 100,
            battery_pct=self.battery_pct,
            progress=self.tracker.progress(),
            faults=tuple(text for _, text in self._faults),
            conditions=self.conditions.standing(time.monotonic()),
            waits=self.tracker.wait,
        )

    def _activity(self) -> Activity:
        if self.heartbeat is None:
            return Activity.UNKNOWN
        return modes.activity(self.heartbeat, on_ground=self.on_ground)

    def _tell_tracker(self) -> None:
        # Without the vehicle's own word, "on the ground" is a guess and ends no mission.
        self.tracker.on_state(
            activity=self._activity(), armed=self.armed, on_ground=self.landed_known and self.on_ground
        )

    def _take_position(self, message: GlobalPosition, now: datetime) -> Sample | None:
        wall_s = time.monotonic()
        line = self._clock_lines().take(message.time_boot_ms, wall_s)
        if line is not Line.NEXT and self._clock_lines().two(wall_s):
            detail = "two vehicles with one system id speak in turn: their clocks differ"
            self.conditions.see(DUPLICATE_ID, detail, until=wall_s + CONDITION_S)
        if line is Line.OTHER:
            self.counts["other_vehicle"] += 1
            return None
        if message.time_boot_ms < self.vehicle_ms - REBOOT_MS:
            self._restart(now)
        self.vehicle_ms = message.time_boot_ms
        self._position = message
        self._placed_at = wall_s
        place = _position(message.lat_e7, message.lon_e7, message.alt_amsl_mm)
        self.tracker.on_position(place, message.time_boot_ms, now)
        self._tell_tracker()
        self._seq += 1
        return self._sample(message, now)

    def _clock_lines(self) -> Lines:
        if self._lines is None:
            speed = max(self.speed, 1.0)
            self._lines = Lines(
                per_s=1500.0 * speed, slack=2000.0 * speed, back=REBOOT_MS, silent_s=3.0, window_s=CONDITION_S
            )
        return self._lines

    def _restart(self, now: datetime) -> None:
        """Forget what a vehicle that booted again has not said since."""
        self.boots += 1
        self.home = self._battery = self._health = self._attitude = self._wind = self._gps = None
        self.clock_off_s = None
        self._landed_state = self._vtol_state = 0
        self._open_texts.clear()
        self.arrivals.forget()
        self.tell(now, FAULT_SEVERITY, "restarted", "the autopilot started again")
        self.add_fault("the autopilot started again")

    def _sample(self, message: GlobalPosition, now: datetime) -> Sample:
        ms = message.time_boot_ms
        fresh = self._battery is not None and ms - self._battery_ms <= BATTERY_STALE_MS
        battery: BatteryStatus | SysStatus | None = self._battery if fresh else self._health
        voltage = current = percent = None
        if battery is not None:
            voltage, current, percent = battery.voltage_mv, battery.current_ca, battery.battery_pct
            if voltage is None and self._health is not None:
                voltage = self._health.voltage_mv
        attitude, wind, heartbeat = self._attitude, self._wind, self.heartbeat
        if attitude is not None and abs(ms - attitude.time_boot_ms) > ATTITUDE_STALE_MS * max(self.speed, 1.0):
            attitude = None
        if wind is not None and ms - self._wind_ms > WIND_STALE_MS:
            wind = None
        mission_id, step = self.tracker.place()
        return Sample(
            self.vehicle_id,
            now,
            self._seq,
            ms,
            message.lat_e7,
            message.lon_e7,
            round(message.alt_amsl_mm / 10),
            round(message.alt_home_mm / 10),
            message.vel_n_cms,
            message.vel_e_cms,
            message.vel_d_cms,
            message.heading_cdeg,
            battery_pct_x10=None if percent is None else percent * 10,
            voltage_mv=voltage,
            current_ca=current,
            roll_cdeg=None if attitude is None else attitude.roll_cdeg,
            pitch_cdeg=None if attitude is None else attitude.pitch_cdeg,
            wind_n_cms=None if wind is None else wind.north_cms,
            wind_e_cms=None if wind is None else wind.east_cms,
            link_pct_x10=self.arrivals.permille,
            mode=None if heartbeat is None else modes.name_of(heartbeat.custom_mode),
            armed=None if heartbeat is None else heartbeat.armed,
            on_ground=self.on_ground if self.landed_known else None,
            step=step,
            mission_id=mission_id,
            extra=self._extra,
        )

    def _extras(self) -> dict[str, object]:
        """What has no column of its own. Made when it changes, and never changed after: samples share it."""
        extra: dict[str, object] = {}
        gps, radio = self._gps, self._radio
        if gps is not None:
            extra = {"gps_fix": gps.fix_type, "satellites": gps.satellites}
            if gps.accuracy_mm is not None:
                extra["gps_accuracy_mm"] = gps.accuracy_mm
            if gps.alt_accuracy_mm is not None:
                extra["gps_alt_accuracy_mm"] = gps.alt_accuracy_mm
        if radio is not None:
            extra["radio"] = radio._asdict()
        return extra

    def _take_text(self, message: StatusText, now: datetime) -> None:
        """Put a text together from its chunks (STATUSTEXT ``id``, ``chunk_seq``); tell it, and note it if it warns."""
        text = message.text
        if message.text_id != 0:
            chunks = self._open_texts.setdefault(message.text_id, {})
            chunks[message.chunk] = message.text
            while len(self._open_texts) > MAX_OPEN_TEXTS:
                del self._open_texts[next(iter(self._open_texts))]
            if not message.ends and len(chunks) < MAX_TEXT_CHUNKS:
                return
            self._open_texts.pop(message.text_id, None)
            text = "".join(chunks[number] for number in sorted(chunks))
        text = text.strip()[:EVENT_TEXT_LENGTH]
        if text:
            self.tell(now, min(message.severity, 7), "status", text)
        if text and message.severity <= FAULT_SEVERITY:
            self.add_fault(text)

    _TAKERS: ClassVar[Mapping[type, Callable[[Observer, Any, datetime], None]]] = {
        Heartbeat: _take_heartbeat,
        ExtendedSysState: _take_landed,
        SysStatus: _take_health,
        SystemTime: _take_time,
        AutopilotVersion: _take_version,
        BatteryStatus: _take_battery,
        GpsRaw: _take_gps,
        Attitude: _take_attitude,
        Wind: _take_wind,
        HomePosition: _take_home,
        StatusText: _take_text,
        Event: _take_event,
        MissionCurrent: _take_current,
        MissionItemReached: _take_reached,
        MissionAck: _take_mission_ack,
        CommandAck: _take_ack,
    }


def _position(lat_e7: int, lon_e7: int, alt_amsl_mm: int) -> Position:
    return Position(lat_e7 / 1e7, lon_e7 / 1e7, alt_amsl_mm / 1000)

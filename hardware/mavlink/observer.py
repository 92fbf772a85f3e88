"""What a vehicle says of itself, kept as one state and turned into samples."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from hardware.link import Activity, VehicleState
from hardware.mavlink import modes
from hardware.mavlink.events import words_of
from hardware.mavlink.messages import (
    BatteryStatus,
    CommandAck,
    Event,
    ExtendedSysState,
    GlobalPosition,
    GpsRaw,
    Heartbeat,
    HomePosition,
    Message,
    MissionCurrent,
    MissionItemReached,
    StatusText,
    SysStatus,
)
from hardware.mavlink.modes import Mode
from hardware.mavlink.progress import ProgressTracker
from hardware.mavlink.translate import DO_GRIPPER
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

_PREARM_CHECK = 0x1000_0000
_ON_GROUND = 1


@dataclass(slots=True)
class Observer:
    """The latest of everything that a vehicle said.

    ``vehicle_ms`` is its own clock, 0 while not told; ``boots`` counts how often that clock started again. ``texts``
    numbers the status texts, so that a command can tell which came after it.
    """

    vehicle_id: str
    tracker: ProgressTracker = field(default_factory=ProgressTracker)
    connected: bool = False
    heartbeat: Heartbeat | None = None
    home: Position | None = None
    vehicle_ms: int = 0
    boots: int = 0
    texts: int = 0
    _heard: datetime | None = None
    _position: GlobalPosition | None = None
    _health: SysStatus | None = None
    _battery: BatteryStatus | None = None
    _battery_ms: int = 0
    _gps: GpsRaw | None = None
    _landed_state: int = 0
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
    def battery_pct(self) -> int | None:
        """Charge in percent, from BATTERY_STATUS of the first battery while that comes."""
        if self._battery is not None and self.vehicle_ms - self._battery_ms <= BATTERY_STALE_MS:
            return self._battery.battery_pct
        return None if self._health is None else self._health.battery_pct

    def take(self, message: Message, now: datetime) -> Sample | None:
        """Take a message heard at a domain time; a position makes a sample."""
        self._heard = now
        match message:
            case Heartbeat():
                self.heartbeat = message
                self._tell_tracker()
                self.tracker.on_heartbeat()
            case GlobalPosition():
                return self._take_position(message, now)
            case ExtendedSysState():
                self._landed_state = message.landed_state
            case SysStatus():
                self._health = message
            case BatteryStatus():
                if message.battery_id == 0:
                    self._battery, self._battery_ms = message, self.vehicle_ms
            case GpsRaw():
                self._gps = message
            case HomePosition():
                self.home = _position(message.lat_e7, message.lon_e7, message.alt_amsl_mm)
            case StatusText():
                self._take_text(message)
            case Event():
                if words := words_of(message.event_id):
                    self.add_fault(words)
            case MissionCurrent():
                if not self.tracker.on_current(message):
                    self.add_fault("the mission on the vehicle was changed by someone else")
            case MissionItemReached():
                self.tracker.on_reached(message.seq)
            case CommandAck(command=command, result=result):
                if command == DO_GRIPPER and result == 0:
                    self.tracker.on_release_acknowledged()
            case _:
                return None
        self._tell_tracker()
        return None

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
        return VehicleState(
            t=self._heard,
            connected=self.connected,
            activity=self._activity(),
            mode="" if heartbeat is None else self.mode.name,
            armed=self.armed,
            on_ground=self.on_ground,
            ready=self.connected and self.ready,
            position=None if position is None else _position(position.lat_e7, position.lon_e7, position.alt_amsl_mm),
            heading_deg=None if position is None or position.heading_cdeg is None else position.heading_cdeg / 100,
            speed_mps=None if position is None else (position.vel_n_cms**2 + position.vel_e_cms**2) ** 0.5 / 100,
            battery_pct=self.battery_pct,
            progress=self.tracker.progress(),
            faults=tuple(text for _, text in self._faults),
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

    def _take_position(self, message: GlobalPosition, now: datetime) -> Sample:
        if message.time_boot_ms < self.vehicle_ms - REBOOT_MS:
            self._restart()
        self.vehicle_ms = message.time_boot_ms
        self._position = message
        self.tracker.on_position(_position(message.lat_e7, message.lon_e7, message.alt_amsl_mm), message.time_boot_ms)
        self._tell_tracker()
        self._seq += 1
        return self._sample(message, now)

    def _restart(self) -> None:
        """Forget what a vehicle that booted again has not said since."""
        self.boots += 1
        self.home = self._battery = self._health = None
        self._landed_state = 0
        self._open_texts.clear()
        self.add_fault("the autopilot started again")

    def _sample(self, message: GlobalPosition, now: datetime) -> Sample:
        battery = self._battery
        voltage = battery.voltage_mv if battery is not None else None
        if voltage is None and self._health is not None:
            voltage = self._health.voltage_mv
        progress = self.tracker.progress()
        extra: dict[str, object] = {}
        if self._gps is not None:
            extra = {"gps_fix": self._gps.fix_type, "satellites": self._gps.satellites}
        return Sample(
            vehicle_id=self.vehicle_id,
            t=now,
            seq=self._seq,
            vehicle_ms=message.time_boot_ms,
            lat_e7=message.lat_e7,
            lon_e7=message.lon_e7,
            alt_amsl_cm=round(message.alt_amsl_mm / 10),
            alt_home_cm=round(message.alt_home_mm / 10),
            vel_n_cms=message.vel_n_cms,
            vel_e_cms=message.vel_e_cms,
            vel_d_cms=message.vel_d_cms,
            heading_cdeg=message.heading_cdeg,
            battery_pct_x10=None if self.battery_pct is None else self.battery_pct * 10,
            voltage_mv=voltage,
            mode=None if self.heartbeat is None else self.mode.name,
            armed=None if self.heartbeat is None else self.armed,
            on_ground=self.on_ground if self.landed_known else None,
            step=progress.step if progress.mission_id is not None else None,
            extra=extra,
        )

    def _take_text(self, message: StatusText) -> None:
        """Put a text together from its chunks (STATUSTEXT ``id``, ``chunk_seq``); note it if it warns."""
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
        text = text.strip()
        if text and message.severity <= FAULT_SEVERITY:
            self.add_fault(text)


def _position(lat_e7: int, lon_e7: int, alt_amsl_mm: int) -> Position:
    return Position(lat_e7 / 1e7, lon_e7 / 1e7, alt_amsl_mm / 1000)

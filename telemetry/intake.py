"""What stands between the links and the store: looks at each sample as it comes, and counts what it finds.

The rules, by the vehicle's own clock ``vehicle_ms`` against domain time ``t``:

- A sample with the vehicle's time and content of one of the last 16 is a **duplicate** and is dropped.
- One that is older than the newest taken is **out of order**: it is stored, with the ``t`` that it would have had in
  its place, so that the track is in order and the newest sample stays the newest. Listeners do not get it.
- One that comes later than the vehicle's clock says, against the best of the last seconds, is **late**: it was held
  up on the way, keeps the ``t`` of its reception and goes the way of all others.
- A clock that runs ahead by more than a bound, or goes back by more than a datagram can be out of order, has
  **jumped** (an autopilot that boots begins at 0): the sample is stored, and an event says so, at most one in 10 s.
- A clock that tells the date (robots) and is off by more than a bound is a **wrong clock**: stored and counted.
- A vehicle that sends more than its share of wall time is thinned to it: **flooded** samples are dropped. Others do
  not suffer. Its events have a share as well.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Protocol

from telemetry.clock import Clock
from telemetry.event import VehicleEvent
from telemetry.sample import Sample

Listener = Callable[[Sample], None]
"""Is told each accepted sample that is newer than all before it; must neither block nor raise."""

REASONS = ("accepted", "late", "out_of_order", "clock_jump", "wrong_clock", "duplicate", "flooded")
"""``accepted`` were stored; the next four of them say what was odd about these; the last two were dropped."""
EVENT_REASONS = ("events", "events_dropped")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DATED_MS = 946_684_800_000
"""A clock beyond the first ms of 2000 tells the date; one since boot would have run for 30 years."""
_NEVER = -(1 << 62)
_REMEMBERED = 16
_WINDOW_S = 1.0
_SAY_JUMP_EVERY_S = 10.0
_content = attrgetter(
    *("lat_e7", "lon_e7", "alt_amsl_cm", "alt_home_cm", "vel_n_cms", "vel_e_cms", "vel_d_cms", "heading_cdeg"),
    *("battery_pct_x10", "mode", "armed", "on_ground", "step", "mission_id", "extra"),
)


class Sink(Protocol):
    """Where samples and events go: ``SampleWriter``."""

    def put(self, sample: Sample) -> None:
        """Take a sample at once."""

    def put_event(self, event: VehicleEvent) -> None:
        """Take an event at once."""


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Bounds. Rates are per wall second at a clock of speed 1, and grow with its speed.

    ``samples_hz`` with ``burst`` more at once; ``events_hz`` with ``event_burst``, for the vehicle's own words and for
    what the link says of it apart, so that a talkative vehicle does not hide that it was lost. ``jump_s``, ``late_s``:
    times the speed, since all of a fast simulation waits for a busy machine. ``reorder_ms``: as far as a datagram is
    overtaken.
    """

    samples_hz: float = 100.0
    burst: int = 200
    events_hz: float = 2.0
    event_burst: int = 50
    jump_s: float = 5.0
    late_s: float = 2.0
    reorder_ms: int = 1000
    clock_off_s: float = 5.0


@dataclass(frozen=True, slots=True)
class VehicleIntake:
    """What came from one vehicle: counts by reason, its rate of late (wall seconds, with what was dropped), how far
    its clock is ahead of ours (``None`` for one that tells no date), and whether samples of it were dropped in the
    last seconds because there were too many."""

    counts: Mapping[str, int]
    rate_hz: float
    clock_off_s: float | None
    flooding: bool


@dataclass(frozen=True, slots=True)
class IntakeCounts:
    """Counts by reason of all vehicles since the start, forgotten ones too, and of each vehicle that is known."""

    total: Mapping[str, int]
    vehicles: Mapping[str, VehicleIntake]


@dataclass(slots=True)
class _Vehicle:
    """One vehicle: its clock, its rate, its counts.

    ``offset`` is vehicle time less domain time in ms; the more a sample was held up, the less it is. ``best`` is the
    largest of the last window and of this, ``best_now`` of this one alone.
    """

    newest_ms: int
    newest_t_ms: int
    offset: int
    best: int
    best_now: int
    window_at: float
    recent: deque[Sample] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    due: float = 0.0
    arrived: int = 0
    rate_hz: float = 0.0
    flooded_at: float = float("-inf")
    jump_said_at: float = float("-inf")
    event_due: dict[bool, float] = field(default_factory=dict)
    accepted: int = 0
    odd: Counter[str] = field(default_factory=Counter)


class Intake:
    """Takes samples and events from the links of one event loop and passes them on to ``sink`` and ``listeners``.

    Holds a small record of each vehicle until ``forget``. ``monotonic`` is the wall's clock.
    """

    def __init__(
        self,
        sink: Sink,
        clock: Clock,
        *,
        listeners: Sequence[Listener] = (),
        limits: IntakeLimits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = limits or IntakeLimits()
        speed = max(clock.speed, 1.0)
        self._sink, self._clock, self._limits, self._now = sink, clock, limits, monotonic
        self._store = sink.put
        self._listeners = tuple(listeners)
        self._interval_s = 1.0 / (limits.samples_hz * speed)
        self._burst_s = limits.burst * self._interval_s
        self._event_interval_s = 1.0 / (limits.events_hz * speed)
        self._jump_ms = round(1000 * limits.jump_s * speed)
        self._late_ms = round(1000 * limits.late_s * speed)
        self._off_ms = round(1000 * limits.clock_off_s)
        self._vehicles: dict[str, _Vehicle] = {}
        self._past: Counter[str] = Counter()

    def listen(self, listener: Listener) -> None:
        """Tell one more listener."""
        self._listeners = (*self._listeners, listener)

    def put(self, sample: Sample) -> None:
        """Take a sample at once; never raises for what a vehicle may send."""
        now = self._now()
        vehicle = self._vehicles.get(sample.vehicle_id)
        if vehicle is None:
            vehicle = self._vehicles[sample.vehicle_id] = _unheard(now)
        vehicle.arrived += 1
        due = vehicle.due
        if due < now:
            vehicle.due = now + self._interval_s
        elif due - now < self._burst_s:
            vehicle.due = due + self._interval_s
        else:
            self._flooded(vehicle, now)
            return
        ms = sample.vehicle_ms
        t_ms = (sample.t - _EPOCH) // _MILLISECOND
        offset = ms - t_ms
        if now - vehicle.window_at >= _WINDOW_S:
            _turn(vehicle, now)
        if ms <= vehicle.newest_ms or not -self._late_ms < offset - vehicle.best <= self._late_ms:
            placed = self._odd(vehicle, sample, t_ms, now)
            if placed is None:
                return
            sample, fresh = placed
            if not fresh:
                self._store(sample)
                return
        vehicle.newest_ms, vehicle.newest_t_ms, vehicle.offset = ms, t_ms, offset
        if offset > vehicle.best_now:
            vehicle.best_now = offset
            if offset > vehicle.best:
                vehicle.best = offset
        if ms > _DATED_MS and not -self._off_ms < offset < self._off_ms:
            vehicle.odd["wrong_clock"] += 1
        vehicle.accepted += 1
        vehicle.recent.append(sample)
        self._store(sample)
        for listener in self._listeners:
            listener(sample)

    def put_event(self, event: VehicleEvent) -> None:
        """Take an event at once, within its vehicle's share."""
        vehicle = self._vehicles.get(event.vehicle_id)
        if vehicle is None:
            vehicle = self._vehicles[event.vehicle_id] = _unheard(self._now())
        now, own_words = self._now(), event.kind == "status"
        due = max(vehicle.event_due.get(own_words, 0.0), now)
        if due - now > self._limits.event_burst * self._event_interval_s:
            vehicle.odd["events_dropped"] += 1
            return
        vehicle.event_due[own_words] = due + self._event_interval_s
        vehicle.odd["events"] += 1
        self._sink.put_event(event)

    def forget(self, vehicle_id: str) -> None:
        """Drop the record of a vehicle; its counts stay in the totals."""
        vehicle = self._vehicles.pop(vehicle_id, None)
        if vehicle is not None:
            self._past.update(_counts(vehicle))

    def counts(self) -> IntakeCounts:
        """Return what has come so far."""
        now = self._now()
        total = Counter(dict.fromkeys((*REASONS, *EVENT_REASONS), 0))
        total.update(self._past)
        vehicles = {}
        for vehicle_id, vehicle in self._vehicles.items():
            counts = _counts(vehicle)
            total.update(counts)
            vehicles[vehicle_id] = VehicleIntake(
                counts=counts,
                rate_hz=_rate_hz(vehicle, now),
                clock_off_s=vehicle.offset / 1000 if vehicle.newest_ms > _DATED_MS else None,
                flooding=now - vehicle.flooded_at < 2 * _WINDOW_S,
            )
        return IntakeCounts(dict(total), vehicles)

    def _flooded(self, vehicle: _Vehicle, now: float) -> None:
        vehicle.odd["flooded"] += 1
        vehicle.flooded_at = now
        if now - vehicle.window_at >= _WINDOW_S:
            _turn(vehicle, now)

    def _odd(self, vehicle: _Vehicle, sample: Sample, t_ms: int, now: float) -> tuple[Sample, bool] | None:
        """Say what to do with a sample that is not simply the next: ``None`` drops it; else what is stored, and
        whether it is the newest now."""
        ms = sample.vehicle_ms
        if not vehicle.recent:
            vehicle.best = vehicle.best_now = ms - t_ms
            return sample, True
        behind_ms = vehicle.newest_ms - ms
        if behind_ms >= 0 and any(_same(known, sample) for known in vehicle.recent):
            vehicle.odd["duplicate"] += 1
            return None
        if behind_ms == 0:
            # A clock of coarse steps.
            return sample, True
        if 0 < behind_ms <= self._limits.reorder_ms:
            vehicle.odd["out_of_order"] += 1
            vehicle.accepted += 1
            t = _EPOCH + timedelta(milliseconds=vehicle.newest_t_ms - behind_ms)
            placed = replace(sample, t=t)
            vehicle.recent.append(placed)
            return placed, False
        step = ms - t_ms - vehicle.best
        if behind_ms > 0 or step > self._jump_ms:
            self._jumped(vehicle, sample, (ms - t_ms - vehicle.offset) / 1000, now)
        elif step < -self._late_ms:
            vehicle.odd["late"] += 1
        return sample, True

    def _jumped(self, vehicle: _Vehicle, sample: Sample, by_s: float, now: float) -> None:
        vehicle.odd["clock_jump"] += 1
        vehicle.best = vehicle.best_now = sample.vehicle_ms - (sample.t - _EPOCH) // _MILLISECOND
        booted = sample.vehicle_ms < vehicle.newest_ms < _DATED_MS
        # That an autopilot has booted is the link's to say.
        if not booted and now - vehicle.jump_said_at >= _SAY_JUMP_EVERY_S:
            vehicle.jump_said_at = now
            self.put_event(
                VehicleEvent(sample.vehicle_id, sample.t, 4, f"the vehicle's clock jumped by {by_s:+.1f} s", "clock")
            )


def _unheard(now: float) -> _Vehicle:
    return _Vehicle(newest_ms=_NEVER, newest_t_ms=0, offset=0, best=_NEVER, best_now=_NEVER, window_at=now)


def _turn(vehicle: _Vehicle, now: float) -> None:
    """Begin a new window."""
    vehicle.rate_hz = vehicle.arrived / (now - vehicle.window_at)
    vehicle.arrived, vehicle.window_at = 0, now
    if vehicle.best_now != _NEVER:
        vehicle.best, vehicle.best_now = vehicle.best_now, _NEVER


def _rate_hz(vehicle: _Vehicle, now: float) -> float:
    elapsed_s = now - vehicle.window_at
    return vehicle.arrived / elapsed_s if elapsed_s > _WINDOW_S else vehicle.rate_hz


def _same(known: Sample, sample: Sample) -> bool:
    return known.vehicle_ms == sample.vehicle_ms and bool(_content(known) == _content(sample))


def _counts(vehicle: _Vehicle) -> Counter[str]:
    counts = Counter(dict.fromkeys((*REASONS, *EVENT_REASONS), 0))
    counts.update(vehicle.odd)
    counts["accepted"] = vehicle.accepted
    return counts

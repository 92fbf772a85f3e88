"""Alarms: what needs a person's response, as one vehicle's state and mission show it. All else is an event.

After ISA-18.2: an alarm names what is wrong and how soon somebody has to answer, does not flicker, and does not
sound in normal operation. Each condition has to last for a while before it is raised and be over for a while
before it is cleared, in domain time and at least some wall time, since a fast clock makes jitter look long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from hardware.link import Activity, VehicleState
from routing.geo import Position, distance_m
from routing.vehicle_type import VehicleKind, VehicleType

ON_MISSION = frozenset({"starting", "underway", "held", "returning"})
RAISE_WALL_S = 1.0
"""Wall seconds that any condition lasts before it is raised, however fast the clock."""
CLEAR_WALL_S = 5.0
"""Wall seconds for which an alarm outlives its condition: twenty-five snapshots, so that conflation cannot
swallow it."""
CLEAR_S = 10.0
BATTERY_BAND_PCT = 3.0
"""How far above the reserve the battery must be before the alarm is over: voltage recovers with less load."""
OBEY_S, OBEY_WALL_S = 15.0, 5.0
"""Time that a vehicle has to follow a command before what it does is taken for its own idea."""
MESSAGE_S = 120.0
"""Domain seconds for which what a drone once said counts; robots say what is wrong for as long as it is."""
STUCK_S = 60.0
STUCK_M = 2.0
"""A robot that has not moved so far in ``STUCK_S`` stands; its position is good to better than that."""
REFUSED_STARTS = 2
HOME_M = 60.0
"""A hub's pads are within this of its place."""

_OBEYS: Mapping[str, frozenset[Activity]] = {
    "hold": frozenset({Activity.HOLD}),
    "return": frozenset({Activity.RETURN, Activity.LAND}),
    "land": frozenset({Activity.LAND}),
    "resume": frozenset(),
}
_UNASKED = {
    Activity.HOLD: ("holds_unasked", "指令なしに停止しています", "Stopped without a command"),
    Activity.RETURN: ("returns_unasked", "指令なしに帰還しています", "Returns without a command"),
    Activity.LAND: ("lands_unasked", "指令なしに着陸しています", "Lands without a command"),
    Activity.MANUAL: ("manual", "運航中に手動操縦へ切り替わりました", "Taken over by hand while on a mission"),
}


class Urgency(StrEnum):
    """How soon somebody has to answer."""

    URGENT = "urgent"
    """Now: harm is near, or nobody can see the vehicle."""
    HIGH = "high"
    """Within a minute: the vehicle does something that nobody wanted."""
    MEDIUM = "medium"
    """Soon: it will become worse or late."""


_RANK = {urgency: rank for rank, urgency in enumerate(Urgency)}


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something about one vehicle that a person has to answer. ``since`` is domain time."""

    code: str
    urgency: Urgency
    text_ja: str
    text_en: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of one vehicle at the domain time ``at``, on a clock ``speed`` times as fast as the wall's.

    ``mission`` is the row of the mission that the vehicle is on; when it is on none, of its last one with
    ``attempts`` and ``parcels_aboard`` (``missions.troubled``). ``asked`` is the newest command that a person gave
    for the mission and when it was sent.
    """

    at: datetime
    state: VehicleState
    vehicle_type: VehicleType
    mission: Mapping[str, Any] | None = None
    asked: tuple[str, datetime] | None = None
    home: Position | None = None
    speed: float = 1.0

    @property
    def on_mission(self) -> bool:
        """Whether the vehicle carries a mission out."""
        return self.mission is not None and self.mission["state"] in ON_MISSION

    @property
    def flies(self) -> bool:
        """Whether it is a drone in the air."""
        return self.vehicle_type.kind is VehicleKind.DRONE and not self.state.on_ground

    def lasting(self, since: datetime, seconds: float, wall_s: float) -> bool:
        """Whether so much domain time and so much wall time have passed."""
        return self.at - since >= timedelta(seconds=max(seconds, wall_s * self.speed))


@dataclass(frozen=True, slots=True)
class _Finding:
    """One condition as a look shows it. ``holds`` None: it cannot be told now, so nothing changes."""

    code: str
    urgency: Urgency
    holds: bool | None
    text_ja: str = ""
    text_en: str = ""
    raise_s: float = 3.0
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Track:
    """One condition over time: since when it has held, the alarm raised for it, since when it has not held."""

    holding: datetime | None = None
    alarm: Alarm | None = None
    over: datetime | None = None


Said = Mapping[tuple[str, int], datetime]
"""What a vehicle says is wrong, since when: a text and how often it was there before it."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What has to be remembered of a vehicle between two looks, and the alarms that stand."""

    tracks: Mapping[str, _Track] = field(default_factory=dict)
    said: Said = field(default_factory=dict)
    stood: tuple[Position, int, datetime] | None = None
    """Where a robot has been at which step since when."""

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """The alarms that stand, the most urgent first and of these the oldest."""
        standing = (track.alarm for track in self.tracks.values() if track.alarm is not None)
        return tuple(sorted(standing, key=lambda alarm: (_RANK[alarm.urgency], alarm.since, alarm.code)))


def watch(look: Look, before: Memory) -> Memory:
    """Return what is to be remembered after one more look; its ``alarms`` are those that stand now."""
    said, stood = _said(look, before), _stood(look, before)
    tracks = dict(before.tracks)
    found = set()
    for finding in _findings(look, before, said, stood):
        found.add(finding.code)
        tracks[finding.code] = _follow(tracks.get(finding.code, _Track()), finding, look)
    for code in tracks.keys() - found:
        tracks[code] = _follow(tracks[code], _Finding(code, Urgency.MEDIUM, holds=False), look)
    kept = {code: track for code, track in tracks.items() if track.holding or track.alarm}
    return Memory(tracks=kept, said=said, stood=stood)


def unheard(vehicle: Mapping[str, Any], since: str | None) -> list[dict[str, Any]]:
    """Return the alarms of a live snapshot that no gateway renews any more: that nobody hears it comes first."""
    alarms = list(vehicle.get("alarms") or ())
    if vehicle.get("mission_state") not in ON_MISSION or any(alarm["code"] == "silent" for alarm in alarms):
        return alarms
    return [{**_SILENT, "since": since}, *alarms]


_SILENT = {
    "code": "silent",
    "urgency": Urgency.URGENT,
    "text_ja": "運航中に応答がありません",
    "text_en": "Does not answer while on a mission",
}


def _follow(track: _Track, finding: _Finding, look: Look) -> _Track:
    """Carry one condition on: it is raised when it has lasted, and cleared when it has been over for long."""
    if finding.holds is None:
        return _Track(alarm=track.alarm)
    if finding.holds:
        holding = track.holding or look.at
        alarm = track.alarm
        if alarm is not None or look.lasting(holding, finding.raise_s, RAISE_WALL_S):
            known = [moment for moment in (finding.since, alarm.since if alarm else None) if moment is not None]
            # Something newer under the same code is answered anew.
            since = max(known, default=holding)
            alarm = Alarm(finding.code, finding.urgency, finding.text_ja, finding.text_en, since)
        return _Track(holding, alarm)
    if track.alarm is None:
        return _Track()
    over = track.over or look.at
    return _Track() if look.lasting(over, CLEAR_S, CLEAR_WALL_S) else _Track(alarm=track.alarm, over=over)


def _findings(
    look: Look, before: Memory, said: Said, stood: tuple[Position, int, datetime] | None
) -> Iterator[_Finding]:
    yield _silent(look)
    if not look.state.connected and look.on_mission:
        # What it last said is old: what stands goes on standing, and nothing is added to it.
        yield from (_Finding(code, Urgency.MEDIUM, holds=None) for code in before.tracks if code != "silent")
        return
    yield _battery(look, raised=(track := before.tracks.get("battery")) is not None and track.alarm is not None)
    yield from _unasked(look)
    yield _fault(look, said)
    yield from _mission(look)
    yield _stuck(look, stood)


def _silent(look: Look) -> _Finding:
    # One that was never heard (the gateway has just taken it) has the time that its protocol allows.
    heard = look.state.t
    wait_s = 1.0 if heard is not None else look.vehicle_type.lost_link_s + 5.0
    return _Finding(
        "silent",
        Urgency.URGENT,
        look.on_mission and not look.state.connected,
        str(_SILENT["text_ja"]),
        str(_SILENT["text_en"]),
        raise_s=wait_s,
        since=heard,
    )


def _battery(look: Look, *, raised: bool) -> _Finding:
    charge, reserve = look.state.battery_pct, 100.0 * look.vehicle_type.reserve_fraction
    in_use = look.flies if look.vehicle_type.kind is VehicleKind.DRONE else look.on_mission
    if charge is None:
        return _Finding("battery", Urgency.URGENT, None if in_use else False)
    return _Finding(
        "battery",
        Urgency.URGENT if look.flies else Urgency.HIGH,
        in_use and charge < reserve + (BATTERY_BAND_PCT if raised else 0.0),
        f"電池残量 {charge:.0f}%：予備の {reserve:.0f}% を下回りました",
        f"Battery at {charge:.0f} %, below the reserve of {reserve:.0f} %",
    )


def _unasked(look: Look) -> Iterator[_Finding]:
    activity = look.state.activity
    if activity not in _UNASKED or not look.on_mission:
        return
    if look.vehicle_type.kind is VehicleKind.DRONE and look.state.on_ground:
        return
    if look.asked is not None:
        kind, sent_at = look.asked
        if activity in _OBEYS.get(kind, ()) or not look.lasting(sent_at, OBEY_S, OBEY_WALL_S):
            return
    code, text_ja, text_en = _UNASKED[activity]
    yield _Finding(code, Urgency.HIGH, True, text_ja, text_en)


def _said(look: Look, before: Memory) -> Said:
    """Return what the vehicle says is wrong with when it began to say so; while it is not heard, as before."""
    if not look.state.connected:
        return before.said
    # What a drone said before its mission is over: it flew. A robot says what is wrong now.
    drone = look.vehicle_type.kind is VehicleKind.DRONE
    began = look.at - timedelta(seconds=MESSAGE_S) if drone and not look.on_mission else look.at
    times = Counter[str]()
    said = {}
    for text in look.state.faults:
        said[text, times[text]] = before.said.get((text, times[text]), began)
        times[text] += 1
    return said


def _fault(look: Look, said: Said) -> _Finding:
    if look.vehicle_type.kind is VehicleKind.DRONE:
        said = {what: since for what, since in said.items() if look.at - since < timedelta(seconds=MESSAGE_S)}
    texts = [text for text, _ in said]
    broken = look.state.activity is Activity.FAULT
    ja, en = "機体が異常状態です", "The vehicle is in a fault state"
    if texts:
        more = len(texts) - 1
        ja = f"機体の報告：{texts[-1]}" + (f"（ほか {more} 件）" if more else "")
        en = f"The vehicle reports: {texts[-1]}" + (f" (and {more} more)" if more else "")
    return _Finding(
        "fault",
        Urgency.HIGH if broken else Urgency.MEDIUM,
        look.on_mission and (broken or bool(texts)),
        ja,
        en,
        raise_s=2.0,
        since=max(said.values(), default=None),
    )


def _mission(look: Look) -> Iterator[_Finding]:
    row = look.mission
    if row is None:
        return
    reason = row.get("reason") or "?"
    if row["state"] == "failed" and _unanswered(look, row):
        texts = f"運航が失敗しました：{reason}", f"The mission failed: {reason}"
        yield _Finding("mission_failed", Urgency.HIGH, True, *texts, raise_s=0.0, since=row["changed_at"])
    elif row["state"] == "loaded" and row.get("attempts", 0) >= REFUSED_STARTS:
        texts = (
            f"出発を {row['attempts']} 回試みましたが始動しません：{reason}",
            f"Did not start in {row['attempts']} attempts: {reason}",
        )
        yield _Finding("start_refused", Urgency.HIGH, True, *texts, raise_s=0.0, since=row["changed_at"])


def _unanswered(look: Look, row: Mapping[str, Any]) -> bool:
    """Whether a failed mission has left parcels in the vehicle, or the vehicle out there."""
    if row.get("parcels_aboard") or look.state.position is None or look.home is None:
        return True
    return distance_m(look.state.position, look.home) > HOME_M


def _stood(look: Look, before: Memory) -> tuple[Position, int, datetime] | None:
    """Return where a robot that should be driving has been, at which step, since when."""
    state = look.state
    driving = look.on_mission and state.connected and state.activity in {Activity.MISSION, Activity.RETURN}
    if look.vehicle_type.kind is not VehicleKind.ROBOT or not driving or state.position is None:
        return None
    if before.stood is not None:
        place, step, _ = before.stood
        if step == state.progress.step and distance_m(place, state.position) < STUCK_M:
            return before.stood
    return state.position, state.progress.step, look.at


def _stuck(look: Look, stood: tuple[Position, int, datetime] | None) -> _Finding:
    since = None if stood is None else stood[2]
    # A delivery is a stand as well; the time that it takes is not counted.
    wait_s = STUCK_S + (look.vehicle_type.service_s if _delivers(look) else 0.0)
    return _Finding(
        "stuck",
        Urgency.MEDIUM,
        since is not None and look.at - since > timedelta(seconds=wait_s),
        "運航中ですが動いていません",
        "Does not move although it is on a mission",
        raise_s=0.0,
        since=since,
    )


def _delivers(look: Look) -> bool:
    steps = (look.mission or {}).get("trip", {}).get("mission", {}).get("steps", ())
    step = look.state.progress.step
    return 0 <= step < len(steps) and steps[step]["kind"] == "release"


class AlarmWatch:
    """Watches one vehicle: what it has seen so far, and the alarms that stand."""

    def __init__(self, vehicle_type: VehicleType, home: Position | None) -> None:
        self._vehicle_type, self._home = vehicle_type, home
        self._memory = Memory()

    def see(
        self,
        state: VehicleState,
        mission: Mapping[str, Any] | None,
        *,
        at: datetime,
        speed: float,
        asked: tuple[str, datetime] | None,
    ) -> tuple[Alarm, ...]:
        """Take one more look (see ``Look``); return the alarms that stand, the most urgent first."""
        look = Look(at, state, self._vehicle_type, mission, asked, self._home, speed)
        self._memory = watch(look, self._memory)
        return self._memory.alarms

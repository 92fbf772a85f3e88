"""Conditions of one vehicle that its state and its mission show, as findings: pure functions of one look and the last.

What a condition shows is said at once; how long it must last before somebody is told is the alarm's business
(``fleet.alarms``). Only waits that depend on the case stay here: how long a vehicle that was never heard may be
silent, how long a command takes, how long a delivery stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fleet.contingency_rules import limit
from hardware.link import Activity, VehicleState, WaitFor
from routing.geo import Position, distance_m
from routing.vehicle_type import VehicleKind, VehicleType
from telemetry.monitors.finding import Finding, Value

ON_MISSION = frozenset({"starting", "underway", "held", "returning"})
NEVER_HEARD_S = 5.0
"""What a vehicle has beyond its type's lost-link time to be heard for the first time, once a gateway has it."""
BATTERY_BAND_PCT = 3.0
"""How far above the reserve the battery must be before it is well again: voltage recovers with less load."""
OBEY_S, OBEY_WALL_S = 15.0, 5.0
"""Time that a vehicle has to follow a command before what it does is taken for its own idea."""
MESSAGE_S = 120.0
"""Domain seconds for which what a drone once said counts; robots say what is wrong for as long as it is."""
STUCK_S = 60.0
STUCK_M = 2.0
"""A robot that has not moved so far in ``STUCK_S`` stands; its position is good to better than that."""
TIPPED = ("tipped", "tilt", "rollover", "roll over", "rolled over", "overturn", "fallen over", "転倒", "横転")
"""What robots say when they lie on their side: VDA 5050 names no such error, and each maker has its own words."""
FAILED_RELEASE = ("gripper", "winch", "release failed", "drop failed", "action drop")
"""What vehicles say when a parcel does not come off."""
GONE_ON_S = 5.0
"""Domain seconds beyond its own time at a drop after which one that still waits has not gone on by itself."""
REFUSED_STARTS = 2
HOME_M = 60.0
"""A hub's pads are within this of its place."""

DIVERSIONS = frozenset({"divert", "abort"})
"""Commands that send a drone to another landing."""

_OBEYS: Mapping[str, frozenset[Activity]] = {
    "hold": frozenset({Activity.HOLD}),
    "return": frozenset({Activity.RETURN, Activity.LAND}),
    "land": frozenset({Activity.LAND}),
    "resume": frozenset(),
    "emergency_stop": frozenset({Activity.HOLD, Activity.LAND, Activity.MANUAL}),
    "altitude": frozenset({Activity.HOLD}),
    # It flies to its site on its own way, and comes down there.
    "divert": frozenset({Activity.HOLD, Activity.RETURN, Activity.LAND}),
    "abort": frozenset({Activity.HOLD, Activity.RETURN, Activity.LAND}),
}
_UNASKED = {
    Activity.HOLD: "holds_unasked",
    Activity.RETURN: "returns_unasked",
    Activity.LAND: "lands_unasked",
    Activity.MANUAL: "manual",
}


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


Said = Mapping[tuple[str, int], datetime]
"""What a vehicle says is wrong, since when: a text and how often it was there before it."""

Stood = tuple[Position, int, datetime]
"""Where a robot has been at which step since when."""

Releases = frozenset[int]
"""Steps of releases."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What has to be remembered of a vehicle between two looks. ``taken`` is when it was first looked at; ``waited``
    are the releases at which it has waited for a decision, ``passed`` those that it has passed with its parcels."""

    taken: datetime | None = None
    said: Said = field(default_factory=dict)
    stood: Stood | None = None
    battery_low: bool = False
    waited: Releases = frozenset()
    passed: Releases = frozenset()


def remember(look: Look, before: Memory) -> Memory:
    """Return what is to be remembered of a look, and is asked for with ``findings`` of the same look."""
    return Memory(
        taken=before.taken or look.at,
        said=_said(look, before),
        stood=_stood(look, before),
        battery_low=_battery_low(look, before),
        waited=_waited(look, before),
        passed=_passed(look, before),
    )


def findings(look: Look, memory: Memory) -> list[Finding]:
    """Return the conditions that hold, and those of which it cannot be told; all others do not hold.

    Of a vehicle that is silent on its mission nothing is said but that: what it last said is old.
    """
    if look.on_mission and not look.state.connected:
        return list(_silent(look, memory))
    return [
        *_battery(look, memory),
        *_unasked(look),
        *_fault(look, memory.said),
        *_mission(look),
        *_stuck(look, memory.stood),
        *_tipped(look),
        *_recipient(look),
        *_undelivered(look, memory),
    ]


def _silent(look: Look, memory: Memory) -> Iterator[Finding]:
    # One that was never heard (the gateway has just taken it) has the time that its protocol allows.
    heard = look.state.t
    waits = timedelta(seconds=look.vehicle_type.lost_link_s + NEVER_HEARD_S)
    if heard is not None or (memory.taken is not None and look.at - memory.taken > waits):
        yield Finding("silent", True, since=heard)


def _battery_in_use(look: Look) -> bool:
    return look.flies if look.vehicle_type.kind is VehicleKind.DRONE else look.on_mission


def _battery_low(look: Look, before: Memory) -> bool:
    if not look.state.connected or not _battery_in_use(look) or look.state.battery_pct is None:
        return before.battery_low and _battery_in_use(look)
    band = BATTERY_BAND_PCT if before.battery_low else 0.0
    return look.state.battery_pct < 100.0 * look.vehicle_type.reserve_fraction + band


def _battery(look: Look, memory: Memory) -> Iterator[Finding]:
    charge, reserve = look.state.battery_pct, 100.0 * look.vehicle_type.reserve_fraction
    if not _battery_in_use(look):
        return
    if charge is None:
        yield Finding("battery", None)
    elif memory.battery_low:
        values = {"charge_pct": charge, "reserve_pct": reserve}
        yield Finding("battery", True, values=values, worse=look.flies)


def _unasked(look: Look) -> Iterator[Finding]:
    activity = look.state.activity
    if activity not in _UNASKED or not look.on_mission:
        return
    if look.vehicle_type.kind is VehicleKind.DRONE and look.state.on_ground:
        return
    if look.asked is not None:
        kind, sent_at = look.asked
        if activity in _OBEYS.get(kind, ()) or not look.lasting(sent_at, OBEY_S, OBEY_WALL_S):
            return
    yield Finding(_UNASKED[activity], True)


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


def _fault(look: Look, said: Said) -> Iterator[Finding]:
    if look.vehicle_type.kind is VehicleKind.DRONE:
        said = {what: since for what, since in said.items() if look.at - since < timedelta(seconds=MESSAGE_S)}
    texts = [text for text, _ in said]
    broken = look.state.activity is Activity.FAULT
    if look.on_mission and (broken or texts):
        values: dict[str, Value] = {"text": texts[-1] if texts else "", "more": max(0, len(texts) - 1)}
        yield Finding("fault", True, since=max(said.values(), default=None), values=values, worse=broken)


def _mission(look: Look) -> Iterator[Finding]:
    row = look.mission
    if row is None:
        return
    reason = row.get("reason") or "?"
    if row["state"] == "failed" and _unanswered(look, row):
        yield Finding("mission_failed", True, since=row["changed_at"], values={"reason": reason})
    elif row["state"] == "loaded" and row.get("attempts", 0) >= REFUSED_STARTS:
        values = {"attempts": row["attempts"], "reason": reason}
        yield Finding("start_refused", True, since=row["changed_at"], values=values)


def _unanswered(look: Look, row: Mapping[str, Any]) -> bool:
    """Whether a failed mission has left parcels in the vehicle, or the vehicle out there."""
    if row.get("parcels_aboard") or look.state.position is None or look.home is None:
        return True
    return distance_m(look.state.position, look.home) > HOME_M


def _stood(look: Look, before: Memory) -> Stood | None:
    """Return where a robot that should be driving has been, at which step, since when."""
    state = look.state
    driving = look.on_mission and state.connected and state.activity in {Activity.MISSION, Activity.RETURN}
    # One that stands until somebody decides is where it should be.
    driving = driving and state.waits is None
    if look.vehicle_type.kind is not VehicleKind.ROBOT or not driving or state.position is None:
        return None
    if before.stood is not None:
        place, step, _ = before.stood
        if step == state.progress.step and distance_m(place, state.position) < STUCK_M:
            return before.stood
    return state.position, state.progress.step, look.at


def _stuck(look: Look, stood: Stood | None) -> Iterator[Finding]:
    # A delivery is a stand as well; the time that it takes is not counted.
    wait_s = STUCK_S + (look.vehicle_type.service_s if _delivers(look) else 0.0)
    if stood is not None and look.at - stood[2] > timedelta(seconds=wait_s):
        yield Finding("stuck", True, since=stood[2])


def _delivers(look: Look) -> bool:
    steps = (look.mission or {}).get("trip", {}).get("mission", {}).get("steps", ())
    step = look.state.progress.step
    return 0 <= step < len(steps) and steps[step]["kind"] == "release"


def _tipped(look: Look) -> Iterator[Finding]:
    if look.vehicle_type.kind is not VehicleKind.ROBOT:
        return
    said = next((text for text in look.state.faults if any(word in text.casefold() for word in TIPPED)), None)
    if said is not None:
        yield Finding("tipped", True, values={"text": said})


def _recipient(look: Look) -> Iterator[Finding]:
    """Whether a vehicle waits at a drop for longer than anybody is waited for."""
    waits = look.state.waits
    if waits is None or waits.what not in {WaitFor.DROP_CLEAR, WaitFor.UNLOCK} or not look.on_mission:
        return
    longest = timedelta(seconds=limit("recipient_absent", "waits_s"))
    # One that goes on by itself is told to only if it does not.
    ends = waits.since + longest if waits.until is None else waits.until + timedelta(seconds=GONE_ON_S)
    if look.at > ends:
        waited_s = round((look.at - waits.since).total_seconds())
        values: dict[str, Value] = {"step": waits.step, "waited_s": waited_s}
        yield Finding("recipient_absent", True, since=ends, key=str(waits.step), values=values)


def _waited(look: Look, before: Memory) -> Releases:
    if not look.on_mission:
        return frozenset()
    waits = look.state.waits
    return before.waited | {waits.step} if waits is not None and waits.what is not WaitFor.CROSSING else before.waited


def _passed(look: Look, before: Memory) -> Releases:
    """Return the releases that a vehicle has passed, on its mission and not on its way home, with its parcels."""
    progress = look.state.progress
    if not look.on_mission or look.mission is None or progress.mission_id != look.mission["mission_id"]:
        return before.passed if look.on_mission else frozenset()
    done = {release.step for release in progress.releases}
    on_plan = look.mission["state"] == "underway" and look.state.activity is Activity.MISSION
    went_on = look.asked is not None and look.asked[0] in {"skip", "return", "abort", "divert"}
    steps = look.mission.get("trip", {}).get("mission", {}).get("steps", ())[: progress.step]
    new = {i for i, step in enumerate(steps) if step["kind"] == "release"} if on_plan and not went_on else set()
    return frozenset((before.passed | new) - done)


def _undelivered(look: Look, memory: Memory) -> Iterator[Finding]:
    for step in sorted(memory.passed):
        if step in memory.waited:
            yield Finding("undelivered", True, key=str(step), values={"step": step})
        else:
            said = [text for text in look.state.faults if any(word in text.casefold() for word in FAILED_RELEASE)]
            values: dict[str, Value] = {"step": step, **({"text": said[-1]} if said else {})}
            yield Finding("release_failed", True, key=str(step), values=values)

"""One vehicle under watch: its monitors, fed with its newest sample when it is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fleet.conditions import ON_MISSION, Look, Memory, findings, remember
from fleet.contingency_rules import limit
from hardware.conditions import HALF_OPEN, UNSIGNED
from hardware.link import Activity, VehicleState
from routing.formats.json import given_from_json
from routing.geo import LocalFrame, Position
from routing.problem import Permit, Separation
from routing.region.model import Region
from routing.vehicle_type import VehicleKind, VehicleType
from telemetry.intake import VehicleIntake
from telemetry.monitors.conformance import Conformance
from telemetry.monitors.energy import EnergyLeft
from telemetry.monitors.fence import Approved, FenceBreach
from telemetry.monitors.finding import Finding
from telemetry.monitors.link_quality import LinkQuality
from telemetry.monitors.monitor import Monitor, airborne, place_of
from telemetry.monitors.path import PathFollower, PlannedPath
from telemetry.monitors.road import Crossings, InRoad
from telemetry.monitors.stale import LIMIT_S, StaleData
from telemetry.monitors.traffic import AHEAD_S, Flying
from telemetry.monitors.wind import WindLimit, limit_mps
from telemetry.monitors.zones import ClosedAirspace, ZoneBreach
from telemetry.sample import Sample

APART = Separation()
STATE_S = 30.0
"""A robot says its state at least so often when nothing changes (VDA 5050 2.1, 6.10)."""
STALE_WALL_S = 2.0
"""Wall seconds that a position may be old at least: a fast clock makes the way from the vehicle look long."""
CLOCK_OFF_S, CLOCK_OFF_WALL_S = 5.0, 2.0
"""How far a vehicle's clock may be off: what it says of when things happened is then a matter of seconds."""

_WHILE_SILENT = frozenset({HALF_OPEN, UNSIGNED})
"""What is told of a vehicle that is not heard too: it says why."""

_FOLLOWS = {
    VehicleKind.DRONE: frozenset({Activity.TAKEOFF, Activity.MISSION}),
    VehicleKind.ROBOT: frozenset({Activity.MISSION}),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of a region all its vehicles keep to: prepared once, which takes a part of a second."""

    frame: LocalFrame
    closed: ClosedAirspace
    approved: Approved
    crossings: Crossings

    @classmethod
    def of(cls, region: Region, permits: Sequence[Permit] = ()) -> Surroundings:
        """Prepare a region; raises ``BadInput`` naming a zone or permit that cannot be."""
        return cls(region.frame, ClosedAirspace(region, permits=permits), Approved(region, permits), Crossings(region))


@dataclass(frozen=True, slots=True)
class Course:
    """What a vehicle should do on one mission: its path, and the energy that it takes."""

    mission_id: str
    follower: PathFollower
    conformance: Conformance
    energy: EnergyLeft
    gates: Mapping[int, float]
    """At which of the path's seconds it is to go on from the steps at which it waits for people."""


def course_of(
    row: Mapping[str, Any], vehicle_type: VehicleType, *, frame: LocalFrame, site: str, temperature_c: float
) -> Course | None:
    """Return the course of a mission (a row of ``watching.sql``), ``None`` where it has no path to speak of.

    ``site`` is the name of where it ends. Takes some milliseconds. Raises ``BadInput`` for a track that is damaged.
    """
    drone = vehicle_type.kind is VehicleKind.DRONE
    path: PlannedPath | None = None
    if drone and row["given"] is not None:
        path = PlannedPath.of_track(given_from_json(row["given"]).track, frame)
    elif not drone:
        way = [Position(**step["position"]) for step in row["trip"]["mission"]["steps"]]
        path = PlannedPath.of_way(way, frame, start=row["planned_depart"], mps=vehicle_type.cruise_speed_mps)
    if path is None:
        return None
    began = row["started_at"]
    follower = PathFollower(path, apart=APART, timed=drone, began=began)
    masses = row["masses_kg"]
    stops = [
        (datetime.fromisoformat(stop["leave"]), sum(masses.get(order, 0.0) for order in stop["order_ids"]))
        for stop in row["trip"]["stops"]
    ]
    energy = EnergyLeft(
        vehicle_type,
        follower,
        site=site,
        stops=stops,
        temperature_c=temperature_c,
        return_alt_amsl_m=row["trip"]["mission"].get("return_alt_amsl_m"),
    )
    conformance = Conformance(follower, apart=APART, drone=drone)
    return Course(row["mission_id"], follower, conformance, energy, _gates(row, path) if drone else {})


def _gates(row: Mapping[str, Any], path: PlannedPath) -> dict[int, float]:
    """Return when a drone is to go on from its gated releases. They hold for the track as it is kept now."""
    leaves = {stay.site_id: (stay.leave - path.start).total_seconds() for stay in given_from_json(row["given"]).stays}
    sites = {tuple(stop["order_ids"]): stop["to_site"] for stop in row["trip"]["stops"]}
    steps = enumerate(row["trip"]["mission"]["steps"])
    gated = ((number, sites.get(tuple(step["order_ids"]))) for number, step in steps if step.get("gate_s"))
    return {number: leaves[site] for number, site in gated if site in leaves}


class WatchedVehicle:
    """The monitors of one vehicle, and what they remember.

    Samples are kept as they come and looked at when it is asked what they show, the newest of them: what it costs
    does not grow with what a vehicle sends.
    """

    def __init__(
        self, vehicle_type: VehicleType, home: Position, surroundings: Surroundings, *, speed: float = 1.0
    ) -> None:
        self.vehicle_type = vehicle_type
        self.course: Course | None = None
        self.flying: Flying | None = None
        """Where it is in the air, and where it goes."""
        self._home = home
        self._speed = speed
        self._frame = surroundings.frame
        self._drone = vehicle_type.kind is VehicleKind.DRONE
        self._newest: Sample | None = None
        self._fresh = False
        self._waits_s: float | None = None
        self._memory = Memory()
        self._held: set[tuple[str, str]] = set()
        self._link = LinkQuality()
        limit_s = max(LIMIT_S if self._drone else LIMIT_S + STATE_S, STALE_WALL_S * speed)
        self._stale = StaleData(limit_s=limit_s)
        self._always: list[Monitor] = [self._link, self._stale]
        if not self._drone:
            stands_s = max(limit("in_road", "stands_s"), STALE_WALL_S * speed)
            self._always.append(InRoad(surroundings.crossings, stands_s=stands_s))
        wind_limit_mps = limit_mps(vehicle_type)
        if self._drone and wind_limit_mps is not None:
            self._always += [
                WindLimit(wind_limit_mps),
                ZoneBreach(surroundings.closed, vehicle_type),
                FenceBreach(surroundings.approved, vehicle_type),
            ]

    def take(self, sample: Sample) -> None:
        """Keep a sample; one that is older than the newest is passed over."""
        if self._newest is None or sample.t >= self._newest.t:
            self._newest, self._fresh = sample, True

    def feed(self, activity: Activity, *, now: datetime, watches: bool, step: int | None = None) -> None:
        """Show the newest sample to the monitors. ``watches``: it is on its mission and under way, at ``step`` of it.

        While it waits for people, or has just been answered, its plan's times say nothing of it.
        """
        if watches:
            self._stale.begin(now)
        else:
            self._stale.end()
        if self.course is not None:
            waits_s = self.course.gates.get(step) if step is not None else None
            self.course.conformance.follows(activity in _FOLLOWS[self.vehicle_type.kind] and waits_s is None)
            if waits_s is None and self._waits_s is not None:
                self.course.conformance.go_on(now, self._waits_s)
            self._waits_s = waits_s
            self.course.energy.heads_home = activity in {Activity.RETURN, Activity.LAND}
        if not self._fresh or self._newest is None:
            return
        self._fresh = False
        monitors = self._always
        if self.course is not None:
            # Energy is reckoned from the place that conformance has found.
            monitors = [*monitors, self.course.conformance, self.course.energy]
        for monitor in monitors:
            monitor.take(self._newest)
        self.flying = self._flying(self._newest)

    def look(
        self, state: VehicleState, mission: Mapping[str, Any] | None, asked: tuple[str, datetime] | None, now: datetime
    ) -> list[Finding]:
        """Return what its state, its mission and its monitors show; ``feed`` comes first."""
        look = Look(now, state, self.vehicle_type, mission, asked, self._home, self._speed)
        self._memory = remember(look, self._memory)
        found = findings(look, self._memory)
        if not state.connected:
            # What it last said is old: what held is neither over nor goes on.
            told = {(finding.code, finding.key) for finding in found}
            left = self._held - told if look.on_mission else set()
            why = [each for each in _odd(state) if each.code in _WHILE_SILENT]
            left -= {(finding.code, finding.key) for finding in why}
            return [*found, *why, *(Finding(code, None, key=key) for code, key in sorted(left))]
        found += _odd(state)
        found += self._monitored(look, now)
        self._held = {(finding.code, finding.key) for finding in found}
        return found

    def hold_s(self, state: VehicleState) -> float | None:
        """Seconds that a drone that holds in the air may go on holding, as far as that is known."""
        holds = state.activity is Activity.HOLD and not state.on_ground
        return self.course.energy.hold_s if holds and self.course is not None else None

    def _monitored(self, look: Look, now: datetime) -> list[Finding]:
        found = [
            finding
            for monitor in self._always
            if look.on_mission or monitor is not self._link
            for finding in monitor.findings(now)
        ]
        if look.on_mission and self.course is not None:
            found += self.course.conformance.findings(now)
            found += self.course.energy.findings(now)
        return found

    def _flying(self, sample: Sample) -> Flying | None:
        place = place_of(sample, self._frame)
        if not self._drone or place is None or sample.alt_amsl_cm is None or not airborne(sample):
            return None
        velocity = (sample.vel_e_cms or 0) / 100.0, (sample.vel_n_cms or 0) / 100.0, -(sample.vel_d_cms or 0) / 100.0
        course = self.course
        if course is not None and course.conformance.conforms and course.follower.fix is not None:
            # It turns and levels off where its plan does.
            along_s = course.follower.fix.along_s
            east, north, up = (course.follower.at(along_s + AHEAD_S) - course.follower.at(along_s)) / AHEAD_S
            velocity = float(east), float(north), float(up)
        return Flying(sample.vehicle_id, sample.t.timestamp(), place, velocity)


def _odd(state: VehicleState) -> list[Finding]:
    """What is odd about the contact, as the link tells it."""
    return [Finding(code, True, values={"detail": detail}) for code, detail in state.conditions.items()]


def intake_findings(known: VehicleIntake, *, speed: float) -> list[Finding]:
    """Return what is odd about what comes from a vehicle: its clock, and how much it sends."""
    found = []
    off_s = known.clock_off_s
    if off_s is not None and abs(off_s) > max(CLOCK_OFF_S, CLOCK_OFF_WALL_S * speed):
        found.append(Finding("clock_wrong", True, values={"off_s": round(off_s, 1)}))
    if known.flooding:
        found.append(Finding("flooding", True, values={"rate_hz": round(known.rate_hz, 1)}))
    return found


def under_way(mission: Mapping[str, Any] | None, state: VehicleState, vehicle_type: VehicleType) -> bool:
    """Whether a vehicle is on its mission and moves, so that news of where it is must come."""
    if mission is None or mission["state"] not in ON_MISSION or not state.connected:
        return False
    if vehicle_type.kind is VehicleKind.DRONE:
        return not state.on_ground
    return state.activity in {Activity.MISSION, Activity.RETURN}


def moment(text: str | None) -> datetime | None:
    """Read a time of the live bus; ``None`` for none and for what is no time with a zone."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else None

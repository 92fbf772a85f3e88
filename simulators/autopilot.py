"""The simulated autopilot: flight modes, arming and landing, as PX4 1.16 behaves seen from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from routing.vehicle_type import Airframe as Airframes
from simulators import missions
from simulators.failsafe import ARMING_SATELLITES, Failsafes
from simulators.faults_aboard import FaultsAboard
from simulators.feasibility import Verdict, judge_mission
from simulators.fence import Fence
from simulators.flight import Airframe, Target
from simulators.gripper import Gripper
from simulators.ground_crew import GroundCrew
from simulators.guided import Guided
from simulators.missions import Item, MissionStore
from simulators.modes import Mode
from simulators.navigator import MissionFlight
from simulators.params import Parameters
from simulators.returning import ReturnFlight
from simulators.targets import Targets
from simulators.winch import Winch
from simulators.wing import Wing

if TYPE_CHECKING:
    from simulators.config import FaultConfig

_PREVENTS_ARMING = (Mode.RTL, Mode.LAND)
_HOME_AFTER_S = 2.6
_READY_AFTER_S = 4.6
_LANDED_AFTER_S = 5.0
_JUDGING_S = 0.3
_CRITICAL, _INFO = 2, 6


class Outbox(Protocol):
    """Where the autopilot speaks: the ground station and the vehicle's own log."""

    def text(self, severity: int, text: str) -> None:
        """Say a STATUSTEXT."""
        ...

    def log(self, event: str, **fields: object) -> None:
        """Write an event to the vehicle's log."""
        ...

    def gripper_ack(self, result: int, partner: tuple[int, int] | None) -> None:
        """Acknowledge a DO_GRIPPER."""
        ...

    def home_changed(self) -> None:
        """Home was set."""
        ...

    def keep(self) -> None:
        """Parameters or missions changed and must outlive a restart."""
        ...


class Autopilot:
    """One vehicle's autopilot. ``now_s`` is the vehicle's own time since its start."""

    def __init__(
        self,
        body: Airframe,
        params: Parameters,
        store: MissionStore,
        outbox: Outbox,
        *,
        payload_kg: float,
        faults: Sequence[FaultConfig] = (),
    ) -> None:
        self.body = body
        self.params = params
        self.store = store
        self.text: Callable[[int, str], None] = outbox.text
        self.log: Callable[..., None] = outbox.log
        self._outbox = outbox
        self.now_s = 0.0
        self.mode = Mode.LOITER
        self.armed = False
        self.landed = True
        self.crashed = False
        self.battery_failed = False
        self.home_position: tuple[float, float, float] | None = None
        self.home_local = (0.0, 0.0)
        self.home_alt_m = body.alt_m
        self.mission = MissionFlight(self)
        self.rtl = ReturnFlight(self)
        self.failsafes = Failsafes(self)
        self.targets = Targets(self)
        self.crew = GroundCrew(self, payload_kg)
        self.guided = Guided(self)
        self.faults = FaultsAboard(self, faults)
        self.gripper = Gripper(
            answer=outbox.gripper_ack, done=self.crew.gripped, jammed=lambda: self.faults.gripper_jams
        )
        self.winch = Winch(height_m=lambda: body.alt_m - body.ground_m, laid_down=self.crew.laid_down)
        self.wing = body.lift = Wing(self) if body.kind.built_as is Airframes.VTOL else None
        self.verdict = Verdict("no mission")
        self.taking_off = False
        self._airborne_since_arming = False
        self._mode_after_disarming = Mode.LOITER
        self._judged_s = 0.0
        self.armed_s = 0.0
        self._landed_s = 0.0
        self._takeoff_to_m: float | None = None
        self._next_check_s = 0.0

    # -- state that telemetry reads ----------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether sensors and position are up."""
        return self.now_s >= _READY_AFTER_S and not self.failsafes.gps_lost and not self.crashed

    @property
    def mission_trouble(self) -> str | None:
        """Why the mission cannot be flown now: PX4 needs a moment to find a new one feasible."""
        if self.verdict.reason is None and self.now_s < self._judged_s + _JUDGING_S:
            return "not checked yet"
        return self.verdict.reason

    @property
    def battery_fraction(self) -> float:
        """Battery level as reported, 0 to 1."""
        return 0.0 if self.battery_failed else self.body.battery_fraction

    @property
    def landing(self) -> bool:
        """Whether it is coming down to land."""
        by_mode = self.mode is Mode.LAND or (self.mode is Mode.RTL and self.rtl.landing)
        return not self.landed and (by_mode or self.mission.landing)

    def local(self, item: Item) -> tuple[float, float]:
        """East and north of an item in the local frame."""
        return self.body.local(item.lat, item.lon)

    def altitude(self, item: Item) -> float:
        """Altitude AMSL of an item."""
        return self.home_alt_m + item.z if item.relative else item.z

    # -- commands ----------------------------------------------------------------------------------

    def arming_refusals(self) -> list[str]:
        """Why it would not arm now; empty when it would."""
        refusals = []
        if self.crashed:
            refusals.append("vehicle crashed")
        if self.now_s < _READY_AFTER_S:
            refusals.append("system not ready")
        if self.failsafes.gps_lost or self.home_position is None:
            refusals.append("no global position")
        elif int(self.params["SIM_GPS_USED"]) < ARMING_SATELLITES:
            refusals.append("too few satellites")
        if self.failsafes.battery_warning() >= 2:
            refusals.append("low battery")
        if int(self.params["NAV_DLL_ACT"]) > 0 and self.failsafes.link_lost:
            refusals.append("No connection to the ground control station")
        if self.mode in _PREVENTS_ARMING:
            refusals.append(f"mode {self.mode.label}")
        if self.battery_fraction < float(self.params["COM_ARM_BAT_MIN"]):
            refusals.append("battery below COM_ARM_BAT_MIN")
        if self.mode is Mode.MISSION and self.mission_trouble is not None:
            refusals.append(f"mission: {self.mission_trouble}")
        return refusals

    def arm(self) -> bool:
        """Arm; returns whether it is armed. A refusal is said and logged."""
        if self.armed:
            return True
        refusals = self.arming_refusals()
        if refusals:
            self.text(_CRITICAL, "Arming denied: Resolve system health failures first")
            self.log("arming_denied", reasons=refusals)
            return False
        self.armed = True
        self.armed_s = self._landed_s = self.now_s
        self._airborne_since_arming = False
        self.set_home()
        self.log("armed")
        self.text(_INFO, "Armed by external command")
        if self.mode is Mode.MISSION:
            self._judge()
        self._begin_mode(self.mode)
        return True

    def disarm(self, *, force: bool = False, by: str = "external command") -> bool:
        """Disarm on the ground, or anywhere by force; returns whether it is disarmed."""
        if not self.armed:
            return True
        if not self.landed and not force:
            self.text(_CRITICAL, "Disarming denied: not landed")
            return False
        self.armed = False
        self.crew.note_disarmed()
        self.targets.speed_mps = None
        self.mission.deactivate()
        self.mission.note_disarmed()
        self.failsafes.mode_changed_by_user()
        self.log("disarmed", by=by)
        self.text(_INFO, f"Disarmed by {by}")
        self.enter_mode(self._mode_after_disarming, "disarmed")
        self._outbox.keep()
        return True

    def set_mode(self, mode: Mode, cause: str = "command") -> bool:
        """Change the mode; in the air only to one that can be flown. Returns whether it was taken."""
        if self.armed and mode is Mode.MISSION and self.mission_trouble is not None:
            self.text(_CRITICAL, "Switching to Mission is currently not available")
            return False
        by_hand = self.armed and not mode.auto
        if not by_hand and (not self.armed or not self.failsafes.gps_lost or mode is Mode.LAND):
            self.failsafes.mode_changed_by_user()
            if mode not in _PREVENTS_ARMING:
                self._mode_after_disarming = mode
            self.enter_mode(mode, cause)
            return True
        # Nobody holds a remote control, and nobody sends setpoints: the modes that want one are not to be had.
        self.text(_CRITICAL, f"Switching to {mode.spoken} is currently not available")
        return False

    def enter_mode(self, mode: Mode, cause: str) -> None:
        """Take a mode without asking (failsafes, ends of missions)."""
        if mode is self.mode and not (mode is Mode.TAKEOFF and self.landed):
            if mode is Mode.LOITER:
                self.targets.hold = None
            return
        if self.mode is Mode.MISSION:
            self.mission.deactivate()
        before, self.mode = self.mode, mode
        self.log("mode", mode=mode.label, cause=cause)
        if mode is Mode.MISSION:
            self._judge()
        self._begin_mode(before)

    def _begin_mode(self, before: Mode) -> None:
        self.targets.hold = None
        self.targets.hold_speed_mps = None
        self._takeoff_to_m = self._takeoff_to_m if self.mode is Mode.TAKEOFF else None
        if not self.armed:
            return
        if self.mode is Mode.MISSION and not self.mission.active:
            self.mission.activate()
        elif self.mode is Mode.RTL:
            self.rtl.activate(before)

    def take_off_to(self, alt_amsl_m: float | None) -> bool:
        """Choose the take-off mode, to an altitude or ``MIS_TAKEOFF_ALT`` above home."""
        self._takeoff_to_m = alt_amsl_m
        return self.set_mode(Mode.TAKEOFF)

    def mission_finished(self) -> None:
        """The last item is done: hold in the air; on the ground the mode stays until it disarms."""
        self.log("mission_finished")
        if self.landed:
            self.text(_INFO, "Mission finished, landed")
            return
        self.text(_INFO, "Mission finished, loitering")
        self._mode_after_disarming = Mode.LOITER
        self.enter_mode(Mode.LOITER, "mission finished")

    def stored(self, kind: int, changed: bool, current: int) -> None:
        """A mission, fence or rally list was stored."""
        counts = {missions.MISSION: "mission", missions.FENCE: "fence", missions.RALLY: "rally"}
        self.log("stored", kind=counts[kind], items=len(self.store.items[kind]), changed=changed)
        if kind == missions.FENCE:
            self.failsafes.set_fence(Fence.of(self.store.items[kind]))
        if changed:
            if kind == missions.MISSION:
                self.mission.changed(current)
            self._judge()
            self._outbox.keep()

    def _judge(self) -> None:
        if self.verdict.reason is not None:
            self._judged_s = self.now_s
        self.verdict = judge_mission(
            self.store.items[missions.MISSION],
            home_alt_m=self.home_alt_m if self.home_position else None,
            landed=self.landed,
            takeoff_land_required=int(self.params["MIS_TKO_LAND_REQ"]),
            fence=None if self.failsafes.fence_ignored else self.failsafes.fence,
            rally=self.store.items[missions.RALLY],
        )
        for text in self.verdict.texts:
            self.text(_CRITICAL, text)
        if self.verdict.reason is None or not self.store.items[missions.MISSION]:
            return
        self.log("infeasible", reason=self.verdict.reason)
        if self.armed and not self.landed and self.mode is Mode.MISSION:
            self.text(_CRITICAL, "No valid mission available, loitering")
            self._mode_after_disarming = Mode.LOITER
            self.enter_mode(Mode.LOITER, "mission infeasible")

    # -- time --------------------------------------------------------------------------------------

    def step(self, dt: float) -> None:
        """Move on by ``dt`` seconds of vehicle time."""
        self.now_s += dt
        self.gripper.tick(self.now_s)
        if self.winch.turns:
            self.winch.tick(dt, jammed=self.faults.gripper_jams)
        if self.home_position is None and self.now_s >= _HOME_AFTER_S and not self.failsafes.gps_lost:
            self.set_home()
            self._judge()
        if self.now_s >= self._next_check_s:
            self._next_check_s = self.now_s + 0.2
            self.failsafes.check()
            self.crew.drain(0.2)
            self.faults.tick()
        if self.armed:
            self.body.step(dt, self._fly(), motors=not self.crashed)
        elif not self.body.on_ground:
            self.body.step(dt, None, motors=False)
        else:
            self.body.rest(dt)
        self._watch_ground()

    def _fly(self) -> Target | None:
        self.taking_off = False
        if self.mode is Mode.MISSION:
            target = self.mission.update()
            self.taking_off = self.mission.taking_off
            if self.mode is Mode.MISSION:
                return target if target is not None or self.landed else self.targets.hover()
        if self.mode is Mode.TAKEOFF:
            return self._take_off()
        if self.landed:
            return None
        if self.mode is Mode.RTL:
            return self.rtl.update()
        if self.mode is Mode.LAND:
            return self.targets.land_here()
        return self.targets.hover()

    def _take_off(self) -> Target:
        if self._takeoff_to_m is None:
            height_m = float(self.params["MIS_TAKEOFF_ALT"])
            self._takeoff_to_m = self.home_alt_m + height_m
            self.text(_INFO, f"Using default takeoff altitude: {height_m:.1f} m")
        self.taking_off = True
        if not self.landed and self.body.alt_m >= self._takeoff_to_m - 0.5:
            self.taking_off = False
            self._mode_after_disarming = Mode.LOITER
            self.enter_mode(Mode.LOITER, "take-off finished")
        goal_m = self.body.alt_m if self._takeoff_to_m is None else self._takeoff_to_m
        return self.targets.climb(goal_m, takeoff=True)

    def _watch_ground(self) -> None:
        body = self.body
        if self.landed and not body.on_ground and body.alt_m > body.ground_m + 0.15:
            self.landed, self._airborne_since_arming = False, True
            self.log("takeoff", alt_m=round(body.alt_m, 2))
            self.text(_INFO, "Takeoff detected")
        elif not self.landed and body.on_ground and body.contact_s > _LANDED_AFTER_S:
            self.landed, self._landed_s = True, self.now_s
            if self.wing is not None:
                self.wing.note_landed()
            place = body.position()
            self.log(
                "crashed" if self.crashed else "landed", lat=place.lat, lon=place.lon, alt_m=round(place.alt_amsl_m, 2)
            )
            self.text(_INFO, "Landing detected")
        if not self.landed and not self.crashed and (body.energy_wh <= 0.0 or (body.lame and body.on_ground)):
            self.crashed = True
            self.log("battery_empty" if body.energy_wh <= 0.0 else "motor_dead")
        if self.armed and self.landed:
            self._disarm_by_itself()
        self.crew.step()

    def _disarm_by_itself(self) -> None:
        if self.crashed:
            self.disarm(force=True, by="lockdown")
            return
        in_mission = self.mode is Mode.MISSION
        if self._airborne_since_arming:
            # Landed amid a mission it stays armed; at a mission's end PX4 1.16 disarms at once.
            delay_s = 0.0 if in_mission else float(self.params["COM_DISARM_LAND"])
            if (self.mission.finished or not in_mission) and self.now_s - self._landed_s >= delay_s:
                self.disarm(by="landing")
        elif self.now_s - self.armed_s > float(self.params["COM_DISARM_PRFLT"]):
            self.disarm(by="auto preflight disarming")

    def set_home(self, place: tuple[float, float, float] | None = None) -> None:
        """Home is a place (latitude, longitude, altitude AMSL), or where it is now."""
        lat, lon, alt_m = place or self.body.estimate()
        self.home_position = (lat, lon, alt_m)
        self.home_local = self.body.local(lat, lon)
        self.home_alt_m = alt_m
        self._outbox.home_changed()

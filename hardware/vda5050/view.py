"""What is known of one robot: takes its messages in and answers for its state. Sends nothing."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime

from hardware.arrivals import Arrivals
from hardware.lines import Line
from hardware.link import Activity, EventSink, SampleSink, VehicleState, Wait, no_events
from hardware.mission import Mission
from hardware.mqtt_subscription import Message
from hardware.vda5050.factsheet import Factsheet
from hardware.vda5050.following import Following
from hardware.vda5050.happenings import changes_of
from hardware.vda5050.makers import Quirks, quirks_of
from hardware.vda5050.messages import (
    UINT32,
    AgvPosition,
    Connection,
    MalformedMessage,
    State,
    Velocity,
    Visualization,
    read,
)
from hardware.vda5050.rivals import Rivals
from hardware.vda5050.route import Route
from hardware.vda5050.translate import (
    HeaderFilter,
    activity_of,
    faults_of,
    heading_deg,
    mode_of,
    percent_x10,
    position_of,
    sample_of,
    speed_mps,
)
from hardware.vda5050.waiting import Waiting
from hardware.vda5050.watchers import Watchers
from routing.geo import LocalFrame, Position
from telemetry.clock import Clock
from telemetry.event import VehicleEvent

NOTE_LIMIT = 5
"""Own findings kept; at the bound the oldest is forgotten."""
SILENCE_MARGIN_S = 5.0
"""Domain seconds beyond the state interval after which a robot is not heard any more."""
NETWORK_MARGIN_S = 1.0
"""Wall seconds beyond that, which do not shrink when domain time runs faster."""
QUALITY_WINDOW_S = 60.0
"""Wall seconds over which the share of states that arrive is measured."""
EVENT_TEXT_LENGTH = 500

_log = logging.getLogger(__name__)


class RobotView:
    """The picture of one robot, built from its messages.

    ``counts`` counts what was not used: the reasons of ``MalformedMessage``, ``duplicate`` or late, ``retained`` (old
    states), ``foreign`` (another serial number), ``other_vehicle`` (a second sender, see ``Lines``) and ``failed``.
    ``on_event`` is told what happens and the robot's errors, each once when it appears. ``listened_until`` is the
    domain time until which this or another process has listened to the robot before.
    """

    def __init__(
        self,
        *,
        vehicle_id: str,
        manufacturer: str,
        serial: str,
        frame: LocalFrame,
        clock: Clock,
        lost_link_s: float,
        trigger_s: float,
        on_sample: SampleSink,
        on_event: EventSink = no_events,
        listened_until: datetime | None = None,
    ) -> None:
        self.raw: State | None = None
        self.states_taken = 0
        self.stops_sent = 0
        self.watchers = Watchers()
        self.factsheet: Factsheet | None = None
        self.following = Following(self.note)
        self.waiting = Waiting(trigger_s=trigger_s)
        self.rivals = Rivals(serial=serial, speed=clock.speed)
        self.horizon_mps: float | None = None
        self.counts: Counter[str] = Counter()
        self._vehicle_id, self._manufacturer, self._serial = vehicle_id, manufacturer, serial
        self._was_homing = False
        self._writes = ""
        self._wait: Wait | None = None
        self._overdue = False
        self._unconfirmed: str | None = None
        self._frame, self._clock, self._on_sample = frame, clock, on_sample
        self._on_event = on_event
        self._silence_s = clock.wall_seconds(lost_link_s + SILENCE_MARGIN_S) + NETWORK_MARGIN_S
        self._state_filter, self._view_filter = HeaderFilter(), HeaderFilter()
        self._lost_s = clock.wall_seconds(lost_link_s) + NETWORK_MARGIN_S
        self._listened_until = listened_until
        self._arrivals = Arrivals(modulus=UINT32, window_s=QUALITY_WINDOW_S)
        self._said = ""
        self._down = False
        # Its connection came back after its lost-link time, and its mission was not known yet.
        self._broke = False
        self._heard_mono: float | None = None
        self._heard_at: datetime | None = None
        self._taken_mono: float | None = None
        self._pose: AgvPosition | None = None
        self._velocity: Velocity | None = None
        self._samples = 0
        self._notes: deque[str] = deque(maxlen=NOTE_LIMIT)
        self._connected = False
        self._standing: Mapping[str, str] = {}
        self._position: Position | None = None
        # Built when somebody looks: a robot may speak more often than that.
        self._state: VehicleState | None = VehicleState()

    @property
    def quirks(self) -> Quirks:
        """How the robot is spoken to, by its maker and the version that it writes."""
        return quirks_of(self._manufacturer, self._writes)

    @property
    def unconfirmed(self) -> str | None:
        """A stop that was sent and that the robot's state does not show yet, in words."""
        return self._unconfirmed

    @property
    def age_s(self) -> float:
        """Wall seconds since the robot was last heard, infinite before that."""
        return math.inf if self._heard_mono is None else time.monotonic() - self._heard_mono

    @property
    def state_age_s(self) -> float:
        """Wall seconds since the state in ``raw`` came: what comes twice or from another robot does not renew it."""
        return math.inf if self._taken_mono is None else time.monotonic() - self._taken_mono

    def expect(self, mission: Mission, route: Route) -> None:
        """Set the mission by which states are read; what is known of the same mission is kept."""
        self.rivals.expect(mission.mission_id)
        if self.following.expect(mission, route):
            self._notes.clear()
            self.horizon_mps = None
        self._rebuild()
        self._judge_break()
        self.watchers.notify()

    def cancelling(self, on: bool, *, home: bool) -> None:
        """Note that we are cancelling the robot's order, and whether to call it home; and that this is over."""
        self.following.cancelling, self.following.homing = on, on and home
        if not on:
            self._rebuild()
            self.watchers.notify()

    def stop_sent(self) -> None:
        """Note that a stop has gone out, until the robot's state shows it."""
        self.stops_sent += 1
        if self.raw is None or not self.raw.paused:
            at = f"{self._clock.now():%H:%M:%S} UTC"
            self._unconfirmed = f"a stop was sent at {at}; the state of the robot does not show it yet"
            self._state = None
            self.watchers.notify()

    def going_sent(self, *, stops: int) -> None:
        """Note that the robot was told to go on: a stop before that is none any more.

        ``stops``: ``stops_sent`` before it was told; a stop that was sent meanwhile counts.
        """
        if self.stops_sent == stops:
            self._unconfirmed = self._state = None
            self.watchers.notify()

    def resumed(self) -> None:
        """Take the pilot's word that the robot may go on after its connection was lost."""
        self.waiting.resumed()
        self._rebuild()
        self.watchers.notify()

    def note(self, finding: str) -> None:
        """Add a finding of our own to the faults."""
        if finding not in self._notes:
            _log.warning("%s: %s", self._vehicle_id, finding)
            self._notes.append(finding)
            self._state = None
            self.watchers.notify()

    def clear_notes(self) -> None:
        """Forget our findings: what they were about is over."""
        self._notes.clear()
        self._state = None

    def current_route(self) -> Route | None:
        """Return the route that the robot is on, of its mission, the rest of it or its way back, ``None`` if none."""
        return self.following.on

    def pose_m(self) -> tuple[float, float] | None:
        """Return where the robot is, in metres east and north of the map's origin."""
        return None if self._position is None else self._frame.to_local(self._position)

    def state(self, *, broker_up: bool) -> VehicleState:
        """Return the latest state; whether the robot is heard is judged now."""
        self.contact(broker_up=broker_up)
        if self._state is None:
            self._state = self._shown()
        return self._state

    def contact(self, *, broker_up: bool) -> bool:
        """Judge now whether the robot is heard, and return it."""
        heard = self.age_s < self._silence_s
        connected = broker_up and heard and not self._down
        conditions = self.rivals.standing(time.monotonic())
        self._watch_time()
        if connected != self._connected or conditions != self._standing:
            if connected != self._connected:
                self._tell_contact(connected, broker_up=broker_up, silent=not heard)
            self._connected, self._standing, self._state = connected, conditions, None
            self.watchers.notify()
        return connected

    def _watch_time(self) -> None:
        """Notice that the time is over in which somebody should have unlocked the robot."""
        until = None if self._wait is None else self._wait.until
        overdue = until is not None and self._clock.now() >= until
        if overdue != self._overdue:
            self._overdue, self._state = overdue, None
            if overdue and self._wait is not None:
                self._tell(3, "status", f"nobody has unlocked it at node {self._wait.node!r} in time")
            self.watchers.notify()

    def _tell_contact(self, connected: bool, *, broker_up: bool, silent: bool) -> None:
        if connected:
            self._tell(6, "connected", "heard")
        elif not broker_up:
            self._tell(4, "lost", "the broker is away")
        else:
            self._tell(4, "lost", "silent for too long" if silent else f"its connection is {self._said}")

    def _tell(self, severity: int, kind: str, text: str) -> None:
        event = VehicleEvent(self._vehicle_id, self._clock.now(), severity, text[:EVENT_TEXT_LENGTH], kind)
        self._on_event(event)

    def take(self, leaf: str, message: Message) -> None:
        """Take a message of the topic ending in ``leaf``. Never raises: what is no use is counted."""
        try:
            if leaf == "state":
                self._take_state(message)
            elif leaf == "connection":
                self._take_connection(message)
            elif leaf == "visualization":
                self._take_visualization(message)
            elif leaf == "factsheet":
                self.factsheet = read(Factsheet, message.payload)
        except MalformedMessage as error:
            self._count(error.reason, str(error))
        except Exception as error:
            # Whatever a robot sends must not end the loop that listens to it.
            self._count("failed", repr(error))
            _log.exception("%s: message on %s", self._vehicle_id, leaf)
        self.watchers.notify()

    def _take_state(self, message: Message) -> None:
        if message.retain:
            # Says what was, not what is; the next one comes within 30 s.
            self.counts["retained"] += 1
            return
        state = read(State, message.payload)
        if state.serial_number != self._serial:
            self._count("foreign", f"state of serial number {state.serial_number!r}")
            return
        now, unheard_s = time.monotonic(), self._unheard_s()
        self._heard()
        if not self._state_filter.accept(state.header_id, state.timestamp):
            self.counts["duplicate"] += 1
            if self._state_filter.contradicts(state.header_id, state.timestamp) or self._is_another(state):
                self.rivals.contradicted(now)
            return
        if not self._belongs(state, now):
            self.counts["other_vehicle"] += 1
            return
        self._arrivals.heard(state.header_id, now)
        before, self.raw, self._writes = self.raw, state, state.version
        self._taken_mono = now
        self._pose, self._velocity = state.agv_position, state.velocity
        self.states_taken += 1
        if state.paused or state.safety_state.e_stop != "NONE":
            self._unconfirmed = None
        self.following.watch(before, state)
        for severity, kind, text in changes_of(before, state):
            self._tell(severity, kind, text)
        self._rebuild()
        self.rivals.look(state)
        if unheard_s > self._lost_s:
            self._broke = True
        self._judge_break()
        self._sample(state)

    def _is_another(self, state: State) -> bool:
        """Whether a state has the header id of the last one and other content: what came twice would be the same."""
        return self.raw is not None and self.raw.header_id == state.header_id and state != self.raw

    def _belongs(self, state: State, now: float) -> bool:
        """Return whether a state is the robot's, not that of a second one with its serial number."""
        line = self.rivals.line(state, now)
        if line is Line.BEGAN:
            self._arrivals.forget()
            if self.raw is not None and state.header_id < self.raw.header_id:
                self._tell(5, "restarted", f"its messages begin again at header id {state.header_id}")
        return line is not Line.OTHER

    def _take_connection(self, message: Message) -> None:
        connection = read(Connection, message.payload)
        online = connection.connection_state == "ONLINE"
        self._writes = connection.version
        self._down = not online
        if connection.connection_state != self._said:
            self._said = connection.connection_state[:64]
            self._tell(6 if online else 4, "connection", f"its connection is {self._said}")
        if online and not message.retain:
            # It may have restarted: its header ids and its clock may begin anew.
            self._state_filter.reset()
            self._view_filter.reset()
        self._rebuild()

    def _take_visualization(self, message: Message) -> None:
        seen = read(Visualization, message.payload)
        known = seen.header_id, seen.timestamp
        if message.retain or (
            known[0] is not None and known[1] is not None and not self._view_filter.accept(known[0], known[1])
        ):
            self.counts["duplicate"] += 1
            return
        self._pose = seen.agv_position or self._pose
        self._velocity = seen.velocity or self._velocity
        self._rebuild()

    def _heard(self) -> None:
        self._heard_mono = time.monotonic()
        self._heard_at = self._clock.now()
        # Some robots never announce themselves again after a break; a live state says as much.
        self._down = False

    def _unheard_s(self) -> float:
        """Wall seconds for which nobody has heard the robot, neither this process nor the one before it."""
        if self._heard_mono is not None:
            return self.age_s
        if self._listened_until is None:
            return 0.0
        return self._clock.wall_seconds((self._clock.now() - self._listened_until).total_seconds())

    def _judge_break(self) -> None:
        """After a long break, once the mission is known: whether it has come to the end of its base meanwhile."""
        if self._broke and self.raw is not None and self.following.mission is not None:
            self._broke = False
            self.waiting.found(self.current_route(), self.raw)
            self._rebuild()

    def _map_id(self) -> str | None:
        return None if self.following.mission is None else self.following.mission.map_id

    def _rebuild(self) -> None:
        """Take up what each message may change for good; the rest is built when somebody looks."""
        self._state, self._was_homing = None, self.following.homing
        state = self.raw
        if state is None:
            return
        self.following.take(state, shows_added_actions=self.quirks.shows_added_actions)
        self._position = None if self._pose is None else position_of(self._pose, self._frame, self._map_id())
        self._wait = self.waiting.look(self.current_route(), state, self.pose_m(), self._clock.now())

    def _shown(self) -> VehicleState:
        state = self.raw
        if state is None:
            return VehicleState(connected=self._connected, conditions=self._standing, unconfirmed=self._unconfirmed)
        on_return = self.following.returning(state)
        activity = activity_of(state, returning=self._was_homing or (on_return and state.order_active))
        pose, battery = self._pose, state.battery_state
        return VehicleState(
            t=self._heard_at,
            connected=self._connected,
            activity=activity,
            mode=mode_of(state),
            ready=self._connected and activity is Activity.IDLE and self._position is not None,
            position=self._position,
            heading_deg=None if pose is None else heading_deg(pose.theta),
            speed_mps=speed_mps(self._velocity),
            battery_pct=None if battery is None else percent_x10(battery) / 10,
            progress=self.following.progress,
            faults=faults_of(state, self._findings(state)),
            conditions=self._standing,
            waits=self._wait,
            unconfirmed=self._unconfirmed,
        )

    def _findings(self, state: State) -> list[str]:
        pose, map_id, findings = state.agv_position, self._map_id(), list(self._notes)
        if pose is not None and map_id is not None and pose.map_id != map_id:
            findings.append(f"the robot is on map {pose.map_id!r}, its mission on {map_id!r}")
        if self._overdue and self._wait is not None:
            findings.append(f"nobody has unlocked it at node {self._wait.node!r} in time")
        return findings

    def _sample(self, state: State) -> None:
        sample = sample_of(
            state,
            vehicle_id=self._vehicle_id,
            position=self._position,
            seq=self._samples + 1,
            t=self._heard_at or self._clock.now(),
            progress=self.following.progress,
            link_permille=self._arrivals.permille,
        )
        if sample is not None:
            self._samples += 1
            self._on_sample(sample)

    def _count(self, kind: str, words: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] in (1, 10, 100) or self.counts[kind] % 1000 == 0:
            _log.warning("%s: %s message no. %d: %s", self._vehicle_id, kind, self.counts[kind], words)

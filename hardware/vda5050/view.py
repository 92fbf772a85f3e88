"""What is known of one robot: takes its messages in and answers for its state. Sends nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from operator import attrgetter

from hardware.arrivals import Arrivals
from hardware.conditions import DUPLICATE_ID, Conditions
from hardware.lines import Line, Lines
from hardware.link import Activity, EventSink, Progress, Release, SampleSink, VehicleState, no_events
from hardware.mission import Mission
from hardware.mqtt_subscription import Message
from hardware.vda5050.happenings import changes_of
from hardware.vda5050.messages import (
    UINT32,
    AgvPosition,
    Connection,
    Factsheet,
    MalformedMessage,
    State,
    Velocity,
    Visualization,
    read,
)
from hardware.vda5050.orders import Route, carries, reached_index, resume_return, return_attempt
from hardware.vda5050.translate import (
    HeaderFilter,
    activity_of,
    faults_of,
    heading_deg,
    mode_of,
    percent_x10,
    position_of,
    progress_of,
    return_progress,
    sample_of,
    speed_mps,
)
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
MOST_MESSAGES_HZ, MESSAGES_AHEAD = 20.0, 50
"""How fast the header ids of one robot grow at most; ids that lie elsewhere are another sender's."""
TAKING_TURNS_S = 40.0
"""Wall seconds in which two senders under one serial number show themselves (a state comes each 30 s at least), and
for which the condition stands after that."""
EVENT_TEXT_LENGTH = 500

_node_key = attrgetter("sequence_id", "node_id")
_action_key = attrgetter("action_id", "action_status", "action_type")


def _progress_told(state: State) -> object:
    """All of a state on which progress depends."""
    return (
        state.order_id,
        state.last_node_id,
        state.last_node_sequence_id,
        state.driving,
        tuple(map(_node_key, state.node_states)),
        bool(state.edge_states),
        tuple(map(_action_key, state.action_states)),
    )


_log = logging.getLogger(__name__)


class RobotView:
    """The picture of one robot, built from its messages.

    ``counts`` counts what was not used: the reasons of ``MalformedMessage``, ``duplicate`` or late, ``retained`` (old
    states), ``foreign`` (another serial number), ``other_vehicle`` (a second sender, see ``Lines``) and ``failed``.
    ``on_event`` is told what happens and the robot's errors, each once when it appears.
    """

    def __init__(
        self,
        *,
        vehicle_id: str,
        serial: str,
        frame: LocalFrame,
        clock: Clock,
        lost_link_s: float,
        on_sample: SampleSink,
        on_event: EventSink = no_events,
    ) -> None:
        self.raw: State | None = None
        self.states_taken = 0
        self.version = 0
        self.factsheet: Factsheet | None = None
        self.mission: Mission | None = None
        self.route: Route | None = None
        self.back: Route | None = None
        self.cancelling = self._was_cancelling = False
        self.closed = False
        self.counts: Counter[str] = Counter()
        self._vehicle_id, self._serial = vehicle_id, serial
        self._frame, self._clock, self._on_sample = frame, clock, on_sample
        self._on_event = on_event
        self._silence_s = clock.wall_seconds(lost_link_s + SILENCE_MARGIN_S) + NETWORK_MARGIN_S
        self._state_filter, self._view_filter = HeaderFilter(), HeaderFilter()
        speed = max(clock.speed, 1.0)
        self._lines = Lines(
            per_s=MOST_MESSAGES_HZ * speed,
            slack=MESSAGES_AHEAD,
            back=0,
            silent_s=TAKING_TURNS_S / 2,
            window_s=TAKING_TURNS_S,
        )
        self._arrivals = Arrivals(modulus=UINT32, window_s=QUALITY_WINDOW_S)
        self._conditions = Conditions()
        self._said = ""
        self._down = False
        self._heard_mono: float | None = None
        self._heard_at: datetime | None = None
        self._pose: AgvPosition | None = None
        self._velocity: Velocity | None = None
        self._samples = 0
        self._releases: tuple[Release, ...] = ()
        self._notes: deque[str] = deque(maxlen=NOTE_LIMIT)
        self._watchers: set[asyncio.Event] = set()
        self._connected = False
        self._standing: Mapping[str, str] = {}
        self._progress = Progress()
        # What the robot said when that was found out: the same words say the same again.
        self._progress_told: object = None
        self._position: Position | None = None
        # Built when somebody looks: a robot may speak more often than that.
        self._state: VehicleState | None = VehicleState()

    def expect(self, mission: Mission, route: Route) -> None:
        """Set the mission by which states are read; what is known of the same mission is kept."""
        if self.mission is None or self.mission.mission_id != mission.mission_id:
            self._releases = ()
            self.back = None
            self.cancelling = False
            self._notes.clear()
        self.mission, self.route = mission, route
        self._progress_told = None
        self._rebuild()
        self._notify()

    def note(self, finding: str) -> None:
        """Add a finding of our own to the faults."""
        if finding not in self._notes:
            _log.warning("%s: %s", self._vehicle_id, finding)
            self._notes.append(finding)
            self._state = None
            self._notify()

    def clear_notes(self) -> None:
        """Forget our findings: what they were about is over."""
        self._notes.clear()
        self._state = None

    def current_route(self) -> Route | None:
        """Return the route that the robot is on, its mission or its way back, ``None`` if neither."""
        for route in (self.route, self.back):
            if route is not None and self.raw is not None and carries(route, self.raw):
                return route
        return None

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
        heard = self._heard_mono is not None and time.monotonic() - self._heard_mono < self._silence_s
        connected = broker_up and heard and not self._down
        conditions = self._conditions.standing(time.monotonic())
        if connected != self._connected or conditions != self._standing:
            if connected != self._connected:
                self._tell_contact(connected, broker_up=broker_up, silent=not heard)
            self._connected, self._standing, self._state = connected, conditions, None
            self._notify()
        return connected

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

    async def changes(self, current: Callable[[], VehicleState]) -> AsyncIterator[VehicleState]:
        """Yield the state now and after each change, the latest only, until the view is closed."""
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            while not self.closed:
                event.clear()
                yield current()
                await event.wait()
        finally:
            self._watchers.discard(event)

    async def wait_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until ``done`` after some message; returns whether it came within the wall time."""
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            async with asyncio.timeout(timeout_s):
                while not done():
                    event.clear()
                    await event.wait()
        except TimeoutError:
            return False
        finally:
            self._watchers.discard(event)
        return True

    def close(self) -> None:
        """End all waiting."""
        self.closed = True
        self._notify()

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
        self._notify()

    def _take_state(self, message: Message) -> None:
        if message.retain:
            # Says what was, not what is; the next one comes within 30 s.
            self.counts["retained"] += 1
            return
        state = read(State, message.payload)
        if state.serial_number != self._serial:
            self._count("foreign", f"state of serial number {state.serial_number!r}")
            return
        self._heard()
        now = time.monotonic()
        if not self._state_filter.accept(state.header_id, state.timestamp):
            self.counts["duplicate"] += 1
            if self._state_filter.contradicts(state.header_id, state.timestamp):
                self._lines.rival(now)
                self._see_two(now)
            return
        if not self._belongs(state, now):
            self.counts["other_vehicle"] += 1
            return
        self._arrivals.heard(state.header_id, now)
        before, self.raw = self.raw, state
        self._pose, self._velocity = state.agv_position, state.velocity
        self.states_taken += 1
        self._note_loss(before, state)
        for severity, kind, text in changes_of(before, state):
            self._tell(severity, kind, text)
        self._rebuild()
        self._sample(state)

    def _belongs(self, state: State, now: float) -> bool:
        """Return whether a state is the robot's, not that of a second one with its serial number."""
        line = self._lines.take(state.header_id, now)
        if line is Line.NEXT:
            return True
        if line is Line.BEGAN:
            self._arrivals.forget()
            if self.raw is not None and state.header_id < self.raw.header_id:
                self._tell(5, "restarted", f"its messages begin again at header id {state.header_id}")
        self._see_two(now)
        return line is not Line.OTHER

    def _see_two(self, now: float) -> None:
        if self._lines.two(now):
            detail = f"two robots with serial number {self._serial!r} speak in turn: their header ids differ"
            self._conditions.see(DUPLICATE_ID, detail, until=now + TAKING_TURNS_S)

    def _take_connection(self, message: Message) -> None:
        connection = read(Connection, message.payload)
        online = connection.connection_state == "ONLINE"
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

    def _map_id(self) -> str | None:
        return None if self.mission is None else self.mission.map_id

    def _note_loss(self, before: State | None, state: State) -> None:
        """Note an order of ours that the robot dropped by itself: restarted, switched or cancelled."""
        if self.mission is None or self.route is None or before is None:
            return
        if (before.order_id == state.order_id and state.order_active) or not before.order_active:
            return
        ours = {self.mission.mission_id}
        ours |= {o for o in (before.order_id, state.order_id) if return_attempt(self.mission.mission_id, o)}
        if before.order_id not in ours:
            return
        if state.order_id not in ours:
            self.note(f"the robot lost order {before.order_id}: it reports order {state.order_id!r}")
        elif state.order_id == before.order_id and not state.order_active and not self.cancelling:
            route = self.route if state.order_id == self.route.order_id else self.back
            if route is None or reached_index(route, state) < route.last:
                self.note(f"the robot gave up order {state.order_id} at node {state.last_node_id!r}")

    def _follow(self, state: State, mission: Mission, route: Route) -> Progress:
        if return_attempt(mission.mission_id, state.order_id) is None:
            return progress_of(mission, route, state, self._releases)
        if self.back is None or self.back.order_id != state.order_id:
            self.back = resume_return(route, state)
        return return_progress(mission, self.back, state, self._releases)

    def _rebuild(self) -> None:
        """Take up what each message may change for good; the rest is built when somebody looks."""
        self._state, self._was_cancelling = None, self.cancelling
        state, mission, route = self.raw, self.mission, self.route
        if state is None:
            return
        told = _progress_told(state)
        if told != self._progress_told:
            self._progress = self._follow(state, mission, route) if mission and route else Progress()
            self._progress_told = told
            self._releases = self._progress.releases
        self._position = None if self._pose is None else position_of(self._pose, self._frame, self._map_id())

    def _shown(self) -> VehicleState:
        state, mission = self.raw, self.mission
        if state is None:
            return VehicleState(connected=self._connected, conditions=self._standing)
        on_return = mission is not None and return_attempt(mission.mission_id, state.order_id) is not None
        activity = activity_of(state, returning=self._was_cancelling or (on_return and state.order_active))
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
            progress=self._progress,
            faults=faults_of(state, self._findings(state)),
            conditions=self._standing,
        )

    def _findings(self, state: State) -> list[str]:
        pose, map_id = state.agv_position, self._map_id()
        if pose is not None and map_id is not None and pose.map_id != map_id:
            return [*self._notes, f"the robot is on map {pose.map_id!r}, its mission on {map_id!r}"]
        return list(self._notes)

    def _sample(self, state: State) -> None:
        sample = sample_of(
            state,
            vehicle_id=self._vehicle_id,
            position=self._position,
            seq=self._samples + 1,
            t=self._heard_at or self._clock.now(),
            progress=self._progress,
            link_permille=self._arrivals.permille,
        )
        if sample is not None:
            self._samples += 1
            self._on_sample(sample)

    def _count(self, kind: str, words: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] in (1, 10, 100) or self.counts[kind] % 1000 == 0:
            _log.warning("%s: %s message no. %d: %s", self._vehicle_id, kind, self.counts[kind], words)

    def _notify(self) -> None:
        self.version += 1
        for event in self._watchers:
            event.set()

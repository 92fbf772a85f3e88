"""The link to one robot over VDA 5050 2.1."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from hardware.errors import HardwareError, MissionRejected, NotSupported, Refused
from hardware.link import EventSink, LeaseGuard, SampleSink, VehicleLink, VehicleState, no_events
from hardware.mission import Mission
from hardware.mqtt import Message, MqttClient, Subscription
from hardware.vda5050.dialogue import Dialogue
from hardware.vda5050.extension import BaseExtender
from hardware.vda5050.messages import State
from hardware.vda5050.orders import (
    START_DEVIATION_M,
    Route,
    carries,
    place_on,
    reached_index,
    return_attempt,
    return_id,
    return_route,
    route_of,
)
from hardware.vda5050.outbox import Outbox
from hardware.vda5050.view import RobotView
from routing.geo import LocalFrame, Position
from routing.vehicle_type import VehicleType
from telemetry.clock import Clock

BEAT_LIFE_S = 3.0
"""Wall seconds for which a ``beat`` lasts; without one nothing is sent by the link of its own accord."""
TICK_S = 0.5
"""Wall seconds between looks at the robot's silence and at its base, beside those at each message."""
STOP_S = 120.0
"""Domain seconds that a robot may take to stop for ``cancelOrder``; it may drive on to the next node."""
STOP_MARGIN_S = 10.0
"""Wall seconds beyond that."""
ROUND_S = 0.2
"""Wall seconds between two looks at least: a robot that speaks often is not answered as often."""

_log = logging.getLogger(__name__)


class Vda5050Link(VehicleLink):
    """A robot that speaks VDA 5050 2.1, on the metric frame of its region (``mapId``, x east, y north).

    An order carries the id of its mission, so that any process recognises it; the way back carries the
    same id with ``-return``. The base is continued by this link while ``beat`` keeps being called: a
    robot whose gateway hangs stops at the end of its base. ``profile`` is the ``[vda5050]`` table of the
    vehicle's profile. ``client`` is shared by the links of a gateway and outlives them.
    """

    def __init__(
        self,
        *,
        vehicle_id: str,
        manufacturer: str,
        serial: str,
        vehicle_type: VehicleType,
        profile: Mapping[str, Any],
        origin: Position,
        client: MqttClient,
        lease: LeaseGuard,
        clock: Clock,
        on_sample: SampleSink,
        simulated: bool,
        allow_real: bool = False,
        on_event: EventSink = no_events,
    ) -> None:
        self.vehicle_id = vehicle_id
        try:
            levels = (str(profile["interface"]), str(profile["major_version"]), manufacturer, serial)
            self._base_length_m = float(profile["base_length_m"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotSupported(f"{vehicle_id}: its profile's table [vda5050] lacks {error}") from error
        self._simulated, self._allow_real = simulated, allow_real
        self._client, self._clock = client, clock
        self._frame = LocalFrame(origin)
        self._view = RobotView(
            vehicle_id=vehicle_id,
            serial=serial,
            frame=self._frame,
            clock=clock,
            lost_link_s=vehicle_type.lost_link_s,
            on_sample=on_sample,
            on_event=on_event,
        )
        self._outbox = Outbox(
            client=client, lease=lease, view=self._view, clock=clock, vehicle_id=vehicle_id, levels=levels
        )
        self._dialogue = Dialogue(
            vehicle_id=vehicle_id,
            view=self._view,
            outbox=self._outbox,
            connected=lambda: self.state().connected,
        )
        self._extender = BaseExtender(
            view=self._view, outbox=self._outbox, clock=clock, base_length_m=self._base_length_m
        )
        self._uploaded: Mission | None = None
        self._beat_mono = -math.inf
        self._holds = 0
        self._version = 0
        self._greeted = False
        self._giving_order = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._unhook: Callable[[], None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def counts(self) -> Mapping[str, int]:
        """How many messages were not used, by the reason (see ``RobotView``)."""
        return dict(self._view.counts)

    async def open(self) -> None:
        """Start listening; raises ``NotSupported`` where simulated time would meet a real robot."""
        if not self._simulated and self._clock.simulated:
            raise NotSupported(f"{self.vehicle_id} is real, but time is simulated: not opened")
        if not self._simulated and not self._allow_real:
            raise NotSupported(f"{self.vehicle_id} is real, but real vehicles are not allowed here: not opened")
        if self._tasks:
            return
        # QoS 1 is the connection topic's; the others are published with 0 and so arrive with 0.
        self._subscription = self._client.subscribe(tuple(self._outbox.topics), 1, take=self._take)
        self._unhook = self._client.on_reconnect(self._forget_greeting)
        self._tasks = [asyncio.create_task(self._drive(), name=f"{self.vehicle_id} drives")]

    async def close(self) -> None:
        """Stop listening; the robot goes on to the end of its base."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5.0)
        self._tasks.clear()
        if self._subscription is not None:
            self._subscription.close()
        if self._unhook is not None:
            self._unhook()
        self._view.close()

    def state(self) -> VehicleState:
        """Return the latest state."""
        return self._view.state(broker_up=self._client.connected)

    def changes(self) -> AsyncIterator[VehicleState]:
        """Yield the state now and then after each change, conflated."""
        return self._view.changes(self.state)

    def beat(self) -> None:
        """Let the base be continued for another ``BEAT_LIFE_S``."""
        self._beat_mono = time.monotonic()

    def expect(self, mission: Mission) -> None:
        """Set the mission by which the robot's order is recognised; raises ``MissionRejected``."""
        self._view.expect(mission, route_of(mission, self._frame))

    async def recognise(self) -> bool:
        """Ask for the state; return whether the robot's order is the expected mission or its way back."""
        if self._subscription is None:
            raise NotSupported(f"{self.vehicle_id}: the link is not open")
        await self._subscription.ready()
        await self._dialogue.fresh_state()
        view, mission = self._view, self._view.mission
        if view.raw is None or mission is None or view.route is None:
            return False
        return carries(view.route, view.raw) or return_attempt(mission.mission_id, view.raw.order_id) is not None

    async def upload(self, mission: Mission) -> None:
        """Check that the robot can take the mission; it gets it with ``start``.

        Raises ``MissionRejected`` for a mission that this robot could never drive, ``Refused`` when it
        cannot now, and why, ``LinkDown`` when it is not heard.
        """
        async with self._giving_order:
            route = route_of(mission, self._frame)
            self._dialogue.heard()
            await self._dialogue.await_factsheet()
            raw = self._dialogue.heard()
            self._check_limits(route)
            if not carries(route, raw):
                self._check_free(raw)
                self._check_place(route, raw)
            self._view.expect(mission, route)
            self._uploaded = mission

    async def start(self) -> None:
        """Send the order and resend it until the robot's state shows it.

        Raises ``Refused`` with the robot's words when it rejects the order, or when it has given the
        same order up before; ``NoAnswer`` when its state does not show it in time.
        """
        async with self._giving_order:
            mission, route = self._uploaded, self._view.route
            if mission is None or route is None or self._view.mission is not mission:
                raise Refused(f"{self.vehicle_id}: no mission is uploaded")
            raw = self._dialogue.heard()
            if raw.order_id == route.order_id:
                if not raw.order_active and not self.state().progress.finished:
                    raise Refused(f"{self.vehicle_id} has given up order {route.order_id}: plan a new mission")
                return
            self._check_free(raw)
            self._view.clear_notes()
            await self._dialogue.give(route, base_length_m=self._base_length_m)

    async def hold(self) -> None:
        """Pause: sent at once, whatever else is going on, even to a robot that is not heard."""
        self._holds += 1
        await self._dialogue.act("startPause", lambda raw: raw.paused)

    async def resume(self) -> None:
        """End the pause."""
        self._dialogue.heard()
        await self._dialogue.act("stopPause", lambda raw: not raw.paused)

    async def return_home(self) -> None:
        """Cancel the order and drive back along its nodes to the mission's first one.

        Ends a hold, unless ``hold`` is called while this is under way: then the robot stays where it is
        and ``Refused`` is raised. Raises ``Refused`` too when no mission is known, or when the robot is
        away from the mission's nodes.
        """
        async with self._giving_order:
            mission, route = self._view.mission, self._view.route
            if mission is None or route is None:
                raise Refused(f"{self.vehicle_id}: no mission is known, so no way back")
            raw, holds = self._dialogue.heard(), self._holds
            attempt = return_attempt(mission.mission_id, raw.order_id)
            if attempt is not None and (raw.order_active or self.state().progress.finished):
                return
            self._view.cancelling = True
            try:
                await self._dialogue.cancel_order(timeout_s=self._clock.wall_seconds(STOP_S) + STOP_MARGIN_S)
                self._check_not_held(holds)
                if self._dialogue.heard().paused:
                    await self._dialogue.act("stopPause", lambda state: not state.paused)
                    self._check_not_held(holds)
                await self._give_return(mission, route, (attempt or 0) + 1)
            finally:
                self._view.cancelling = False

    async def land(self) -> None:
        """Robots do not fly."""
        raise NotSupported(f"{self.vehicle_id} is a robot: it cannot land, it can hold")

    def _take(self, message: Message) -> None:
        self._view.take(self._outbox.topics[message.topic], message)

    async def _drive(self) -> None:
        """Judge the silence, and continue the base while somebody beats."""
        while True:
            await self._view.wait_until(self._news, TICK_S)
            await asyncio.sleep(ROUND_S)
            self._version = self._view.version
            connected = self._view.contact(broker_up=self._client.connected)
            if time.monotonic() - self._beat_mono > BEAT_LIFE_S or not self._outbox.allowed():
                continue
            try:
                await self._greet()
                if connected:
                    await self._extender.extend()
            except HardwareError as error:
                _log.warning("%s: %s", self.vehicle_id, error)
            except Exception:
                # The loop that keeps the robot going outlives whatever one round of it stumbled over.
                _log.exception("%s: continuing the base", self.vehicle_id)
                await asyncio.sleep(TICK_S)

    def _news(self) -> bool:
        return self._view.version != self._version

    def _forget_greeting(self) -> None:
        self._greeted = False

    async def _greet(self) -> None:
        """After each connection to the broker ask for what would else take 30 s to come."""
        if not self._greeted:
            self._greeted = True
            await self._outbox.instant("stateRequest")
            if self._view.factsheet is None:
                await self._outbox.instant("factsheetRequest")

    async def _give_return(self, mission: Mission, route: Route, attempt: int) -> None:
        raw, pose_m = self._dialogue.heard(), self._view.pose_m()
        reached = reached_index(route, raw) if carries(route, raw) else -1
        if reached < 0:
            reached = place_on(route, pose_m, raw.last_node_id)
        if reached < 0:
            raise Refused(f"{self.vehicle_id} is not on the way of mission {mission.mission_id}: fetch it")
        order_id = return_id(mission.mission_id, attempt)
        back = return_route(route, order_id=order_id, reached=reached, pose_m=pose_m)
        self._view.back = back
        self._view.clear_notes()
        await self._dialogue.give(back, base_length_m=self._base_length_m)

    def _check_not_held(self, holds: int) -> None:
        if self._holds != holds:
            raise Refused(f"{self.vehicle_id} was held while it was called home: it stays where it is")

    def _check_limits(self, route: Route) -> None:
        factsheet = self._view.factsheet
        if factsheet is None:
            return
        if factsheet.max_nodes is not None and len(route.nodes) > factsheet.max_nodes:
            raise MissionRejected(
                f"mission {route.order_id} has {len(route.nodes)} nodes; "
                f"{self.vehicle_id} takes at most {factsheet.max_nodes} an order"
            )
        if route.drops and factsheet.protocol_features.agv_actions and factsheet.action("drop") is None:
            raise MissionRejected(f"{self.vehicle_id} knows no action 'drop': it cannot hand parcels over")

    def _check_free(self, raw: State) -> None:
        """Raise ``Refused`` unless the robot would take a new order now."""
        if raw.operating_mode != "AUTOMATIC":
            raise Refused(f"{self.vehicle_id} is in mode {raw.operating_mode}, not AUTOMATIC")
        if raw.order_active:
            raise Refused(f"{self.vehicle_id} is busy with order {raw.order_id!r}")
        fatal = [error.words() for error in raw.errors if error.fatal]
        if fatal:
            raise Refused(f"{self.vehicle_id} is not fit to drive: {'; '.join(fatal)}")

    def _check_place(self, route: Route, raw: State) -> None:
        """Raise ``Refused`` unless the robot stands at the first node, on the same map."""
        first, pose = route.nodes[0], raw.agv_position
        if pose is not None and pose.map_id != route.map_id:
            raise Refused(f"{self.vehicle_id} is on map {pose.map_id!r}, the mission on {route.map_id!r}")
        if raw.last_node_id == first.node_id:
            return
        if pose is None or not pose.position_initialized:
            raise Refused(f"{self.vehicle_id} does not know where it is; the mission starts at {first.node_id}")
        away_m = math.dist((pose.x, pose.y), (first.x_m, first.y_m))
        if away_m > START_DEVIATION_M:
            raise Refused(f"{self.vehicle_id} is {away_m:.0f} m from node {first.node_id}, where the mission starts")

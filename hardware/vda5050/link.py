"""The link to one robot over VDA 5050 2.1."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any

from hardware.errors import HardwareError, NotSupported
from hardware.link import EventSink, LeaseGuard, SampleSink, VehicleLink, VehicleState, no_events
from hardware.mission import Mission
from hardware.mqtt import Message, MqttClient, Subscription
from hardware.vda5050.dialogue import Dialogue
from hardware.vda5050.extension import BaseExtender
from hardware.vda5050.ordering import Ordering
from hardware.vda5050.outbox import Outbox
from hardware.vda5050.route import Route, is_ours, route_of
from hardware.vda5050.view import RobotView
from routing.geo import LocalFrame, Position
from routing.vehicle_type import VehicleType
from telemetry.clock import Clock

BEAT_LIFE_S = 3.0
"""Wall seconds for which a ``beat`` lasts; without one nothing is sent by the link of its own accord."""
TICK_S = 0.5
"""Wall seconds between looks at the robot's silence and at its base, beside those at each message."""
ROUND_S = 0.2
"""Wall seconds between two looks at least: a robot that speaks often is not answered as often."""

_log = logging.getLogger(__name__)


class Vda5050Link(VehicleLink):
    """A robot that speaks VDA 5050 2.1, on the metric frame of its region (``mapId``, x east, y north).

    An order carries the id of its mission, so that any process recognises it; the way back carries the
    same id with ``-return``, the rest of it without the hand-over of a step with ``-go-`` and that step. The base is
    continued by this link while ``beat`` keeps being called: a robot whose gateway hangs stops at the end of its base,
    and before every road. ``profile`` is the ``[vda5050]`` table of the vehicle's profile. ``client`` is shared by the
    links of a gateway and outlives them. ``listened_until``: until when (domain time) another process has listened to
    the robot; a break longer than its lost-link time is then noticed over a restart too.
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
        listened_until: datetime | None = None,
    ) -> None:
        self.vehicle_id = vehicle_id
        try:
            levels = (str(profile["interface"]), str(profile["major_version"]), manufacturer, serial)
            self._base_length_m = float(profile["base_length_m"])
            trigger_s = float(profile["wait_for_trigger_s"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotSupported(f"{vehicle_id}: its profile's table [vda5050] lacks {error}") from error
        self._simulated, self._allow_real = simulated, allow_real
        self._client, self._clock = client, clock
        self._frame = LocalFrame(origin)
        self._view = RobotView(
            vehicle_id=vehicle_id,
            manufacturer=manufacturer,
            serial=serial,
            frame=self._frame,
            clock=clock,
            lost_link_s=vehicle_type.lost_link_s,
            trigger_s=trigger_s,
            on_sample=on_sample,
            on_event=on_event,
            listened_until=listened_until,
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
        self._ordering = Ordering(
            vehicle_id=vehicle_id,
            view=self._view,
            outbox=self._outbox,
            dialogue=self._dialogue,
            extender=self._extender,
            clock=clock,
            base_length_m=self._base_length_m,
            cruise_speed_mps=vehicle_type.cruise_speed_mps,
        )
        self._beat_mono = -math.inf
        self._version = 0
        self._greeted = False
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
        # That of the connection topic, 1 by the standard; the others are published with 0 and so arrive with 0.
        qos = self._view.quirks.connection_qos
        self._subscription = self._client.subscribe(tuple(self._outbox.topics), qos, take=self._take)
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
        self._view.watchers.close()

    def state(self) -> VehicleState:
        """Return the latest state."""
        return self._view.state(broker_up=self._client.connected)

    def changes(self) -> AsyncIterator[VehicleState]:
        """Yield the state now and then after each change, conflated."""
        return self._view.watchers.changes(self.state)

    def beat(self) -> None:
        """Let the base be continued for another ``BEAT_LIFE_S``."""
        self._beat_mono = time.monotonic()

    def expect(self, mission: Mission) -> None:
        """Set the mission by which the robot's order is recognised; raises ``MissionRejected``."""
        self._view.expect(mission, self._route_of(mission))

    async def recognise(self) -> bool:
        """Ask for the state; return whether the robot's order is the expected mission, its rest or its way back."""
        if self._subscription is None:
            raise NotSupported(f"{self.vehicle_id}: the link is not open")
        await self._subscription.ready()
        await self._dialogue.fresh_state()
        raw, mission = self._view.raw, self._view.following.mission
        if raw is None or mission is None or not is_ours(mission.mission_id, raw.order_id):
            return False
        return raw.order_id != mission.mission_id or self._view.current_route() is not None

    async def upload(self, mission: Mission) -> None:
        """Check that the robot can take the mission; it gets it with ``start``.

        Raises ``MissionRejected`` for a mission that this robot could never drive, ``Refused`` when it
        cannot now, and why, ``LinkDown`` when it is not heard.
        """
        await self._ordering.upload(mission, self._route_of(mission))

    async def start(self) -> None:
        """Send the order and resend it until the robot's state shows it.

        Raises ``Refused`` with the robot's words when it rejects the order, or when it has given the
        same order up before; ``NoAnswer`` when its state does not show it in time.
        """
        await self._ordering.start()

    async def hold(self) -> None:
        """Pause: sent at once, whatever else is going on, even to a robot that is not heard.

        The standard has no stop but this one. Until the robot's state says that it is paused,
        ``VehicleState.unconfirmed`` says that it may still be driving.
        """
        self._ordering.holds += 1
        await self._dialogue.act("startPause", lambda raw: raw.paused)

    async def emergency_stop(self) -> None:
        """Stop it by its maker's own action; raises ``NotSupported`` where the table of makers names none."""
        action_type = self._view.quirks.emergency_stop
        if not action_type:
            raise NotSupported(
                f"{self.vehicle_id}: VDA 5050 has no emergency stop and its maker offers none: hold it (startPause)"
            )
        self._ordering.holds += 1
        await self._dialogue.act(action_type, lambda raw: raw.safety_state.e_stop != "NONE")

    async def resume(self) -> None:
        """End the pause; also the pilot's word for a robot that waits after its connection was lost."""
        await self._ordering.go_on()

    async def return_home(self) -> None:
        """Cancel the order and drive back along its nodes to the mission's first one.

        Ends a hold, unless ``hold`` is called while this is under way: then the robot stays where it is
        and ``Refused`` is raised. Raises ``Refused`` too when no mission is known, when the robot is
        away from the mission's nodes, or while it drives across a road.
        """
        await self._ordering.return_home()

    async def cross(self, node: str) -> None:
        """Release the road at whose kerb the robot stands; see ``Ordering.cross``."""
        await self._ordering.cross(node)

    async def unlock(self, step: int) -> None:
        """Let the recipient at the parcels; raises ``Refused`` unless the robot waits for that."""
        await self._ordering.unlock(step)

    async def skip(self, step: int) -> None:
        """Go on without the hand-over of a step, with an order for the rest; raises ``Refused`` unless it is there."""
        await self._ordering.skip(step)

    async def abort(self) -> None:
        """Drop the order and stand; raises ``Refused`` while it drives across a road."""
        await self._ordering.abort()

    async def set_speed(self, speed_mps: float) -> None:
        """Drive at another speed from the end of what is released on, until the next order.

        Raises ``Refused`` beyond the vehicle type's speed, ``NotSupported`` for a robot that takes no speed. A service
        that restarts releases what comes then at the mission's own speed again.
        """
        await self._ordering.set_speed(speed_mps)

    async def land(self) -> None:
        """Robots do not fly."""
        raise NotSupported(f"{self.vehicle_id} is a robot: it cannot land, it can hold")

    def _route_of(self, mission: Mission) -> Route:
        return route_of(mission, self._frame, base_length_m=self._base_length_m)

    def _take(self, message: Message) -> None:
        self._view.take(self._outbox.topics[message.topic], message)

    async def _drive(self) -> None:
        """Judge the silence, and continue the base while somebody beats."""
        while True:
            await self._view.watchers.wait_until(self._news, TICK_S)
            await asyncio.sleep(ROUND_S)
            self._version = self._view.watchers.version
            connected = self._view.contact(broker_up=self._client.connected)
            if time.monotonic() - self._beat_mono > BEAT_LIFE_S or not self._outbox.allowed():
                continue
            try:
                await self._greet()
                if connected and not self._ordering.busy:
                    await self._extender.extend()
            except HardwareError as error:
                _log.warning("%s: %s", self.vehicle_id, error)
            except Exception:
                # The loop that keeps the robot going outlives whatever one round of it stumbled over.
                _log.exception("%s: continuing the base", self.vehicle_id)
                await asyncio.sleep(TICK_S)

    def _news(self) -> bool:
        return self._view.watchers.version != self._version

    def _forget_greeting(self) -> None:
        self._greeted = False

    async def _greet(self) -> None:
        """After each connection to the broker ask for what would else take 30 s to come."""
        if not self._greeted:
            self._greeted = True
            quirks = self._view.quirks
            if quirks.state_request != "unknown":
                await self._outbox.instant("stateRequest")
            if self._view.factsheet is None and quirks.factsheet_request:
                await self._outbox.instant("factsheetRequest")

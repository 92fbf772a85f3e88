"""The one place from which anything is sent to a robot."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from hardware.errors import LinkDown, NotOurs, NotSupported, Refused
from hardware.link import LeaseGuard
from hardware.mqtt import MqttClient
from hardware.vda5050.messages import (
    INSTANT_PREFIX,
    Action,
    ActionParameter,
    HeaderSource,
    InstantActions,
    Order,
    write,
)
from hardware.vda5050.orders import Features, order_of
from hardware.vda5050.route import Route
from hardware.vda5050.view import RobotView
from telemetry.clock import Clock

LEAVES = ("state", "connection", "visualization", "factsheet")
"""The last levels of the topics on which a robot speaks."""


class Outbox:
    """Publishes orders and instant actions, each under the lease and in a mode that allows it."""

    def __init__(
        self,
        *,
        client: MqttClient,
        lease: LeaseGuard,
        view: RobotView,
        clock: Clock,
        vehicle_id: str,
        levels: tuple[str, str, str, str],
    ) -> None:
        for level in levels:
            if not level or set(level) & set("/$+#"):
                raise NotSupported(f"{vehicle_id}: {level!r} cannot be a level of an MQTT topic")
        self.topics = {f"{'/'.join(levels)}/{leaf}": leaf for leaf in LEAVES}
        self._prefix = "/".join(levels)
        self._client, self._lease, self._view = client, lease, view
        self._vehicle_id = vehicle_id
        self._headers = HeaderSource(manufacturer=levels[2], serial=levels[3], clock=clock)
        self._drafts = HeaderSource(manufacturer=levels[2], serial=levels[3], clock=clock)

    @property
    def features(self) -> Features:
        """Which optional fields the robot takes."""
        return Features.of(self._view.factsheet, self._view.quirks)

    def allowed(self) -> bool:
        """Whether something may be sent now."""
        raw = self._view.raw
        return self._client.connected and self._lease.held() and (raw is None or raw.commandable)

    def draft(self, route: Route, *, released: int) -> bytes:
        """Return what a new order would be on the wire, without sending it."""
        header = self._drafts.next("order", self._view.quirks.wire_version)
        order = order_of(route, header, update_id=0, first=0, released=released, features=self.features)
        return write(order, self._view.quirks)

    async def order(self, route: Route, *, update_id: int, first: int, released: int) -> Order:
        """Send an order or an update (see ``order_of``) and return it as sent."""
        self._check()
        order = order_of(
            route,
            self._headers.next("order", self._view.quirks.wire_version),
            update_id=update_id,
            first=first,
            released=released,
            features=self.features,
            horizon_mps=self._view.horizon_mps,
        )
        return await self._send(order)

    async def resend(self, order: Order) -> Order:
        """Send an order message again: the same content under the next header id."""
        self._check()
        header = self._headers.next("order", self._view.quirks.wire_version)
        return await self._send(order.model_copy(update=header))

    async def _send(self, order: Order) -> Order:
        self._view.rivals.sent(order.order_id, order.order_update_id)
        await self._client.publish(f"{self._prefix}/order", write(order, self._view.quirks))
        return order

    async def instant(
        self, action_type: str, action_id: str | None = None, parameters: Mapping[str, str] | None = None
    ) -> str:
        """Send an instant action; returns its id, by which it can be sent again."""
        self._check()
        action_id = action_id or f"{INSTANT_PREFIX}{uuid.uuid4().hex[:16]}"
        given = tuple(ActionParameter(key=key, value=value) for key, value in (parameters or {}).items())
        action = Action(
            action_type=action_type, action_id=action_id, blocking_type="NONE", action_parameters=given or None
        )
        quirks = self._view.quirks
        message = InstantActions(**self._headers.next("instantActions", quirks.wire_version), actions=(action,))
        stops = self._view.stops_sent
        await self._client.publish(f"{self._prefix}/instantActions", write(message, quirks))
        if action_type in ("startPause", quirks.emergency_stop):
            self._view.stop_sent()
        elif action_type == "stopPause":
            self._view.going_sent(stops=stops)
        return action_id

    def _check(self) -> None:
        if not self._lease.held():
            raise NotOurs(f"{self._vehicle_id}: the lease has run out; nothing was sent")
        if not self._client.connected:
            raise LinkDown(f"{self._vehicle_id}: broker {self._client.broker}: {self._client.last_error}")
        raw = self._view.raw
        if raw is not None and not raw.commandable:
            raise Refused(
                f"{self._vehicle_id} is in mode {raw.operating_mode}: nothing is sent to it before a person "
                "at the robot has switched it to AUTOMATIC"
            )

"""The one place from which anything is sent to a robot."""

from __future__ import annotations

import uuid

from hardware.errors import LinkDown, NotOurs, NotSupported, Refused
from hardware.link import LeaseGuard
from hardware.mqtt import MqttClient
from hardware.vda5050.messages import INSTANT_PREFIX, Action, HeaderSource, InstantActions, Order, write
from hardware.vda5050.orders import Features, Route, order_of
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

    def allowed(self) -> bool:
        """Whether something may be sent now."""
        raw = self._view.raw
        return self._client.connected and self._lease.held() and (raw is None or raw.commandable)

    async def order(self, route: Route, *, update_id: int, first: int, released: int) -> Order:
        """Send an order or an update (see ``order_of``) and return it as sent."""
        self._check()
        features = Features.of(self._view.factsheet)
        header = self._headers.next("order")
        order = order_of(route, header, update_id=update_id, first=first, released=released, features=features)
        await self._client.publish(f"{self._prefix}/order", write(order))
        return order

    async def resend(self, order: Order) -> Order:
        """Send an order message again: the same content under the next header id."""
        self._check()
        again = order.model_copy(update=self._headers.next("order"))
        await self._client.publish(f"{self._prefix}/order", write(again))
        return again

    async def instant(self, action_type: str, action_id: str | None = None) -> str:
        """Send an instant action; returns its id, by which it can be sent again."""
        self._check()
        action_id = action_id or f"{INSTANT_PREFIX}{action_type}-{uuid.uuid4()}"
        action = Action(action_type=action_type, action_id=action_id, blocking_type="NONE")
        message = InstantActions(**self._headers.next("instantActions"), actions=(action,))
        await self._client.publish(f"{self._prefix}/instantActions", write(message))
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

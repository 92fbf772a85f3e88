"""Continuing a robot's base while it drives, so that it need not stop before its next node is released."""

from __future__ import annotations

import time

from hardware.vda5050.base import base_target
from hardware.vda5050.dialogue import RESEND_S
from hardware.vda5050.messages import ErrorState, Order, State
from hardware.vda5050.outbox import Outbox
from hardware.vda5050.route import Route, position_on, reached_index, released_index
from hardware.vda5050.translate import rejection
from hardware.vda5050.view import RobotView
from telemetry.clock import Clock

AFTER_REJECTION_S = 5.0
"""Wall seconds after a rejected update before another is tried."""


class BaseExtender:
    """Sends order updates: one at a time, the next when the robot's state shows the last.

    Each begins from what the robot's state shows as released, whoever sent that.
    """

    def __init__(self, *, view: RobotView, outbox: Outbox, clock: Clock, base_length_m: float) -> None:
        self._view, self._outbox, self._clock = view, outbox, clock
        self._base_length_m = base_length_m
        self._pending: Order | None = None
        self._errors_before: tuple[ErrorState, ...] = ()
        self._sent_mono = 0.0
        self._not_before_mono = 0.0

    async def extend(self) -> None:
        """Send what is due now, if anything; the caller has made sure that the robot is heard."""
        raw, route = self._view.raw, self._view.current_route()
        if raw is None or route is None or raw.paused or self._view.following.cancelling or not raw.node_states:
            self._pending = None
            return
        if self._view.waiting.lost:
            self._pending = None
            await self._stay(raw)
            return
        if self._view.unconfirmed is not None:
            # It was told to stop, and may not have heard: it gets no further than it may already.
            self._pending = None
            return
        now = time.monotonic()
        if self._settle(raw, now) and now >= self._not_before_mono:
            await self._continue(raw, route, now)

    def outstanding(self) -> bool:
        """Whether an update is on its way that the robot's state does not show yet."""
        order, raw = self._pending, self._view.raw
        return order is not None and raw is not None and self._waits_for(raw, order)

    @staticmethod
    def _waits_for(raw: State, order: Order) -> bool:
        return raw.order_id == order.order_id and raw.order_update_id < order.order_update_id

    async def _stay(self, raw: State) -> None:
        """Pause a robot that waits for a pilot's word, so that whoever comes after us sees that it is to stand."""
        now = time.monotonic()
        if raw.commandable and now - self._sent_mono >= RESEND_S:
            self._sent_mono = now
            await self._outbox.instant("startPause")

    def _settle(self, raw: State, now: float) -> bool:
        """Drop a pending update that is answered; return whether something may be sent."""
        order = self._pending
        if order is None:
            return True
        if not self._waits_for(raw, order):
            self._pending = None
            return True
        words = rejection(raw, order, self._errors_before)
        if words is not None:
            self._view.note(f"update {order.order_update_id} of order {order.order_id} rejected: {words}")
            self._pending = None
            self._not_before_mono = now + AFTER_REJECTION_S
            return False
        return now - self._sent_mono >= RESEND_S

    async def _continue(self, raw: State, route: Route, now: float) -> None:
        if self._pending is not None:
            self._sent_mono = now
            self._pending = await self._outbox.resend(self._pending)
            return
        released = released_index(route, raw)
        along_m = position_on(route, reached_index(route, raw), self._view.pose_m())
        target = base_target(
            route,
            released=released,
            along_m=along_m,
            base_length_m=self._base_length_m,
            asked=raw.new_base_request,
            most_nodes=self._outbox.features.most_nodes,
        )
        if target <= released or now - self._sent_mono < self._least_interval_s():
            return
        self._sent_mono = now
        self._errors_before = raw.errors
        self._pending = await self._outbox.order(
            route, update_id=raw.order_update_id + 1, first=released, released=target
        )

    def _least_interval_s(self) -> float:
        """Wall seconds that the factsheet wants between orders."""
        factsheet = self._view.factsheet
        wanted_s = 0.0 if factsheet is None else factsheet.protocol_limits.timing.min_order_interval
        return self._clock.wall_seconds(wanted_s)

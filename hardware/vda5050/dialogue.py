"""Question and answer with a robot: send, wait for the effect in its state, send again, give up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from hardware.errors import LinkDown, NoAnswer, Refused
from hardware.vda5050.base import base_target
from hardware.vda5050.messages import State
from hardware.vda5050.outbox import Outbox
from hardware.vda5050.route import START_DEVIATION_M, Route
from hardware.vda5050.translate import rejection
from hardware.vda5050.view import RobotView

RESEND_S = 2.0
"""Wall seconds without an acknowledgement after which a message is sent again."""
ANSWER_S = 12.0
"""Wall seconds in which a robot must have answered an order or an instant action."""
UNASKED_S = 35.0
"""The same for a robot that cannot be asked for its state, which then comes within 30 s by itself (6.10)."""
YOUNG_S = 1.0
"""Wall seconds for which a state says what there is to see now, and in which a new one is waited for."""
FACTSHEET_S = 2.0
"""Wall seconds for which an order waits for the factsheet of a robot that has not published one."""


class Dialogue:
    """Speaks with one robot. ``connected`` tells whether it is heard.

    Messages are sent again unchanged, under the same ids, so that a robot that had them ignores them.
    """

    def __init__(self, *, vehicle_id: str, view: RobotView, outbox: Outbox, connected: Callable[[], bool]) -> None:
        self._vehicle_id = vehicle_id
        self._view, self._outbox, self._connected = view, outbox, connected

    def heard(self) -> State:
        """Return the latest state; raises ``LinkDown`` when the robot is not heard."""
        if self._view.raw is None or not self._connected():
            raise LinkDown(f"{self._vehicle_id} is not heard")
        return self._view.raw

    async def give(self, route: Route, *, base_length_m: float) -> None:
        """Send a new order; returns when the robot's state shows it."""
        before = () if self._view.raw is None else self._view.raw.errors
        most = self._outbox.features.most_nodes
        released = base_target(
            route, released=0, along_m=-self._before(route), base_length_m=base_length_m, most_nodes=most
        )
        self._view.horizon_mps = None
        order = await self._outbox.order(route, update_id=0, first=0, released=released)
        deadline = time.monotonic() + ANSWER_S
        words: str | None = None

        def answered() -> bool:
            nonlocal words
            raw = self._view.raw
            if raw is None or raw.order_id == route.order_id:
                return raw is not None
            words = rejection(raw, order, before)
            return words is not None

        while not await self._view.watchers.wait_until(answered, RESEND_S):
            self._still_waiting(f"order {route.order_id}", deadline)
            order = await self._outbox.resend(order)
        if words is not None:
            raise Refused(f"{self._vehicle_id} rejects order {route.order_id}: {words}")

    async def update(self, route: Route, *, first: int, released: int, again: bool) -> None:
        """Send an update that begins with the last node of the base; returns when the robot's state shows it.

        ``again``: it is sent again while it is not answered. What was right when it was sent may be wrong two seconds
        later, and is then not.
        """
        raw = self.heard()
        order = await self._outbox.order(route, update_id=raw.order_update_id + 1, first=first, released=released)
        what = f"update {order.order_update_id} of order {order.order_id}"
        deadline = time.monotonic() + ANSWER_S
        words: str | None = None

        def answered() -> bool:
            nonlocal words
            now = self._view.raw
            if now is None or (now.order_id == order.order_id and now.order_update_id >= order.order_update_id):
                return now is not None
            words = rejection(now, order, raw.errors)
            return words is not None

        while not await self._view.watchers.wait_until(answered, RESEND_S):
            self._still_waiting(what, deadline)
            if again:
                order = await self._outbox.resend(order)
        if words is not None:
            raise Refused(f"{self._vehicle_id} rejects {what}: {words}")

    async def act(
        self,
        action_type: str,
        done: Callable[[State], bool],
        *,
        timeout_s: float | None = None,
        parameters: Mapping[str, str] | None = None,
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        """Send an instant action; returns when ``done`` says that the state shows its effect.

        ``held`` says whether a hold has come meanwhile that the action would undo: then it is not sent again. Raises
        ``Refused`` for that, and with the robot's words when the action has failed without that effect.
        """
        action_id = await self._outbox.instant(action_type, None, parameters)
        deadline = time.monotonic() + (ANSWER_S if timeout_s is None else timeout_s)

        def answered() -> bool:
            raw = self._view.raw
            return held() or (raw is not None and (done(raw) or self._failure(raw, action_id) is not None))

        while not await self._view.watchers.wait_until(answered, RESEND_S) and not held():
            self._still_waiting(action_type, deadline)
            if self._view.raw is None or self._view.raw.action(action_id) is None:
                await self._outbox.instant(action_type, action_id, parameters)
        if held():
            raise Refused(f"{self._vehicle_id} was held meanwhile: {action_type} is not sent again")
        raw = self.heard()
        if not done(raw):
            raise Refused(f"{self._vehicle_id} refuses {action_type}: {self._failure(raw, action_id)}")

    async def cancel_order(self, *, timeout_s: float) -> None:
        """Cancel the order that the robot has, if any, and wait until it stands (6.6.3)."""
        if self.heard().order_active:
            # Without an active order a cancelOrder fails with noOrderToCancel, which is as good.
            await self.act("cancelOrder", lambda raw: not raw.order_active and not raw.driving, timeout_s=timeout_s)

    async def fresh_state(self) -> None:
        """Ask for a state and wait for one that comes after the question.

        In the modes in which nothing may be sent, the next state that comes by itself is waited for.
        """
        view, taken = self._view, self._view.states_taken
        asked = view.quirks.state_request != "unknown"
        deadline = time.monotonic() + (ANSWER_S if asked else UNASKED_S)

        def came() -> bool:
            return view.states_taken != taken

        while True:
            if asked and (view.raw is None or view.raw.commandable):
                await self._outbox.instant("stateRequest")
            if await view.watchers.wait_until(came, RESEND_S):
                return
            if time.monotonic() > deadline:
                raise LinkDown(f"{self._vehicle_id} does not answer a request for its state")

    async def young_state(self) -> State:
        """Return a state that is younger than ``YOUNG_S``; raises ``Refused`` when none comes in that time.

        A state that lists our request was made after it. One that only arrives after it may have been on its way for
        long; it counts for makers that do not list requests.
        """
        view, taken, kind = self._view, self._view.states_taken, self._view.quirks.state_request
        action_id = "" if kind == "unknown" else await self._outbox.instant("stateRequest")

        def young() -> bool:
            if kind == "listed":
                return view.raw is not None and view.raw.action(action_id) is not None
            return view.states_taken != taken

        came = await view.watchers.wait_until(young, YOUNG_S)
        raw = self.heard()
        if (came or kind == "unknown") and view.state_age_s < YOUNG_S:
            return raw
        raise Refused(
            f"{self._vehicle_id} has not said for {YOUNG_S:g} s what it sees "
            f"(its state is {view.state_age_s:.1f} s old): nothing is released on an old state"
        )

    async def await_factsheet(self) -> None:
        """Ask for the factsheet when none is known, and go on without when none comes soon."""
        if self._view.factsheet is None and self._view.quirks.factsheet_request:
            await self._outbox.instant("factsheetRequest")
            await self._view.watchers.wait_until(lambda: self._view.factsheet is not None, FACTSHEET_S)

    def _before(self, route: Route) -> float:
        """How far from the first node of an order the robot stands, in metres: it drives that too."""
        pose_m = self._view.pose_m()
        return 0.0 if pose_m is None else min(math.dist(pose_m, route.nodes[0].xy_m), START_DEVIATION_M)

    def _still_waiting(self, what: str, deadline: float) -> None:
        if not self._connected():
            raise LinkDown(f"{self._vehicle_id} is not heard; {what} was sent")
        if time.monotonic() > deadline:
            raise NoAnswer(f"{self._vehicle_id} is heard, but its state does not show {what}")

    @staticmethod
    def _failure(raw: State, action_id: str) -> str | None:
        action = raw.action(action_id)
        if action is None or action.action_status != "FAILED":
            return None
        words = [error.words() for error in raw.errors if error.refers_to("actionId", action_id)]
        return "; ".join([*words, action.result_description or ""]).strip("; ") or "it gives no reason"

"""Giving a robot orders: the mission, more of its way, the rest of it, the way back, or none."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hardware.errors import NotSupported, Refused
from hardware.mission import Mission
from hardware.vda5050.base import base_target, crossing_target
from hardware.vda5050.checks import check_fit, check_free, check_hand_over, check_off_road, check_place
from hardware.vda5050.dialogue import RESEND_S, Dialogue
from hardware.vda5050.extension import BaseExtender
from hardware.vda5050.messages import State
from hardware.vda5050.orders import check_limits
from hardware.vda5050.outbox import Outbox
from hardware.vda5050.route import (
    Route,
    carries,
    place_on,
    reached_index,
    released_index,
    rest_id,
    rest_of,
    rest_route,
    return_attempt,
    return_id,
    return_route,
)
from hardware.vda5050.view import RobotView
from hardware.vda5050.waiting import kerb_of, trigger_waited_for
from telemetry.clock import Clock

STOP_S = 120.0
"""Domain seconds that a robot may take to stop for ``cancelOrder``; it may drive on to the next node."""
STOP_MARGIN_S = 10.0
"""Wall seconds beyond that."""
LEAST_SPEED_MPS = 0.1
AT_ONCE_S = 0.5
"""Wall seconds for which a release of a road waits until it is its turn."""


class Ordering:
    """Gives one robot its orders, one at a time. ``holds`` counts the holds, each of which ends what would drive it."""

    def __init__(
        self,
        *,
        vehicle_id: str,
        view: RobotView,
        outbox: Outbox,
        dialogue: Dialogue,
        extender: BaseExtender,
        clock: Clock,
        base_length_m: float,
        cruise_speed_mps: float,
    ) -> None:
        self._vehicle_id = vehicle_id
        self._view, self._outbox, self._dialogue, self._extender = view, outbox, dialogue, extender
        self._clock = clock
        self._base_length_m, self._cruise_speed_mps = base_length_m, cruise_speed_mps
        self._uploaded: Mission | None = None
        self._giving = asyncio.Lock()
        self.holds = 0

    @property
    def busy(self) -> bool:
        """Whether an order is being given, so that its base is not to be continued meanwhile."""
        return self._giving.locked()

    async def upload(self, mission: Mission, route: Route) -> None:
        """Check that the robot can take a mission (``VehicleLink.upload``)."""
        async with self._giving:
            self._dialogue.heard()
            await self._dialogue.await_factsheet()
            raw = self._dialogue.heard()
            check_hand_over(self._vehicle_id, route, self._view.quirks)
            released = base_target(route, released=0, along_m=0.0, base_length_m=self._base_length_m)
            draft = self._outbox.draft(route, released=released)
            check_limits(route, self._view.factsheet, wire_bytes=len(draft))
            if not carries(route, raw):
                check_free(self._vehicle_id, raw)
                check_place(self._vehicle_id, route, raw)
            self._view.expect(mission, route)
            self._uploaded = mission

    async def start(self) -> None:
        """Send the order of the mission uploaded (``VehicleLink.start``)."""
        async with self._giving:
            following = self._view.following
            mission, route = self._uploaded, following.route
            if mission is None or route is None or following.mission is not mission:
                raise Refused(f"{self._vehicle_id}: no mission is uploaded")
            raw = self._dialogue.heard()
            if raw.order_id == route.order_id:
                if not raw.order_active and not following.progress.finished:
                    raise Refused(f"{self._vehicle_id} has given up order {route.order_id}: plan a new mission")
                return
            check_free(self._vehicle_id, raw)
            if self._view.unconfirmed is not None:
                raise Refused(f"{self._vehicle_id} was told to stop and does not show it: resume it first")
            self._view.clear_notes()
            await self._dialogue.give(route, base_length_m=self._base_length_m)

    async def cross(self, node: str) -> None:
        """Release the road before which the robot stands (``VehicleLink.cross``).

        The release is sent once: traffic is another one when it would be sent again. It reaches the far kerb at least,
        even where the road is wider than the base may be long: no decision point lies on a road. It does not wait
        behind another order: the road that somebody has looked at may not be free later.
        """
        async with self._giving_now():
            self._dialogue.heard()
            # First: nothing is waited for between the robot's word and the release.
            await self._settled()
            raw = await self._dialogue.young_state()
            route, pose_m = self._route(), self._view.pose_m()
            if self._held(raw):
                raise Refused(f"{self._vehicle_id} is held: it does not cross before it is resumed")
            check_fit(self._vehicle_id, raw)
            crossing = kerb_of(route, raw, pose_m)
            if crossing is None or route.nodes[crossing.kerb].node_id != node:
                raise Refused(
                    f"{self._vehicle_id} does not stand at the kerb {node}: it is at node {raw.last_node_id!r}, "
                    f"{'driving' if raw.driving else 'standing'}"
                )
            released = crossing_target(
                route,
                crossing,
                along_m=route.chainage_m[crossing.kerb],
                base_length_m=self._base_length_m,
                most_nodes=self._outbox.features.most_nodes,
            )
            self._view.resumed()
            await self._dialogue.update(route, first=crossing.kerb, released=released, again=False)

    async def set_speed(self, speed_mps: float) -> None:
        """Drive what is not released yet at another speed (``VehicleLink.set_speed``); the base never changes."""
        async with self._giving:
            raw = self._dialogue.heard()
            if not self._outbox.features.max_speed:
                raise NotSupported(f"{self._vehicle_id} takes no speed: its factsheet does not list maxSpeed")
            if not LEAST_SPEED_MPS <= speed_mps <= self._cruise_speed_mps:
                most = f"{LEAST_SPEED_MPS:g} to {self._cruise_speed_mps:g} m/s"
                raise Refused(f"{self._vehicle_id} drives at {most}, not at {speed_mps:g} m/s")
            route = self._route()
            await self._settled()
            raw = self._dialogue.heard()
            released = released_index(route, raw)
            if released >= route.last or not raw.node_states:
                raise Refused(f"{self._vehicle_id} has the whole of its way released: that does not change any more")
            before, self._view.horizon_mps = self._view.horizon_mps, speed_mps
            try:
                await self._dialogue.update(route, first=released, released=released, again=True)
            except Refused:
                self._view.horizon_mps = before
                raise

    async def return_home(self) -> None:
        """Cancel the order and drive back along its nodes (``VehicleLink.return_home``)."""
        async with self._giving:
            mission, route = self._view.following.mission, self._view.following.route
            if mission is None or route is None:
                raise Refused(f"{self._vehicle_id}: no mission is known, so no way back")
            raw, holds = self._dialogue.heard(), self.holds
            attempt = return_attempt(mission.mission_id, raw.order_id)
            if attempt is not None and (raw.order_active or self._view.following.progress.finished):
                if self._view.waiting.lost:
                    # It is on its way home, and this is the word that it waits for.
                    await self.go_on()
                return
            check_off_road(self._vehicle_id, self._view.current_route(), raw)
            async with self._cancelled(home=True):
                self._check_not_held(holds)
                await self._end_pause(holds)
                self._check_not_held(holds)
                await self._give_return(mission, route, (attempt or 0) + 1)

    async def skip(self, step: int) -> None:
        """Go on without a hand-over at which the robot stands (``VehicleLink.skip``)."""
        async with self._giving:
            mission, route = self._view.following.mission, self._view.following.route
            if mission is None or route is None:
                raise Refused(f"{self._vehicle_id}: no mission is known, so nothing to go on with")
            raw, holds = self._dialogue.heard(), self.holds
            known = rest_of(mission.mission_id, raw.order_id)
            if known is not None and known[0] == step and raw.order_active:
                return
            self._check_at_drop(route, raw, step)
            if self._held(raw):
                raise Refused(f"{self._vehicle_id} is held: resume it first")
            attempt = known[1] + 1 if known is not None and known[0] == step else 1
            rest = rest_route(route, order_id=rest_id(mission.mission_id, step, attempt), skipped=step)
            if rest is None:
                raise Refused(f"{self._vehicle_id}: step {step} of mission {mission.mission_id} hands nothing over")
            async with self._cancelled():
                self._check_not_held(holds)
                self._view.following.other = rest
                self._view.clear_notes()
                await self._dialogue.give(rest, base_length_m=self._base_length_m)

    async def abort(self) -> None:
        """Cancel the order; the robot stands (``VehicleLink.abort``)."""
        async with self._giving:
            check_off_road(self._vehicle_id, self._view.current_route(), self._dialogue.heard())
            async with self._cancelled():
                self._view.waiting.resumed()

    async def unlock(self, step: int) -> None:
        """Trigger the hand-over at which the robot waits (``VehicleLink.unlock``)."""
        action_type = self._view.quirks.unlock
        if not action_type:
            raise NotSupported(f"{self._vehicle_id} has no lock that we could open ({self._view.quirks.source})")
        raw, route = self._dialogue.heard(), self._route()
        drop = next((drop for drop in route.drops if drop.step == step), None)
        if drop is None or drop.trigger_id is None or trigger_waited_for(route, raw) != step:
            raise Refused(f"{self._vehicle_id} does not wait to be unlocked for step {step}")
        trigger_id = drop.trigger_id

        def triggered(state: State) -> bool:
            action = state.action(trigger_id)
            return action is not None and action.action_status == "FINISHED"

        await self._dialogue.act(action_type, triggered, parameters={"actionId": trigger_id})

    async def go_on(self) -> None:
        """End a pause, and the wait of a robot whose connection was lost.

        A hold that comes before the robot shows that it goes on wins: then ``Refused`` is raised.
        """
        raw, holds = self._dialogue.heard(), self.holds
        only_waits = self._view.waiting.lost and not self._held(raw)
        # Before the pause ends: else it would be paused again at once.
        self._view.resumed()
        if not only_waits:
            await self._stop_pause(holds)

    # Parts

    @asynccontextmanager
    async def _giving_now(self) -> AsyncIterator[None]:
        """Raise ``Refused`` when another order is being given; that may take minutes."""
        try:
            async with asyncio.timeout(AT_ONCE_S):
                await self._giving.acquire()
        except TimeoutError:
            raise Refused(f"{self._vehicle_id} is being given another order: look again, and try again") from None
        try:
            yield
        finally:
            self._giving.release()

    @asynccontextmanager
    async def _cancelled(self, *, home: bool = False) -> AsyncIterator[None]:
        """Cancel the order and do what follows; that it is gone is no fault meanwhile."""
        self._view.cancelling(True, home=home)
        try:
            await self._dialogue.cancel_order(timeout_s=self._clock.wall_seconds(STOP_S) + STOP_MARGIN_S)
            yield
        finally:
            self._view.cancelling(False, home=home)

    def _held(self, raw: State) -> bool:
        """Whether the robot is held, or was told to be and does not show it yet."""
        return raw.paused or self._view.unconfirmed is not None

    async def _end_pause(self, holds: int) -> None:
        if self._held(self._dialogue.heard()):
            self._view.resumed()
            await self._stop_pause(holds)

    async def _stop_pause(self, holds: int) -> None:
        await self._dialogue.act("stopPause", lambda state: not state.paused, held=lambda: self.holds != holds)

    async def _settled(self) -> None:
        """Wait until no update of ours is under way: the next one builds on it."""
        if not await self._view.watchers.wait_until(lambda: not self._extender.outstanding(), RESEND_S):
            raise Refused(f"{self._vehicle_id} has not answered the update before: try again")

    async def _give_return(self, mission: Mission, route: Route, attempt: int) -> None:
        raw, pose_m = self._dialogue.heard(), self._view.pose_m()
        reached = self._reached(route, raw)
        if reached < 0:
            reached = place_on(route, pose_m, raw.last_node_id)
        if reached < 0:
            raise Refused(f"{self._vehicle_id} is not on the way of mission {mission.mission_id}: fetch it")
        away_m = 0.0 if pose_m is None else math.dist(pose_m, route.nodes[reached].xy_m)
        if away_m > self._base_length_m:
            raise Refused(f"{self._vehicle_id} is {away_m:.0f} m from node {route.nodes[reached].node_id}: fetch it")
        back = return_route(route, order_id=return_id(mission.mission_id, attempt), reached=reached, pose_m=pose_m)
        self._view.following.other = back
        self._view.clear_notes()
        await self._dialogue.give(back, base_length_m=self._base_length_m)

    def _reached(self, route: Route, raw: State) -> int:
        """The index of the last node reached of the whole mission, -1 when its orders do not say."""
        if carries(route, raw):
            return reached_index(route, raw)
        rest = self._view.following.current(raw)
        known = None if rest is None else rest_of(route.order_id, rest.order_id)
        if rest is None or known is None:
            return -1
        reached = reached_index(rest, raw)
        return -1 if reached < 0 else reached + route.step_nodes[known[0]]

    def _check_at_drop(self, route: Route, raw: State, step: int) -> None:
        """Raise ``Refused`` unless the robot stands at the node of a hand-over that is not done."""
        progress = self._view.following.progress
        if not 0 <= step < len(route.step_nodes) or not any(drop.step == step for drop in route.drops):
            raise Refused(f"{self._vehicle_id}: step {step} hands nothing over")
        if any(release.step == step for release in progress.releases):
            raise Refused(f"{self._vehicle_id}: the parcels of step {step} are handed over already")
        if raw.driving or self._reached(route, raw) != route.step_nodes[step]:
            raise Refused(f"{self._vehicle_id} does not stand where step {step} hands over")

    def _route(self) -> Route:
        route = self._view.current_route()
        if route is None:
            raise Refused(f"{self._vehicle_id} is on no order of ours")
        return route

    def _check_not_held(self, holds: int) -> None:
        if self.holds != holds:
            raise Refused(f"{self._vehicle_id} was held meanwhile: it stays where it is")

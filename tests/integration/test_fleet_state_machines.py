"""Orders, missions and custody under any sequence of what people and gateways may do, against a real database."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from fleet import control, missions, orders
from fleet.db.database import Database
from fleet.errors import Conflict
from tests.control_kit import change, controller, on_duty
from tests.fleet_kit import World

MAX_ORDERS = 6
OPEN_MISSION = frozenset(missions.TRANSITIONS) - missions.ENDED
HOLDER_OF = {
    "received": {"shelf"},
    "planned": {"shelf"},
    "loaded": {"vehicle"},
    "underway": {"vehicle"},
    "delivered": {"recipient"},
    "failed": {"shelf"},
    "cancelled": {"shelf"},
}
"""Where a parcel is by the state of its order."""

index = st.integers(0, 9)


class Fleet(RuleBasedStateMachine):
    """Does anything at any time; what is refused must change nothing, what is done must leave a story that fits."""

    world: ClassVar[World]
    run: ClassVar[Callable[[Awaitable[Any]], Any]]

    def __init__(self) -> None:
        super().__init__()
        self.order_ids: list[str] = []
        self.mission_ids: list[str] = []
        self.run(self._begin())

    async def _begin(self) -> None:
        await self.world.empty()
        await self.world.drone()
        await self.world.robot()
        await on_duty(self.world, "pilot", "kato")
        self.order_ids = [await self.world.order("first"), await self.world.order("second")]
        self.mission_ids = await self.world.missions()

    def attempt(self, what: Awaitable[Any]) -> bool:
        """Do something; return whether it was done. When it is refused nothing is written."""
        before = self.run(self.world.digest())
        try:
            self.run(what)
        except Conflict:
            assert self.run(self.world.digest()) == before
            return False
        return True

    def mission(self, chosen: int) -> str:
        return self.mission_ids[chosen % len(self.mission_ids)]

    @precondition(lambda self: len(self.order_ids) < MAX_ORDERS)
    @rule(robot=st.booleans())
    def an_order_comes_in(self, robot: bool) -> None:
        ref = f"A{len(self.order_ids)}"
        more = {"dropoff": "drop-1", "mass_kg": 3.0} if robot else {}
        self.order_ids.append(self.run(self.world.order(ref, **more)))

    @precondition(lambda self: self.order_ids)
    @rule()
    def what_waits_is_planned(self) -> None:
        self.mission_ids += self.run(self.world.missions())

    @precondition(lambda self: self.order_ids)
    @rule(chosen=index)
    def an_order_is_cancelled(self, chosen: int) -> None:
        order_id = self.order_ids[chosen % len(self.order_ids)]
        waits = self.run(self.world.order_state(order_id)) == "received"
        assert self.attempt(self._cancel_order(order_id)) == waits

    async def _cancel_order(self, order_id: str) -> None:
        async with self.world.database.transaction() as conn:
            await orders.cancel(conn, order_id, at=self.world.at, actor="dispatcher")

    @precondition(lambda self: self.mission_ids)
    @rule(chosen=index, steps=st.integers(1, 6))
    def the_day_goes_on(self, chosen: int, steps: int) -> None:
        """A mission takes its usual next steps: what goes wrong must find missions in all states."""
        for _ in range(steps):
            self.attempt(self._usual_step(self.mission(chosen)))

    async def _usual_step(self, mission_id: str) -> None:
        match (await self.world.mission(mission_id))["state"]:
            case "planned":
                await self.world.load(mission_id)
            case "loaded":
                await self.world.accept(mission_id)
            case "accepted":
                await self.world.move(mission_id, "starting")
            case "starting" | "held" | "returning":
                await self.world.move(mission_id, "underway")
            case "underway":
                waiting = [item for item in await self.world.carried(mission_id) if item["open"]]
                if waiting:
                    assert waiting[0]["order_id"] in await self.world.deliver(mission_id, waiting[0]["step"])
                else:
                    await self.world.move(mission_id, "completed")

    @precondition(lambda self: self.mission_ids)
    @rule(chosen=index, end=st.sampled_from(["aborted", "failed"]), unloaded=st.booleans())
    def a_flight_goes_wrong(self, chosen: int, end: str, unloaded: bool) -> None:
        mission_id = self.mission(chosen)
        self.the_day_goes_on(chosen, 4)
        self.attempt(self.world.move(mission_id, end))
        if unloaded:
            self.attempt(self.world.unload(mission_id))

    @precondition(lambda self: self.mission_ids)
    @rule(chosen=index)
    def the_crew_loads(self, chosen: int) -> None:
        loadable = self.run(self._loadable(self.mission(chosen)))
        assert self.attempt(self.world.load(self.mission(chosen))) == loadable

    async def _loadable(self, mission_id: str) -> bool:
        """Whether a mission is planned and its vehicle is free and empty."""
        others = await self.world.rows(
            "SELECT other.state, other.planned_depart < m.planned_depart AS before, EXISTS (SELECT 1 "
            "FROM mission_order mo WHERE mo.mission_id = other.mission_id AND mo.open) AS aboard "
            "FROM mission other JOIN mission m USING (vehicle_id) "
            "WHERE m.mission_id = %(id)s AND other.mission_id <> m.mission_id",
            id=mission_id,
        )
        free = all(not row["aboard"] if row["state"] in missions.ENDED else not row["before"] for row in others)
        return free and (await self.world.mission(mission_id))["state"] == "planned"

    @precondition(lambda self: self.mission_ids)
    @rule(chosen=index)
    def the_pilot_accepts(self, chosen: int) -> None:
        state = self.run(self.world.mission(self.mission(chosen)))["state"]
        assert self.attempt(self.world.accept(self.mission(chosen))) == (state == "loaded")

    @rule(vehicle=st.sampled_from(["drone-1", "robot-1"]))
    def the_pilot_is_relieved_for_a_while(self, vehicle: str) -> None:
        """Control goes to another pilot and back; where the mission stands does not change by that."""
        before = self.run(self.world.rows("SELECT mission_id, state FROM mission ORDER BY mission_id"))
        for now, then in (("pilot", "kato"), ("kato", "pilot")):
            self.attempt(change(self.world, control.take, now, vehicle))
            self.attempt(change(self.world, control.offer, now, vehicle, to=then))
            self.attempt(change(self.world, control.accept, then, vehicle))
        assert self.run(self.world.rows("SELECT mission_id, state FROM mission ORDER BY mission_id")) == before
        assert self.run(controller(self.world, vehicle)) == "pilot"

    @precondition(lambda self: self.mission_ids)
    @rule(chosen=index, to_state=st.sampled_from(["starting", "held", "returning", "completed", "aborted", "failed"]))
    def the_gateway_writes(self, chosen: int, to_state: str) -> None:
        state = self.run(self.world.mission(self.mission(chosen)))["state"]
        allowed = to_state in missions.TRANSITIONS[state]
        assert self.attempt(self.world.move(self.mission(chosen), to_state)) == allowed

    @precondition(lambda self: self.mission_ids)
    @rule(chosen=index)
    def the_vehicle_begins(self, chosen: int) -> None:
        state = self.run(self.world.mission(self.mission(chosen)))["state"]
        allowed = "underway" in missions.TRANSITIONS[state]
        assert self.attempt(self.world.move(self.mission(chosen), "underway")) == allowed

    @precondition(lambda self: self.mission_ids)
    @rule(chosen=index, parcel=index, times=st.integers(1, 2))
    def the_vehicle_says_that_it_released(self, chosen: int, parcel: int, times: int) -> None:
        mission_id = self.mission(chosen)
        state = self.run(self.world.mission(mission_id))["state"]
        carried = self.run(self.world.carried(mission_id))
        if state in OPEN_MISSION - {"starting", "underway", "held", "returning"}:
            return  # no vehicle has this mission yet
        for _ in range(times):
            done = self.attempt(self.world.deliver(mission_id, carried[parcel % len(carried)]["step"]))
            assert done == (state not in missions.ENDED)

    @precondition(lambda self: self.mission_ids)
    @rule(chosen=index)
    def the_crew_unloads(self, chosen: int) -> None:
        mission_id = self.mission(chosen)
        aboard = any(item["open"] for item in self.run(self.world.carried(mission_id)))
        over = self.run(self.world.mission(mission_id))["state"] in missions.ENDED
        assert self.attempt(self.world.unload(mission_id)) == (aboard and over)

    @precondition(lambda self: self.mission_ids)
    @rule(chosen=index, steps=st.integers(0, 3))
    def a_mission_is_cancelled(self, chosen: int, steps: int) -> None:
        self.the_day_goes_on(chosen, steps)
        state = self.run(self.world.mission(self.mission(chosen)))["state"]
        done = self.attempt(self._cancel_mission(self.mission(chosen)))
        assert done == (state in {"planned", "loaded", "accepted"})

    async def _cancel_mission(self, mission_id: str) -> None:
        async with self.world.database.transaction() as conn:
            await missions.cancel(conn, mission_id, at=self.world.at, actor="dispatcher")

    @rule(minutes=st.sampled_from([1, 45, 130]))
    def time_passes(self, minutes: int) -> None:
        self.run(self._let_pass(minutes))

    async def _let_pass(self, minutes: int) -> None:
        at = self.world.later(60.0 * minutes)
        async with self.world.database.transaction() as conn:
            await orders.fail_overdue(conn, region_id=self.world.region.region_id, at=at)

    @invariant()
    def every_story_fits(self) -> None:
        self.run(check_stories(self.world))


async def check_stories(world: World) -> None:
    """Assert that events, custody and what missions carry tell one story, in which nothing is in two places."""
    for order in await world.rows("SELECT * FROM delivery_order"):
        events = await world.rows(
            "SELECT * FROM order_event WHERE order_id = %(id)s ORDER BY event_id", id=order["order_id"]
        )
        _check_events(events, order["state"], orders.TRANSITIONS, first="received")
        chain = await world.rows(
            "SELECT * FROM custody WHERE order_id = %(id)s ORDER BY custody_id", id=order["order_id"]
        )
        riding = await world.rows(
            "SELECT m.vehicle_id, m.state FROM mission_order JOIN mission m USING (mission_id) "
            "WHERE open AND order_id = %(id)s",
            id=order["order_id"],
        )
        _check_custody(order, chain, riding)
    for mission in await world.rows("SELECT * FROM mission"):
        events = await world.rows(
            "SELECT * FROM mission_event WHERE mission_id = %(id)s ORDER BY event_id", id=mission["mission_id"]
        )
        _check_events(events, mission["state"], missions.TRANSITIONS, first="planned")
        assert (mission["ended_at"] is not None) == (mission["state"] in missions.ENDED)


def _check_events(
    events: list[dict[str, Any]], state: str, transitions: Mapping[str, frozenset[str]], *, first: str
) -> None:
    before = None
    for event in events:
        assert event["from_state"] == before
        # What changes no state is in the history too: whose flight it is from then on, for one.
        allowed = {first} if before is None else {before, *transitions[before]}
        assert event["to_state"] in allowed
        assert event["cause"]
        before = event["to_state"]
    assert before == state


def _check_custody(order: dict[str, Any], chain: list[dict[str, Any]], riding: list[dict[str, Any]]) -> None:
    holders = [(row["holder_kind"], row["holder_id"]) for row in chain]
    assert holders[0] == ("shelf", order["pickup_site"])
    assert all(here != there for here, there in itertools.pairwise(holders))
    assert [kind for kind, _ in holders[:-1]].count("recipient") == 0
    assert holders[-1][0] in HOLDER_OF[order["state"]]
    assert len(riding) == (order["state"] in {"planned", "loaded", "underway"})
    for ride in riding:
        if holders[-1][0] == "vehicle":
            assert holders[-1][1] == ride["vehicle_id"]
        else:
            # On the shelf a parcel belongs to a mission that is still to be loaded.
            assert ride["state"] == "planned"


def test_no_sequence_of_deeds_breaks_the_story(shared_dsn: str) -> None:
    loop = asyncio.new_event_loop()
    opened = Database.open(shared_dsn, max_size=2)
    try:
        Fleet.world = World(loop.run_until_complete(opened.__aenter__()))
        Fleet.run = staticmethod(loop.run_until_complete)
        limits = settings(
            max_examples=8,
            stateful_step_count=30,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(Fleet, settings=limits)
    finally:
        loop.run_until_complete(opened.__aexit__(None, None, None))
        loop.close()

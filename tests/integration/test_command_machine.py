"""Commands under any sequence of people, rules, gateways and changes of hands, against a real database.

Each deed is checked against a small model of who controls the vehicle; what is true of every command at any time is
checked after each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from fleet import commands, control
from fleet.command_kinds import KINDS, STOPS
from fleet.db.database import Database
from fleet.errors import Conflict
from tests.control_kit import SPEED, change, confirm, give, off_duty, on_duty, quiet
from tests.fleet_kit import World

RULE = "rule: test"
PILOTS = ("sato", "kato")
FOLLOWING = {
    None: {"proposed", "pending"},
    "proposed": {"pending", "expired"},
    "pending": {"sent", "expired"},
    "sent": {"done", "failed"},
    "done": set(),
    "failed": set(),
    "expired": set(),
}
"""Which state of a command may follow which."""

PARAMS: dict[str, dict[str, Any]] = {"clear": {"step": 1}, "altitude": {"agl_m": 40.0}}
kinds = st.sampled_from(["hold", "emergency_stop", "clear", "return", "land", "altitude"])
issuers = st.sampled_from([None, None, *PILOTS, RULE])
"""``None`` is whoever controls the vehicle."""
index = st.integers(0, 9)


class Commanding(RuleBasedStateMachine):
    """One drone, two pilots and a rule."""

    world: ClassVar[World]
    run: ClassVar[Callable[[Awaitable[Any]], Any]]

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, dict[str, Any]] = {}
        self.pilot: str | None = None
        self.offered: str | None = None
        self.epoch = 0
        self.keys = 0
        self.run(self._begin())
        self.changed_hands(PILOTS[0])

    async def _begin(self) -> None:
        await self.world.empty()
        await self.world.drone()
        await on_duty(self.world, *PILOTS)
        await change(self.world, control.take, PILOTS[0])

    def attempt(self, what: Awaitable[Any]) -> dict[str, Any] | None:
        """Do something; return what came of it. When it is refused nothing is written."""
        before = self.run(self.world.digest())
        try:
            done: dict[str, Any] | None = self.run(what)
        except Conflict:
            assert self.run(self.world.digest()) == before
            return None
        return done or {}

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["command_id"]: row for row in self.run(self.world.rows("SELECT * FROM command"))}

    def changed_hands(self, to: str | None) -> None:
        self.pilot, self.offered, self.epoch = to, None, self.epoch + 1

    # -- commands ----------------------------------------------------------------------------------

    @rule(kind=kinds, issuer=issuers)
    def a_command_is_given(self, kind: str, issuer: str | None) -> None:
        self.keys += 1
        issuer = issuer or self.pilot or RULE
        given = give(self.world, kind, issuer, key=f"k{self.keys}", params=PARAMS.get(kind))
        row = self.attempt(given)

        assert (row is not None) == (kind in STOPS or issuer in {RULE, self.pilot})
        if row is None:
            return
        one_step = KINDS[kind].steps == 1
        assert row["state"] == ("pending" if one_step else "proposed")
        assert row["control_epoch"] == (None if kind in STOPS or issuer == RULE else self.epoch)
        if kind in STOPS:
            waiting = [r for r in self.rows().values() if r["state"] in {"proposed", "pending"}]
            assert {r["kind"] for r in waiting} <= set(STOPS)

    @precondition(lambda self: self.seen)
    @rule(chosen=index)
    def it_is_given_again_with_the_same_key(self, chosen: int) -> None:
        known = self._chosen(chosen)
        before = self.run(self.world.digest())

        again = give(self.world, known["kind"], known["issuer"], key=known["idempotency_key"], params=known["params"])

        assert self.run(again)["command_id"] == known["command_id"]
        assert self.run(self.world.digest()) == before

    @precondition(lambda self: self.pilot is not None)
    @rule(taken=st.sets(kinds, min_size=1, max_size=4))
    def a_busy_moment(self, taken: set[str]) -> None:
        """Several commands at once: what stops first, since it would withdraw the others."""
        for kind in sorted(taken, key=lambda kind: kind not in STOPS):
            self.a_command_is_given(kind, None)
        for row in self.rows().values():
            if row["state"] == "proposed":
                self.attempt(confirm(self.world, row, row["issuer"]))

    @precondition(lambda self: self.seen)
    @rule(chosen=index, other=st.booleans())
    def it_is_confirmed(self, chosen: int, other: bool) -> None:
        known = self._chosen(chosen)
        actor = next(name for name in (*PILOTS, RULE) if (name != known["issuer"]) == other)
        ours = known["control_epoch"] in (None, self.epoch)

        row = self.attempt(confirm(self.world, known, actor))

        alive = known["state"] == "proposed" and known["expires_at"] > self.world.at and ours
        over = known["state"] not in {"proposed", "expired"}
        assert (row is not None) == (not other and (alive or over))

    @rule(only_stops=st.booleans())
    def a_gateway_takes_the_next(self, only_stops: bool) -> None:
        before = self.rows()
        at = self.world.at

        row = self.run(self._claim(only_stops))

        free = [
            r for r in before.values()
            if r["state"] == "pending" and r["expires_at"] > at and r["control_epoch"] in (None, self.epoch)
            and (r["kind"] in STOPS or not only_stops)
        ]  # fmt: skip
        assert (row is not None) == bool(free)
        if row is not None:
            assert before[row["command_id"]]["state"] == "pending"
            most_urgent = min(STOPS.index(r["kind"]) if r["kind"] in STOPS else len(STOPS) for r in free)
            assert (STOPS.index(row["kind"]) if row["kind"] in STOPS else len(STOPS)) == most_urgent

    async def _claim(self, only_stops: bool) -> dict[str, Any] | None:
        async with self.world.database.transaction() as conn:
            kinds = STOPS if only_stops else None
            return await commands.claim(conn, vehicle_id="drone-1", epoch=1, at=self.world.at, kinds=kinds)

    @precondition(lambda self: self.seen)
    @rule(chosen=index, state=st.sampled_from(["done", "failed"]))
    def an_outcome_comes(self, chosen: int, state: str) -> None:
        known = self._chosen(chosen)

        self.run(self._finish(known["command_id"], state))

        now = self.rows()[known["command_id"]]["state"]
        assert now == (state if known["state"] == "sent" else known["state"])

    async def _finish(self, command_id: str, state: str) -> None:
        async with self.world.database.transaction() as conn:
            await commands.finish(conn, command_id, state=state, outcome="test", at=self.world.at)

    @rule()
    def the_gateway_is_restarted(self) -> None:
        self.run(self._abandon())

        assert "sent" not in {row["state"] for row in self.rows().values()}

    async def _abandon(self) -> None:
        async with self.world.database.transaction() as conn:
            await commands.abandon(conn, vehicle_id="drone-1", at=self.world.at)

    @rule(seconds=st.sampled_from([1.0, 40.0, 16.0 * SPEED]), tidy=st.booleans())
    def time_passes(self, seconds: float, tidy: bool) -> None:
        self.world.later(seconds)
        if tidy:
            self.run(self._expire())
            late = [r for r in self.rows().values() if r["state"] in {"proposed", "pending"}]
            assert all(row["expires_at"] > self.world.at for row in late)

    async def _expire(self) -> None:
        async with self.world.database.transaction() as conn:
            await commands.expire(conn, at=self.world.at)

    # -- control -----------------------------------------------------------------------------------

    @rule(pilot=st.sampled_from(PILOTS), silent=st.booleans())
    def control_is_taken(self, pilot: str, silent: bool) -> None:
        if silent:
            self.run(quiet(self.world, next(other for other in PILOTS if other != pilot)))

        taken = self.attempt(change(self.world, control.take, pilot))

        assert (taken is not None) == (self.pilot in {None, pilot} or silent)
        if taken is not None and self.pilot != pilot:
            self.changed_hands(pilot)
        self.run(on_duty(self.world, *PILOTS))

    @rule(pilot=st.sampled_from(PILOTS))
    def control_is_offered_to_the_other(self, pilot: str) -> None:
        to = next(other for other in PILOTS if other != pilot)

        offered = self.attempt(change(self.world, control.offer, pilot, to=to))

        assert (offered is not None) == (self.pilot == pilot)
        self.offered = to if offered is not None else self.offered

    @rule(pilot=st.sampled_from(PILOTS))
    def an_offer_is_accepted(self, pilot: str) -> None:
        accepted = self.attempt(change(self.world, control.accept, pilot))

        assert (accepted is not None) == (pilot in {self.pilot, self.offered})
        if accepted is not None and self.pilot != pilot:
            self.changed_hands(pilot)

    @rule(pilot=st.sampled_from(PILOTS))
    def an_offer_is_declined(self, pilot: str) -> None:
        declined = self.attempt(change(self.world, control.decline, pilot))

        assert (declined is not None) == (self.offered is not None and pilot in {self.pilot, self.offered})
        self.offered = None if declined is not None else self.offered

    @rule(pilot=st.sampled_from(PILOTS))
    def control_is_released(self, pilot: str) -> None:
        released = self.attempt(change(self.world, control.release, pilot))

        assert (released is not None) == (self.pilot == pilot)
        if released is not None:
            self.changed_hands(None)

    @rule(pilot=st.sampled_from(PILOTS))
    def a_pilot_goes_off_duty_and_comes_back(self, pilot: str) -> None:
        self.run(off_duty(self.world, pilot))
        if self.pilot == pilot:
            self.changed_hands(None)
        self.offered = None if self.offered == pilot else self.offered
        self.run(on_duty(self.world, *PILOTS))

    def _chosen(self, chosen: int) -> dict[str, Any]:
        rows = list(self.rows().values())
        return rows[chosen % len(rows)]

    # -- what is always so -------------------------------------------------------------------------

    @invariant()
    def every_command_has_one_story(self) -> None:
        for command_id, row in self.rows().items():
            before = self.seen.get(command_id)
            was = before["state"] if before else None
            assert row["state"] == was or row["state"] in FOLLOWING[was] or self._through(was, row["state"])
            assert (row["finished_at"] is not None) == (row["state"] in {"done", "failed", "expired"})
            assert (row["outcome"] is not None) == (row["finished_at"] is not None)
            assert (row["sent_at"] is not None) == (row["state"] in {"sent", "done", "failed"})
            if before and before["sent_at"]:
                assert row["sent_at"] == before["sent_at"]
            self.seen[command_id] = row

    def _through(self, was: str | None, now: str) -> bool:
        """Whether a state was reached through another one within a single deed."""
        return any(now in FOLLOWING[between] for between in FOLLOWING[was])

    @invariant()
    def control_is_where_it_was_given(self) -> None:
        rows = self.run(self.world.rows("SELECT * FROM vehicle_control"))
        found = [(row["pilot"], row["offered_to"], row["epoch"]) for row in rows]
        assert found in ([], [(self.pilot, self.offered, self.epoch)])
        waiting = [row for row in self.rows().values() if row["state"] in {"proposed", "pending"}]
        assert all(row["control_epoch"] in (None, self.epoch) for row in waiting)


def test_no_sequence_of_deeds_sends_what_may_not_be_sent(shared_dsn: str) -> None:
    loop = asyncio.new_event_loop()
    opened = Database.open(shared_dsn, max_size=2)
    try:
        Commanding.world = World(loop.run_until_complete(opened.__aenter__()))
        Commanding.run = staticmethod(loop.run_until_complete)
        limits = settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(Commanding, settings=limits)
    finally:
        loop.run_until_complete(opened.__aexit__(None, None, None))
        loop.close()

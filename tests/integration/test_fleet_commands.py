"""Commands: keys, two steps, a time to live in wall time, and nothing that is ever sent twice."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import psycopg
import pytest

from fleet import commands, control, vehicles
from fleet.command_kinds import KINDS, STOPS, check_limits, check_params
from fleet.errors import BadRequest, Conflict, NotFound
from hardware.profiles import load_profile
from routing.errors import BadInput
from tests.control_kit import change
from tests.fleet_kit import World

SPEED = 5.0
PARAMS: dict[str, dict[str, Any]] = {
    "cross": {"node": "n1"},
    "clear": {"step": 3},
    "divert": {"site_id": "drop-5"},
    "speed": {"speed_mps": 5.0},
    "altitude": {"agl_m": 40.0},
    "release": {"step": 3},
    "skip": {"step": 3},
    "unlock": {"step": 3},
}
TWO_STEPS = ["resume", "return", "land", "divert", "speed", "altitude", "release", "skip", "abort"]


@pytest.fixture
async def fleet(world: World) -> World:
    """A world with a drone and a robot that one pilot controls."""
    for vehicle_id in (await world.drone(), await world.robot()):
        await change(world, control.take, "pilot", vehicle_id)
    return world


async def _issue(
    world: World,
    kind: str = "hold",
    *,
    key: str = "k1",
    vehicle: str = "drone-1",
    issuer: str = "pilot",
    params: dict[str, Any] | None = None,
) -> dict[str, Any]:
    given = PARAMS.get(kind) if params is None else params
    async with world.database.transaction() as conn:
        return await commands.issue(
            conn, vehicle_id=vehicle, kind=kind, key=key, issuer=issuer, at=world.at, speed=SPEED, params=given
        )


async def _confirm(world: World, command: dict[str, Any], *, actor: str = "pilot") -> dict[str, Any]:
    async with world.database.transaction() as conn:
        return await commands.confirm(conn, command["command_id"], actor=actor, at=world.at, speed=SPEED)


async def _claim(world: World, *, only_stops: bool = False) -> dict[str, Any] | None:
    async with world.database.transaction() as conn:
        kinds = STOPS if only_stops else None
        return await commands.claim(conn, vehicle_id="drone-1", epoch=7, at=world.at, kinds=kinds)


async def _get(world: World, command: dict[str, Any]) -> dict[str, Any]:
    async with world.database.transaction() as conn:
        return await commands.get(conn, command["command_id"])


async def test_a_hold_is_pending_at_once_and_is_claimed(fleet: World) -> None:
    command = await _issue(fleet, "hold")

    claimed = await _claim(fleet)

    assert command["state"] == "pending"
    assert claimed is not None
    assert (claimed["command_id"], claimed["state"], claimed["lease_epoch"]) == (command["command_id"], "sent", 7)
    assert await _claim(fleet) is None


@pytest.mark.parametrize("kind", TWO_STEPS)
async def test_what_makes_a_vehicle_go_is_sent_after_its_second_step_alone(fleet: World, kind: str) -> None:
    command = await _issue(fleet, kind)
    assert command["state"] == "proposed"
    assert await _claim(fleet) is None

    await _confirm(fleet, command)

    claimed = await _claim(fleet)
    assert claimed is not None
    assert claimed["command_id"] == command["command_id"]


@pytest.mark.parametrize(("kind", "vehicle"), [("clear", "drone-1"), ("cross", "robot-1")])
async def test_what_answers_a_vehicle_that_waits_takes_one_step(fleet: World, kind: str, vehicle: str) -> None:
    command = await _issue(fleet, kind, vehicle=vehicle)

    assert (command["state"], command["params"]) == ("pending", PARAMS[kind])


async def test_an_emergency_stop_goes_before_a_hold_and_both_before_all_else(fleet: World) -> None:
    for key, kind in enumerate(("hold", "clear", "hold", "emergency_stop", "clear")):
        await _issue(fleet, kind, key=str(key))
    await fleet.write("UPDATE command SET state = 'pending'")

    claimed = [await _claim(fleet) for _ in range(5)]

    assert [row["kind"] if row else None for row in claimed] == ["emergency_stop", "hold", "hold", "clear", "clear"]


async def test_an_emergency_stop_withdraws_what_was_not_sent_yet_but_no_hold(fleet: World) -> None:
    resume, hold = await _issue(fleet, "resume", key="a"), await _issue(fleet, "hold", key="b", issuer="other")
    land = await _issue(fleet, "land", key="c")

    await _issue(fleet, "emergency_stop", key="d", issuer="other")

    rows = [await _get(fleet, command) for command in (resume, hold, land)]
    assert [row["state"] for row in rows] == ["expired", "pending", "expired"]
    assert rows[0]["outcome"] == "withdrawn: other gave a hold after it"
    assert rows[2]["outcome"] == "withdrawn: other gave an emergency stop after it"


async def test_a_key_used_with_other_parameters_is_another_command(fleet: World) -> None:
    first = await _issue(fleet, "altitude", params={"agl_m": 40.0})

    async with fleet.refused(Conflict, "idempotency_key: 'k1' was used"):
        await _issue(fleet, "altitude", params={"agl_m": 50.0})

    assert (await _issue(fleet, "altitude", params={"agl_m": 40}))["command_id"] == first["command_id"]


@pytest.mark.parametrize(
    ("kind", "params", "match"),
    [
        ("hold", {"agl_m": 40.0}, "params.agl_m: Extra inputs are not permitted"),
        ("altitude", {}, "params.agl_m: Field required"),
        ("altitude", {"agl_m": 9.9}, "params.agl_m: .*greater than or equal to 10"),
        ("altitude", {"agl_m": 150.1}, "params.agl_m: .*less than or equal to 150"),
        ("altitude", {"agl_m": float("nan")}, "params.agl_m: .*finite"),
        ("altitude", {"agl_m": "40"}, "params.agl_m: .*number"),
        ("speed", {"speed_mps": 0.5}, "params.speed_mps"),
        ("speed", {"speed_mps": 99.0}, "params.speed_mps: a multirotor_1kg goes at 1.0 to 15.0 m/s, not 99"),
        ("divert", {"site_id": ""}, "params.site_id"),
        ("divert", {"site_id": "a\0b"}, "params.site_id"),
        ("divert", {"site_id": 5}, "params.site_id"),
        ("clear", {"step": -1}, "params.step"),
        ("clear", {"step": 1.5}, "params.step"),
        ("clear", {"step": True}, "params.step"),
        ("release", {"step": 10**12}, "params.step"),
    ],
)
def test_parameters_that_cannot_be_are_refused_by_name(kind: str, params: dict[str, Any], match: str) -> None:
    with pytest.raises(BadRequest, match=match):
        check_limits(KINDS[kind], check_params(KINDS[kind], params), load_profile("multirotor_1kg"))


async def test_a_command_with_bad_parameters_is_not_taken(fleet: World) -> None:
    async with fleet.refused(BadRequest, "params.agl_m: Field required"):
        await _issue(fleet, "altitude", params={})
    async with fleet.refused(BadRequest, "params.speed_mps: a multirotor_1kg goes at"):
        await _issue(fleet, "speed", params={"speed_mps": 99.0})


@pytest.mark.parametrize(
    ("type_id", "speed_mps", "fits"),
    [
        ("sidewalk_robot", 1.6, True),
        ("sidewalk_robot", 1.7, False),
        ("vtol_5kg", 14.9, False),  # its wing carries from 15 m/s on
        ("vtol_5kg", 15.0, True),
        ("vtol_5kg", 40.1, False),
    ],
)
def test_a_speed_is_one_that_the_type_can_go_at(type_id: str, speed_mps: float, fits: bool) -> None:
    kind, profile = KINDS["speed"], load_profile(type_id)
    if fits:
        check_limits(kind, {"speed_mps": speed_mps}, profile)
    else:
        with pytest.raises(BadRequest, match=r"params\.speed_mps"):
            check_limits(kind, {"speed_mps": speed_mps}, profile)


def test_the_database_knows_every_kind_and_no_other(shared_dsn: str) -> None:
    with psycopg.connect(shared_dsn) as connection:
        row = connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'command_kind_check'"
        ).fetchone()
    assert row is not None
    assert set(re.findall(r"'(\w+)'", row[0])) == set(KINDS)


async def test_a_key_used_again_is_the_same_command(fleet: World) -> None:
    first = await _issue(fleet, "hold", key="k1")
    before = await fleet.digest()

    again = await asyncio.gather(*(_issue(fleet, "hold", key="k1") for _ in range(4)))

    assert {row["command_id"] for row in again} == {first["command_id"]}
    assert await fleet.digest() == before


async def test_a_key_of_another_command_is_refused(fleet: World) -> None:
    await _issue(fleet, "hold", key="k1")

    others: list[dict[str, Any]] = [{"kind": "resume"}, {"kind": "hold", "vehicle": "robot-1"}]
    for other in others:
        async with fleet.refused(Conflict, "idempotency_key: 'k1' was used"):
            await _issue(fleet, key="k1", **other)


async def test_two_people_may_use_the_same_key(fleet: World) -> None:
    first = await _issue(fleet, key="k1", issuer="pilot")
    second = await _issue(fleet, key="k1", issuer="other")

    assert first["command_id"] != second["command_id"]


async def test_a_command_is_confirmed_by_who_proposed_it(fleet: World) -> None:
    command = await _issue(fleet, "land")

    async with fleet.refused(Conflict, "was proposed by pilot"):
        await _confirm(fleet, command, actor="other")

    assert await _claim(fleet) is None


async def test_confirming_again_does_nothing(fleet: World) -> None:
    command = await _issue(fleet, "land")
    await _confirm(fleet, command)
    before = await fleet.digest()

    fleet.later(10)
    again = await _confirm(fleet, command)

    assert again["state"] == "pending"
    assert await fleet.digest() == before


@pytest.mark.parametrize(("domain_s", "in_time"), [(74.9, True), (75.0, False)])
async def test_a_proposal_lives_for_fifteen_wall_seconds(fleet: World, domain_s: float, in_time: bool) -> None:
    command = await _issue(fleet, "return")
    fleet.later(domain_s)

    if in_time:
        assert (await _confirm(fleet, command))["state"] == "pending"
    else:
        async with fleet.refused(Conflict, "has expired and nothing was sent"):
            await _confirm(fleet, command)


@pytest.mark.parametrize(("domain_s", "in_time"), [(74.9, True), (75.0, False)])
async def test_a_pending_command_is_sent_within_fifteen_wall_seconds_or_never(
    fleet: World, domain_s: float, in_time: bool
) -> None:
    await _issue(fleet, "hold")
    fleet.later(domain_s)

    assert (await _claim(fleet) is not None) == in_time


async def test_a_confirmation_begins_the_time_to_live_anew(fleet: World) -> None:
    command = await _issue(fleet, "return")
    fleet.later(70)
    await _confirm(fleet, command)
    fleet.later(70)

    assert await _claim(fleet) is not None


async def test_what_was_not_sent_in_time_expires_with_a_reason(fleet: World) -> None:
    sent = await _issue(fleet, "hold", key="a")
    await _claim(fleet)
    hold, proposal = await _issue(fleet, "hold", key="b"), await _issue(fleet, "land", key="c")
    fleet.later(75)

    async with fleet.database.transaction() as conn:
        assert sorted(await commands.expire(conn, at=fleet.at)) == ["hold", "land"]

    for command in (hold, proposal):
        row = await _get(fleet, command)
        assert (row["state"], row["finished_at"]) == ("expired", fleet.at)
        assert "too late" in row["outcome"]
    assert (await _get(fleet, sent))["state"] == "sent"


async def test_a_hold_is_claimed_before_what_was_confirmed_before_it(fleet: World) -> None:
    resume = await _issue(fleet, "resume", key="a")
    await fleet.write("UPDATE command SET state = 'pending'")
    hold = await _issue(fleet, "hold", key="b")
    # As if the resume had been confirmed in the very same moment.
    await fleet.write("UPDATE command SET state = 'pending' WHERE command_id = %(id)s", id=resume["command_id"])

    claimed = await _claim(fleet)

    assert claimed is not None
    assert claimed["command_id"] == hold["command_id"]


async def test_a_hold_withdraws_what_was_not_sent_yet(fleet: World) -> None:
    resume, land = await _issue(fleet, "resume", key="a"), await _issue(fleet, "land", key="b")
    await _confirm(fleet, resume)
    elsewhere = await _issue(fleet, "resume", key="c", vehicle="robot-1")

    hold = await _issue(fleet, "hold", key="d", issuer="other")

    claimed = await _claim(fleet)
    assert claimed is not None
    assert claimed["command_id"] == hold["command_id"]
    assert await _claim(fleet) is None
    for command in (resume, land):
        row = await _get(fleet, command)
        assert (row["state"], row["outcome"]) == ("expired", "withdrawn: other gave a hold after it")
    async with fleet.refused(Conflict, "withdrawn: other gave a hold"):
        await _confirm(fleet, land)
    assert (await _get(fleet, elsewhere))["state"] == "proposed"


async def test_a_gateway_that_is_busy_takes_holds_alone(fleet: World) -> None:
    resume = await _issue(fleet, "resume", key="a")
    await _confirm(fleet, resume)

    assert await _claim(fleet, only_stops=True) is None
    assert await _claim(fleet) is not None


async def test_of_many_that_claim_at_once_one_gets_the_command(fleet: World) -> None:
    await _issue(fleet, "hold")

    claims = await asyncio.gather(*(_claim(fleet) for _ in range(5)))

    assert sum(claim is not None for claim in claims) == 1


async def test_a_sent_command_without_an_outcome_fails_and_is_never_sent_again(fleet: World) -> None:
    command = await _issue(fleet, "hold")
    await _claim(fleet)

    async with fleet.database.transaction() as conn:
        await commands.abandon(conn, vehicle_id="drone-1", at=fleet.at)

    assert await _claim(fleet) is None
    row = await _get(fleet, command)
    assert row["state"] == "failed"
    assert "before the outcome was known" in row["outcome"]
    # An outcome that comes late changes nothing.
    async with fleet.database.transaction() as conn:
        await commands.finish(conn, command["command_id"], state="done", outcome="late", at=fleet.at)
    assert (await _get(fleet, command))["state"] == "failed"


async def test_a_restart_leaves_what_was_not_sent_pending(fleet: World) -> None:
    command = await _issue(fleet, "hold")

    async with fleet.database.transaction() as conn:
        await commands.abandon(conn, vehicle_id="drone-1", at=fleet.at)

    assert (await _get(fleet, command))["state"] == "pending"


async def test_a_command_names_the_mission_that_it_was_given_on(fleet: World) -> None:
    await fleet.order("A1")
    (mission_id,) = await fleet.missions()
    before = await _issue(fleet, "hold", key="a")
    await fleet.fly(mission_id)

    during = await _issue(fleet, "hold", key="b")

    assert (before["mission_id"], during["mission_id"]) == (None, mission_id)


async def test_a_vehicle_whose_profile_is_missing_is_held_and_called_home_all_the_same(fleet: World) -> None:
    await fleet.write("UPDATE vehicle SET type_id = 'sold long ago'")

    given = [await _issue(fleet, kind, key=kind) for kind in ("hold", "emergency_stop", "return")]

    assert [command["state"] for command in given] == ["pending", "pending", "proposed"]
    async with fleet.refused(BadInput, "sold long ago"):
        await _issue(fleet, "speed", key="s")


async def test_a_retired_vehicle_is_not_commanded(fleet: World) -> None:
    proposed = await _issue(fleet, "return")
    async with fleet.database.transaction() as conn:
        await vehicles.retire(conn, "drone-1", at=fleet.at, actor="admin")

    async with fleet.refused(Conflict, "is retired"):
        await _issue(fleet, "hold", key="k2")
    async with fleet.refused(Conflict, "is retired"):
        await _confirm(fleet, proposed)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"vehicle": "drone-9"}, NotFound, "drone-9"),
        ({"kind": "explode"}, BadRequest, "kind: 'explode'"),
        ({"kind": "land", "vehicle": "robot-1"}, BadRequest, "kind: only a drone can land"),
        ({"kind": "divert", "vehicle": "robot-1"}, BadRequest, "kind: only a drone can divert"),
        ({"kind": "cross"}, BadRequest, "kind: only a robot can cross"),
        ({"kind": "unlock"}, BadRequest, "kind: only a robot can unlock"),
        ({"key": ""}, BadRequest, "idempotency_key"),
        ({"key": "x" * 129}, BadRequest, "idempotency_key"),
        ({"key": "a\0b"}, BadRequest, "idempotency_key"),
    ],
)
async def test_what_cannot_be_a_command_is_refused_by_name(
    fleet: World, change: dict[str, Any], error: type[Exception], match: str
) -> None:
    async with fleet.refused(error, match):
        await _issue(fleet, **change)


async def test_every_command_and_confirmation_is_on_the_audit_trail(fleet: World) -> None:
    await _confirm(fleet, await _issue(fleet, "land"))

    entries = await fleet.rows(
        "SELECT actor, action, subject_id FROM audit WHERE action LIKE 'command%%' ORDER BY 1, 2"
    )

    assert [(row["actor"], row["action"], row["subject_id"]) for row in entries] == [
        ("pilot", "command.confirm", "drone-1"),
        ("pilot", "command.land", "drone-1"),
    ]

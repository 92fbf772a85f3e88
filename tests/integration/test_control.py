"""Control: one pilot a vehicle, changing hands explicitly, and commands that know under whom they were given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from fleet import commands, control, missions, vehicles, workload
from fleet.errors import BadRequest, Conflict, NotFound
from tests.control_kit import change, claim, confirm, controller, give, off_duty, on_duty, quiet
from tests.fleet_kit import World


@pytest.fixture
async def fleet(world: World) -> World:
    """A drone and a robot, and two pilots on duty."""
    await world.drone()
    await world.robot()
    await on_duty(world, "sato", "kato")
    return world


async def _winners(*attempts: Awaitable[Any]) -> int:
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert all(isinstance(result, dict | Conflict) for result in results), results
    return sum(isinstance(result, dict) for result in results)


async def _loaded(world: World) -> str:
    await world.order("A1")
    (mission_id,) = await world.missions()
    await world.load(mission_id)
    return mission_id


async def _flying(world: World, pilot: str = "sato") -> str:
    """A drone under way in a pilot's hands; the launch was accepted by "pilot"."""
    mission_id = await _loaded(world)
    await world.accept(mission_id)
    await world.move(mission_id, "starting", "underway")
    await change(world, control.offer, "pilot", to=pilot)
    await change(world, control.accept, pilot)
    return mission_id


async def test_who_accepts_a_launch_controls_the_vehicle_and_is_on_duty(fleet: World) -> None:
    mission_id = await _loaded(fleet)

    await fleet.accept(mission_id)

    assert await controller(fleet) == "pilot"
    on = await fleet.rows("SELECT pilot FROM pilot_duty WHERE ended_at IS NULL")
    assert "pilot" in [row["pilot"] for row in on]


async def test_a_launch_is_not_accepted_over_the_head_of_a_pilot_who_is_there(fleet: World) -> None:
    mission_id = await _loaded(fleet)
    await change(fleet, control.take, "sato")

    async with fleet.refused(Conflict, "sato controls drone-1: have it handed over"):
        await fleet.accept(mission_id)

    await quiet(fleet, "sato")
    await fleet.accept(mission_id)
    assert await controller(fleet) == "pilot"


async def test_a_vehicle_that_nobody_controls_is_taken_and_taken_again_by_the_same_does_nothing(fleet: World) -> None:
    first = await change(fleet, control.take, "sato")
    again = await change(fleet, control.take, "sato")

    assert (first["pilot"], again["epoch"]) == ("sato", first["epoch"])


async def test_a_vehicle_is_not_taken_from_a_pilot_who_is_there(fleet: World) -> None:
    await change(fleet, control.take, "sato")

    async with fleet.refused(Conflict, "sato controls drone-1 and is there"):
        await change(fleet, control.take, "kato")

    assert await controller(fleet) == "sato"


@pytest.mark.parametrize("gone", ["silent", "off duty"])
async def test_a_vehicle_is_taken_from_a_pilot_who_is_not(fleet: World, gone: str) -> None:
    before = await change(fleet, control.take, "sato")
    if gone == "silent":
        await quiet(fleet, "sato")
    else:
        await fleet.write("UPDATE pilot_duty SET ended_at = began_at WHERE pilot = 'sato'")

    taken = await change(fleet, control.take, "kato")

    assert (taken["pilot"], taken["epoch"]) == ("kato", before["epoch"] + 1)


async def test_a_minute_of_silence_is_needed(fleet: World) -> None:
    await change(fleet, control.take, "sato")
    await quiet(fleet, "sato", 50.0)

    async with fleet.refused(Conflict, "is there"):
        await change(fleet, control.take, "kato")


async def test_of_two_who_take_at_once_one_has_it(fleet: World) -> None:
    won = await _winners(*(change(fleet, control.take, pilot) for pilot in ("sato", "kato", "sato", "kato")))

    row = await fleet.one("SELECT pilot, epoch FROM vehicle_control")
    assert won == 2  # the same pilot twice
    assert row["epoch"] == 1
    assert row["pilot"] in {"sato", "kato"}


async def test_a_vehicle_is_handed_over_when_the_other_accepts_and_not_before(fleet: World) -> None:
    await change(fleet, control.take, "sato")
    offered = await change(fleet, control.offer, "sato", to="kato")
    assert (offered["pilot"], offered["offered_to"]) == ("sato", "kato")

    accepted = await change(fleet, control.accept, "kato")

    assert (accepted["pilot"], accepted["epoch"], accepted["offered_to"]) == ("kato", offered["epoch"] + 1, None)


async def test_accepting_twice_changes_hands_once(fleet: World) -> None:
    await change(fleet, control.take, "sato")
    await change(fleet, control.offer, "sato", to="kato")

    won = await _winners(*(change(fleet, control.accept, "kato") for _ in range(3)))

    assert won == 3
    assert (await fleet.one("SELECT epoch FROM vehicle_control"))["epoch"] == 2


async def test_an_offer_is_declined_or_withdrawn_by_whom_it_concerns_alone(fleet: World) -> None:
    await on_duty(fleet, "goto")
    await change(fleet, control.take, "sato")
    await change(fleet, control.offer, "sato", to="kato")
    async with fleet.refused(Conflict, "is not offered to goto"):
        await change(fleet, control.decline, "goto")

    declined = await change(fleet, control.decline, "kato")
    await change(fleet, control.offer, "sato", to="kato")
    withdrawn = await change(fleet, control.decline, "sato")

    assert [row["pilot"] for row in (declined, withdrawn)] == ["sato", "sato"]
    async with fleet.refused(Conflict, "not offered to kato any more"):
        await change(fleet, control.accept, "kato")


async def test_a_newer_offer_takes_the_place_of_the_older(fleet: World) -> None:
    await on_duty(fleet, "goto")
    await change(fleet, control.take, "sato")
    await change(fleet, control.offer, "sato", to="kato")
    await change(fleet, control.offer, "sato", to="goto")

    async with fleet.refused(Conflict, "not offered to kato any more"):
        await change(fleet, control.accept, "kato")

    assert (await change(fleet, control.accept, "goto"))["pilot"] == "goto"


async def test_a_vehicle_is_offered_to_another_pilot_on_duty_alone(fleet: World) -> None:
    await fleet.user("dispatch", "dispatcher")
    await fleet.user("boss", "administrator")
    await fleet.user("asleep", "pilot")
    await change(fleet, control.take, "sato")

    for to, error, words in (
        ("sato", BadRequest, "to: that is yourself"),
        ("nobody", BadRequest, "to: 'nobody' is no pilot"),
        ("a\0b", BadRequest, "is no pilot"),
        ("dispatch", BadRequest, "to: 'dispatch' is no pilot"),
        ("boss", BadRequest, "to: 'boss' is no pilot"),
        ("asleep", Conflict, "asleep is not on duty"),
    ):
        async with fleet.refused(error, words):
            await change(fleet, control.offer, "sato", to=to)
    async with fleet.refused(Conflict, "sato controls drone-1, not kato"):
        await change(fleet, control.offer, "kato", to="sato")
    async with fleet.refused(NotFound, "drone-9"):
        await change(fleet, control.take, "sato", "drone-9")


async def test_what_moves_or_will_is_handed_over_and_not_left(fleet: World) -> None:
    mission_id = await _flying(fleet)

    async with fleet.refused(Conflict, f"mission {mission_id} of drone-1 is underway: hand it over"):
        await change(fleet, control.release, "sato")
    await fleet.move(mission_id, "completed")

    assert (await change(fleet, control.release, "sato"))["pilot"] is None
    async with fleet.refused(Conflict, "nobody controls drone-1, not sato"):
        await change(fleet, control.release, "sato")


async def _one_too_many(fleet: World) -> None:
    """A drone in the air that is kato's; sato may have none."""
    await _flying(fleet, "sato")
    await fleet.drone("drone-2", port=14601, pad=1)
    await change(fleet, control.take, "kato", "drone-2")
    await fleet.write("UPDATE mission SET vehicle_id = 'drone-2'")
    await fleet.write("UPDATE vehicle SET category = 'level_4'")
    await fleet.write(
        "INSERT INTO pilot_limit (region_id, category, most, source, set_at, set_by) "
        "VALUES (%(region)s, 'level_4', 0, 'permit 7', %(at)s, 'admin')",
        region=fleet.region.region_id,
        at=fleet.at,
    )


async def test_no_more_in_the_air_than_a_pilot_may_have(fleet: World) -> None:
    await _one_too_many(fleet)
    await change(fleet, control.offer, "kato", "drone-2", to="sato")

    async with fleet.refused(Conflict, r"sato has none in the air and may have 0 of level_4 \(permit 7\)"):
        await change(fleet, control.accept, "sato", "drone-2")

    assert await controller(fleet, "drone-2") == "kato"


async def test_a_drone_in_the_air_without_its_pilot_is_taken_beyond_the_limit_and_that_is_said(fleet: World) -> None:
    await _one_too_many(fleet)
    await quiet(fleet, "kato")

    taken = await change(fleet, control.take, "sato", "drone-2")

    words = "sato has none in the air and may have 0 of level_4 (permit 7)"
    assert (taken["pilot"], taken["limit_exceeded"]) == ("sato", words)
    assert (await change(fleet, control.take, "sato", "drone-2"))["limit_exceeded"] is None
    trail = await fleet.one("SELECT detail FROM audit WHERE action = 'control.take' ORDER BY audit_id DESC LIMIT 1")
    assert trail["detail"]["limit_exceeded"] == words
    assert (await give(fleet, "land", "sato", key="a", vehicle="drone-2"))["state"] == "proposed"


async def test_a_drone_in_the_air_counts_for_whoever_controls_it_now(fleet: World) -> None:
    await _flying(fleet, "sato")

    async def up(pilot: str) -> list[str]:
        async with fleet.database.transaction() as conn:
            vehicle = await vehicles.get(conn, "drone-1")
            return await workload.airborne(
                conn, pilot=pilot, category=vehicle["category"], region_id=fleet.region.region_id, but=""
            )

    assert (await up("sato"), await up("pilot")) == (["drone-1"], [])


async def test_a_hand_over_is_in_the_history_of_its_flight_and_on_the_audit_trail(fleet: World) -> None:
    mission_id = await _flying(fleet, "sato")

    assert ("underway", "control: pilot to sato (accept)") in await fleet.causes(mission_id)
    trail = await fleet.rows("SELECT actor, action, detail FROM audit WHERE action LIKE 'control%%' ORDER BY audit_id")
    assert [(row["actor"], row["action"], row["detail"]["to"]) for row in trail] == [
        ("pilot", "control.launch", "pilot"),
        ("pilot", "control.offer", "sato"),
        ("sato", "control.accept", "sato"),
    ]


async def test_a_change_of_hands_while_it_starts_is_no_attempt_to_start(fleet: World) -> None:
    mission_id = await _loaded(fleet)
    await fleet.accept(mission_id)
    await fleet.move(mission_id, "starting")
    await change(fleet, control.offer, "pilot", to="sato")
    await change(fleet, control.accept, "sato")

    async with fleet.database.transaction() as conn:
        assert await missions.start_attempts(conn, mission_id) == 1


async def test_what_makes_a_vehicle_go_is_its_controllers_to_say(fleet: World) -> None:
    async with fleet.refused(Conflict, "nobody controls drone-1: take control of it first"):
        await give(fleet, "return", "sato", key="a")
    await change(fleet, control.take, "sato")

    async with fleet.refused(Conflict, "sato controls drone-1: have it handed over"):
        await give(fleet, "return", "kato", key="b")

    assert (await give(fleet, "return", "sato", key="c"))["state"] == "proposed"


@pytest.mark.parametrize("kind", ["hold", "emergency_stop"])
async def test_any_pilot_stops_any_vehicle_without_a_hand_over(fleet: World, kind: str) -> None:
    await change(fleet, control.take, "sato")

    await give(fleet, kind, "kato", key="a")

    sent = await claim(fleet)
    assert sent is not None
    assert (sent["kind"], sent["issuer"]) == (kind, "kato")
    assert await controller(fleet) == "sato"


async def test_a_rule_needs_no_control(fleet: World) -> None:
    await change(fleet, control.take, "sato")
    command = await give(fleet, "return", "rule: low energy", key="a")
    await change(fleet, control.release, "sato")

    await confirm(fleet, command, "rule: low energy")

    sent = await claim(fleet)
    assert sent is not None
    assert sent["command_id"] == command["command_id"]


async def test_what_was_not_sent_when_control_changes_hands_expires_and_says_why(fleet: World) -> None:
    await change(fleet, control.take, "sato")
    proposed = await give(fleet, "land", "sato", key="a")
    pending = await give(fleet, "clear", "sato", key="b", params={"step": 3})
    hold = await give(fleet, "hold", "kato", key="c")
    await change(fleet, control.offer, "sato", to="kato")
    again = await give(fleet, "return", "sato", key="d")
    await confirm(fleet, again, "sato")
    await change(fleet, control.accept, "kato")

    async with fleet.refused(Conflict, "has expired and nothing was sent .outdated: control went from sato to kato"):
        await confirm(fleet, again, "sato")

    rows = {row["command_id"]: row for row in await fleet.rows("SELECT * FROM command")}
    assert rows[again["command_id"]]["state"] == "expired"
    assert rows[again["command_id"]]["outcome"] == "outdated: control went from sato to kato before it was sent"
    for withdrawn in (proposed, pending):
        assert "kato gave a hold" in rows[withdrawn["command_id"]]["outcome"]
    sent = await claim(fleet)
    assert sent is not None
    assert sent["command_id"] == hold["command_id"]
    assert await claim(fleet) is None


async def test_a_proposal_is_not_confirmed_once_control_has_gone(fleet: World) -> None:
    await change(fleet, control.take, "sato")
    proposed = await give(fleet, "land", "sato", key="a")
    # As if the hand-over had not seen the proposal, which was written in the very same moment.
    await fleet.write("UPDATE vehicle_control SET pilot = 'kato', epoch = epoch + 1")

    async with fleet.refused(Conflict, "kato controls drone-1"):
        await confirm(fleet, proposed, "sato")
    await fleet.write("UPDATE vehicle_control SET pilot = 'sato', epoch = epoch + 1")
    async with fleet.refused(Conflict, "has changed hands since"):
        await confirm(fleet, proposed, "sato")


async def test_a_gateway_sends_nothing_of_an_older_epoch(fleet: World) -> None:
    await change(fleet, control.take, "sato")
    command = await give(fleet, "land", "sato", key="a")
    await confirm(fleet, command, "sato")
    await fleet.write("UPDATE vehicle_control SET epoch = epoch + 1")

    assert await claim(fleet) is None

    row = await fleet.one("SELECT state, outcome FROM command")
    assert row["state"] == "expired"
    assert "changed hands before it was sent" in row["outcome"]


async def test_the_same_key_is_answered_after_a_hand_over_too(fleet: World) -> None:
    await change(fleet, control.take, "sato")
    command = await give(fleet, "land", "sato", key="a")
    await change(fleet, control.release, "sato")

    assert (await give(fleet, "land", "sato", key="a"))["command_id"] == command["command_id"]


async def test_what_is_sent_and_what_is_handed_over_at_once_have_an_order(fleet: World) -> None:
    """Whichever comes first: a command is sent under its own controller, or expired and never sent."""
    await change(fleet, control.take, "sato")
    await change(fleet, control.offer, "sato", to="kato")
    command = await confirm(fleet, await give(fleet, "return", "sato", key="a"), "sato")

    taken, _ = await asyncio.gather(claim(fleet), change(fleet, control.accept, "kato"))

    row = await fleet.one("SELECT state FROM command WHERE command_id = %(id)s", id=command["command_id"])
    assert row["state"] == ("sent" if taken else "expired")
    assert await claim(fleet) is None


async def test_duty_ends_when_nothing_moves_in_the_pilots_hands(fleet: World) -> None:
    mission_id = await _flying(fleet, "sato")
    await change(fleet, control.take, "sato", "robot-1")

    async with fleet.refused(Conflict, "sato controls drone-1, which move or are about to: hand them over"):
        await off_duty(fleet, "sato")
    await fleet.move(mission_id, "completed")
    pending = await confirm(fleet, await give(fleet, "resume", "sato", key="a", vehicle="robot-1"), "sato")
    await off_duty(fleet, "sato")

    assert [await controller(fleet, vehicle) for vehicle in ("drone-1", "robot-1")] == [None, None]
    row = await fleet.one("SELECT state, outcome FROM command WHERE command_id = %(id)s", id=pending["command_id"])
    assert row["outcome"] == "outdated: sato went off duty before it was sent"


async def test_an_offer_to_a_pilot_ends_with_that_pilots_duty(fleet: World) -> None:
    await change(fleet, control.take, "sato")
    await change(fleet, control.offer, "sato", to="kato")

    await off_duty(fleet, "kato")

    assert (await fleet.one("SELECT offered_to FROM vehicle_control"))["offered_to"] is None


async def test_commands_of_an_unknown_issuer_are_of_nobody(fleet: World) -> None:
    """No user can be called like a rule: what is a rule's is said by its issuer."""
    async with fleet.database.transaction() as conn:
        with pytest.raises(Conflict, match="nobody controls"):
            await commands.issue(
                conn, vehicle_id="drone-1", kind="land", key="a", issuer="rule", at=fleet.at, speed=1.0
            )
    with pytest.raises(BadRequest, match="user_id"):
        await fleet.user("rule: mine", "pilot")

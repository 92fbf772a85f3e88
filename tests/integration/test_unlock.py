"""The one-time code by which a recipient unlocks a robot."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fleet import commands, live, unlock
from fleet.errors import Conflict
from hardware.link import WaitFor
from tests.api_kit import Api, assert_problem
from tests.delivery_kit import Errand, errand


@pytest.fixture(autouse=True)
def _heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a gateway has said once holds for the whole test, on a slow machine too."""
    monkeypatch.setattr(live, "SILENT_S", 600.0)


@pytest.fixture
async def robot(api: Api) -> Errand:
    """A robot on its way to a drop-off where it asks for a code."""
    return await errand(api, robot=True)


def _wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**unlock.DIGITS:0{unlock.DIGITS}d}"


async def _code(errand: Errand) -> str:
    answer = await errand.post("code")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["code"])


async def _given(errand: Errand) -> list[dict[str, Any]]:
    return await errand.world.rows("SELECT * FROM command WHERE kind = 'unlock' ORDER BY issued_at")


async def test_only_what_a_robot_carries_to_such_a_drop_off_asks_for_a_code(api: Api) -> None:
    drone = await errand(api, robot=False)

    steps = (await api.world.mission(drone.mission_id))["trip"]["mission"]["steps"]
    assert not steps[drone.step]["unlock"]
    assert_problem(await drone.post("code"), 409)
    async with api.world.database.transaction() as conn:
        assert await unlock.state(conn, drone.order_id) is None


async def test_a_code_opens_the_robot_that_stands_there(robot: Errand) -> None:
    steps = (await robot.world.mission(robot.mission_id))["trip"]["mission"]["steps"]
    assert steps[robot.step]["unlock"]
    code = await _code(robot)
    await robot.show(WaitFor.UNLOCK)
    assert await robot.asks() == ["unlock"]

    answer = await robot.post("unlock", {"code": code})

    assert answer.json() == {"unlocking": True}
    (command,) = await _given(robot)
    assert (command["vehicle_id"], command["params"], command["issuer"], command["state"]) == (
        robot.vehicle_id, {"step": robot.step}, "rule: unlock code", "pending",
    )  # fmt: skip
    assert await robot.asks() == []


async def test_no_code_is_kept_and_it_is_shown_once(robot: Errand) -> None:
    code = await _code(robot)
    again = await robot.post("code")
    dispatcher = await robot.api.as_("dispatcher")
    path = f"/api/orders/{robot.order_id}/unlock-code"

    assert assert_problem(again, 409)["refusal"] == "no_code"
    assert_problem(await dispatcher.post(path), 409)
    stored = await robot.world.one("SELECT * FROM unlock_code")
    assert code not in str(stored)
    assert len(code) == unlock.DIGITS
    assert code.isdigit()

    anew = (await dispatcher.post(path, json={"anew": True})).json()["code"]
    await robot.show(WaitFor.UNLOCK)
    if anew != code:
        assert assert_problem(await robot.post("unlock", {"code": code}), 409)["refusal"] == "wrong"
    assert (await robot.post("unlock", {"code": anew})).status_code == 200


async def test_a_robot_that_is_not_there_yet_opens_for_nobody_and_counts_no_try(robot: Errand) -> None:
    code = await _code(robot)
    await robot.show()
    under_way = await robot.post("unlock", {"code": _wrong(code)})
    await robot.show(WaitFor.UNLOCK, step=robot.step + 1)
    elsewhere = await robot.post("unlock", {"code": code})
    await robot.show(WaitFor.UNLOCK, connected=False)
    unheard = await robot.post("unlock", {"code": code})
    await robot.show(WaitFor.UNLOCK, mission_id="another")
    other = await robot.post("unlock", {"code": code})

    for answer in (under_way, elsewhere, unheard, other):
        assert assert_problem(answer, 409)["refusal"] == "not_here"
    assert await _given(robot) == []
    assert (await robot.world.one("SELECT wrong_tries FROM unlock_code"))["wrong_tries"] == 0


async def test_a_code_of_another_order_does_not_open(robot: Errand) -> None:
    other = await robot.world.order("A2", "drop-1", mass_kg=2.0)
    await robot.show(WaitFor.UNLOCK)
    with pytest.raises(Conflict, match="asks for no code"):
        await unlock.draw(robot.world.database, other, at=robot.world.at, actor="x")
    assert assert_problem(await robot.post("unlock", {"code": "000000"}), 409)["refusal"] == "not_drawn"


async def test_after_five_wrong_codes_none_is_taken_for_a_while_not_even_the_right_one(robot: Errand) -> None:
    code = await _code(robot)
    await robot.show(WaitFor.UNLOCK)

    answers = [await robot.post("unlock", {"code": _wrong(code)}) for _ in range(unlock.MAX_TRIES)]
    refused = await robot.post("unlock", {"code": code})

    assert [assert_problem(a, 409)["refusal"] for a in answers] == ["wrong"] * 4 + ["locked"]
    assert assert_problem(refused, 409)["refusal"] == "locked"
    assert any("5 wrong codes" in cause for _, cause in await robot.world.causes(robot.mission_id))
    assert await robot.world.rows("SELECT 1 FROM audit WHERE action = 'unlock.locked'")

    await robot.world.write("UPDATE unlock_code SET locked_until = locked_until - interval '10 minutes'")
    assert (await robot.post("unlock", {"code": code})).status_code == 200


async def test_many_at_once_get_no_more_tries(robot: Errand) -> None:
    code = await _code(robot)
    await robot.show(WaitFor.UNLOCK)

    answers = await asyncio.gather(*(robot.post("unlock", {"code": _wrong(code)}) for _ in range(8)))

    refusals = sorted(assert_problem(answer, 409)["refusal"] for answer in answers)
    assert refusals == ["locked"] * 4 + ["wrong"] * 4


async def test_a_code_is_used_once(robot: Errand) -> None:
    code = await _code(robot)
    await robot.show(WaitFor.UNLOCK)

    both = await asyncio.gather(*(robot.post("unlock", {"code": code}) for _ in range(2)))
    late = await robot.post("unlock", {"code": code})

    assert sorted(answer.status_code for answer in both) == [200, 409]
    assert assert_problem(late, 409)["refusal"] == "used"
    assert len(await _given(robot)) == 1


async def test_where_the_robot_did_not_open_the_right_code_is_taken_again(robot: Errand) -> None:
    code = await _code(robot)
    await robot.show(WaitFor.UNLOCK)
    await robot.post("unlock", {"code": code})
    (command,) = await _given(robot)
    async with robot.world.database.transaction() as conn:
        await commands.expire(conn, at=command["expires_at"])

    again = await robot.post("unlock", {"code": code})

    assert again.status_code == 200
    assert [row["state"] for row in await _given(robot)] == ["expired", "pending"]


async def test_a_code_ends_with_its_mission(robot: Errand) -> None:
    code = await _code(robot)
    await robot.world.move(robot.mission_id, "failed", reason="test")
    await robot.show(WaitFor.UNLOCK)

    assert assert_problem(await robot.post("unlock", {"code": code}), 409)["refusal"] == "no_code"
    assert await _given(robot) == []


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", "１２３４５６", ""])
async def test_what_is_no_code_is_refused_by_name(robot: Errand, code: str) -> None:
    await robot.show(WaitFor.UNLOCK)
    assert_problem(await robot.post("unlock", {"code": code}), 422, field="code")

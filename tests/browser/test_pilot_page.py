"""What a pilot answers and commands, in a real browser, on the real API; the gateway is played by the test."""

from __future__ import annotations

import re
import warnings
from datetime import timedelta

import pytest
from playwright.async_api import expect

from fleet import control
from hardware.link import Activity, Wait, WaitFor
from tests.api_kit import Api
from tests.browser.console_page import missing
from tests.browser.played_gateway import DRONE, ROBOT, played
from tests.fleet_kit import until

MISSING = missing()
if MISSING:
    warnings.warn(f"BROWSER TESTS DO NOT RUN: {MISSING}", stacklevel=1)
pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"BROWSER TESTS DO NOT RUN: {MISSING}")


async def _commands(api: Api, vehicle_id: str) -> list[tuple[str, str, dict[str, object]]]:
    rows = await api.world.rows(
        "SELECT kind, state, params FROM command WHERE vehicle_id = %(id)s ORDER BY issued_at", id=vehicle_id
    )
    return [(row["kind"], row["state"], row["params"]) for row in rows]


async def test_a_pilot_takes_a_drone_diverts_it_in_two_steps_and_says_that_its_drop_point_is_clear(api: Api) -> None:
    async with played(api) as (console, gateway):
        page = console.page
        chip = page.get_by_test_id(f"controller-{DRONE}")
        await expect(page.get_by_test_id(f"divert-{DRONE}")).to_be_disabled()
        await page.get_by_test_id(f"take-{DRONE}").click()
        await expect(chip).to_have_text("自分")
        await expect(page.get_by_test_id("duty")).to_have_attribute("data-on", "true")

        # The sites in reach come by distance; nothing is sent before what it will do was read and confirmed.
        await page.get_by_test_id(f"divert-{DRONE}").click()
        far = await page.get_by_test_id(f"divert-form-{DRONE}").locator("label").all_inner_texts()
        assert "拠点" in far[0]
        metres = [float(text.split()[-2]) * (1000 if "km" in text else 1) for text in far[1:]]
        assert metres == sorted(metres)
        await page.get_by_test_id("divert-site-hub-1").check()
        await page.get_by_test_id(f"divert-next-{DRONE}").click()
        await expect(page.get_by_test_id(f"preview-{DRONE}")).to_contain_text("道の駅")
        assert await _commands(api, DRONE) == [("divert", "proposed", {"site_id": "hub-1"})]
        await console.confirm(DRONE)
        await console.expect_command(DRONE, "divert", "pending", within_s=20)

        # A height beyond the limits is not even proposed.
        await page.get_by_test_id(f"more-{DRONE}").click()
        await page.get_by_test_id(f"altitude-{DRONE}").click()
        await page.get_by_test_id(f"altitude-value-{DRONE}").fill("400")
        await expect(page.get_by_test_id(f"altitude-form-{DRONE}")).to_contain_text("150 m の数値を")
        await expect(page.get_by_test_id(f"altitude-next-{DRONE}")).to_be_disabled()

        until_s = api.context.clock.now() + timedelta(seconds=500)
        wait = Wait(WaitFor.DROP_CLEAR, 3, api.context.clock.now(), until=until_s)
        gateway.changes[DRONE] = {"activity": Activity.HOLD, "waits": wait, "unconfirmed": "pause was sent"}
        await expect(page.get_by_test_id("needs-you")).to_contain_text("下は安全ですか")
        await expect(page.get_by_test_id(f"unconfirmed-{DRONE}")).to_contain_text("まだ確認できていません")
        clear = page.get_by_test_id(f"clear-{DRONE}")
        await clear.focus()
        await page.keyboard.press("Enter")
        await until(lambda: _has(api, DRONE, ("clear", "pending", {"step": 3})))
        gateway.changes[DRONE] = {}
        await expect(page.get_by_test_id(f"decision-drop_clear-{DRONE}")).to_have_count(0)


async def _has(api: Api, vehicle_id: str, command: tuple[str, str, dict[str, object]]) -> bool:
    return command in await _commands(api, vehicle_id)


async def test_a_robot_crosses_only_by_a_fresh_state_and_control_is_handed_over_by_request(api: Api) -> None:
    async with played(api, language="en-GB", timed=True) as (console, gateway):
        page = console.page
        await api.world.user("sato", "pilot")
        await page.get_by_test_id("duty").click()
        await expect(page.get_by_test_id("duty")).to_have_attribute("data-on", "true")
        async with api.world.database.transaction() as conn:
            await control.take(conn, ROBOT, at=api.context.clock.now(), actor="sato")
            await control.offer(conn, ROBOT, to="kato", at=api.context.clock.now(), actor="sato")
        await expect(page.get_by_test_id(f"controller-{ROBOT}")).to_have_text("Sato")
        await expect(page.get_by_test_id(f"return-{ROBOT}")).to_be_disabled()
        await page.get_by_test_id(f"accept-{ROBOT}").click()
        await expect(page.get_by_test_id(f"controller-{ROBOT}")).to_have_text("me")

        at_kerb = Wait(WaitFor.CROSSING, 1, api.context.clock.now(), node="n4")
        gateway.changes[ROBOT] = {"activity": Activity.HOLD, "waits": at_kerb}
        cross, age = page.get_by_test_id(f"cross-{ROBOT}"), page.get_by_test_id(f"age-{ROBOT}")
        await expect(cross).to_be_enabled()
        gateway.mute = {ROBOT}
        await expect(cross).to_be_disabled()
        await expect(age).to_have_text(re.compile(r"state [1-9][\d.]* s old"))
        gateway.mute = ()
        await expect(cross).to_be_enabled()
        await cross.click()
        await until(lambda: _has(api, ROBOT, ("cross", "pending", {"node": "n4"})))

        # Whoever controls what moves and touches nothing is asked; any key answers.
        await page.clock.fast_forward(41_000)
        asked = page.get_by_test_id("are-you-there")
        await expect(asked).to_contain_text(ROBOT)
        await page.keyboard.press("Space")
        await expect(asked).to_have_count(0)

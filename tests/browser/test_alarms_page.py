"""Alarms as a pilot sees and answers them: on the real API and database, with gateways played by the test."""

from __future__ import annotations

import re
import warnings
from datetime import timedelta

import pytest
from playwright.async_api import Locator, expect

from fleet.alarm_keeper import AlarmKeeper
from fleet.alarms import AlarmBook
from telemetry.monitors.finding import Finding
from tests.api_kit import Api
from tests.browser.console_page import missing
from tests.browser.played_gateway import played
from tests.fleet_kit import until

MISSING = missing()
if MISSING:
    warnings.warn(f"BROWSER TESTS DO NOT RUN: {MISSING}", stacklevel=1)
pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"BROWSER TESTS DO NOT RUN: {MISSING}")


async def _in_state(row: Locator, state: str) -> None:
    await expect(row).to_have_attribute("data-state", state)


async def test_a_pilot_acknowledges_shelves_and_sees_what_is_over(api: Api) -> None:
    async with played(api) as (console, gateway):
        page = console.page
        gateway.findings = {
            "drone-1": [
                Finding("battery", True, values={"charge_pct": 17.0, "reserve_pct": 20.0}, worse=True),
                Finding("off_plan", True, values={"outside_m": 42.0, "late_s": 3.0, "share_pct": 80.0}),
            ],
            "robot-1": [Finding("stuck", True), Finding("holds_unasked", True)],
        }
        battery, stuck = page.get_by_test_id("alarm-drone-1-battery"), page.get_by_test_id("alarm-robot-1-stuck")
        await _in_state(battery, "unacknowledged")
        await _in_state(stuck, "unacknowledged")
        await expect(page.get_by_test_id("alarm-count")).to_have_attribute("data-count", "4")
        rows = page.get_by_test_id("alarms").get_by_role("listitem")
        await expect(rows.nth(0)).to_have_attribute("data-urgency", "urgent")
        await expect(rows.nth(1)).to_have_attribute("data-urgency", "high")
        await expect(battery).to_contain_text("帰り着けないおそれ")
        await expect(page).to_have_title(re.compile("未確認の警報"))
        await console.screenshot("alarms-ja-open")

        # By keyboard: acknowledged alarms leave the list and stay on the strip.
        acknowledge = page.get_by_test_id("seen-robot-1-holds_unasked")
        await acknowledge.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_test_id("known-robot-1-holds_unasked")).to_be_visible()
        seen = "SELECT acknowledged_by FROM alarm WHERE code = 'holds_unasked' AND state = 'acknowledged'"
        await until(lambda: api.world.rows(seen))
        assert (await api.world.one(seen))["acknowledged_by"] == "kato"

        await page.get_by_test_id("shelve-robot-1-stuck").click()
        await expect(page.get_by_test_id("shelf-done-robot-1-stuck")).to_be_disabled()
        await page.get_by_test_id("shelf-minutes-robot-1-stuck").select_option("30")
        await page.get_by_test_id("shelf-reason-robot-1-stuck").fill("道路工事")
        await page.keyboard.press("Enter")
        await expect(stuck).to_have_count(0)
        await expect(page.get_by_test_id("alarm-count")).to_have_attribute("data-count", "3")

        gateway.findings["drone-1"] = []
        await _in_state(battery, "returned")
        await page.get_by_test_id("alarms-shelved").click()
        await _in_state(stuck, "shelved")
        await expect(stuck).to_contain_text("道路工事")
        await page.get_by_test_id("known-robot-1-holds_unasked").click()
        await console.choose_language("en")
        await expect(battery).to_contain_text("Over, not acknowledged")
        await console.screenshot("alarms-en-answered")

        await page.get_by_test_id("unshelve-robot-1-stuck").click()
        await _in_state(stuck, "unacknowledged")
        await page.get_by_test_id("seen-drone-1-battery").click()
        await expect(battery).to_have_count(0)
        rows_of = await api.world.rows("SELECT code, state FROM alarm ORDER BY code")
        assert {row["code"]: row["state"] for row in rows_of}["battery"] == "normal"


async def test_an_alarm_that_cannot_be_stored_is_shown_and_answered_all_the_same(api: Api) -> None:
    async with played(api) as (console, gateway):
        gateway.stores = False
        gateway.findings = {"drone-1": [Finding("manual", True)], "robot-1": [Finding("silent", True)]}
        manual = console.page.get_by_test_id("alarm-drone-1-manual")
        silent = console.page.get_by_test_id("alarm-robot-1-silent")
        await _in_state(manual, "unacknowledged")

        await console.page.get_by_test_id("seen-drone-1-manual").click()
        await expect(console.page.get_by_test_id("known-drone-1-manual")).to_be_visible()
        gateway.findings = {}
        await _in_state(silent, "returned")
        await expect(manual).to_have_count(0)

        # It is stored when the database is back, and is then everybody's to acknowledge.
        gateway.stores = True

        async def stored() -> object:
            return await api.world.rows("SELECT 1 FROM alarm WHERE code = 'silent'")

        await until(stored, within_s=20.0)
        await expect(silent).to_have_count(1)
        await console.page.get_by_test_id("seen-robot-1-silent").click()
        await expect(silent).to_have_count(0)

        # And so is what another process raised.
        other = AlarmBook()
        for second in range(3):
            at = api.context.clock.now() + timedelta(seconds=20 * second)
            finding = Finding("gateway_silent", True, values={"gateway": "gateway-2"})
            other.take("process", "gateway-2", [finding], at=at, speed=5.0)
        await AlarmKeeper(other, api.world.database, actor="housekeeping").once()
        row = console.page.get_by_test_id("alarm-gateway-2-gateway_silent")
        await _in_state(row, "unacknowledged")
        await expect(row).to_contain_text("gateway-2 が止まり")

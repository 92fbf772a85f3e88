"""The console against the whole running service, in a real browser.

``running_day`` (in this folder's ``conftest.py``) is a service with a drone and a robot on their missions:
``.url`` is its address, ``.sign_in_link(role)`` returns a fresh one-time link for a user with that role.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
from playwright.async_api import Browser, expect

from tests.browser.console_page import ConsolePage, missing, open_browser

MISSING = missing()
if MISSING:
    warnings.warn(f"BROWSER TESTS DO NOT RUN: {MISSING}", stacklevel=1)
pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"BROWSER TESTS DO NOT RUN: {MISSING}")

DRONE = "drone-1"
ROBOT = "robot-1"
# Wall seconds: PX4 and a loaded machine take their time; a vehicle that does not obey takes all of it.
VEHICLE_S = 60.0


class RunningDay(Protocol):
    """A service with vehicles under way."""

    url: str

    def sign_in_link(self, role: str) -> str:
        """Return a one-time link."""
        ...


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest.fixture
async def console(browser: Browser, running_day: RunningDay) -> AsyncIterator[ConsolePage]:
    """The console of a pilot who has just signed in by link, in Japanese."""
    page = await ConsolePage.open(browser, language="ja-JP")
    await page.sign_in_by_link(running_day.sign_in_link("pilot"))
    yield page
    await page.close()
    assert page.faults == []


async def test_a_pilot_sees_both_vehicles_move_holds_the_drone_and_brings_it_home(console: ConsolePage) -> None:
    await console.wait_for_activity(DRONE, {"mission"}, within_s=VEHICLE_S)
    assert await console.wait_until_moved(DRONE, least_m=20.0, within_s=VEHICLE_S) >= 20.0
    assert await console.wait_until_moved(ROBOT, least_m=3.0, within_s=VEHICLE_S) >= 3.0
    await expect(console.page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    await console.screenshot("console-ja-moving")

    await console.hold(DRONE)
    await console.wait_for_activity(DRONE, {"hold"}, within_s=VEHICLE_S)
    await expect(console.page.get_by_test_id(f"activity-{DRONE}")).to_have_text("一時停止中")
    await console.expect_command(DRONE, "hold", "done", within_s=VEHICLE_S)
    await console.wait_until_still(DRONE, most_m=5.0, for_s=2.0, within_s=VEHICLE_S)
    await console.screenshot("console-ja-held")

    says = await console.propose(DRONE, "return")
    assert "帰還" in says
    await console.expect_command(DRONE, "return", "proposed", within_s=VEHICLE_S)
    assert await console.activity(DRONE) == "hold"
    await console.screenshot("console-ja-return-proposed")

    await console.confirm(DRONE)
    await console.wait_for_activity(DRONE, {"return", "land", "idle"}, within_s=VEHICLE_S)
    await console.expect_command(DRONE, "return", "done", within_s=VEHICLE_S)
    await console.screenshot("console-ja-returning")


async def test_labels_follow_the_language_switch_and_the_choice_is_remembered(console: ConsolePage) -> None:
    orders = console.page.get_by_test_id("tab-orders")
    await expect(orders).to_contain_text("注文")

    await console.choose_language("en")

    await expect(orders).to_contain_text("Orders")
    await expect(console.page.get_by_test_id(f"hold-{DRONE}")).to_contain_text("Hold")
    await expect(console.page.locator("html")).to_have_attribute("lang", "en")
    await console.screenshot("console-en")
    await console.page.reload()
    await expect(orders).to_contain_text("Orders")


async def test_a_sign_in_link_leaves_the_address_and_works_once(browser: Browser, running_day: RunningDay) -> None:
    link = running_day.sign_in_link("viewer")
    first = await ConsolePage.open(browser, language="en-GB")
    await first.sign_in_by_link(link)
    assert "sign-in" not in first.page.url
    await expect(first.page.get_by_test_id(f"vehicle-{DRONE}")).to_be_visible()
    await expect(first.page.get_by_test_id(f"hold-{DRONE}")).to_have_count(0)

    second = await ConsolePage.open(browser, language="en-GB")
    await second.page.goto(link)

    await expect(second.page.get_by_test_id("sign-in-message")).to_contain_text("was used or has expired")
    await second.screenshot("sign-in-en-link-used")


async def test_a_lost_connection_is_unmissable_and_comes_back(browser: Browser, running_day: RunningDay) -> None:
    console = await ConsolePage.open(browser, language="ja-JP")
    await console.put_a_switch_in_the_live_line()
    await console.sign_in_by_link(running_day.sign_in_link("viewer"))
    live = console.page.get_by_test_id("live-state")
    await expect(live).to_have_attribute("data-state", "live", timeout=VEHICLE_S * 1000)

    await console.cut()

    banner = console.page.get_by_test_id("live-banner")
    await expect(banner).to_contain_text("からライブ情報が届いていません")
    await console.screenshot("console-ja-blind")

    console.mend()
    await expect(banner).to_have_count(0, timeout=VEHICLE_S * 1000)
    await expect(live).to_have_attribute("data-state", "live")

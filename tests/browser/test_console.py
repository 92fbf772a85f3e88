"""The console against the whole running service, in a real browser.

``running_day`` (in this folder's ``conftest.py``) is a service with a drone and a robot on their missions:
``.url`` is its address, ``.sign_in_link(role)`` returns a fresh one-time link for a user with that role.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.console_page import ConsolePage, missing, open_browser

MISSING = missing()
if MISSING:
    warnings.warn(f"BROWSER TESTS DO NOT RUN: {MISSING}", stacklevel=1)
pytestmark = [
    pytest.mark.skipif(MISSING is not None, reason=f"BROWSER TESTS DO NOT RUN: {MISSING}"),
    # One browser for all, which lives in one event loop; each test has pages and cookies of its own.
    pytest.mark.asyncio(loop_scope="module"),
]

DRONE = "drone-1"
ROBOT = "robot-1"
# Wall seconds: PX4 and a loaded machine take their time; a vehicle that does not obey takes all of it.
VEHICLE_S = 60.0


class RunningDay(Protocol):
    """A service with vehicles under way, and nobody at work but the test."""

    url: str

    def sign_in_link(self, role: str) -> str:
        """Return a one-time link."""
        ...

    def orders_csv(self, *refs: str) -> str:
        """Return a file of orders that drone and robot serve by turns."""
        ...

    def gateway_hangs(self) -> AbstractContextManager[None]:
        """Have the gateway hang inside."""
        ...


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def leave_no_page_open(browser: Browser) -> AsyncIterator[None]:
    """A page that nobody looks at goes on drawing its map."""
    yield
    for context in browser.contexts:
        await context.close()


@asynccontextmanager
async def _signed_in(browser: Browser, running_day: RunningDay, *, drawn: bool) -> AsyncIterator[ConsolePage]:
    page = await ConsolePage.open(browser, language="ja-JP", drawn=drawn)
    await page.answer_when_asked()
    await page.sign_in_by_link(running_day.sign_in_link("pilot"))
    yield page
    await page.close()
    assert page.faults == []


@pytest_asyncio.fixture(loop_scope="module")
async def console(browser: Browser, running_day: RunningDay) -> AsyncIterator[ConsolePage]:
    """The console of a pilot who has just signed in by link, in Japanese, on a device that draws no map."""
    async with _signed_in(browser, running_day, drawn=False) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def console_with_map(browser: Browser, running_day: RunningDay) -> AsyncIterator[ConsolePage]:
    """The same with its map, which takes a machine without a graphics card most of its time."""
    async with _signed_in(browser, running_day, drawn=True) as page:
        yield page


async def test_a_pilot_sees_both_vehicles_move_holds_the_drone_and_brings_it_home(
    console_with_map: ConsolePage,
) -> None:
    console = console_with_map
    await expect(console.page.get_by_test_id("map")).to_have_attribute("data-language", "ja")
    await console.wait_for_activity(DRONE, {"mission"}, within_s=VEHICLE_S)
    assert await console.wait_until_moved(DRONE, least_m=20.0, within_s=VEHICLE_S) >= 20.0
    assert await console.wait_until_moved(ROBOT, least_m=3.0, within_s=VEHICLE_S) >= 3.0
    await expect(console.page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    await expect(console.page.get_by_test_id("alarm-count")).to_have_attribute("data-count", "0")
    await console.screenshot("console-ja-moving")

    await console.open_card(DRONE)
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


async def test_a_vehicle_that_nobody_hears_raises_an_alarm_that_stays_until_it_is_seen(
    console: ConsolePage, running_day: RunningDay
) -> None:
    page = console.page
    alarm = page.get_by_test_id(f"alarm-{ROBOT}-silent")
    await expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")

    with running_day.gateway_hangs():
        await expect(alarm).to_have_attribute("data-urgency", "urgent")
        await expect(alarm).to_contain_text("運航中に応答がありません")
        await expect(alarm).to_have_attribute("data-over", "false")
        await expect(page).to_have_title(re.compile("未確認の警報"))
        await console.screenshot("console-ja-alarm")

    await expect(alarm).to_have_attribute("data-over", "true", timeout=VEHICLE_S * 1000)
    await page.get_by_test_id(f"seen-{ROBOT}-silent").click()
    await expect(alarm).to_have_count(0)


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
    first = await ConsolePage.open(browser, language="en-GB", drawn=False)
    await first.sign_in_by_link(link)
    assert "sign-in" not in first.page.url
    await expect(first.page.get_by_test_id(f"vehicle-{DRONE}")).to_be_visible()
    await expect(first.page.get_by_test_id(f"hold-{DRONE}")).to_have_count(0)

    second = await ConsolePage.open(browser, language="en-GB", drawn=False)
    await second.page.goto(link)

    await expect(second.page.get_by_test_id("sign-in-message")).to_contain_text("was used or has expired")
    await second.screenshot("sign-in-en-link-used")


async def test_a_lost_connection_is_unmissable_and_comes_back(browser: Browser, running_day: RunningDay) -> None:
    console = await ConsolePage.open(browser, language="ja-JP", drawn=False)
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


async def test_a_file_of_orders_is_taken_whole_or_not_at_all(console: ConsolePage, running_day: RunningDay) -> None:
    page = console.page
    await page.get_by_test_id("orders-all").click()

    await console.upload_orders(running_day.orders_csv("C1", "C2").replace(",0.3,", ",heavy,", 1))

    notices = page.get_by_test_id("notices")
    await expect(notices).to_contain_text("何も変更していません")
    await expect(notices).to_contain_text("mass_kg")
    await expect(page.get_by_test_id("order-C2")).to_have_count(0)

    await console.upload_orders(running_day.orders_csv("B1", "B2"))

    await expect(notices).to_contain_text("2 件を取り込みました")
    await expect(page.get_by_test_id("order-B1")).to_have_attribute("data-state", "received")
    await expect(page.get_by_test_id("order-B2")).to_have_attribute("data-state", "received")

    await page.get_by_test_id("search-orders").fill("b2 宮本")
    await expect(page.get_by_test_id("order-B1")).to_have_count(0)
    await expect(page.get_by_test_id("order-B2")).to_be_visible()


async def test_a_plan_goes_by_hand_from_the_request_to_a_launch(
    browser: Browser, console: ConsolePage, running_day: RunningDay
) -> None:
    crew = await ConsolePage.open(browser, language="ja-JP", width=390, drawn=False)
    await crew.sign_in_by_link(running_day.sign_in_link("ground_crew"))
    page, bars = console.page, console.page.locator("[data-testid^=bar-]")

    await console.open_tab("plan")
    await page.get_by_test_id("make-plan").click()
    await page.get_by_test_id("show-in-timeline").click(timeout=VEHICLE_S * 1000)
    await expect(bars.and_(page.locator("[data-state=proposed]")).first).to_be_visible()
    await console.screenshot("console-ja-proposed")

    await page.get_by_test_id("approve-plan").click()
    await console.open_tab("missions")
    (to_fly, *_) = await console.missions_of("drone", "planned", within_s=VEHICLE_S)
    (to_drive, *_) = await console.missions_of(ROBOT, "planned", within_s=VEHICLE_S)
    await expect(page.get_by_test_id(f"bar-{to_fly}")).to_have_attribute("data-state", "planned")

    # What is known of the sky may be too old by now for a launch.
    await page.get_by_test_id("check-airspace").click()
    await page.get_by_test_id("report-weather").click()
    await page.get_by_test_id("wind-from").fill("270")
    await page.get_by_test_id("wind-mps").fill("1")
    await page.get_by_test_id("send-weather").click()
    await expect(page.get_by_test_id("weather-form")).to_have_count(0)

    await crew.move_mission(to_fly, "load")
    await crew.screenshot("console-ja-phone")
    await console.move_mission(to_fly, "accept")
    launched = page.get_by_test_id(f"mission-{to_fly}")
    await expect(launched).to_have_attribute("data-state", re.compile("accepted|starting|underway"))
    await expect(launched).to_contain_text("承認 pilot")

    await console.move_mission(to_drive, "cancel")
    await expect(page.get_by_test_id(f"mission-{to_drive}")).to_have_attribute("data-state", "cancelled")
    await console.screenshot("console-ja-timeline")
    assert crew.faults == []


async def test_the_timeline_is_read_and_left_with_the_keyboard_alone(console: ConsolePage) -> None:
    page = console.page
    await page.get_by_test_id("toggle-timeline").focus()
    await page.keyboard.press("Enter")
    await page.get_by_test_id(f"timeline-{DRONE}").locator("[data-testid^=bar-]").first.focus()

    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Enter")

    detail = page.get_by_test_id("timeline-detail")
    await expect(detail).to_contain_text(DRONE)
    rows = page.locator("[data-testid^=timeline-]:has([data-testid^=bar-])")
    below = ((await rows.nth(1).get_attribute("data-testid")) or "").removeprefix("timeline-")
    assert below not in ("", DRONE)
    await page.keyboard.press("ArrowDown")
    await expect(detail).to_contain_text(below)
    await page.keyboard.press("Escape")
    await expect(detail).to_have_count(0)

"""The console looks at a stored minute, in a real browser: clearly past, without commands, and one click from now."""

from __future__ import annotations

import asyncio
import re
import warnings
from contextlib import suppress
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import expect

from fleet import users
from fleet.live import INTERVAL_S, encode_snapshot, vehicle_snapshot
from hardware.link import Activity, VehicleState
from routing.geo import Position
from tests.api_kit import Api
from tests.browser.console_page import ConsolePage, missing, open_browser
from tests.fleet_kit import World
from tests.problems import START
from tests.stored_minute import FROM, LAT, SECOND_DEG, store_minute

MISSING = missing()
if MISSING:
    warnings.warn(f"BROWSER TESTS DO NOT RUN: {MISSING}", stacklevel=1)
pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"BROWSER TESTS DO NOT RUN: {MISSING}")

DRONE = "drone-1"
NOW = Position(35.474, 138.357, 480.0)
"""Where the drone is now; in the stored minute it was elsewhere."""
LOADED_MS = 60_000


async def _live(api: Api) -> None:
    """Be the gateway of now: the drone is on a mission."""
    state = VehicleState(t=START, connected=True, activity=Activity.MISSION, on_ground=False, position=NOW)
    while True:
        view = vehicle_snapshot(DRONE, state, None, gateway="gateway-1") | {"t": api.context.clock.now()}
        api.context.live.take(encode_snapshot("gateway-1", api.context.clock.now(), [view]))
        await asyncio.sleep(INTERVAL_S)


async def test_the_past_is_looked_at_without_commands_and_left_by_one_click(world: World, api: Api) -> None:
    await store_minute(world)
    await world.user("pilot", "pilot")
    async with world.database.transaction() as conn:
        link = await users.new_link(conn, "pilot")
    flying = asyncio.create_task(_live(api))
    async with api.served() as address, open_browser() as browser:
        console = await ConsolePage.open(browser, drawn=False)
        page = console.page
        page.set_default_timeout(LOADED_MS)
        expect.set_options(timeout=LOADED_MS)
        await console.sign_in_by_link(f"http://{address}/#sign-in={link}")
        await console.wait_for_activity(DRONE, {"mission"}, within_s=60)
        hold, bar = page.get_by_test_id(f"hold-{DRONE}"), page.get_by_test_id("past-bar")
        await expect(hold).to_be_visible()

        await page.get_by_test_id("look-back").click()
        await page.get_by_test_id("past-from").fill(f"{FROM.astimezone(ZoneInfo('Asia/Tokyo')):%Y-%m-%dT%H:%M}")
        await page.get_by_test_id("past-length").select_option("10")
        await console.screenshot("past-choosing")
        await page.get_by_test_id("past-begin").click()
        await expect(page.get_by_test_id("past-told")).to_contain_text(DRONE)
        await expect(bar).to_have_attribute("data-state", "playing")
        # A pilot sees where it was, and has no command for what is over.
        assert await console.position(DRONE) != (NOW.lat, NOW.lon)
        await expect(hold).to_have_count(0)
        await page.get_by_test_id("past-play").click()
        await expect(bar).to_have_attribute("data-state", "paused")
        await page.get_by_test_id("past-seek").focus()
        await page.keyboard.press("Home")
        await expect(page.get_by_test_id("past-time")).to_have_attribute(
            "datetime", re.compile(f"^{FROM:%Y-%m-%dT%H:%M:%S}")
        )
        # The last sample before it, and nothing of what came later.
        card = page.get_by_test_id(f"vehicle-{DRONE}")
        await expect(card).to_have_attribute("data-lat", f"{LAT - 0.2 * SECOND_DEG:.5f}")
        await expect(page.get_by_test_id("past-told")).to_be_empty()
        await console.screenshot("past")

        await page.get_by_test_id("back-to-now").click()
        await expect(bar).to_have_count(0)
        await expect(hold).to_be_visible()
        assert await console.position(DRONE) == (NOW.lat, NOW.lon)
        assert console.faults == []
        await console.close()
    flying.cancel()
    with suppress(asyncio.CancelledError):
        await flying

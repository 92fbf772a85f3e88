"""What the map says of a place that is clicked: who may fly there, how high and when."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import expect

from fleet import users
from fleet.db.database import Database
from routing.geo import Position
from routing.region.model import AltitudeReference, LaneSection, Period, Restriction, Zone
from routing.region.sample import village_region
from tests.api_kit import Api
from tests.browser.console_page import ConsolePage, missing, open_browser
from tests.fleet_kit import World

MISSING = missing()
if MISSING:
    warnings.warn(f"BROWSER TESTS DO NOT RUN: {MISSING}", stacklevel=1)
pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"BROWSER TESTS DO NOT RUN: {MISSING}")

# The map's centre lies so far from that of its frame, since there is room for buttons and the scale.
OFF_X, OFF_Y = -19, -7


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    """A village with one zone over all of it and a lane through its middle."""
    village = village_region(1)
    lats = [site.position.lat for site in village.sites]
    lons = [site.position.lon for site in village.sites]
    south, north, west, east = min(lats) - 0.01, max(lats) + 0.01, min(lons) - 0.01, max(lons) + 0.01
    zone = Zone(
        "valley", "sport", "滑空場", "Gliding field",
        ((south, west), (south, east), (north, east), (north, west), (south, west)),
        floor_m=120.0, floor_reference=AltitudeReference.AGL,
        ceiling_m=900.0, ceiling_reference=AltitudeReference.AMSL,
        restriction=Restriction.AUTHORISATION,
        # Sunday 23:00 to 05:00 UTC is Monday 08:00 to 14:00 in Japan.
        schedule=(Period(weekdays=(6,), from_minute=1380, to_minute=300),),
    )  # fmt: skip
    middle = (south + north) / 2
    line = (Position(middle, west, 500.0), Position(middle, east, 560.0))
    lane = LaneSection("river", "a", "b", line, width_m=60.0, capacity=2)
    world = World(database, region=replace(village, zones=(zone,), lanes=(lane,)))
    await world.empty()
    async with Api.on(world, tmp_path) as running:
        yield running


async def test_a_click_on_the_map_says_who_may_fly_there_how_high_and_when(api: Api) -> None:
    await api.world.user("viewer", "viewer")
    async with api.world.database.transaction() as conn:
        link = await users.new_link(conn, "viewer")
    async with api.served() as address, open_browser() as browser:
        console = await ConsolePage.open(browser, language="ja-JP")
        await console.sign_in_by_link(f"http://{address}/#sign-in={link}")
        page = console.page
        region_map = page.get_by_test_id("map")
        await expect(region_map).to_have_attribute("data-language", "ja")
        box = await region_map.bounding_box()
        assert box is not None

        x, y = box["width"] / 2 + OFF_X, box["height"] / 2 + OFF_Y
        await region_map.click(position={"x": x + 30, "y": y})

        zone, lane = page.get_by_test_id("zone-valley"), page.get_by_test_id("lane-river")
        for words in ("滑空場", "許可が必要な区域", "対地 120 mから標高 900 mまで", "月 08:00–14:00"):
            await expect(zone).to_contain_text(words)
        for words in ("ドローン航路", "標高 500–560 m", "60 m", "2"):
            await expect(lane).to_contain_text(words)
        await page.get_by_test_id("legend").locator("summary").click()
        await expect(page.get_by_test_id("legend")).to_contain_text("許可が必要な区域")
        await expect(page.get_by_test_id("legend")).not_to_contain_text("飛行禁止区域")
        await console.screenshot("console-ja-place")

        await console.choose_language("en")
        for words in ("Gliding field", "120 m above ground to 900 m above sea level", "Mon 08:00–14:00"):
            await expect(zone).to_contain_text(words)
        await region_map.click(position={"x": x + 30, "y": y + 60})
        await expect(lane).to_have_count(0)
        await expect(zone).to_be_visible()
        await page.get_by_test_id("place-card").get_by_role("button").click()
        await expect(page.get_by_test_id("place-card")).to_have_count(0)
        await console.close()
    assert console.faults == []

"""What the ground crew does on a phone: checks before a launch, loading, and what comes back."""

from __future__ import annotations

import warnings

import pytest
from playwright.async_api import expect

from fleet import ground_checks
from tests.api_kit import Api
from tests.browser.console_page import ConsolePage, missing, open_browser
from tests.browser.played_gateway import sign_in_link

MISSING = missing()
if MISSING:
    warnings.warn(f"BROWSER TESTS DO NOT RUN: {MISSING}", stacklevel=1)
pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"BROWSER TESTS DO NOT RUN: {MISSING}")


async def test_the_crew_checks_loads_and_unloads_on_a_phone(api: Api) -> None:
    world = api.world
    await world.drone()
    order_id = await world.order()
    (mission_id,) = await world.missions()
    await world.user("crew", "ground_crew")
    async with sign_in_link(api, "crew") as link, open_browser() as browser:
        crew = await ConsolePage.open(browser, width=390, height=844, drawn=False)
        page = crew.page
        await crew.sign_in_by_link(link)
        card, checks = page.get_by_test_id(f"mission-{mission_id}"), page.get_by_test_id(f"checks-{mission_id}")
        await expect(card).to_have_attribute("data-state", "planned")

        # What is not in order is said with why, and keeps the mission from being loaded until it is.
        await page.get_by_test_id(f"load-{mission_id}").click()
        loaded = page.get_by_test_id(f"confirm-load-{mission_id}")
        names = [check.name for check in ground_checks.of_kind("drone")]
        for name in names[:-1]:
            await page.get_by_test_id(f"ok-{name}").click()
            await expect(page.get_by_test_id(f"check-{name}")).to_have_attribute("data-state", "done")
        last = names[-1]
        await page.get_by_test_id(f"not-ok-{last}").click()
        await page.get_by_test_id(f"note-{last}").fill("鹿がいる")
        await page.get_by_test_id(f"send-{last}").click()
        await expect(page.get_by_test_id(f"check-{last}")).to_contain_text("鹿がいる")
        await expect(checks).to_contain_text("出発できません")
        await expect(loaded).to_be_disabled()
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{wide} px are cut off at the right"
        await crew.screenshot("crew-ja-checks")
        await page.get_by_test_id(f"ok-{last}").click()
        await loaded.click()
        await expect(card).to_have_attribute("data-state", "loaded")

        # It comes home with its parcel: back on the shelf, and open to be planned again.
        await world.accept(mission_id)
        await world.move(mission_id, "starting", "underway", "returning", "aborted")
        await page.get_by_test_id(f"unload-{mission_id}").click()
        await page.get_by_test_id(f"confirm-unload-{mission_id}").click()
        await expect(page.get_by_test_id(f"check-{mission_id}")).to_have_count(0)
        assert await world.order_state(order_id) == "received"
        assert crew.faults == []
        await crew.close()

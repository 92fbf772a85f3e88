"""The log and an incident's report, put on paper by a real browser."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from tests.api_kit import Api
from tests.browser.console_page import SCREENSHOTS, missing, open_browser
from tests.log_kit import draft, fly

_BOX = re.compile(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]")
A4 = (595, 842)


def _sheets(pdf: bytes) -> list[tuple[int, int]]:
    return [(round(float(width)), round(float(height))) for width, height in _BOX.findall(pdf)]


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.parametrize("lang", ["ja", "en"])
async def test_the_pages_come_out_of_the_printer_on_a4_with_nothing_cut_off(api: Api, lang: str) -> None:
    world = api.world
    await world.drone()
    pad = world.region.site("hub-1").pads[0]
    await world.store(fly("drone-1", world.at - timedelta(minutes=20), 120, pad))
    await draft(world, world.at)
    pilot = await api.as_("pilot")
    body = {"scope_kind": "vehicle", "scope_id": "drone-1", "idempotency_key": "k", "title": "W" * 200}
    incident = (await pilot.post("/api/incidents", json=body)).json()["incident_id"]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    async with api.served() as address, open_browser() as browser:
        headers = {"Authorization": f"Bearer {await api.token('pilot')}"}
        page = await (await browser.new_context(extra_http_headers=headers)).new_page()
        sheets = {}
        for name, path in (("log", "vehicles/drone-1/log.html"), ("report", f"incidents/{incident}/report.html")):
            await page.goto(f"http://{address}/api/{path}?lang={lang}")
            await page.emulate_media(media="print")
            # As wide as the paper between its margins, at 96 pixels an inch.
            await page.set_viewport_size({"width": 1055 if name == "log" else 725, "height": 1000})
            wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{name}: {wide} px are cut off at the right"
            await page.screenshot(path=Path(SCREENSHOTS / f"printed-{name}-{lang}.png"), full_page=True)
            sheets[name] = _sheets(await page.pdf(prefer_css_page_size=True))

    assert len(sheets["log"]) >= 4
    assert set(sheets["log"]) == {(A4[1], A4[0])}
    assert set(sheets["report"]) == {A4}

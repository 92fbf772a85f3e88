"""The console as a person uses it, in a real browser: what tests may see and touch."""

from __future__ import annotations

import asyncio
import math
import os
import re
import shutil
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, FilePayload, Page, WebSocketRoute, async_playwright, expect

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "fleet" / "console" / "dist" / "index.html"
SCREENSHOTS = ROOT / "build" / "screenshots"

CHROMIUM_FLAGS = (
    "--no-sandbox",
    # WebGL by software: machines that run tests have no graphics card.
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
STEP_S = 40.0
"""How long the console itself may take for one thing; what vehicles take, each test says."""
POLL_S = 0.2

_NO_WEBGL = """{
    const real = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
        return /webgl/.test(kind) ? null : real.call(this, kind, ...rest);
    };
}"""

expect.set_options(timeout=STEP_S * 1000)
METRES_PER_DEGREE = 111_320.0


def missing() -> str | None:
    """Return what these tests lack on this machine, and how to get it; None when all is there."""
    if shutil.which("chromium") is None:
        return "chromium is not on PATH (Debian, Ubuntu: apt-get install chromium)"
    if not CONSOLE.is_file():
        return "the console is not built: run 'make setup', or 'npm ci && npm run build' in fleet/console"
    return None


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Start the system's Chromium, headless; it is closed afterwards."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), headless=True, args=list(CHROMIUM_FLAGS)
        )
        try:
            yield browser
        finally:
            await browser.close()


def distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Ground distance of two ``(lat, lon)`` that are close together (equirectangular)."""
    north = (b[0] - a[0]) * METRES_PER_DEGREE
    east = (b[1] - a[1]) * METRES_PER_DEGREE * math.cos(math.radians(a[0]))
    return math.hypot(north, east)


class ConsolePage:
    """One open console. ``faults`` collects uncaught errors of its scripts, which no test expects."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self._cut = False
        self._lines: list[WebSocketRoute] = []
        page.set_default_timeout(STEP_S * 1000)
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    @classmethod
    async def open(
        cls,
        browser: Browser,
        *,
        language: str = "ja-JP",
        width: int = 1280,
        height: int = 800,
        drawn: bool = True,
    ) -> ConsolePage:
        """Open an empty page with a browser language and the screen of an operator.

        Without ``drawn`` the device has no WebGL: the map says so and takes no time, all else is as ever.
        """
        context = await browser.new_context(
            locale=language, viewport={"width": width, "height": height}, timezone_id="Asia/Tokyo"
        )
        if not drawn:
            await context.add_init_script(_NO_WEBGL)
        return cls(await context.new_page())

    async def answer_when_asked(self) -> None:
        """Say that somebody is there whenever the console asks, as a pilot who watches for long does."""
        asked = self.page.get_by_test_id("are-you-there")
        await self.page.add_locator_handler(asked, lambda: self.page.keyboard.press("Shift"))

    async def close(self) -> None:
        """Close the page and forget its cookies."""
        await self.page.context.close()

    async def sign_in_by_link(self, link: str) -> None:
        """Open a one-time link and wait for the console behind it."""
        await self.page.goto(link)
        await expect(self.page.get_by_test_id("live-state")).to_be_visible()

    async def put_a_switch_in_the_live_line(self) -> None:
        """Before signing in: let ``cut`` and ``mend`` interrupt the live connection, and nothing else."""
        await self.page.route_web_socket(re.compile(r"/api/live(\?|$)"), self._connect)

    async def _connect(self, line: WebSocketRoute) -> None:
        if self._cut:
            await line.close()
            return
        self._lines.append(line)
        line.connect_to_server()

    async def cut(self) -> None:
        """Interrupt the live connection; attempts to make it again fail."""
        self._cut = True
        lines, self._lines = self._lines, []
        for line in lines:
            await line.close()

    def mend(self) -> None:
        """Let the next attempt at the live connection succeed."""
        self._cut = False

    async def sign_in(self, url: str, user_id: str, password: str) -> None:
        """Fill in the sign-in form; what follows (the console or a message) is for the test to expect."""
        await self.page.goto(url)
        await self.page.get_by_test_id("sign-in-user").fill(user_id)
        await self.page.get_by_test_id("sign-in-password").fill(password)
        await self.page.get_by_test_id("sign-in-submit").click()

    async def position(self, vehicle_id: str) -> tuple[float, float] | None:
        """Return ``(lat, lon)`` that a vehicle's card shows, None while it is unknown."""
        card = self.page.get_by_test_id(f"vehicle-{vehicle_id}")
        lat, lon = await card.get_attribute("data-lat"), await card.get_attribute("data-lon")
        return (float(lat), float(lon)) if lat and lon else None

    async def activity(self, vehicle_id: str) -> str:
        """Return what a vehicle's card says that it does."""
        card = self.page.get_by_test_id(f"vehicle-{vehicle_id}")
        return await card.get_attribute("data-activity") or ""

    async def wait_for_activity(self, vehicle_id: str, activities: Collection[str], *, within_s: float) -> str:
        """Wait until a vehicle does one of these, and return which; fails telling what it did last."""
        card = self.page.get_by_test_id(f"vehicle-{vehicle_id}")
        any_of = re.compile(f"^({'|'.join(map(re.escape, activities))})$")
        await expect(card).to_have_attribute("data-activity", any_of, timeout=within_s * 1000)
        return await self.activity(vehicle_id)

    async def wait_until_moved(self, vehicle_id: str, *, least_m: float, within_s: float) -> float:
        """Wait until a vehicle's card shows it elsewhere; return how far. Raises ``TimeoutError``."""
        start, moved_m = None, 0.0
        try:
            async with asyncio.timeout(within_s):
                while moved_m < least_m:
                    await asyncio.sleep(POLL_S)
                    now = await self.position(vehicle_id)
                    start = start or now
                    if start and now:
                        moved_m = distance_m(start, now)
        except TimeoutError as error:
            raise TimeoutError(f"{vehicle_id} moved {moved_m:.1f} m in {within_s} s, not {least_m}") from error
        return moved_m

    async def wait_until_still(self, vehicle_id: str, *, most_m: float, for_s: float, within_s: float) -> None:
        """Wait until a vehicle stays within ``most_m`` of one place for a while. Raises ``TimeoutError``."""
        loop = asyncio.get_running_loop()
        place, since = await self.position(vehicle_id), loop.time()
        try:
            async with asyncio.timeout(within_s):
                while place is None or loop.time() - since < for_s:
                    await asyncio.sleep(POLL_S)
                    now = await self.position(vehicle_id)
                    if place is None or now is None or distance_m(place, now) > most_m:
                        place, since = now, loop.time()
        except TimeoutError as error:
            raise TimeoutError(f"{vehicle_id} still moves after {within_s} s; last seen at {place}") from error

    async def open_card(self, vehicle_id: str) -> None:
        """Show everything of a vehicle, if there are too many for all to be open."""
        unfold = self.page.get_by_test_id(f"unfold-{vehicle_id}")
        if await unfold.get_attribute("aria-expanded") == "false":
            await unfold.click()

    async def hold(self, vehicle_id: str) -> None:
        """Touch hold, once."""
        await self.page.get_by_test_id(f"hold-{vehicle_id}").click()

    async def propose(self, vehicle_id: str, kind: str) -> str:
        """Take the first step of ``return``, ``resume`` or ``land``; return what it says it will do."""
        await self.page.get_by_test_id(f"{kind}-{vehicle_id}").click()
        return await self.page.get_by_test_id(f"proposal-text-{vehicle_id}").inner_text()

    async def confirm(self, vehicle_id: str) -> None:
        """Take the second step of what was proposed."""
        await self.page.get_by_test_id(f"confirm-{vehicle_id}").click()

    async def expect_command(self, vehicle_id: str, kind: str, state: str, *, within_s: float) -> None:
        """Expect that the vehicle's newest command is of this kind and reaches this state."""
        newest = self.page.get_by_test_id(f"commands-{vehicle_id}").locator("li").first
        await expect(newest).to_have_attribute("data-kind", kind, timeout=within_s * 1000)
        await expect(newest).to_have_attribute("data-state", state, timeout=within_s * 1000)

    async def upload_orders(self, text: str) -> None:
        """Choose a CSV file of orders; what the console says to it is for the test to expect."""
        file = FilePayload(name="orders.csv", mimeType="text/csv", buffer=text.encode())
        await self.page.get_by_test_id("import-file").set_input_files(file)

    async def open_tab(self, name: str) -> None:
        """Show ``orders``, ``missions`` or ``plan``."""
        await self.page.get_by_test_id(f"tab-{name}").click()

    async def missions_of(self, vehicles: str, state: str, *, within_s: float) -> list[str]:
        """Wait until vehicles whose ids begin so have missions in this state, as the list shows; return their ids."""
        cards = self.page.locator(f"[data-testid^=mission-][data-vehicle^={vehicles}][data-state={state}]")
        await expect(cards.first).to_be_visible(timeout=within_s * 1000)
        ids = [await card.get_attribute("data-testid") or "" for card in await cards.all()]
        return [test_id.removeprefix("mission-") for test_id in ids]

    async def move_mission(self, mission_id: str, action: str) -> None:
        """Do one of ``load``, ``accept``, ``unload`` and ``cancel`` with all checks that it asks for."""
        await self.page.get_by_test_id(f"{action}-{mission_id}").click()
        if action == "load":
            await self._check_all(mission_id)
        for box in await self.page.get_by_test_id(f"check-{mission_id}").get_by_role("checkbox").all():
            await box.check()
        await self.page.get_by_test_id(f"confirm-{action}-{mission_id}").click()

    async def _check_all(self, mission_id: str) -> None:
        """Say of every check of the ground crew that it is in order."""
        checks = self.page.get_by_test_id(f"checks-{mission_id}")
        left = checks.locator("li:not([data-state=done])")
        while await left.count():
            name = await left.first.get_attribute("data-testid") or ""
            await checks.get_by_test_id(name.replace("check-", "ok-", 1)).click()
            await expect(checks.get_by_test_id(name)).to_have_attribute("data-state", "done")

    async def choose_language(self, language: str) -> None:
        """Switch to ``ja`` or ``en``."""
        await self.page.get_by_test_id(f"language-{language}").click()

    async def screenshot(self, name: str) -> None:
        """Save what is seen to ``build/screenshots``, where it is asked for: drawing a map without a graphics card
        takes seconds. The map's names are awaited."""
        if not os.environ.get("TODOKE_SCREENSHOTS"):
            return
        region_map = self.page.get_by_test_id("map")
        if await region_map.locator("canvas").count():
            language = await self.page.evaluate("document.documentElement.lang")
            await expect(region_map).to_have_attribute("data-language", language)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

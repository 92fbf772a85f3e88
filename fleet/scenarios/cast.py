"""The people of a scripted day: dispatcher, ground crew, pilot and recipients, who do their part through the API.

They know nothing but what the API tells them, so that a scripted day exercises what real people use.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from dataclasses import asdict
from datetime import datetime
from typing import Any

import httpx
import structlog

from fleet.ids import new_id
from fleet.missions import ENDED
from fleet.weather import Report
from hardware.profiles import load_profile
from telemetry.clock import Clock

_LOG = structlog.get_logger()

ROUND_S = 0.4
"""Wall seconds between two looks."""
REPLAN_S = 60.0
"""Domain seconds after which the dispatcher asks again for orders that no plan has served."""
RESUME_S = 20.0
"""Domain seconds after which the pilot resumes a mission that the vehicle itself has put on hold."""
DECIDE_AGAIN_S = 5.0
"""Domain seconds that a vehicle has to go on after a decision, before it is told again."""
PLAN_SECONDS = 3.0
LOOKS_S = 300.0
"""Domain seconds between two looks at the weather and at the page of emergency airspace."""
LOOKS_AGAIN_S = 600.0
"""Domain seconds after which the crew looks at its checks again: some grow old after a quarter of an hour."""
AT_THE_DOOR_S = 2.0
"""Wall seconds between two looks of a recipient at what comes."""


class Worker(ABC):
    """Somebody signed in, who looks at the service again and again. Outages of the service are waited out."""

    def __init__(self, api_url: str, token: str | None, clock: Clock) -> None:
        self.clock = clock
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.AsyncClient(base_url=api_url, headers=headers, timeout=10.0, trust_env=False)

    async def work(self) -> None:
        """Work until cancelled."""
        async with self._http:
            while True:
                try:
                    await self.round()
                except httpx.HTTPError as error:
                    _LOG.info("the service does not answer", worker=type(self).__name__, error=repr(error))
                await asyncio.sleep(ROUND_S)

    @abstractmethod
    async def round(self) -> None:
        """Look once and do what is to be done."""

    async def get(self, path: str) -> Any:
        """Return what the API says; raises ``httpx.HTTPError``."""
        response = await self._http.get(path)
        response.raise_for_status()
        return response.json()

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        """Ask for a change. A conflict is for the next round: what was seen has changed meanwhile."""
        response = await self._http.post(path, json=body)
        if response.status_code == 409:
            _LOG.debug("conflict", path=path, detail=response.json().get("detail"))
        elif response.is_error:
            _LOG.warning("refused", path=path, status=response.status_code, detail=response.text[:500])
        return response


class Dispatcher(Worker):
    """Has plans made for what waits, approves those that are proposed, looks at the weather and the airspace, and sends
    links to recipients who have something to say (``links``: order to token)."""

    _asked_for: frozenset[str] = frozenset()
    _asked_at = float("-inf")
    _looked_at = float("-inf")

    def __init__(self, api_url: str, token: str, clock: Clock, weather: Report) -> None:
        super().__init__(api_url, token, clock)
        self.links: dict[str, str] = {}
        self._weather = weather
        self._asked_at_sites: frozenset[str] | None = None

    async def round(self) -> None:
        """Ask for a plan, or approve one."""
        await self._look_around()
        await self._send_links()
        plans = (await self.get("/api/plans"))["plans"]
        proposed = [plan for plan in plans if plan["state"] == "proposed"]
        for plan in proposed:
            await self.post(f"/api/plans/{plan['run_id']}/approve")
        if proposed or any(plan["state"] in {"queued", "running"} for plan in plans):
            return
        waiting = (await self.get("/api/orders?state=received"))["orders"]
        ids = frozenset(order["order_id"] for order in waiting)
        now = self.clock.now().timestamp()
        if ids and (not ids <= self._asked_for or now - self._asked_at > REPLAN_S):
            self._asked_for, self._asked_at = ids, now
            await self.post("/api/plans", {"seconds": PLAN_SECONDS})

    async def _look_around(self) -> None:
        now = self.clock.now().timestamp()
        if now - self._looked_at > LOOKS_S:
            told = {name: value for name, value in asdict(self._weather).items() if value is not None}
            weather = await self.post("/api/weather", told)
            airspace = await self.post("/api/airspace/checks", {"source": "the scripted day has none"})
            if weather.is_success and airspace.is_success:
                self._looked_at = now

    async def _send_links(self) -> None:
        if self._asked_at_sites is None:
            points = (await self.get("/api/drop-points"))["drop_points"]
            self._asked_at_sites = frozenset(p["site_id"] for p in points if p["class"] == "recipient" or p["unlock"])
        if not self._asked_at_sites:
            return
        coming = (await self.get("/api/orders?state=underway"))["orders"]
        ids = {order["order_id"] for order in coming if order["dropoff_site"] in self._asked_at_sites}
        for order_id in self.links.keys() - ids:
            del self.links[order_id]
        for order_id in ids - self.links.keys():
            answer = await self.post(f"/api/orders/{order_id}/recipient-link")
            if answer.is_success:
                self.links[order_id] = answer.json()["token"]


class Recipient(Worker):
    """Everybody to whom something comes: looks at the link, and says what is asked."""

    def __init__(self, api_url: str, clock: Clock, links: dict[str, str]) -> None:
        super().__init__(api_url, None, clock)
        self._links = links
        self._codes: dict[str, str] = {}
        self._looked_s: dict[str, float] = {}

    async def round(self) -> None:
        """Answer what is asked at each door."""
        for token in list(self._links.values()):
            if time.monotonic() - self._looked_s.get(token, float("-inf")) < AT_THE_DOOR_S:
                continue
            self._looked_s[token] = time.monotonic()
            try:
                asked = {ask["what"] for ask in (await self.get(f"/api/recipient/{token}"))["asks"]}
            except httpx.HTTPStatusError:
                continue  # another link was sent meanwhile
            await self._answer(f"/api/recipient/{token}", asked)

    async def _answer(self, path: str, asked: set[str]) -> None:
        if "clear" in asked:
            await self.post(f"{path}/clear", {"clear": True})
        if "code" in asked:
            answer = await self.post(f"{path}/code")
            if answer.is_success:
                self._codes[path] = answer.json()["code"]
        if "unlock" in asked and path in self._codes:
            await self.post(f"{path}/unlock", {"code": self._codes[path]})


class GroundCrew(Worker):
    """Checks and loads vehicles that stand at home with a fresh battery, and unloads what came back."""

    def __init__(self, api_url: str, token: str, clock: Clock) -> None:
        super().__init__(api_url, token, clock)
        self._looked_at: dict[str, float] = {}

    async def round(self) -> None:
        """Load or unload what can be, and look again at what has been loaded for long."""
        missions = (await self.get("/api/missions"))["missions"]
        vehicles = {v["vehicle_id"]: v for v in (await self.get("/api/vehicles"))["vehicles"]}
        for mission in sorted(missions, key=lambda m: m["planned_depart"]):
            vehicle = vehicles.get(mission["vehicle_id"])
            if vehicle is None or not _stands(vehicle["live"]):
                continue
            if mission["state"] in ENDED and any(order["open"] for order in mission["orders"]):
                await self.post(f"/api/missions/{mission['mission_id']}/unload")
            elif mission["state"] == "planned" and self._battery_is_fitted(vehicle, missions):
                await self._load(mission["mission_id"])
            elif mission["state"] in {"loaded", "accepted"}:
                await self._look_again(mission["mission_id"])

    async def _load(self, mission_id: str) -> None:
        checks = (await self.get(f"/api/missions/{mission_id}/checks"))["checks"]
        self._looked_at[mission_id] = self.clock.now().timestamp()
        await self.post(f"/api/missions/{mission_id}/load", {"checks": {check["check"]: True for check in checks}})

    async def _look_again(self, mission_id: str) -> None:
        now = self.clock.now().timestamp()
        if now - self._looked_at.get(mission_id, float("-inf")) < LOOKS_AGAIN_S:
            return
        path = f"/api/missions/{mission_id}/checks"
        for check in (await self.get(path))["checks"]:
            if check["state"] != "done" or check["until"]:
                await self.post(path, {"check": check["check"], "ok": True})
        self._looked_at[mission_id] = now

    def _battery_is_fitted(self, vehicle: dict[str, Any], missions: list[dict[str, Any]]) -> bool:
        """Swapping the battery takes the profile's turnaround after each mission driven or flown."""
        ended = [
            datetime.fromisoformat(m["ended_at"])
            for m in missions
            if m["vehicle_id"] == vehicle["vehicle_id"] and m["ended_at"] and m["started_at"]
        ]
        swap_s = load_profile(vehicle["type_id"]).turnaround_s
        return not ended or (self.clock.now() - max(ended)).total_seconds() >= swap_s


def _stands(live: dict[str, Any] | None) -> bool:
    return bool(live and live["connected"] and live["on_ground"] and not live["armed"])


class Pilot(Worker):
    """Accepts launches, looks at the road where a robot waits at its kerb, and resumes what a vehicle has put on hold
    by itself or after it was out of contact. A ``visitor`` on duty is offered what is under way, once for each mission.
    """

    def __init__(self, api_url: str, token: str, clock: Clock, *, visitor: str = "") -> None:
        super().__init__(api_url, token, clock)
        self._visitor = visitor
        self._offered: set[str] = set()
        self._held_since: dict[str, float] = {}
        self._decided_at: dict[str, float] = {}

    async def round(self) -> None:
        """Accept what is loaded; resume what stands without a person's command."""
        missions = (await self.get("/api/missions"))["missions"]
        for mission in missions:
            if mission["state"] == "loaded":
                await self.post(f"/api/missions/{mission['mission_id']}/accept")
        await self._resume([m for m in missions if m["state"] == "held"])
        await self._offer([m for m in missions if m["state"] == "underway"])
        for vehicle in (await self.get("/api/vehicles"))["vehicles"]:
            await self._decide(vehicle["vehicle_id"], (vehicle["live"] or {}).get("waits"))

    async def _offer(self, underway: list[dict[str, Any]]) -> None:
        fresh = [mission for mission in underway if mission["mission_id"] not in self._offered]
        if not fresh or not self._visitor:
            return
        present = {one["user_id"] for one in (await self.get("/api/duty"))["duty"] if not one["silent"]}
        if self._visitor in present:
            for mission in fresh:
                self._offered.add(mission["mission_id"])
                await self.post(f"/api/vehicles/{mission['vehicle_id']}/control/offer", {"to": self._visitor})

    async def _decide(self, vehicle_id: str, waits: dict[str, Any] | None) -> None:
        """Answer what a vehicle waits for, and again when that has not helped."""
        now = self.clock.now().timestamp()
        if waits is None or now - self._decided_at.get(vehicle_id, float("-inf")) < DECIDE_AGAIN_S:
            return
        if waits["what"] == "crossing":
            given = await self._command(vehicle_id, "cross", node=waits["node"])
        elif waits["what"] == "resume":
            given = await self._command(vehicle_id, "resume")
        else:
            return  # the recipient's
        if given is not None:
            self._decided_at[vehicle_id] = now

    async def _command(self, vehicle_id: str, kind: str, **params: Any) -> str | None:
        """Give a command, both steps of it; return its id, ``None`` when it was refused."""
        body = {"kind": kind, "idempotency_key": new_id("k"), "params": params}
        answer = await self.post(f"/api/vehicles/{vehicle_id}/commands", body)
        if answer.is_success and answer.json()["state"] == "proposed":
            answer = await self.post(f"/api/commands/{answer.json()['command_id']}/confirm")
        return str(answer.json()["command_id"]) if answer.is_success else None

    async def _resume(self, held: list[dict[str, Any]]) -> None:
        now = self.clock.now().timestamp()
        ids = {mission["mission_id"] for mission in held}
        self._held_since = {m: t for m, t in self._held_since.items() if m in ids}
        for mission in held:
            since = self._held_since.setdefault(mission["mission_id"], now)
            if now - since < RESUME_S:
                continue
            commands = await self.get(f"/api/commands?vehicle_id={mission['vehicle_id']}")
            if any(c["kind"] == "hold" and c["issued_at"] > mission["planned_depart"] for c in commands["commands"]):
                continue  # a person wanted it
            await self._command(mission["vehicle_id"], "resume")
            self._held_since[mission["mission_id"]] = now

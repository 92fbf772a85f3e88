"""A robot or a drone under way to a recipient, and what the API sees of it, for tests of hand-overs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from fleet.live import encode_snapshot
from hardware.link import WaitFor
from tests.api_kit import Api
from tests.fleet_kit import World


@dataclass(slots=True)
class Errand:
    """One order on its way: its mission, its release's step, the recipient's client and where the link leads."""

    api: Api
    vehicle_id: str
    order_id: str
    mission_id: str
    step: int
    path: str = ""

    @property
    def world(self) -> World:
        """The village."""
        return self.api.world

    async def link(self) -> str:
        """Have a link sent to the recipient; return its path."""
        answer = await (await self.api.as_("dispatcher")).post(f"/api/orders/{self.order_id}/recipient-link")
        assert answer.status_code == 201, answer.text
        self.path = answer.json()["path"]
        return self.path

    async def get(self, language: str | None = None) -> httpx.Response:
        """Look at the link, as somebody without an account."""
        headers = {"Accept-Language": language} if language else {}
        return await self.api.client().get(self.path, headers=headers)

    async def asks(self) -> list[str]:
        """Return what the recipient is asked for now."""
        return [ask["what"] for ask in (await self.get()).json()["asks"]]

    async def post(self, name: str, body: Any = None, language: str = "en") -> httpx.Response:
        """Answer what is asked."""
        return await self.api.client().post(f"{self.path}/{name}", json=body, headers={"Accept-Language": language})

    async def show(self, what: WaitFor | None = None, *, step: int | None = None, **changes: Any) -> None:
        """Have the gateway tell that the vehicle waits for something, or for nothing."""
        waits = None if what is None else {"what": what, "step": self.step if step is None else step, "since": None}
        said = {"vehicle_id": self.vehicle_id, "t": None, "connected": True, "mission_id": self.mission_id}
        snapshot = encode_snapshot("gateway-1", self.api.context.clock.now(), [said | {"waits": waits} | changes])
        self.api.context.live.take(snapshot)
        await self.world.write(
            "UPDATE mission SET step = %(step)s WHERE mission_id = %(id)s",
            step=self.step if what is not None else 0,
            id=self.mission_id,
        )


async def errand(api: Api, *, robot: bool, underway: bool = True, kind: str = "recipient") -> Errand:
    """A vehicle under way with one order to a drop point of a class, where robots ask for a code."""
    world = api.world
    await world.drop_points(kind, unlock=True)
    vehicle_id = await (world.robot() if robot else world.drone())
    dropoff, mass_kg = ("drop-1", 3.0) if robot else ("drop-5", 0.3)
    order_id = await world.order("A1", dropoff, mass_kg=mass_kg)
    (mission_id,) = await world.missions()
    if underway:
        await world.fly(mission_id)
    steps = (await world.mission(mission_id))["trip"]["mission"]["steps"]
    (step,) = [number for number, each in enumerate(steps) if each["order_ids"]]
    found = Errand(api, vehicle_id, order_id, mission_id, step)
    await found.link()
    return found

"""Carrying a mission over to a vehicle with its fence and its rally points, and reading all of it back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from hardware.errors import MissionRejected, NoAnswer
from hardware.mavlink.autopilot import Autopilot, Load
from hardware.mavlink.fence_items import fence_items, rally_items
from hardware.mavlink.translate import Item, ItemPlan, difference
from hardware.mission import Mission

TRANSFER_ATTEMPTS = 5
"""How often a list is carried over before it counts as not answered; MAVSDK repeats single items by itself."""

_NAMES = {Load.MISSION: "another mission", Load.FENCE: "another fence", Load.RALLY: "other rally points"}

_T = TypeVar("_T")


class Speak(Protocol):
    """Awaits an exchange; what the lease or the contact has lost meanwhile is the error to tell."""

    def __call__(self, work: Coroutine[Any, Any, _T], /) -> Coroutine[Any, Any, _T]:
        """Return what the exchange does."""
        ...


class Loader:
    """Loads one vehicle. A list that it carries already is left, so that it is not checked anew for nothing."""

    def __init__(self, vehicle_id: str, autopilot: Autopilot, speak: Speak) -> None:
        self._vehicle_id = vehicle_id
        self._autopilot = autopilot
        self._speak = speak

    async def load(self, plan: ItemPlan) -> None:
        """Load a mission, its fence and its rally points; raises ``MissionRejected`` naming where one differs.

        A fence of another mission goes first: PX4 would look at the new one with it. The own one comes last, so that
        what it objects to is said of the two together.
        """
        around = _around(plan.mission)
        stands = {load: not await self._differs(load, items) for load, items in around.items()}
        for load, same in stands.items():
            if not same:
                await self._clear(load)
        await self._carry(Load.MISSION, plan.items)
        for load, items in around.items():
            if items and not stands[load]:
                await self._carry(load, items)

    async def check_around(self, mission: Mission) -> None:
        """Read fence and rally points; raises ``MissionRejected`` where they are not the mission's."""
        for load, items in _around(mission).items():
            if where := await self._differs(load, items):
                raise self._rejected(load, where)

    async def lift_fence(self) -> None:
        """Take the fence off a vehicle; raises ``MissionRejected`` where it keeps it."""
        await self._clear(Load.FENCE)

    async def _carry(self, load: Load, items: Sequence[Item]) -> None:
        await self._transfer(lambda: self._autopilot.upload(items, load))
        if where := await self._differs(load, items):
            raise self._rejected(load, where)

    async def _clear(self, load: Load) -> None:
        for _ in range(TRANSFER_ATTEMPTS):
            await self._speak(self._autopilot.clear(load))
            where = await self._differs(load, ())
            if where is None:
                return
        raise self._rejected(load, where or "")

    async def _differs(self, load: Load, items: Sequence[Item]) -> str | None:
        return difference(items, await self._transfer(lambda: self._autopilot.download(load)))

    async def _transfer(self, once: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Carry a list over, again if that got stuck: on a bad radio one of its many items is lost too often."""
        for _ in range(TRANSFER_ATTEMPTS - 1):
            with suppress(NoAnswer):
                return await self._speak(once())
        return await self._speak(once())

    def _rejected(self, load: Load, where: str) -> MissionRejected:
        return MissionRejected(f"{self._vehicle_id}: the vehicle carries {_NAMES[load]}: {where}")


def _around(mission: Mission) -> dict[Load, tuple[Item, ...]]:
    return {Load.FENCE: fence_items(mission), Load.RALLY: rally_items(mission)}

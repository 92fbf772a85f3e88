"""A vehicle in memory that does what a test says, behind the interface through which the service speaks to all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hardware.errors import LinkDown, NotOurs, Refused
from hardware.link import Activity, LeaseGuard, Progress, Release, VehicleState, Wait, WaitFor
from hardware.mission import Mission, StepKind
from routing.geo import Position


class ScriptedVehicle:
    """A drone that is ready on its pad, unless told otherwise; ``calls`` holds what it was asked to do.

    ``fails`` holds the errors that the next calls of a name raise, before anything is done. ``hangs`` holds
    events for which calls of a name wait. What it carries survives its links: pass it to the next runner.
    """

    def __init__(self, vehicle_id: str = "drone-1") -> None:
        self.vehicle_id = vehicle_id
        self.calls: list[str] = []
        self.fails: dict[str, list[Exception]] = {}
        self.hangs: dict[str, asyncio.Event] = {}
        self.lease: LeaseGuard | None = None
        self.is_open = False
        self._state = VehicleState(t=datetime.now(UTC), connected=True, activity=Activity.IDLE, ready=True)
        self._carried: Mission | None = None
        self._expected: Mission | None = None
        self._known = Progress()
        self._news = asyncio.Condition()

    # -- what a test does --------------------------------------------------------------------------

    async def show(self, **changes: Any) -> None:
        """Change what the vehicle says of itself."""
        self._state = replace(self._state, **changes)
        async with self._news:
            self._news.notify_all()

    async def fly(self, mission: Mission) -> None:
        """Be under way on a mission."""
        self._carried = mission
        self._know(mission_id=mission.mission_id)
        await self.show(activity=Activity.MISSION, armed=True, on_ground=False)

    async def release(self, step: int, *, at: Position | None = None, evidence: str = "sensor") -> None:
        """Let a parcel go at a place."""
        self._know(step=step, releases=(*self._known.releases, Release(step, evidence, "test")))
        await self.show(position=at or self._state.position)

    async def go_to(self, step: int) -> None:
        """Be at a step, and wait for nothing."""
        self._know(step=step)
        await self.show(waits=None)

    async def wait(self, what: WaitFor, step: int, *, since: datetime, until: datetime | None = None) -> None:
        """Stand at a step until somebody decides."""
        self._know(step=step)
        await self.show(waits=Wait(what, step, since, until=until))

    async def come_home(self, *, finished: bool = True) -> None:
        """Land at the end of the mission."""
        assert self._carried is not None
        self._know(step=len(self._carried.steps) - 1, finished=finished)
        await self.show(activity=Activity.IDLE, armed=False, on_ground=True, position=self._carried.steps[-1].position)

    async def forget(self) -> None:
        """Restart, and carry nothing."""
        self._carried, self._known = None, Progress()
        await self.show(activity=Activity.IDLE, armed=False, on_ground=True)

    def is_watched(self) -> bool:
        """Whether a service is listening."""
        return self.is_open

    # -- hardware.link.VehicleLink -----------------------------------------------------------------

    async def open(self) -> None:
        self.is_open = True
        self._expected = None

    async def close(self) -> None:
        self.is_open = False
        async with self._news:
            self._news.notify_all()

    def state(self) -> VehicleState:
        known = self._carried is not None and self._expected == self._carried
        return replace(self._state, progress=self._known if known else Progress())

    async def changes(self) -> AsyncIterator[VehicleState]:
        told: VehicleState | None = None
        while self.is_open:
            state = self.state()
            if state != told:
                told = state
                yield state
                continue
            async with self._news:
                await self._news.wait_for(lambda last=state: self.state() != last or not self.is_open)

    def beat(self) -> None:
        self.calls.append("beat")

    def expect(self, mission: Mission) -> None:
        self._expected = mission

    async def recognise(self) -> bool:
        await self._asked("recognise")
        return self._carried is not None and self._carried == self._expected

    async def upload(self, mission: Mission) -> None:
        await self._asked("upload")
        self._carried = self._expected = mission
        self._known = Progress(mission.mission_id)

    async def start(self) -> None:
        await self._asked("start")
        assert self._carried is not None
        await self.fly(self._carried)

    async def hold(self) -> None:
        await self._asked("hold")
        await self.show(activity=Activity.HOLD)

    async def resume(self) -> None:
        await self._asked("resume")
        await self.show(activity=Activity.MISSION)

    async def return_home(self) -> None:
        await self._asked("return")
        await self.show(activity=Activity.RETURN)

    async def land(self) -> None:
        await self._asked("land")
        await self.show(activity=Activity.LAND)

    async def descend(self, step: int) -> None:
        await self._asked("descend")
        await self._goes_on(step)

    async def skip(self, step: int) -> None:
        await self._asked("skip")
        await self._goes_on(step)

    async def unlock(self, step: int) -> None:
        await self._asked("unlock")
        await self._goes_on(step)

    async def _goes_on(self, step: int) -> None:
        waits = self._state.waits
        if waits is None or waits.step != step:
            raise Refused(f"{self.vehicle_id} does not wait at step {step}")
        await self.show(waits=None)

    async def _asked(self, name: str) -> None:
        self.calls.append(name)
        if self.lease is not None and not self.lease.held():
            raise NotOurs(f"{self.vehicle_id}: the lease has run out")
        if name in self.hangs:
            await self.hangs[name].wait()
        if self.fails.get(name):
            raise self.fails[name].pop(0)
        if not self._state.connected:
            raise LinkDown(f"{self.vehicle_id} is not heard")

    def _know(self, **changes: Any) -> None:
        self._known = replace(self._known, **changes)


def release_steps(mission: Mission) -> list[int]:
    """Return the indexes of a mission's releases."""
    return [index for index, step in enumerate(mission.steps) if step.kind is StepKind.RELEASE]

"""What is sent to a vehicle when two commands meet: at a gate, on a diversion, on the way home."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hardware.errors import MissionRejected, Refused
from hardware.mavlink import modes
from hardware.mavlink.autopilot import CommandResult
from hardware.mavlink.changes import Changes
from hardware.mavlink.commander import DO_REPOSITION, DO_SET_MODE, Commander
from hardware.mavlink.link import MavlinkLink
from hardware.mavlink.manoeuvres import Manoeuvres
from hardware.mavlink.modes import Mode
from hardware.mavlink.translate import Gate
from routing.geo import Position
from tests.mavlink_kit import HOME, delivery, fenced, until

STEP, GATE, RELEASE = 2, Gate(5, 7, 11), 9
MODES = {(mode.main, mode.sub): mode for mode in (modes.HOLD, modes.MISSION, modes.RETURN, modes.LAND)}
TICK_MS = 100
FASTER = 10.0


class Tracker:
    """A vehicle that waits at its gate for a while."""

    def __init__(self) -> None:
        self.current, self.at_gate, self.wait_left_s = GATE.hover, STEP, 60.0
        self.plan = SimpleNamespace(gates={STEP: GATE}, release_items={STEP: RELEASE}, mission=fenced(delivery()))


class Vehicle:
    """What a commander sees of a vehicle, and what it sends: ``sent`` holds items and modes in their order.

    ``refuses`` holds modes that it denies, ``deaf`` whether it takes no item, ``on_sent`` is called with each.
    """

    def __init__(self) -> None:
        self.vehicle_id, self.vehicle_ms, self.boots, self.texts = "d", 1000, 0, 0
        self.connected = self.armed = True
        self.on_wing = self.on_ground = False
        self.mode: Mode = modes.MISSION
        self.tracker = Tracker()
        self.at, self.speed_mps = HOME, 5.0
        self.sent: list[Any] = []
        self.refuses: set[Mode] = set()
        self.deaf = False
        self.on_sent: Callable[[Any], None] = lambda _: None
        self.changes = Changes()
        endpoint = SimpleNamespace(may_speak=lambda: True, source=("h", 1), can_be_spoken_to=True)
        clock = SimpleNamespace(speed=FASTER, wall_seconds=lambda seconds: seconds / FASTER)
        parts = {"observer": self, "changes": self.changes, "autopilot": self, "endpoint": endpoint, "clock": clock}
        self.commander = Commander(**cast(Any, parts))
        self.manoeuvres = Manoeuvres(commander=self.commander, observer=cast(Any, self), changes=self.changes)

    def fix(self) -> Any:
        return SimpleNamespace(position=self.at, speed_mps=self.speed_mps)

    def faults_since(self, said: int) -> tuple[str, ...]:
        return ()

    def change_around(self) -> None:
        pass

    async def set_current(self, index: int) -> None:
        self._sent(index)
        if not self.deaf:
            self.tracker.current = index

    async def command(self, command: int, *parameters: float) -> CommandResult:
        if command != DO_SET_MODE:
            self._sent(command)
            return CommandResult.ACCEPTED
        mode = MODES[round(parameters[1]), round(parameters[2])]
        self._sent(mode)
        await asyncio.sleep(0.02)
        if mode in self.refuses:
            return CommandResult.DENIED
        self.mode = mode
        return CommandResult.ACCEPTED

    async def command_at(self, command: int, place: Position, *parameters: float) -> CommandResult:
        self._sent(command)
        self.mode = modes.HOLD
        return CommandResult.ACCEPTED

    def _sent(self, what: Any) -> None:
        self.sent.append(what)
        self.on_sent(what)

    @asynccontextmanager
    async def flying(self) -> AsyncIterator[None]:
        """Have its clock go on, and its wait."""

        async def tick() -> None:
            while True:
                await asyncio.sleep(TICK_MS / 1000 / FASTER)
                self.vehicle_ms += TICK_MS
                self.tracker.wait_left_s = max(0.0, self.tracker.wait_left_s - TICK_MS / 1000)
                self.changes.tell()

        ticking = asyncio.create_task(tick())
        try:
            yield
        finally:
            ticking.cancel()


# -- at a gate -------------------------------------------------------------------------------------


async def test_what_it_did_not_hear_is_said_again_while_it_waits() -> None:
    vehicle = Vehicle()
    vehicle.deaf = True

    def hears_the_third(_: Any) -> None:
        vehicle.deaf = len(vehicle.sent) < 3

    vehicle.on_sent = hears_the_third
    async with vehicle.flying():
        await vehicle.manoeuvres.descend(STEP)

    assert vehicle.sent == [GATE.down] * 3


async def test_it_is_not_called_back_down_once_its_wait_is_over() -> None:
    vehicle = Vehicle()
    vehicle.deaf, vehicle.tracker.wait_left_s = True, 4.0
    async with vehicle.flying():
        with pytest.raises(Refused, match="is over"):
            await vehicle.manoeuvres.descend(STEP)

    assert vehicle.sent == [GATE.down]


async def test_a_hold_ends_what_is_said_again() -> None:
    vehicle = Vehicle()
    vehicle.deaf = True
    async with vehicle.flying():
        descending = asyncio.create_task(vehicle.manoeuvres.descend(STEP))
        await until(lambda: vehicle.sent == [GATE.down])
        await vehicle.commander.hold()
        with pytest.raises(Refused, match="interrupted"):
            await descending

    assert vehicle.sent == [GATE.down, modes.HOLD]


@pytest.mark.parametrize(
    ("current", "sent"),
    [
        (GATE.hover, [modes.MISSION]),
        (GATE.down, [GATE.hover, modes.MISSION]),
        (RELEASE, [GATE.hover, modes.MISSION]),
        (RELEASE + 1, [modes.MISSION]),
    ],
)
async def test_one_held_before_its_release_goes_back_to_its_wait_first(current: int, sent: list[Any]) -> None:
    vehicle = Vehicle()
    vehicle.mode, vehicle.tracker.current = modes.HOLD, current
    async with vehicle.flying():
        await vehicle.commander.resume()

    assert vehicle.sent == sent


async def test_one_that_does_not_go_back_to_its_wait_goes_on_holding() -> None:
    vehicle = Vehicle()
    vehicle.mode, vehicle.tracker.current, vehicle.deaf = modes.HOLD, GATE.down, True
    async with vehicle.flying():
        resuming = asyncio.create_task(vehicle.commander.resume())
        await until(lambda: vehicle.sent == [GATE.hover])
        await vehicle.commander.hold()
        with pytest.raises(Refused, match="interrupted"):
            await resuming

    assert modes.MISSION not in vehicle.sent


# -- on the way home -------------------------------------------------------------------------------


async def test_a_hold_between_the_two_commands_of_a_return_stands() -> None:
    vehicle = Vehicle()
    vehicle.mode = modes.HOLD
    async with vehicle.flying():
        returning = asyncio.create_task(vehicle.commander.return_home(along_mission=True))
        await until(lambda: vehicle.sent == [modes.MISSION])
        vehicle.speed_mps = 0.0
        await vehicle.commander.hold()
        with pytest.raises(Refused, match="interrupted"):
            await returning

    assert vehicle.sent == [modes.MISSION, modes.HOLD]


# -- on a diversion --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["resume", "return_home"])
async def test_a_refused_command_leaves_a_diversion_to_land(kind: str) -> None:
    vehicle = Vehicle()
    vehicle.mode, vehicle.refuses = modes.HOLD, {modes.MISSION, modes.RETURN}
    vehicle.at = Position(HOME.lat + 0.01, HOME.lon, HOME.alt_amsl_m)
    async with vehicle.flying():
        turn = vehicle.commander.interrupt()
        seeing = asyncio.create_task(vehicle.manoeuvres.see_landing(turn, HOME, HOME.alt_amsl_m))
        with pytest.raises(Refused, match="denied"):
            await getattr(vehicle.commander, kind)()
        vehicle.at, vehicle.speed_mps = HOME, 0.0
        await asyncio.wait_for(seeing, 10)

    assert vehicle.sent[-1] == modes.LAND


async def test_no_landing_is_commanded_while_the_vehicle_decides_on_a_return() -> None:
    vehicle = Vehicle()
    vehicle.mode = modes.HOLD
    async with vehicle.flying():
        turn = vehicle.commander.interrupt()
        seeing = asyncio.create_task(vehicle.manoeuvres.see_landing(turn, HOME, HOME.alt_amsl_m))

        def arrives(_: Any) -> None:
            vehicle.speed_mps = 0.0

        vehicle.on_sent = arrives
        await vehicle.commander.return_home()
        await asyncio.wait_for(seeing, 10)

    assert vehicle.sent == [modes.RETURN]


class Loader:
    """Lifts a fence once it may, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()

    async def lift_fence(self) -> None:
        self.begun.set()
        if self.fails:
            raise MissionRejected("d: the vehicle carries another fence")
        await self.may_end.wait()


def _link(vehicle: Vehicle, loader: Loader, told: list[str]) -> MavlinkLink:
    """A link with the parts that a diversion needs."""
    link = object.__new__(MavlinkLink)
    parts = {
        "vehicle_id": "d",
        "_observer": vehicle,
        "_commander": vehicle.commander,
        "_manoeuvres": vehicle.manoeuvres,
        "_loader": loader,
        "_registration": object(),
        "_autopilot": vehicle,
        "_closed": False,
        "_one_at_a_time": asyncio.Lock(),
        "_loaded": None,
        "_diversions": set(),
        "_clock": SimpleNamespace(now=lambda: None),
        "_on_event": lambda event: told.append(event.text),
    }
    for name, part in parts.items():
        setattr(link, name, part)
    return link


FAR = Position(HOME.lat + 0.02, HOME.lon, HOME.alt_amsl_m)


async def test_a_hold_while_the_fence_is_lifted_ends_the_diversion() -> None:
    vehicle, loader, told = Vehicle(), Loader(), list[str]()
    vehicle.speed_mps = 0.0
    async with vehicle.flying():
        diverting = asyncio.create_task(_link(vehicle, loader, told).divert(FAR, alt_amsl_m=HOME.alt_amsl_m))
        await loader.begun.wait()
        await vehicle.commander.hold()
        loader.may_end.set()
        with pytest.raises(Refused, match="interrupted"):
            await diverting

    assert vehicle.sent == [modes.HOLD]


async def test_a_fence_that_is_not_lifted_does_not_keep_it_from_setting_out() -> None:
    vehicle, told = Vehicle(), list[str]()
    link = _link(vehicle, Loader(fails=True), told)
    async with vehicle.flying():
        await link.divert(FAR, alt_amsl_m=HOME.alt_amsl_m)
        vehicle.commander.interrupt()
        await asyncio.gather(*link._diversions)

    assert vehicle.sent == [DO_REPOSITION]
    assert "was not lifted" in told[0]

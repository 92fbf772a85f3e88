"""The light autopilot does what PX4 does: acknowledgements, modes, progress and times, side by side.

Both get the same commands and the same missions at the same time; what they did is printed as a table. Where they
differ, it is the light autopilot that is wrong.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
from pymavlink.dialects.v20 import common as m

from hardware.mavlink.translate import Item as SentItem
from hardware.mavlink.translate import translate
from routing.geo import LocalFrame, Position
from simulators.missions import Item
from tests.drone_pilot import HOME, NAN, action, at, delivery, placed
from tests.either import LIGHT, MULTIROTOR, PX4, VTOL, Drone, drone
from tests.mountain_trip import mountain_mission, mountain_trip

PARAMETERS = {"NAV_DLL_ACT": 0, "MPC_XY_CRUISE": 5.0, "MPC_XY_VEL_MAX": 12.0}
WITHIN = 0.15
TRANSITION_S = 6.0
"""More on a leg that begins with a transition: PX4's VTOL flies a loop first, 45 to 49 s for the same 400 m."""
UNHEARD = 0.05
"""Share of the items of a mission, or one item, that may be current for less than a lost datagram."""
SHORT_S = 4.0
"""Legs are also alike when they differ by so little: both tell their state once a second."""

pytestmark = pytest.mark.timeout(420)

Sent = Callable[[Drone], Any]


@asynccontextmanager
async def both(
    work: Path, *, type_id: str = MULTIROTOR, params: Mapping[str, float] = PARAMETERS, home: Position = HOME
) -> AsyncIterator[tuple[Drone, Drone]]:
    """Run a light autopilot and a PX4."""
    async with AsyncExitStack() as light_ends, AsyncExitStack() as real_ends:
        light, real = await asyncio.gather(
            light_ends.enter_async_context(drone(LIGHT, work, type_id=type_id, params=params, home=home)),
            real_ends.enter_async_context(drone(PX4, work, type_id=type_id, params=params, home=home)),
        )
        yield light, real


def command(number: int, *params: float) -> Sent:
    return lambda drone: drone.long(number, *params)


def reposition(params: Sequence[float], up_m: float, frame: int = 0) -> Sent:
    place = at(30, 30, up_m)
    if frame == m.MAV_FRAME_GLOBAL_RELATIVE_ALT_INT:
        place = Position(place.lat, place.lon, up_m)
    return lambda drone: drone.at_place(m.MAV_CMD_DO_REPOSITION, params, place, frame)


def mode(sub_mode: int, main: int = 4) -> Sent:
    return command(m.MAV_CMD_DO_SET_MODE, 1, main, sub_mode)


HOLD, MISSION, RETURN = mode(3), mode(4), mode(5)
TO_HERE = (-1, 1, 0, NAN)

ANYWHERE: dict[str, Sent] = {
    "hold": HOLD,
    "change speed": command(178, 1, 6, -1),
    "change speed, reset": command(178, 1, -2, -1),
    "set mission current": command(224, 0),
    "pause": command(193, 0),
    "winch": command(m.MAV_CMD_DO_WINCH, 1, 1, 5, 0.5),
    "gripper, release": command(211, 1, 0),
    "gripper, grab": command(211, 1, 1),
    "gripper, nonsense": command(211, 1, 7),
    "transition of a multirotor": command(3000, 4),
    "VTOL landing": command(85, 0, 0, 0, 0, HOME.lat, HOME.lon, 100),
    "fence on": command(207, 1),
    "jump": command(177, 0, 1),
    "parachute": command(208, 0),
    "GPS failure": command(420, 10, 1, 0),
    "motor mended": command(420, 101, 0, 0),
    "battery mended": command(420, 100, 0, 0),
    "servo": command(183, 1, 1500),
    "relay": command(181, 1, 1),
    "region of interest": command(195, 0, 0, 0, 0, 35, 135, 100),
    "turn": command(115, 90, 0, 1, 0),
    "tell version": command(512, 148),
    "tell home": command(512, 242),
    "tell nonsense": command(512, 9999),
    "home position": command(410),
    "interval": command(511, 33, 200_000),
    "interval of nonsense": command(511, 9999, 100_000),
    "unknown": command(9999),
    "user's own": command(31010),
    "payload place": command(94, 0),
    "arm, nonsense": command(400, 3),
    "circle for ever": command(17),
    "mission start at an item that is not there": command(300, 99),
    "reposition nowhere": command(192, -1, 1, 0, NAN, NAN, NAN, NAN),
    "reposition": reposition(TO_HERE, 30),
    "reposition without its flag": reposition((-1, 0, 0, NAN), 30),
    "reposition over home, slowly": reposition((3, 1, 0, NAN), 20, m.MAV_FRAME_GLOBAL_RELATIVE_ALT_INT),
    "another altitude by reposition": command(192, -1, 1, 0, NAN, NAN, NAN, HOME.alt_amsl_m + 22),
    "another altitude": command(186, HOME.alt_amsl_m + 25, 0),
    "a mode that is none": mode(3, main=77),
}
ON_THE_GROUND: dict[str, Sent] = {
    "mission mode without a mission": MISSION,
    "hold instead": HOLD,
    "return": command(20),
    "arm in return": command(400, 1),
    "hold after return": HOLD,
    "land": command(21, 0, 0, 0, NAN),
    "hold after land": HOLD,
    "disarm": command(400, 0),
    "mission start without a mission": command(300, 0, 0),
}
WITH_A_MISSION: dict[str, Sent] = {
    "arm": command(400, 1),
    "arm again": command(400, 1),
    "disarm": command(400, 0),
    "mission start": command(300, 0, 0),
}
IN_THE_AIR: dict[str, Sent] = {
    "by hand": mode(0, main=3),
    "by hand, altitude only": mode(0, main=2),
    "by hand, attitude": mode(0, main=7),
    "from outside": mode(0, main=6),
    "arm again": command(400, 1),
    "disarm": command(400, 0),
    "restart": command(246, 1),
    "mission start": command(300, 0, 0),
    "another altitude amid a mission": command(186, HOME.alt_amsl_m + 30, 0),
    "mission": MISSION,
    "return": command(20),
    "mission instead of return": MISSION,
    "hold instead of mission": HOLD,
    "land": command(21, 0, 0, 0, NAN),
    "another altitude amid a landing": command(186, HOME.alt_amsl_m + 30, 0),
    "hold instead of land": HOLD,
    "take-off to above": command(22, 0, 0, 0, NAN, NAN, NAN, HOME.alt_amsl_m + 90),
    "hold instead of take-off": HOLD,
    "take-off to below": command(22, 0, 0, 0, NAN, NAN, NAN, HOME.alt_amsl_m + 10),
}

Answers = dict[tuple[str, str], tuple[tuple[int, ...], str, bool]]


async def _ask(drone: Drone, where: str, commands: Mapping[str, Sent], answers: Answers) -> None:
    """Send the commands one after another; one without any answer once more, since datagrams get lost."""
    for name, sent in commands.items():
        got = await drone.answers(sent(drone)) or await drone.answers(sent(drone))
        answers[where, name] = (tuple(got), drone.mode, drone.armed)


async def _all_answers(drone: Drone) -> Answers:
    answers: Answers = {}
    await _ask(drone, "on the ground", ANYWHERE | ON_THE_GROUND, answers)
    await drone.upload(delivery(300))
    await drone.passing(2.0)
    await _ask(drone, "with a mission", WITH_A_MISSION, answers)
    await drone.until(lambda: drone.at[2] > 27, 120, "height")
    await _ask(drone, "in the air", ANYWHERE | IN_THE_AIR, answers)
    return answers


async def test_same_acknowledgements_and_modes(tmp_path: Path) -> None:
    async with both(tmp_path) as (light, real):
        light_says, real_says = await asyncio.gather(_all_answers(light), _all_answers(real))

    print(f"\n{'':14} {'command':44} {'PX4':32} light")
    for where, name in real_says:
        his, ours = real_says[where, name], light_says[where, name]
        print(f"{where:14} {name:44} {his!s:32} {'the same' if his == ours else ours}")
    assert light_says == real_says


@dataclass(frozen=True, slots=True)
class Flown:
    """How a mission was flown: modes, items that became current, items reached, states of the ground detector, and
    seconds from the start at which the items became current and it disarmed."""

    modes: tuple[str, ...]
    items: tuple[int, ...]
    reached: frozenset[int]
    landed_states: tuple[int, ...]
    at_s: tuple[float, ...]
    disarmed_s: float


async def _fly(drone: Drone, items: Sequence[Item], *, told: Mapping[int, int]) -> Flown:
    """Fly a mission to its end; ``told``: while an item is current, another one is made current, 3 s later."""
    await drone.fly(items)
    begun_s = drone.modes[0][0]
    for waits_at, goes_to in told.items():
        place = _plan_m(items[waits_at])

        def waits(place: tuple[float, float] = place, waits_at: int = waits_at) -> bool:
            return drone.item == waits_at and math.dist(drone.at[:2], place) < 2.0

        await drone.until(waits, 200, "the wait")
        await drone.passing(3.0)
        while drone.item == waits_at:
            drone.station.send(m.MAVLink_mission_set_current_message(drone.station.system_id, 1, goes_to))
            await drone.passing(1.0)
    await drone.until(lambda: not drone.armed and drone.s > begun_s + 10, 300, "the end")
    items_at = [(s - begun_s, item) for s, item in drone.items]
    return Flown(
        tuple(mode for _, mode in drone.modes),
        tuple(item for _, item in items_at),
        frozenset(drone.reached),
        tuple(state for _, state in drone.states if state != m.MAV_LANDED_STATE_ON_GROUND),
        tuple(s for s, _ in items_at),
        drone.s - begun_s,
    )


def _plan_m(item: Item) -> tuple[float, float]:
    return LocalFrame(HOME).to_local(Position(item.lat, item.lon))


def _told_by_both(light: Flown, real: Flown) -> list[tuple[int, int]]:
    """Pairs of places in the two lists of items, in order: on a busy machine a datagram is lost now and then."""
    blocks = SequenceMatcher(None, real.items, light.items, autojunk=False).get_matching_blocks()
    return [(block.a + n, block.b + n) for block in blocks for n in range(block.size)]


def _assert_alike(light: Flown, real: Flown, transitions: Sequence[int]) -> None:
    """Same modes, same progress, and times within 15 % for each leg and in all; says them all first."""
    told = _told_by_both(light, real)
    ends = (*((real.items[i], real.at_s[i], light.at_s[j]) for i, j in told), (-1, real.disarmed_s, light.disarmed_s))
    print(f"\nmodes {real.modes}, reached {sorted(real.reached)}\n{'item':>8} {'PX4':>8} {'light':>8} s")
    for item, his_s, our_s in ends:
        print(f"{'landed' if item < 0 else item:>8} {his_s:8.1f} {our_s:8.1f}")
    assert (light.modes, light.landed_states) == (real.modes, real.landed_states)
    assert max(len(light.items), len(real.items)) - len(told) <= max(1, UNHEARD * len(real.items)), told
    # A repetition of MISSION_ITEM_REACHED tells an item that the first one, lost or skipped, has not.
    assert light.reached <= real.reached | {real.items[-1]}
    his_before = our_before = 0.0
    for item, his_s, our_s in ends:
        his_leg, our_leg = his_s - his_before, our_s - our_before
        slack_s = SHORT_S + (TRANSITION_S if item in transitions else 0.0)
        assert abs(our_leg - his_leg) <= max(WITHIN * his_leg, slack_s), f"the leg before item {item}"
        his_before, our_before = his_s, our_s
    assert light.disarmed_s == pytest.approx(real.disarmed_s, rel=WITHIN)


async def _same_flight(
    work: Path,
    items: Sequence[Item],
    *,
    told: Mapping[int, int] | None = None,
    type_id: str = MULTIROTOR,
    params: Mapping[str, float] = PARAMETERS,
    home: Position = HOME,
    transitions: Sequence[int] = (),
) -> Flown:
    async with both(work, type_id=type_id, params=params, home=home) as (light, real):
        ours, his = await asyncio.gather(_fly(light, items, told=told or {}), _fly(real, items, told=told or {}))
    _assert_alike(ours, his, transitions)
    return his


async def test_same_delivery_in_the_mountains(tmp_path: Path) -> None:
    """As the link uploads it, with release and all: legs, modes, progress."""
    _, _, _, pad = mountain_trip()

    def stored(item: SentItem) -> Item:
        return Item(5 if item.frame == 0 else item.frame, item.command, item.params, item.x, item.y, item.z, True)

    items = [stored(item) for item in translate(mountain_mission()).items]
    flown = await _same_flight(tmp_path, items, home=pad)

    assert flown.items[-1] == len(items) - 1


def gated() -> tuple[Item, ...]:
    """A mission with a gate at item 3: it waits there, then jumps (4) over the release (5 to 8)."""
    over, low = at(0, 120, 30), at(0, 120, 8)
    return (
        placed(22, at(0, 0, 30)),
        action(178, 1, 8, -1),
        placed(16, at(0, 60, 30)),
        placed(16, over, 15.0, 2.0),
        action(177, 9, 1000),
        placed(16, low, 0.0, 1.0),
        action(211, 1, 0),
        placed(16, low, 2.0, 1.0),
        placed(16, over),
        placed(16, at(100, 120, 30)),
        placed(16, at(0, 0, 30)),
        placed(21, HOME),
    )


@pytest.mark.parametrize("told", [{}, {3: 5}], ids=["untold it leaves the release out", "told it comes down"])
async def test_same_at_a_gate(told: dict[int, int], tmp_path: Path) -> None:
    flown = await _same_flight(tmp_path, gated(), told=told)

    assert (5 in flown.items) is bool(told)
    assert 4 not in flown.items, "a jump is never the item under way"


async def test_same_repetitions_of_a_jump(tmp_path: Path) -> None:
    there, aside = at(0, 60, 20), at(60, 60, 20)
    items = (placed(22, at(0, 0, 20)), placed(16, there), placed(16, aside), action(177, 1, 2), placed(21, HOME))

    flown = await _same_flight(tmp_path, items)

    assert flown.items == (1, 2, 1, 2, 1, 2, 4)


async def test_same_flight_on_a_wing(tmp_path: Path) -> None:
    """Take-off and transition, a release in hover between two flights on the wing, back transition and landing."""
    up, far = 60, 800
    over, low = at(0, far, up), at(0, far, 8)
    items = (
        placed(84, at(0, 0, up)),
        placed(16, at(0, 400, up)),
        placed(16, over),
        action(3000, 3),
        placed(16, over),
        placed(16, low, 2.0, 1.0),
        action(211, 1, 0),
        placed(16, low, 2.0, 1.0),
        placed(16, over),
        action(3000, 4),
        placed(16, at(300, far, up)),
        placed(16, at(300, 0, up)),
        placed(85, HOME),
    )

    await _same_flight(
        tmp_path, items, type_id=VTOL, params={**PARAMETERS, "FW_AIRSPD_TRIM": 10.0}, transitions=(2, 10)
    )

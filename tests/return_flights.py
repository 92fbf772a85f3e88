"""One delivery, broken off at different moments, and how PX4 1.16.1 came home: what its RTL_TYPEs really do.

The mission goes out to a drop 460 m away and home 25 m higher, in 13 items: 0 take-off, 1 speed, 2 and 3 on the way,
4 over the drop, 5 down, 6 gripper, 7 a pause there, 8 up, 9 and 10 on the way, 11 over home, 12 landing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hardware.mavlink.translate import Item as SentItem
from hardware.mavlink.translate import translate
from hardware.mission import Mission, Step, StepKind
from routing.geo import LocalFrame, Position
from simulators.missions import Item

Place = tuple[float, float, float]
"""East, north and height over home in metres."""

DROP_M = 450.0


def delivery_at(home: Position) -> Mission:
    """The mission that was broken off."""
    frame = LocalFrame(home)

    def at(east_m: float, north_m: float, up_m: float) -> Position:
        return frame.to_global(east_m, north_m, home.alt_amsl_m + up_m)

    move = StepKind.MOVE
    steps = (
        Step(StepKind.TAKEOFF, at(0, 0, 60)),
        Step(move, at(150, 0, 60)),
        Step(move, at(300, 100, 75)),
        Step(move, at(DROP_M, 100, 75)),
        Step(StepKind.RELEASE, at(DROP_M, 100, 6), order_ids=("o",), dwell_s=5.0),
        Step(move, at(DROP_M, 100, 100)),
        Step(move, at(300, 100, 100)),
        Step(move, at(150, 0, 85)),
        Step(move, at(0, 0, 85)),
        Step(StepKind.LAND, at(0, 0, 0)),
    )
    return Mission("m-1", steps, 10.0, "region")


def items_at(home: Position, *, lands: bool = True) -> tuple[Item, ...]:
    """The mission as the simulated autopilot stores it; ``lands``: with its landing item."""

    def stored(item: SentItem) -> Item:
        return Item(5 if item.frame == 0 else item.frame, item.command, item.params, item.x, item.y, item.z, True)

    items = tuple(stored(item) for item in translate(delivery_at(home)).items)
    return items if lands else items[:-1]


MOMENTS: dict[str, Callable[[Place, int], bool]] = {
    "take-off": lambda at, item: at[2] > 25,
    "outbound": lambda at, item: at[0] > 220,
    "drop": lambda at, item: at[0] > DROP_M - 5 and at[2] < 6.8,
    "climbing": lambda at, item: item >= 8 and at[2] > 40,
    "homebound": lambda at, item: item >= 9 and at[0] < 380,
    "landing": lambda at, item: item >= 12 and at[2] < 50,
}


@dataclass(frozen=True, slots=True)
class Returned:
    """How PX4 came home: the mission's current items from then on (``items``), seconds from RTL until it disarmed,
    its greatest height, and whether it came down to the drop once more. It landed within 2 m of home each time.

    ``held``: it was in HOLD before; ``lands``: the mission had its landing item.
    """

    rtl_type: int
    moment: str
    items: tuple[int, ...]
    seconds: float
    top_m: float
    down_at_drop: bool = False
    held: bool = False
    lands: bool = True
    parameters: dict[str, float] = field(default_factory=dict)


AHEAD = (8, 9, 10, 11, 12)

MEASURED = (
    # 2: on along the mission, down at the drop, nothing released; without a landing back, through the drop again.
    Returned(2, "outbound", (4, 5, *AHEAD), 262, 100, down_at_drop=True),
    Returned(2, "outbound", (4, 5, *AHEAD), 260, 100, down_at_drop=True, held=True),
    Returned(2, "drop", AHEAD, 178, 100),
    Returned(2, "climbing", AHEAD[1:], 170, 100),
    Returned(2, "homebound", AHEAD[2:], 131, 100),
    Returned(2, "landing", (), 56, 50),
    Returned(2, "take-off", (2, 3, 4, 5, *AHEAD), 384, 100, down_at_drop=True),
    Returned(2, "outbound", (2, 0), 102, 68, lands=False),
    Returned(2, "homebound", (8, 7, 4, 3, 2, 0), 246, 100, down_at_drop=True, lands=False),
    # 4: the same where fewer items lie ahead, else back to over the take-off.
    Returned(4, "take-off", (), 76, 60),
    Returned(4, "outbound", (2, 0), 102, 68),
    Returned(4, "drop", (4, 3, 2, 0), 149, 75),
    Returned(4, "climbing", AHEAD[1:], 166, 100),
    Returned(4, "homebound", AHEAD[2:], 133, 100),
    # 0, 3 and 5 (without rally points): straight home at MPC_XY_CRUISE, never lower than it is, at least 30 m.
    Returned(0, "take-off", (), 35, 28),
    Returned(0, "outbound", (), 128, 68),
    Returned(0, "outbound", (), 99, 68, parameters={"MPC_XY_CRUISE": 10.0}),
    Returned(0, "drop", (), 147, 30),
    Returned(0, "homebound", (), 172, 100),
    Returned(0, "landing", (), 54, 50),
    Returned(3, "outbound", (), 125, 68),
    Returned(3, "homebound", (), 170, 100),
    Returned(5, "outbound", (), 127, 68),
    # 1: straight to the landing, at the mission's speed.
    Returned(1, "outbound", (12,), 103, 68),
    Returned(1, "homebound", (12,), 140, 100),
)

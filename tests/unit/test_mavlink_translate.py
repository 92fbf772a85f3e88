"""Missions as mission items: what is flown, that it is the same each time, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.errors import MissionRejected
from hardware.mavlink import translate as t
from hardware.mavlink.translate import Item, difference, mission_mark, translate
from hardware.mission import Mission, Step, StepKind
from routing.geo import LocalFrame, Position
from tests.mavlink_kit import HOME, delivery, gated

FRAME = LocalFrame(HOME)


def at(east_m: float, north_m: float, alt_amsl_m: float) -> Position:
    return FRAME.to_global(east_m, north_m, alt_amsl_m)


def mission(*middle: Step, mission_id: str = "m") -> Mission:
    takeoff, land = Step(StepKind.TAKEOFF, at(0, 0, 140)), Step(StepKind.LAND, at(0, 0, 100))
    return Mission(mission_id, (takeoff, *middle, land), 10.0, "region")


def release(east_m: float, alt_amsl_m: float = 110.0) -> Step:
    return Step(StepKind.RELEASE, at(east_m, 0, alt_amsl_m), order_ids=("o",), dwell_s=4.0)


def move(east_m: float, alt_amsl_m: float = 140.0) -> Step:
    return Step(StepKind.MOVE, at(east_m, 0, alt_amsl_m))


def commands(plan: t.ItemPlan) -> list[int]:
    return [item.command for item in plan.items]


def test_a_delivery_begins_with_takeoff_lets_go_low_and_ends_with_landing() -> None:
    plan = translate(delivery())

    assert commands(plan) == [t.NAV_TAKEOFF, t.DO_CHANGE_SPEED] + [t.NAV_WAYPOINT] * 2 + [t.DO_GRIPPER] + [
        t.NAV_WAYPOINT
    ] * 3 + [t.NAV_LAND]
    assert plan.step_of == (0, 0, 1, 2, 2, 2, 3, 4, 5)
    assert plan.release_items == {2: 4}
    assert plan.items[3].z == plan.items[5].z == 106.0
    assert plan.items[3].params[0] == 2.0


def test_altitudes_are_amsl_in_a_frame_that_says_so() -> None:
    plan = translate(delivery())

    placed = [item for item in plan.items if item.command in (t.NAV_TAKEOFF, t.NAV_WAYPOINT, t.NAV_LAND)]
    assert {item.frame for item in placed} == {t.FRAME_GLOBAL}
    assert placed[0].z == 125.0
    assert placed[-1].z == 100.0


def test_the_speed_is_set_over_ground() -> None:
    plan = translate(replace(delivery(), speed_mps=7.5))

    assert plan.items[1].params[:3] == (1.0, 7.5, -1.0)


@given(st.lists(st.tuples(st.integers(10, 100).map(lambda tens: tens * 10.0), st.booleans()), min_size=1, max_size=6))
def test_a_drone_never_crosses_to_or_from_a_release_below_the_height_around_it(legs: list[tuple[float, bool]]) -> None:
    steps = [release(east) if low else move(east) for east, low in legs]

    items = [item for item in translate(mission(*steps)).items if item.frame == t.FRAME_GLOBAL]

    # The last one is the landing: PX4 itself flies above the place first, at the height that it has.
    for here, there in pairwise(items[:-1]):
        if (here.x, here.y) != (there.x, there.y):
            assert min(here.z, there.z) >= 140.0


def test_two_releases_at_one_place_need_no_way_between() -> None:
    plan = translate(mission(move(80), release(80), release(80), move(80)))

    assert list(plan.release_items) == [2, 3]
    assert len({(item.x, item.y) for item in plan.items[2:-1] if item.frame == t.FRAME_GLOBAL}) == 1


def test_every_item_belongs_to_the_step_it_comes_from() -> None:
    plan = translate(mission(move(50), release(90), move(200), release(240)))

    assert list(plan.step_of) == sorted(plan.step_of)
    assert set(plan.step_of) == set(range(len(plan.mission.steps)))
    assert all(plan.step_of[item] == step for step, item in plan.release_items.items())


def test_translation_is_the_same_each_time() -> None:
    assert difference(translate(delivery()).items, translate(delivery()).items) is None


def test_two_missions_over_the_same_points_are_told_apart_by_their_mark() -> None:
    found = difference(translate(delivery("m-1")).items, translate(delivery("m-2")).items)

    assert found is not None
    assert found.startswith("item 1:")


@given(st.text(max_size=60))
def test_a_mark_survives_32_bit_floats(mission_id: str) -> None:
    for number in mission_mark(mission_id):
        assert int(np.float32(number)) == number


@given(st.floats(-60, 60), st.floats(-179, 179), st.floats(-100, 4000))
def test_a_mission_read_back_from_px4_is_recognised(lat: float, lon: float, alt_amsl_m: float) -> None:
    """PX4 keeps degrees as doubles and the rest as 32-bit floats, and answers in frame GLOBAL_INT."""
    home = Position(lat, lon, alt_amsl_m)
    plan = translate(delivery(home=home))

    def kept(item: Item) -> Item:
        placed = item.frame == t.FRAME_GLOBAL
        p1, p2, p3, p4 = (float(np.float32(p)) for p in item.params)
        x, y = (round(item.x * 1e-7 * 1e7), round(item.y * 1e-7 * 1e7)) if placed else (item.x, item.y)
        return Item(item.command, 5 if placed else item.frame, (p1, p2, p3, p4), x, y, float(np.float32(item.z)))

    assert difference(plan.items, [kept(item) for item in plan.items]) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda item: replace(item, command=t.NAV_LAND),
        lambda item: replace(item, frame=3),
        lambda item: replace(item, x=350_000_100),
        lambda item: replace(item, z=125.1),
        lambda item: replace(item, params=(0.0, 0.0, 0.0, 90.0)),
        lambda item: replace(item, params=(1.0, 0.0, 0.0, math.nan)),
    ],
)
def test_a_difference_is_named(change: Callable[[Item], Item]) -> None:
    items = translate(delivery()).items

    found = difference(items, [change(items[0]), *items[1:]])

    assert found is not None
    assert found.startswith("item 0:")


def test_a_mission_of_another_length_is_another_mission() -> None:
    items = translate(delivery()).items

    assert difference(items, items[:-1]) == f"{len(items) - 1} items instead of {len(items)}"


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (Mission("m", (), 10, "r"), "begins with a take-off"),
        (replace(delivery(), steps=delivery().steps[1:]), "begins with a take-off"),
        (replace(delivery(), steps=delivery().steps[:-1]), "begins with a take-off"),
        (mission(Step(StepKind.LAND, at(50, 0, 100))), "step 1: land inside"),
        (mission(Step(StepKind.MOVE, Position(91, 0, 1))), "step 1: there is no such position"),
        (mission(Step(StepKind.MOVE, Position(35, math.nan, 1))), "step 1: there is no such position"),
        (mission(Step(StepKind.MOVE, Position(35, 135, math.inf))), "step 1: there is no such position"),
        (mission(Step(StepKind.MOVE, HOME, dwell_s=-1)), "step 1: dwell"),
        (mission(Step(StepKind.MOVE, HOME, dwell_s=math.nan)), "step 1: dwell"),
        (mission(replace(release(50), gate_s=-1)), "step 1: gate"),
        (mission(replace(release(50), gate_s=math.nan)), "step 1: gate"),
        (mission(replace(move(50), speed_mps=0)), "step 1: speed"),
        (mission(replace(move(50), speed_mps=math.nan)), "step 1: speed"),
        (replace(delivery(), speed_mps=0), "speed"),
        (replace(delivery(), speed_mps=math.nan), "speed"),
        (mission(*[move(50)] * 600), "at most 500"),
    ],
)
def test_a_mission_that_cannot_be_flown_is_refused_by_name(bad: Mission, word: str) -> None:
    with pytest.raises(MissionRejected, match=word):
        translate(bad)


ways = st.lists(
    st.tuples(st.integers(10, 100).map(lambda tens: tens * 10.0), st.sampled_from(["move", "release", "gate"])),
    min_size=1,
    max_size=6,
)


def steps_of(legs: list[tuple[float, str]]) -> list[Step]:
    return [
        move(east) if what == "move" else replace(release(east), gate_s=60.0 if what == "gate" else 0.0)
        for east, what in legs
    ]


def untold(plan: t.ItemPlan) -> list[Item]:
    """The items that a vehicle flies to whom nobody tells anything: it takes every jump."""
    flown, index = [], 0
    while index < len(plan.items):
        item = plan.items[index]
        if item.command == t.DO_JUMP:
            index = int(item.params[0])
        else:
            flown.append(item)
            index += 1
    return flown


@settings(max_examples=40, deadline=None)
@given(ways, st.booleans(), st.booleans())
def test_untold_a_vehicle_comes_down_at_no_gate_and_flies_everything_else(
    legs: list[tuple[float, str]], vtol: bool, winch: bool
) -> None:
    plan = translate(replace(mission(*steps_of(legs)), vtol=vtol, winch=winch))

    flown = untold(plan)

    low = [item for item in flown if item.frame == t.FRAME_GLOBAL and item.z < 140.0]
    drops = {
        round(plan.mission.steps[step].position.lon * 1e7) for step in plan.release_items if step not in plan.gates
    }
    assert {item.y for item in low[:-1]} <= drops
    assert flown[-1] is plan.items[-1]
    assert len(plan.gates) == sum(what == "gate" or (vtol and what == "release") for _, what in legs)


@settings(max_examples=40, deadline=None)
@given(ways, st.booleans(), st.booleans())
def test_a_gate_is_waited_at_above_the_drop_and_leads_down_or_past_all_of_the_release(
    legs: list[tuple[float, str]], vtol: bool, winch: bool
) -> None:
    plan = translate(replace(mission(*steps_of(legs)), vtol=vtol, winch=winch))

    for step, gate in plan.gates.items():
        drop, hover = plan.mission.steps[step], plan.items[gate.hover]
        assert hover.params[0] == (drop.gate_s or t.WING_GATE_S)
        assert hover.z >= 140.0
        assert plan.items[gate.hover + 1].command == t.DO_JUMP
        assert plan.items[gate.down].z == drop.position.alt_amsl_m
        assert gate.down <= plan.release_items[step] < gate.after
        assert {plan.step_of[i] for i in range(gate.hover, gate.after)} == {step}
        placed = [item for item in plan.items[gate.down : gate.after] if item.frame == t.FRAME_GLOBAL]
        assert {(item.x, item.y) for item in placed} == {(hover.x, hover.y)}
        after = next(item for item in plan.items[gate.after :] if item.frame == t.FRAME_GLOBAL)
        # The next thing may be to come down all the same: to land, or for a release of its own without a gate.
        comes_down = after is plan.items[-1] or plan.step_of[gate.after] in set(plan.release_items) - set(plan.gates)
        assert after.z >= 140.0 or comes_down


def test_a_mission_without_gates_has_the_same_items_as_ever() -> None:
    plan = translate(gated(delivery(), 0.0))

    assert difference(plan.items, translate(delivery()).items) is None
    assert plan.gates == {}


def test_a_speed_is_set_where_it_changes_and_only_there() -> None:
    slow, same = replace(move(50), speed_mps=5.0), replace(move(80), speed_mps=5.0)
    plan = translate(mission(slow, same, replace(move(120), speed_mps=10.0)))

    speeds = [(i, item.params[1]) for i, item in enumerate(plan.items) if item.command == t.DO_CHANGE_SPEED]

    assert speeds == [(1, 10.0), (2, 5.0), (5, 10.0)]
    assert plan.step_of[2] == 1


def flown_on_wing(plan: t.ItemPlan) -> list[bool]:
    """Whether each item is flown to on the wing, as the items themselves say."""
    on_wing, found = False, []
    for item in plan.items:
        if item.command == t.DO_VTOL_TRANSITION:
            on_wing = item.params[0] == t.WING
        found.append(on_wing)
        on_wing = on_wing or item.command == t.NAV_VTOL_TAKEOFF
    return found


@settings(max_examples=40, deadline=None)
@given(ways, st.booleans())
def test_a_vtol_is_on_its_wing_between_and_on_its_rotors_wherever_it_is_low(
    legs: list[tuple[float, str]], winch: bool
) -> None:
    plan = translate(replace(mission(*steps_of(legs)), vtol=True, winch=winch))

    wing = flown_on_wing(plan)

    assert (plan.items[0].command, plan.items[-1].command) == (t.NAV_VTOL_TAKEOFF, t.NAV_VTOL_LAND)
    for index, item in enumerate(plan.items[:-1]):
        if item.frame == t.FRAME_GLOBAL and item.z < 140.0:
            assert not wing[index]
    last = None
    for index, item in enumerate(plan.items):
        if item.command == t.DO_VTOL_TRANSITION and item.params[0] == t.WING:
            following = next(each for each in plan.items[index:] if each.frame == t.FRAME_GLOBAL)
            assert last is not None
            assert (following.x, following.y) != (last.x, last.y), "PX4 turns towards it first"
        if item.frame == t.FRAME_GLOBAL:
            last = item


def test_a_way_too_short_for_the_wing_is_flown_on_the_rotors() -> None:
    hop = replace(move(200), speed_mps=10.0)
    takeoff, land = Step(StepKind.TAKEOFF, at(0, 0, 140), speed_mps=10.0), Step(StepKind.LAND, at(200, 0, 100))
    plan = translate(replace(Mission("m", (takeoff, hop, land), 25.0, "region"), vtol=True))

    assert commands(plan) == [t.NAV_TAKEOFF, t.DO_CHANGE_SPEED, t.NAV_WAYPOINT, t.NAV_VTOL_LAND]
    assert plan.items[1].params[:2] == (1.0, 10.0)


def test_a_winch_goes_down_waits_and_comes_up_before_the_drone_climbs() -> None:
    plan = translate(replace(delivery(), winch=True))

    winch = [(i, item) for i, item in enumerate(plan.items) if item.command == t.DO_WINCH]
    (down, lowered), (up, raised) = winch
    assert (lowered.params[2], raised.params[2]) == (t.WINCH_LINE_M, -t.WINCH_LINE_M)
    assert plan.release_items == {2: up}
    assert t.DO_GRIPPER not in commands(plan)
    turning_s = t.WINCH_LINE_M / t.WINCH_MPS
    assert plan.items[down + 1].params[0] >= turning_s
    assert plan.items[up + 1].params[0] >= turning_s
    assert plan.items[down + 1].z == plan.items[up + 1].z == 106.0

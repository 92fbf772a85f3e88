"""Missions as mission items: what is flown, that it is the same each time, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import MissionRejected
from hardware.mavlink import translate as t
from hardware.mavlink.translate import Item, difference, mission_mark, translate
from hardware.mission import Mission, Step, StepKind
from routing.geo import LocalFrame, Position
from tests.mavlink_kit import HOME, delivery

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
        (replace(delivery(), speed_mps=0), "speed"),
        (replace(delivery(), speed_mps=math.nan), "speed"),
        (mission(*[move(50)] * 600), "at most 500"),
    ],
)
def test_a_mission_that_cannot_be_flown_is_refused_by_name(bad: Mission, word: str) -> None:
    with pytest.raises(MissionRejected, match=word):
        translate(bad)

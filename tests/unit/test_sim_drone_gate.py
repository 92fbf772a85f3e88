"""Jumps, gates and winch of the simulated autopilot, as PX4 has them (``tests/sitl/test_like_px4.py``)."""

from __future__ import annotations

import pytest

from simulators.missions import Item
from simulators.modes import Mode
from tests.drone_pilot import HOME, Pilot, action, at, placed

JUMP, WINCH = 177, 42600


def started(items: tuple[Item, ...], **params: float) -> Pilot:
    """A drone on a mission, on its way up."""
    drone = Pilot(dict(params)).run(6.0)
    drone.upload(items)
    drone.run(1.0)
    drone.pilot.set_mode(Mode.MISSION)
    assert drone.pilot.arm()
    return drone


def reached(drone: Pilot) -> list[int]:
    return [event["seq"] for event in drone.named("reached")]


def gated(hold_s: float = 20.0) -> tuple[Item, ...]:
    """It hovers at item 2; item 3 jumps over the release (4 to 7)."""
    over, low = at(0, 60, 30), at(0, 60, 8)
    return (
        placed(22, at(0, 0, 30)),
        action(178, 1, 8, -1),
        placed(16, over, hold_s, 2.0),
        action(JUMP, 8, 1000),
        placed(16, low, 0.0, 1.0),
        action(211, 1, 0),
        placed(16, low, 2.0, 1.0),
        placed(16, over),
        placed(16, at(0, 0, 30)),
        placed(21, HOME),
    )


def test_untold_it_waits_at_a_gate_and_leaves_the_release_out() -> None:
    drone = started(gated())
    drone.until(lambda: drone.pilot.mission.current == 8, 90)

    assert reached(drone) == [0, 1, 2]
    drone.until(lambda: bool(drone.named("landed")), 120)
    assert drone.named("released") == []
    assert drone.body.payload_kg == pytest.approx(0.8)


def test_told_it_comes_down_from_the_gate_and_releases() -> None:
    drone = started(gated(hold_s=600.0))
    drone.until(lambda: drone.pilot.mission.current == 2 and drone.north_m > 59, 90)
    drone.run(5.0)
    assert drone.pilot.mission.set_current(4)
    drone.until(lambda: bool(drone.named("landed")), 200)

    assert [event["seq"] for event in drone.named("released")] == [5]
    assert drone.named("released")[0]["alt_m"] == pytest.approx(HOME.alt_amsl_m + 8, abs=1.0)


def test_a_jump_is_taken_as_often_as_it_says_over_a_hold_and_again_on_the_next_flight() -> None:
    there, aside = at(0, 30, 20), at(30, 30, 20)
    items = (placed(22, at(0, 0, 20)), placed(16, there), placed(16, aside), action(JUMP, 1, 2), placed(21, HOME))
    drone = started(items)
    drone.until(lambda: reached(drone) == [0, 1, 2], 90)
    drone.pilot.set_mode(Mode.LOITER)
    drone.run(3.0)
    drone.pilot.set_mode(Mode.MISSION)
    drone.until(lambda: not drone.pilot.armed, 200)
    once = [0, 1, 2, 1, 2, 1, 2]
    assert reached(drone)[:-1] == once

    drone.events.clear()
    drone.run(8.0)
    drone.pilot.set_mode(Mode.MISSION)
    assert drone.pilot.arm()
    drone.until(lambda: not drone.pilot.armed, 200)
    assert reached(drone)[:-1] == once


def test_a_jump_made_the_current_item_is_hovered_at_for_ever() -> None:
    drone = started(gated(hold_s=600.0))
    drone.until(lambda: drone.pilot.mission.current == 2 and drone.north_m > 59, 90)
    drone.pilot.mission.set_current(3)
    drone.run(60.0)
    assert (drone.pilot.mission.current, drone.pilot.mode) == (3, Mode.MISSION)


def test_a_ring_of_jumps_ends() -> None:
    items = (placed(22, at(0, 0, 20)), action(JUMP, 2, 500), action(JUMP, 1, 500), placed(21, HOME))
    drone = started(items)
    drone.until(lambda: drone.pilot.mission.current != 0, 60)
    drone.run(5.0)
    assert drone.pilot.mode is Mode.MISSION


def test_a_return_along_the_mission_leaves_out_what_its_jump_leaves_out() -> None:
    drone = started(gated(), RTL_TYPE=2)
    drone.until(lambda: drone.north_m > 20, 60)
    drone.pilot.set_mode(Mode.RTL)
    heights = []
    while drone.pilot.mission.current < 8:
        drone.run(0.5)
        heights.append(drone.height_m)
        assert len(heights) < 200
    assert min(heights) > 25


def winched(line_m: float) -> tuple[Item, ...]:
    low = at(0, 40, 6)
    return (
        placed(22, at(0, 0, 20)),
        placed(16, at(0, 40, 20)),
        placed(16, low, 0.0, 1.0),
        action(WINCH, 1, 1, line_m, 0.5),
        placed(16, low, line_m / 0.5 + 1, 1.0),
        action(WINCH, 1, 1, -line_m, 0.5),
        placed(16, low, line_m / 0.5 + 1, 1.0),
        placed(16, at(0, 0, 20)),
        placed(21, HOME),
    )


def test_a_winch_lays_the_parcel_down_when_its_line_is_long_enough() -> None:
    drone = started(winched(7.5))
    drone.until(lambda: bool(drone.named("landed")), 200)
    assert [event["seq"] for event in drone.named("released")] == [3]
    assert drone.pilot.winch.out_m == 0.0


def test_a_parcel_on_too_short_a_line_comes_up_again() -> None:
    drone = started(winched(4.0))
    drone.until(lambda: bool(drone.named("landed")), 200)
    assert drone.named("released") == []
    assert drone.body.payload_kg == pytest.approx(0.8)

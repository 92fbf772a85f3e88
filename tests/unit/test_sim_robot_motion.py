"""How the simulated robot moves, and what that costs."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from hardware.profiles import load_profile
from simulators.robot_motion import Battery, Drive, Localisation, Target, wrap

PROFILE = load_profile("sidewalk_robot")
DT = 0.1


def _drive() -> Drive:
    return Drive(PROFILE, x=0.0, y=0.0, theta=0.0)


def _target(x: float, y: float, *, stop: bool = False, speed: float = 9.0, theta: float | None = None) -> Target:
    return Target(x, y, speed, stop, theta=theta)


def _run(drive: Drive, *, go: bool = True, steps: int = 5_000) -> list[tuple[float, float, float, int]]:
    """Steps until it stands after having moved: position, speed and nodes reached after each one."""
    track = []
    for _ in range(steps):
        reached = drive.step(DT, go=go)
        track.append((drive.x, drive.y, drive.speed_mps, reached))
        if drive.standing and len(track) > 1:
            break
    return track


def test_it_stops_exactly_at_the_end_of_its_way_without_ever_braking_harder_than_the_profile() -> None:
    drive = _drive()
    drive.plan([_target(20.0, 0.0)])

    track = _run(drive)

    assert (drive.x, drive.y) == (20.0, 0.0)
    assert sum(reached for *_, reached in track) == 1
    speeds = [0.0, *(speed for _, _, speed, _ in track)]
    assert max(speeds) == pytest.approx(PROFILE.cruise_speed_mps)
    changes = [b - a for a, b in pairwise(speeds)]
    assert max(changes) <= PROFILE.acceleration_mps2 * DT + 1e-9
    # The last step may take away what is left of less than a centimetre.
    assert min(changes[:-1]) >= -1.2 * PROFILE.acceleration_mps2 * DT


def test_a_straight_way_of_many_nodes_takes_as_long_as_one_of_two() -> None:
    one, many = _drive(), _drive()
    one.plan([_target(30.0, 0.0)])
    many.plan([_target(float(x), 0.0) for x in range(1, 31)])

    single, split = _run(one), _run(many)

    assert len(split) == pytest.approx(len(single), abs=2)
    assert sum(reached for *_, reached in split) == 30


def test_a_sharp_corner_is_turned_on_the_spot() -> None:
    drive = _drive()
    drive.plan([_target(10.0, 0.0), _target(10.0, 10.0)])

    corner = None
    for _ in range(1_000):
        if drive.step(DT, go=True) and corner is None:
            corner = (drive.x, drive.y, drive.speed_mps)
        if drive.x > 9.99:
            assert drive.x == pytest.approx(10.0, abs=0.02), "it must not cut or overshoot the corner"

    assert corner == (10.0, 0.0, 0.0)
    assert (drive.x, drive.y) == (10.0, 10.0)
    assert drive.theta == pytest.approx(math.pi / 2, abs=0.05)


def test_a_slower_edge_is_entered_at_its_speed_and_not_earlier() -> None:
    drive = _drive()
    drive.plan([_target(20.0, 0.0), _target(40.0, 0.0, speed=0.5)])

    track = _run(drive)

    assert max(speed for x, _, speed, _ in track if x > 20.0) <= 0.5 + 1e-9
    assert max(speed for x, _, speed, _ in track if x < 15.0) == pytest.approx(PROFILE.cruise_speed_mps)


def test_it_assumes_the_heading_that_a_node_asks_for_before_it_is_reached() -> None:
    drive = _drive()
    drive.plan([_target(5.0, 0.0, theta=-math.pi / 2)])

    reached_at_theta = None
    for _ in range(500):
        if drive.step(DT, go=True):
            reached_at_theta = drive.theta

    assert reached_at_theta == pytest.approx(-math.pi / 2, abs=0.05)


def test_it_brakes_along_its_way_when_told_not_to_go_and_goes_on_later() -> None:
    drive = _drive()
    drive.plan([_target(50.0, 0.0)])
    for _ in range(100):
        drive.step(DT, go=True)
    x_at_brake, speed = drive.x, drive.speed_mps

    stopped = _run(drive, go=False)

    assert drive.standing
    assert drive.x - x_at_brake == pytest.approx(speed**2 / (2 * PROFILE.acceleration_mps2), abs=0.2)
    assert len(stopped) == pytest.approx(speed / PROFILE.acceleration_mps2 / DT, abs=2)
    for _ in range(1_000):
        drive.step(DT, go=True)
    assert drive.x == 50.0


def test_a_longer_way_given_while_driving_does_not_slow_it_down() -> None:
    drive = _drive()
    drive.plan([_target(20.0, 0.0), _target(40.0, 0.0)])
    while drive.x < 15.0:
        drive.step(DT, go=True)

    drive.plan([_target(20.0, 0.0), _target(40.0, 0.0), _target(60.0, 0.0)])
    slowest = math.inf
    while drive.x < 50.0:
        drive.step(DT, go=True)
        slowest = min(slowest, drive.speed_mps)

    assert slowest == pytest.approx(PROFILE.cruise_speed_mps)


def test_nodes_in_the_same_place_are_reached_one_after_the_other() -> None:
    drive = _drive()
    drive.plan([_target(0.0, 0.0), _target(0.0, 0.0), _target(1.0, 0.0)])

    reached = sum(drive.step(DT, go=True) for _ in range(100))

    assert reached == 3
    assert drive.x == 1.0


@pytest.mark.parametrize("angle", [0.0, 1.0, -1.0, math.pi, -math.pi, 3 * math.pi, 100.0, -100.0])
def test_angles_are_wrapped_into_the_half_open_circle(angle: float) -> None:
    wrapped = wrap(angle)

    assert -math.pi < wrapped <= math.pi
    assert math.cos(wrapped) == pytest.approx(math.cos(angle))
    assert math.sin(wrapped) == pytest.approx(math.sin(angle), abs=1e-9)


def test_an_hour_of_cruising_takes_the_energy_of_the_profile_and_more_with_a_load() -> None:
    empty, loaded = Battery.at(PROFILE, 100.0), Battery.at(PROFILE, 100.0)

    for _ in range(3_600):
        empty.drain(1.0, PROFILE.cruise_speed_mps, 0.0)
        loaded.drain(1.0, PROFILE.cruise_speed_mps, 20.0)

    assert PROFILE.battery_wh - empty.charge_wh == pytest.approx(PROFILE.cruise_power_w)
    assert PROFILE.battery_wh - loaded.charge_wh == pytest.approx(PROFILE.cruise_power_w * 80 / 60)


def test_a_battery_ends_at_empty() -> None:
    battery = Battery.at(PROFILE, 0.01)

    battery.drain(3_600.0, PROFILE.cruise_speed_mps, 0.0)

    assert battery.percent == 0.0
    assert battery.reach_m() == 0


def test_the_error_of_localisation_is_small_and_repeatable() -> None:
    drive = _drive()
    one, same, other = Localisation("1/r"), Localisation("1/r"), Localisation("2/r")
    errors = []
    for _ in range(2_000):
        for each in (one, same, other):
            each.wander()
        errors.append(one.pose(drive)[0])
        assert one.pose(drive) == same.pose(drive)

    assert one.pose(drive) != other.pose(drive)
    assert max(map(abs, errors)) <= 0.06
    assert 0.01 < math.sqrt(sum(error**2 for error in errors) / len(errors)) < 0.03

"""What keeps a vehicle on the ground, each by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hardware.mavlink.messages import (
    AutopilotVersion,
    ExtendedSysState,
    GpsRaw,
    HomePosition,
    Message,
    SysStatus,
    SystemTime,
)
from hardware.mavlink.observer import Observer
from hardware.mavlink.preflight import Firmware, Preflight, parse_version
from hardware.mavlink.translate import translate
from hardware.mission import Mission
from hardware.profiles import load_profile, profile_data, profile_ids
from routing.errors import BadInput
from routing.geo import LocalFrame, Position
from tests.mavlink_kit import HOME, delivery, fenced

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KIND = load_profile("multirotor_1kg")
MISSION = replace(fenced(delivery()), energy_wh=0.3 * KIND.battery_wh)
READY = 0x1000_0000


def home_at(east_m: float, up_m: float = 0.0) -> HomePosition:
    place = LocalFrame(HOME).to_global(east_m, 0.0, HOME.alt_amsl_m + up_m)
    return HomePosition(round(place.lat * 1e7), round(place.lon * 1e7), round(place.alt_amsl_m * 1000))


def status(*, battery_pct: int | None = 90, ill: int = 0) -> SysStatus:
    return SysStatus(0x2F, 0x2F, READY | 0x2F & ~ill, 22_000, battery_pct)


GOOD: tuple[Message, ...] = (
    ExtendedSysState(1),
    status(),
    GpsRaw(3, 12),
    home_at(0.5, 0.5),
    SystemTime(int(NOW.timestamp() * 1e6) + 500_000),
    AutopilotVersion("a1", "", (1, 16, 1)),
)


def problems(
    *messages: Message,
    without: type | None = None,
    mission: Mission = MISSION,
    real: bool = True,
    home: Position | None = HOME,
) -> tuple[str, ...]:
    observer = Observer("d1")
    for message in (*(good for good in GOOD if type(good) is not without), *messages):
        observer.take(message, NOW)
    firmware = Firmware.of(profile_data("multirotor_1kg")["firmware"])
    return Preflight(KIND, home, firmware, real=real).problems(observer, translate(mission))


def test_a_vehicle_that_is_well_and_stands_on_its_pad_may_start() -> None:
    assert problems() == ()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (ExtendedSysState(2), "stands on the ground"),
        (status(ill=0x4), "not well: compass"),
        (GpsRaw(2, 12), "no position in space"),
        (GpsRaw(3, 5), "5 satellites, at least 6"),
        (home_at(5.8), "6 m from where the mission starts"),
        (home_at(0, 3.5), "103.5 m AMSL high, the site 100.0 m"),
        (status(battery_pct=None), "does not tell its battery"),
        (status(battery_pct=20), "reserve is 25 %"),
        (status(battery_pct=50), "has 50 %, the mission takes"),
        (SystemTime(int(NOW.timestamp() * 1e6) - 3_000_000), "clock is -3 s off"),
        (AutopilotVersion("a1", "", (1, 15, 4)), "firmware is 1.15.4, the profile asks for 1.16.0"),
    ],
)
def test_each_thing_that_is_wrong_is_named(message: Message, words: str) -> None:
    (found,) = problems(message)

    assert words in found


def test_all_that_is_wrong_is_named_at_once() -> None:
    assert len(problems(GpsRaw(0, 3), home_at(50, 9), status(battery_pct=10, ill=0x1))) == 6


def test_a_charge_that_is_enough_but_for_rounding_is_enough() -> None:
    needed_pct = round(30 + KIND.reserve_fraction * 100)

    assert problems(status(battery_pct=needed_pct - 2)) == ()
    assert problems(status(battery_pct=needed_pct - 3)) != ()


def test_a_home_outside_the_fence_is_named_although_the_autopilot_would_fly_without_a_fence() -> None:
    away = fenced(delivery(home=LocalFrame(HOME).to_global(0.0, 900.0, HOME.alt_amsl_m))).fence

    (found,) = problems(mission=replace(MISSION, fence=away))

    assert "home lies outside the mission's fence" in found


def test_a_pad_other_than_the_surveyed_one_is_named() -> None:
    (found,) = problems(home=LocalFrame(HOME).to_global(8.0, 0.0, HOME.alt_amsl_m))

    assert "m from its surveyed pad" in found


@pytest.mark.parametrize(
    ("left_out", "words"),
    [(GpsRaw, "satellite receiver"), (HomePosition, "does not tell its home"), (AutopilotVersion, "its firmware")],
)
def test_a_real_vehicle_must_tell_what_a_simulated_one_may_leave_out(left_out: type, words: str) -> None:
    (found,) = problems(without=left_out)

    assert words in found
    assert problems(without=left_out, real=False) == ()


@pytest.mark.parametrize("message", [SystemTime(None), SystemTime(10**15 * 2)])
def test_a_simulated_vehicle_has_a_date_of_its_own(message: Message) -> None:
    assert problems(message, real=False) == ()


def test_the_profiles_of_drones_say_which_firmware_they_are_for() -> None:
    for type_id in profile_ids():
        if "firmware" in profile_data(type_id):
            firmware = Firmware.of(profile_data(type_id)["firmware"])
            assert (1, 16, 1) in firmware.tested
            assert firmware.least <= (1, 16, 1)


@pytest.mark.parametrize("bad", ["1.16", "1.16.x", "1.16.1.0", "", 1.16, None, "1.300.0"])
def test_what_is_no_version_is_refused(bad: Callable[[], object]) -> None:
    with pytest.raises(BadInput, match="a version is like"):
        parse_version(bad)

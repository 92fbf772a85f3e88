"""What a mission's own way home asks of the autopilot's parameters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.execution import mission_from_json, mission_to_json
from hardware.errors import Refused
from hardware.mavlink.preflight import return_parameters
from tests.mavlink_kit import HOME, delivery

STRAIGHT = replace(delivery(), return_alt_amsl_m=HOME.alt_amsl_m + 87.3)


def test_a_mission_that_is_followed_home_needs_no_more_than_the_profile() -> None:
    assert return_parameters(delivery(), HOME) == {}


def test_a_straight_return_is_at_least_as_high_as_planned_and_counted_from_home() -> None:
    assert return_parameters(STRAIGHT, HOME) == {"RTL_RETURN_ALT": 88.0, "RTL_CONE_ANG": 0}


def test_a_return_altitude_below_home_does_not_bring_it_down() -> None:
    low = replace(STRAIGHT, return_alt_amsl_m=HOME.alt_amsl_m - 40.0)

    assert return_parameters(low, HOME)["RTL_RETURN_ALT"] == 10.0


def test_a_return_altitude_over_a_home_of_unknown_height_is_refused() -> None:
    with pytest.raises(Refused, match="altitude of its home is not known"):
        return_parameters(STRAIGHT, None)


def test_the_return_altitude_is_kept_with_the_mission_and_old_missions_have_none() -> None:
    stored = mission_to_json(STRAIGHT)
    assert mission_from_json(stored) == STRAIGHT

    del stored["return_alt_amsl_m"]
    assert mission_from_json(stored).return_alt_amsl_m is None

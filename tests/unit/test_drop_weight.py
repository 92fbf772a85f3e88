"""What hover power says of a parcel that has left, and when it says nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from fleet.drop_weight import hover_power_w, weigh
from routing.power import hover_w
from tests.problems import DRONE

T0 = datetime(2026, 4, 1, tzinfo=UTC)


def _power(payload_kg: float, seconds: int, *, scatter: float = 0.0, scale: float = 1.0, seed: int = 1) -> Any:
    mean = scale * float(hover_w(DRONE, payload_kg))
    return mean * (1.0 + scatter * np.random.default_rng(seed).standard_normal(seconds))


def _weigh(before_kg: float, after_kg: float, parcel_kg: float, **changes: Any) -> bool | None:
    before, after = _power(before_kg, 25, **changes), _power(after_kg, 6, **{**changes, "seed": 2})
    return weigh(before, after, DRONE, aboard_kg=before_kg, parcel_kg=parcel_kg).lighter


def test_a_parcel_that_has_left_is_missed_and_one_that_has_not_is_noticed() -> None:
    assert _weigh(0.8, 0.0, 0.8, scatter=0.01) is True
    assert _weigh(0.8, 0.8, 0.8, scatter=0.01) is False


def test_a_wrong_calibration_of_the_type_does_not_matter() -> None:
    for scale in (0.7, 1.4):
        assert _weigh(0.8, 0.0, 0.8, scale=scale) is True
        assert _weigh(0.8, 0.8, 0.8, scale=scale) is False


@pytest.mark.parametrize(("parcel_kg", "scatter"), [(0.05, 0.0), (0.2, 0.02), (0.8, 0.15)])
def test_what_the_scatter_hides_is_not_claimed(parcel_kg: float, scatter: float) -> None:
    assert _weigh(parcel_kg, 0.0, parcel_kg, scatter=scatter) is None
    assert _weigh(parcel_kg, parcel_kg, parcel_kg, scatter=scatter) is None


def test_it_is_seldom_wrong() -> None:
    verdicts = {True: 0, False: 0, None: 0}
    for seed in range(400):
        before, after = _power(0.6, 25, scatter=0.015, seed=2 * seed), _power(0.6, 6, scatter=0.015, seed=2 * seed + 1)
        verdicts[weigh(before, after, DRONE, aboard_kg=0.6, parcel_kg=0.6).lighter] += 1
    assert verdicts[True] / 400 < 0.03


@pytest.mark.parametrize(("before_s", "after_s"), [(0, 10), (10, 0), (1, 10), (0, 0)])
def test_too_short_a_hover_says_nothing(before_s: int, after_s: int) -> None:
    found = weigh(_power(0.8, before_s), _power(0.0, after_s), DRONE, aboard_kg=0.8, parcel_kg=0.8)
    assert found.lighter is None
    assert "not told for long enough" in found.words


def _sample(seconds: float, **changes: Any) -> dict[str, Any]:
    values = {"vel_n_cms": 0, "vel_e_cms": 0, "vel_d_cms": 0, "voltage_mv": 20_000, "current_ca": 5_000}
    return {"t": T0 + timedelta(seconds=seconds), "on_ground": False, **values, **changes}


def test_power_is_the_mean_of_each_second_in_hover() -> None:
    samples = [_sample(s / 4.0, current_ca=5_000 + 100 * (s % 4)) for s in range(12)]
    assert hover_power_w(samples) == pytest.approx([1030.0, 1030.0, 1030.0])


@pytest.mark.parametrize(
    "changes",
    [{"vel_n_cms": 200}, {"vel_d_cms": -100}, {"current_ca": None}, {"voltage_mv": None}, {"vel_d_cms": None},
     {"on_ground": True}, {"on_ground": None}],
)  # fmt: skip
def test_what_is_no_hover_or_not_told_does_not_count(changes: dict[str, Any]) -> None:
    assert hover_power_w([_sample(s / 4.0, **changes) for s in range(40)]).size == 0

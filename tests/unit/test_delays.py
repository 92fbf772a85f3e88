"""How late missions are, from when they were planned, when they began and what is overdue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.delays import delays
from hardware.profiles import load_profile

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)
TURNAROUND_MIN = load_profile("multirotor_1kg").turnaround_s / 60


def minute(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


def mission(mission_id: str, depart: float, arrive: float, **more: Any) -> dict[str, Any]:
    row = {
        "mission_id": mission_id,
        "vehicle_id": "drone-1",
        "type_id": "multirotor_1kg",
        "planned_depart": minute(depart),
        "planned_arrive": minute(arrive),
        "started_at": None,
        "next_due": None,
    }
    return row | more


def late_min(*rows: dict[str, Any], now: float) -> dict[str, float]:
    return {m: delay.total_seconds() / 60 for m, delay in delays(rows, now=minute(now)).items()}


def test_what_is_on_time_is_not_late() -> None:
    under_way = mission("a", 0, 20, started_at=minute(0), next_due=minute(10))
    assert late_min(under_way, mission("b", 30, 50), now=5) == {"a": 0, "b": 0}


def test_a_mission_that_waits_leaves_now_at_the_earliest() -> None:
    assert late_min(mission("a", 0, 20), now=7) == {"a": 7}


def test_a_late_start_stays_with_a_mission() -> None:
    assert late_min(mission("a", 0, 20, started_at=minute(4), next_due=minute(15)), now=10) == {"a": 4}


def test_an_overdue_delivery_makes_a_mission_later_than_its_start() -> None:
    assert late_min(mission("a", 0, 20, started_at=minute(1), next_due=minute(10)), now=16) == {"a": 6}


def test_with_everything_delivered_the_way_home_counts() -> None:
    assert late_min(mission("a", 0, 20, started_at=minute(0)), now=23) == {"a": 3}


def test_what_follows_waits_for_its_vehicle_and_for_the_battery_swap_but_other_vehicles_do_not() -> None:
    first = mission("a", 0, 20, started_at=minute(10), next_due=minute(15))
    second = mission("b", 25, 40)
    third = mission("c", 60, 80)
    other = mission("d", 25, 40, vehicle_id="drone-2")
    late = late_min(first, second, third, other, now=12)
    assert late == {"a": 10, "b": 20 + 10 + TURNAROUND_MIN - 25, "c": 0, "d": 0}

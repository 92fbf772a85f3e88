"""The orders of a scripted day."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

from fleet.scenarios.orders import morning_csv
from routing.formats.orders_csv import read_orders
from routing.region.sample import sample_region, village_region

START = datetime(2026, 4, 1, 0, 0, tzinfo=UTC)


def test_a_small_day_has_an_order_for_each_kind_of_vehicle() -> None:
    region = village_region(1)
    text = morning_csv(region, hubs=["hub-1"], count=2, seed=1, start=START, open_for=timedelta(hours=2))
    by_air, by_road = (region.site(row["dropoff"]) for row in csv.DictReader(io.StringIO(text)))
    assert (by_air.accepts_drone, by_air.accepts_robot) == (True, False)
    assert (by_road.accepts_drone, by_road.accepts_robot) == (False, True)


def test_a_large_day_is_read_by_the_import_and_has_two_orders_that_are_impossible() -> None:
    region = sample_region(1)
    text = morning_csv(region, hubs=["hub-1", "hub-2"], count=24, seed=1, start=START, open_for=timedelta(hours=2))
    rows = read_orders(text, region, now=START)
    assert len(rows) == 24
    heavy, soon = rows[-2:]
    assert heavy.mass_kg > 1.0
    assert not region.site(heavy.dropoff).accepts_robot
    assert soon.mass_kg <= 1.0
    assert soon.latest - soon.earliest < timedelta(minutes=5)


def test_equal_seeds_make_equal_days() -> None:
    region = village_region(1)
    days = {
        seed: morning_csv(region, hubs=["hub-1"], count=8, seed=seed, start=START, open_for=timedelta(hours=2))
        for seed in (1, 2)
    }
    again = morning_csv(region, hubs=["hub-1"], count=8, seed=1, start=START, open_for=timedelta(hours=2))
    assert days[1] == again != days[2]

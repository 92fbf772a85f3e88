"""Robots that stand in the road, and those that only cross it or wait at the kerb."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from routing.region.model import GroundEdge, Region
from telemetry.monitors.road import Crossings, InRoad
from telemetry.sample import Sample
from tests.problems import village

NOW = datetime(2026, 4, 1, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def region() -> Region:
    """The village, with its longest way across a road."""
    plain = village(1)
    longest = max(plain.edges, key=lambda edge: edge.length_m)
    return replace(plain, edges=tuple(replace(edge, crossing=edge is longest) for edge in plain.edges))


@pytest.fixture(scope="module")
def crossing(region: Region) -> GroundEdge:
    return next(edge for edge in region.edges if edge.crossing)


def at(
    region: Region, edge: GroundEdge, share: float, *, t: float, speed_cms: int = 0, beside_m: float = 0.0
) -> Sample:
    """A robot's sample on an edge."""
    places = {node.node_id: region.frame.to_local(node.position) for node in region.nodes}
    (ax, ay), (bx, by) = places[edge.a], places[edge.b]
    length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
    off = beside_m * (ay - by) / length, beside_m * (bx - ax) / length
    here = region.frame.to_global(ax + share * (bx - ax) + off[0], ay + share * (by - ay) + off[1])
    moment = NOW + timedelta(seconds=t)
    lat, lon = round(here.lat * 1e7), round(here.lon * 1e7)
    return Sample("robot-1", moment, 1, 1, lat_e7=lat, lon_e7=lon, vel_n_cms=speed_cms, vel_e_cms=0)


def seen(region: Region, samples: list[Sample], after_s: float) -> list[str]:
    monitor = InRoad(Crossings(region), stands_s=10.0)
    for sample in samples:
        monitor.take(sample)
    return [finding.code for finding in monitor.findings(NOW + timedelta(seconds=after_s))]


def test_a_robot_that_stands_in_the_middle_of_a_crossing_is_found_once_it_has_stood(
    region: Region, crossing: GroundEdge
) -> None:
    stands = [at(region, crossing, 0.5, t=0), at(region, crossing, 0.5, t=8)]
    assert seen(region, stands, 9) == []
    assert seen(region, stands, 11) == ["in_road"]


def test_one_that_drives_on_is_not(region: Region, crossing: GroundEdge) -> None:
    drives = [at(region, crossing, 0.5, t=t, speed_cms=80) for t in range(20)]
    assert seen(region, drives, 20) == []
    # It says no speed, and is elsewhere each time.
    steps = [replace(at(region, crossing, share, t=t), vel_n_cms=None) for t, share in ((0, 0.2), (9, 0.5), (18, 0.8))]
    assert seen(region, steps, 20) == []


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_kerb_is_where_it_waits(region: Region, crossing: GroundEdge, share: float) -> None:
    assert seen(region, [at(region, crossing, share, t=0)], 500) == []


def test_the_pavement_beside_is_no_road(region: Region, crossing: GroundEdge) -> None:
    assert seen(region, [at(region, crossing, 0.5, t=0, beside_m=6.0)], 500) == []


def test_a_robot_without_a_place_says_nothing(region: Region) -> None:
    assert seen(region, [Sample("robot-1", NOW, 1, 1)], 500) == []


def test_a_region_without_crossings_has_none(region: Region) -> None:
    edges = tuple(replace(edge, crossing=False) for edge in region.edges)
    assert not Crossings(replace(region, edges=edges)).between_kerbs(0.0, 0.0)

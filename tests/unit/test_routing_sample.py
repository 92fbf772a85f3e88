"""The fictional municipality: different for every seed, and a place where deliveries work for each."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest
import shapely

from routing.airspace import ZONE_MARGIN_M, zone_areas
from routing.errors import BadInput, NoWay
from routing.geo import Position
from routing.ground import GroundNetwork
from routing.problem import FleetVehicle, Problem
from routing.region.bundle import pack, unpack
from routing.region.model import Region, Site, SiteKind, WayKind
from routing.region.sample import sample_region
from routing.solve import solve
from routing.validate import validate
from tests.problems import DRONE, ROBOT, START, minutes, order

SEEDS = list(range(1, 11))

town = cache(sample_region)


def _of(region: Region, kind: SiteKind) -> list[Site]:
    return [site for site in region.sites if site.kind is kind]


def _local(region: Region, position: Position) -> tuple[float, float]:
    return region.frame.to_local(position)


def _drive_m(network: GroundNetwork, start: Site, end: Site) -> float:
    try:
        return sum(network.path(str(start.node), str(end.node)).lengths_m)
    except NoWay:
        return math.inf


def _nearest_hub(region: Region, site: Site) -> Site:
    here = _local(region, site.landing)
    return min(_of(region, SiteKind.HUB), key=lambda hub: math.dist(_local(region, hub.landing), here))


def test_equal_seeds_give_equal_places_and_others_do_not() -> None:
    assert sample_region(3) == town(3)
    assert len({town(seed).content_hash() for seed in SEEDS}) == len(SEEDS)
    assert sample_region(3, scale=0.75).region_id != town(3).region_id


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ground_is_a_valley_of_15_by_10_km_between_mountains(seed: int) -> None:
    terrain = town(seed).terrain
    assert (terrain.east_m - terrain.west_m, terrain.north_m - terrain.south_m) == (15_000.0, 10_000.0)
    heights = terrain.heights.astype(float)
    assert np.isfinite(heights).all()
    assert 700 <= heights.max() - heights.min() <= 1_200
    # No cliff that a flight could not follow.
    slopes = np.hypot(*np.gradient(heights, terrain.step_m))
    assert 0.3 < np.median(slopes) < 0.6
    assert np.quantile(slopes, 0.999) < 1.8


@pytest.mark.parametrize("seed", SEEDS)
def test_water_runs_down_every_river(seed: int) -> None:
    region = town(seed)
    rivers = [feature for feature in region.features if feature.kind == "river"]
    assert len(rivers) == 7
    for river in rivers:
        # Drawn upstream; a metre is what the terrain's grid makes of a stream that bends.
        heights = [region.ground_amsl_m(Position(lat, lon)) for lat, lon in river.coords]
        assert all(above >= below - 1.0 for below, above in itertools.pairwise(heights))
        assert heights[-1] - heights[0] > 50


@pytest.mark.parametrize("seed", SEEDS)
def test_all_ways_are_one_network_of_short_edges_that_robots_may_use_where_it_is_level(seed: int) -> None:
    region = town(seed)
    at = {node.node_id: node.position for node in region.nodes}
    assert 2_000 <= len(region.nodes) <= 5_000
    everyone = GroundNetwork(
        Region(
            "all", "", "", region.origin, region.terrain, (), region.nodes,
            tuple(type(edge)(edge.a, edge.b, edge.length_m) for edge in region.edges), (),
        )
    )  # fmt: skip
    assert all(everyone.path("n0", node) for node in at)
    for edge in region.edges:
        level_m = math.dist(_local(region, at[edge.a]), _local(region, at[edge.b]))
        rise_m = abs(at[edge.a].alt_amsl_m - at[edge.b].alt_amsl_m)
        assert edge.length_m == pytest.approx(math.hypot(level_m, rise_m), abs=0.02)
        assert edge.length_m <= 40 if edge.kind is WayKind.STEPS else level_m <= 31
        assert edge.crossing == (edge.kind is WayKind.CROSSING)
        if edge.robot:
            assert rise_m <= 0.15 * level_m
            assert edge.kind not in {WayKind.STEPS, WayKind.ROAD, WayKind.TRACK}
            assert edge.width_m is not None
            assert edge.width_m >= 1.0
    assert {edge.kind for edge in region.edges} == set(WayKind)


@pytest.mark.parametrize("seed", SEEDS)
def test_robots_reach_drop_points_500_to_1500_m_from_a_hub(seed: int) -> None:
    region = town(seed)
    network = GroundNetwork(region)
    hubs = _of(region, SiteKind.HUB)
    stops = [site for site in _of(region, SiteKind.DROP_POINT) if site.accepts_robot]
    assert len(stops) >= 10
    nearest = [min(_drive_m(network, hub, stop) for hub in hubs) for stop in stops]
    assert all(500 <= length <= 1_500 for length in nearest)
    assert {min(hubs, key=lambda hub, stop=stop: _drive_m(network, hub, stop)).site_id for stop in stops} == {
        hub.site_id for hub in hubs
    }
    assert 3 <= sum(stop.accepts_drone for stop in stops) < len(stops)


@pytest.mark.parametrize("seed", SEEDS)
def test_hamlets_have_drone_ports_and_drop_points_2_to_6_km_from_a_hub(seed: int) -> None:
    region = town(seed)
    far = [site for site in region.sites if site.kind is SiteKind.DROP_POINT and not site.accepts_robot]
    assert len(far) == 18
    assert len(_of(region, SiteKind.DRONE_PORT)) == 6
    for site in far:
        hub = _nearest_hub(region, site)
        assert 2_000 <= math.dist(_local(region, hub.landing), _local(region, site.landing)) <= 6_000


@pytest.mark.parametrize("seed", SEEDS)
def test_hubs_have_pads_and_every_pad_is_level_ground_clear_of_zones_and_obstacles(seed: int) -> None:
    region = town(seed)
    hubs = _of(region, SiteKind.HUB)
    assert len(hubs) == 3
    assert all(len(hub.pads) >= 4 and hub.node for hub in hubs)
    zones = shapely.union_all(zone_areas(region, ZONE_MARGIN_M))
    tops = [[_local(region, point) for point in obstacle.line] for obstacle in region.obstacles]
    lines = [shapely.LineString(top) if len(top) > 1 else shapely.Point(top) for top in tops]
    for site in region.sites:
        assert not site.accepts_drone or site.pads
        for pad in site.pads:
            place = shapely.Point(_local(region, pad))
            assert shapely.distance(zones, place) > 10
            assert min(shapely.distance(line, place) for line in lines) >= 30
            assert pad.alt_amsl_m == pytest.approx(region.ground_amsl_m(pad), abs=0.02)
            assert abs(pad.alt_amsl_m - site.position.alt_amsl_m) < 3


@pytest.mark.parametrize("seed", SEEDS)
def test_the_power_line_stands_35_to_60_m_over_the_ground(seed: int) -> None:
    region = town(seed)
    line = next(obstacle for obstacle in region.obstacles if obstacle.kind == "power_line")
    heights = [top.alt_amsl_m - region.ground_amsl_m(top) for top in line.line]
    assert len(line.line) >= 20
    assert all(34.9 <= height <= 60.1 for height in heights)
    for a, b in itertools.pairwise(line.line):
        assert math.dist(_local(region, a), _local(region, b)) <= 320


@pytest.mark.parametrize("seed", SEEDS)
def test_six_thousand_persons_live_where_houses_are(seed: int) -> None:
    region = town(seed)
    mesh = region.population
    assert mesh is not None
    assert mesh.step_m == 250.0
    assert mesh.persons.sum() == 6_000
    assert 0.03 < np.count_nonzero(mesh.persons) / mesh.persons.size < 0.3
    assert sum(feature.kind == "building" for feature in region.features) > 400


@pytest.mark.parametrize("seed", SEEDS)
def test_every_name_is_there_in_both_languages_and_distinct(seed: int) -> None:
    region = town(seed)
    names = [(place.name_ja, place.name_en) for place in (*region.sites, *region.zones)]
    assert all(ja and en.isascii() and not ja.isascii() for ja, en in names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_the_nearest_hub_can_serve_every_drop_point(seed: int) -> None:
    region = town(seed)
    network = GroundNetwork(region)
    hubs = _of(region, SiteKind.HUB)
    orders = []
    for site in _of(region, SiteKind.DROP_POINT):
        if site.accepts_robot:
            hub = min(hubs, key=lambda hub, site=site: _drive_m(network, hub, site))
        else:
            hub = _nearest_hub(region, site)
        mass_kg = 3.0 if not site.accepts_drone else 0.8
        orders.append(order(site.site_id, site.site_id, pickup=hub.site_id, mass_kg=mass_kg, latest=minutes(600)))
    fleet = [
        FleetVehicle(f"{kind.kind}-{hub.site_id}", kind, hub.site_id, START) for hub in hubs for kind in (DRONE, ROBOT)
    ]
    made = Problem(region, tuple(orders), tuple(fleet), START, max_trips_per_vehicle=30)
    plan = solve(made, seconds=0.0, seed=1)
    assert plan.unserved == ()
    assert validate(made, plan) == ()
    legs = {kind.kind: [] for kind in (DRONE, ROBOT)}
    for route in plan.routes:
        for trip in route.trips:
            legs[DRONE.kind if route.vehicle_id.startswith("drone") else ROBOT.kind] += [
                leg.distance_m for leg in trip.legs
            ]
    assert np.median(legs[DRONE.kind]) >= 2_000
    assert np.median(legs[ROBOT.kind]) >= 500


def test_a_larger_or_smaller_place_can_be_had() -> None:
    small, large = sample_region(2, scale=0.7), sample_region(2, scale=2.0)
    assert large.terrain.east_m == pytest.approx(20 / 7 * small.terrain.east_m, rel=0.02)
    assert large.terrain.heights.size < 400_000
    for region in (small, large):
        assert unpack(pack(region)) == region
        assert len(_of(region, SiteKind.HUB)) == 3


@pytest.mark.parametrize("scale", [0.0, -1.0, 0.69, 2.01, math.nan, math.inf])
def test_a_scale_that_cannot_be_is_refused(scale: float) -> None:
    with pytest.raises(BadInput, match=r"scale: must be from 0\.7 to 2"):
        sample_region(1, scale=scale)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(BadInput, match="seed"):
        sample_region(-1)

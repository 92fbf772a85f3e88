"""The region model and the sample village."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import shapely

from routing.airspace import zone_areas
from routing.errors import BadInput
from routing.geo import Position
from routing.ground import GroundNetwork
from routing.region.model import GroundEdge, Region, Site, Terrain
from routing.region.sample import village_region
from tests.problems import village

SEEDS = [1, 2, 7, 19]


def _from_hub_m(region: Region, site: Site) -> float:
    return math.dist(region.frame.to_local(region.site("hub-1").position), region.frame.to_local(site.position))


def test_equal_seeds_give_equal_villages_and_others_do_not() -> None:
    assert village_region(3) == village_region(3)
    assert village_region(3).content_hash() != village_region(4).content_hash()


@pytest.mark.parametrize("seed", SEEDS)
def test_robots_have_drop_points_near_the_hub_that_the_network_reaches(seed: int) -> None:
    region = village(seed)
    network = GroundNetwork(region)
    stops = [site for site in region.sites if site.accepts_robot and site.site_id != "hub-1"]
    assert len(stops) == 4
    assert any(site.accepts_drone for site in stops)
    for site in stops:
        assert 150 <= _from_hub_m(region, site) <= 500
        way = network.path("n0", str(site.node))
        assert way.nodes[0] == region.site("hub-1").node
        assert way.positions[-1] == site.position


@pytest.mark.parametrize("seed", SEEDS)
def test_hamlets_are_farther_and_for_drones_only(seed: int) -> None:
    region = village(seed)
    hamlets = [site for site in region.sites if not site.accepts_robot]
    assert len(hamlets) == 4
    for site in hamlets:
        assert site.accepts_drone
        assert site.node is None
        assert 700 <= _from_hub_m(region, site) <= 1600


@pytest.mark.parametrize("seed", SEEDS)
def test_the_network_has_a_loop_sensible_spacing_and_slopes_that_robots_climb(seed: int) -> None:
    region = village(seed)
    heights = {node.node_id: node.position.alt_amsl_m for node in region.nodes}
    # One edge more than a tree of as many nodes has.
    assert len(region.edges) == len(region.nodes)
    for edge in region.edges:
        assert 15 <= edge.length_m <= 40
        assert abs(heights[edge.a] - heights[edge.b]) / edge.length_m < 0.08
    for node in region.nodes:
        assert node.position.alt_amsl_m == pytest.approx(region.ground_amsl_m(node.position), abs=0.02)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_school_lies_on_a_straight_line_from_the_hub_and_on_no_site(seed: int) -> None:
    region = village(seed)
    school = zone_areas(region, 0.0)[0]
    hub = region.frame.to_local(region.site("hub-1").position)
    crossed = [
        site.site_id
        for site in region.sites
        if site.accepts_drone
        and shapely.intersects(school, shapely.LineString([hub, region.frame.to_local(site.position)]))
    ]
    assert crossed == ["drop-6"]
    wide = zone_areas(region, 50.0)[0]
    assert not any(shapely.intersects_xy(wide, *region.frame.to_local(site.position)) for site in region.sites)


def test_terrain_height_is_bilinear_and_clamped() -> None:
    terrain = Terrain(0.0, 0.0, 10.0, ((0.0, 10.0), (20.0, 30.0)), "test", 0.0)
    assert terrain.height_m(5.0, 5.0) == 15.0
    assert terrain.height_m([-99.0, 99.0], [-99.0, 99.0]).tolist() == [0.0, 30.0]


@pytest.mark.parametrize(
    ("heights", "words"),
    [
        (((1.0, 2.0), (3.0,)), "rectangular"),
        (((1.0, 2.0),), "at least 2 x 2"),
        (((1.0, math.nan), (3.0, 4.0)), "finite"),
        ((), "at least 2 x 2"),
    ],
)
def test_a_grid_that_is_none_is_refused(heights: tuple[tuple[float, ...], ...], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Terrain(0.0, 0.0, 10.0, heights, "test", 0.0)


def test_a_region_that_contradicts_itself_is_refused() -> None:
    region = village(1)
    with pytest.raises(BadInput, match="n0-nowhere"):
        replace(region, edges=(GroundEdge("n0", "nowhere", 1.0),))
    with pytest.raises(BadInput, match="site id is used twice"):
        replace(region, sites=(*region.sites, region.sites[0]))
    with pytest.raises(BadInput, match="edge n0-n1 has no length"):
        replace(region, edges=(GroundEdge("n0", "n1", math.nan),))
    with pytest.raises(BadInput, match="site lost is not on the earth"):
        replace(region, sites=(replace(region.sites[0], site_id="lost", position=Position(math.nan, 138.0)),))
    hub, *others = region.sites
    north_m = region.frame.to_local(hub.position)[1]
    for changed, words in (
        (replace(hub, node="nowhere"), "site hub-1 names an unknown node"),
        (replace(hub, pads=()), "hub-1 accepts drones and needs a pad"),
        (
            replace(hub, pads=(hub.pads[0], region.frame.to_global(0.0, north_m + 5.0))),
            "pads must be at least 12 m apart",
        ),
        (replace(hub, pads=hub.pads[::-1]), "nearest to its position must be the first"),
    ):
        with pytest.raises(BadInput, match=words):
            replace(region, sites=(changed, *others))


def test_heights_cannot_be_changed_behind_the_hash() -> None:
    with pytest.raises(ValueError, match="read-only"):
        village(1).terrain.heights[0, 0] = np.inf

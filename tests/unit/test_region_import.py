"""A whole import: real maps of two countries, and the command."""

from __future__ import annotations

import heapq
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
import shapely

from fleet.cli import main
from routing.errors import BadInput
from routing.geo import Position
from routing.region.build import Imported, ImportFiles, import_region
from routing.region.bundle import load_region, pack, unpack
from routing.region.extent import parse_bbox
from routing.region.model import Region, Site, SiteKind, WayKind
from tests.map_kit import Point, SmallMap, write_hgt
from tests.shared_data import ANDORRA_DEM, ANDORRA_OSM, CENSUS_MESH, JAPAN_DEM, needs

HEADER = "id,kind,name_ja,name_en,lat,lon,accepts\n"


@pytest.fixture(scope="module")
def andorra() -> Imported:
    return import_region("Andorra", ImportFiles(ANDORRA_OSM, [ANDORRA_DEM]))


def _robot_ways_m(region: Region, start: str) -> dict[str, float]:
    """Metres from a node to all others over edges for robots (Dijkstra)."""
    edges: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for edge in region.edges:
        if edge.robot:
            edges[edge.a].append((edge.b, edge.length_m))
            edges[edge.b].append((edge.a, edge.length_m))
    done: dict[str, float] = {}
    queue = [(0.0, start)]
    while queue:
        metres, node = heapq.heappop(queue)
        if node not in done:
            done[node] = metres
            for other, length_m in edges[node]:
                heapq.heappush(queue, (metres + length_m, other))
    return done


def _xy(region: Region, position: Position) -> tuple[float, float]:
    return region.frame.to_local(position)


def _outside_zones(region: Region, sites: Iterable[Site]) -> bool:
    areas = shapely.union_all(
        [shapely.Polygon([_xy(region, Position(*c)) for c in zone.ring]) for zone in region.zones]
    )
    return all(shapely.Point(_xy(region, pad)).distance(areas) > 25 for site in sites for pad in site.pads)


def _is_enough_for_a_mixed_day(region: Region) -> None:
    """Assert what a day with four drones, four robots and 24 orders needs of a region."""
    hub = region.site("hub-1")
    assert hub.kind is SiteKind.HUB
    assert hub.accepts_drone
    assert hub.accepts_robot
    assert len(hub.pads) >= 4
    ways_m = _robot_ways_m(region, str(hub.node))
    drops = [site for site in region.sites if site.kind is SiteKind.DROP_POINT]
    by_robot = [s for s in drops if s.accepts_robot and s.node and 500 <= ways_m.get(s.node, math.inf) <= 1_500]
    start = _xy(region, hub.pads[0])
    by_drone = [s for s in drops if s.accepts_drone and 2_000 <= math.dist(start, _xy(region, s.landing)) <= 6_000]
    assert len(by_robot) >= 12
    assert len(by_drone) >= 12
    assert _outside_zones(region, [hub, *by_drone])


@needs(ANDORRA_OSM, ANDORRA_DEM)
def test_andorra_is_enough_for_a_mixed_day(andorra: Imported) -> None:
    _is_enough_for_a_mixed_day(andorra.region)


@needs(ANDORRA_OSM, ANDORRA_DEM)
def test_andorra_has_its_landscape_and_says_what_was_skipped(andorra: Imported) -> None:
    region, notes = andorra.region, andorra.notes
    kinds = {feature.kind for feature in region.features}
    assert kinds == {"water", "forest", "building", "river", "road", "power_line", "municipality"}
    # The file lacks a part of the border of the seventh, Canillo.
    parishes = {feature.name for feature in region.features if feature.kind == "municipality"}
    assert parishes >= {"Andorra la Vella", "Encamp", "Escaldes-Engordany", "La Massana", "Ordino"}
    assert notes.counts["ways"] > 1_400
    assert 300 < notes.counts["km of ways for robots"] < notes.counts["km of ways"] < 900
    assert {obstacle.kind for obstacle in region.obstacles} >= {"power_line", "ropeway", "mast"}
    assert {zone.kind for zone in region.zones} >= {"school", "hospital", "helipad"}
    assert notes.skipped["ways closed to pedestrians"] == 73
    assert any("nobody has mapped whether they have sidewalks" in warning for warning in notes.warnings)
    assert notes.skipped["metres of way closed to robots: steps"] > 500
    names = {site.name_en for site in region.sites}
    assert any(name in names for name in ("Erts", "Sispony", "Anyós", "Nagol", "Aixovall"))
    assert all("\n" not in site.name_en and site.name_en for site in region.sites)


@needs(ANDORRA_OSM, ANDORRA_DEM)
def test_andorras_robots_keep_to_ways_they_can_use(andorra: Imported) -> None:
    region = andorra.region
    at = {node.node_id: node.position for node in region.nodes}
    for edge in region.edges:
        level_m = math.dist(_xy(region, at[edge.a]), _xy(region, at[edge.b]))
        assert level_m <= 50.1
        if edge.robot:
            assert edge.kind is not WayKind.STEPS
            assert abs(at[edge.a].alt_amsl_m - at[edge.b].alt_amsl_m) <= 0.15 * level_m + 0.02


@needs(ANDORRA_OSM, ANDORRA_DEM)
def test_andorra_packs_small_and_comes_back(andorra: Imported) -> None:
    blob = pack(andorra.region)
    assert len(blob) < 3_000_000
    assert unpack(blob) == andorra.region


@needs(ANDORRA_OSM, ANDORRA_DEM)
def test_andorra_is_the_same_each_time_and_soon_done(andorra: Imported) -> None:
    began = time.monotonic()
    again = import_region("Andorra", ImportFiles(ANDORRA_OSM, [ANDORRA_DEM]))
    assert time.monotonic() - began < 60
    assert again.region.content_hash() == andorra.region.content_hash()


@needs(ANDORRA_OSM, ANDORRA_DEM)
def test_a_part_of_andorra_with_sites_of_the_users_own(tmp_path: Path) -> None:
    sites = tmp_path / "sites.csv"
    rows = "shop,hub,店,Shop,42.5450,1.5150,both\nfarm,drop_point,,Farm,42.5560,1.5330,drone\n"
    sites.write_text(HEADER + rows, encoding="utf-8")
    zones = tmp_path / "zones.geojson"
    ring = [[1.52, 42.53], [1.53, 42.53], [1.53, 42.54], [1.52, 42.53]]
    zones.write_text(f'{{"type": "Polygon", "coordinates": [{ring}]}}', encoding="utf-8")
    files = ImportFiles(ANDORRA_OSM, [ANDORRA_DEM], [zones], sites)
    region = import_region("massana", files, bbox=parse_bbox("42.52,1.49,42.58,1.55")).region
    assert [site.site_id for site in region.sites] == ["shop", "farm"]
    assert "zones-0" in {zone.zone_id for zone in region.zones}
    terrain = region.terrain
    assert terrain.east_m - terrain.west_m == pytest.approx(4_930, abs=100)


def _mountain_village(lat: float, lon: float) -> SmallMap:
    """A valley road of 8 km with side streets, shops and hamlets, named in Japanese."""
    small = SmallMap(lat, lon)
    road = {east: small.node(float(east), 0.0) for east in range(-4_000, 4_001, 100)}
    small.way(list(road.values()), {"highway": "secondary", "sidewalk": "both", "name": "県道"})
    for east in range(-1_000, 1_001, 200):
        points: list[Point] = [road[east], (float(east), 150.0), (east + 80.0, 300.0)]
        small.way(points, {"highway": "residential", "name": f"{east + 1_100} 番街"})
        small.way([road[east], (east - 50.0, -220.0)], {"highway": "residential"})
    small.node(15, 25, {"shop": "convenience", "name": "村の店", "name:en": "Village shop"})
    small.node(-700, 20, {"amenity": "post_office", "name": "郵便局"})
    for i in range(16):
        side = 1 if i % 2 else -1
        at = (side * (2_200 + 110 * i), side * (60.0 + 25 * i))
        small.node(*at, {"place": "hamlet", "name": f"集落{i}", "name:en": f"Hamlet {i}"})
    small.area((400, -600), 70, {"amenity": "school", "name": "小学校"})
    small.way([(-3_000, 900), (0, 700), (3_000, 900)], {"power": "line", "voltage": "154000"})
    return small


@needs(JAPAN_DEM)
def test_a_japanese_valley_with_its_geotiff(tmp_path: Path) -> None:
    # Along the Kamanashi valley, where a road of 8 km from east to west stays on its floor.
    small = _mountain_village(35.60, 138.48)
    files = ImportFiles(small.write(tmp_path / "valley.osm.pbf"), [JAPAN_DEM])
    imported = import_region("kai", files, bbox=small.extent(4_500), name_ja="甲斐の村")
    region = imported.region
    _is_enough_for_a_mixed_day(region)
    assert (region.region_id, region.name_ja) == ("kai", "甲斐の村")
    assert region.site("hub-1").name_ja in ("村の店", "郵便局")
    assert region.terrain.datum == "unknown: assumed EGM96 geoid"
    assert any("does not name the datum" in warning for warning in imported.notes.warnings)
    # The basin of Kofu lies at about 250 to 300 m.
    assert 200 < region.ground_amsl_m(region.origin) < 400


@needs(JAPAN_DEM, CENSUS_MESH)
def test_a_japanese_valley_with_its_people_and_an_area_for_robots(tmp_path: Path) -> None:
    small = _mountain_village(35.66, 138.57)
    path, extent = small.write(tmp_path / "map.osm.pbf"), small.extent(4_500)
    ring = [[extent.west, extent.south], [138.57, extent.south], [138.57, extent.north], [extent.west, extent.north]]
    area = tmp_path / "area.geojson"
    area.write_text(json.dumps({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}), encoding="utf-8")
    files = ImportFiles(path, [JAPAN_DEM], population=[CENSUS_MESH], robot_areas=[area])
    imported = import_region("kofu", files, bbox=extent)
    region, population = imported.region, imported.region.population
    assert population is not None
    assert 50_000 < population.persons.sum() < 250_000
    assert [name for name, _ in population.bands] == ["0-14", "15-64", "65+", "75+"]
    bands = dict(population.bands)
    assert 0.2 < bands["65+"].sum() / population.persons.sum() < 0.4
    at = {node.node_id: node.position for node in region.nodes}
    assert all(max(at[edge.a].lon, at[edge.b].lon) < 138.5701 for edge in region.edges if edge.robot or edge.road)
    assert any(edge.robot for edge in region.edges)
    assert unpack(pack(region)) == region


@pytest.mark.parametrize("name", ["", "山の村", "x" * 41, "../.."])
def test_a_region_needs_a_name_that_can_be_an_id(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="needs a letter a-z or digit"):
        import_region(name, ImportFiles(tmp_path / "map.osm.pbf", [tmp_path / "dem.tif"]))


def test_the_elevation_must_cover_the_map(tmp_path: Path) -> None:
    small = _mountain_village(42.99, 1.5)
    files = ImportFiles(small.write(tmp_path / "map.osm.pbf"), [write_hgt(tmp_path, 42, 1)])
    with pytest.raises(BadInput, match=r"% of the extent has no elevation file: within 43\.00.* or --bbox within"):
        import_region("north", files, bbox=small.extent(4_000))
    with pytest.raises(BadInput, match="give --dem F"):
        import_region("north", ImportFiles(files.osm), bbox=small.extent(4_000))


def _todoke(monkeypatch: pytest.MonkeyPatch, home: Path, *arguments: str) -> int:
    """Run the command in this process, which has loaded everything already; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["todoke", "region", "import", *arguments, "--home", str(home)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_makes_a_bundle_and_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = _mountain_village(42.5, 1.5)
    small.way([(0, 900), (50, 900)], {"highway": "motorway"})
    path, dem = small.write(tmp_path / "map.osm.pbf"), write_hgt(tmp_path, 42, 1)
    assert _todoke(monkeypatch, tmp_path / "home", "Valley", "--osm", str(path), "--dem", str(dem)) == 0
    told = capsys.readouterr().out
    for text in ("Points and ways", "100 %", "ground nodes", "1 motorways", "sites: hubs"):
        assert text in told
    region = load_region(tmp_path / "home" / "regions" / "valley")
    assert region.region_id == "valley"
    assert region.name_en == "Valley"


def test_the_command_explains_mistakes_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = _mountain_village(42.5, 1.5)
    path, dem = small.write(tmp_path / "map.osm.pbf"), write_hgt(tmp_path, 42, 1)
    osm, home = ("--osm", str(path)), tmp_path / "home"
    for arguments, reason in (
        (("a", *osm), "give --dem F"),
        (("a", *osm, "--dem", str(dem), "--bbox", "1,2,3"), "four numbers are needed"),
        (("a", *osm, "--dem", str(dem), "--bbox", "42.9,1.4,42.95,1.5"), "there are no ways in"),
        (("a", *osm, "--dem", str(tmp_path / "none.tif")), "there is no such file"),
        (("a", "--osm", str(dem), "--dem", str(dem)), "not an OpenStreetMap PBF file"),
        (("a", *osm, "--dem", str(dem), "--sites", str(path)), "--sites"),
        (("a", *osm, "--dem", str(dem), "--zones", str(path)), "not GeoJSON"),
        (("a", *osm, "--dem", str(dem), "--robot-area", str(path)), "--robot-area"),
        (("a", *osm, "--dem", str(dem), "--population", str(dem)), "--population"),
        (("a", *osm, "--dem", str(dem), "--roads-without-sidewalk", "motorway"), "--roads-without-sidewalk 'motorway'"),
    ):
        assert _todoke(monkeypatch, home, *arguments) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line]
        assert len(lines) == 1
        assert lines[0].startswith("todoke: ")
        assert reason in lines[0]
    assert not (home / "regions").exists()

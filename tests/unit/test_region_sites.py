"""Sites for an import: from a file with all that can be wrong in one, and chosen from the map."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import shapely

from routing.errors import BadInput
from routing.region.build import ImportFiles, import_region
from routing.region.model import Region, Site, SiteKind
from routing.region.sites import read_sites
from tests.map_kit import Point, SmallMap, write_hgt

HEADER = "id,kind,name_ja,name_en,lat,lon,accepts\n"


def _village(folder: Path) -> SmallMap:
    """A village on level ground: a cross of streets of 3 km each, a shop with a car park, hamlets around it."""
    small = SmallMap()
    middle = small.node(0, 0)
    for name, (east, north) in {"East": (1, 0), "West": (-1, 0), "North": (0, 1), "South": (0, -1)}.items():
        points: list[Point] = [middle, *((float(east * d), float(north * d)) for d in range(100, 1_600, 100))]
        small.way(points, {"highway": "residential", "name": f"{name} Street"})
    small.node(30, 30, {"shop": "supermarket", "name": "道の駅", "name:en": "Roadside station"})
    small.area((60, 60), 20, {"building": "yes"})
    for i in range(14):
        angle = 2 * math.pi * i / 14
        at = (2_600 * math.cos(angle), 2_600 * math.sin(angle))
        small.node(*at, {"place": "hamlet", "name": f"Hamlet {i}"})
        small.way([at, (at[0] + 60, at[1])], {"highway": "track"})
    small.way([(-1_700, 1_700), (-1_700, 1_800)], {"highway": "path"})
    small.area((2_600, 0), 90, {"amenity": "school", "name": "School"})
    write_hgt(folder, 42, 1)
    return small


def _import(small: SmallMap, folder: Path, sites: Path | None = None) -> Region:
    files = ImportFiles(small.write(folder / "map.osm.pbf"), [folder / "N42E001.hgt"], sites=sites)
    return import_region("village", files, bbox=small.extent(3_000)).region


def _csv(folder: Path, rows: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    path = folder / "sites.csv"
    path.write_bytes((header + rows).encode(encoding))
    return path


def _row(small: SmallMap, site_id: str, kind: str, at: tuple[float, float], accepts: str, name: str = "村") -> str:
    place = small.frame.to_global(*at)
    return f'{site_id},{kind},{name},Village,{place.lat:.7f},{place.lon:.7f},"{accepts}"\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_sites_of_a_csv_file_are_joined_to_ways_and_given_pads(tmp_path: Path, encoding: str) -> None:
    small = _village(tmp_path)
    rows = _row(small, "hub-a", "hub", (30, 20), "drone,robot")
    rows += _row(small, "drop-a", "drop_point", (500, 30), "robot", "角の店")
    rows += "\n" + _row(small, "drop-b", "drop_point", (-1_200, 900), "drone")
    region = _import(small, tmp_path, _csv(tmp_path, rows, encoding=encoding))
    hub, robots, drones = region.sites
    assert (hub.kind, hub.name_ja, hub.name_en, hub.accepts_drone, hub.accepts_robot) == (
        SiteKind.HUB, "村", "Village", True, True,
    )  # fmt: skip
    nodes = {node.node_id: node.position for node in region.nodes}
    for site in (hub, robots):
        assert site.node is not None
        assert site.position == nodes[site.node]
    assert robots.name_ja == "角の店"
    assert _local(region, robots)[1] == pytest.approx(0, abs=1)  # on the street
    assert robots.pads == ()
    assert drones.node is None
    assert len(drones.pads) == 1
    assert len(hub.pads) == 6


def _local(region: Region, site: Site) -> tuple[float, float]:
    return region.frame.to_local(site.position)


def test_pads_are_apart_and_clear_of_buildings_roads_and_zones(tmp_path: Path) -> None:
    small = _village(tmp_path)
    region = _import(small, tmp_path)
    building, school = shapely.box(40, 40, 80, 80), shapely.box(2_510, -90, 2_690, 90)
    roads = shapely.MultiLineString([[(-1_500, 0), (1_500, 0)], [(0, -1_500), (0, 1_500)]])
    for site in region.sites:
        pads = [small.frame.to_local(pad) for pad in site.pads]
        away_m = [math.dist(region.frame.to_local(pad), _local(region, site)) for pad in site.pads]
        assert [round(metres) for metres in away_m] == sorted(round(metres) for metres in away_m)
        for i, pad in enumerate(pads):
            assert all(math.dist(pad, other) >= 12 for other in pads[:i])
            assert shapely.Point(pad).distance(building) >= 9.5
            assert shapely.Point(pad).distance(roads) >= 6.5
            assert shapely.Point(pad).distance(school) >= 29


def test_sites_of_a_geojson_file(tmp_path: Path) -> None:
    small = _village(tmp_path)

    def feature(at: tuple[float, float], **properties: object) -> dict[str, object]:
        place = small.frame.to_global(*at)
        point = {"type": "Point", "coordinates": [place.lon, place.lat]}
        return {"type": "Feature", "geometry": point, "properties": properties}

    features = [
        feature((10, 10), id="h", kind="hub", name="Shop", accepts=["drone", "robot"]),
        feature((900, 900), id="d", kind="drop_point", accepts="drone"),
    ]
    path = tmp_path / "sites.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    sites = _import(small, tmp_path, path).sites
    assert [(site.site_id, site.name_ja, site.accepts_drone, site.accepts_robot) for site in sites] == [
        ("h", "Shop", True, True),
        ("d", "d", True, False),
    ]


def test_every_bad_row_is_named_with_its_line_and_column(tmp_path: Path) -> None:
    small = _village(tmp_path)
    good = _row(small, "hub-a", "hub", (30, 20), "both")
    rows = [
        good,
        _row(small, "", "hub", (0, 0), "both"),
        _row(small, "a b", "hub", (0, 0), "both"),
        _row(small, "c", "warehouse", (0, 0), "both"),
        _row(small, "d", "hub", (0, 0), "trucks"),
        "e,hub,,,north,1.5,both\n",
        "f,hub,,,nan,1.5,both\n",
        "g,hub,,,10.0,1.5,both\n",
        _row(small, "hub-a", "hub", (0, 0), "both"),
    ]
    with pytest.raises(BadInput) as error:
        read_sites(_csv(tmp_path, "".join(rows)), small.extent(3_000))
    text = str(error.value)
    for part in (
        "line 3, id: ''",
        "line 4, id: 'a b'",
        "line 5, kind: 'warehouse' is none of hub, drone_port, drop_point, charging, emergency",
        "line 6, accepts: 'trucks'",
        "line 7, lat: 'north' is not a number",
        "line 8, lat: 'nan' is not a number",
        "line 9, lat, lon: 10.0, 1.5 is outside the region",
        "line 10, id: 'hub-a' is used twice",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "columns missing"),
        (b"id,kind,lat\n", "columns missing: lon, accepts"),
        (b"id,id,kind,lat,lon,accepts\n", "a column is there twice"),
        (HEADER.encode(), "there are no sites in it"),
        (HEADER.encode() + b"d,drop_point,,,42.5,1.5,drone\n", "no site of kind hub"),
        (HEADER.encode() + b"d,hub,,,42.5,1.5,drone,extra,more\n", "line 2: more cells than columns"),
        (HEADER.encode() + b'd,"hub,,,42.5\n', "not CSV"),
        (b"\xff\xfe\x00\x01\x81", "neither UTF-8 nor Shift_JIS"),
    ],
)
def test_a_file_that_is_no_table_of_sites(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "sites.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=reason):
        read_sites(path, SmallMap().extent(3_000))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.csv: cannot be read"):
        read_sites(tmp_path / "nowhere.csv", SmallMap().extent(3_000))


def test_a_site_for_robots_far_from_any_way_is_refused(tmp_path: Path) -> None:
    small = _village(tmp_path)
    rows = _row(small, "hub-a", "hub", (30, 20), "both") + _row(small, "far", "drop_point", (700, 300), "robot")
    rows += _row(small, "path", "drop_point", (-1_700, 1_750), "both")
    with pytest.raises(BadInput, match=r"line 3: accepts robots, but no way .* 30\d m away; line 4: accepts robots"):
        _import(small, tmp_path, _csv(tmp_path, rows))


def test_a_site_in_a_no_fly_zone_has_no_room_for_a_pad(tmp_path: Path) -> None:
    small = _village(tmp_path)
    small.area((-900, -900), 300, {"amenity": "school"})
    rows = _row(small, "hub-a", "hub", (30, 20), "both") + _row(small, "yard", "drop_point", (-900, -900), "drone")
    with pytest.raises(BadInput, match="line 3: no room for a pad"):
        _import(small, tmp_path, _csv(tmp_path, rows))


def test_without_a_file_a_shop_becomes_the_hub_and_places_drop_points(tmp_path: Path) -> None:
    small = _village(tmp_path)
    region = _import(small, tmp_path)
    [hub] = [site for site in region.sites if site.kind is SiteKind.HUB]
    assert (hub.name_ja, hub.name_en) == ("道の駅", "Roadside station")
    assert len(hub.pads) >= 4
    drops = [site for site in region.sites if site.kind is SiteKind.DROP_POINT]
    robots, drones = ([site for site in drops if getattr(site, f"accepts_{mode}")] for mode in ("robot", "drone"))
    assert len(robots) >= 12
    assert len(drones) >= 12
    # On this cross of streets the distance along the ways is the sum of both coordinates.
    ways = [sum(map(abs, _local(region, site))) for site in robots]
    assert min(ways) >= 500
    assert max(ways) <= 1_500
    assert {site.name_en for site in robots} >= {"East Street", "West Street", "North Street", "South Street"}
    flights = [math.dist(_local(region, hub), region.frame.to_local(site.landing)) for site in drones]
    assert min(flights) >= 2_000
    # The hamlet beside the school is left out or has its pad outside the zone.
    assert all(name.startswith("Hamlet") for name in (site.name_en for site in drones))
    assert len({site.name_en for site in drops}) == len(drops)


def test_the_same_files_give_the_same_region(tmp_path: Path) -> None:
    small = _village(tmp_path)
    assert _import(small, tmp_path).content_hash() == _import(small, tmp_path).content_hash()


def test_too_few_drop_points_are_said(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), (300, 0)], {"highway": "residential"})
    small.way([(300, 0), (300, 700)], {"highway": "residential"})
    small.node(20, 20, {"shop": "supermarket", "name": "Shop"})
    write_hgt(tmp_path, 42, 1)
    files = ImportFiles(small.write(tmp_path / "map.osm.pbf"), [tmp_path / "N42E001.hgt"])
    notes = import_region("hamlet", files, bbox=small.extent(3_000)).notes
    assert any("only 0 drop points for drones were found around Shop: give --sites" in w for w in notes.warnings)


def test_without_a_shop_the_hub_is_on_a_street_and_it_is_said(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), (1_000, 0)], {"highway": "residential", "name": "Long Street"})
    write_hgt(tmp_path, 42, 1)
    files = ImportFiles(small.write(tmp_path / "map.osm.pbf"), [tmp_path / "N42E001.hgt"])
    imported = import_region("street", files, bbox=small.extent(3_000))
    assert any("a hub was put on a street" in warning for warning in imported.notes.warnings)
    assert imported.region.site("hub-1").name_en == "Long Street"


def test_nowhere_for_a_hub_asks_for_sites(tmp_path: Path) -> None:
    small = SmallMap()
    small.way([(0, 0), (1_000, 0)], {"highway": "path"})
    write_hgt(tmp_path, 42, 1)
    files = ImportFiles(small.write(tmp_path / "map.osm.pbf"), [tmp_path / "N42E001.hgt"])
    with pytest.raises(BadInput, match=r"no place for a hub was found .* give --sites F"):
        import_region("trail", files, bbox=small.extent(3_000))


def test_drone_drop_points_are_not_behind_a_mountain(tmp_path: Path) -> None:
    small = _village(tmp_path)

    def walled(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
        # A wall of 1,500 m between the village and everything east of it.
        east = (lon - 1.5) * 82_000
        return 1_000 + 1_500 * np.exp(-(((east - 1_600) / 250) ** 2))

    write_hgt(tmp_path, 42, 1, walled)
    region = _import(small, tmp_path)
    for site in region.sites:
        if site.accepts_drone and site.kind is SiteKind.DROP_POINT:
            assert region.frame.to_local(site.landing)[0] < 1_600

"""Reading OpenStreetMap files: whole or not, ways and areas in an extent, and what the tags of a way mean."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from routing.errors import BadInput
from routing.region import osm, pbf
from routing.region.extent import parse_bbox
from routing.region.model import WayKind
from routing.region.notes import ImportNotes, silent
from routing.region.osm import OsmData, clean, read_osm
from routing.region.ways import WayRule, metres, read_way
from tests.map_kit import SmallMap


def _street_map() -> SmallMap:
    small = SmallMap()
    small.way([(0, 0), (100, 0), (200, 0)], {"highway": "residential", "name": "High Street"})
    return small


def _read(small: SmallMap, folder: Path, half_m: float = 1_000.0, notes: ImportNotes | None = None) -> OsmData:
    path = small.write(folder / "map.osm.pbf")
    return read_osm(path, small.extent(half_m), notes or ImportNotes(), silent)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 a zip", b"<?xml version='1.0'?><osm/>", b"\x00\x00\x00\x05hello", b"\xff" * 200, b"\0" * 64],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "map.osm.pbf"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"map\.osm\.pbf: not an OpenStreetMap PBF file"):
        read_osm(path, None, ImportNotes(), silent)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.osm\.pbf: cannot be read: No such file"):
        read_osm(tmp_path / "nowhere.osm.pbf", None, ImportNotes(), silent)
    with pytest.raises(BadInput, match="cannot be read"):
        read_osm(tmp_path, None, ImportNotes(), silent)


def test_every_cut_of_a_file_is_noticed(tmp_path: Path) -> None:
    whole = _street_map().write(tmp_path / "map.osm.pbf").read_bytes()
    cut = tmp_path / "cut.osm.pbf"
    for length in range(0, len(whole) - 1, 3):
        cut.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"cut\.osm\.pbf"):
            read_osm(cut, None, ImportNotes(), silent)


def test_a_file_with_a_damaged_block_is_refused(tmp_path: Path) -> None:
    whole = bytearray(_street_map().write(tmp_path / "map.osm.pbf").read_bytes())
    header_length = struct.unpack(">I", whole[:4])[0]
    for at in range(4 + header_length + 30, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at : at + 4] = b"\xff\xff\xff\xff"
        path = tmp_path / "damaged.osm.pbf"
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"damaged\.osm\.pbf"):
            read_osm(path, None, ImportNotes(), silent)


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _street_map().write(tmp_path / "map.osm.pbf")
    monkeypatch.setattr(pbf, "MAX_FILE_BYTES", 10)
    with pytest.raises(BadInput, match="osmium extract"):
        read_osm(path, None, ImportNotes(), silent)


def test_too_many_objects_ask_for_a_smaller_extent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(osm, "MAX_OBJECTS", 3)
    small = _street_map()
    for east in range(5):
        small.node(east, 50, {"shop": "kiosk"})
    with pytest.raises(BadInput, match="give a smaller --bbox"):
        _read(small, tmp_path)


def test_a_file_in_parts_reads_like_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = SmallMap()
    for i in range(9_000):  # a block of a file holds 8,000
        small.node(i % 100, i // 100, {"shop": "kiosk"} if i % 1_000 == 0 else None)
    small.way([1, 4_500, 9_000], {"highway": "path"})
    path = small.write(tmp_path / "map.osm.pbf")
    steps: list[tuple[str, float]] = []
    monkeypatch.setattr(pbf, "PART_BYTES", 1)
    data = read_osm(
        path, small.extent(1_000), ImportNotes(), lambda step, done, total: steps.append((step, done / total))
    )
    assert len(data.points) == 9
    assert data.highways[0].refs == (1, 4_500, 9_000)
    assert not any(value != value for value in data.highways[0].coords.ravel())
    shares = [share for step, share in steps if step == "points and ways"]
    assert len(shares) >= 4
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_only_what_lies_in_the_extent_is_read(tmp_path: Path) -> None:
    small = _street_map()
    small.way([(5_000, 0), (6_000, 0)], {"highway": "residential"})
    small.node(5_000, 10, {"shop": "kiosk"})
    inside = small.node(10, 10, {"shop": "bakery"})
    crossing = small.way([(900, 0), (20_000, 0)], {"highway": "track"})
    data = _read(small, tmp_path)
    assert [point.osm_id for point in data.points] == [inside]
    assert [way.osm_id for way in data.highways] == [1, crossing]


def test_an_extent_without_ways_is_refused(tmp_path: Path) -> None:
    path = _street_map().write(tmp_path / "map.osm.pbf")
    with pytest.raises(BadInput, match=r"there are no ways in 10\.0000,20\.0000,10\.1000,20\.1000"):
        read_osm(path, parse_bbox("10.0,20.0,10.1,20.1"), ImportNotes(), silent)


def test_without_an_extent_the_files_own_is_used(tmp_path: Path) -> None:
    small = _street_map()
    small.way([(0, 0), (0, 500), (0, 1_000)], {"highway": "residential"})
    small.way([(800, 900), (800, 1_000), (800, 1_100)], {"highway": "residential"})
    notes = ImportNotes()
    data = read_osm(small.write(tmp_path / "map.osm.pbf"), None, notes, silent)
    width_m, height_m = data.extent.size_m
    assert 750 <= width_m <= 900
    assert 900 <= height_m <= 1_100
    assert not notes.warnings


def test_of_a_large_file_the_fullest_part_is_taken_and_said(tmp_path: Path) -> None:
    small = SmallMap()
    for i in range(30):
        small.way([(i * 4_000, 0), (i * 4_000, 50), (i * 4_000, 100)], {"highway": "track"})
    for i in range(100):
        small.way(
            [(80_000 + i * 20, 3_000), (80_000 + i * 20, 3_050), (80_000 + i * 20, 3_100)], {"highway": "footway"}
        )
    notes = ImportNotes()
    data = read_osm(small.write(tmp_path / "map.osm.pbf"), None, notes, silent)
    assert max(data.extent.size_m) <= 30_100
    assert sum(way.tags["highway"] == "footway" for way in data.highways) == 100
    assert "only the part of at most 30 km a side with the most ways was taken" in notes.warnings[0]


def test_ways_before_their_nodes_are_refused(tmp_path: Path) -> None:
    small = _street_map()
    path = small.write(tmp_path / "map.osm.pbf", ways_first=True)
    with pytest.raises(BadInput, match=r"the positions of most nodes are missing|no ways"):
        read_osm(path, small.extent(1_000), ImportNotes(), silent)
    with pytest.raises(BadInput, match=r"no ways with known positions"):
        read_osm(path, None, ImportNotes(), silent)


def test_nodes_that_an_extract_cut_off_are_counted(tmp_path: Path) -> None:
    small = _street_map()
    path = small.write(tmp_path / "map.osm.pbf", without_nodes=[3])
    notes = ImportNotes()
    read_osm(path, small.extent(1_000), notes, silent)
    assert notes.skipped["way nodes that the file does not hold"] == 1


def test_a_multipolygon_of_two_ways_is_one_area(tmp_path: Path) -> None:
    small = _street_map()
    a, b = small.node(100, 100), small.node(300, 100)
    halves = [small.way([a, (200, 200), b], {}), small.way([b, (200, 50), a], {})]
    small.multipolygon(halves, {"natural": "water", "name": "Lake"})
    data = _read(small, tmp_path)
    assert [(area.osm_id, area.tags["name"], len(area.ring)) for area in data.areas] == [("r1.0", "Lake", 5)]


def test_a_multipolygon_of_which_a_part_is_missing_is_counted(tmp_path: Path) -> None:
    small = _street_map()
    a, b = small.node(100, 100), small.node(300, 100)
    small.multipolygon([small.way([a, (200, 200), b], {}), 77], {"natural": "water"})
    notes = ImportNotes()
    data = _read(small, tmp_path, notes=notes)
    assert not data.areas
    assert notes.skipped["multipolygons of which the file holds only a part"] == 1


def test_names_are_one_clean_line() -> None:
    assert clean("a\nb\t\x07c ") == "a b c"
    assert clean("道の駅  杉ヶ瀬") == "道の駅 杉ヶ瀬"
    assert len(clean("x" * 500)) == 120


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "four numbers"),
        ("1,2,3", "four numbers"),
        ("1,2,3,4,5", "four numbers"),
        ("a,b,c,d", "four numbers"),
        ("nan,1,2,3", "not finite"),
        ("42,1,inf,2", "not finite"),
        ("42.6,1.4,42.5,1.5", "south must be less than north"),
        ("42.5,1.5,42.6,1.4", "west less than east"),
        ("42.5,1.4,42.5,1.5", "south must be less"),
        ("91,1,92,2", "latitudes reach"),
        ("1.4,42.5,1.5,242.6", "longitudes"),
        ("42.0,1.0,43.0,2.0", "at most 30 km a side"),
        ("42.5,1.5,42.5001,1.5001", "at least 200 m"),
    ],
)
def test_a_wrong_bbox_is_explained(text: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        parse_bbox(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2.0), ("2.5 m", 2.5), ("2,5", 2.5), ("8'", 2.4384), ("8'6\"", 2.5908), ("20 ft", 6.096), ("150 cm", 1.5)],
)
def test_lengths_are_read_as_people_write_them(text: str, value: float) -> None:
    assert metres(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "wide", "-3", "0", "1e9", "2;3", "nan", "3 lanes"])
def test_what_is_no_length_is_none(text: str) -> None:
    assert metres(text) is None


ROBOTS_MAY = [
    {"highway": "footway"},
    {"highway": "footway", "width": "1.0"},
    {"highway": "pedestrian", "area": "yes"},
    {"highway": "path", "surface": "asphalt"},
    {"highway": "residential", "incline": "10%"},
    {"highway": "residential", "oneway": "yes", "bicycle": "no"},
    {"highway": "living_street"},
    {"highway": "primary", "sidewalk": "both"},
    {"highway": "trunk", "sidewalk:left": "yes"},
    {"highway": "track", "tracktype": "grade1"},
    {"highway": "track", "tracktype": "grade2", "surface": "compacted"},
    {"highway": "service", "access": "private", "foot": "yes"},
    {"highway": "cycleway", "foot": "designated", "surface": "asphalt"},
    {"highway": "footway", "tunnel": "yes"},
    {"highway": "residential", "surface": "concrete:plates"},
]
ROBOTS_MAY_NOT = [
    ({"highway": "steps"}, "steps"),
    ({"highway": "footway", "width": "0.8"}, "narrower"),
    ({"highway": "path"}, "unpaved"),
    ({"highway": "path", "surface": "ground"}, "unpaved"),
    ({"highway": "footway", "surface": "gravel"}, "unpaved"),
    ({"highway": "track", "tracktype": "grade4", "surface": "asphalt"}, "unpaved"),
    ({"highway": "track"}, "unpaved"),
    ({"highway": "trunk"}, "trunk"),
    ({"highway": "trunk", "sidewalk": "no"}, "trunk"),
    ({"highway": "residential", "incline": "18 %"}, "steeper"),
    ({"highway": "residential", "incline": "-12°"}, "steeper"),
    ({"highway": "residential", "smoothness": "very_bad"}, "too rough"),
    ({"highway": "residential", "sidewalk": "separate"}, "sidewalk"),
    ({"highway": "secondary", "foot": "use_sidepath"}, "sidewalk"),
    ({"highway": "secondary", "tunnel": "yes"}, "tunnels"),
    ({"highway": "residential", "ford": "yes"}, "fords"),
]
NOT_ON_FOOT = [
    ({"highway": "motorway"}, "motorways"),
    ({"highway": "primary", "motorroad": "yes"}, "motorways"),
    ({"highway": "residential", "access": "private"}, "private"),
    ({"highway": "service", "access": "no"}, "private"),
    ({"highway": "primary", "foot": "no"}, "closed to pedestrians"),
    ({"highway": "footway", "access": "yes", "foot": "private"}, "closed to pedestrians"),
    ({"highway": "construction"}, "not there yet"),
    ({"highway": "raceway"}, "other kinds"),
    ({"highway": "platform"}, "other kinds"),
    ({"highway": "cycleway"}, "cycleways"),
    ({"highway": "path", "sac_scale": "alpine_hiking"}, "alpine"),
    ({"highway": "service", "area": "yes"}, "parking"),
]


@pytest.mark.parametrize("tags", ROBOTS_MAY, ids=str)
def test_ways_that_robots_may_use(tags: dict[str, str]) -> None:
    rule = read_way(tags)
    assert isinstance(rule, WayRule)
    assert rule.why_not == ""


@pytest.mark.parametrize(("tags", "reason"), ROBOTS_MAY_NOT, ids=str)
def test_ways_for_people_and_not_for_robots(tags: dict[str, str], reason: str) -> None:
    rule = read_way(tags)
    assert isinstance(rule, WayRule)
    assert reason in rule.why_not


@pytest.mark.parametrize(("tags", "reason"), NOT_ON_FOOT, ids=str)
def test_ways_that_are_not_for_pedestrians(tags: dict[str, str], reason: str) -> None:
    rule = read_way(tags)
    assert isinstance(rule, str)
    assert reason in rule


def test_a_way_keeps_its_width_surface_and_kind() -> None:
    rule = read_way({"highway": "footway", "footway": "crossing", "width": "2.5", "surface": "paving_stones"})
    assert isinstance(rule, WayRule)
    assert (rule.kind, rule.width_m, rule.surface) == (WayKind.CROSSING, 2.5, "paving_stones")

"""Census tables by mesh, and how their persons are laid onto a region's own mesh."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from routing.errors import BadInput
from routing.region.census import Census, read_census
from routing.region.extent import Extent
from routing.region.mesh import decode_mesh
from routing.region.model import Population, Terrain
from routing.region.network import build_network
from routing.region.notes import ImportNotes, silent
from routing.region.osm import read_osm
from routing.region.population import read_population
from tests.map_kit import SmallMap, write_tif
from tests.shared_data import CENSUS_MESH, CENSUS_PREFECTURE, needs

HEADER = "KEY_CODE,HTKSYORI,HTKSAKI,GASSAN,T001100001,T001100002,T001100019,T001100022"
LABELS = ",,,,　人口（総数）,　人口（総数）　男,　６５歳以上人口　総数,　７５歳以上人口　総数"


def _table(folder: Path, *rows: str, name: str = "tblT001100S5338.txt", encoding: str = "cp932") -> Path:
    path = folder / name
    path.write_text("\r\n".join((HEADER, LABELS, *rows)) + "\r\n", encoding=encoding)
    return path


def _read(*files: Path, notes: ImportNotes | None = None) -> Census:
    return read_census(files, notes or ImportNotes())


def test_persons_and_bands_are_found_by_their_labels(tmp_path: Path) -> None:
    census = _read(_table(tmp_path, "53380060,0,,,40,20,12,5", "53380061,0,,,7,3,-,0"))
    assert census.persons.tolist() == [40, 7]
    assert {name: band.tolist() for name, band in census.bands.items()} == {"65+": [12, 0], "75+": [5, 0]}
    mesh = decode_mesh("53380060")
    assert (census.rows[0] / 960, 100 + census.columns[0] / 640) == pytest.approx((mesh.south, mesh.west))


@pytest.mark.parametrize("form", ["utf-8-sig", "zip", "tab"])
def test_tables_come_in_several_forms(tmp_path: Path, form: str) -> None:
    path = _table(tmp_path, "53380060,0,,,40,20,12,5", encoding="utf-8-sig" if form == "utf-8-sig" else "cp932")
    if form == "tab":
        path.write_bytes(path.read_bytes().replace(b",", b"\t"))
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
            archive.write(path, "T001100/tblT001100S5338.txt")
        path = tmp_path / "packed.zip"
    assert _read(path).bands["65+"].tolist() == [12]


def test_what_was_merged_for_secrecy_is_divided_again(tmp_path: Path) -> None:
    notes = ImportNotes()
    rows = ("53380060,1,,53380061;53380062,30,15,20,10", "53380061,2,53380060,,8,4,*,*", "53380062,2,53380060,,2,1,*,*")
    census = _read(_table(tmp_path, *rows), notes=notes)
    # Totals are each mesh's own; the sums of ages are divided by them.
    assert census.persons.tolist() == [30, 8, 2]
    assert census.bands["65+"].tolist() == pytest.approx([15, 4, 1])
    assert census.bands["75+"].sum() == pytest.approx(10)
    assert notes.counts["census meshes merged for secrecy"] == 2


def test_a_sum_that_is_elsewhere_is_estimated_and_said(tmp_path: Path) -> None:
    notes = ImportNotes()
    census = _read(_table(tmp_path, "53380060,0,,,90,50,45,9", "53380061,2,53370069,,8,4,*,*"), notes=notes)
    assert census.bands["65+"].tolist() == pytest.approx([45, 4])
    assert any("1 meshes were added to meshes that the files do not hold" in warning for warning in notes.warnings)


def test_a_mesh_on_a_border_is_put_together_from_prefectures_unless_a_table_has_it_whole(tmp_path: Path) -> None:
    west = _table(tmp_path, "53380060,0,,,30,15,3,1", "52380000,0,,,5,2,1,0", name="tblT001100S19.txt")
    east = _table(tmp_path, "53380060,0,,,12,6,3,1", "53390000,0,,,6,3,1,0", name="tblT001100S22.txt")
    whole = _table(tmp_path, "53380060,0,,,42,21,6,2", name="tblT001100S5338.txt")
    assert _read(west, east).persons.sum() == 42 + 5 + 6
    assert _read(west, east, whole).persons.sum() == 42 + 5 + 6
    assert _read(west, whole).persons.sum() == 42 + 5
    # The same table twice is no second table.
    assert _read(west, west).persons.sum() == 35


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "line 1: not a census table"),
        ("a,b\n1,2\n", "KEY_CODE is missing"),
        (f"{HEADER}\n53380060,0,,,40,20,12,5\n", "line 2: must label the columns"),
        (f"{HEADER}\n{LABELS.replace('人口（総数）', '世帯')}\n53380060,0,,,40,20,12,5\n", "line 2: no column"),
        (f"{HEADER}\n{LABELS}\n53380060,0,,,many,20,12,5\n", "line 3: column T001100001: 'many' is not a number"),
        (f"{HEADER}\n{LABELS}\n53380060,0,,,-4,20,12,5\n", "line 3: column T001100001"),
        (f"{HEADER}\n{LABELS}\n53380060,0,,,40\n", "line 3: 5 cells"),
        (f"{HEADER}\n{LABELS}\n5338006,0,,,40,20,12,5\n", "line 3: KEY_CODE: mesh code '5338006'"),
        (f"{HEADER}\n{LABELS}\n53380060,0,,,4,2,1,0\n53380060,0,,,4,2,1,0\n", "line 4: mesh 53380060 is there twice"),
        (f"{HEADER}\n{LABELS}\n", "there is no mesh in it"),
        (f"{HEADER}\n{LABELS}\n53380060,0,,,4,2,1,0\n533800611,0,,,4,2,1,0\n", "of one size"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_place(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "table.txt"
    path.write_text(content, encoding="cp932")
    with pytest.raises(BadInput, match=reason) as caught:
        _read(path)
    assert "table.txt" in str(caught.value) or "one size" in reason


@pytest.mark.parametrize("content", [b"\x80\x81\xff\x00\x83", b"PK\x03\x04 no zip"])
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("broken.zip" if content.startswith(b"PK") else "broken.txt")
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"--population .*broken"):
        _read(path)
    with pytest.raises(BadInput, match="cannot be read"):
        _read(tmp_path / "missing.txt")


@needs(CENSUS_MESH, CENSUS_PREFECTURE)
def test_a_prefecture_has_the_population_that_was_published() -> None:
    notes = ImportNotes()
    census = _read(CENSUS_PREFECTURE, notes=notes)
    # The census of 2020: 809,974 in Yamanashi; ages unknown are in no band.
    assert census.persons.sum() == 809_974
    assert 0.29 < census.bands["65+"].sum() / census.persons.sum() < 0.32
    assert census.bands["75+"].sum() < census.bands["65+"].sum()
    known = sum(census.bands[name].sum() for name in ("0-14", "15-64", "65+"))
    assert 0.97 < known / census.persons.sum() < 1.0
    both = _read(CENSUS_PREFECTURE, CENSUS_MESH)
    assert both.persons.sum() > _read(CENSUS_MESH).persons.sum()
    assert notes.warnings == []


# A third-order mesh near Kofu: 924 m high, 1,132 m wide.
MESH = decode_mesh("53382560")


def _laid(
    folder: Path, small: SmallMap, extent: Extent, *rows: str, notes: ImportNotes | None = None
) -> tuple[Population, SmallMap]:
    data = read_osm(small.write(folder / "map.osm.pbf"), extent, ImportNotes(), silent)
    flat = Terrain(-3_000.0, -3_000.0, 3_000.0, np.zeros((3, 3), dtype=np.float32), "test", 1.0)
    network = build_network(data, extent.frame, flat, ImportNotes())
    return read_population([_table(folder, *rows)], data, network, extent.frame, notes or ImportNotes()), small


def _map() -> tuple[SmallMap, Extent]:
    """A map around the mesh and a little more; a track, which is no street, crosses it all."""
    small = SmallMap((MESH.south + MESH.north) / 2, (MESH.west + MESH.east) / 2)
    small.way([(-900, -400), (900, 400)], {"highway": "track", "tracktype": "grade1"})
    return small, small.extent(1_000.0)


def _cell(population: Population, extent: Extent, small: SmallMap, east: float, north: float) -> tuple[int, int]:
    x, y = extent.frame.to_local(small.frame.to_global(east, north))
    return int((y - population.south_m) // population.step_m), int((x - population.west_m) // population.step_m)


def test_persons_live_in_the_buildings_of_their_mesh(tmp_path: Path) -> None:
    small, extent = _map()
    small.area((300.0, 200.0), 10.0, {"building": "house"})
    small.area((-300.0, -200.0), 5.0, {"building": "yes"})
    small.area((-300.0, 200.0), 15.0, {"building": "garage"})
    population, _ = _laid(tmp_path, small, extent, "53382560,0,,,50,25,20,10")
    # 400 m2 and 100 m2 of homes.
    assert population.persons[_cell(population, extent, small, 300, 200)] == pytest.approx(40, abs=0.1)
    assert population.persons[_cell(population, extent, small, -300, -200)] == pytest.approx(10, abs=0.1)
    assert population.persons.sum() == pytest.approx(50, abs=0.1)
    bands = dict(population.bands)
    assert bands["65+"].sum() == pytest.approx(20, abs=0.1)
    assert bands["75+"][_cell(population, extent, small, 300, 200)] == pytest.approx(8, abs=0.1)


def test_without_buildings_they_live_along_the_streets(tmp_path: Path) -> None:
    small, extent = _map()
    corner = small.node(250, 180)
    small.way([corner, (350, 180)], {"highway": "residential"})
    small.way([corner, (-900, -300)], {"highway": "track", "tracktype": "grade1"})
    population, _ = _laid(tmp_path, small, extent, "53382560,0,,,50,25,20,10")
    assert population.persons[_cell(population, extent, small, 300, 180)] == pytest.approx(50, abs=0.1)


def test_without_either_they_live_all_over_it(tmp_path: Path) -> None:
    small, extent = _map()
    population, _ = _laid(tmp_path, small, extent, "53382560,0,,,144,72,20,10")
    inhabited = population.persons[population.persons > 0]
    assert population.persons.sum() == pytest.approx(144, abs=0.5)
    assert len(inhabited) >= 16
    assert population.persons[_cell(population, extent, small, 700, 0)] == 0


def test_of_a_mesh_that_the_extent_cuts_the_part_inside_counts(tmp_path: Path) -> None:
    small, extent = _map()
    east = decode_mesh("53382561")
    half = Extent(extent.south, extent.west, extent.north, (east.west + east.east) / 2)
    small.area((300.0, 200.0), 10.0, {"building": "house"})
    population, _ = _laid(tmp_path, small, half, "53382560,0,,,50,25,20,10", "53382561,0,,,80,40,8,4")
    assert population.persons.sum() == pytest.approx(50 + 40, abs=0.5)


def test_tables_of_another_place_are_refused(tmp_path: Path) -> None:
    small, extent = _map()
    with pytest.raises(BadInput, match="no mesh of these files lies in"):
        _laid(tmp_path, small, extent, "64410000,0,,,50,25,20,10")


def test_elsewhere_a_raster_of_persons_does(tmp_path: Path) -> None:
    small = SmallMap(42.5, 1.5)
    small.way([(-900, 0), (900, 0)], {"highway": "residential"})
    extent = small.extent(1_000.0)
    middle = small.frame.origin

    def one_village(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
        near = (np.abs(lat - middle.lat) < 1 / 1200) & (np.abs(lon - middle.lon) < 1 / 1200)
        return np.where(near, 25.0, np.where(lat > middle.lat + 0.005, np.nan, 0.0))

    raster = write_tif(tmp_path / "persons.tif", extent, one_village)
    data = read_osm(small.write(tmp_path / "map.osm.pbf"), extent, ImportNotes(), silent)
    flat = Terrain(-3_000.0, -3_000.0, 3_000.0, np.zeros((3, 3), dtype=np.float32), "test", 1.0)
    network = build_network(data, extent.frame, flat, ImportNotes())
    population = read_population([raster], data, network, extent.frame, ImportNotes())
    assert population.persons.sum() % 25 == pytest.approx(0, abs=0.5)
    assert population.persons.sum() >= 25
    row, column = _cell(population, extent, small, 0.0, 0.0)
    around = population.persons[row - 1 : row + 2, column - 1 : column + 2]
    assert around.sum() == pytest.approx(population.persons.sum(), abs=0.1)
    table = _table(tmp_path, "53382560,0,,,50,25,20,10")
    with pytest.raises(BadInput, match="not both"):
        read_population([raster, table], data, network, extent.frame, ImportNotes())
    far = write_tif(tmp_path / "far.tif", SmallMap(44.0, 5.0).extent(1_000.0), one_village)
    with pytest.raises(BadInput, match=r"far\.tif: does not reach"):
        read_population([far], data, network, extent.frame, ImportNotes())
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\x00 cut")
    with pytest.raises(BadInput, match="not a GeoTIFF"):
        read_population([broken], data, network, extent.frame, ImportNotes())

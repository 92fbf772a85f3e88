"""Terrain from elevation files: formats, priority, voids, what is missing, and what the heights are measured from."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from routing.errors import BadInput
from routing.geo import LocalFrame, Position
from routing.region.dem_files import dem_files
from routing.region.elevation import read_terrain
from routing.region.extent import Extent
from routing.region.jpgis import read_tile
from routing.region.model import Terrain
from routing.region.notes import ImportNotes, silent
from tests.map_kit import flat, gml_tile, write_hgt, write_tif
from tests.shared_data import ANDORRA_DEM, JAPAN_DEM, JAPAN_GML, needs

EXTENT = Extent(42.48, 1.48, 42.52, 1.53)

_Array = npt.NDArray[np.float64]


def _plane(lat: _Array, lon: _Array) -> _Array:
    """Metres that differ in both directions, whole at no particular place."""
    return 1_000.0 + 8_000.0 * (lat - 42.0) + 3_000.0 * (lon - 1.0)


def _terrain(files: Sequence[Path], extent: Extent = EXTENT, notes: ImportNotes | None = None) -> Terrain:
    return read_terrain(dem_files(files), extent, extent.frame, notes or ImportNotes(), silent)


def _lat_lon(terrain: Terrain, frame: LocalFrame) -> tuple[_Array, _Array]:
    rows, columns = terrain.heights.shape
    places = [frame.to_global(terrain.west_m + terrain.step_m * i, 0.0) for i in range(columns)]
    lon = np.array([place.lon for place in places])
    lat = np.array([frame.to_global(0.0, terrain.south_m + terrain.step_m * i).lat for i in range(rows)])
    return lat[:, None], lon[None, :]


def _error_m(terrain: Terrain, extent: Extent = EXTENT) -> float:
    """Greatest difference to the plane."""
    return float(np.abs(terrain.heights - _plane(*_lat_lon(terrain, extent.frame))).max())


@pytest.mark.parametrize("side", [1201, 3601])
def test_srtm_heights_are_where_they_belong(tmp_path: Path, side: int) -> None:
    terrain = _terrain([write_hgt(tmp_path, 42, 1, _plane, side=side)])
    # Half a metre of rounding in the file, and the grid's decimetre.
    assert _error_m(terrain) < 0.7
    assert terrain.datum == "EGM96 geoid (SRTM)"
    assert terrain.error_m == 16.0
    assert terrain.step_m == {1201: 68.0, 3601: 23.0}[side]


def test_the_terrain_covers_the_extent(tmp_path: Path) -> None:
    terrain = _terrain([write_hgt(tmp_path, 42, 1, _plane)])
    width_m, height_m = EXTENT.size_m
    assert terrain.east_m - terrain.west_m == pytest.approx(width_m, abs=terrain.step_m)
    assert terrain.north_m - terrain.south_m == pytest.approx(height_m, abs=terrain.step_m)
    assert terrain.west_m == -terrain.east_m


def test_southern_and_western_tiles(tmp_path: Path) -> None:
    extent = Extent(-33.55, -70.55, -33.50, -70.50)
    terrain = _terrain([write_hgt(tmp_path, -34, -71, _plane_at(extent))], extent)
    lat, lon = _lat_lon(terrain, extent.frame)
    assert np.abs(terrain.heights - _plane_at(extent)(lat, lon)).max() < 0.7


def _plane_at(extent: Extent):  # type: ignore[no-untyped-def]  # a function of two arrays
    return lambda lat, lon: 500.0 + 4_000.0 * (lat - extent.south) + 2_000.0 * (lon - extent.west)


def test_a_zip_holds_the_same_heights(tmp_path: Path) -> None:
    plain = write_hgt(tmp_path, 42, 1, _plane)
    packed = tmp_path / "N42E001.hgt.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(plain, "tiles/N42E001.hgt")
    assert _terrain([packed]) == _terrain([plain])


@pytest.mark.parametrize(
    ("dtype", "nodata", "crs"),
    [("float32", -9999.0, "EPSG:4326"), ("int16", None, "EPSG:4326"), ("float64", float("nan"), "EPSG:6668")],
)
def test_geotiffs_in_degrees(tmp_path: Path, dtype: str, nodata: float | None, crs: str) -> None:
    path = write_tif(tmp_path / "dem.tif", EXTENT, _plane, dtype=dtype, nodata=nodata, crs=crs)
    notes = ImportNotes()
    terrain = _terrain([path], notes=notes)
    assert _error_m(terrain) < 1.1
    assert terrain.datum == "unknown: assumed EGM96 geoid"
    assert any("does not name the datum" in warning for warning in notes.warnings)


def test_a_geotiff_on_another_projection(tmp_path: Path) -> None:
    import rasterio
    from rasterio.warp import Resampling, calculate_default_transform, reproject

    source = write_tif(tmp_path / "degrees.tif", Extent(42.46, 1.46, 42.54, 1.55), _plane)
    with rasterio.open(source) as given:
        transform, width, height = calculate_default_transform(
            given.crs, "EPSG:32631", given.width, given.height, *given.bounds, resolution=30
        )
        profile = given.profile | {"crs": "EPSG:32631", "transform": transform, "width": width, "height": height}
        with rasterio.open(tmp_path / "utm.tif", "w", **profile) as made:
            reproject(
                rasterio.band(given, 1), rasterio.band(made, 1), dst_nodata=-9999.0, resampling=Resampling.bilinear
            )
    terrain = _terrain([tmp_path / "utm.tif"])
    assert terrain.step_m == 30.0
    assert _error_m(terrain) < 1.5


def test_the_vertical_datum_of_a_geotiff_is_recorded(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "dem.tif", EXTENT, _plane, crs="EPSG:4326+3855")
    notes = ImportNotes()
    assert _terrain([path], notes=notes).datum == "EGM2008 height"
    assert not any("datum" in warning for warning in notes.warnings)


def test_heights_in_feet_become_metres(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "dem.tif", EXTENT, lambda lat, lon: _plane(lat, lon) / 0.3048, unit="ft")
    assert _error_m(_terrain([path])) < 1.0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"crs": None}, "does not say where on the earth it lies"),
        ({"crs": "EPSG:4979"}, "heights over the ellipsoid"),
        ({"unit": "fathom"}, "heights in 'fathom'; metres or feet"),
    ],
)
def test_geotiffs_that_cannot_be_used(tmp_path: Path, options: dict[str, str | None], reason: str) -> None:
    path = write_tif(tmp_path / "dem.tif", EXTENT, _plane, **options)  # type: ignore[arg-type]  # named options
    with pytest.raises(BadInput, match=reason):
        _terrain([path])


def test_voids_are_filled_from_their_rim_and_counted(tmp_path: Path) -> None:
    def holed(lat: _Array, lon: _Array) -> _Array:
        hole = np.hypot(lat - 42.5, lon - 1.505) < 0.004
        return np.where(hole, np.nan, _plane(lat, lon))

    notes = ImportNotes()
    terrain = _terrain([write_hgt(tmp_path, 42, 1, holed)], notes=notes)
    assert notes.skipped["void elevation cells in N42E001.hgt"] == pytest.approx(np.pi * 4.8**2, abs=8)
    assert notes.counts["terrain cells filled"] > 20
    assert _error_m(terrain) < 1.5


def test_voids_at_the_edge_are_filled_from_the_nearest(tmp_path: Path) -> None:
    def holed(lat: _Array, lon: _Array) -> _Array:
        return np.where(lon > 1.52, np.nan, 700.0 + 0 * lat)

    notes = ImportNotes()
    terrain = _terrain([write_hgt(tmp_path, 42, 1, holed)], notes=notes)
    assert np.allclose(terrain.heights, 700.0)
    assert any("of the terrain had no height and was filled in" in warning for warning in notes.warnings)


def test_nonsense_heights_are_voids(tmp_path: Path) -> None:
    def spiked(lat: _Array, lon: _Array) -> _Array:
        return np.where(np.hypot(lat - 42.5, lon - 1.505) < 0.002, 32_767.0, 700.0 + 0 * lat)

    assert np.allclose(_terrain([write_hgt(tmp_path, 42, 1, spiked)]).heights, 700.0)


def test_mostly_void_is_refused(tmp_path: Path) -> None:
    def holed(lat: _Array, lon: _Array) -> _Array:
        return np.where(lat < 42.51, np.nan, 700.0 + 0 * lat)

    with pytest.raises(BadInput, match=r"7\d % of the extent is void"):
        _terrain([write_hgt(tmp_path, 42, 1, holed)])


def test_the_first_file_with_a_height_wins(tmp_path: Path) -> None:
    def eastern(lat: _Array, lon: _Array) -> _Array:
        return np.where(lon > 1.505, 2_000.0 + 0 * lat, np.nan)

    first = write_tif(tmp_path / "first.tif", EXTENT, eastern)
    second = write_hgt(tmp_path, 42, 1, flat)
    notes = ImportNotes()
    terrain = _terrain([first, second], notes=notes)
    width = terrain.heights.shape[1]
    assert np.all(terrain.heights[:, : width // 2 - 2] == 1_000.0)
    assert np.all(terrain.heights[:, width // 2 + 2 :] == 2_000.0)
    assert terrain.datum == "unknown: assumed EGM96 geoid; EGM96 geoid (SRTM)"
    assert any("different datums" in warning for warning in notes.warnings)
    assert np.all(_terrain([second, first]).heights == 1_000.0)


def test_tiles_join_without_a_seam(tmp_path: Path) -> None:
    extent = Extent(41.97, 1.97, 42.03, 2.03)
    files = [write_hgt(tmp_path, south, west, _plane) for south in (41, 42) for west in (1, 2)]
    assert _error_m(_terrain(files, extent), extent) < 0.8


def test_a_folder_of_tiles(tmp_path: Path) -> None:
    extent = Extent(41.97, 1.48, 42.03, 1.53)
    for south in (41, 42):
        write_hgt(tmp_path, south, 1, _plane)
    (tmp_path / "readme.txt").write_text("not a tile")
    assert _error_m(_terrain([tmp_path], extent), extent) < 0.8


def test_what_no_file_covers_is_named(tmp_path: Path) -> None:
    tile = write_hgt(tmp_path, 42, 1)
    with pytest.raises(BadInput) as error:
        _terrain([tile], Extent(42.90, 1.48, 43.10, 1.60))
    text = str(error.value)
    assert "49.8 % of the extent has no elevation file: within 43.00" in text
    assert "or --bbox within 42.90" in text


def test_a_file_elsewhere_is_said_and_alone_refused(tmp_path: Path) -> None:
    here, there = write_hgt(tmp_path, 42, 1), write_hgt(tmp_path, 10, 20)
    notes = ImportNotes()
    _terrain([there, here], notes=notes)
    assert notes.warnings == ["--dem N10E020.hgt does not reach the extent and was not used"]
    with pytest.raises(BadInput, match="no file covers any part of"):
        _terrain([there])


def test_no_elevation_at_all_names_the_option() -> None:
    with pytest.raises(BadInput, match="give --dem F"):
        dem_files([])


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("N42E001.hgt", b"too short", "9 bytes"),
        ("height.hgt", b"\0" * 2_884_802, "the name of an .hgt file says where it lies"),
        ("N42E001.hgt.zip", b"no zip", "a damaged zip file"),
        ("dem.tif", b"no tif", "not a GeoTIFF, or damaged"),
        ("dem.xml", b"<html>", "not a JPGIS"),
        ("dem.asc", b"1 2 3", "give .hgt"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=reason):
        _terrain([tmp_path / name])


def test_a_missing_file_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.tif: there is no such file"):
        _terrain([tmp_path / "nowhere.tif"])
    with pytest.raises(BadInput, match="no elevation files in this folder"):
        _terrain([tmp_path])


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.99])
def test_a_cut_zip_is_refused(tmp_path: Path, keep: float) -> None:
    packed = tmp_path / "N42E001.hgt.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(write_hgt(tmp_path, 42, 1, _plane), "N42E001.hgt")
    whole = packed.read_bytes()
    packed.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(BadInput, match="a damaged zip file"):
        _terrain([packed])


def test_a_zip_with_a_flipped_byte_or_nothing_in_it_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "N42E001.hgt.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(write_hgt(tmp_path, 42, 1, _plane), "N42E001.hgt")
    damaged = bytearray(packed.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    packed.write_bytes(damaged)
    with pytest.raises(BadInput, match="a damaged zip file"):
        _terrain([packed])
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(BadInput, match=r"no \.hgt and no JPGIS"):
        _terrain([packed])


def test_a_cut_geotiff_is_refused(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "dem.tif", EXTENT, _plane)
    path.write_bytes(path.read_bytes()[:-1_000])
    with pytest.raises(BadInput, match="not a GeoTIFF, or damaged"):
        _terrain([path])


MESH = Extent(35.2502, 138.5002, 35.2564, 138.5122)


def _gml_plane(south: float, west: float) -> _Array:
    lat = south + 1 / 150 * (1 - (np.arange(150) + 0.5) / 150)
    lon = west + 1 / 80 * (np.arange(225) + 0.5) / 225
    return np.asarray(300 + 9_000 * (lat[:, None] - 35.25) + 2_000 * (lon[None, :] - 138.5))


def test_japanese_tiles_are_read_from_their_north_west(tmp_path: Path) -> None:
    path = tmp_path / "FG-GML-5238-74-00-DEM5A.xml"
    path.write_text(gml_tile(35.25, 138.5, _gml_plane(35.25, 138.5)), encoding="utf-8")
    terrain = _terrain([path], MESH)
    lat, lon = _lat_lon(terrain, MESH.frame)
    assert np.abs(terrain.heights - (300 + 9_000 * (lat - 35.25) + 2_000 * (lon - 138.5))).max() < 0.5
    assert terrain.datum == "JGD2011 vertical (T.P.)"
    assert terrain.step_m == 10.0


def test_japanese_tiles_in_a_zip_with_missing_heights(tmp_path: Path) -> None:
    heights = _gml_plane(35.25, 138.5)
    heights[60:70, 100:110] = np.nan
    packed = tmp_path / "FG-GML-5238-74-DEM5A.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("FG-GML-5238-74-00-DEM5A.xml", gml_tile(35.25, 138.5, heights, start=40))
        archive.writestr("fmdid15-3101-metadata.xml", "<metadata/>")
    notes = ImportNotes()
    terrain = _terrain([packed], MESH, notes)
    lat, lon = _lat_lon(terrain, MESH.frame)
    assert np.abs(terrain.heights - (300 + 9_000 * (lat - 35.25) + 2_000 * (lon - 138.5))).max() < 0.5
    assert notes.skipped["void elevation cells in FG-GML-5238-74-00-DEM5A.xml"] >= 100


@pytest.mark.parametrize(
    ("old", "new"),
    [("<gml:high>224 149", "<gml:high>20 10"), ("地表面,300", "地表面,abc"), ("138.5</gml:lower", "1e9</gml:lower")],
)
def test_damaged_japanese_tiles_are_refused(tmp_path: Path, old: str, new: str) -> None:
    text = gml_tile(35.25, 138.5, _gml_plane(35.25, 138.5))
    assert old in text
    (tmp_path / "dem.xml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(BadInput, match=r"--dem dem\.xml"):
        _terrain([tmp_path / "dem.xml"], MESH)


@pytest.mark.parametrize("order", ["+x-y", "+x+y", "-x-y", "-x+y"])
def test_japanese_tiles_in_other_sequences_are_turned(tmp_path: Path, order: str) -> None:
    heights = _gml_plane(35.25, 138.5)
    turned = heights[:: 1 if order[2] == "-" else -1, :: 1 if order[0] == "+" else -1]
    text = gml_tile(35.25, 138.5, turned).replace('order="+x-y"', f'order="{order}"')
    tile = read_tile("FG-GML-5238-74-00-DEM5A.xml", text.encode())
    assert tile.heights == pytest.approx(heights, abs=0.01)


def test_a_sequence_by_columns_is_refused() -> None:
    text = gml_tile(35.25, 138.5, _gml_plane(35.25, 138.5)).replace('order="+x-y"', 'order="-y+x"')
    with pytest.raises(BadInput, match=r"tile\.xml.*sequence '-y\+x'"):
        read_tile("tile.xml", text.encode())


def test_the_sea_is_level_and_other_missing_heights_are_void() -> None:
    heights = _gml_plane(35.25, 138.5)
    text = gml_tile(35.25, 138.5, heights)
    first, second = (f"地表面,{height:.2f}" for height in heights.ravel()[:2])
    text = text.replace(first, "海水面,-9999.", 1).replace(second, "内水面,-9999.", 1)
    tile = read_tile("tile.xml", text.encode())
    assert tile.heights[0, 0] == 0.0
    assert np.isnan(tile.heights[0, 1])
    assert np.isnan(tile.heights).sum() == 1


@pytest.mark.parametrize(
    ("name", "reference", "datum", "error_m"),
    [
        ("FG-GML-5238-74-00-DEM5A-20161001.xml", "jgd2011.bl", "JGD2011 vertical (T.P.)", 1.2),
        ("FG-GML-5238-74-00-DEM1A-20250401.xml", "jgd2024.bl", "JGD2024 vertical (T.P.)", 0.5),
        ("FG-GML-5238-74-00-DEM5C-20210101.xml", "jgd2011.bl", "JGD2011 vertical (T.P.)", 2.3),
        ("FG-GML-5238-74-dem10b-20090201.xml", "JGD2000.bl", "JGD2000 vertical (T.P.)", 8.2),
        ("tile.xml", "jgd2011.bl", "JGD2011 vertical (T.P.)", 1.2),
    ],
)
def test_japanese_tiles_say_their_datum_and_product(name: str, reference: str, datum: str, error_m: float) -> None:
    text = gml_tile(35.25, 138.5, _gml_plane(35.25, 138.5)).replace("jgd2011.bl", reference)
    tile = read_tile(name, text.encode())
    assert (tile.datum, tile.error_m) == (datum, error_m)


def test_of_a_pack_of_tiles_those_in_the_extent_are_read_and_the_better_survey_lies_on_top(tmp_path: Path) -> None:
    fine, coarse = io.BytesIO(), io.BytesIO()
    holed = _gml_plane(35.25, 138.5)
    holed[40:90, 60:150] = np.nan
    with zipfile.ZipFile(fine, "w") as archive:
        archive.writestr("FG-GML-5238-74-00-DEM5A-20161001.xml", gml_tile(35.25, 138.5, holed))
        archive.writestr("FG-GML-5238-74-99-DEM5A-20161001.xml", "not read: it lies elsewhere")
    with zipfile.ZipFile(coarse, "w") as archive:
        raised = _gml_plane(35.25, 138.5) + 7.0
        archive.writestr("FG-GML-5238-74-DEM10B-20161001.xml", gml_tile(35.25, 138.5, raised))
    with zipfile.ZipFile(tmp_path / "PackDLMap.zip", "w") as archive:
        # By their names alone the coarse ones would come first.
        archive.writestr("FG-GML-5238-74-A-DEM10B.zip", coarse.getvalue())
        archive.writestr("FG-GML-5238-74-DEM5A.zip", fine.getvalue())
        archive.writestr("FG-GML-6441-00-DEM5A.zip", "not opened: it lies elsewhere")
    terrain = _terrain([tmp_path / "PackDLMap.zip"], MESH)
    lat, lon = _lat_lon(terrain, MESH.frame)
    above = terrain.heights - (300 + 9_000 * (lat - 35.25) + 2_000 * (lon - 138.5))
    rows, columns = above.shape
    assert above[2, 2] == pytest.approx(0, abs=0.5)
    assert above[rows - rows * 65 // 150, columns * 105 // 225] == pytest.approx(7, abs=0.5)
    assert terrain.error_m == 8.2


@needs(ANDORRA_DEM)
def test_the_elevation_of_andorra() -> None:
    extent = Extent(42.43, 1.41, 42.66, 1.79)
    notes = ImportNotes()
    terrain = _terrain([ANDORRA_DEM], extent, notes)
    # Coma Pedrosa 2,942 m in the west, the border at the Valira 840 m in the south.
    assert 2_850 <= terrain.heights.max() <= 2_960
    assert 780 <= terrain.heights.min() <= 860
    assert notes.skipped["void elevation cells in N42E001.hgt"] == pytest.approx(291, abs=60)
    town = extent.frame.to_local(Position(42.5069, 1.5218))
    assert float(terrain.height_m(*town)) == pytest.approx(1_023, abs=25)


@needs(JAPAN_DEM, JAPAN_GML)
def test_two_surveys_of_the_same_japanese_hill_agree() -> None:
    extent = Extent(35.2505, 138.501, 35.258, 138.512)
    laser, radar = _terrain([JAPAN_GML], extent), _terrain([JAPAN_DEM], extent)
    east, north = np.meshgrid(np.linspace(-400, 400, 40), np.linspace(-300, 300, 40))
    differences = radar.height_m(east, north) - laser.height_m(east, north)
    assert abs(float(np.median(differences))) < 16
    assert (laser.error_m, radar.error_m) == (1.2, 16.0)

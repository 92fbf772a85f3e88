"""Elevation files as they come: SRTM ``.hgt`` and ``.hgt.zip``, GeoTIFF, and Japan's JPGIS (GML) tiles.

Each becomes a ``DemRaster``: heights with NaN where there is none, and how its pixels lie on the earth.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
import rasterio.errors
import rasterio.warp
import rasterio.windows
from rasterio.enums import Resampling
from rasterio.transform import Affine

from routing.errors import BadInput
from routing.region.extent import Extent
from routing.region.jpgis import finest_first, may_meet, read_tile

MAX_PIXELS = 40_000_000
"""A GeoTIFF with more pixels in the extent is read at a lower resolution."""

MAX_ZIP_BYTES = 400 * 2**20
MAX_TILES = 400
"""Bounds of what one zip file may unpack to, and of the files that may be given."""

LOWEST_M, HIGHEST_M = -500.0, 9_000.0
"""Heights outside these are voids, whatever the file calls them (Dead Sea -430 m, Everest 8,849 m)."""

SRTM_ERROR_M = 16.0
"""Vertical error of SRTM, 90 %: the mission's specification (Farr et al. 2007, Reviews of Geophysics 45, RG2004)."""

_SUFFIXES = (".hgt", ".zip", ".tif", ".tiff", ".xml")

EGM96 = "EGM96 geoid (SRTM)"
ASSUMED_EGM96 = "unknown: assumed EGM96 geoid"

_FEET = {"ft": 0.3048, "foot": 0.3048, "feet": 0.3048, "us-ft": 0.304800609601219, "us survey foot": 0.304800609601219}
_METRES = {"", "m", "metre", "meter", "metres", "meters"}

Heights = npt.NDArray[np.float32]
_Number = TypeVar("_Number", float, npt.NDArray[np.float64])


@dataclass(frozen=True, slots=True)
class DemRaster:
    """Heights AMSL in metres, NaN where there is none; ``transform`` (of pixels' corners) and ``crs`` are rasterio's.

    ``spacing_m`` is the distance of pixels where they are closest. ``error_m`` is None when the file does not say.
    """

    name: str
    values: Heights
    transform: Affine
    crs: object
    datum: str
    spacing_m: float
    error_m: float | None

    def __post_init__(self) -> None:
        with np.errstate(invalid="ignore"):
            bad = ~((self.values > LOWEST_M) & (self.values < HIGHEST_M))
        self.values[bad] = np.nan


def dem_files(given: Sequence[Path]) -> list[Path]:
    """Return the files given, and those in folders, the finest of Japan's products first.

    Raises ``BadInput`` where there are none.
    """
    if not given:
        raise BadInput("an elevation file is needed: give --dem F (SRTM .hgt or .hgt.zip, GeoTIFF, or JPGIS GML)")
    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [file for file in path.iterdir() if file.name.lower().endswith(_SUFFIXES)]
        if not inside:
            raise BadInput(f"--dem {path}: no elevation files in this folder ({', '.join(_SUFFIXES)})")
        found += sorted(inside, key=lambda file: finest_first(file.name))
    if len(found) > MAX_TILES:
        raise BadInput(f"--dem: {len(found)} files; at most {MAX_TILES}")
    return found


def read_dem(path: Path, extent: Extent) -> list[DemRaster]:
    """Read the part of a file that an extent needs, as one raster or as many; none when they do not meet.

    Raises ``BadInput`` when the file is missing, damaged, or of a kind that is not read.
    """
    if not path.is_file():
        raise BadInput(f"--dem {path}: there is no such file")
    reader = _reader_of(path)
    try:
        return [raster for raster in reader(path, extent) if raster.values.size]
    except OSError as error:
        raise BadInput(f"--dem {path}: cannot be read: {error.strerror or error}") from error


def _reader_of(path: Path) -> Callable[[Path, Extent], Iterator[DemRaster]]:
    name = path.name.lower()
    if name.endswith(".zip"):
        return _zip
    if name.endswith(".hgt"):
        return lambda path, extent: _hgt(path.name, path.read_bytes(), extent)
    if name.endswith(".xml"):
        return lambda path, extent: _gml(path.name, path.read_bytes(), extent)
    if name.endswith((".tif", ".tiff")):
        return _geotiff
    raise BadInput(f"--dem {path}: give .hgt, .hgt.zip, .tif, or Japan's JPGIS (GML) .xml or .zip")


def _zip(path: Path, extent: Extent) -> Iterator[DemRaster]:
    """The tiles inside a zip file, also in zip files inside it, the finest products first, by their names."""
    try:
        with zipfile.ZipFile(path) as archive:
            tiles = list(_members(path, archive, extent))
            for name, read in sorted(tiles, key=lambda tile: finest_first(tile[0])):
                yield from (_hgt if name.lower().endswith(".hgt") else _gml)(name, read(), extent)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"--dem {path}: a damaged zip file: {error}") from error


def _members(path: Path, archive: zipfile.ZipFile, extent: Extent) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The tiles of an archive that may meet an extent, with how to read each; raises ``BadInput`` for too much."""
    names = _tile_entries(archive)
    inner = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".zip")]
    if sum(entry.file_size for entry in inner) > MAX_ZIP_BYTES:
        raise BadInput(f"--dem {path}: too much in one zip file; give fewer tiles")
    found = [(archive, entry) for entry in names]
    for entry in inner:
        if may_meet(entry.filename, extent):
            packed = zipfile.ZipFile(io.BytesIO(archive.read(entry)))
            found += [(packed, each) for each in _tile_entries(packed)]
    if not found and not inner:
        raise BadInput(f"--dem {path}: no .hgt and no JPGIS .xml in it")
    found = [(source, entry) for source, entry in found if may_meet(entry.filename, extent)]
    if len(found) > MAX_TILES or sum(entry.file_size for _, entry in found) > MAX_ZIP_BYTES:
        raise BadInput(f"--dem {path}: too much in one zip file; give fewer tiles")
    for source, entry in found:
        yield entry.filename.rsplit("/", 1)[-1], partial(source.read, entry)


def _tile_entries(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    tiles = [entry for entry in archive.infolist() if entry.filename.lower().endswith((".hgt", ".xml"))]
    return [entry for entry in tiles if "__MACOSX" not in entry.filename and "metadata" not in entry.filename.lower()]


def pixels_at(transform: Affine, x: _Number, y: _Number) -> tuple[_Number, _Number]:
    """Column and row, from the corner of the first pixel, of a place or of many."""
    inverse = ~transform
    return x * inverse.a + y * inverse.b + inverse.c, x * inverse.d + y * inverse.e + inverse.f


def part_of(transform: Affine, column: float, row: float, width: float = 1.0, height: float = 1.0) -> Affine:
    """The transform of a part that begins at a column and row, with pixels of so many of the whole's."""
    t = transform
    east, north = t.a * column + t.b * row + t.c, t.d * column + t.e * row + t.f
    return Affine(t.a * width, t.b * height, east, t.d * width, t.e * height, north)


def _cut(extent: Extent, transform: Affine, values: Heights) -> tuple[Heights, Affine]:
    """The pixels of a raster in degrees that an extent needs, with two around it."""
    rows, columns = values.shape
    left, top = pixels_at(transform, extent.west, extent.north)
    right, bottom = pixels_at(transform, extent.east, extent.south)
    x0, x1 = max(0, math.floor(left) - 2), min(columns, math.ceil(right) + 2)
    y0, y1 = max(0, math.floor(top) - 2), min(rows, math.ceil(bottom) + 2)
    if x0 >= x1 or y0 >= y1:
        return values[:0, :0], transform
    return values[y0:y1, x0:x1].copy(), part_of(transform, x0, y0)


def _spacing_m(extent: Extent, transform: Affine) -> float:
    """Least distance of pixels of a raster in degrees."""
    frame = extent.frame
    corner = frame.to_global(1.0, 1.0)
    per_lon, per_lat = corner.lon - frame.origin.lon, corner.lat - frame.origin.lat
    return float(min(abs(transform.a) / per_lon, abs(transform.e) / per_lat))


def _hgt(name: str, content: bytes, extent: Extent) -> Iterator[DemRaster]:
    """SRTM: big-endian 16-bit metres, points on whole arc seconds, edges shared with the next tile (USGS, 2015)."""
    corner = re.match(r"([NS])(\d{2})([EW])(\d{3})", name.upper())
    if corner is None:
        raise BadInput(f"--dem {name}: the name of an .hgt file says where it lies, such as N42E001.hgt")
    side = math.isqrt(len(content) // 2)
    if side not in (1201, 3601) or len(content) != 2 * side * side:
        raise BadInput(
            f"--dem {name}: {len(content)} bytes; 2,884,802 (3 arc seconds) or 25,934,402 (1 arc second) are whole"
        )
    south = int(corner[2]) * (1 if corner[1] == "N" else -1)
    west = int(corner[4]) * (1 if corner[3] == "E" else -1)
    step = 1.0 / (side - 1)
    transform = Affine(step, 0.0, west - step / 2, 0.0, -step, south + 1 + step / 2)
    values = np.frombuffer(content, dtype=">i2").reshape(side, side).astype(np.float32)
    values, transform = _cut(extent, transform, values)
    yield DemRaster(name, values, transform, "EPSG:4326", EGM96, _spacing_m(extent, transform), SRTM_ERROR_M)


def _gml(name: str, content: bytes, extent: Extent) -> Iterator[DemRaster]:
    """JPGIS (GML) of Japan's Geospatial Information Authority (``routing.region.jpgis``)."""
    tile = read_tile(name, content)
    (rows, columns), corners = tile.heights.shape, tile.extent
    width, height = (corners.east - corners.west) / columns, (corners.north - corners.south) / rows
    transform = Affine(width, 0.0, corners.west, 0.0, -height, corners.north)
    cut, transform = _cut(extent, transform, tile.heights)
    yield DemRaster(name, cut, transform, "EPSG:6668", tile.datum, _spacing_m(extent, transform), tile.error_m)


def _geotiff(path: Path, extent: Extent) -> Iterator[DemRaster]:
    try:
        with rasterio.open(path, driver="GTiff") as file:
            yield from _band(path, file, extent)
    except rasterio.errors.RasterioError as error:
        raise BadInput(f"--dem {path}: not a GeoTIFF, or damaged: {error}") from error


def _band(path: Path, file: rasterio.DatasetReader, extent: Extent) -> Iterator[DemRaster]:
    if file.crs is None or file.transform.is_identity:
        raise BadInput(f"--dem {path}: does not say where on the earth it lies (no coordinate system)")
    window = pixel_window(file, extent)
    if window is None:
        return
    shrink = max(1.0, math.sqrt(window.width * window.height / MAX_PIXELS))
    shape = (max(1, int(window.height / shrink)), max(1, int(window.width / shrink)))
    band = file.read(1, window=window, out_shape=shape, masked=True, resampling=Resampling.average)
    values = band.filled(np.nan) if np.issubdtype(band.dtype, np.floating) else band.astype(np.float32).filled(np.nan)
    values = values.astype(np.float32) * np.float32(file.scales[0] * _unit_m(path, file)) + np.float32(file.offsets[0])
    pixel = (window.width / shape[1], window.height / shape[0])
    transform = part_of(file.transform, window.col_off, window.row_off, *pixel)
    raster = DemRaster(path.name, values, transform, file.crs, _datum(path, file), 0.0, None)
    yield _with_spacing(raster, extent)


def pixel_window(file: rasterio.DatasetReader, extent: Extent, *, around: int = 3) -> rasterio.windows.Window | None:
    """The pixels of a raster that an extent needs, with so many around them; None when they do not meet."""
    box = (extent.west, extent.south, extent.east, extent.north)
    left, bottom, right, top = rasterio.warp.transform_bounds("EPSG:4326", file.crs, *box, densify_pts=21)
    corners = [pixels_at(file.transform, x, y) for x in (left, right) for y in (bottom, top)]
    columns, rows = [c for c, _ in corners], [r for _, r in corners]
    if not all(map(math.isfinite, (*columns, *rows))):
        return None
    x0, x1 = max(0, math.floor(min(columns)) - around), min(file.width, math.ceil(max(columns)) + around)
    y0, y1 = max(0, math.floor(min(rows)) - around), min(file.height, math.ceil(max(rows)) + around)
    return rasterio.windows.Window(x0, y0, x1 - x0, y1 - y0) if x0 < x1 and y0 < y1 else None


def _with_spacing(raster: DemRaster, extent: Extent) -> DemRaster:
    """Fill in the distance of pixels on the ground at the middle of the extent."""
    origin, t = extent.frame.origin, raster.transform
    x, y = rasterio.warp.transform("EPSG:4326", raster.crs, [origin.lon], [origin.lat])
    lon, lat = rasterio.warp.transform(
        raster.crs, "EPSG:4326", [x[0], x[0] + t.a, x[0] + t.b], [y[0], y[0] + t.d, y[0] + t.e]
    )
    geod = pyproj.Geod(ellps="WGS84")
    spacing = min(geod.inv(lon[0], lat[0], lon[i], lat[i])[2] for i in (1, 2))
    return DemRaster(raster.name, raster.values, t, raster.crs, raster.datum, float(spacing), raster.error_m)


def _unit_m(path: Path, file: rasterio.DatasetReader) -> float:
    unit = (file.units[0] or "").strip().lower()
    if unit in _METRES:
        return 1.0
    if unit in _FEET:
        return _FEET[unit]
    raise BadInput(f"--dem {path}: heights in {unit!r}; metres or feet are needed")


def _datum(path: Path, file: rasterio.DatasetReader) -> str:
    """The vertical datum that the file names; raises ``BadInput`` for heights over the ellipsoid."""
    try:
        crs = pyproj.CRS.from_wkt(file.crs.to_wkt())
    except pyproj.exceptions.CRSError:
        return ASSUMED_EGM96
    vertical = [part for part in crs.sub_crs_list if part.is_vertical]
    if vertical:
        return str(vertical[0].name)
    if len(crs.axis_info) == 3:
        raise BadInput(
            f"--dem {path}: heights over the ellipsoid; convert it to heights above sea level first (gdalwarp -t_srs"
            " EPSG:4326+5773)"
        )
    return ASSUMED_EGM96

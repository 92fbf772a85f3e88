"""Geoid models from files: GeoTIFF and GTX, the ISG format of the International Service for the Geoid, GSI's ASCII."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.errors
from scipy.ndimage import map_coordinates

from routing.errors import BadInput
from routing.geo import LocalFrame
from routing.region.extent import Extent
from routing.region.landscape import local_coords
from routing.region.model import Layer
from routing.region.notes import ImportNotes
from routing.region.osm import clean

STEP_M = 500.0
"""Spacing of the region's layer: the geoid rises by centimetres over it."""

MAX_BYTES = 256 * 2**20
MOST_M = 150.0
"""No geoid is farther from the ellipsoid than this (the extremes are -107 m and 86 m)."""

_GSI_NO_DATA = 999.0
_NAMES = (
    (r"gsigeo2011|jpgeo2011", "GSIGEO2011 (for JGD2011 vertical, EPSG:6695)"),
    (r"jpgeo2024", "JPGEO2024 (for JGD2024 vertical)"),
    (r"egm.?(20)?08", "EGM2008 (EPSG:3855)"),
    (r"egm.?96", "EGM96 (EPSG:5773)"),
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Model:
    """Heights in rows from the south, NaN where there is none; the first lies at ``south``, ``west`` in degrees."""

    south: float
    west: float
    d_lat: float
    d_lon: float
    heights: Floats


def read_geoid(path: Path, extent: Extent, frame: LocalFrame, datum: str, notes: ImportNotes) -> Layer:
    """Read the geoid over an extent; its source says which it is. ``datum`` is the terrain's vertical datum.

    Raises ``BadInput`` that names the file where it cannot be read or does not cover the extent.
    """
    where = f"--geoid {path}"
    wide = extent.widened(2 * STEP_M)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{where}: larger than {MAX_BYTES // 2**20} MiB")
        raster = path.suffix.lower() in (".tif", ".tiff", ".gtx")
        model = _raster(path, where) if raster else _text(path.read_text(encoding="utf-8", errors="replace"), where)
    except OSError as error:
        raise BadInput(f"{where}: cannot be read: {error.strerror or error}") from error
    (west, south), (east, north) = local_coords(np.array([[wide.west, wide.south], [wide.east, wide.north]]), frame)
    x, y = np.meshgrid(np.arange(west, east + STEP_M, STEP_M), np.arange(south, north + STEP_M, STEP_M))
    heights = _at(model, x, y, frame)
    if np.isnan(heights).any() or np.abs(heights).max() > MOST_M:
        raise BadInput(f"{where}: does not cover the region {extent} with heights of a geoid")
    source = next((name for pattern, name in _NAMES if re.search(pattern, path.name.lower())), clean(path.name))
    notes.counts["geoid heights"] = heights.size
    if ("EGM96" in datum) != ("EGM96" in source):
        notes.warn(f"heights of the terrain are {datum}, those of the geoid {source}: they may differ by decimetres")
    return Layer(float(west), float(south), STEP_M, np.round(heights, 3).astype(np.float32), source)


def _at(model: _Model, x: Floats, y: Floats, frame: LocalFrame) -> Floats:
    """Bilinear heights at places of the local frame; NaN outside."""
    corner, unit = frame.to_global(0.0, 0.0), frame.to_global(1_000.0, 1_000.0)
    lat = corner.lat + y / 1_000.0 * (unit.lat - corner.lat)
    lon = corner.lon + x / 1_000.0 * (unit.lon - corner.lon)
    # Global models run from 0 to 360 degrees east, or from -180.
    columns = model.heights.shape[1]
    column = (lon - model.west) / model.d_lon
    if abs(columns * model.d_lon - 360.0) < 2 * model.d_lon:
        column = np.mod(column, 360.0 / model.d_lon)
    row = (lat - model.south) / model.d_lat
    return np.asarray(map_coordinates(model.heights, [row, column], order=1, cval=math.nan))


def _raster(path: Path, where: str) -> _Model:
    try:
        with rasterio.open(path) as source:
            if source.crs is not None and not source.crs.is_geographic:
                raise BadInput(f"{where}: its grid must be in degrees")
            heights = source.read(1, masked=True).astype(np.float64).filled(np.nan)
            transform = source.transform
    except rasterio.errors.RasterioError as error:
        raise BadInput(f"{where}: not a raster: {str(error)[:120]}") from error
    if transform.b or transform.d or transform.e >= 0:
        raise BadInput(f"{where}: its rows must run from north to south")
    south = transform.f + transform.e * (heights.shape[0] - 0.5)
    return _Model(south, transform.c + transform.a / 2, -transform.e, transform.a, heights[::-1])


def _text(text: str, where: str) -> _Model:
    try:
        return _isg(text) if "begin_of_head" in text[:10_000] else _gsi(text)
    except (ValueError, KeyError, IndexError) as error:
        raise BadInput(f"{where}: neither GSI's ASCII nor the ISG format: {str(error)[:120]}") from error


def _gsi(text: str) -> _Model:
    """Header: south, west, steps in degrees, rows, columns; then rows from the south (GSI, gsigeo2011 manual)."""
    first, _, rest = text.partition("\n")
    south, west, d_lat, d_lon, rows, columns = (float(part) for part in first.split()[:6])
    values = np.array(rest.split(), dtype=np.float64)
    heights = values.reshape(int(rows), int(columns))
    return _Model(south, west, d_lat, d_lon, np.where(heights >= _GSI_NO_DATA, np.nan, heights))


def _isg(text: str) -> _Model:
    """ISG format 1.0 and 2.0: a header of ``name = value`` or ``name : value``, then rows from the north."""
    head, _, rest = text.partition("end_of_head")
    fields = {
        name.strip().lower(): value.strip()
        for name, value in re.findall(
            r"^([A-Za-z ]+?)\s*[=:]\s*(.+)$", head.partition("begin_of_head")[2], re.MULTILINE
        )
    }
    rows, columns = int(fields["nrows"]), int(fields["ncols"])
    south, north = _degrees(fields["lat min"]), _degrees(fields["lat max"])
    west, east = _degrees(fields["lon min"]), _degrees(fields["lon max"])
    d_lat, d_lon = _degrees(fields["delta lat"]), _degrees(fields["delta lon"])
    # The limits are those of the outermost points, or of the cells around them.
    if round((north - south) / d_lat) == rows:
        south += d_lat / 2
    if round((east - west) / d_lon) == columns:
        west += d_lon / 2
    values = np.array(rest.partition("\n")[2].split(), dtype=np.float64).reshape(rows, columns)
    heights = np.where(np.isclose(values, float(fields["nodata"])), np.nan, values)
    return _Model(south, west, d_lat, d_lon, heights[::-1])


def _degrees(text: str) -> float:
    """Degrees, or degrees, minutes and seconds such as ``15°00'30"``."""
    parts = [float(part) for part in re.findall(r"-?\d+(?:\.\d+)?", text)]
    if "°" not in text or len(parts) == 1:
        return parts[0]
    size = abs(parts[0]) + parts[1] / 60.0 + (parts[2] / 3_600.0 if len(parts) > 2 else 0.0)
    return -size if text.strip().startswith("-") else size

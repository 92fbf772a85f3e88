"""Terrain from elevation files: laid over one another by priority, resampled to the local grid, voids filled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio.errors
import rasterio.warp
import scipy.ndimage
from rasterio.enums import Resampling
from rasterio.transform import Affine
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

from routing.errors import BadInput
from routing.geo import LocalFrame
from routing.region.dem_files import ASSUMED_EGM96, SRTM_ERROR_M, DemRaster, pixels_at, read_dem
from routing.region.extent import Extent
from routing.region.model import Terrain
from routing.region.notes import ImportNotes, Progress

MIN_STEP_M, MAX_STEP_M = 10.0, 90.0
MAX_CELLS = 400_000
"""Bounds of the grid: a finer source is averaged."""

MAX_VOID_SHARE = 0.5
"""More void than this is refused: what would be filled in is not measured."""

LOUD_VOID_SHARE = 0.02

_Bool = npt.NDArray[np.bool_]
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Grid:
    """Points of a terrain: regular in the local frame, and so in degrees."""

    frame: LocalFrame
    west_m: float
    south_m: float
    step_m: float
    rows: int
    columns: int

    @property
    def transform(self) -> Affine:
        """Corners of pixels around the points, row 0 in the north, in degrees."""
        first = self.frame.to_global(self.west_m, self.south_m + (self.rows - 1) * self.step_m)
        other = self.frame.to_global(self.west_m + self.step_m, self.south_m + (self.rows - 2) * self.step_m)
        d_lon, d_lat = other.lon - first.lon, other.lat - first.lat
        return Affine(d_lon, 0.0, first.lon - d_lon / 2, 0.0, d_lat, first.lat - d_lat / 2)

    def lon_lat(self) -> tuple[_Floats, _Floats]:
        """Longitudes of the columns and latitudes of the rows, from the north."""
        t = self.transform
        return t.c + t.a * (np.arange(self.columns) + 0.5), t.f + t.e * (np.arange(self.rows) + 0.5)


def read_terrain(
    files: Sequence[Path], extent: Extent, frame: LocalFrame, notes: ImportNotes, progress: Progress
) -> Terrain:
    """Make the terrain of an extent; of several files the first that has a height at a place wins there.

    Raises ``BadInput`` naming the file that cannot be read, or the part of the extent that none covers.
    """
    rasters: list[DemRaster] = []
    for number, path in enumerate(files):
        progress("elevation", number, len(files) + 1)
        found = read_dem(path, extent)
        if not found:
            notes.warn(f"--dem {path.name} does not reach the extent and was not used")
        rasters += found
    if not rasters:
        raise BadInput(f"--dem: no file covers any part of {extent} (south,west,north,east)")
    grid = _grid(extent, frame, min(raster.spacing_m for raster in rasters))
    layers = _laid_over(rasters, grid, notes)
    heights = _filled(layers, notes)
    progress("elevation", 1, 1)
    datum, error_m = _origin_of(rasters, layers.source, notes)
    # South first, rounded to decimetres: finer digits would be noise that takes space.
    rounded = np.round(heights[::-1], 1).astype(np.float32)
    notes.counts["terrain cells"] = rounded.size
    return Terrain(grid.west_m, grid.south_m, grid.step_m, rounded, datum, error_m)


def _grid(extent: Extent, frame: LocalFrame, spacing_m: float) -> _Grid:
    width_m, height_m = extent.size_m
    step_m = round(min(max(spacing_m, MIN_STEP_M), MAX_STEP_M))
    step_m = max(step_m, math.ceil(math.sqrt(width_m * height_m / MAX_CELLS)))
    columns, rows = (max(2, math.floor(side / step_m) + 1) for side in (width_m, height_m))
    west_m, south_m = (-(count - 1) * step_m / 2 for count in (columns, rows))
    return _Grid(frame, west_m, south_m, float(step_m), rows, columns)


@dataclass(frozen=True, slots=True)
class _Layers:
    """Heights on the grid (NaN: none), the number of the raster each is from, and where a raster has one nearby."""

    heights: _Floats
    source: npt.NDArray[np.int64]
    known: _Bool


def _laid_over(rasters: Sequence[DemRaster], grid: _Grid, notes: ImportNotes) -> _Layers:
    """Lay rasters over one another by priority; raises ``BadInput`` naming what none covers."""
    heights = np.full((grid.rows, grid.columns), np.nan)
    source = np.full(heights.shape, -1)
    covered, known = np.zeros(heights.shape, dtype=bool), np.zeros(heights.shape, dtype=bool)
    for number, raster in enumerate(rasters):
        at = _pixels(raster, grid)
        on_raster = _on_raster(raster, at)
        covered |= on_raster
        known |= on_raster & ~np.isnan(_sampled(raster, at, order=0))
        # Bilinear reads four pixels: of a source much finer than the grid that would be noise, so it is averaged.
        found = _averaged(raster, grid) if raster.spacing_m < grid.step_m / 2 else _sampled(raster, at, order=1)
        take = np.isnan(heights) & ~np.isnan(found)
        heights[take] = found[take]
        source[take] = number
        notes.skip(f"void elevation cells in {raster.name}", int(np.isnan(raster.values).sum()))
    if not covered.all():
        raise BadInput(_not_covered(covered, grid))
    return _Layers(heights, source, known)


def _pixels(raster: DemRaster, grid: _Grid) -> _Floats:
    """Row and column, from the middle of the first pixel, of each point of the grid; shape ``(2, rows, columns)``."""
    lon, lat = np.meshgrid(*grid.lon_lat())
    x, y = rasterio.warp.transform("EPSG:4326", raster.crs, lon.ravel().tolist(), lat.ravel().tolist())
    column, row = pixels_at(raster.transform, np.array(x), np.array(y))
    return np.stack((row, column)).reshape(2, *lon.shape) - 0.5


def _on_raster(raster: DemRaster, at: _Floats) -> _Bool:
    rows, columns = raster.values.shape
    row, column = at
    return np.asarray((row >= -0.5) & (row <= rows - 0.5) & (column >= -0.5) & (column <= columns - 0.5))


def _sampled(raster: DemRaster, at: _Floats, *, order: int) -> _Floats:
    """Nearest (0) or bilinear (1) heights. Bilinear ones only where all four pixels have a height.

    What three pixels say would lean to their side: beside a void or an edge another raster, or a line across the
    void, is better.
    """
    mode = "constant" if order else "nearest"
    return np.asarray(scipy.ndimage.map_coordinates(raster.values, at, np.float64, order, mode=mode, cval=math.nan))


def _averaged(raster: DemRaster, grid: _Grid) -> _Floats:
    result = np.full((grid.rows, grid.columns), np.nan)
    try:
        rasterio.warp.reproject(
            raster.values.astype(np.float64),
            result,
            src_transform=raster.transform,
            src_crs=raster.crs,
            src_nodata=math.nan,
            dst_transform=grid.transform,
            dst_crs="EPSG:4326",
            dst_nodata=math.nan,
            resampling=Resampling.average,
        )
    except rasterio.errors.RasterioError as error:
        raise BadInput(f"--dem {raster.name}: cannot be projected: {error}") from error
    return result


def _not_covered(covered: _Bool, grid: _Grid) -> str:
    lon, lat = grid.lon_lat()
    rows, columns = np.nonzero(~covered)
    share = 100.0 * len(rows) / covered.size
    missing = Extent(lat[rows.max()], lon[columns.min()], lat[rows.min()], lon[columns.max()])
    text = (
        f"--dem: {max(share, 0.1):.1f} % of the extent has no elevation file: within {missing} (south,west,north,east)"
    )
    rows, columns = np.nonzero(covered)
    whole = Extent(lat[rows.max()], lon[columns.min()], lat[rows.min()], lon[columns.max()]) if len(rows) else None
    inner = f", or --bbox within {whole}" if whole else ""
    return f"{text}; give another --dem{inner}"


def _filled(layers: _Layers, notes: ImportNotes) -> _Floats:
    """Voids filled linearly between the heights around them (Delaunay); at the edge from the nearest."""
    heights, void = layers.heights, np.isnan(layers.heights)
    # Where tiles meet there are gaps of a pixel without there being a void.
    unknown = int((void & ~layers.known).sum())
    notes.counts["terrain cells filled"] = unknown
    if not void.any():
        return heights
    share = unknown / void.size
    if share > MAX_VOID_SHARE:
        raise BadInput(f"--dem: {100 * share:.0f} % of the extent is void; give another --dem that has heights there")
    if share > LOUD_VOID_SHARE:
        notes.warn(
            f"{100 * share:.0f} % of the terrain had no height and was filled in between: a second --dem is better"
        )
    rim = scipy.ndimage.binary_dilation(void, np.ones((3, 3), dtype=bool)) & ~void
    at, wanted = np.argwhere(rim), np.argwhere(void)
    filled = np.full(len(wanted), np.nan)
    if len(at) > 3 and np.ptp(at, axis=0).min() > 0 and np.linalg.matrix_rank(at - at[0]) == 2:
        filled = LinearNDInterpolator(at, heights[rim])(wanted)
    outside = np.isnan(filled)
    if outside.any():
        filled[outside] = NearestNDInterpolator(at, heights[rim])(wanted[outside])
    result = heights.copy()
    result[void] = filled
    return result


def _origin_of(rasters: Sequence[DemRaster], source: npt.NDArray[np.int64], notes: ImportNotes) -> tuple[str, float]:
    """The datum of what was used, and the error of the worst."""
    used = [rasters[int(number)] for number in np.unique(source) if number >= 0]
    datums = list(dict.fromkeys(raster.datum for raster in used))
    if ASSUMED_EGM96 in datums:
        names = ", ".join(dict.fromkeys(raster.name for raster in used if raster.datum == ASSUMED_EGM96))
        notes.warn(
            f"{names} does not name the datum of its heights: they are taken as heights over the EGM96 geoid. If they"
            " are over the ellipsoid, everything would fly tens of metres off"
        )
    if any(raster.error_m is None for raster in used):
        names = ", ".join(dict.fromkeys(raster.name for raster in used if raster.error_m is None))
        notes.warn(
            f"{names} does not say how good its heights are: {SRTM_ERROR_M:.0f} m (90 %) is assumed, as for SRTM"
        )
    if len(datums) > 1:
        notes.warn(f"the elevation files have different datums ({'; '.join(datums)}); they were not converted")
    return "; ".join(datums), max(raster.error_m or SRTM_ERROR_M for raster in used)

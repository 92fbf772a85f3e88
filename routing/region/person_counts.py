"""Persons per pixel of a GeoTIFF, as gridded population data sets of the world come (WorldPop, GHS-POP)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.errors
import rasterio.warp

from routing.errors import BadInput
from routing.region.dem_files import part_of, pixel_window
from routing.region.extent import Extent

Floats = npt.NDArray[np.float64]

SAMPLES = 4
"""Points along the side of a pixel over which its persons are spread evenly."""

MAX_PIXELS = 1_000_000
MOST_PERSONS = 1_000_000.0
"""Bounds of the part of a raster that is read, and of what a pixel may hold."""


def read_counts(path: Path, extent: Extent) -> tuple[Floats, Floats]:
    """Return places ``(lon, lat)`` in an extent and the persons at each; without data there are none.

    Raises ``BadInput`` naming the file when it is no GeoTIFF, does not reach the extent, or counts no persons.
    """
    where = f"--population {path}"
    try:
        with rasterio.open(path, driver="GTiff") as file:
            if file.crs is None or file.transform.is_identity:
                raise BadInput(f"{where}: does not say where on the earth it lies (no coordinate system)")
            window = pixel_window(file, extent, around=0)
            if window is None:
                raise BadInput(f"{where}: does not reach {extent} (south,west,north,east)")
            if window.width * window.height > MAX_PIXELS:
                raise BadInput(f"{where}: more than {MAX_PIXELS} pixels in the extent: give one of 50 m or coarser")
            band = file.read(1, window=window, masked=True)
            persons = np.asarray(band.filled(0), dtype=np.float64)
            transform, crs = part_of(file.transform, window.col_off, window.row_off), file.crs
    except rasterio.errors.RasterioError as error:
        raise BadInput(f"{where}: not a GeoTIFF, or damaged: {error}") from error
    persons = np.nan_to_num(persons, nan=0.0)
    if persons.max(initial=0.0) > MOST_PERSONS:
        raise BadInput(f"{where}: {persons.max():g} persons in a pixel: counts are needed, and a nodata value if any")
    rows, columns = np.nonzero(persons > 0.0)
    within = (np.arange(SAMPLES) + 0.5) / SAMPLES
    down, right = (each.ravel() for each in np.meshgrid(within, within, indexing="ij"))
    x = (columns[:, None] + right).ravel()
    y = (rows[:, None] + down).ravel()
    east = transform.a * x + transform.b * y + transform.c
    north = transform.d * x + transform.e * y + transform.f
    lon, lat = rasterio.warp.transform(crs, "EPSG:4326", east.tolist(), north.tolist())
    at = np.stack((np.array(lon, dtype=np.float64), np.array(lat, dtype=np.float64)), axis=1).reshape(-1, 2)
    inside = extent.contains(at[:, 0], at[:, 1])
    return at[inside], np.repeat(persons[rows, columns] / SAMPLES**2, SAMPLES**2)[inside]

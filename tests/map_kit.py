"""Small maps and elevation files, written in the formats that imports read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import osmium
import rasterio
from osmium.osm.mutable import Node, Relation, Way

from routing.geo import LocalFrame, Position
from routing.region.extent import Extent

_Array = npt.NDArray[np.float64]
Point = int | tuple[float, float]


class SmallMap:
    """A map under construction: places in metres east and north of its origin."""

    def __init__(self, lat: float = 42.5, lon: float = 1.5) -> None:
        self.frame = LocalFrame(Position(lat, lon))
        self._nodes: list[Node] = []
        self._ways: list[Way] = []
        self._relations: list[Relation] = []

    def node(self, east: float, north: float, tags: dict[str, str] | None = None) -> int:
        """Add a point and return its id."""
        at = self.frame.to_global(east, north)
        number = len(self._nodes) + 1
        self._nodes.append(Node(id=number, version=1, location=(at.lon, at.lat), tags=tags or {}))
        return number

    def way(self, points: Sequence[Point], tags: dict[str, str]) -> int:
        """Add a way over nodes and new points, and return its id."""
        refs = [point if isinstance(point, int) else self.node(*point) for point in points]
        number = len(self._ways) + 1
        self._ways.append(Way(id=number, version=1, nodes=refs, tags=tags))
        return number

    def area(self, middle: tuple[float, float], half: float, tags: dict[str, str]) -> int:
        """Add a square."""
        east, north = middle
        corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ids = [self.node(east + half * x, north + half * y) for x, y in corners]
        return self.way([*ids, ids[0]], tags)

    def multipolygon(self, ways: Sequence[int], tags: dict[str, str]) -> None:
        """Add a relation whose outline is made of ways."""
        members = [("w", way, "outer") for way in ways]
        number = len(self._relations) + 1
        self._relations.append(Relation(id=number, version=1, members=members, tags={"type": "multipolygon"} | tags))

    def write(self, path: Path, *, ways_first: bool = False, without_nodes: Sequence[int] = ()) -> Path:
        """Write the map; ``ways_first`` and ``without_nodes`` make files as they should not be."""
        with osmium.SimpleWriter(str(path), overwrite=True) as writer:
            if ways_first:
                for way in self._ways:
                    writer.add_way(way)
            for node in self._nodes:
                if node.id not in without_nodes:
                    writer.add_node(node)
            if not ways_first:
                for way in self._ways:
                    writer.add_way(way)
            for relation in self._relations:
                writer.add_relation(relation)
        return path

    def extent(self, half_m: float) -> Extent:
        """The square of twice ``half_m`` around the origin."""
        low, high = self.frame.to_global(-half_m, -half_m), self.frame.to_global(half_m, half_m)
        return Extent(low.lat, low.lon, high.lat, high.lon)


def flat(lat: _Array, lon: _Array) -> _Array:
    """Level ground at 1,000 m."""
    return np.full(np.broadcast(lat, lon).shape, 1_000.0)


def write_hgt(
    folder: Path, south: int, west: int, height: Callable[[_Array, _Array], _Array] = flat, *, side: int = 1201
) -> Path:
    """Write an SRTM tile; NaN heights become voids."""
    name = f"{'N' if south >= 0 else 'S'}{abs(south):02d}{'E' if west >= 0 else 'W'}{abs(west):03d}.hgt"
    lat, lon = np.meshgrid(np.linspace(south + 1, south, side), np.linspace(west, west + 1, side), indexing="ij")
    heights = height(lat, lon)
    whole = np.where(np.isnan(heights), -32768, np.round(np.nan_to_num(heights)))
    path = folder / name
    path.write_bytes(whole.astype(">i2").tobytes())
    return path


def write_tif(
    path: Path,
    extent: Extent,
    height: Callable[[_Array, _Array], _Array] = flat,
    *,
    crs: str | None = "EPSG:4326",
    step_deg: float = 1 / 1200,
    nodata: float | None = -9999.0,
    dtype: str = "float32",
    unit: str = "",
) -> Path:
    """Write a GeoTIFF in degrees that covers an extent and a little more."""
    west, north = extent.west - 3 * step_deg, extent.north + 3 * step_deg
    columns = math.ceil((extent.east - west) / step_deg) + 3
    rows = math.ceil((north - extent.south) / step_deg) + 3
    lat, lon = np.meshgrid(
        north - step_deg * (np.arange(rows) + 0.5), west + step_deg * (np.arange(columns) + 0.5), indexing="ij"
    )
    heights = height(lat, lon)
    if nodata is not None:
        heights = np.where(np.isnan(heights), nodata, heights)
    transform = rasterio.transform.from_origin(west, north, step_deg, step_deg)
    with rasterio.open(
        path, "w", driver="GTiff", width=columns, height=rows, count=1, dtype=dtype, crs=crs, transform=transform,
        nodata=nodata,
    ) as file:  # fmt: skip
        file.write(heights.astype(dtype), 1)
        if unit:
            file.set_band_unit(1, unit)
    return path


def gml_tile(south: float, west: float, heights: npt.NDArray[np.float64], *, start: int = 0) -> str:
    """A JPGIS (GML) tile of 1/150 by 1/80 degree with heights from the north-west on; NaN: no data."""
    rows, columns = heights.shape
    values = "\n".join("データなし,-9999." if np.isnan(h) else f"地表面,{h:.2f}" for h in heights.ravel()[start:])
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Dataset xmlns:gml="http://www.opengis.net/gml/3.2"><DEM gml:id="DEM001"><type>5mメッシュ（標高）</type><coverage>
<gml:boundedBy><gml:Envelope srsName="fguuid:jgd2011.bl"><gml:lowerCorner>{south} {west}</gml:lowerCorner>
<gml:upperCorner>{south + 1 / 150} {west + 1 / 80}</gml:upperCorner></gml:Envelope></gml:boundedBy>
<gml:gridDomain><gml:Grid><gml:limits><gml:GridEnvelope><gml:low>0 0</gml:low>
<gml:high>{columns - 1} {rows - 1}</gml:high></gml:GridEnvelope></gml:limits></gml:Grid></gml:gridDomain>
<gml:rangeSet><gml:DataBlock><gml:tupleList>
{values}
</gml:tupleList></gml:DataBlock></gml:rangeSet><gml:coverageFunction><gml:GridFunction>
<gml:sequenceRule order="+x-y">Linear</gml:sequenceRule>
<gml:startPoint>{start % columns} {start // columns}</gml:startPoint>
</gml:GridFunction></gml:coverageFunction></coverage></DEM></Dataset>
"""

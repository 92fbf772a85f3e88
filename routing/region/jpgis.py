"""Japan's elevation tiles: JPGIS (GML) of the Geospatial Information Authority, DEM1A, DEM5A to C, DEM10A and B.

A tile is one mesh (third order of 1 or 5 m, second order of 10 m) with a height for each cell, in the sequence that
``sequenceRule`` names from ``startPoint`` on; cells before and after the heights that are listed have none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.errors import BadInput
from routing.region.extent import Extent
from routing.region.mesh import decode_mesh

VOID_M = -9999.0
SEA = "海水面"
"""Cells of the sea have no height in the files; they are at 0 m over T.P."""

MAX_SIDE = 5_000

_ERRORS_M = {"1A": 0.5, "5A": 1.2, "5B": 1.2, "5C": 2.3, "10A": 8.2, "10B": 8.2}
"""Vertical error, 90 %, by product: laser 0.3 m and photogrammetry 0.7 m (5C: 1.4 m), contours 5 m, one sigma."""

_PRODUCT = re.compile(r"DEM(10[AB]|5[ABC]|1A)", re.IGNORECASE)
_MESH = re.compile(r"FG-GML-(\d{4})-(\d{2})(?:-(\d{2}))?-", re.IGNORECASE)
_SEQUENCE = re.compile(r"[+-]x[+-]y")


@dataclass(frozen=True, slots=True, eq=False)
class JpgisTile:
    """Heights of a mesh, row 0 in the north, column 0 in the west; NaN where there is none."""

    extent: Extent
    heights: npt.NDArray[np.float32]
    datum: str
    error_m: float


def finest_first(name: str) -> tuple[int, str, str]:
    """Where a file stands among others by its name: of tiles of several products, the better are laid on top."""
    product = _PRODUCT.search(name)
    if product is None:
        return 99, "", name
    return int(product[1][:-1]), product[1][-1].upper(), name


def may_meet(name: str, extent: Extent) -> bool:
    """Whether a tile can lie in an extent, by the mesh code in its name; true where the name has none."""
    found = _MESH.search(name)
    if found is None:
        return True
    try:
        mesh = decode_mesh("".join(part for part in found.groups() if part))
    except BadInput:
        return True
    within = mesh.south <= extent.north and mesh.north >= extent.south
    return within and mesh.west <= extent.east and mesh.east >= extent.west


def read_tile(name: str, content: bytes) -> JpgisTile:
    """Read a tile; raises ``BadInput`` naming the file and what is wrong with it.

    Read by its tags without an XML parser: the files hold one block of numbers, and nothing in them is expanded.
    """
    text = content.decode("utf-8", errors="replace")
    try:
        (south, west), (north, east) = _pair(text, "lowerCorner"), _pair(text, "upperCorner")
        low, high, start = (_pair(text, tag) for tag in ("low", "high", "startPoint"))
        columns, rows = (int(last - first) + 1 for first, last in zip(low, high, strict=True))
        if not (1 < columns <= MAX_SIDE and 1 < rows <= MAX_SIDE and south < north and west < east):
            raise ValueError("the grid")
        if not (abs(south) <= 90 and abs(north) <= 90 and abs(west) <= 180 and abs(east) <= 180):
            raise ValueError("its corners are not on the earth")
        heights = _heights(text)
        skipped = int(start[1] - low[1]) * columns + int(start[0] - low[0])
        if not 0 <= skipped <= skipped + len(heights) <= rows * columns:
            raise ValueError(
                f"{len(heights)} heights from place {skipped} on, and its grid has {rows * columns} places"
            )
        values = np.full(rows * columns, np.nan, dtype=np.float32)
        values[skipped : skipped + len(heights)] = heights
        grid = _north_up(text, values.reshape(rows, columns))
    except ValueError as error:
        raise BadInput(f"--dem {name}: not a JPGIS (GML) elevation file, or damaged: {error}") from error
    return JpgisTile(Extent(south, west, north, east), grid, _datum(text), _error_m(name, text))


def _pair(text: str, tag: str) -> tuple[float, float]:
    found = re.search(rf"<gml:{tag}>\s*([-+\d.eE]+)\s+([-+\d.eE]+)\s*</gml:{tag}>", text)
    if found is None:
        raise ValueError(f"gml:{tag} is missing")
    return float(found[1]), float(found[2])


def _heights(text: str) -> npt.NDArray[np.float32]:
    block = re.search(r"<gml:tupleList>(.*?)</gml:tupleList>", text, re.DOTALL)
    if block is None:
        raise ValueError("gml:tupleList is missing")
    lines = block[1].split()
    heights = np.array([line.rpartition(",")[2] for line in lines], dtype=np.float32)
    void = heights <= VOID_M
    return np.where(void & _at_sea(lines, void), np.float32(0.0), np.where(void, np.float32(np.nan), heights))


def _at_sea(lines: Sequence[str], void: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    sea = np.zeros(len(lines), dtype=np.bool_)
    at = np.flatnonzero(void)
    sea[at] = [lines[i].startswith(SEA) for i in at.tolist()]
    return sea


def _north_up(text: str, grid: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The grid from the north-west on, whichever corner it was written from."""
    found = re.search(r"<gml:sequenceRule([^>]*)>\s*(\w*)", text)
    order = re.search(r"order=\"([^\"]*)\"", found[1]) if found else None
    sequence = order[1].strip() if order else "+x-y"
    if not _SEQUENCE.fullmatch(sequence) or (found and found[2] not in ("", "Linear")):
        raise ValueError(
            f"heights in the sequence {sequence[:20]!r}; rows from west or east (+x-y and the like) are read"
        )
    return grid[:: 1 if sequence[2] == "-" else -1, :: 1 if sequence[0] == "+" else -1]


def _datum(text: str) -> str:
    """The files name the horizontal reference, and by it the set of survey results that heights are of."""
    found = re.search(r"srsName=\"fguuid:jgd(\d{4})", text, re.IGNORECASE)
    return f"JGD{found[1] if found else 2011} vertical (T.P.)"


def _error_m(name: str, text: str) -> float:
    product = _PRODUCT.search(name)
    if product is not None:
        return _ERRORS_M[product[1].upper()]
    kind = re.search(r"<type>\s*(\d+)", text)
    return _ERRORS_M[{"1": "1A", "5": "5A"}.get(kind[1] if kind else "", "10B")]

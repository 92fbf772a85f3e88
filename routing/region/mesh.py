"""Japan's standard grid square codes (JIS X 0410): the meshes that censuses and elevation files are divided by.

A first-order mesh (``5338``) is 40' of latitude by 1 degree of longitude, about 80 km; it has 8 x 8 second-order
meshes (``533800``, 10 km), of 10 x 10 third-order ones (``53380060``, 1 km). Each half of that (500 m, 250 m, 125 m)
adds a digit: 1 south-west, 2 south-east, 3 north-west, 4 north-east. Latitudes and longitudes are JGD2011.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from routing.errors import BadInput

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class MeshLevel(IntEnum):
    """The sizes of meshes; the value is the number of digits of their codes."""

    FIRST = 4
    SECOND = 6
    THIRD = 8
    HALF = 9
    QUARTER = 10
    EIGHTH = 11


UNITS_PER_DEGREE = (960, 640)
"""Eighth meshes in a degree of latitude (3.75" each) and of longitude (5.625")."""

UNITS = {
    MeshLevel.FIRST: 640,
    MeshLevel.SECOND: 80,
    MeshLevel.THIRD: 8,
    MeshLevel.HALF: 4,
    MeshLevel.QUARTER: 2,
    MeshLevel.EIGHTH: 1,
}
"""Eighth meshes along the side of a mesh of each size."""

WEST = 100
"""Longitudes count from 100 degrees east."""

_PATTERN = re.compile(r"(\d\d)(\d\d)(?:([0-7])([0-7])(?:(\d)(\d)([1-4]{0,3}))?)?")
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Mesh:
    """A mesh: its code, and its edges in degrees."""

    code: str
    level: MeshLevel
    south: float
    west: float
    north: float
    east: float


def decode_mesh(code: str) -> Mesh:
    """Return the mesh of a code; raises ``BadInput`` saying what is wrong with it."""
    row, column, level = _corner(code)
    (south, west), (north, east) = (_degrees(row + n, column + n) for n in (0, UNITS[level]))
    return Mesh(code, level, south, west, north, east)


def encode_mesh(lat: float, lon: float, level: MeshLevel = MeshLevel.THIRD) -> str:
    """Return the code of the mesh in which a place lies; its south and west edges belong to a mesh.

    Raises ``BadInput`` for a place without a code: latitudes from 0 to 66.66, longitudes from 100 to 180 degrees.
    """
    if not (math.isfinite(lat) and math.isfinite(lon) and 0 <= lat < 200 / 3 and WEST <= lon < 180):
        raise BadInput(f"mesh code: {lat}, {lon} has none; they are for 0 to 66.66 N and 100 to 180 E")
    rows, columns = mesh_units(np.array([lat]), np.array([lon]))
    row, column = int(rows[0]), int(columns[0])
    code = f"{row // 640:02d}{column // 640:02d}"
    if level >= MeshLevel.SECOND:
        code += f"{row % 640 // 80}{column % 640 // 80}"
    if level >= MeshLevel.THIRD:
        code += f"{row % 80 // 8}{column % 80 // 8}"
    halves = (unit for unit, at in ((4, MeshLevel.HALF), (2, MeshLevel.QUARTER), (1, MeshLevel.EIGHTH)) if level >= at)
    return code + "".join(str(1 + 2 * (row // unit % 2) + column // unit % 2) for unit in halves)


def mesh_units(lat: Floats, lon: Floats) -> tuple[Ints, Ints]:
    """Row and column of the eighth meshes in which places lie, from the equator and 100 degrees east."""
    per_lat, per_lon = UNITS_PER_DEGREE
    # Edges that a computer writes a hair too low belong to the mesh that they begin.
    rows, columns = (np.floor(each + _ROUNDING) for each in (lat * per_lat, (lon - WEST) * per_lon))
    return rows.astype(np.int64), columns.astype(np.int64)


def mesh_corners(codes: Sequence[str]) -> tuple[Ints, Ints, MeshLevel]:
    """Row and column (``mesh_units``) of the south-west corners of meshes, and their one size.

    Raises ``BadInput`` for a code that is none, and for codes of different sizes.
    """
    corners = [_corner(code) for code in codes]
    levels = {level for _, _, level in corners}
    if len(levels) != 1:
        lengths = ", ".join(str(int(level)) for level in sorted(levels))
        raise BadInput(f"mesh codes: of one size are needed, not with {lengths or 'no'} digits")
    rows, columns = np.array([corner[:2] for corner in corners], dtype=np.int64).T
    return rows, columns, levels.pop()


def _corner(code: str) -> tuple[int, int, MeshLevel]:
    found = _PATTERN.fullmatch(code)
    if found is None or not code.isascii():
        raise BadInput(
            f"mesh code {code[:20]!r}: needs 4, 6, 8, 9, 10 or 11 digits; the fifth and sixth from 0 to 7, those after"
            " the eighth from 1 to 4"
        )
    first_lat, first_lon, q, v, r, w, quadrants = found.groups(default="")
    row, column = int(first_lat) * 640, int(first_lon) * 640
    if row >= 100 * 640 or column >= 80 * 640:
        raise BadInput(f"mesh code {code!r}: lies beyond 180 degrees east")
    row, column = row + int(q or 0) * 80 + int(r or 0) * 8, column + int(v or 0) * 80 + int(w or 0) * 8
    for digit, unit in zip(quadrants, (4, 2, 1), strict=False):
        row, column = row + (int(digit) - 1) // 2 * unit, column + (int(digit) - 1) % 2 * unit
    return row, column, MeshLevel(len(code))


def _degrees(row: int, column: int) -> tuple[float, float]:
    per_lat, per_lon = UNITS_PER_DEGREE
    return row / per_lat, WEST + column / per_lon

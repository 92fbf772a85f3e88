"""Terrain as a picture to lie under maps: soft colours by height, light from the north-west."""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np
import numpy.typing as npt

from routing.geo import Position
from routing.region.model import Region

MAX_PX = 1_500
"""Greatest width and height of a picture."""

Pixels = npt.NDArray[np.uint8]

_SUN_AZIMUTH_DEG, _SUN_ALTITUDE_DEG = 315.0, 45.0
# Share of the region's heights, and the colour there.
_COLOURS = (
    (0.00, (236, 241, 226)),
    (0.15, (218, 230, 205)),
    (0.45, (203, 218, 188)),
    (0.75, (219, 215, 195)),
    (1.00, (243, 240, 233)),
)


def hillshade(region: Region, max_px: int = MAX_PX) -> Pixels:
    """Return the region's terrain as RGB pixels, shape ``(height, width, 3)``, north up, within ``bounds``.

    One pixel to a step of the terrain, or fewer so that no side has more than ``max_px``. Shading is Lambert's law
    on slope and aspect (Horn 1981), softened, since text must be legible on it.
    """
    terrain = region.terrain
    wide, high = terrain.east_m - terrain.west_m, terrain.north_m - terrain.south_m
    pixel = max(terrain.step_m, max(wide, high) / max_px)
    columns, rows = max(2, int(wide / pixel)), max(2, int(high / pixel))
    east = terrain.west_m + (np.arange(columns) + 0.5) * (wide / columns)
    north = terrain.north_m - (np.arange(rows) + 0.5) * (high / rows)
    heights = terrain.height_m(*np.meshgrid(east, north))
    down, right = np.gradient(heights, high / rows, wide / columns)
    normal_up = 1.0 / np.sqrt(1.0 + down * down + right * right)
    azimuth, altitude = math.radians(_SUN_AZIMUTH_DEG), math.radians(_SUN_ALTITUDE_DEG)
    # Rows run south, so the northward slope is -down.
    towards_sun = -right * math.sin(azimuth) + down * math.cos(azimuth)
    light = (math.sin(altitude) + math.cos(altitude) * towards_sun) * normal_up
    light = 1.0 + 0.55 * np.clip(light - math.sin(altitude), -0.75, 0.3)
    low, top = float(heights.min()), float(heights.max())
    share = (heights - low) / max(top - low, 1.0)
    stops = [stop for stop, _ in _COLOURS]
    colours = [np.interp(share, stops, [colour[i] for _, colour in _COLOURS]) for i in range(3)]
    return np.asarray(np.clip(np.stack(colours, axis=-1) * light[..., None], 0, 255).round(), dtype=np.uint8)


def bounds(region: Region) -> tuple[Position, Position]:
    """Return the south-western and the north-eastern corner of the terrain."""
    terrain = region.terrain
    return (
        region.frame.to_global(terrain.west_m, terrain.south_m),
        region.frame.to_global(terrain.east_m, terrain.north_m),
    )


def to_png(pixels: Pixels) -> bytes:
    """Return RGB pixels as a PNG file (ISO/IEC 15948), each row stored as its difference to the one above."""
    rows, columns, _ = pixels.shape
    lines = pixels.reshape(rows, -1)
    up = np.diff(lines, axis=0, prepend=np.zeros((1, lines.shape[1]), dtype=np.uint8))
    filtered = np.concatenate((np.full((rows, 1), 2, dtype=np.uint8), up), axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")

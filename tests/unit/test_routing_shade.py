"""The terrain as a picture, and maps of regions."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from routing.picture import draw_region
from routing.region.model import Region, Terrain
from routing.region.sample import sample_region
from routing.shade import bounds, hillshade, to_png
from tests.problems import village


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
def test_a_png_holds_the_pixels_given(pixels: np.ndarray) -> None:
    assert (np.asarray(Image.open(io.BytesIO(to_png(pixels)))) == pixels).all()


def _hill(step_m: float = 20.0, cells: int = 101) -> Region:
    axis = np.linspace(-1.0, 1.0, cells)
    heights = 300.0 * np.exp(-4 * (axis[:, None] ** 2 + axis**2))
    half = step_m * (cells - 1) / 2
    return replace(village(1), terrain=Terrain(-half, -half, step_m, heights, "test", 0.0))


def test_light_comes_from_the_north_west() -> None:
    picture = hillshade(_hill()).astype(int).sum(axis=2)
    north, west = slice(25, 45), slice(25, 45)
    south, east = slice(55, 75), slice(55, 75)
    assert picture[north, west].mean() > picture[south, east].mean() + 100
    assert picture[north, east].mean() == pytest.approx(picture[south, west].mean(), abs=20)


def test_flat_ground_is_one_colour() -> None:
    flat = replace(village(1), terrain=Terrain(0.0, 0.0, 10.0, np.full((5, 9), 7.0), "test", 0.0))
    picture = hillshade(flat)
    assert picture.shape == (4, 8, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1


def test_a_large_terrain_makes_no_larger_picture() -> None:
    assert hillshade(_hill(cells=401), max_px=100).shape == (100, 100, 3)


def test_bounds_are_the_corners_of_the_terrain() -> None:
    region = _hill()
    corners = [region.frame.to_local(corner) for corner in bounds(region)]
    assert corners == [pytest.approx((-1000.0, -1000.0)), pytest.approx((1000.0, 1000.0))]


@pytest.mark.parametrize("make", [lambda: village(1), lambda: sample_region(1, scale=0.7), _hill])
def test_a_map_of_any_region_can_be_drawn(make: object, tmp_path: Path) -> None:
    file = tmp_path / "map.png"
    draw_region(make(), file)
    picture = np.asarray(Image.open(file).convert("RGB"))
    assert min(picture.shape[:2]) > 600
    assert len(np.unique(picture[::7, ::7].reshape(-1, 3), axis=0)) > 50

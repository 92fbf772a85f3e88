"""Which municipality is where, from the boundaries of a map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from routing.geo import Position
from routing.region.model import Feature, Terrain
from routing.region.municipalities import municipalities_of
from routing.region.network import build_network
from routing.region.notes import ImportNotes, silent
from routing.region.osm import read_osm
from tests.map_kit import SmallMap

HALF_M = 1_000.0
FLAT = Terrain(-HALF_M, -HALF_M, HALF_M, np.full((3, 3), 500.0, dtype=np.float32), "test", 1.0)


def _map() -> SmallMap:
    small = SmallMap()
    small.way([(float(east), 0.0) for east in range(-900, 901, 100)], {"highway": "residential"})
    return small


def _boundary(small: SmallMap, west: float, east: float, level: str, name: str) -> None:
    """A boundary of two ways, far beyond the map in the north and south."""
    corners = [small.node(x, y) for x, y in ((west, -5e3), (east, -5e3), (east, 5e3), (west, 5e3))]
    ways = [small.way(corners[:3], {}), small.way([*corners[2:], corners[0]], {})]
    tags = {"boundary": "administrative", "admin_level": level, "name": name}
    small.multipolygon(ways, tags)


def _found(small: SmallMap, folder: Path) -> dict[str, Feature]:
    data = read_osm(small.write(folder / "map.osm.pbf"), small.extent(HALF_M), ImportNotes(), silent)
    network = build_network(data, small.frame, FLAT, ImportNotes())
    return {feature.name: feature for feature in municipalities_of(data, network, small.frame, ImportNotes())}


def test_a_map_within_one_municipality_lies_in_it(tmp_path: Path) -> None:
    small = _map()
    _boundary(small, -9_000, 9_000, "7", "早川町")
    (town,) = _found(small, tmp_path).values()
    assert (town.kind, town.name, town.closed) == ("municipality", "早川町", True)
    edges = np.abs([small.frame.to_local(Position(lat, lon)) for lat, lon in town.coords])
    assert edges.max() == pytest.approx(HALF_M, abs=2)


def test_of_several_levels_the_finest_that_is_everywhere_counts(tmp_path: Path) -> None:
    small = _map()
    _boundary(small, -9_000, 9_000, "6", "Province")
    _boundary(small, -9_000, 0, "7", "West")
    _boundary(small, 0, 9_000, "7", "East")
    _boundary(small, 700, 900, "8", "Ward")
    assert set(_found(small, tmp_path)) == {"West", "East"}


def test_without_boundaries_there_are_none(tmp_path: Path) -> None:
    assert _found(_map(), tmp_path) == {}

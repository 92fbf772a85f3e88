"""What airspace rules are made from: sunlight, geoid models, ground risk classes, lanes and radio layers."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from routing.airspace import areas_of
from routing.daylight import is_daylight, sunlight
from routing.errors import BadInput
from routing.flight_path import FlightPaths
from routing.geo import LocalFrame, Position
from routing.geoid import amsl_to_ellipsoid, ellipsoid_to_amsl
from routing.ground_risk import OUT, classes, column
from routing.lanes import LaneUse, check_lanes, lane_uses
from routing.region.extent import Extent
from routing.region.geoid_files import read_geoid
from routing.region.model import LaneSection, Layer, Restriction
from routing.region.notes import ImportNotes
from routing.region.sample import sample_region
from tests.problems import DRONE, village

town = cache(sample_region)

# Sunlight.


@pytest.mark.parametrize(
    ("day", "lat", "lon", "rise", "down"),
    [
        # National Astronomical Observatory of Japan, Tokyo (35.6581, 139.7414).
        (date(2026, 1, 1), 35.6581, 139.7414, (21, 51), (7, 38)),
        (date(2026, 6, 21), 35.6581, 139.7414, (19, 25), (10, 0)),
    ],
)
def test_sunrise_and_sunset_are_those_of_the_almanac(
    day: date, lat: float, lon: float, rise: tuple[int, int], down: tuple[int, int]
) -> None:
    found = sunlight(day, lat, lon)
    assert found is not None
    for moment, (hour, minute) in zip(found, (rise, down), strict=True):
        seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
        assert abs(seconds - (hour * 3600 + minute * 60)) <= 150


def test_daylight_lasts_from_sunrise_to_sunset_and_ends_near_the_poles() -> None:
    noon = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)  # in Japan
    hour = timedelta(hours=1)
    assert is_daylight(noon, noon + hour, 35.0, 138.0)
    assert not is_daylight(noon, noon + 8 * hour, 35.0, 138.0)
    assert not is_daylight(noon + 9 * hour, noon + 10 * hour, 35.0, 138.0)
    assert sunlight(date(2026, 12, 21), 75.0, 20.0) is None
    assert not is_daylight(datetime(2026, 12, 21, 11, tzinfo=UTC), datetime(2026, 12, 21, 12, tzinfo=UTC), 75.0, 20.0)
    midsummer = datetime(2026, 6, 21, 20, tzinfo=UTC)
    assert is_daylight(midsummer, midsummer + 12 * hour, 75.0, 20.0)


# Geoid models.

EXTENT = Extent(35.45, 138.35, 35.50, 138.40)


def _slope(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    return 40.0 + 2.0 * (lat - 35.0) + 1.0 * (lon - 138.0)


def _grid(step: float = 0.25) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lat, lon = np.arange(35.0, 36.001, step), np.arange(138.0, 139.001, step)
    return lat, lon, _slope(lat[:, None], lon[None, :])


def _tiff(path: Path) -> None:
    lat, lon, heights = _grid()
    transform = from_origin(lon[0] - 0.125, lat[-1] + 0.125, 0.25, 0.25)
    with rasterio.open(
        path, "w", driver="GTiff", width=len(lon), height=len(lat), count=1, dtype="float32", crs="EPSG:4326",
        transform=transform,
    ) as file:  # fmt: skip
        file.write(heights[::-1].astype(np.float32), 1)


def _gsi(path: Path) -> None:
    lat, lon, heights = _grid()
    values = "\n".join(" ".join(f"{value:.4f}" for value in row) for row in heights)
    path.write_text(f"  35.00000  138.00000 0.250000 0.250000 {len(lat)} {len(lon)} 1 ver2.2\n{values}\n")


def _isg(path: Path, *, cells: bool) -> None:
    lat, lon, heights = _grid()
    off = 0.125 if cells else 0.0
    head = {
        "model name": "TEST", "lat min": lat[0] - off, "lat max": lat[-1] + off, "lon min": lon[0] - off,
        "lon max": lon[-1] + off, "delta lat": 0.25, "delta lon": 0.25, "nrows": len(lat), "ncols": len(lon),
        "nodata": -9999.0, "ISG format": 2.0,
    }  # fmt: skip
    lines = [f"{name:15}: {value}" for name, value in head.items()]
    values = [" ".join(f"{value:.4f}" for value in row) for row in heights[::-1]]
    path.write_text("\n".join(["text", "begin_of_head ====", *lines, "end_of_head ====", *values]))


@pytest.mark.parametrize("kind", ["geoid.tif", "gsigeo2011.asc", "cells.isg", "points.isg"])
def test_a_geoid_is_read_from_every_format(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    if kind.endswith("tif"):
        _tiff(path)
    elif kind.endswith("asc"):
        _gsi(path)
    else:
        _isg(path, cells=kind.startswith("cells"))
    notes = ImportNotes()
    layer = read_geoid(path, EXTENT, EXTENT.frame, "JGD2011 vertical", notes)
    for lat, lon in ((35.45, 138.35), (35.47, 138.39), (35.50, 138.40)):
        expected = float(_slope(np.array(lat), np.array(lon)))
        assert layer.at(*EXTENT.frame.to_local(Position(lat, lon))) == pytest.approx(expected, abs=0.002)
    assert layer.source == ("GSIGEO2011 (for JGD2011 vertical, EPSG:6695)" if "gsi" in kind else kind)


def test_heights_go_to_the_ellipsoid_and_back() -> None:
    region = replace(village(1), geoid=Layer(-2000.0, -2000.0, 4000.0, np.array([[40.0, 41.0], [42.0, 43.0]]), "x"))
    assert ellipsoid_to_amsl(region, [500.0], [0.0], [0.0]) == pytest.approx([458.5])
    assert amsl_to_ellipsoid(region, [458.5], [0.0], [0.0]) == pytest.approx([500.0])
    with pytest.raises(BadInput, match="has no geoid model"):
        amsl_to_ellipsoid(village(1), [458.5], [0.0], [0.0])


def test_a_geoid_that_is_none_or_of_another_place_is_refused(tmp_path: Path) -> None:
    away = Extent(10.0, 10.0, 10.1, 10.1)
    _gsi(tmp_path / "g.asc")
    with pytest.raises(BadInput, match=r"--geoid .*does not cover the region"):
        read_geoid(tmp_path / "g.asc", away, away.frame, "x", ImportNotes())
    for name, content in (("a.asc", "1 2 3"), ("b.isg", "begin_of_head\nnrows = 2\nend_of_head\n1"), ("c.tif", "no")):
        (tmp_path / name).write_text(content)
        with pytest.raises(BadInput, match=f"--geoid .*{name}"):
            read_geoid(tmp_path / name, EXTENT, EXTENT.frame, "x", ImportNotes())
    with pytest.raises(BadInput, match="cannot be read"):
        read_geoid(tmp_path / "none.asc", EXTENT, EXTENT.frame, "x", ImportNotes())


def test_another_datum_than_the_terrains_is_told(tmp_path: Path) -> None:
    _gsi(tmp_path / "egm2008.asc")
    notes = ImportNotes()
    read_geoid(tmp_path / "egm2008.asc", EXTENT, EXTENT.frame, "EGM96 geoid (SRTM)", notes)
    assert any("EGM96" in warning and "EPSG:3855" in warning for warning in notes.warnings)


# Ground risk.


def test_ground_risk_classes_are_those_of_the_table() -> None:
    small = replace(DRONE, span_m=1.0, max_airspeed_mps=25.0)
    assert classes(column(small), [0.0, 4.9, 5.0, 499.0, 500.0, 49_999.0, 50_000.0]).tolist() == [2, 2, 3, 4, 5, 6, 7]
    assert column(replace(small, span_m=1.1)) == 1
    assert column(replace(small, max_airspeed_mps=26.0)) == 1
    assert classes(2, [60_000.0]).tolist() == [OUT]
    assert column(replace(small, span_m=50.0)) is None
    assert classes(None, [0.0]).tolist() == [OUT]


# Lanes.

FRAME = LocalFrame(Position(35.47, 138.36))


def _lane(name: str, *places: tuple[float, float]) -> LaneSection:
    return LaneSection(name, "a" + name, "b" + name, tuple(FRAME.to_global(*place, 500.0) for place in places), 100.0)


def test_a_path_uses_the_sections_that_it_goes_along_and_none_that_it_crosses() -> None:
    region = replace(village(1), lanes=(_lane("along", (0, 0), (1000, 0)), _lane("across", (500, -400), (500, 400))))
    path = tuple(FRAME.to_global(east, north, 550.0) for east, north in ((-200, 30), (600, 30), (600, 600)))
    (used,) = lane_uses(region, path)
    assert used == LaneUse("along", pytest.approx(200.0 - 40.0, abs=11.0), pytest.approx(800.0, abs=21.0), True)
    back = lane_uses(region, path[::-1])
    assert [(use.section_id, use.forward) for use in back] == [("along", False)]
    assert lane_uses(village(1), path) == ()


# The sample municipality.


@pytest.mark.parametrize("seed", [1, 4, 7])
def test_the_municipality_has_lanes_with_junctions_along_river_and_power_line(seed: int) -> None:
    region = town(seed)
    check_lanes(region.lanes)
    names = {lane.section_id.split("-")[0] for lane in region.lanes}
    assert names == {"river", "line"}
    ends = [name for lane in region.lanes for name in (lane.a, lane.b)]
    assert ends.count("river-line") == 4
    assert sum(ends.count(name) == 2 for name in set(ends)) >= 6
    line = next(obstacle for obstacle in region.obstacles if obstacle.kind == "power_line")
    tops = np.array([region.frame.to_local(top) for top in line.line])
    for lane in region.lanes:
        for point in lane.line:
            assert point.alt_amsl_m - region.ground_amsl_m(point) == pytest.approx(100.0, abs=0.1)
            if lane.section_id.startswith("line"):
                assert np.hypot(*(tops - region.frame.to_local(point)).T).min() >= 50.0 + line.margin_m


@pytest.mark.parametrize("seed", [1, 4, 7])
def test_the_municipality_has_trees_radio_shadows_and_zones_of_every_kind(seed: int) -> None:
    region = town(seed)
    assert region.canopy is not None
    assert region.radio is not None
    assert 0.3 < np.mean(region.canopy.values > 0) < 0.95
    assert 0.02 < np.mean(region.radio.values > 140.0) < 0.25
    zones = {zone.zone_id: zone for zone in region.zones}
    assert zones["dam"].restriction is Restriction.AUTHORISATION
    assert zones["paragliding"].schedule
    assert zones["paragliding"].floor_m == 110.0
    areas_of(region.zones, region.frame)
    flown = FlightPaths(region).paths(
        [(region.site("hub-1").landing, site.landing) for site in region.sites if site.accepts_drone], vehicle=DRONE
    )
    used = {use.section_id for path in flown if isinstance(path, tuple) for use in lane_uses(region, path)}
    assert len(used) >= 3


@pytest.mark.parametrize("bad", [math.nan])
def test_a_layer_holds_numbers(bad: float) -> None:
    with pytest.raises(BadInput, match="layer: values"):
        Layer(0.0, 0.0, 10.0, np.array([[1.0, bad], [1.0, 2.0]]))
    layer = Layer(0.0, 0.0, 10.0, np.array([[1.0, math.inf], [1.0, 2.0]]))
    assert layer.greatest([5.0, 99.0], [5.0, -99.0]).tolist() == [math.inf, math.inf]

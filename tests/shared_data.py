"""Real data sets beside the working tree, for tests that say aloud when they are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

ANDORRA_OSM = SHARED / "osm" / "andorra.osm.pbf"
ANDORRA_DEM = SHARED / "dem" / "N42E001.hgt.zip"
JAPAN_DEM = SHARED / "dem" / "srtm3_n035e138.tif"
CENSUS_MESH = SHARED / "population" / "pop_2020_5338.zip"
CENSUS_PREFECTURE = SHARED / "population" / "yamanashi_pref19_2020.zip"
JAPAN_GML = SHARED / "dem" / "FG-GML-5238-74-00-DEM5A-20161001.xml"


def needs(*files: Path) -> pytest.MarkDecorator:
    """Skip a test, loudly, where a file is missing."""
    missing = ", ".join(file.name for file in files if not file.is_file())
    return pytest.mark.skipif(bool(missing), reason=f"REAL MAPS NOT TESTED: {missing} is not beside the working tree")

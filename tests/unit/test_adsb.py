"""What an ADS-B receiver sends: read as its makers document it, and whatever else comes from that address."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import adsb
from fleet.errors import BadRequest
from fleet.manned_aircraft import MOST
from routing.region.model import Region
from tests.problems import village

NOW = datetime(2026, 4, 1, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def region() -> Region:
    return village(1)


def file(*aircraft: Any, now: Any = 1_775_034_000.1) -> bytes:
    return orjson.dumps({"now": now, "messages": 12, "aircraft": list(aircraft)})


def near(region: Region, **changes: Any) -> dict[str, Any]:
    """An entry as readsb writes one, over the region."""
    entry: dict[str, Any] = {
        "hex": "86E2F1", "type": "adsb_icao", "flight": "JA01HP  ", "alt_baro": 1500, "gs": 90.0, "track": 45.0,
        "baro_rate": -640, "category": "A7", "lat": region.origin.lat, "lon": region.origin.lon, "seen_pos": 2.0,
        "seen": 0.1, "rssi": -20.1,
    }  # fmt: skip
    return {key: value for key, value in (entry | changes).items() if value is not None}


def test_a_helicopter_is_read_with_its_place_its_way_and_how_well_its_height_is_known(region: Region) -> None:
    (one,) = adsb.read(file(near(region)), region, at=NOW).aircraft

    assert (one.ident, one.name) == ("86e2f1", "JA01HP")
    assert one.observed_at == NOW - timedelta(seconds=2)
    assert one.expires_at == one.observed_at + timedelta(seconds=60)
    assert one.alt_amsl_m == pytest.approx(457.2)
    assert one.alt_error_m == adsb.BARO_ERROR_M
    assert one.speed_mps == pytest.approx(46.3, abs=0.01)
    assert one.climb_mps == pytest.approx(-3.25, abs=0.01)
    assert one.track_deg == 45.0


def test_one_that_says_no_height_has_none(region: Region) -> None:
    (one,) = adsb.read(file(near(region, alt_baro=None, flight=None)), region, at=NOW).aircraft
    assert one.alt_amsl_m is None
    assert one.name == "86E2F1"


@pytest.mark.parametrize(
    "changes",
    [
        {"alt_baro": "ground"},
        {"lat": None},
        {"lat": "35"},
        {"lat": 1e400},
        {"lat": True},
        {"lon": 999.0},
        {"seen_pos": 45.0},
        {"seen_pos": -3.0},
        {"category": "B6"},
        {"hex": None},
        {"hex": "x" * 100},
        {"hex": "a\nb"},
        {"gs": 1e9},
        {"alt_baro": 39_000},
        {"lat": 60.0},
    ],
    ids=str,
)
def test_what_is_not_in_the_air_near_by_or_says_nonsense_is_left_out(region: Region, changes: dict[str, Any]) -> None:
    data = file(near(region, **changes), near(region, hex="abc123"))
    assert [one.ident for one in adsb.read(data, region, at=NOW).aircraft] == ["abc123"]


@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b"{}", b'{"now": "x", "aircraft": []}', b'{"now": 1}'])
def test_what_is_no_such_file_is_refused(region: Region, data: bytes) -> None:
    with pytest.raises(BadRequest, match=r"aircraft\.json"):
        adsb.read(data, region, at=NOW)


def test_a_file_of_a_hundred_thousand_aircraft_is_not_read_to_its_end(region: Region) -> None:
    entries = [near(region, hex=f"{i:06x}") for i in range(adsb.MAX_ENTRIES + 10)]
    found = adsb.read(file(*entries), region, at=NOW)
    assert len(found.aircraft) == MOST
    assert found.unused == 10


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda x: st.lists(x, max_size=3)))
def test_whatever_stands_in_an_entry_nothing_breaks(value: Any) -> None:
    region = village(1)
    for name in ("hex", "flight", "lat", "lon", "alt_baro", "alt_geom", "gs", "track", "baro_rate", "seen_pos"):
        adsb.read(file(near(region, **{name: value})), region, at=NOW)
    adsb.read(file(value), region, at=NOW)

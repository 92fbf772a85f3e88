"""Zones of ED-269 and ED-318: the official examples, the quirks of national files, and the way back."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

from routing.errors import BadInput
from routing.formats.zone_files import read_zone_file
from routing.formats.zone_times import read_periods, write_periods
from routing.formats.zones_ed318 import read_ed318, write_ed318
from routing.geo import LocalFrame, Position
from routing.region.model import AltitudeReference, Period, Restriction, Zone
from routing.region.notes import ImportNotes
from tests.shared_data import SHARED, needs

ZONES = SHARED / "zones"
CIRCLE = {"subType": "Circle", "radius": 100}
SQUARE = [[138.0, 35.0], [138.01, 35.0], [138.01, 35.01], [138.0, 35.01], [138.0, 35.0]]


def volume(ring: Any = SQUARE, **changes: Any) -> dict[str, Any]:
    given_volume = {
        "uomDimensions": "M",
        "lowerLimit": 0,
        "lowerVerticalReference": "AGL",
        "upperLimit": 120,
        "upperVerticalReference": "AGL",
        "horizontalProjection": {"type": "Polygon", "coordinates": [ring]},
    }
    return given_volume | changes


def ed269(*volumes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    zone = {"identifier": "A1", "restriction": "PROHIBITED", "reason": ["SENSITIVE"], "geometry": list(volumes)}
    return {"title": "zones", "features": [zone | changes]}


def ed318(geometry: Any = None, **changes: Any) -> dict[str, Any]:
    properties = {"identifier": "A1", "country": "JPN", "type": "PROHIBITED", "variant": "COMMON", "zoneAuthority": []}
    geometry = geometry or {"type": "Polygon", "coordinates": [SQUARE]}
    return {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": geometry, "properties": properties | changes}],
    }


def read(folder: Path, data: Any) -> tuple[tuple[Zone, ...], ImportNotes]:
    path, notes = folder / "zones.json", ImportNotes()
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode())
    return read_zone_file(path, notes), notes


def only(folder: Path, data: Any) -> tuple[Zone, str]:
    zones, notes = read(folder, data)
    assert len(zones) == 1, notes
    return zones[0], "\n".join(notes.warnings)


def shape(zone: Zone) -> shapely.Polygon:
    return shapely.Polygon([(lon, lat) for lat, lon in zone.ring])


@needs(ZONES / "Example_Collection.json")
def test_the_official_collection() -> None:
    notes = ImportNotes()
    low, high, circle = read_zone_file(ZONES / "Example_Collection.json", notes)

    assert (low.zone_id, low.floor_m, low.ceiling_m) == ("NFZ6547-1", 50.0, 150.0)
    assert (high.zone_id, high.floor_m, high.ceiling_m) == ("NFZ6547-2", 0.0, 50.0)
    assert low.restriction is Restriction.AUTHORISATION
    year = (datetime(2018, 12, 31, 15, 59, 59, tzinfo=UTC), datetime(2019, 12, 31, 15, 59, 59, tzinfo=UTC))
    assert low.schedule == (Period(*year, (), 16 * 60, 17 * 60), Period(*year, (6,), 10 * 60, 12 * 60))
    assert (circle.kind, circle.restriction, circle.schedule) == ("population", Restriction.PROHIBITED, ())
    frame = LocalFrame(Position(50.122901, 2.636866))
    reach = [np.hypot(*frame.to_local(Position(lat, lon))) for lat, lon in circle.ring]
    assert 3_500 <= min(reach) <= max(reach) < 3_520
    assert not notes.warnings


@needs(ZONES / "InvalidExample_GeoZone_2_Layers.json")
def test_the_example_that_is_invalid_on_purpose_is_refused_with_its_reason() -> None:
    with pytest.raises(BadInput, match=r"InvalidExample.*metadata: validFrom .* is not a date and time"):
        read_zone_file(ZONES / "InvalidExample_GeoZone_2_Layers.json", ImportNotes())


@needs(ZONES / "cis_source_sample_ed269.json")
def test_the_swiss_sample() -> None:
    [zone] = read_zone_file(ZONES / "cis_source_sample_ed269.json", ImportNotes())

    assert (zone.zone_id, zone.kind, zone.name_en) == ("LSXX", "air_traffic", "LSXX City Sample")
    assert (zone.restriction, zone.conditions) == (Restriction.AUTHORISATION, ("RST02",))
    assert (zone.floor_m, zone.ceiling_m, zone.schedule) == (0.0, None, ())
    assert zone.ring[0] == (46.2170245, 6.1664857)


def test_the_volumes_of_a_zone_are_zones_with_heights_of_their_own(tmp_path: Path) -> None:
    away = [[lon + 0.1, lat] for lon, lat in SQUARE]
    circle = {"type": "Circle", "center": [138.5, 35.5], "radius": 1_000}
    zones, notes = read(
        tmp_path,
        ed269(
            volume(uomDimensions="FT", lowerLimit="1000", lowerVerticalReference="AMSL", upperLimit="UNL"),
            volume(away, upperVerticalReference="W84", upperLimit=300.5, lowerLimit="GND"),
            volume(horizontalProjection=circle, lowerLimit=None),
        ),
    )

    assert [zone.zone_id for zone in zones] == ["A1-1", "A1-2", "A1-3"]
    first, second, third = zones
    assert (first.floor_m, first.floor_reference, first.ceiling_m) == (304.8, AltitudeReference.AMSL, None)
    assert (second.floor_m, second.floor_reference) == (0.0, AltitudeReference.AGL)
    assert (second.ceiling_m, second.ceiling_reference) == (300.5, AltitudeReference.ELLIPSOID)
    assert third.floor_m is None
    assert shape(third).contains(shapely.Point(138.5, 35.5))
    assert not notes.warnings


@pytest.mark.parametrize("word", ["REQ_AUTHORISATION", "REQ_AUTHORIZATION", "USPACE"])
def test_words_for_authorisation(word: str, tmp_path: Path) -> None:
    assert only(tmp_path, ed269(volume(), restriction=word))[0].restriction is Restriction.AUTHORISATION
    assert only(tmp_path, ed318(type=word))[0].restriction is Restriction.AUTHORISATION


def test_what_cannot_be_read_is_taken_as_the_stricter_and_it_is_said(tmp_path: Path) -> None:
    zone, told = only(
        tmp_path,
        ed269(
            volume(lowerLimit="low", upperLimit=95, upperVerticalReference="STD", uomDimensions="furlong"),
            restriction="MAYBE",
            applicability=[{"startDateTime": "soon", "schedule": [{"day": ["FUNDAY"], "startTime": "x"}]}],
        ),
    )

    assert zone.restriction is Restriction.PROHIBITED
    assert (zone.floor_m, zone.ceiling_m, zone.schedule) == (None, None, ())
    for what in (
        "'MAYBE' is not known",
        "'low' is not a number",
        "'STD'",
        "'FURLONG'",
        "'soon' is not a time",
        "'FUN'",
    ):
        assert what in told
    assert "zone 0 (A1)" in told


def test_limits_that_are_upside_down_are_open(tmp_path: Path) -> None:
    zone, told = only(tmp_path, ed269(volume(lowerLimit=200, upperLimit=100)))

    assert (zone.floor_m, zone.ceiling_m) == (None, None)
    assert "not above its lower" in told


def test_a_layer_of_a_collection_is_that_of_its_parts_without_one(tmp_path: Path) -> None:
    polygon = {"type": "Polygon", "coordinates": [SQUARE]}
    layer = {"upper": 400, "upperReference": "AMSL", "uom": "ft"}
    own = {"upper": 30, "upperReference": "AGL"}
    zones, _ = read(
        tmp_path,
        ed318({"type": "GeometryCollection", "layer": layer, "geometries": [polygon, polygon | {"layer": own}]}),
    )

    assert [(zone.ceiling_m, zone.ceiling_reference.value) for zone in zones] == [(121.92, "amsl"), (30.0, "agl")]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (ed318({"type": "LineString", "coordinates": SQUARE}), "geometry 'LineString'"),
        (ed318({"type": "Point", "coordinates": [1, 2]}), "a Point without a circle"),
        (
            ed318({"type": "Point", "coordinates": [1, 2], "extent": {"subType": "Circle", "radius": -1}}),
            "radius of -1",
        ),
        (ed318({"type": "Polygon", "coordinates": [[[138, 35], [139, "x"], [138, 36]]]}), "ring 0, corner 1"),
        (ed318({"type": "Polygon", "coordinates": [[[138, 35], [139, 35], [140, 35]]]}), "encloses less than 1 m2"),
        (ed318({"type": "GeometryCollection", "geometries": []}), "a collection without geometries"),
        (ed269(volume(horizontalProjection={"type": "Ellipse"})), "horizontalProjection 'ellipse'"),
        (ed269({"lowerLimit": 0}), "horizontalProjection is missing"),
        (ed269(volume([[35.0, 139.0], [35.0, 139.1], [35.1, 139.1]])), "latitude first"),
    ],
)
def test_one_zone_that_cannot_be_read_is_named_and_the_others_are_taken(
    broken: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    whole = (ed318() if broken.get("type") else ed269(volume()))["features"]
    zones, notes = read(tmp_path, broken | {"features": whole + broken["features"]})

    assert len(zones) == 1
    told = notes.warnings[-1]
    assert reason in told
    assert "A1" in told
    assert told.endswith("it was left out")
    assert sum(notes.skipped.values()) == 1


def test_a_file_may_have_a_byte_order_mark_and_any_script(tmp_path: Path) -> None:
    names = [{"text": "皇居", "lang": "ja-JP"}, {"text": "Impériale", "lang": "fr-FR"}]
    text = json.dumps(ed318(name=names), ensure_ascii=False)

    for encoded in (text.encode("utf-8-sig"), text.encode("utf-16")):
        zone, _ = only(tmp_path, encoded)
        assert (zone.name_ja, zone.name_en) == ("皇居", "皇居")


def test_a_ring_that_crosses_itself_becomes_all_that_it_encloses(tmp_path: Path) -> None:
    turns = np.radians(90 + 144 * np.arange(6))
    star = np.column_stack((138 + 0.01 * np.cos(turns), 35 + 0.01 * np.sin(turns))).tolist()

    zone, told = only(tmp_path, ed269(volume(star)))

    # Its middle is gone around twice: even so it is inside.
    assert shape(zone).contains(shapely.Point(138, 35))
    assert "repaired: Self-intersection" in told


@pytest.mark.parametrize("written", [-179.9, 180.1])
def test_a_zone_across_the_antimeridian_is_cut_there(written: float, tmp_path: Path) -> None:
    ring = [[179.9, -17], [written, -17], [written, -16.9], [179.9, -16.9], [179.9, -17]]

    zones, _ = read(tmp_path, ed269(volume(ring)))

    assert [zone.zone_id for zone in zones] == ["A1-1", "A1-2"]
    bounds = sorted(tuple(round(float(value), 6) for value in shape(zone).bounds) for zone in zones)
    assert bounds == [(-180.0, -17.0, -179.9, -16.9), (179.9, -17.0, 180.0, -16.9)]


def test_a_circle_across_the_antimeridian_is_cut_there(tmp_path: Path) -> None:
    projection = {"type": "Circle", "center": [179.999, 52.0], "radius": 1_000}

    zones, _ = read(tmp_path, ed269(volume(horizontalProjection=projection)))

    assert len(zones) == 2
    assert all(abs(lon) <= 180 for zone in zones for _, lon in zone.ring)


def test_a_country_of_zones_is_read_whole(tmp_path: Path) -> None:
    zone = ed269(volume())["features"][0]
    many = [zone | {"identifier": f"Z{number}"} for number in range(10_500)]

    zones, _ = read(tmp_path, {"UASZoneList": many})

    assert len({zone.zone_id for zone in zones}) == 10_500


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"day": ["ANY"], "startTime": "16:00:00Z", "endTime": "17:00Z"}, [Period(None, None, (), 960, 1_020)]),
        ({"day": ["MON", "TUE"], "startTime": "22:00", "endTime": "06:00"}, [Period(None, None, (0, 1), 1_320, 360)]),
        (
            {"day": ["MON"], "startTime": "00:30:00+09:00", "endTime": "09:00+0900"},
            [Period(None, None, (6,), 930, 1_440)],
        ),
        ({"day": ["SAT"], "startTime": "00:00:00Z", "endTime": "23:59:59Z"}, [Period(None, None, (5,), 0, 1_440)]),
        ({"day": ["SAT"], "startTime": "00:00Z", "endTime": "24:00Z"}, [Period(None, None, (5,), 0, 1_440)]),
        (
            {"day": ["SUN"], "startTime": "00:00+02:00", "endTime": "00:00+02:00"},
            [Period(None, None, (5,), 1_320, 1_440), Period(None, None, (6,), 0, 1_320)],
        ),
        ({"day": ["SUN"], "startEvent": "SR", "endEvent": "SS"}, [Period(None, None, (6,), 0, 1_440)]),
        ({"day": ["SUN"], "startTime": "09:00:30.5Z", "endTime": "10:00:30Z"}, [Period(None, None, (6,), 540, 601)]),
        ({"day": [], "startTime": None, "endTime": None}, []),
    ],
)
def test_days_and_hours_become_periods_in_utc(schedule: dict[str, Any], expected: list[Period]) -> None:
    notes = ImportNotes()

    for key in ("schedule", "dailyPeriod"):
        assert list(read_periods([{"permanent": "YES", key: [schedule]}], "zone 1", notes)) == expected
    assert bool(notes.warnings) == ("startEvent" in schedule)


def test_dates_bound_periods_and_permanent_zones_have_none() -> None:
    part = {"startDateTime": "2024-05-01T09:00:00+09:00", "endDateTime": "9999-12-31T23:59:59-12:00"}
    notes = ImportNotes()

    assert read_periods([part], "z", notes) == (Period(datetime(2024, 5, 1, tzinfo=UTC)),)
    assert "endDateTime" in notes.warnings[0]
    assert read_periods([part | {"permanent": "YES"}], "z", notes) == ()


minutes = st.integers(0, 1_439)
times = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
periods = st.builds(
    Period,
    st.none() | times,
    st.none(),
    st.sets(st.integers(0, 6), max_size=6).map(lambda days: tuple(sorted(days))),
    minutes,
    minutes.map(lambda minute: minute + 1),
).filter(lambda period: period != Period() and period.from_minute != period.to_minute)
names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)
heights = st.none() | st.integers(-100, 5_000).map(float)


@st.composite
def zones(draw: st.DrawFn) -> Zone:
    lat, lon = draw(st.integers(-80, 80)), draw(st.integers(-179, 179))
    turns = sorted(draw(st.sets(st.integers(0, 35), min_size=3, max_size=9)))
    angles = np.radians(10 * np.array(turns))
    ring = np.round(np.column_stack((lat + np.sin(angles) / 20, lon + np.cos(angles) / 20)), 7).tolist()
    corners = [(north, east) for north, east in ring]
    floor, ceiling = draw(heights), draw(heights)
    references = draw(st.tuples(st.sampled_from(AltitudeReference), st.sampled_from(AltitudeReference)))
    if floor is not None and ceiling is not None and references[0] is references[1] and ceiling <= floor:
        floor = None
    restriction = draw(st.sampled_from(Restriction))
    return Zone(
        draw(names),
        draw(names),
        draw(names),
        draw(names),
        (*corners, corners[0]),
        floor,
        references[0] if floor is not None else AltitudeReference.AGL,
        ceiling,
        references[1] if ceiling is not None else AltitudeReference.AGL,
        restriction,
        tuple(draw(st.lists(names, max_size=2, unique=True))),
        tuple(dict.fromkeys(draw(st.lists(periods, max_size=3)))),
        draw(st.none() | st.floats(0, 500)),
    )


@settings(deadline=None)
@given(st.lists(zones(), min_size=1, max_size=4))
def test_zones_written_as_ed318_are_read_back_the_same(given_zones: list[Zone]) -> None:
    notes = ImportNotes()

    data = json.loads(json.dumps(write_ed318(given_zones, name="ours")))

    assert list(read_ed318(data, "back", notes)) == given_zones
    assert not notes.warnings


@given(st.lists(periods, min_size=1, max_size=3, unique=True))
def test_periods_written_are_read_back_the_same(given_periods: list[Period]) -> None:
    assert list(read_periods(write_periods(given_periods), "back", ImportNotes())) == given_periods


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-400, 400) | st.sampled_from(["M", "AGL", "MON", "12:00Z", "Circle", "x"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "day", "radius"]), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    key=st.sampled_from(["geometry", "restriction", "applicability", "name", "reason", "identifier", "type"]),
    value=json_values,
    inside=st.sampled_from([None, "horizontalProjection", "lowerLimit", "uomDimensions", "upperVerticalReference"]),
)
def test_no_value_anywhere_makes_reading_crash(
    key: str, value: Any, inside: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any", numbered=True)
    broken = ed269(volume(**{inside: value})) if inside else ed269(volume(), **{key: value})

    for data in (broken, ed318(**{key: value}), ed318(value), ed318({"type": "Polygon", "coordinates": value})):
        with suppress(BadInput):
            found, notes = read(folder, data)
            assert found or notes.warnings


@cache
def official() -> Draft7Validator:
    """The standard's own schemas, which name one another by file."""
    base = "http://ed318.invalid/"
    files = (ZONES / "ed318_schema").glob("*.json")
    schemas = [(f"{base}{path.name}", DRAFT7.create_resource(json.loads(path.read_text()))) for path in files]
    main = {"$ref": f"{base}Schema_GeoZones.json"}
    return Draft7Validator(main, registry=Registry().with_resources(schemas))


@needs(ZONES / "ed318_schema" / "Schema_GeoZones.json", ZONES / "Example_Collection.json")
def test_the_official_schemas_take_their_own_example_and_not_the_invalid_one() -> None:
    official().validate(json.loads((ZONES / "Example_Collection.json").read_text()))
    assert not official().is_valid(json.loads((ZONES / "InvalidExample_GeoZone_2_Layers.json").read_text()))


@needs(ZONES / "ed318_schema" / "Schema_GeoZones.json")
@settings(deadline=None, max_examples=40)
@given(st.lists(zones(), min_size=1, max_size=4))
def test_what_is_written_is_valid_by_the_official_schemas(given_zones: list[Zone]) -> None:
    official().validate(write_ed318(given_zones, name="ours"))


def test_a_country_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="country 'Japan'"):
        write_ed318([], country="Japan")

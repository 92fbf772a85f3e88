"""No-fly zones from GeoJSON: what is taken, what is repaired, and what is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from routing.errors import BadInput
from routing.formats import zone_files, zones_geojson
from routing.geo import Position
from routing.region.extent import Extent
from routing.region.model import Zone
from routing.region.notes import ImportNotes
from routing.region.zones import read_zones, with_distinct_ids
from tests.shared_data import SHARED, needs

EXTENT = Extent(42.45, 1.45, 42.55, 1.55)
FRAME = EXTENT.frame
SQUARE = [[1.50, 42.50], [1.51, 42.50], [1.51, 42.51], [1.50, 42.51], [1.50, 42.50]]


def _feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def _read(folder: Path, data: Any, notes: ImportNotes | None = None) -> list[Zone]:
    path = folder / "zones.geojson"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return read_zones(path, EXTENT, notes or ImportNotes())


def _shape(zone: Zone) -> shapely.Polygon:
    return shapely.Polygon([FRAME.to_local(Position(lat, lon)) for lat, lon in zone.ring])


def _local(lon: float, lat: float) -> tuple[float, float]:
    return FRAME.to_local(Position(lat, lon))


def test_a_collection_of_named_polygons(tmp_path: Path) -> None:
    zones = _read(
        tmp_path,
        {
            "type": "FeatureCollection",
            "features": [
                _feature(_polygon(SQUARE), name="Dam", name_ja="ダム", kind="Dam wall"),
                {**_feature(_polygon(SQUARE)), "id": 7},
                _feature(_polygon(SQUARE), **{"name:en": "Prison", "identifier": "P 1"}),
                _feature(_polygon(SQUARE)),
            ],
        },
    )
    assert [(zone.zone_id, zone.kind, zone.name_ja, zone.name_en) for zone in zones] == [
        ("zones-0", "dam wall", "ダム", "Dam"),
        ("7", "no_fly", "7", "7"),
        ("P-1", "no_fly", "Prison", "Prison"),
        ("zones-3", "no_fly", "zones-3", "zones-3"),
    ]
    assert set(zones[0].ring) == {(42.5, 1.5), (42.5, 1.51), (42.51, 1.51), (42.51, 1.5)}
    assert zones[0].ring[0] == zones[0].ring[-1]


def test_a_single_feature_and_a_bare_geometry(tmp_path: Path) -> None:
    assert len(_read(tmp_path, _feature(_polygon(SQUARE), name="a"))) == 1
    assert len(_read(tmp_path, _polygon(SQUARE))) == 1
    assert len(_read(tmp_path, "\ufeff" + json.dumps(_polygon(SQUARE)))) == 1


def test_each_part_of_a_multipolygon_is_a_zone(tmp_path: Path) -> None:
    other = [[lon + 0.02, lat] for lon, lat in SQUARE]
    shape = {"type": "MultiPolygon", "coordinates": [[SQUARE], [other]]}
    zones = _read(tmp_path, _feature(shape, id="pair", name="Pair"))
    assert [zone.zone_id for zone in zones] == ["pair-1", "pair-2"]
    assert {zone.name_en for zone in zones} == {"Pair"}


def test_a_buffer_widens_a_polygon_and_makes_a_circle_of_a_point(tmp_path: Path) -> None:
    [wide] = _read(tmp_path, _feature(_polygon(SQUARE), buffer=100))
    plain = shapely.Polygon([_local(*place) for place in SQUARE])
    assert _shape(wide).contains(plain.buffer(99.9))
    assert _shape(wide).area < plain.buffer(105, join_style="mitre").area
    [circle] = _read(tmp_path, _feature({"type": "Point", "coordinates": [1.5, 42.5]}, buffer=250))
    assert _shape(circle).contains(shapely.Point(*_local(1.5, 42.5)).buffer(249.9))
    assert _shape(circle).area < shapely.Point(0, 0).buffer(265).area


def test_the_circle_of_an_authority_is_one(tmp_path: Path) -> None:
    point = {"type": "Point", "coordinates": [1.5, 42.5], "extent": {"subType": "Circle", "radius": 500}}
    names = [{"text": "Castle", "lang": "en-GB"}, {"text": "城", "lang": "ja-JP"}]
    [zone] = _read(tmp_path, _feature(point, identifier="ABC", type="PROHIBITED", name=names))
    assert (zone.zone_id, zone.kind, zone.name_ja, zone.name_en) == ("ABC", "prohibited", "城", "Castle")
    assert _shape(zone).contains(shapely.Point(*_local(1.5, 42.5)).buffer(499.9))


def test_zones_elsewhere_are_counted_and_left_out(tmp_path: Path) -> None:
    notes = ImportNotes()
    away = [[lon + 2, lat] for lon, lat in SQUARE]
    reaching = [[1.40, 42.50], [1.46, 42.50], [1.46, 42.51], [1.40, 42.50]]
    features = [_feature(_polygon(away)), _feature(_polygon(reaching), id="edge")]
    assert [zone.zone_id for zone in _read(tmp_path, {"features": features}, notes)] == ["edge"]
    assert notes.skipped["zones outside the extent"] == 1


def test_rings_are_closed_repaired_and_filled_and_it_is_said(tmp_path: Path) -> None:
    notes = ImportNotes()
    bow_tie = [[1.50, 42.50], [1.51, 42.51], [1.51, 42.50], [1.50, 42.51], [1.50, 42.50]]
    hole = [[1.503, 42.503], [1.507, 42.503], [1.507, 42.507], [1.503, 42.503]]
    features = [_feature(_polygon(SQUARE[:-1])), _feature(_polygon(bow_tie)), _feature(_polygon(SQUARE, hole))]
    zones = _read(tmp_path, {"features": features}, notes)
    assert len(zones) == 4  # the bow tie has two halves
    told = "\n".join(notes.warnings)
    assert "feature 0: ring 0 was not closed" in told
    assert "feature 1: repaired: Self-intersection" in told
    assert "feature 2: its holes are closed" in told
    assert _shape(zones[3]).contains(shapely.Point(*_local(1.506, 42.504)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "not GeoJSON"),
        ("[1, 2]", "an object is needed"),
        ('{"type": "FeatureCollection"}', "features in it"),
        ('{"features": []}', "features in it"),
        ('{"features": [3]}', "feature 0: has no geometry"),
        ('{"features": [{"type": "Feature", "geometry": null}]}', "feature 0: has no geometry"),
        ("[" * 100_000, "not GeoJSON"),
        (json.dumps(_polygon(SQUARE)).replace("42.51", "NaN"), "NaN is not a number that JSON has"),
        (json.dumps(_polygon(SQUARE)).replace("42.51", "1e999"), "not on the earth"),
        (json.dumps(_polygon(SQUARE)).replace("42.51", "Infinity"), "Infinity is not a number"),
    ],
)
def test_what_is_no_geojson_is_refused(tmp_path: Path, data: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        _read(tmp_path, data)


@pytest.mark.parametrize(
    ("geometry", "properties", "reason"),
    [
        ({"type": "LineString", "coordinates": SQUARE}, {}, "'LineString'; Polygon"),
        ({"type": "Polygon", "coordinates": []}, {}, "list of rings"),
        ({"type": "Polygon", "coordinates": [SQUARE[:2]]}, {}, "ring 0 has fewer than 3 different corners"),
        ({"type": "Polygon", "coordinates": [[[1, 42]] * 5]}, {}, "fewer than 3 different"),
        ({"type": "Polygon", "coordinates": [[[1.5, 42.5], [1.6, 42.6], [1.55, 42.55]]]}, {}, "nothing|1 m2"),
        ({"type": "Polygon", "coordinates": [[[139.5, 35.5], ["a", 35.6], [139.6, 35.6]]]}, {}, "corner 1: .*numbers"),
        ({"type": "Polygon", "coordinates": [[[139.5, 35.5], [None, 35.6], [139.6, 35.6]]]}, {}, "corner 1: .*numbers"),
        ({"type": "Polygon", "coordinates": [[[35.5, 139.5], [35.6, 139.5], [35.6, 139.6]]]}, {}, "latitude first"),
        ({"type": "Polygon", "coordinates": [[[1.5], [1.6, 42.6], [1.55, 42.5]]]}, {}, r"corner 0: \[lon, lat\]"),
        ({"type": "Point", "coordinates": [1.5, 42.5]}, {}, "needs a buffer"),
        ({"type": "Polygon", "coordinates": [SQUARE]}, {"buffer": -5}, "buffer -5"),
        ({"type": "Polygon", "coordinates": [SQUARE]}, {"buffer": "wide"}, "buffer 'wide'"),
    ],
)  # fmt: skip
def test_a_bad_feature_is_named_by_its_number(
    tmp_path: Path, geometry: Any, properties: dict[str, Any], reason: str
) -> None:
    features = [_feature(_polygon(SQUARE)), _feature(geometry, **properties)]
    with pytest.raises(BadInput, match=rf"zones\.geojson: feature 1.*({reason})"):
        _read(tmp_path, {"type": "FeatureCollection", "features": features})


def test_other_coordinates_and_huge_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
    with pytest.raises(BadInput, match="EPSG::3857; longitude and latitude"):
        _read(tmp_path, {"crs": crs, "features": [_feature(_polygon(SQUARE))]})
    for module in (zone_files, zones_geojson):
        monkeypatch.setattr(module, "MAX_FEATURES", 2)
    with pytest.raises(BadInput, match="3 features; at most 2"):
        _read(tmp_path, {"features": [_feature(_polygon(SQUARE))] * 3})
    monkeypatch.setattr(zones_geojson, "MAX_BYTES", 10)
    with pytest.raises(BadInput, match="larger than"):
        _read(tmp_path, {"features": [_feature(_polygon(SQUARE))]})
    with pytest.raises(BadInput, match=r"nowhere\.geojson: cannot be read"):
        read_zones(tmp_path / "nowhere.geojson", EXTENT, ImportNotes())


def test_ids_of_different_makers_become_distinct() -> None:
    zones = [Zone(zone_id, "school", "", "", ((0, 0), (0, 1), (1, 1), (0, 0))) for zone_id in ("1", "1.2", "1", "1")]
    assert [zone.zone_id for zone in with_distinct_ids(zones)] == ["1", "1.2", "1.3", "1.4"]


@needs(SHARED / "zones" / "Example_GeoZone_Circle.json")
def test_the_example_of_the_standard() -> None:
    around = Extent(50.0, 2.5, 50.2, 2.8)
    path = SHARED / "zones" / "Example_GeoZone_Circle.json"
    [zone] = read_zones(path, around, ImportNotes())
    assert (zone.zone_id, zone.kind) == ("ABC1234", "population")
    shape = shapely.Polygon([around.frame.to_local(Position(lat, lon)) for lat, lon in zone.ring])
    centre = around.frame.to_local(Position(50.122901, 2.636866))
    assert shape.contains(shapely.Point(*centre).buffer(3_499))

"""Regions written and read: exactly there and back, and nothing hostile gets in."""

from __future__ import annotations

import io
import json
import struct
import time
import zipfile
import zlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.errors import BadInput
from routing.geo import Position
from routing.region.bundle import (
    MAGIC,
    MAX_BYTES,
    MAX_PACKED_BYTES,
    load_bundle,
    load_region,
    pack,
    save_bundle,
    stated_hash,
    unpack,
)
from routing.region.model import (
    AltitudeReference,
    Feature,
    GroundEdge,
    LaneSection,
    Layer,
    Obstacle,
    Period,
    Population,
    Region,
    Restriction,
    WayKind,
    Zone,
)
from routing.region.sample import sample_region
from tests.problems import village

town = cache(sample_region)


def _with_everything() -> Region:
    region = village(1)
    first = region.edges[0]
    return replace(
        region,
        edges=(
            GroundEdge(first.a, first.b, 12.5, WayKind.STEPS, 1.5, "stone", True, False, True, True, 0.1, 0.12, 5.5),
            *region.edges[1:],
        ),
        obstacles=(Obstacle("o1", "mast", "Mast", (Position(35.47, 138.36, 460.0),), 30.0),),
        features=(Feature("river", "川", ((35.47, 138.36), (35.48, 138.37)), False),),
        population=Population(
            -500.0, -500.0, 250.0, np.arange(16.0).reshape(4, 4), (("65+", np.ones((4, 4))),), "census"
        ),
        zones=(*region.zones, _zone()),
        lanes=(
            LaneSection(
                "s1", "a", "b", (Position(35.47, 138.36, 520.0), Position(35.48, 138.36, 530.0)), 80.0, True, 3
            ),
        ),
        canopy=Layer(-500.0, -500.0, 100.0, np.full((3, 4), 18.0), "survey"),
        radio=Layer(-500.0, -500.0, 100.0, np.array([[30.0, np.inf], [60.0, 0.0]]), "model"),
        geoid=Layer(-500.0, -500.0, 500.0, np.full((2, 2), 41.5), "EGM2008 (EPSG:3855)"),
    )


def _zone() -> Zone:
    """A zone with everything a zone can have."""
    begins = datetime(2026, 4, 1, 9, 0, tzinfo=timezone(timedelta(hours=9)))
    return Zone(
        "festival", "event", "祭", "Festival", ((35.47, 138.36), (35.48, 138.36), (35.48, 138.37)),
        30.0, AltitudeReference.AGL, 700.0, AltitudeReference.AMSL, Restriction.CONDITIONAL, ("lane",),
        (Period(begins, None, (5, 6), 600, 60),), 35.0,
    )  # fmt: skip


@pytest.mark.parametrize("make", [lambda: village(1), _with_everything, lambda: town(1)])
def test_a_region_comes_back_exactly_from_a_folder_and_from_a_blob(make: Any, tmp_path: Path) -> None:
    region = make()
    save_bundle(region, tmp_path / "there")
    (tmp_path / "packed").write_bytes(pack(region))
    for place in (tmp_path / "there", tmp_path / "there" / "region.json", tmp_path / "packed"):
        again = load_region(place)
        assert again == region
        assert again.content_hash() == region.content_hash()
        assert json.dumps(again.to_json()) == json.dumps(region.to_json())
    assert stated_hash(tmp_path / "there") == region.content_hash()


def test_equal_regions_have_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_bundle(sample_region(2), tmp_path / name)
    for file in ("region.json", "rasters.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert pack(sample_region(2)) == pack(sample_region(2))


def test_the_hash_sees_every_part() -> None:
    region = _with_everything()
    raised = np.array(region.terrain.heights)
    raised[3, 4] += 0.25
    moved = replace(region.population, persons=region.population.persons[:, ::-1])
    others = [
        replace(region, name_en="x"),
        replace(region, terrain=replace(region.terrain, heights=raised)),
        replace(region, terrain=replace(region.terrain, error_m=1.0)),
        replace(region, population=None),
        replace(region, population=moved),
        replace(region, obstacles=()),
        replace(region, features=()),
        replace(region, lanes=()),
        replace(region, canopy=region.radio, radio=region.canopy),
        replace(region, geoid=None),
        replace(region, geoid=replace(region.geoid, source="another")),
        replace(region, population=replace(region.population, bands=())),
        replace(region, zones=(*region.zones[:-1], replace(region.zones[-1], ceiling_m=710.0))),
        replace(region, zones=(*region.zones[:-1], replace(region.zones[-1], schedule=()))),
        replace(region, edges=(replace(region.edges[0], robot=True), *region.edges[1:])),
    ]
    assert len({other.content_hash() for other in [region, *others]}) == len(others) + 1
    assert all(other != region for other in others)


def test_a_large_region_is_small_and_quick() -> None:
    region = sample_region(1, scale=1.6)
    began = time.perf_counter()
    blob = pack(region)
    assert unpack(blob) == region
    assert time.perf_counter() - began < 1.0
    assert len(blob) < 3_000_000
    assert len(region.nodes) > 3_000


def test_every_shortened_or_lengthened_blob_is_refused() -> None:
    blob = pack(village(1))
    for end in [*range(60), *range(60, len(blob), 997)]:
        with pytest.raises(BadInput, match="packed region"):
            unpack(blob[:end])
    with pytest.raises(BadInput, match="its length is wrong"):
        unpack(blob + b"x")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    blob = bytearray(pack(village(1)))
    where = data.draw(st.integers(0, len(blob) - 1))
    blob[where] ^= data.draw(st.integers(1, 255))
    try:
        found = unpack(bytes(blob))
    except BadInput:
        return
    # Some bits of a zlib stream's header mean nothing.
    assert found == village(1)


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    for blob in (noise, MAGIC + noise):
        with pytest.raises(BadInput):
            unpack(blob)


def _blob(text: bytes, raster_bytes: int = 0, *, rasters: bytes = b"") -> bytes:
    return MAGIC + struct.pack("<2I", len(text), raster_bytes) + zlib.compress(text + rasters)


@pytest.mark.parametrize(
    "blob",
    [
        _blob(b"{}", 2**32 - 1),
        _blob(b"{}", MAX_BYTES),
        MAGIC + struct.pack("<2I", 10, 16) + zlib.compress(b"\0" * (MAX_BYTES // 8), 9),
        b"\0" * (MAX_PACKED_BYTES + 1),
    ],
)
def test_a_blob_that_would_fill_the_memory_is_refused(blob: bytes) -> None:
    with pytest.raises(BadInput, match="packed region"):
        unpack(blob)


GRID = np.zeros((2, 2), dtype="<f4").tobytes()


@pytest.mark.parametrize("text", [b"", b"[]", b"5", b"{", b"\xff", b"[" * 50_000, b"{}", b'{"origin": 1e999}'])
def test_a_blob_with_other_json_is_refused(text: bytes) -> None:
    with pytest.raises(BadInput, match="packed region"):
        unpack(_blob(text, 16, rasters=GRID))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("sites",), ..., "'sites' is missing"),
        (("sites", 0, "pads"), [], "site hub-1 accepts drones and needs a pad"),
        (("sites", 0, "kind"), "castle", "castle"),
        (("sites", 0, "accepts_drone"), "no", "true or false is needed"),
        (("sites", 0, "position", "lat"), float("nan"), "a finite number is needed"),
        (("sites", 0, "position"), None, "malformed"),
        (("nodes", "lat"), [35.0], "malformed"),
        (("nodes", "node_id", 0), 7, "text is needed, not '7'"),
        (("edges", "kind", 0), "canal", "canal"),
        (("edges", "length_m", 0), 10**400, "malformed"),
        (("edges", "robot", 0), 1, "true or false is needed"),
        (("zones", 0, "ring"), [[1.0]], "malformed"),
        (("terrain", "step_m"), -1.0, "step_m positive"),
        (("population",), {"west_m": 0, "south_m": 0, "step_m": 1, "bands": [], "source": ""}, "persons"),
        (("radio",), {"west_m": 0, "south_m": 0, "step_m": 1, "source": ""}, "radio has a place but no raster"),
        (("rasters",), {"terrain": [2, 3]}, "of another length"),
        (("rasters",), {"terrain": [-2, -2]}, "no shape that can be"),
        (("rasters",), {"canopy": [2, 2]}, "raster 'canopy' has values but no place"),
        (("zones", 0, "floor_reference"), "sea", "sea"),
        (("zones", 0, "schedule"), [{"begins": "2026-04-01T00:00", "ends": None}], "time zone is needed"),
        (("lanes",), [{"section_id": 1}], "text is needed"),
        (("region_id",), None, "text is needed"),
    ],
)
def test_a_malformed_part_is_named(path: tuple[Any, ...], value: object, words: str) -> None:
    region = village(1)
    data = json.loads(json.dumps(region.to_json())) | {"rasters": {"terrain": [2, 2]}}
    spot = data
    for key in path[:-1]:
        spot = spot[key]
    if value is ...:
        del spot[path[-1]]
    else:
        spot[path[-1]] = value
    blob = _blob(json.dumps(data).encode(), 16, rasters=GRID)
    with pytest.raises(BadInput, match=words):
        unpack(blob)


def _bundle(folder: Path) -> Path:
    save_bundle(village(1), folder)
    return folder


def test_parts_of_two_bundles_do_not_go_together(tmp_path: Path) -> None:
    folder = _bundle(tmp_path / "a")
    save_bundle(village(2), tmp_path / "b")
    (folder / "rasters.npz").write_bytes((tmp_path / "b" / "rasters.npz").read_bytes())
    with pytest.raises(BadInput, match="do not belong together"):
        load_bundle(folder)


def test_an_edited_bundle_is_refused(tmp_path: Path) -> None:
    folder = _bundle(tmp_path / "a")
    text = (folder / "region.json").read_text(encoding="utf-8")
    (folder / "region.json").write_text(text.replace("Clinic", "Klinik"), encoding="utf-8")
    with pytest.raises(BadInput, match="do not belong together"):
        load_bundle(folder)


def _npz(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _claiming(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 and nothing more",
        _npz(),
        _npz(other=b""),
        _npz(terrain=b""),
        _npz(terrain=_npy(np.zeros((3, 3)))),
        _npz(terrain=_npy(np.zeros(9, dtype="<f4"))),
        _npz(terrain=_npy(np.array([print], dtype=object))),
        _npz(terrain=_claiming("(1000000, 1000000)")),
        _npz(terrain=_claiming("(-1, 4)")),
        _npz(terrain=_claiming("open('x')")),
    ],
)
def test_rasters_that_are_none_are_refused(content: bytes, tmp_path: Path) -> None:
    folder = _bundle(tmp_path / "a")
    (folder / "rasters.npz").write_bytes(content)
    with pytest.raises(BadInput, match=r"rasters\.npz"):
        load_bundle(folder)


def test_a_bundle_that_is_not_there_says_so(tmp_path: Path) -> None:
    for place in (tmp_path / "no" / "region.json", tmp_path / "no", tmp_path):
        with pytest.raises(BadInput, match="no such region"):
            load_region(place)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "region.json").write_text("{}")
    with pytest.raises(BadInput, match=r"rasters\.npz: no such region"):
        load_region(tmp_path / "half")

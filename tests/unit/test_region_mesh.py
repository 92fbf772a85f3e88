"""Japan's grid square codes: from a place to its mesh and back."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.errors import BadInput
from routing.region.mesh import MeshLevel, decode_mesh, encode_mesh, mesh_corners

LEVELS = st.sampled_from(list(MeshLevel))
LATS, LONS = st.floats(0, 66.66), st.floats(100, 179.999)

# A place in Tokyo with all its codes, as the statistics bureau's explanation of the meshes gives them.
TOKYO = (35.7007777, 139.71475, "53394547112")


@pytest.mark.parametrize("level", MeshLevel)
def test_a_known_place_has_its_known_codes(level: MeshLevel) -> None:
    lat, lon, code = TOKYO
    assert encode_mesh(lat, lon, level) == code[: int(level)]


@pytest.mark.parametrize(
    ("code", "corner", "size"),
    [
        ("5339", (35 + 1 / 3, 139.0), (40 / 60, 1.0)),
        ("533945", (35 + 1 / 3 + 20 / 60, 139.0 + 37.5 / 60), (5 / 60, 7.5 / 60)),
        ("53394611", (35.675, 139.7625), (30 / 3600, 45 / 3600)),
        ("533946114", (35.675 + 15 / 3600, 139.7625 + 22.5 / 3600), (15 / 3600, 22.5 / 3600)),
        ("52387400", (35.25, 138.5), (30 / 3600, 45 / 3600)),
    ],
)
def test_meshes_lie_where_the_standard_has_them(
    code: str, corner: tuple[float, float], size: tuple[float, float]
) -> None:
    mesh = decode_mesh(code)
    assert (mesh.south, mesh.west) == pytest.approx(corner, abs=1e-9)
    assert (mesh.north - mesh.south, mesh.east - mesh.west) == pytest.approx(size, abs=1e-9)


@given(LATS, LONS, LEVELS)
def test_a_mesh_holds_the_places_that_have_its_code(lat: float, lon: float, level: MeshLevel) -> None:
    mesh = decode_mesh(encode_mesh(lat, lon, level))
    assert mesh.level is level
    assert mesh.south - 1e-8 <= lat < mesh.north
    assert mesh.west - 1e-8 <= lon < mesh.east


@given(LATS, LONS, LEVELS)
def test_the_corner_of_a_mesh_has_its_code(lat: float, lon: float, level: MeshLevel) -> None:
    mesh = decode_mesh(encode_mesh(lat, lon, level))
    assert encode_mesh(mesh.south, mesh.west, level) == mesh.code
    assert encode_mesh((mesh.south + mesh.north) / 2, (mesh.west + mesh.east) / 2, level) == mesh.code


@given(LATS, LONS)
def test_smaller_meshes_lie_in_the_larger_that_their_codes_begin_with(lat: float, lon: float) -> None:
    meshes = [decode_mesh(encode_mesh(lat, lon, level)) for level in MeshLevel]
    for outer, inner in itertools.pairwise(meshes):
        assert inner.code.startswith(outer.code)
        assert outer.south <= inner.south < inner.north <= outer.north
        assert outer.west <= inner.west < inner.east <= outer.east


@pytest.mark.parametrize(
    "code",
    [
        *("", "533", "53394", "5339454", "533988", "533945470", "533945475", "533945471112"),
        *("5380", "-339", "53394547 ", "５３３９"),
    ],
)
def test_what_is_no_code_is_said_so(code: str) -> None:
    with pytest.raises(BadInput, match="mesh code"):
        decode_mesh(code)


@pytest.mark.parametrize("place", [(-1.0, 139.0), (67.0, 139.0), (35.0, 99.9), (35.0, 180.0), (math.nan, 139.0)])
def test_places_elsewhere_have_none(place: tuple[float, float]) -> None:
    with pytest.raises(BadInput, match="mesh code"):
        encode_mesh(*place)


def test_meshes_of_different_sizes_do_not_mix() -> None:
    with pytest.raises(BadInput, match="of one size are needed, not with 6, 8 digits"):
        mesh_corners(["53394611", "533946"])

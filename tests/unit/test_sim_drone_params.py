"""Parameters of the simulated autopilot."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.params import INT32, REAL32, Parameters


# Below -2**22 begin the bit patterns of signalling NaNs, which Python's float does not carry unchanged.
@given(st.integers(-(2**22), 2**23))
def test_integers_survive_the_wire_bytewise(value: int) -> None:
    params = Parameters({"COM_DL_LOSS_T": value})
    wire = params.to_wire("COM_DL_LOSS_T")
    assert struct.unpack("<i", struct.pack("<f", wire))[0] == value
    assert params.from_wire("COM_DL_LOSS_T", wire, INT32) == value


def test_a_set_of_the_wrong_type_or_of_no_number_is_not_taken() -> None:
    params = Parameters({})
    assert params.from_wire("RTL_RETURN_ALT", 50.0, INT32) is None
    assert params.from_wire("RTL_RETURN_ALT", float("nan"), REAL32) is None
    assert params.from_wire("RTL_RETURN_ALT", 50.0, REAL32) == 50.0


def test_only_what_differs_from_the_start_is_kept() -> None:
    kept: list[int] = []
    params = Parameters({"NAV_DLL_ACT": 2}, lambda: kept.append(1))
    assert params.changed() == {}
    params.set("RTL_RETURN_ALT", 45.0)
    assert params.changed() == {"RTL_RETURN_ALT": 45.0}
    assert kept == [1]


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="NO_SUCH"):
        Parameters({"NO_SUCH": 1.0})

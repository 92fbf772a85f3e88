"""Profiles of vehicles: figures that are there, that can be, and that say what they are when they cannot."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest

from hardware.profiles import load_profile, profile_data, profile_ids, read_profile
from routing.energy import capacity_wh
from routing.errors import BadInput
from routing.ground_rules import speed_limit_mps
from routing.vehicle_type import Airframe, VehicleKind, VehicleType

Data = dict[str, Any]

TYPES = [load_profile(type_id) for type_id in profile_ids()]


def test_there_is_a_type_of_every_airframe() -> None:
    assert {kind.built_as for kind in TYPES} == set(Airframe)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.type_id)
def test_a_profile_keeps_what_the_law_and_reason_ask(kind: VehicleType) -> None:
    assert kind.payload_kg < kind.empty_mass_kg
    assert kind.charge_s > 0
    assert 0 < kind.reserve_fraction < 1
    assert capacity_wh(kind) == kind.battery_wh, "the nominal capacity is that at 20 degrees"
    assert capacity_wh(kind, temperature_c=-10.0) < 0.85 * kind.battery_wh
    if kind.kind is VehicleKind.ROBOT:
        assert kind.cruise_speed_mps <= speed_limit_mps(kind)
        assert kind.idle_power_w < kind.cruise_power_w
    else:
        assert kind.max_airspeed_mps > kind.cruise_speed_mps
        assert kind.empty_mass_kg + kind.payload_kg < 25.0
        assert profile_data(kind.type_id)["parameters"]["RTL_TYPE"] == kind.rtl_type
    if kind.built_as is Airframe.SIDEWALK_ROBOT:
        assert kind.width_m <= 0.7
        assert kind.span_m <= 1.2


def _changed(type_id: str, change: Callable[[Data], object]) -> Data:
    data = copy.deepcopy(profile_data(type_id))
    change(data)
    return data


def _figure(name: str, value: Any) -> Callable[[Data], object]:
    return lambda data: data["figures"].update({name: value})


BROKEN: list[tuple[str, Callable[[Data], object]]] = [
    ("kind", lambda data: data.update(kind="boat")),
    ("kind", lambda data: data.pop("kind")),
    ("airframe", lambda data: data.update(airframe="road_robot")),
    ("airframe", lambda data: data.update(airframe="zeppelin")),
    ("name", lambda data: data.update(name="  ")),
    ("name", lambda data: data.pop("name")),
    ("figures", lambda data: data.update(figures=3)),
    ("battery_wh", lambda data: data["figures"].pop("battery_wh")),
    ("batery_wh", _figure("batery_wh", 3.0)),
    ("payload_kg", _figure("payload_kg", "1")),
    ("payload_kg", _figure("payload_kg", True)),
    ("payload_kg", _figure("payload_kg", math.nan)),
    ("payload_kg", _figure("payload_kg", math.inf)),
    ("payload_kg", _figure("payload_kg", -1.0)),
    ("temperature_classes", _figure("temperature_classes", "ambient")),
    ("temperature_classes", _figure("temperature_classes", ["warm"])),
    ("temperature_classes", _figure("temperature_classes", [])),
    ("capacity_at_c", _figure("capacity_at_c", 0.5)),
    ("capacity_at_c", _figure("capacity_at_c", [[0.0]])),
    ("capacity_at_c", _figure("capacity_at_c", [[0.0, math.nan]])),
    ("capacity_at_c", _figure("capacity_at_c", [[0.0, 1.5]])),
    ("capacity_at_c", _figure("capacity_at_c", [[20.0, 1.0], [0.0, 0.8]])),
    ("RTL_TYPE", lambda data: data["parameters"].update(RTL_TYPE=9)),
    ("RTL_TYPE", lambda data: data["parameters"].update(RTL_TYPE="home")),
    ("parameters", lambda data: data.update(parameters=[])),
    ("hover_power_w", _figure("hover_power_w", 0.0)),
    ("transition_s", _figure("transition_s", 0.0)),
]


@pytest.mark.parametrize(("field", "change"), BROKEN, ids=[f"{i}-{field}" for i, (field, _) in enumerate(BROKEN)])
def test_what_is_wrong_in_a_profile_is_named(field: str, change: Callable[[Data], object]) -> None:
    with pytest.raises(BadInput, match=rf"profile mine: .*{field}"):
        read_profile("mine", _changed("vtol_5kg", change))


def test_an_unknown_type_is_answered_with_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"'balloon' is not known; known types: multirotor_1kg"):
        load_profile("balloon")


def test_a_profile_without_the_optional_figures_has_the_usual_ones() -> None:
    data = _changed("multirotor_1kg", lambda data: [data["figures"].pop("capacity_at_c"), data.pop("airframe")])
    data["parameters"] = {}
    kind = read_profile("mine", data)
    assert (kind.built_as, kind.capacity_at_c, kind.rtl_type) == (Airframe.MULTIROTOR, (), 0)


def test_the_weather_in_which_a_type_may_set_out_is_read_and_a_slip_in_it_named() -> None:
    data = dict(profile_data("multirotor_1kg"))

    limits = read_profile("x", data | {"weather": {"max_wind_mps": 8, "min_temperature_c": -5}}).weather

    assert (limits.max_wind_mps, limits.min_temperature_c, limits.max_rain_mm_h) == (8, -5, None)
    for slip, named in (({"max_wimd_mps": 8}, "max_wimd_mps"), ({"max_gust_mps": "10"}, "max_gust_mps")):
        with pytest.raises(BadInput, match=named):
            read_profile("x", data | {"weather": slip})

"""The configuration of drone simulators: what is wrong is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from routing.errors import BadInput
from simulators.config import SimulationConfig, read_config
from simulators.px4 import px4_processes

GOOD: dict[str, Any] = {
    "speed": 5.0,
    "log_dir": "logs",
    "drones": [
        {
            "vehicle_id": "drone-1",
            "system_id": 1,
            "hardware_uid": "00000000000000a1",
            "home": {"lat": 35.0, "lon": 135.0, "alt_amsl_m": 100.0},
            "instance": 0,
        }
    ],
}


def changed(*path: Any, value: Any) -> dict[str, Any]:
    data = copy.deepcopy(GOOD)
    inner: Any = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (changed("speed", value=0), "speed"),
        (changed("sped", value=1), "sped"),
        (changed("drones", value=[]), "drones"),
        (changed("drones", 0, "home", "lat", value="north"), "drones.0.home.lat"),
        (changed("drones", 0, "system_id", value=255), "drones.0.system_id"),
        (changed("drones", 0, "hardware_uid", value="xyz"), "drones.0.hardware_uid"),
        (changed("drones", 0, "send_to", value="127.0.0.1"), "drones.0.send_to"),
        (changed("drones", 0, "type_id", value="sidewalk_robot"), "drones.0.type_id"),
        (changed("drones", 0, "vehicle_id", value="../escape"), "drones.0.vehicle_id"),
        (changed("drones", value=GOOD["drones"] * 2), "drone-1"),
        (changed("anchor_wall", value="2026-01-01T00:00:00+00:00"), "anchor_domain"),
        (changed("anchor_wall", value="2026-01-01T00:00:00"), "anchor_wall"),
    ],
)
def test_names_the_wrong_key(tmp_path: Path, data: dict[str, Any], named: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(data))
    with pytest.raises(BadInput, match=named):
        read_config(path)


def test_says_which_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.json"):
        read_config(tmp_path / "nowhere.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(BadInput, match=r"broken\.json"):
        read_config(tmp_path / "broken.json")


def build_in(folder: Path) -> Path:
    (folder / "bin").mkdir()
    (folder / "bin" / "px4").touch()
    (folder / "etc").mkdir()
    return folder


def test_px4_is_started_with_the_home_speed_and_parameters_of_the_drone(tmp_path: Path) -> None:
    data = changed("drones", 0, "params", value={"RTL_RETURN_ALT": 45})
    config = SimulationConfig.model_validate({**data, "log_dir": str(tmp_path / "logs")})
    (process,) = px4_processes(config, build_in(tmp_path))
    assert process.environment["PX4_HOME_LAT"] == "35.0"
    assert process.environment["PX4_SIM_SPEED_FACTOR"] == "5"
    assert process.environment["PX4_PARAM_RTL_RETURN_ALT"] == "45"
    assert process.environment["PX4_PARAM_NAV_DLL_ACT"] == "2"
    assert process.work_dir.is_absolute()
    assert process.argv[-2:] == (str(process.work_dir), str((tmp_path / "etc").resolve()))
    assert [c[-2:] for c in process.late_commands] == [("COM_DL_LOSS_T", "10")]


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [("instance", None, "drones.0.instance"), ("system_id", 7, "drones.0.system_id")],
)
def test_px4_needs_a_fitting_instance(tmp_path: Path, key: str, value: Any, named: str) -> None:
    config = SimulationConfig.model_validate(changed("drones", 0, key, value=value))
    with pytest.raises(BadInput, match=named):
        px4_processes(config, build_in(tmp_path))


def test_px4_needs_a_build(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no PX4 SITL build"):
        px4_processes(SimulationConfig.model_validate(GOOD), tmp_path)

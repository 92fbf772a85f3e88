"""The configuration of the robot simulator: what is wrong is named by its key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from routing.errors import BadInput
from simulators.robot import main
from simulators.robot_config import load_config


def _config() -> dict[str, Any]:
    robot = {
        "vehicle_id": "robot-1",
        "manufacturer": "todoke-sim",
        "serial": "robot-1",
        "type_id": "sidewalk_robot",
        "map_id": "demo",
        "x": 0.0,
        "y": 0,
        "theta": 0.0,
        "node_id": "n0",
        "battery_pct": 100,
    }
    return {
        "speed": 5.0,
        "seed": 1,
        "log_dir": "logs",
        "anchor_wall": "2026-04-01T00:00:00Z",
        "broker": {"host": "127.0.0.1", "port": 1883, "username": "u", "password": "hush"},
        "robots": [robot],
    }


def _write(folder: Path, data: object) -> Path:
    path = folder / "robots.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_a_complete_configuration_is_read(tmp_path: Path) -> None:
    config = load_config(_write(tmp_path, _config()))

    assert config.speed == 5.0
    assert config.robots[0].vehicle_id == "robot-1"
    assert config.anchor_domain is None


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    assert "hush" not in repr(load_config(_write(tmp_path, _config())))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda c: c.pop("broker"), "broker"),
        (lambda c: c["broker"].update(port=70_000), "broker.port"),
        (lambda c: c.update(speed=0), "speed"),
        (lambda c: c.update(anchor_wall="2026-04-01T00:00:00"), "anchor_wall"),
        (lambda c: c.update(robots=[]), "robots"),
        (lambda c: c["robots"][0].update(type_id="tank"), "robots.0.type_id"),
        (lambda c: c["robots"][0].update(type_id="multirotor_1kg"), "robots.0.type_id"),
        (lambda c: c["robots"][0].update(serial="a/b"), "robots.0.serial"),
        (lambda c: c["robots"][0].update(manufacturer="$sys"), "robots.0.manufacturer"),
        (lambda c: c["robots"][0].update(battery_pct=101), "robots.0.battery_pct"),
        (lambda c: c["robots"][0].update(theta=7), "robots.0.theta"),
        (lambda c: c["robots"][0].update(colour="red"), "robots.0.colour"),
        (lambda c: c["robots"].append(dict(c["robots"][0])), "vehicle_id"),
        (lambda c: c.update(state_max_interval_s=31), "state_max_interval_s"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, key: str
) -> None:
    data = _config()
    change(data)
    path = _write(tmp_path, data)

    code = main([str(path)])

    assert code == 2
    message = capsys.readouterr().err
    assert key in message
    assert str(path) in message


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "robots.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(BadInput, match=r"robots\.json"):
        load_config(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.json"):
        load_config(tmp_path / "none.json")

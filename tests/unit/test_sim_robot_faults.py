"""What may happen to a simulated robot, and the actions of its maker: the lock and the emergency stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from routing.errors import BadInput
from simulators.robot_config import load_config
from simulators.robot_faults import Trouble
from tests.robot_kit import Bench, action, instant, order

WAY = [("a", 0.0, 0.0), ("b", 20.0, 0.0), ("c", 40.0, 0.0)]


def bench(folder: Path, *faults: dict[str, Any]) -> Bench:
    return Bench(folder, faults=list(faults))


def where(robot: Bench) -> float:
    return float(robot.robot.drive.x)


def test_a_robot_that_is_stuck_says_that_it_drives_and_does_not_move(tmp_path: Path) -> None:
    robot = bench(tmp_path, {"kind": "stuck", "at_node": "b", "past_m": 5.0})
    robot.send(order(WAY))

    robot.run_until(lambda: bool(robot.events("fault")))
    stuck_at = where(robot)
    robot.run(60.0)

    assert stuck_at == pytest.approx(25.0, abs=0.3)
    assert where(robot) == stuck_at
    assert robot.state["driving"] is True
    assert robot.state["errors"] == []
    assert robot.sent["visualization"][-1]["velocity"]["vx"] == 0.0


def test_a_stuck_robot_that_is_held_says_that_it_stands(tmp_path: Path) -> None:
    robot = bench(tmp_path, {"kind": "stuck", "after_s": 3.0})
    robot.send(order(WAY))
    robot.run_until(lambda: bool(robot.events("fault")))

    robot.send(instant(action("p", "startPause", "NONE")))
    robot.run(1.0)

    assert (robot.state["driving"], robot.state["paused"]) == (False, True)


def test_a_robot_that_tips_over_needs_a_person(tmp_path: Path) -> None:
    robot = bench(tmp_path, {"kind": "tipped", "after_s": 5.0})
    robot.send(order(WAY))
    robot.run_until(lambda: "tipped" in robot.errors())
    lies_at = where(robot)
    robot.run(20.0)
    assert where(robot) == lies_at
    assert robot.state["driving"] is False
    assert robot.state["errors"][0]["errorLevel"] == "FATAL"

    robot.robot.faults.end()
    robot.robot.clear_error("tipped")
    robot.run_until(robot.idle)

    assert where(robot) == pytest.approx(40.0)


def test_an_obstacle_is_waited_for(tmp_path: Path) -> None:
    robot = bench(tmp_path, {"kind": "obstacle", "after_s": 5.0, "lasts_s": 10.0})
    robot.send(order(WAY))

    robot.run_until(lambda: bool(robot.state["safetyState"]["fieldViolation"]))
    waits_at = where(robot)
    robot.run(5.0)
    assert where(robot) == waits_at

    robot.run_until(robot.idle)
    assert robot.state["safetyState"]["fieldViolation"] is False
    assert where(robot) == pytest.approx(40.0)


def test_something_can_happen_at_any_time(tmp_path: Path) -> None:
    robot = bench(tmp_path)
    robot.send(order(WAY))
    robot.run(5.0)

    robot.robot.faults.begin(Trouble.STUCK)
    robot.run(0.5)
    stuck_at = where(robot)
    robot.run(5.0)

    assert where(robot) == stuck_at


def test_the_lock_opens_for_our_action_and_the_drop_follows(tmp_path: Path) -> None:
    robot = bench(tmp_path)
    drop = {"b": [action("t", "waitForTrigger"), action("d", "drop", dwell=2.0)]}
    robot.send(order(WAY, node_actions=drop))
    robot.run_until(lambda: robot.status("t") == "RUNNING")
    robot.run(60.0)
    assert (robot.status("t"), robot.status("d")) == ("RUNNING", "WAITING")

    robot.send(instant(action("u0", "unlockCompartment", "NONE", actionId="another")))
    assert robot.status("u0") == "FAILED"
    robot.send(instant(action("u1", "unlockCompartment", "NONE", actionId="t")))

    robot.run_until(robot.idle)
    assert [robot.status(each) for each in ("u1", "t", "d")] == ["FINISHED"] * 3
    assert len(robot.events("released")) == 1


def test_nothing_is_unlocked_on_the_way(tmp_path: Path) -> None:
    robot = bench(tmp_path)
    robot.send(order(WAY))
    robot.run(3.0)

    robot.send(instant(action("u", "unlockCompartment", "NONE")))

    assert robot.status("u") == "FAILED"


def test_an_emergency_stop_cuts_the_drives_until_a_person_puts_them_on(tmp_path: Path) -> None:
    robot = bench(tmp_path)
    robot.send(order(WAY))
    robot.run(8.0)

    robot.send(instant(action("e", "emergencyStop", "NONE")))
    robot.run(0.1)
    stopped_at = where(robot)
    robot.run(10.0)

    assert (robot.state["safetyState"]["eStop"], robot.state["driving"]) == ("REMOTE", False)
    assert where(robot) == stopped_at
    robot.robot.release_emergency_stop()
    robot.run_until(robot.idle)
    assert where(robot) == pytest.approx(40.0)


@pytest.mark.parametrize(
    "fault", ['{"kind": "stuck"}', '{"kind": "stuck", "at_node": "a", "after_s": 1}', '{"kind": "x"}']
)
def test_a_fault_that_begins_nowhere_is_no_configuration(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "robots.json"
    path.write_text(
        '{"log_dir": "logs", "anchor_wall": "2026-04-01T00:00:00Z", "broker": {"port": 1883}, "robots": [{'
        '"vehicle_id": "r", "serial": "r", "type_id": "sidewalk_robot", "map_id": "m", "x": 0, "y": 0, '
        f'"faults": [{fault}]}}]}}'
    )

    with pytest.raises(BadInput, match="faults"):
        load_config(path)

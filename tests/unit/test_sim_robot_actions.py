"""Actions of the simulated robot: blocking types, pauses, cancellation, instant actions (6.8 to 6.12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.robot_errors import RobotError
from tests.robot_kit import Bench, action, instant, order

A, B, C = ("a", 0.0, 0.0), ("b", 10.0, 0.0), ("c", 20.0, 0.0)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_drop_opens_for_its_dwell_and_is_logged_as_released_where_it_happened(bench: Bench) -> None:
    bench.send(order([A, B, C], node_actions={"b": [action("drop-1", dwell=12, loadId="p1")]}))
    assert bench.status("drop-1") == "WAITING"

    bench.run_until(lambda: bench.status("drop-1") == "RUNNING")
    took_s = bench.run_until(lambda: bench.status("drop-1") == "FINISHED")

    assert took_s == pytest.approx(12.0, abs=0.3)
    state = next(each for each in bench.state["actionStates"] if each["actionId"] == "drop-1")
    assert state["resultDescription"]
    [released] = bench.events("released")
    assert (released["order_id"], released["action_id"]) == ("o1", "drop-1")
    assert (released["x"], released["y"]) == (10.0, 0.0)
    assert released["parameters"]["loadId"] == "p1"


def test_a_drop_without_a_dwell_takes_the_time_of_the_profile(bench: Bench) -> None:
    bench.send(order([A], node_actions={"a": [action("x")]}))

    assert bench.run_until(bench.idle) == pytest.approx(30.0, abs=0.5)


def test_a_hard_action_holds_the_robot_and_runs_alone(bench: Bench) -> None:
    at_b = [
        action("soft", "wait", "SOFT", duration=4),
        action("none", "wait", "NONE", duration=6),
        action("hard", "wait", "HARD", duration=3),
        action("late", "wait", "NONE", duration=1),
    ]
    bench.send(order([A, B, C], node_actions={"b": at_b}))
    bench.run_until(lambda: bench.status("soft") == "RUNNING")

    assert bench.status("none") == "RUNNING", "SOFT and NONE run side by side"
    assert bench.status("hard") == "WAITING"
    bench.run_until(lambda: bench.status("hard") == "RUNNING")
    assert (bench.status("soft"), bench.status("none")) == ("FINISHED", "FINISHED")
    assert bench.status("late") == "WAITING", "nothing runs beside HARD"
    assert bench.state["driving"] is False
    bench.run_until(lambda: bench.status("late") == "RUNNING")
    assert bench.status("hard") == "FINISHED"
    bench.run_until(bench.idle)


def test_a_soft_action_holds_the_robot(bench: Bench) -> None:
    bench.send(order([A, B, C], node_actions={"b": [action("soft", "wait", "SOFT", duration=10)]}))
    bench.run_until(lambda: bench.status("soft") == "RUNNING")

    bench.run(9.0)

    assert bench.state["driving"] is False
    assert bench.state["agvPosition"]["x"] == pytest.approx(10.0, abs=0.1)
    bench.run_until(bench.idle)
    assert bench.state["lastNodeId"] == "c"


def test_a_none_action_runs_while_driving_on_without_a_stop(bench: Bench) -> None:
    bench.send(order([A, B, C], node_actions={"b": [action("x", "wait", "NONE", duration=4)]}))

    bench.run_until(lambda: bench.status("x") == "RUNNING")

    assert bench.state["velocity"]["vx"] == pytest.approx(1.6)
    bench.run(2.0)
    assert bench.state["driving"] is True
    bench.run_until(lambda: bench.status("x") == "FINISHED")


def test_a_hard_action_waits_for_a_none_action_of_an_earlier_node(bench: Bench) -> None:
    actions = {
        "a": [action("long", "wait", "NONE", duration=40)],
        "b": [action("hard", "wait", "HARD", duration=1)],
    }
    bench.send(order([A, B, C], node_actions=actions))

    bench.run_until(lambda: bench.state["lastNodeId"] == "b")
    assert (bench.status("long"), bench.status("hard")) == ("RUNNING", "WAITING")
    assert bench.state["driving"] is False
    bench.run_until(lambda: bench.status("hard") == "RUNNING")
    assert bench.status("long") == "FINISHED"


def test_an_edge_action_ends_when_the_edge_is_left(bench: Bench) -> None:
    bench.send(order([A, B, C], edge_actions={"a-b": [action("x", "wait", "NONE", duration=3600)]}))

    bench.run_until(lambda: bench.status("x") == "RUNNING")
    assert bench.state["lastNodeId"] == "a"
    bench.run_until(lambda: bench.state["lastNodeId"] == "b")

    assert bench.status("x") == "FINISHED"


def test_a_blocking_edge_action_is_done_before_the_edge_is_driven(bench: Bench) -> None:
    bench.send(order([A, B, C], edge_actions={"b-c": [action("x", "wait", "HARD", duration=5)]}))

    bench.run_until(lambda: bench.status("x") == "RUNNING")

    assert bench.state["lastNodeId"] == "b"
    assert bench.state["agvPosition"]["x"] == pytest.approx(10.0, abs=0.1)
    bench.run_until(bench.idle)
    assert bench.state["lastNodeId"] == "c"


def test_waiting_for_a_person_lasts_until_the_button_is_pressed(bench: Bench) -> None:
    bench.send(order([A, B], node_actions={"a": [action("x", "waitForTrigger", triggerType="button")]}))
    bench.run(500.0)
    assert bench.status("x") == "RUNNING"

    bench.robot.actions.press_button()
    bench.run_until(bench.idle)

    assert bench.status("x") == "FINISHED"
    assert bench.state["lastNodeId"] == "b"


def test_loads_are_reported_from_the_first_pick_on_and_cost_energy(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.send(
        order(
            [A, B, C],
            node_actions={
                "a": [action("p", "pick", loadId="parcel", weight=15.0, dwell=1)],
                "b": [action("d", loadId="parcel", dwell=1)],
            },
        )
    )
    assert "loads" not in bench.state, "what people put in by hand is unknown to it"

    bench.run_until(lambda: bench.status("p") == "FINISHED")

    assert bench.state["loads"] == [{"loadPosition": "compartment", "loadId": "parcel", "weight": 15.0}]
    assert bench.robot.cargo.mass_kg == 15.0
    bench.run_until(bench.idle)
    assert bench.state["loads"] == []


def test_a_pick_that_makes_it_too_heavy_fails_with_an_error_that_names_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, load_kg=10.0)
    bench.send(order([A, B], node_actions={"a": [action("p", "pick", weight=15.0, dwell=1)]}))

    bench.run_until(bench.idle)

    assert bench.status("p") == "FAILED"
    assert bench.errors() == ["pickError"]
    assert bench.robot.cargo.mass_kg == 10.0


def test_a_pause_stops_driving_and_is_reported_once_it_stands(bench: Bench) -> None:
    bench.send(order([A, B, C]))
    bench.run(5.0)

    bench.send(instant(action("p", "startPause", "HARD")))
    assert (bench.status("p"), bench.state["paused"]) == ("RUNNING", False)
    bench.run_until(lambda: bench.status("p") == "FINISHED")

    assert bench.state["paused"] is True
    assert bench.state["driving"] is False
    where = bench.state["agvPosition"]["x"]
    bench.run(100.0)
    assert bench.state["agvPosition"]["x"] == pytest.approx(where, abs=0.1)
    bench.send(instant(action("s", "stopPause", "HARD")))
    assert (bench.status("s"), bench.state["paused"]) == ("FINISHED", False)
    bench.run_until(bench.idle)
    assert bench.state["lastNodeId"] == "c"
    assert len(bench.events("paused")) == len(bench.events("resumed")) == 1


def test_a_pause_pauses_running_actions_and_time_does_not_count_for_them(bench: Bench) -> None:
    bench.send(order([A], node_actions={"a": [action("x", dwell=10)]}))
    bench.run(4.0)

    bench.send(instant(action("p", "startPause", "HARD")))
    assert bench.status("x") == "PAUSED"
    assert bench.status("p") == "FINISHED", "it stands already"
    bench.run(100.0)
    assert bench.status("x") == "PAUSED"
    bench.send(instant(action("s", "stopPause", "HARD")))

    assert bench.status("x") == "RUNNING"
    assert bench.run_until(bench.idle) == pytest.approx(6.0, abs=0.5)


def test_pausing_twice_and_going_on_twice_does_no_harm(bench: Bench) -> None:
    bench.send(order([A, B]))
    for name, kind in (("1", "startPause"), ("2", "startPause"), ("3", "stopPause"), ("4", "stopPause")):
        bench.send(instant(action(name, kind, "HARD")))
        bench.run(5.0)
        assert bench.status(name) == "FINISHED"

    bench.run_until(bench.idle)


def test_going_on_while_still_braking_overrides_the_pause(bench: Bench) -> None:
    bench.send(order([A, B]))
    bench.run(5.0)
    bench.send(instant(action("p", "startPause", "HARD")))
    bench.run(0.5)

    bench.send(instant(action("s", "stopPause", "HARD")))

    assert (bench.status("p"), bench.status("s")) == ("FAILED", "FINISHED")
    bench.run_until(bench.idle)
    assert not any(state["paused"] for state in bench.sent["state"])


def test_a_cancelled_order_brakes_fails_its_actions_and_is_deleted(bench: Bench) -> None:
    bench.send(order([A, B, C], node_actions={"b": [action("x")], "c": [action("y")]}))
    bench.run(5.0)

    bench.send(instant(action("k", "cancelOrder", "HARD")))

    assert bench.status("k") == "RUNNING"
    assert (bench.status("x"), bench.status("y")) == ("FAILED", "FAILED")
    took_s = bench.run_until(lambda: bench.status("k") == "FINISHED")
    assert took_s < 5.0
    state = bench.state
    assert (state["nodeStates"], state["edgeStates"], state["driving"]) == ([], [], False)
    assert (state["orderId"], state["orderUpdateId"]) == ("o1", 0)
    assert state["agvPosition"]["x"] < 9.0, "it stops between nodes"
    assert bench.events("released") == []


def test_a_cancellation_interrupts_a_running_action(bench: Bench) -> None:
    bench.send(order([A], node_actions={"a": [action("x", dwell=30)]}))
    bench.run_until(lambda: bench.status("x") == "RUNNING")

    bench.send(instant(action("k", "cancelOrder", "HARD")))

    assert (bench.status("x"), bench.status("k")) == ("FAILED", "FINISHED")
    bench.run(60.0)
    assert bench.events("released") == []


def test_a_paused_order_can_be_cancelled_and_the_next_one_waits_for_the_end_of_the_pause(
    bench: Bench,
) -> None:
    bench.send(order([A, B]))
    bench.send(instant(action("p", "startPause", "HARD")))
    bench.send(instant(action("k", "cancelOrder", "HARD")))
    bench.run(1.0)
    assert bench.status("k") == "FINISHED"

    bench.send(order([A, B], order_id="o2"))
    bench.run(20.0)
    assert bench.state["driving"] is False
    bench.send(instant(action("s", "stopPause", "HARD")))
    bench.run_until(bench.idle)

    assert bench.state["lastNodeId"] == "b"


def test_cancelling_without_an_order_fails_with_a_warning_that_names_the_action(bench: Bench) -> None:
    bench.send(instant(action("k", "cancelOrder", "HARD")))

    assert bench.status("k") == "FAILED"
    [error] = bench.state["errors"]
    assert (error["errorType"], error["errorLevel"]) == ("noOrderToCancel", "WARNING")
    assert error["errorReferences"] == [{"referenceKey": "actionId", "referenceValue": "k"}]


@pytest.mark.parametrize("ended", ["completed", "cancelled"])
def test_an_order_that_is_over_cannot_be_cancelled(bench: Bench, ended: str) -> None:
    bench.send(order([A, B]))
    if ended == "cancelled":
        bench.send(instant(action("first", "cancelOrder", "HARD")))
    bench.run_until(bench.idle)

    bench.send(instant(action("k", "cancelOrder", "HARD")))

    assert bench.status("k") == "FAILED"
    assert bench.errors() == ["noOrderToCancel"]


def test_an_unknown_instant_action_fails_and_the_others_of_the_message_are_done(bench: Bench) -> None:
    bench.send(instant(action("x", "dance", "NONE"), action("s", "stateRequest", "NONE")))

    assert (bench.status("x"), bench.status("s")) == ("FAILED", "FINISHED")


def test_an_order_action_sent_as_an_instant_action_fails_and_releases_nothing(bench: Bench) -> None:
    bench.send(instant(action("x", "drop", "HARD", dwell=0)))
    bench.run(40.0)

    assert bench.status("x") == "FAILED"
    assert bench.events("released") == []


def test_requests_are_answered_with_state_and_factsheet(bench: Bench) -> None:
    states, factsheets = len(bench.sent["state"]), len(bench.sent["factsheet"])

    bench.send(instant(action("s", "stateRequest", "NONE"), action("f", "factsheetRequest", "NONE")))

    assert len(bench.sent["state"]) == states + 1
    assert len(bench.sent["factsheet"]) == factsheets + 1
    assert (bench.status("s"), bench.status("f")) == ("FINISHED", "FINISHED")


def test_an_instant_action_that_comes_twice_acts_once_even_in_the_next_order(bench: Bench) -> None:
    bench.send(order([A, B]))
    cancel = instant(action("k", "cancelOrder", "HARD"))
    bench.send(cancel)
    bench.run_until(bench.idle)
    bench.send(order([A, B], order_id="o2"))
    bench.run(3.0)

    bench.send(cancel)
    bench.run_until(bench.idle)

    assert bench.state["lastNodeId"] == "b"
    assert bench.errors() == []


def test_a_new_order_clears_the_actions_of_the_last_one(bench: Bench) -> None:
    bench.send(order([A, B], node_actions={"b": [action("x", dwell=1)]}))
    bench.run_until(bench.idle)
    bench.send(instant(action("s", "stateRequest", "NONE")))

    bench.send(order([B, C], order_id="o2", node_actions={"c": [action("x", dwell=1)]}))

    assert [each["actionId"] for each in bench.state["actionStates"]] == ["x"]
    assert bench.status("x") == "WAITING"


def test_endless_requests_do_not_grow_the_state_without_bound(bench: Bench) -> None:
    for index in range(1_000):
        bench.send(instant(action(f"s{index}", "stateRequest", "NONE")))

    assert len(bench.state["actionStates"]) <= 201


def test_a_fatal_error_stops_the_robot_until_it_is_cleared(bench: Bench) -> None:
    bench.send(order([A, B]))
    bench.run(4.0)

    bench.robot.report_error(RobotError("motor", "the motor is hot", level="FATAL"))
    bench.run_until(lambda: not bench.state["driving"])
    bench.run(30.0)
    assert bench.state["lastNodeId"] == "a"
    bench.robot.clear_error("motor")
    bench.run_until(bench.idle)

    assert bench.state["lastNodeId"] == "b"


def test_an_empty_battery_is_fatal(tmp_path: Path) -> None:
    bench = Bench(tmp_path, battery_pct=0.01)
    bench.send(order([A, ("b", 500.0, 0.0)]))

    bench.run_until(lambda: bool(bench.state["errors"]))
    bench.run_until(lambda: not bench.state["driving"])

    assert bench.state["errors"][0]["errorType"] == "batteryEmpty"
    assert bench.state["errors"][0]["errorLevel"] == "FATAL"
    assert bench.state["batteryState"]["batteryCharge"] == 0.0


def test_the_battery_drains_on_the_way_and_is_swapped_after_idling_at_the_start(bench: Bench) -> None:
    bench.send(order([A, ("b", 300.0, 0.0), A]))
    bench.run_until(bench.idle)
    before = bench.state["batteryState"]["batteryCharge"]
    # 600 m at 1.6 m/s are 375 s at 110 W: 11.5 Wh of 600 Wh.
    assert before == pytest.approx(98.0, abs=0.3)

    bench.run(4.0)
    assert bench.robot.battery.percent < 99.0
    bench.run(2.0)

    assert bench.robot.battery.percent == pytest.approx(100.0, abs=0.01)
    assert len(bench.events("battery_swapped")) == 1


def test_the_battery_is_not_swapped_away_from_the_start(bench: Bench) -> None:
    bench.send(order([A, ("b", 600.0, 0.0)]))
    bench.run_until(bench.idle)

    bench.run(60.0)

    assert bench.robot.battery.percent < 99.0


def test_while_driving_it_speaks_every_second_and_idle_at_least_every_thirty(bench: Bench) -> None:
    bench.send(order([A, ("b", 300.0, 0.0)]))
    bench.run(5.0)
    states, pictures = len(bench.sent["state"]), len(bench.sent["visualization"])
    bench.run(60.0)
    assert len(bench.sent["state"]) - states == pytest.approx(60, abs=2)
    assert len(bench.sent["visualization"]) - pictures == pytest.approx(60, abs=2)

    bench.run_until(bench.idle)
    bench.run(10.0)
    states, pictures = len(bench.sent["state"]), len(bench.sent["visualization"])
    bench.run(300.0)

    assert 10 <= len(bench.sent["state"]) - states <= 25
    assert len(bench.sent["visualization"]) == pictures


def test_header_ids_count_per_topic_without_a_gap(bench: Bench) -> None:
    bench.send(order([A, B]))
    bench.run_until(bench.idle)

    for topic in ("state", "visualization"):
        ids = [message["headerId"] for message in bench.sent[topic]]
        assert ids == list(range(len(ids)))

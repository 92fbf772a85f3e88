"""Which orders and updates the simulated robot takes, and how it carries them out (VDA 5050 2.1, 6.6)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.robot_kit import Bench, action, instant, order

A, B, C, D = ("a", 0.0, 0.0), ("b", 10.0, 0.0), ("c", 10.0, 10.0), ("d", 20.0, 10.0)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _references(bench: Bench) -> dict[str, str]:
    error = bench.state["errors"][-1]
    return {each["referenceKey"]: each["referenceValue"] for each in error["errorReferences"]}


def _sequence_ids(bench: Bench) -> list[int]:
    return [node["sequenceId"] for node in bench.state["nodeStates"]]


def test_an_order_is_driven_to_its_last_node_and_leaves_the_robot_idle(bench: Bench) -> None:
    bench.send(order([A, B, C]))

    bench.run_until(bench.idle)

    state = bench.state
    assert (state["orderId"], state["orderUpdateId"]) == ("o1", 0)
    assert (state["lastNodeId"], state["lastNodeSequenceId"]) == ("c", 4)
    assert state["edgeStates"] == []
    assert state["agvPosition"]["x"] == pytest.approx(10.0, abs=0.1)
    assert state["agvPosition"]["y"] == pytest.approx(10.0, abs=0.1)
    assert [event["node_id"] for event in bench.events("node_reached")] == ["a", "b", "c"]


def test_the_state_shows_what_is_still_to_be_traversed(bench: Bench) -> None:
    bench.send(order([A, B, C], released=2))
    bench.run_until(lambda: bench.state["lastNodeId"] == "a" and bench.state["driving"])

    assert [(n["nodeId"], n["released"]) for n in bench.state["nodeStates"]] == [("b", True), ("c", False)]
    assert [(e["edgeId"], e["released"]) for e in bench.state["edgeStates"]] == [
        ("a-b", True),
        ("b-c", False),
    ]


def test_it_waits_at_the_end_of_the_base_and_asks_for_more(bench: Bench) -> None:
    bench.send(order([A, ("b", 40.0, 0.0), ("c", 80.0, 0.0)], released=2))
    assert bench.state["newBaseRequest"] is False

    bench.run_until(lambda: bench.state["newBaseRequest"])
    x_at_request = bench.state["agvPosition"]["x"]
    bench.run_until(lambda: not bench.state["driving"])
    bench.run(60.0)

    assert 10.0 < x_at_request < 35.0, "it asks early enough not to have to brake"
    assert bench.state["agvPosition"]["x"] == pytest.approx(40.0, abs=0.1)
    assert _sequence_ids(bench) == [4]
    assert bench.state["newBaseRequest"] is True
    assert not bench.idle()


def test_without_a_horizon_it_asks_for_no_base(bench: Bench) -> None:
    bench.send(order([A, B]))

    bench.run_until(bench.idle)

    assert not any(state["newBaseRequest"] for state in bench.sent["state"])


def test_an_update_in_time_keeps_it_at_speed(bench: Bench) -> None:
    far = [("a", 0.0, 0.0), ("b", 30.0, 0.0), ("c", 60.0, 0.0)]
    bench.send(order(far, released=2))
    bench.run_until(lambda: bench.state["newBaseRequest"])

    bench.send(order(far[1:], first=2, update_id=1))
    bench.run_until(lambda: bench.state["lastNodeId"] == "b")

    assert bench.errors() == []
    assert bench.state["orderUpdateId"] == 1
    assert bench.state["velocity"]["vx"] == pytest.approx(1.6)
    bench.run_until(bench.idle)
    assert bench.state["lastNodeId"] == "c"


def test_an_update_replaces_the_horizon_with_its_actions(bench: Bench) -> None:
    bench.send(order([A, B, C], released=2, node_actions={"c": [action("old")]}))
    assert bench.status("old") == "WAITING"

    bench.send(order([B, D], first=2, update_id=1, node_actions={"d": [action("new", dwell=1)]}))

    assert [n["nodeId"] for n in bench.state["nodeStates"]][-1] == "d"
    assert [each["actionId"] for each in bench.state["actionStates"]] == ["new"]
    bench.run_until(bench.idle)
    assert bench.state["lastNodeId"] == "d"


def test_an_update_may_send_the_actions_of_the_horizon_again_as_base(bench: Bench) -> None:
    drop = {"c": [action("drop-c", dwell=1)]}
    bench.send(order([A, B, C], released=2, node_actions=drop))

    bench.send(order([B, C], first=2, update_id=1, node_actions=drop))

    assert bench.errors() == []
    bench.run_until(bench.idle)
    assert len(bench.events("released")) == 1


def test_an_update_may_only_drop_the_horizon(bench: Bench) -> None:
    bench.send(order([A, B, C], released=2))

    bench.send(order([B], first=2, update_id=1))
    bench.run_until(bench.idle)

    assert bench.errors() == []
    assert bench.state["lastNodeId"] == "b"


def test_actions_of_the_stitching_node_are_not_taken_twice(bench: Bench) -> None:
    at_b = {"b": [action("drop-b", dwell=2)]}
    bench.send(order([A, B, C], released=2, node_actions=at_b))

    bench.send(order([B, C], first=2, update_id=1, node_actions=at_b))
    bench.run_until(bench.idle)

    assert [each["actionId"] for each in bench.state["actionStates"]] == ["drop-b"]
    assert len(bench.events("released")) == 1


def test_an_update_continues_an_order_that_was_completed(bench: Bench) -> None:
    bench.send(order([A, B]))
    bench.run_until(bench.idle)

    bench.send(order([B, C], first=2, update_id=1))
    bench.run_until(lambda: not bench.idle())
    bench.run_until(bench.idle)

    assert bench.state["lastNodeId"] == "c"
    assert bench.state["errors"] == []


def test_a_lost_update_in_between_does_not_matter_when_the_stitch_fits(bench: Bench) -> None:
    bench.send(order([A, B, C], released=2))

    bench.send(order([B, C], first=2, update_id=5))

    assert bench.state["orderUpdateId"] == 5
    assert bench.errors() == []


@pytest.mark.parametrize(("start", "first"), [(A, 0), (C, 4), (B, 4), (C, 2)])
def test_an_update_that_does_not_start_at_the_last_base_node_is_rejected(
    bench: Bench, start: tuple[str, float, float], first: int
) -> None:
    bench.send(order([A, B, C], released=2))

    bench.send(order([start, D], first=first, update_id=1))

    assert bench.errors() == ["orderUpdateError"]
    assert bench.state["orderUpdateId"] == 0
    assert bench.state["nodeStates"][-1]["nodeId"] == "c", "the order is kept as it was"


def test_an_older_update_is_rejected_and_the_order_goes_on(bench: Bench) -> None:
    bench.send(order([A, B, C], released=2))
    bench.send(order([B, C], first=2, update_id=3))

    bench.send(order([B, C], first=2, update_id=2))

    assert bench.errors() == ["orderUpdateError"]
    assert _references(bench)["orderUpdateId"] == "2"
    bench.run_until(bench.idle)
    assert bench.state["lastNodeId"] == "c"


def test_the_same_order_sent_again_changes_nothing(bench: Bench) -> None:
    message = order([A, B], node_actions={"b": [action("x", dwell=1)]})
    bench.send(message)
    bench.run(3.0)
    before = bench.state

    bench.send(message)

    assert bench.errors() == []
    assert bench.state["nodeStates"] == before["nodeStates"]
    bench.run_until(bench.idle)
    bench.send(message)
    bench.run(30.0)
    assert bench.idle()
    assert len(bench.events("released")) == 1


def test_another_order_is_rejected_while_one_is_carried_out(bench: Bench) -> None:
    bench.send(order([A, B]))

    bench.send(order([A, C], order_id="o2"))

    assert bench.errors() == ["orderError"]
    assert _references(bench)["orderId"] == "o2"
    assert bench.state["orderId"] == "o1"


def test_another_order_is_rejected_while_the_last_action_runs(bench: Bench) -> None:
    bench.send(order([A, B], node_actions={"b": [action("x", dwell=60)]}))
    bench.run_until(lambda: bench.status("x") == "RUNNING")

    bench.send(order([B, C], order_id="o2"))

    assert bench.errors() == ["orderError"]


def test_a_rejection_is_shown_until_a_new_order_is_accepted(bench: Bench) -> None:
    bench.send(order([("far", 500.0, 0.0), B]))
    assert bench.errors() == ["noRouteError"]
    bench.run(100.0)
    assert bench.errors() == ["noRouteError"]

    bench.send(order([A, B], order_id="o2"))

    assert bench.errors() == []


def test_a_rejected_update_is_forgotten_with_the_next_good_update(bench: Bench) -> None:
    bench.send(order([A, B, C], released=2))
    bench.send(order([D, C], first=2, update_id=1))
    assert bench.errors() == ["orderUpdateError"]

    bench.send(order([B, C], first=2, update_id=1))

    assert bench.errors() == []


def test_a_rejected_other_order_is_still_shown_after_an_update_of_the_current_one(bench: Bench) -> None:
    bench.send(order([A, B, C], released=2))
    bench.send(order([A, D], order_id="o2"))

    bench.send(order([B, C], first=2, update_id=1))

    assert bench.errors() == ["orderError"]


def test_a_first_node_within_its_allowed_deviation_counts_as_reached(bench: Bench) -> None:
    message = order([("start", 5.0, 0.0), B])
    bench.send(message)
    assert bench.errors() == ["noRouteError"]

    message["nodes"][0]["nodePosition"]["allowedDeviationXY"] = 6.0
    bench.send(message)
    bench.run(0.5)

    assert bench.errors() == []
    assert bench.state["lastNodeId"] == "start"
    assert bench.state["agvPosition"]["x"] < 1.0, "it does not drive back to the node"


def test_an_order_of_one_node_is_carried_out_where_it_stands(bench: Bench) -> None:
    bench.send(order([A], node_actions={"a": [action("x", dwell=3)]}))

    bench.run_until(bench.idle)

    assert bench.status("x") == "FINISHED"
    assert bench.state["agvPosition"]["x"] == pytest.approx(0.0, abs=0.1)


def test_a_loop_comes_back_to_its_start(bench: Bench) -> None:
    bench.send(order([A, B, A]))

    bench.run_until(bench.idle)

    assert (bench.state["lastNodeId"], bench.state["lastNodeSequenceId"]) == ("a", 4)
    assert bench.state["agvPosition"]["x"] == pytest.approx(0.0, abs=0.1)


def test_the_speed_limit_of_an_edge_is_kept(bench: Bench) -> None:
    bench.send(order([A, B], max_speed=0.4))

    took_s = bench.run_until(bench.idle)

    assert max(state["velocity"]["vx"] for state in bench.sent["state"]) <= 0.4
    assert took_s == pytest.approx(10.0 / 0.4, abs=2.0)


def _broken(change: Any) -> dict[str, Any]:
    message = order([A, B, C], released=2)
    change(message)
    return message


MALFORMED = {
    "no nodes": lambda m: m.update(nodes=[], edges=[]),
    "an edge too few": lambda m: m["edges"].pop(),
    "first node not released": lambda m: m["nodes"][0].update(released=False),
    "released after unreleased": lambda m: (
        m["nodes"][1].update(released=False),
        m["nodes"][2].update(released=True),
    ),
    "edge not released, end node released": lambda m: m["edges"][0].update(released=False),
    "edge released, end node not": lambda m: m["edges"][1].update(released=True),
    "gap in the sequence": lambda m: m["nodes"][2].update(sequenceId=6),
    "nodes odd": lambda m: [part.update(sequenceId=part["sequenceId"] + 1) for part in m["nodes"] + m["edges"]],
    "new order not from 0": lambda m: [
        part.update(sequenceId=part["sequenceId"] + 2) for part in m["nodes"] + m["edges"]
    ],
    "edge to elsewhere": lambda m: m["edges"][0].update(endNodeId="c"),
    "actions missing": lambda m: m["nodes"][0].pop("actions"),
    "actions null": lambda m: m["nodes"][0].update(actions=None),
    "blocking type": lambda m: m["nodes"][0].update(actions=[action("x", blocking="MAYBE")]),
    "nodeId a number": lambda m: m["nodes"][0].update(nodeId=3),
    "released a string": lambda m: m["nodes"][0].update(released="true"),
    "x a string": lambda m: m["nodes"][0]["nodePosition"].update(x="0"),
    "x huge": lambda m: m["nodes"][0]["nodePosition"].update(x=1e300),
    "theta out of range": lambda m: m["nodes"][0]["nodePosition"].update(theta=4.0),
    "negative deviation": lambda m: m["nodes"][0]["nodePosition"].update(allowedDeviationXY=-1),
    "orderId empty": lambda m: m.update(orderId=""),
    "orderId null": lambda m: m.update(orderId=None),
    "orderUpdateId negative": lambda m: m.update(orderUpdateId=-1),
    "orderUpdateId too large": lambda m: m.update(orderUpdateId=2**32),
    "headerId missing": lambda m: m.pop("headerId"),
    "timestamp nonsense": lambda m: m.update(timestamp="yesterday"),
    "version 3": lambda m: m.update(version="3.0.0"),
    "version 1": lambda m: m.update(version="1.1.0"),
    "another robot's": lambda m: m.update(serialNumber="r2"),
    "another maker's": lambda m: m.update(manufacturer="acme"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_order_is_a_validation_error_and_moves_nothing(bench: Bench, case: str) -> None:
    bench.send(_broken(MALFORMED[case]), topic="order")
    bench.run(5.0)

    assert bench.errors() == ["validationError"]
    assert bench.state["errors"][0]["errorLevel"] == "WARNING"
    assert _references(bench)["topic"] == "order"
    assert (bench.state["orderId"], bench.state["nodeStates"]) == ("", [])
    assert bench.state["agvPosition"]["x"] == pytest.approx(0.0, abs=0.1)


UNUSABLE = {
    "zone set": (lambda m: m.update(zoneSetId="z"), "zoneSetId"),
    "no position": (lambda m: m["nodes"][1].pop("nodePosition"), "nodePosition"),
    "another map": (lambda m: m["nodes"][1]["nodePosition"].update(mapId="other"), "nodePosition"),
    "trajectory": (
        lambda m: m["edges"][0].update(trajectory={"degree": 1, "knotVector": [], "controlPoints": []}),
        "trajectory",
    ),
    "corridor": (lambda m: m["edges"][0].update(corridor={"leftWidth": 1, "rightWidth": 1}), "corridor"),
    "backwards": (lambda m: m["edges"][0].update(orientation=3.14), "orientation"),
    "too low": (lambda m: m["edges"][0].update(maxHeight=0.5), "maxHeight"),
    "standing still": (lambda m: m["edges"][0].update(maxSpeed=0), "maxSpeed"),
    "unknown action": (lambda m: m["nodes"][2].update(actions=[action("x", "dance")]), "actionType"),
    "instant action on a node": (
        lambda m: m["nodes"][1].update(actions=[action("x", "cancelOrder")]),
        "actionType",
    ),
    "drop while driving": (lambda m: m["edges"][0].update(actions=[action("x")]), "actionType"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_the_robot_cannot_do_is_an_order_error_that_names_the_field(bench: Bench, case: str) -> None:
    change, field = UNUSABLE[case]

    bench.send(_broken(change))

    assert bench.errors() == ["orderError"]
    assert _references(bench)["field"] == field
    assert (bench.state["orderId"], bench.state["actionStates"]) == ("", [])


@pytest.mark.parametrize("dwell", [-1, "long", True, [1], 1e9])
def test_a_parameter_out_of_range_is_an_order_error_that_names_it(bench: Bench, dwell: object) -> None:
    bench.send(order([A, B], node_actions={"b": [action("x", dwell=dwell)]}))

    assert bench.errors() == ["orderError"]
    assert _references(bench)["actionId"] == "x"
    assert _references(bench)["actionParameter"] == "dwell"


def test_the_same_action_id_twice_is_an_order_error(bench: Bench) -> None:
    bench.send(order([A, B, C], node_actions={"b": [action("x")], "c": [action("x")]}))

    assert bench.errors() == ["orderError"]
    assert _references(bench)["actionId"] == "x"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"42",
        b'"order"',
        b"{",
        b"\xff\xfe",
        b'{"headerId": NaN}',
        b"[" * 100_000,
        b'{"a":' * 5_000,
        b" " * 2_000_000,
        b'{"nodes": 3, "edges": {}}',
    ],
    ids=lambda payload: payload[:12].decode(errors="replace") + f"... {len(payload)}",
)
@pytest.mark.parametrize("topic", ["order", "instantActions"])
def test_rubbish_is_a_validation_error(bench: Bench, payload: bytes, topic: str) -> None:
    bench.send(payload, topic=topic)

    assert bench.errors() == ["validationError"]
    assert _references(bench)["topic"] == topic
    bench.send(order([A, B]))
    assert bench.errors() == []


def test_many_different_rejections_do_not_grow_the_state_without_bound(bench: Bench) -> None:
    for index in range(200):
        bench.send(order([("far", 500.0, 0.0)], order_id=f"far-{index}"))

    assert len(bench.state["errors"]) == 20
    assert _references(bench)["orderId"] == "far-199"


def test_null_for_an_optional_field_and_unknown_fields_are_no_reason_to_reject(bench: Bench) -> None:
    message = order([A, B], node_actions={"b": [action("x", dwell=1)]})
    message |= {"zoneSetId": None, "colour": {"deep": [1, 2, {"x": None}]}}
    message["nodes"][0] |= {"nodeDescription": None, "why": 1}
    message["nodes"][1]["nodePosition"] |= {"theta": None, "allowedDeviationXY": None, "mapDescription": None}
    message["nodes"][1]["actions"][0]["actionDescription"] = None
    edge_fields = "maxSpeed maxHeight minHeight orientation orientationType direction rotationAllowed"
    edge_fields += " maxRotationSpeed length trajectory corridor edgeDescription"
    message["edges"][0] |= dict.fromkeys(edge_fields.split())

    bench.send(message)
    bench.run_until(bench.idle)

    assert bench.errors() == []
    assert bench.status("x") == "FINISHED"


def test_a_node_with_a_heading_is_reached_in_that_heading(bench: Bench) -> None:
    message = order([A, B])
    message["nodes"][1]["nodePosition"]["theta"] = -math.pi / 2

    bench.send(message)
    bench.run_until(bench.idle)

    assert bench.state["agvPosition"]["theta"] == pytest.approx(-math.pi / 2, abs=0.08)


def test_a_cancelled_order_takes_no_update(bench: Bench) -> None:
    bench.send(order([A, B, C], released=2))
    bench.run(5.0)
    bench.send(instant(action("cancel", "cancelOrder")))
    bench.run_until(lambda: bench.status("cancel") == "FINISHED")

    bench.send(order([B, C], first=2, update_id=1))

    assert bench.errors() == ["orderUpdateError"]
    assert bench.state["nodeStates"] == []


def test_an_order_cancelled_at_the_end_of_its_base_takes_no_update_either(bench: Bench) -> None:
    bench.send(order([A, B, C], released=2))
    bench.run_until(lambda: bench.state["lastNodeId"] == "b" and not bench.state["driving"])
    bench.send(instant(action("cancel", "cancelOrder")))

    bench.send(order([B, C], first=2, update_id=1))
    bench.run(10.0)

    assert bench.errors() == ["orderUpdateError"]
    assert bench.state["lastNodeId"] == "b"


def test_a_node_passed_while_braking_for_a_cancellation_is_reported_without_its_actions(
    bench: Bench,
) -> None:
    bench.send(order([A, B, C, D], node_actions={"d": [action("x")]}))
    straight = [A, ("m", 8.0, 0.0), ("n", 20.0, 0.0)]
    bench.send(instant(action("k0", "cancelOrder")))
    bench.send(order(straight, order_id="o2", node_actions={"m": [action("y", "wait", "NONE")]}))
    bench.run_until(lambda: bench.robot.drive.x > 7.5)

    bench.send(instant(action("k", "cancelOrder")))
    bench.run_until(lambda: bench.status("k") == "FINISHED")

    assert bench.state["lastNodeId"] == "m"
    assert bench.status("y") == "FAILED"


def test_after_a_cancellation_an_order_may_start_at_a_temporary_node_where_it_stands(bench: Bench) -> None:
    bench.send(order([A, B]))
    bench.run(5.0)
    bench.send(instant(action("cancel", "cancelOrder")))
    bench.run_until(lambda: bench.status("cancel") == "FINISHED")
    pose = bench.state["agvPosition"]
    assert 1.0 < pose["x"] < 9.0

    bench.send(order([("here", pose["x"], pose["y"]), A], order_id="o2"))
    bench.run_until(bench.idle)

    assert bench.errors() == []
    assert bench.state["lastNodeId"] == "a"
    assert bench.state["agvPosition"]["x"] == pytest.approx(0.0, abs=0.1)


def test_no_order_is_taken_while_a_person_drives_the_robot(bench: Bench) -> None:
    bench.send(order([A, B], node_actions={"b": [action("x")]}))
    bench.run(5.0)

    bench.robot.set_operating_mode("MANUAL")
    bench.run(1.0)

    assert bench.state["operatingMode"] == "MANUAL"
    assert (bench.state["nodeStates"], bench.status("x"), bench.state["driving"]) == ([], "FAILED", False)
    bench.send(order([A, B], order_id="o2"))
    assert bench.errors() == ["orderError"]

"""A robot's messages in the terms common to all vehicles."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.link import Activity, Progress, Release
from hardware.mission import Mission, Step, StepKind
from hardware.vda5050.messages import Edge, HeaderSource, Node, Order, State, read
from hardware.vda5050.route import Route, route_of
from hardware.vda5050.translate import (
    HeaderFilter,
    activity_of,
    faults_of,
    heading_deg,
    position_of,
    progress_of,
    rejection,
    return_progress,
    sample_of,
)
from routing.geo import LocalFrame, Position
from telemetry.clock import Clock
from telemetry.sample import Sample

FRAME = LocalFrame(Position(35.36, 138.73))
T0 = datetime(2026, 4, 1, tzinfo=UTC)


def mission() -> Mission:
    """Nodes a, b, c; a hand-over at b and one at c: steps a, b, drop 2, c, drop 4."""
    at = {name: FRAME.to_global(east, 0.0) for name, east in (("a", 0), ("b", 40), ("c", 80))}
    steps = (
        Step(StepKind.MOVE, at["a"], "a"),
        Step(StepKind.MOVE, at["b"], "b"),
        Step(StepKind.RELEASE, at["b"], "b", ("o1",)),
        Step(StepKind.MOVE, at["c"], "c"),
        Step(StepKind.RELEASE, at["c"], "c", ("o2",)),
    )
    return Mission("m1", steps, 1.5, "sample")


def route() -> Route:
    return route_of(mission(), FRAME)


def state(*, at: int = 0, actions: dict[str, str] | None = None, **changes: Any) -> State:
    """The state of a robot whose last node is the one at index ``at``; all nodes are released."""
    nodes = ("a", "b", "c")
    message: dict[str, Any] = {
        "headerId": 7,
        "timestamp": "2026-04-01T00:00:03.12Z",
        "version": "2.1.0",
        "manufacturer": "maker",
        "serialNumber": "1",
        "orderId": "m1",
        "orderUpdateId": 0,
        "lastNodeId": nodes[at],
        "lastNodeSequenceId": 2 * at,
        "nodeStates": [
            {"nodeId": nodes[index], "sequenceId": 2 * index, "released": True} for index in range(at + 1, 3)
        ],
        "driving": False,
        "actionStates": [
            {"actionId": action_id, "actionStatus": status}
            for action_id, status in (actions or {"m1:2": "WAITING", "m1:4": "WAITING"}).items()
        ],
        "operatingMode": "AUTOMATIC",
    }
    return read(State, json.dumps(message | changes).encode())


def sampled(told: State, progress: Progress | None = None) -> Sample | None:
    """The sample of a state on our map."""
    pose = told.agv_position
    position = None if pose is None else position_of(pose, FRAME, "sample")
    return sample_of(told, vehicle_id="r", position=position, seq=3, t=T0, progress=progress or Progress())


@pytest.mark.parametrize(
    ("theta", "compass"),
    [(0.0, 90.0), (math.pi / 2, 0.0), (math.pi, 270.0), (-math.pi / 2, 180.0), (math.pi / 4, 45.0)],
)
def test_theta_from_east_becomes_a_compass_heading(theta: float, compass: float) -> None:
    assert heading_deg(theta) == pytest.approx(compass)


@given(st.floats(-1e6, 1e6))
def test_a_heading_of_a_sample_is_within_the_circle(theta: float) -> None:
    pose = {"x": 0, "y": 0, "theta": theta, "mapId": "sample", "positionInitialized": True}
    sample = sampled(state(agvPosition=pose))
    assert sample is not None
    assert sample.heading_cdeg is not None
    assert 0 <= sample.heading_cdeg < 36_000


def test_a_sample_has_the_position_on_earth_and_the_velocity_over_ground() -> None:
    sample = sampled(
        state(
            agvPosition={"x": 100.0, "y": 50.0, "theta": math.pi / 2, "mapId": "sample"},
            velocity={"vx": 1.5, "vy": 0.0, "omega": 0.0},
            batteryState={"batteryCharge": 80.46, "batteryVoltage": 51.2, "charging": False},
            driving=True,
        ),
        Progress("m1", 1),
    )

    assert sample is not None
    assert sample.lat_e7 is not None
    assert sample.lon_e7 is not None
    east, north = FRAME.to_local(Position(sample.lat_e7 / 1e7, sample.lon_e7 / 1e7))
    assert east == pytest.approx(100.0, abs=0.02)
    assert north == pytest.approx(50.0, abs=0.02)
    assert (sample.vel_e_cms, sample.vel_n_cms) == (0, 150)
    assert (sample.heading_cdeg, sample.battery_pct_x10, sample.voltage_mv) == (0, 805, 51_200)
    assert sample.alt_amsl_cm is None
    assert sample.vehicle_ms == 1_775_001_603_120
    assert sample.mode == "AUTOMATIC driving"
    assert sample.extra["lastNodeId"] == "a"
    assert (sample.mission_id, sample.step) == ("m1", 1)


def test_a_sample_keeps_what_only_robots_say_and_stays_small() -> None:
    error = {"errorType": "obstacle", "errorLevel": "WARNING", "errorDescription": "x" * 5000}
    sample = sampled(
        state(
            agvPosition={"x": 0, "y": 0, "theta": 0, "mapId": "sample", "localizationScore": 0.83},
            loads=[{"loadId": "box-1", "loadType": "box"}, {"loadType": "bag"}, "nonsense"] + [{"loadId": "b"}] * 50,
            errors=[error] * 50,
            safetyState={"eStop": "REMOTE", "fieldViolation": True},
            distanceSinceLastNode=12.5,
            batteryState={"batteryCharge": 80, "charging": False, "reach": 4200},
            orderId="o" * 9000,
        )
    )

    assert sample is not None
    extra = dict(sample.extra)
    assert extra["loads"] == ["box-1", "bag", "b", "b", "b", "b", "b"]
    assert (extra["errorCount"], extra["eStop"], extra["fieldViolation"]) == (50, "REMOTE", True)
    assert (extra["localizationScore"], extra["distanceSinceLastNode"], extra["reach"]) == (0.83, 12.5, 4200)
    assert extra["operatingMode"] == "AUTOMATIC"
    assert len(json.dumps(extra)) < 2500


@pytest.mark.parametrize("nonsense", ["far", True, {"m": 1}, [1], 1e300])
def test_a_remark_that_is_no_number_is_not_said_and_the_state_counts(nonsense: Any) -> None:
    pose = {"x": 0, "y": 0, "theta": 0, "mapId": "sample", "localizationScore": nonsense}

    sample = sampled(state(agvPosition=pose, distanceSinceLastNode=nonsense, loads=nonsense))

    assert sample is not None
    assert (sample.extra["localizationScore"], sample.extra["distanceSinceLastNode"]) == (None, None)


@pytest.mark.parametrize(
    "pose",
    [
        None,
        {"x": 1.0, "y": 1.0, "theta": 0.0, "mapId": "sample", "positionInitialized": False},
        {"x": 1.0, "y": 1.0, "theta": 0.0, "mapId": "another", "positionInitialized": True},
    ],
)
def test_a_state_without_a_position_on_our_map_makes_no_sample(pose: dict[str, Any] | None) -> None:
    told = state(agvPosition=pose)
    assert sampled(told) is None


@pytest.mark.parametrize(
    ("changes", "returning", "activity"),
    [
        ({}, False, Activity.MISSION),
        ({}, True, Activity.RETURN),
        ({"paused": True}, False, Activity.HOLD),
        ({"paused": True}, True, Activity.HOLD),
        ({"nodeStates": [], "actionStates": []}, False, Activity.IDLE),
        ({"operatingMode": "SEMIAUTOMATIC"}, False, Activity.MISSION),
        ({"operatingMode": "MANUAL"}, False, Activity.MANUAL),
        ({"operatingMode": "STARTUP"}, False, Activity.MANUAL),
        ({"errors": [{"errorType": "x", "errorLevel": "WARNING"}]}, False, Activity.MISSION),
        ({"errors": [{"errorType": "x", "errorLevel": "FATAL"}]}, False, Activity.FAULT),
        ({"errors": [{"errorType": "x", "errorLevel": "CRITICAL"}]}, False, Activity.FAULT),
        ({"safetyState": {"eStop": "MANUAL", "fieldViolation": False}}, False, Activity.FAULT),
        ({"safetyState": {"eStop": "AUTOACK", "fieldViolation": True}}, False, Activity.MISSION),
    ],
)
def test_what_a_robot_is_doing(changes: dict[str, Any], returning: bool, activity: Activity) -> None:
    assert activity_of(state(**changes), returning=returning) is activity


def test_faults_are_the_words_of_the_robot_newest_last_and_at_most_ten() -> None:
    errors = [{"errorType": f"e{number}", "errorLevel": "WARNING", "errorDescription": "wet"} for number in range(12)]

    faults = faults_of(state(errors=errors), ["the robot lost its order"])

    assert len(faults) == 10
    assert faults[-1] == "WARNING e11: wet"


def test_a_failed_hand_over_is_a_fault() -> None:
    faults = faults_of(state(actions={"m1:2": "FAILED", "m1:4": "WAITING"}), [])

    assert any("m1:2 failed" in fault for fault in faults)


@pytest.mark.parametrize(
    ("at", "actions", "step", "releases", "finished"),
    [
        (0, {"m1:2": "WAITING", "m1:4": "WAITING"}, 1, [], False),
        (1, {"m1:2": "RUNNING", "m1:4": "WAITING"}, 2, [], False),
        (1, {"m1:2": "FINISHED", "m1:4": "WAITING"}, 3, [(2, "sensor")], False),
        (2, {"m1:2": "FINISHED", "m1:4": "RUNNING"}, 4, [(2, "sensor")], False),
        (2, {"m1:2": "FINISHED", "m1:4": "FINISHED"}, 4, [(2, "sensor"), (4, "sensor")], True),
        (2, {"m1:2": "FAILED", "m1:4": "FINISHED"}, 4, [(4, "sensor")], False),
        (2, {"m1:4": "FINISHED"}, 4, [(2, "inferred"), (4, "sensor")], True),
        (1, {"m1:4": "WAITING"}, 2, [], False),
    ],
)
def test_progress_follows_nodes_and_actions(
    at: int, actions: dict[str, str], step: int, releases: list[tuple[int, str]], finished: bool
) -> None:
    progress = progress_of(mission(), route(), state(at=at, actions=actions), ())

    assert progress.mission_id == "m1"
    assert progress.step == step
    assert [(release.step, release.evidence) for release in progress.releases] == releases
    assert progress.finished is finished


def test_a_robot_that_is_still_rolling_has_not_finished() -> None:
    done = {"m1:2": "FINISHED", "m1:4": "FINISHED"}

    assert not progress_of(mission(), route(), state(at=2, actions=done, driving=True), ()).finished


def test_a_cancelled_order_is_not_finished() -> None:
    cancelled = state(at=1, actions={"m1:2": "FINISHED", "m1:4": "FAILED"}, nodeStates=[])

    progress = progress_of(mission(), route(), cancelled, ())

    assert (progress.mission_id, progress.step, progress.finished) == ("m1", 3, False)


def test_releases_known_before_are_kept_when_the_robot_forgets_them() -> None:
    known = (Release(2, "sensor", "action m1:2 FINISHED in state 5"),)

    forgot = progress_of(mission(), route(), state(at=1, actions={"m1:2": "WAITING", "m1:4": "WAITING"}), known)
    other_order = progress_of(mission(), route(), state(orderId="x"), known)
    back = return_progress(mission(), None, state(orderId="m1-return"), known)

    assert forgot.releases == other_order.releases == back.releases == known
    assert other_order.mission_id is None
    assert (back.mission_id, back.finished) == ("m1", False)


def order(**changes: Any) -> Order:
    header = HeaderSource(manufacturer="maker", serial="1", clock=Clock.real()).next("order")
    node = Node(node_id="a", sequence_id=0, released=True)
    edges: tuple[Edge, ...] = ()
    return Order(
        **{**header, "header_id": 5, "order_id": "m1", "order_update_id": 0, **changes},
        nodes=(node,),
        edges=edges,
    )


def error(kind: str, **references: str) -> dict[str, Any]:
    return {
        "errorType": kind,
        "errorLevel": "WARNING",
        "errorDescription": "no way",
        "errorReferences": [{"referenceKey": key, "referenceValue": value} for key, value in references.items()],
    }


def test_a_new_error_about_our_order_is_its_rejection() -> None:
    refused = state(errors=[error("startNodeError", orderId="m1")])

    assert rejection(refused, order(), ()) == "WARNING startNodeError: no way"


def test_a_rejection_without_references_is_known_by_its_type() -> None:
    assert rejection(state(errors=[error("validationError")]), order(), ()) is not None
    assert rejection(state(errors=[error("lowBattery")]), order(), ()) is None


def test_an_error_that_was_there_before_or_is_about_another_order_is_no_rejection() -> None:
    old = state(errors=[error("orderError", orderId="m1")])
    other = state(errors=[error("orderError", orderId="m0")])

    assert rejection(old, order(), old.errors) is None
    assert rejection(other, order(), ()) is None


def test_an_error_that_names_our_message_is_its_rejection_however_long_it_is_there() -> None:
    named = state(errors=[error("orderError", orderId="m1", headerId="5")])

    assert rejection(named, order(), named.errors) is not None


def moment(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def test_duplicates_and_late_messages_are_not_accepted() -> None:
    seen = HeaderFilter()

    accepted = [seen.accept(*each) for each in ((5, moment(5)), (5, moment(5)), (4, moment(4)), (6, moment(6)))]

    assert accepted == [True, False, False, True]


def test_lower_header_ids_with_newer_times_are_a_robot_that_has_restarted() -> None:
    seen = HeaderFilter()
    seen.accept(500, moment(500))

    assert seen.accept(0, moment(501))
    assert seen.accept(1, moment(502))


def test_a_robot_whose_clock_was_set_back_with_its_restart_is_heard_again_soon() -> None:
    seen = HeaderFilter()
    seen.accept(500, moment(500))

    accepted = [seen.accept(number, moment(number)) for number in range(4)]

    assert accepted == [False, False, True, True]


def test_a_reset_forgets_the_past() -> None:
    seen = HeaderFilter()
    seen.accept(500, moment(500))
    seen.reset()

    assert seen.accept(0, moment(0))

"""Orders and updates keep the rules of VDA 5050 2.1, section 6.6, for every route and every drive."""

from __future__ import annotations

import json
import math
from collections.abc import Set
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.errors import MissionRejected
from hardware.mission import Mission, Step, StepKind
from hardware.vda5050.base import base_target
from hardware.vda5050.makers import quirks_of
from hardware.vda5050.messages import HeaderSource, Order, State, read, write
from hardware.vda5050.orders import Features, order_of
from hardware.vda5050.route import (
    LONGEST_EDGE,
    Route,
    carries,
    place_on,
    position_on,
    reached_index,
    released_index,
    resume_return,
    return_attempt,
    return_id,
    return_route,
    route_of,
)
from routing.geo import LocalFrame, Position
from telemetry.clock import Clock
from tests.vda5050_schemas import have_schemas, needs_schemas, schema_errors

FRAME = LocalFrame(Position(35.36, 138.73))
BASE_M = 50.0
ALL = Features(max_speed=True, deviation=True, load_id=True)


def header() -> dict[str, Any]:
    return HeaderSource(manufacturer="maker", serial="1", clock=Clock.real()).next("order")


def mission_along(
    lengths_m: list[float], releases: Set[int] = frozenset(), crossings: Set[int] = frozenset()
) -> Mission:
    """A mission along a line eastwards: nodes n0, n1, ..., a release or a road's kerb at the nodes numbered."""
    steps, east = [], 0.0
    for number, length_m in enumerate([0.0, *lengths_m]):
        east += length_m
        position = FRAME.to_global(east, 0.0)
        steps.append(Step(StepKind.MOVE, position, f"n{number}", crossing=number in crossings))
        if number in releases:
            steps.append(Step(StepKind.RELEASE, position, f"n{number}", (f"order-{number}",)))
    return Mission("m1", tuple(steps), 1.5, "sample")


def route_along(
    lengths_m: list[float],
    releases: Set[int] = frozenset(),
    crossings: Set[int] = frozenset(),
    *,
    base_m: float = BASE_M,
) -> Route:
    return route_of(mission_along(lengths_m, releases, crossings), FRAME, base_length_m=base_m)


@dataclass
class ModelRobot:
    """A robot as section 6.6 has it: keeps its base, accepts what continues it, refuses all else."""

    order_id: str = ""
    update_id: int = 0
    last: tuple[str, int] = ("n0", 0)
    base: dict[int, Any] = field(default_factory=dict)
    nodes: dict[int, tuple[str, bool]] = field(default_factory=dict)

    def take(self, order: Order) -> None:
        sequence = [node.sequence_id for node in order.nodes]
        assert sequence == list(range(sequence[0], sequence[0] + 2 * len(sequence), 2))
        assert [edge.sequence_id for edge in order.edges] == [number + 1 for number in sequence[:-1]]
        released = [node.released for node in order.nodes]
        assert released == sorted(released, reverse=True)
        assert order.nodes[0].released
        for edge, start, end in zip(order.edges, order.nodes, order.nodes[1:], strict=False):
            assert (edge.start_node_id, edge.end_node_id) == (start.node_id, end.node_id)
            assert edge.released == end.released
        if order.order_id != self.order_id:
            assert order.order_update_id == 0
            assert sequence[0] == 0
            self.base = {}
        else:
            assert order.order_update_id == self.update_id + 1
            assert sequence[0] == max(self.base), "an update begins with the last node of the base"
            assert order.nodes[0] == self.base[sequence[0]], "the stitching node is repeated unchanged"
        self.order_id, self.update_id = order.order_id, order.order_update_id
        self.base |= {node.sequence_id: node for node in order.nodes if node.released}
        ahead = {n.sequence_id: (n.node_id, n.released) for n in order.nodes}
        old = {number: node for number, node in self.nodes.items() if number < sequence[0]}
        self.nodes = {**(old if order.order_update_id else {}), **ahead}
        if order.order_update_id == 0:
            self.reach(0)
        elif sequence[0] <= self.last[1]:
            self.nodes.pop(sequence[0])

    def reach(self, sequence_id: int) -> None:
        assert self.nodes[sequence_id][1], "only released nodes are driven to"
        self.last = (self.nodes[sequence_id][0], sequence_id)
        self.nodes = {number: node for number, node in self.nodes.items() if number > sequence_id}

    def state(self) -> State:
        return read(
            State,
            json.dumps(
                {
                    "headerId": 1,
                    "timestamp": "2026-04-01T00:00:00.000Z",
                    "version": "2.1.0",
                    "manufacturer": "maker",
                    "serialNumber": "1",
                    "orderId": self.order_id,
                    "orderUpdateId": self.update_id,
                    "lastNodeId": self.last[0],
                    "lastNodeSequenceId": self.last[1],
                    "driving": False,
                    "operatingMode": "AUTOMATIC",
                    "nodeStates": [
                        {"nodeId": name, "sequenceId": number, "released": released}
                        for number, (name, released) in sorted(self.nodes.items())
                    ],
                    "actionStates": [],
                }
            ).encode(),
        )


def drive(route: Route, robot: ModelRobot, *, base_m: float, asks: list[bool]) -> list[Order]:
    """Drive a route to its end, continuing the base from the robot's state alone; return the messages."""
    released = base_target(route, released=0, along_m=0.0, base_length_m=base_m)
    sent = [order_of(route, header(), update_id=0, first=0, released=released, features=ALL)]
    robot.take(sent[0])
    for turn in range(4 * len(route.nodes) + 4):
        state = robot.state()
        if not state.node_states:
            return sent
        reached, base_end = reached_index(route, state), released_index(route, state)
        along_m = route.chainage_m[reached]
        asked = bool(asks) and asks[turn % len(asks)]
        target = base_target(route, released=base_end, along_m=along_m, base_length_m=base_m, asked=asked)
        assert target >= base_end, "the base never shrinks"
        assert target > reached or reached == route.last, "at least one edge ahead"
        if target > base_end:
            message = order_of(
                route,
                header(),
                update_id=state.order_update_id + 1,
                first=base_end,
                released=target,
                features=ALL,
            )
            robot.take(message)
            sent.append(message)
        robot.reach(2 * (reached + 1))
    raise AssertionError("the route was not driven to its end")


LENGTHS = st.lists(st.floats(0.5, 120.0), min_size=1, max_size=10)


@settings(max_examples=150)
@given(LENGTHS, st.floats(20.0, 120.0), st.lists(st.booleans(), max_size=5), st.data())
def test_a_route_is_driven_to_its_end_and_the_base_never_changes(
    lengths_m: list[float], base_m: float, asks: list[bool], data: st.DataObject
) -> None:
    releases = data.draw(st.sets(st.integers(0, len(lengths_m)), max_size=4))
    route = route_along(lengths_m, releases, base_m=base_m)
    robot = ModelRobot()

    drive(route, robot, base_m=base_m, asks=asks)

    assert robot.last == (route.nodes[-1].node_id, 2 * route.last)
    assert [robot.base[2 * index].node_id for index in range(len(route.nodes))] == [
        node.node_id for node in route.nodes
    ]


def test_an_edge_longer_than_the_base_is_cut_so_that_the_robot_need_not_stop_on_it() -> None:
    route = route_along([300.0, 10.0])

    assert [node.node_id for node in route.nodes[:3]] == ["n0", "n0-n1.1", "n0-n1.2"]
    parts = [after - before for before, after in pairwise(route.chainage_m)]
    assert sum(parts) == pytest.approx(310.0, abs=0.1)
    assert max(parts) <= LONGEST_EDGE * BASE_M + 0.02
    assert route.step_nodes == (0, 8, 9)


def test_a_long_base_is_not_continued_at_every_node() -> None:
    route = route_along([10.0] * 20)

    assert base_target(route, released=5, along_m=10.0, base_length_m=BASE_M) == 5
    assert base_target(route, released=5, along_m=30.0, base_length_m=BASE_M) == 8


def test_a_mission_becomes_nodes_with_a_hard_drop_at_each_release() -> None:
    route = route_along([40.0, 40.0], {1})

    order = order_of(route, header(), update_id=0, first=0, released=1, features=ALL)

    assert order.order_id == "m1"
    assert [node.node_id for node in order.nodes] == ["n0", "n1", "n2"]
    (drop,) = order.nodes[1].actions
    assert (drop.action_type, drop.blocking_type, drop.action_id) == ("drop", "HARD", "m1:2")
    assert drop.action_parameters is not None
    assert (drop.action_parameters[0].key, drop.action_parameters[0].value) == ("loadId", "order-1")
    second = order.nodes[1].node_position
    assert second is not None
    assert second.x == pytest.approx(40.0, abs=0.01)
    assert (second.y, second.map_id) == (0.0, "sample")


def test_optional_fields_go_out_only_when_the_robot_takes_them() -> None:
    route = route_along([40.0], {1})

    features = Features.of(None, quirks_of("maker"))

    written = json.loads(write(order_of(route, header(), update_id=0, first=0, released=1, features=features)))

    assert "maxSpeed" not in written["edges"][0]
    assert set(written["nodes"][0]["nodePosition"]) == {"x", "y", "mapId"}
    assert "actionParameters" not in written["nodes"][1]["actions"][0]


def test_several_hand_overs_at_one_node_and_the_same_node_twice() -> None:
    at = FRAME.to_global(10.0, 0.0)
    start = FRAME.to_global(0.0, 0.0)
    steps = (
        Step(StepKind.MOVE, start, "a"),
        Step(StepKind.MOVE, at, "b"),
        Step(StepKind.RELEASE, at, "b", ("o1",)),
        Step(StepKind.RELEASE, at, "b", ("o2",)),
        Step(StepKind.MOVE, start, "a"),
        Step(StepKind.RELEASE, at, "b", ("o3",)),
    )

    route = route_of(Mission("m1", steps, 1.5, "sample"), FRAME)

    assert [node.node_id for node in route.nodes] == ["a", "b", "a", "b"]
    assert route.step_nodes == (0, 1, 1, 1, 2, 3)
    assert [drop.action_id for drop in route.drops] == ["m1:2", "m1:3", "m1:5"]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((), "begins with a MOVE"),
        ((Step(StepKind.RELEASE, Position(35, 138), "a"),), "begins with a MOVE"),
        ((Step(StepKind.MOVE, Position(35, 138)),), "step 0: no node"),
        (
            (Step(StepKind.MOVE, Position(35, 138), "a"), Step(StepKind.LAND, Position(35, 138), "a")),
            "step 1: a robot cannot land",
        ),
    ],
)
def test_a_mission_that_no_robot_can_drive_is_rejected_by_its_step(steps: Any, words: str) -> None:
    with pytest.raises(MissionRejected, match=words):
        route_of(Mission("m1", steps, 1.5, "sample"), FRAME)


@needs_schemas
@settings(max_examples=40)
@given(LENGTHS, st.sets(st.integers(0, 25), max_size=4), st.booleans())
def test_every_message_of_a_drive_satisfies_the_official_schema(
    lengths_m: list[float], releases: set[int], asked: bool
) -> None:
    assert have_schemas()
    sent = drive(route_along(lengths_m, releases), ModelRobot(), base_m=BASE_M, asks=[asked])

    assert [schema_errors("order", json.loads(write(order))) for order in sent] == [[]] * len(sent)


def test_the_last_node_of_the_order_before_is_not_taken_for_progress() -> None:
    route = route_along([40.0, 40.0])
    robot = ModelRobot()
    robot.take(order_of(route, header(), update_id=0, first=0, released=1, features=ALL))
    # Until it has passed the first node a robot may still show where it was in the order before.
    robot.nodes = {0: ("n0", True), **robot.nodes}
    robot.last = ("n2", 4)

    assert reached_index(route, robot.state()) == -1
    assert position_on(route, -1, (0.0, 0.0)) == 0.0


def test_an_order_of_the_same_id_with_other_nodes_is_not_ours() -> None:
    robot = ModelRobot()
    robot.take(order_of(route_along([40.0, 40.0]), header(), update_id=0, first=0, released=1, features=ALL))
    steps = tuple(Step(StepKind.MOVE, FRAME.to_global(east, 0.0), name) for name, east in (("n0", 0), ("x", 9)))
    other = route_of(Mission("m1", steps, 1.5, "sample"), FRAME)

    assert not carries(other, robot.state())


def test_the_place_on_a_route_counts_the_way_along_the_edge_under_way() -> None:
    route = route_along([40.0, 40.0])

    assert position_on(route, 0, (25.0, 0.0)) == pytest.approx(25.0)
    assert position_on(route, 0, (55.0, 0.0)) == pytest.approx(40.0, abs=0.01)
    assert position_on(route, 1, None) == pytest.approx(40.0, abs=0.01)


def test_the_way_back_begins_at_the_robot_and_repeats_no_hand_over() -> None:
    route = route_along([40.0, 40.0, 40.0], {1, 2})

    back = return_route(route, order_id="m1-return", reached=2, pose_m=(95.0, 0.5))

    assert [node.node_id for node in back.nodes] == ["m1-return-start", "n2", "n1", "n0"]
    assert (back.nodes[0].x_m, back.nodes[0].y_m) == (95.0, 0.5)
    assert back.drops == ()
    assert back.nodes[0].deviation_m is not None
    assert back.chainage_m[-1] == pytest.approx(95.0, abs=0.1)


def test_the_way_back_of_a_robot_at_a_node_begins_with_that_node() -> None:
    route = route_along([40.0, 40.0], {1})

    back = return_route(route, order_id="m1-return", reached=1, pose_m=(40.3, 0.2))

    assert [node.node_id for node in back.nodes] == ["n1", "n0"]


@given(LENGTHS, st.data())
def test_a_way_back_under_way_is_rebuilt_from_the_state_of_the_robot_alone(
    lengths_m: list[float], data: st.DataObject
) -> None:
    route = route_along(lengths_m, {1})
    reached = data.draw(st.integers(0, route.last))
    offset_m = data.draw(st.sampled_from([0.0, 2.0]))
    pose_m = (route.nodes[reached].x_m + offset_m, 0.0)
    back = return_route(route, order_id=return_id("m1"), reached=reached, pose_m=pose_m)
    robot = ModelRobot()
    robot.take(order_of(back, header(), update_id=0, first=0, released=back.last, features=ALL))
    at = data.draw(st.integers(0, back.last))
    for index in range(1, at + 1):
        robot.reach(2 * index)

    rebuilt = resume_return(route, robot.state())

    assert rebuilt is not None
    assert carries(rebuilt, robot.state())
    assert reached_index(rebuilt, robot.state()) == at
    assert [n.node_id for n in rebuilt.nodes[1:]] == [n.node_id for n in back.nodes[1:]]
    assert math.dist([n.x_m for n in rebuilt.nodes[1:]], [n.x_m for n in back.nodes[1:]]) == pytest.approx(0)


def test_a_return_id_tells_its_attempt() -> None:
    assert return_attempt("m1", return_id("m1")) == 1
    assert return_attempt("m1", return_id("m1", 3)) == 3
    assert return_attempt("m1", "m1") is None
    assert return_attempt("m1", "m1-return-x") is None
    assert return_attempt("m1", "m12-return") is None
    assert return_attempt("m1", "") is None


def test_a_robot_that_lost_its_order_is_placed_by_its_last_node_or_its_position() -> None:
    route = route_along([40.0, 40.0])

    assert place_on(route, (300.0, 300.0), "n1") == 1
    assert place_on(route, None, "n1") == 1
    assert place_on(route, (60.0, 2.0), "") == 1
    assert place_on(route, (60.0, 30.0), "") == -1
    assert place_on(route, None, "elsewhere") == -1

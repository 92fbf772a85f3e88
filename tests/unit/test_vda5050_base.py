"""A robot's base is never longer than allowed and never reaches past the kerb of a road that nobody has released."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.mission import Mission, Step, StepKind
from hardware.vda5050.base import base_target, crossing_target
from hardware.vda5050.messages import Order
from hardware.vda5050.orders import Features, order_of
from hardware.vda5050.route import Crossing, Route, return_route, route_of
from tests.unit.test_vda5050_orders import FRAME, ModelRobot, header

STEP_M = 1.0
FEATURES = Features(max_speed=True)


def route_with(lengths_m: list[float], roads: set[int], base_m: float, bends: list[bool]) -> Route:
    """A way of straight pieces, east or north as ``bends`` says; the pieces numbered in ``roads`` cross a road."""
    east = north = 0.0
    steps = [Step(StepKind.MOVE, FRAME.to_global(0.0, 0.0), "n0", crossing=0 in roads)]
    for number, length_m in enumerate(lengths_m):
        bend = bool(bends) and bends[number % len(bends)]
        east, north = (east, north + length_m) if bend else (east + length_m, north)
        node = f"n{number + 1}"
        steps.append(Step(StepKind.MOVE, FRAME.to_global(east, north), node, crossing=number + 1 in roads))
    steps[-1] = Step(StepKind.MOVE, steps[-1].position, steps[-1].node)
    return route_of(Mission("m1", tuple(steps), 1.5, "sample"), FRAME, base_length_m=base_m)


@dataclass
class Drive:
    """A robot that drives a route metre by metre; whoever follows it releases its base, and each road at its kerb."""

    route: Route
    base_m: float
    most_nodes: int | None = None
    along_m: float = 0.0
    released: int = 0
    crossed: list[Crossing] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)

    @property
    def end_m(self) -> float:
        return self.route.chainage_m[self.released]

    def extend(self, *, asked: bool = False) -> None:
        self.released = base_target(
            self.route,
            released=self.released,
            along_m=self.along_m,
            base_length_m=self.base_m,
            asked=asked,
            most_nodes=self.most_nodes,
        )

    def run(self) -> Iterator[None]:
        """Drive to the end; yields after each metre and each release."""
        self.extend()
        yield
        while self.along_m < self.route.chainage_m[-1]:
            waits = self.route.crossing_from(self.released)
            if self.along_m >= self.end_m and waits is not None:
                self.crossed.append(waits)
                self.released = crossing_target(
                    self.route,
                    waits,
                    along_m=self.along_m,
                    base_length_m=self.base_m,
                    most_nodes=self.most_nodes,
                )
                yield
            elif self.along_m >= self.end_m:
                self.stops.append(self.along_m)
                raise AssertionError(f"it stands at {self.along_m} m although no road is there")
            self.along_m = min(self.along_m + STEP_M, self.end_m)
            self.extend()
            yield


ROUTES = {
    "lengths_m": st.lists(st.floats(0.5, 130.0), min_size=1, max_size=8),
    "roads": st.sets(st.integers(0, 7), max_size=4),
    "base_m": st.floats(15.0, 100.0),
    "bends": st.lists(st.booleans(), max_size=4),
}


@settings(max_examples=120, deadline=None)
@given(**ROUTES)
def test_no_base_is_longer_than_allowed_and_none_passes_a_kerb_that_was_not_released(
    lengths_m: list[float], roads: set[int], base_m: float, bends: list[bool]
) -> None:
    drive = Drive(route_with(lengths_m, roads, base_m, bends), base_m)

    for _ in drive.run():
        _check(drive)

    assert drive.crossed == list(drive.route.crossings), "each road was released once, on its own"


@settings(max_examples=80, deadline=None)
@given(**ROUTES, share=st.floats(0, 1), beside_m=st.sampled_from([0.0, 3.0]))
def test_the_way_back_crosses_the_same_roads_by_the_same_rules(
    lengths_m: list[float], roads: set[int], base_m: float, bends: list[bool], share: float, beside_m: float
) -> None:
    route = route_with(lengths_m, roads, base_m, bends)
    reached = round(share * route.last)
    node, after = route.nodes[reached], route.nodes[min(reached + 1, route.last)]
    pose_m = (node.x_m + beside_m * (after.x_m > node.x_m), node.y_m + beside_m * (after.y_m > node.y_m))
    back = return_route(route, order_id="m1-return", reached=reached, pose_m=pose_m)
    drive = Drive(back, base_m)

    for _ in drive.run():
        _check(drive)

    edges = {
        frozenset((a.node_id, b.node_id)) for a, b in zip(route.nodes, route.nodes[1:], strict=False) if a.crossing
    }
    on_road = {
        i
        for i, (a, b) in enumerate(zip(back.nodes, back.nodes[1:], strict=False))
        if frozenset((a.node_id, b.node_id)) in edges
    }
    waited_for = {i for crossing in drive.crossed for i in range(crossing.kerb, crossing.far)}
    assert on_road - waited_for <= set(range(back.road_until)), "only a road that it stands on is left without a wait"


def _check(drive: Drive) -> None:
    route, end_m = drive.route, drive.end_m
    ahead_m = end_m - drive.along_m
    wide = [c for c in drive.crossed if c.far == drive.released]
    if ahead_m > drive.base_m:
        assert wide or drive.released == route.road_until, "only a road wider than the base makes it longer"
    assert drive.released >= route.road_until
    for crossing in route.crossings:
        assert not crossing.kerb < drive.released < crossing.far, "no decision point on a road"
        assert drive.released <= crossing.kerb or crossing in drive.crossed


def test_edges_of_a_crossing_that_follow_one_another_are_one_road() -> None:
    route = route_with([20.0, 5.0, 5.0, 5.0, 20.0], {1, 2, 3}, 50.0, [])

    assert route.crossings == (Crossing(1, 4),)
    assert base_target(route, released=0, along_m=0.0, base_length_m=50.0) == 1
    assert crossing_target(route, route.crossings[0], along_m=20.0, base_length_m=50.0) == 5


def test_two_roads_with_a_refuge_between_them_are_released_one_by_one() -> None:
    route = route_with([10.0, 5.0, 2.0, 5.0, 10.0], {1, 3}, 50.0, [])

    assert route.crossings == (Crossing(1, 2), Crossing(3, 4))
    assert crossing_target(route, route.crossings[0], along_m=10.0, base_length_m=50.0) == 3


def test_a_road_wider_than_the_base_is_released_whole() -> None:
    route = route_with([10.0, 60.0, 60.0, 10.0], {1, 2}, 50.0, [])
    (road,) = route.crossings

    target = crossing_target(route, road, along_m=10.0, base_length_m=50.0)

    assert target == road.far
    assert route.nodes[target].node_id == "n3"


def test_a_robot_that_begins_at_a_kerb_is_sent_nothing_but_where_it_stands() -> None:
    route = route_with([8.0, 30.0], {0}, 50.0, [])

    released = base_target(route, released=0, along_m=0.0, base_length_m=50.0)
    order = order_of(route, header(), update_id=0, first=0, released=released, features=FEATURES)

    assert [node.released for node in order.nodes] == [True, False, False]
    assert [edge.released for edge in order.edges] == [False, False]


def test_a_robot_that_stands_on_a_road_and_is_called_back_leaves_it_without_waiting_there() -> None:
    route = route_with([20.0, 6.0, 6.0, 20.0], {1, 2}, 50.0, [])

    back = return_route(route, order_id="m1-return", reached=2, pose_m=(29.0, 0.0))

    assert [node.node_id for node in back.nodes] == ["m1-return-start", "n2", "n1", "n0"]
    assert back.road_until == 2
    assert back.crossings == ()
    assert base_target(back, released=0, along_m=0.0, base_length_m=5.0) == 2


def test_a_robot_at_the_far_kerb_that_is_called_back_waits_there() -> None:
    route = route_with([20.0, 6.0, 20.0], {1}, 50.0, [])

    back = return_route(route, order_id="m1-return", reached=2, pose_m=(26.2, 0.0))

    assert back.crossings == (Crossing(0, 1),)
    assert base_target(back, released=0, along_m=0.0, base_length_m=50.0) == 0


@settings(max_examples=60, deadline=None)
@given(**ROUTES, most_nodes=st.integers(4, 12))
def test_a_robot_that_takes_few_nodes_gets_its_way_in_pieces(
    lengths_m: list[float], roads: set[int], base_m: float, bends: list[bool], most_nodes: int
) -> None:
    route = route_with(lengths_m, roads, base_m, bends)
    if any(crossing.far - crossing.kerb + 3 > most_nodes for crossing in route.crossings):
        return
    features, robot = Features(most_nodes=most_nodes), ModelRobot()
    drive = Drive(route, base_m, most_nodes)
    sent, at = list[Order](), -1

    for _ in drive.run():
        if not sent or drive.released > at:
            at = 0 if not sent else at
            message = order_of(
                route, header(), update_id=len(sent), first=at, released=drive.released, features=features
            )
            assert len(message.nodes) <= most_nodes
            assert message.nodes[-1].released is (drive.released == route.last), "it knows that it goes on"
            robot.take(message)
            sent.append(message)
            at = drive.released
        reached = max(i for i, c in enumerate(route.chainage_m) if c <= drive.along_m)
        for index in range(1, reached + 1):
            if 2 * index in robot.nodes:
                robot.reach(2 * index)

    assert robot.last == (route.nodes[-1].node_id, 2 * route.last)
    assert drive.crossed == list(route.crossings)


@pytest.mark.parametrize("asked", [True, False])
def test_a_request_for_more_base_is_answered_early_but_never_past_the_length(asked: bool) -> None:
    route = route_with([20.0] * 6, set(), 50.0, [])

    # 29 m are left, more than half of the base: not yet, unless it asks; and 80 m are too far.
    assert base_target(route, released=2, along_m=11.0, base_length_m=50.0, asked=asked) == (3 if asked else 2)

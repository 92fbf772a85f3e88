"""Orders of VDA 5050 and their updates, built from missions. Pure functions, nothing is remembered here.

The rules are those of the standard's section 6.6: sequence ids run over nodes (even) and edges (odd) of
an order without a gap; the released part (base) is never changed, only continued by an update that begins
with its last node; the rest (horizon) shows where it goes on. What is released is always read from the
robot's state, never from what was sent, so that any process can go on with an order that another began.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from hardware.errors import MissionRejected
from hardware.mission import Mission, Step, StepKind
from hardware.vda5050.messages import (
    Action,
    ActionParameter,
    Edge,
    Factsheet,
    Node,
    NodePosition,
    Order,
    State,
)
from routing.geo import LocalFrame

START_DEVIATION_M = 3.0
"""How far from the first node of an order the robot may stand."""
AT_NODE_M = 1.0
"""A robot this near to its last node stands on it."""
OFF_ROUTE_M = 5.0
"""A robot without an order that is further than this from its route is not sent along it."""
LEAST_BASE = 0.25
"""Fraction of the base length at which the next edge is released, however long it is, so that the robot
does not have to stop at a decision point before a long edge."""
EXTEND_AT = 0.5
"""Fraction of the base length left at which the base is continued; earlier would be chatter."""


@dataclass(frozen=True, slots=True)
class Drop:
    """A hand-over at a node: the action and the mission step that it stands for."""

    action_id: str
    step: int
    order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RouteNode:
    """A node as it is sent, the same in every message: metres east (x) and north (y) of the map's origin."""

    node_id: str
    x_m: float
    y_m: float
    drops: tuple[Drop, ...] = ()
    deviation_m: float | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """All nodes of an order. ``chainage_m`` is the way from the first node to each.

    ``step_nodes`` gives the index of the node of each mission step; it is empty for a way back. ``drops`` are all
    hand-overs, in order.
    """

    order_id: str
    map_id: str
    speed_mps: float
    nodes: tuple[RouteNode, ...]
    chainage_m: tuple[float, ...]
    step_nodes: tuple[int, ...] = ()
    drops: tuple[Drop, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "drops", tuple(drop for node in self.nodes for drop in node.drops))

    @property
    def last(self) -> int:
        """Index of the last node."""
        return len(self.nodes) - 1


@dataclass(frozen=True, slots=True)
class Features:
    """Which optional fields the robot takes (6.1.1: what its factsheet does not list is not sent)."""

    max_speed: bool = False
    deviation: bool = False
    load_id: bool = False

    @classmethod
    def of(cls, factsheet: Factsheet | None) -> Features:
        """Read them from a factsheet; without one, none is assumed."""
        if factsheet is None:
            return cls()
        drop = factsheet.action("drop")
        return cls(
            max_speed=factsheet.supports("maxSpeed"),
            deviation=factsheet.supports("allowedDeviationXY"),
            load_id=drop is not None and any(p.key == "loadId" for p in drop.action_parameters),
        )


def route_of(mission: Mission, frame: LocalFrame) -> Route:
    """Translate a robot's mission; raises ``MissionRejected`` naming the step that cannot be driven."""
    if not mission.steps or mission.steps[0].kind is not StepKind.MOVE:
        raise MissionRejected(f"mission {mission.mission_id}: a robot's mission begins with a MOVE")
    nodes: list[RouteNode] = []
    step_nodes: list[int] = []
    for index, step in enumerate(mission.steps):
        node_id = _node_of(mission, index, step)
        if not nodes or nodes[-1].node_id != node_id:
            x_m, y_m = frame.to_local(step.position)
            nodes.append(RouteNode(node_id, round(x_m, 3), round(y_m, 3)))
        if step.kind is StepKind.RELEASE:
            drop = Drop(f"{mission.mission_id}:{index}", index, step.order_ids)
            nodes[-1] = _with_drop(nodes[-1], drop)
        step_nodes.append(len(nodes) - 1)
    return _route(mission.mission_id, mission.map_id, mission.speed_mps, nodes, tuple(step_nodes))


def return_id(mission_id: str, attempt: int = 1) -> str:
    """Return the order id of the way back; a second attempt needs another id, else it is a resend."""
    return f"{mission_id}-return" if attempt <= 1 else f"{mission_id}-return-{attempt}"


def return_attempt(mission_id: str, order_id: str) -> int | None:
    """Return which attempt at the way back an order id is, ``None`` for another order."""
    base = return_id(mission_id)
    if order_id == base:
        return 1
    tail = order_id.removeprefix(f"{base}-")
    return int(tail) if tail != order_id and tail.isascii() and tail.isdigit() else None


def return_route(route: Route, *, order_id: str, reached: int, pose_m: tuple[float, float] | None) -> Route:
    """Build the way back along the nodes driven, from where the robot stands to the mission's first node.

    It begins with a temporary node at the robot's pose (6.6.3.1, first option), or with the node
    ``reached`` when the robot stands on it or its pose is not known.
    """
    back = [_bare(node) for node in reversed(route.nodes[: reached + 1])]
    if pose_m is not None and math.dist(pose_m, (back[0].x_m, back[0].y_m)) > AT_NODE_M:
        back.insert(0, RouteNode(f"{order_id}-start", round(pose_m[0], 3), round(pose_m[1], 3)))
    return _route(order_id, route.map_id, route.speed_mps, back, ())


def resume_return(route: Route, state: State) -> Route | None:
    """Rebuild the way back that a robot is on from its state; ``None`` when its nodes are not ours."""
    remaining = {node.sequence_id: node.node_id for node in state.node_states}
    passed = {state.last_node_sequence_id: state.last_node_id}
    length = max(remaining or passed) // 2 + 1
    for temporary in (False, True):
        reached = length - 1 - temporary
        if not 0 <= reached <= route.last:
            continue
        start = route.nodes[reached]
        pose_m = (start.x_m + 2 * AT_NODE_M, start.y_m) if temporary else None
        back = return_route(route, order_id=state.order_id, reached=reached, pose_m=pose_m)
        # The last node is compared only when nothing remains: until the first node of a new order is
        # passed, a robot still shows the last node of the order before.
        if _fits(back, (remaining or passed).items()):
            return back
    return None


def carries(route: Route, state: State) -> bool:
    """Whether the robot's order is this route: the same id, and every node it shows is ours."""
    return state.order_id == route.order_id and _fits(route, ((n.sequence_id, n.node_id) for n in state.node_states))


def reached_index(route: Route, state: State) -> int:
    """Return the index of the last node reached, -1 when the first is still ahead or nothing is known."""
    if state.node_states:
        return min(node.sequence_id for node in state.node_states) // 2 - 1
    index, odd = divmod(state.last_node_sequence_id, 2)
    known = not odd and index <= route.last and route.nodes[index].node_id == state.last_node_id
    return index if known else -1


def released_index(route: Route, state: State) -> int:
    """Return the index of the last released node, as the robot's state shows it."""
    released = [node.sequence_id // 2 for node in state.node_states if node.released]
    return max([*released, reached_index(route, state), 0])


def position_on(route: Route, reached: int, pose_m: tuple[float, float] | None) -> float:
    """Return how far along the route the robot is, in metres from the first node."""
    at = max(reached, 0)
    if pose_m is None or at >= route.last:
        return route.chainage_m[at]
    node = route.nodes[at]
    driven = math.dist(pose_m, (node.x_m, node.y_m))
    return route.chainage_m[at] + min(driven, route.chainage_m[at + 1] - route.chainage_m[at])


def place_on(route: Route, pose_m: tuple[float, float] | None, last_node_id: str) -> int:
    """Return the index of the node behind a robot that has lost its order, -1 when it is off the route.

    The node that it names last where the route has it (the nearest, if more than once), else the start
    of the nearest edge within ``OFF_ROUTE_M``.
    """
    named = [index for index, node in enumerate(route.nodes) if node.node_id == last_node_id]
    if pose_m is None:
        return named[0] if len(named) == 1 else -1
    if named:
        return min(named, key=lambda index: math.dist(pose_m, _xy(route.nodes[index])))
    away = [_to_edge_m(route, index, pose_m) for index in range(max(route.last, 1))]
    nearest = min(range(len(away)), key=away.__getitem__)
    return nearest if away[nearest] <= OFF_ROUTE_M else -1


def base_target(route: Route, *, released: int, along_m: float, base_length_m: float, asked: bool = False) -> int:
    """Return up to which node the base should reach; never before ``released``, and at least one edge.

    As far as ``base_length_m`` ahead of ``along_m``; further only to the end of the edge under way, and
    to the next node when less than ``LEAST_BASE`` of it is left. ``asked`` (the robot's
    ``newBaseRequest``) adds an edge unless the base is longer than that already.
    """
    left_m = route.chainage_m[released] - along_m
    if released > 0 and left_m > EXTEND_AT * base_length_m and not asked:
        return released
    far = bisect_right(route.chainage_m, along_m + base_length_m) - 1
    near = bisect_left(route.chainage_m, along_m + LEAST_BASE * base_length_m)
    more = released + 1 if asked and left_m <= base_length_m else released
    return min(max(far, near, more, released, 1), route.last)


def order_of(
    route: Route, header: dict[str, Any], *, update_id: int, first: int, released: int, features: Features
) -> Order:
    """Build the message that releases the nodes up to ``released`` and shows the rest as horizon.

    ``first`` is 0 for a new order; for an update, the last node of the base that the robot has.
    """
    nodes = tuple(_node(route, index, released, features) for index in range(first, len(route.nodes)))
    edges = tuple(_edge(route, index, released, features) for index in range(first, route.last))
    return Order(**header, order_id=route.order_id, order_update_id=update_id, nodes=nodes, edges=edges)


def _route(order_id: str, map_id: str, speed_mps: float, nodes: list[RouteNode], step_nodes: tuple[int, ...]) -> Route:
    first = nodes[0]
    nodes[0] = RouteNode(first.node_id, first.x_m, first.y_m, first.drops, START_DEVIATION_M)
    lengths = (math.dist((a.x_m, a.y_m), (b.x_m, b.y_m)) for a, b in pairwise(nodes))
    chainage = tuple(accumulate(lengths, initial=0.0))
    return Route(order_id, map_id, speed_mps, tuple(nodes), chainage, step_nodes)


def _node_of(mission: Mission, index: int, step: Step) -> str:
    if step.kind not in (StepKind.MOVE, StepKind.RELEASE):
        raise MissionRejected(f"mission {mission.mission_id}, step {index}: a robot cannot {step.kind}")
    if not step.node:
        raise MissionRejected(f"mission {mission.mission_id}, step {index}: no node of the ground network")
    return step.node


def _with_drop(node: RouteNode, drop: Drop) -> RouteNode:
    return RouteNode(node.node_id, node.x_m, node.y_m, (*node.drops, drop), node.deviation_m)


def _xy(node: RouteNode) -> tuple[float, float]:
    return node.x_m, node.y_m


def _to_edge_m(route: Route, index: int, pose_m: tuple[float, float]) -> float:
    """Distance from a point to the edge after a node (to the node, where it is the last)."""
    (ax, ay), (bx, by) = _xy(route.nodes[index]), _xy(route.nodes[min(index + 1, route.last)])
    length2 = (bx - ax) ** 2 + (by - ay) ** 2
    share = 0.0
    if length2 > 0:
        share = ((pose_m[0] - ax) * (bx - ax) + (pose_m[1] - ay) * (by - ay)) / length2
    share = min(max(share, 0.0), 1.0)
    return math.dist(pose_m, (ax + share * (bx - ax), ay + share * (by - ay)))


def _bare(node: RouteNode) -> RouteNode:
    return RouteNode(node.node_id, node.x_m, node.y_m)


def _fits(route: Route, shown: Iterable[tuple[int, str]]) -> bool:
    nodes = route.nodes
    count = len(nodes)
    for sequence_id, node_id in shown:
        index = sequence_id // 2
        if sequence_id % 2 or index >= count or nodes[index].node_id != node_id:
            return False
    return True


def _node(route: Route, index: int, released: int, features: Features) -> Node:
    node = route.nodes[index]
    position = NodePosition(
        x=node.x_m,
        y=node.y_m,
        map_id=route.map_id,
        allowed_deviation_xy=node.deviation_m if features.deviation else None,
    )
    return Node(
        node_id=node.node_id,
        sequence_id=2 * index,
        released=index <= released,
        node_position=position,
        actions=tuple(_drop(drop, features) for drop in node.drops),
    )


def _edge(route: Route, index: int, released: int, features: Features) -> Edge:
    start, end = route.nodes[index].node_id, route.nodes[index + 1].node_id
    return Edge(
        edge_id=f"{start}-{end}",
        sequence_id=2 * index + 1,
        released=index + 1 <= released,
        start_node_id=start,
        end_node_id=end,
        max_speed=route.speed_mps if features.max_speed else None,
    )


def _drop(drop: Drop, features: Features) -> Action:
    parameters = None
    if features.load_id and drop.order_ids:
        # One hand-over may hold several parcels, while loadId is one string.
        parameters = (ActionParameter(key="loadId", value=",".join(drop.order_ids)),)
    return Action(action_type="drop", action_id=drop.action_id, blocking_type="HARD", action_parameters=parameters)

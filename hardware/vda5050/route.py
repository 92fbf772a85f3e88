"""The way of an order: the nodes of a mission as they are sent to a robot. Pure functions, nothing is remembered here.

Three kinds of orders drive a mission: its own, the way back after it was given up, and the rest of it without a
hand-over that came to nothing. Each is rebuilt from the mission and the order's id alone, so that any process can go on
with an order that another began.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import NamedTuple

from hardware.errors import MissionRejected
from hardware.mission import Mission, Step, StepKind
from hardware.vda5050.messages import State
from routing.geo import LocalFrame

START_DEVIATION_M = 3.0
"""How far from the first node of an order the robot may stand."""
AT_NODE_M = 1.0
"""A robot this near to its last node stands on it."""
OFF_ROUTE_M = 5.0
"""A robot without an order that is further than this from its route is not sent along it."""
LONGEST_EDGE = 0.8
"""Longest edge as a fraction of the base length. Longer ones are cut by nodes of our own, so that the base can always
be continued before the robot has to brake, and yet is never longer than it may be."""
ROUNDING_M = 0.01
DEFAULT_BASE_M = 50.0


@dataclass(frozen=True, slots=True)
class Drop:
    """A hand-over at a node: the action and the mission step that it stands for.

    ``trigger_id`` is the action that lets nobody at the parcels before it is triggered, where one is wanted.
    """

    action_id: str
    step: int
    order_ids: tuple[str, ...]
    trigger_id: str | None = None


@dataclass(frozen=True, slots=True)
class RouteNode:
    """A node as it is sent, the same in every message: metres east (x) and north (y) of the map's origin.

    ``crossing``: the edge after it crosses a road. ``speed_mps`` is the most on the edge before it, ``None``: the
    route's.
    """

    node_id: str
    x_m: float
    y_m: float
    drops: tuple[Drop, ...] = ()
    deviation_m: float | None = None
    crossing: bool = False
    speed_mps: float | None = None

    @property
    def xy_m(self) -> tuple[float, float]:
        """Metres east and north of the map's origin."""
        return self.x_m, self.y_m


class Crossing(NamedTuple):
    """A road on the way: indices of the node at the near kerb and of the one at the far kerb."""

    kerb: int
    far: int


@dataclass(frozen=True, slots=True)
class Route:
    """All nodes of an order. ``chainage_m`` is the way from the first node to each.

    ``step_nodes`` gives the index of the node of each mission step, below 0 for those before the route begins; it is
    empty for a way back. ``drops`` are all hand-overs, in order. ``crossings`` are the roads at whose kerbs the robot
    has to wait. ``road_until``: the index of the kerb that a robot which begins in the middle of a road goes to at
    once; 0 when it does not.
    """

    order_id: str
    map_id: str
    speed_mps: float
    nodes: tuple[RouteNode, ...]
    step_nodes: tuple[int, ...] = ()
    begins_on_road: bool = False
    chainage_m: tuple[float, ...] = field(init=False)
    drops: tuple[Drop, ...] = field(init=False)
    crossings: tuple[Crossing, ...] = field(init=False)
    road_until: int = field(init=False)

    def __post_init__(self) -> None:
        lengths = (math.dist(a.xy_m, b.xy_m) for a, b in pairwise(self.nodes))
        object.__setattr__(self, "chainage_m", tuple(accumulate(lengths, initial=0.0)))
        object.__setattr__(self, "drops", tuple(drop for node in self.nodes for drop in node.drops))
        roads = _roads(self.nodes)
        until = 0
        if self.begins_on_road and roads and roads[0].kerb == 0:
            until = roads[0].far
            roads = roads[1:]
        object.__setattr__(self, "crossings", roads)
        object.__setattr__(self, "road_until", until)

    @property
    def last(self) -> int:
        """Index of the last node."""
        return len(self.nodes) - 1

    def crossing_from(self, index: int) -> Crossing | None:
        """Return the crossing at whose near kerb a node is, ``None`` for another node."""
        return next((crossing for crossing in self.crossings if crossing.kerb == index), None)

    def step_at(self, index: int) -> int:
        """Return the last mission step at or before a node; 0 on a way back."""
        return max((step for step, at in enumerate(self.step_nodes) if at <= index), default=0)


def _roads(nodes: Sequence[RouteNode]) -> tuple[Crossing, ...]:
    """Edges of a crossing that follow one another are one (as ``routing.ground`` counts them)."""
    kerbs = [index for index, node in enumerate(nodes) if node.crossing and not (index and nodes[index - 1].crossing)]
    return tuple(
        Crossing(kerb, next((i for i in range(kerb, len(nodes)) if not nodes[i].crossing), len(nodes) - 1))
        for kerb in kerbs
    )


def route_of(mission: Mission, frame: LocalFrame, *, base_length_m: float = DEFAULT_BASE_M) -> Route:
    """Translate a robot's mission; raises ``MissionRejected`` naming the step that cannot be driven."""
    if not mission.steps or mission.steps[0].kind is not StepKind.MOVE:
        raise MissionRejected(f"mission {mission.mission_id}: a robot's mission begins with a MOVE")
    nodes: list[RouteNode] = []
    step_nodes: list[int] = []
    speed_mps: float | None = None
    for index, step in enumerate(mission.steps):
        node_id = _node_of(mission, index, step)
        speed_mps = step.speed_mps or speed_mps
        if not nodes or nodes[-1].node_id != node_id:
            x_m, y_m = frame.to_local(step.position)
            node = RouteNode(node_id, round(x_m, 3), round(y_m, 3), speed_mps=speed_mps)
            nodes += [*(_between(nodes[-1], node, LONGEST_EDGE * base_length_m) if nodes else ()), node]
        if step.kind is StepKind.RELEASE:
            nodes[-1] = replace(nodes[-1], drops=(*nodes[-1].drops, _drop(mission.mission_id, index, step)))
        if step.crossing:
            nodes[-1] = replace(nodes[-1], crossing=True)
        step_nodes.append(len(nodes) - 1)
    return _route(mission.mission_id, mission.map_id, mission.speed_mps, nodes, tuple(step_nodes))


def _between(start: RouteNode, end: RouteNode, most_m: float) -> list[RouteNode]:
    """Cut an edge that is too long into equal parts."""
    parts = math.ceil((math.dist(start.xy_m, end.xy_m) - ROUNDING_M) / most_m)
    return [
        RouteNode(
            f"{start.node_id}-{end.node_id}.{part}",
            round(start.x_m + (end.x_m - start.x_m) * part / parts, 3),
            round(start.y_m + (end.y_m - start.y_m) * part / parts, 3),
            crossing=start.crossing,
            speed_mps=end.speed_mps,
        )
        for part in range(1, parts)
    ]


def _drop(order_id: str, index: int, step: Step) -> Drop:
    action_id = f"{order_id}:{index}"
    return Drop(action_id, index, step.order_ids, f"{action_id}:trigger" if step.unlock else None)


def _route(
    order_id: str,
    map_id: str,
    speed_mps: float,
    nodes: Sequence[RouteNode],
    step_nodes: tuple[int, ...] = (),
    *,
    begins_on_road: bool = False,
) -> Route:
    first = replace(nodes[0], deviation_m=START_DEVIATION_M)
    return Route(order_id, map_id, speed_mps, (first, *nodes[1:]), step_nodes, begins_on_road)


def _node_of(mission: Mission, index: int, step: Step) -> str:
    if step.kind not in (StepKind.MOVE, StepKind.RELEASE):
        raise MissionRejected(f"mission {mission.mission_id}, step {index}: a robot cannot {step.kind}")
    if not step.node:
        raise MissionRejected(f"mission {mission.mission_id}, step {index}: no node of the ground network")
    return step.node


# The rest of a mission without a hand-over


def rest_id(mission_id: str, skipped: int, attempt: int = 1) -> str:
    """Return the order id of what is left of a mission after the hand-over of a step was given up."""
    return f"{mission_id}-go-{skipped}" if attempt <= 1 else f"{mission_id}-go-{skipped}-{attempt}"


def rest_of(mission_id: str, order_id: str) -> tuple[int, int] | None:
    """Return the step given up and the attempt that an order id of ``rest_id`` says, ``None`` for another order."""
    tail = order_id.removeprefix(f"{mission_id}-go-")
    if tail == order_id:
        return None
    numbers = tail.split("-")
    if len(numbers) > 2 or not all(number.isascii() and number.isdigit() for number in numbers):
        return None
    return int(numbers[0]), int(numbers[1]) if len(numbers) == 2 else 1


def rest_route(route: Route, *, order_id: str, skipped: int) -> Route | None:
    """Build what is left of a mission from the node of a hand-over on; ``None`` when the mission has no such one.

    Hand-overs up to the one given up are left out; the others have actions of their own, since the ids of actions of a
    cancelled order may not come again.
    """
    drop = next((drop for drop in route.drops if drop.step == skipped), None)
    if drop is None:
        return None
    first = route.step_nodes[skipped]
    nodes = [_renamed(node, order_id, skipped) for node in route.nodes[first:]]
    step_nodes = tuple(index - first for index in route.step_nodes)
    return _route(order_id, route.map_id, route.speed_mps, nodes, step_nodes)


def _renamed(node: RouteNode, order_id: str, skipped: int) -> RouteNode:
    drops = tuple(
        Drop(f"{order_id}:{d.step}", d.step, d.order_ids, d.trigger_id and f"{order_id}:{d.step}:trigger")
        for d in node.drops
        if d.step > skipped
    )
    return replace(node, drops=drops)


# The way back


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


def is_ours(mission_id: str, order_id: str) -> bool:
    """Whether an order drives a mission: its own order, the rest of it, or its way back."""
    return (
        order_id == mission_id
        or return_attempt(mission_id, order_id) is not None
        or rest_of(mission_id, order_id) is not None
    )


def return_route(route: Route, *, order_id: str, reached: int, pose_m: tuple[float, float] | None) -> Route:
    """Build the way back along the nodes driven, from where the robot stands to the mission's first node.

    It begins with a temporary node at the robot's pose (6.6.3.1, first option), or with the node
    ``reached`` when the robot stands on it or its pose is not known. Roads are crossed as on the way out, each after a
    wait at the kerb; but a robot that stands on a road leaves it at once.
    """
    nodes = route.nodes
    back = [
        RouteNode(node.node_id, node.x_m, node.y_m, crossing=index > 0 and nodes[index - 1].crossing)
        for index, node in reversed(list(enumerate(nodes[: reached + 1])))
    ]
    on_road = nodes[reached].crossing
    if pose_m is not None and math.dist(pose_m, back[0].xy_m) > AT_NODE_M:
        temporary = RouteNode(start_id(order_id), round(pose_m[0], 3), round(pose_m[1], 3), crossing=on_road)
        back.insert(0, temporary)
    return _route(order_id, route.map_id, route.speed_mps, back, begins_on_road=on_road)


def start_id(order_id: str) -> str:
    """Return the id of the temporary node at which a way back may begin."""
    return f"{order_id}-start"


def resume_return(route: Route, state: State) -> Route | None:
    """Rebuild the way back that a robot is on from its state; ``None`` when its nodes are not ours.

    Node j of a way back from node r of the mission is node r - j of it, or r - j + 1 behind a temporary node. A robot
    may know the next nodes only, so that its end says nothing. Until the first node of a new order is passed, a robot
    still shows the last node of the order before; that is compared only when nothing remains.
    """
    remaining = [(node.sequence_id, node.node_id) for node in state.node_states]
    shown = remaining or [(state.last_node_sequence_id, state.last_node_id)]
    start = start_id(state.order_id)
    named = [
        sequence_id
        for sequence_id, node_id in (*shown, (state.last_node_sequence_id, state.last_node_id))
        if node_id == start
    ]
    for temporary in (True,) if named else (False, True):
        sequence_id, node_id = shown[-1]
        if node_id == start:
            # Nothing but the place where it began is known of it.
            continue
        for index in reversed([index for index, node in enumerate(route.nodes) if node.node_id == node_id]):
            reached = index + sequence_id // 2 - temporary
            if sequence_id % 2 or not 0 <= reached <= route.last:
                continue
            at = route.nodes[reached]
            pose_m = (at.x_m + 2 * AT_NODE_M, at.y_m) if temporary else None
            back = return_route(route, order_id=state.order_id, reached=reached, pose_m=pose_m)
            if fits(back, shown):
                return back
    return None


def fits(route: Route, shown: Sequence[tuple[int, str]]) -> bool:
    """Whether nodes, each a sequence id and a node id, are nodes of a route."""
    nodes = route.nodes
    count = len(nodes)
    for sequence_id, node_id in shown:
        index = sequence_id // 2
        if sequence_id % 2 or index >= count or nodes[index].node_id != node_id:
            return False
    return True


def carries(route: Route, state: State) -> bool:
    """Whether the robot's order is this route: the same id, and every node it shows is ours."""
    return state.order_id == route.order_id and fits(route, [(n.sequence_id, n.node_id) for n in state.node_states])


# Where a robot is


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
    """Return how far along the route the robot is, in metres from the first node.

    Beside the edge under way counts as the nearest place on it, so that a pose that is off makes nothing longer.
    """
    at = max(reached, 0)
    if pose_m is None or at >= route.last:
        return route.chainage_m[at]
    share = _share(route, at, pose_m)
    return route.chainage_m[at] + share * (route.chainage_m[at + 1] - route.chainage_m[at])


def place_on(route: Route, pose_m: tuple[float, float] | None, last_node_id: str) -> int:
    """Return the index of the node behind a robot that has lost its order, -1 when it is off the route.

    The node that it names last where the route has it (the nearest, if more than once), else the start
    of the nearest edge within ``OFF_ROUTE_M``.
    """
    named = [index for index, node in enumerate(route.nodes) if node.node_id == last_node_id]
    if pose_m is None:
        return named[0] if len(named) == 1 else -1
    if named:
        return min(named, key=lambda index: math.dist(pose_m, route.nodes[index].xy_m))
    away = [_to_edge_m(route, index, pose_m) for index in range(max(route.last, 1))]
    nearest = min(range(len(away)), key=away.__getitem__)
    return nearest if away[nearest] <= OFF_ROUTE_M else -1


def _share(route: Route, index: int, pose_m: tuple[float, float]) -> float:
    """How much of the edge after a node lies behind a point, from 0 to 1."""
    (ax, ay), (bx, by) = route.nodes[index].xy_m, route.nodes[min(index + 1, route.last)].xy_m
    length2 = (bx - ax) ** 2 + (by - ay) ** 2
    if length2 == 0:
        return 0.0
    share = ((pose_m[0] - ax) * (bx - ax) + (pose_m[1] - ay) * (by - ay)) / length2
    return min(max(share, 0.0), 1.0)


def _to_edge_m(route: Route, index: int, pose_m: tuple[float, float]) -> float:
    """Distance from a point to the edge after a node (to the node, where it is the last)."""
    (ax, ay), (bx, by) = route.nodes[index].xy_m, route.nodes[min(index + 1, route.last)].xy_m
    share = _share(route, index, pose_m)
    return math.dist(pose_m, (ax + share * (bx - ax), ay + share * (by - ay)))

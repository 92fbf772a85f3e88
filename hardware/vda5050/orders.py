"""Order messages of VDA 5050 and their updates, built from routes. Pure functions, nothing is remembered here.

The rules are those of the standard's section 6.6: sequence ids run over nodes (even) and edges (odd) of
an order without a gap; the released part (base) is never changed, only continued by an update that begins
with its last node; the rest (horizon) shows where it goes on. What is released is always read from the
robot's state, never from what was sent, so that any process can go on with an order that another began.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hardware.errors import MissionRejected
from hardware.vda5050.factsheet import Factsheet
from hardware.vda5050.makers import Quirks
from hardware.vda5050.messages import Action, ActionParameter, Edge, Node, NodePosition, Order
from hardware.vda5050.route import Drop, Route

TRIGGER = "waitForTrigger"
"""The standard's action that waits at a node until it is triggered (6.8.2)."""


@dataclass(frozen=True, slots=True)
class Features:
    """Which optional fields the robot takes (6.1.1: what its factsheet does not list is not sent).

    ``load_id_length`` is how many characters its ``loadId`` holds, ``most_nodes`` how many nodes a message; ``None``
    for no limit. ``stitch_actions``: whether an update repeats the actions of the node that it begins with.
    """

    max_speed: bool = False
    deviation: bool = False
    load_id: bool = False
    load_id_length: int | None = None
    most_nodes: int | None = None
    stitch_actions: bool = True

    @classmethod
    def of(cls, factsheet: Factsheet | None, quirks: Quirks) -> Features:
        """Read them from a factsheet; without one, none is assumed."""
        if factsheet is None:
            return cls(stitch_actions=quirks.stitch_actions)
        drop = factsheet.action("drop")
        return cls(
            max_speed=factsheet.supports("maxSpeed"),
            deviation=factsheet.supports("allowedDeviationXY"),
            load_id=drop is not None and any(p.key == "loadId" for p in drop.action_parameters),
            load_id_length=factsheet.longest("loadIdLen"),
            most_nodes=factsheet.most_nodes,
            stitch_actions=quirks.stitch_actions,
        )


def order_of(
    route: Route,
    header: dict[str, Any],
    *,
    update_id: int,
    first: int,
    released: int,
    features: Features,
    horizon_mps: float | None = None,
) -> Order:
    """Build the message that releases the nodes up to ``released`` and shows the rest as horizon.

    ``first`` is 0 for a new order; for an update, the last node of the base that the robot has. The horizon is cut
    where the robot takes no more nodes; later updates show the rest of it. ``horizon_mps`` is another speed for what
    is not released yet before this message: for a new order that is all of it.
    """
    last = route.last if features.most_nodes is None else min(route.last, first + features.most_nodes - 1)
    nodes = tuple(_node(route, index, first, released, update_id, features) for index in range(first, last + 1))
    edges = tuple(_edge(route, index, released, features, horizon_mps) for index in range(first, last))
    return Order(**header, order_id=route.order_id, order_update_id=update_id, nodes=nodes, edges=edges)


def check_limits(route: Route, factsheet: Factsheet | None, *, wire_bytes: int) -> None:
    """Raise ``MissionRejected`` when an order is more than a robot takes, by its factsheet (6.15, ``protocolLimits``).

    ``wire_bytes`` is how long its first message is. Nodes beyond the limit of a message are no fault, since the horizon
    can be cut; a road that has to be released whole is.
    """
    if factsheet is None:
        return
    for what, count, most in _counts(route, factsheet, wire_bytes):
        if most is not None and count > most:
            raise MissionRejected(f"mission {route.order_id}: {what} {count}; the robot takes at most {most}")
    names = [route.order_id, *(node.node_id for node in route.nodes), *(drop.action_id for drop in route.drops)]
    if factsheet.numerical_ids and not all(name.isascii() and name.isdigit() for name in names):
        raise MissionRejected(f"mission {route.order_id}: the robot takes ids of digits only")
    if factsheet.protocol_features.agv_actions:
        wanted = {"drop"} if route.drops else set()
        wanted |= {TRIGGER} if any(drop.trigger_id for drop in route.drops) else set()
        for action in sorted(wanted):
            if factsheet.action(action) is None:
                raise MissionRejected(f"the robot knows no action {action!r}: it cannot hand parcels over so")


def _counts(route: Route, factsheet: Factsheet, wire_bytes: int) -> Iterator[tuple[str, int, int | None]]:
    widest = max((crossing.far - crossing.kerb for crossing in route.crossings), default=0)
    actions = max((2 * len(node.drops) for node in route.nodes), default=0)
    edge_ids = (f"{a.node_id}-{b.node_id}" for a, b in zip(route.nodes, route.nodes[1:], strict=False))
    names = [route.order_id, *edge_ids, *(drop.trigger_id or drop.action_id for drop in route.drops)]
    yield "a base and the horizon behind it need nodes", min(len(route.nodes), widest + 3), factsheet.most_nodes
    yield "the most actions of a node are", actions, factsheet.most("node.actions")
    yield "parameters of an action are", 1 if route.drops else 0, factsheet.most("actions.actionsParameters")
    yield "characters of its longest id are", max(map(len, names)), factsheet.longest("idLen")
    yield "bytes of its first message are", wire_bytes, factsheet.longest("msgLen")


def _node(route: Route, index: int, first: int, released: int, update_id: int, features: Features) -> Node:
    node = route.nodes[index]
    position = NodePosition(
        x=node.x_m,
        y=node.y_m,
        map_id=route.map_id,
        allowed_deviation_xy=node.deviation_m if features.deviation else None,
    )
    silent = index == first and update_id > 0 and not features.stitch_actions
    return Node(
        node_id=node.node_id,
        sequence_id=2 * index,
        released=index <= released,
        node_position=position,
        actions=() if silent else tuple(action for drop in node.drops for action in _actions(drop, features)),
    )


def _edge(route: Route, index: int, released: int, features: Features, horizon_mps: float | None) -> Edge:
    start, end = route.nodes[index], route.nodes[index + 1]
    speed_mps = horizon_mps or end.speed_mps or route.speed_mps
    return Edge(
        edge_id=f"{start.node_id}-{end.node_id}",
        sequence_id=2 * index + 1,
        released=index + 1 <= released,
        start_node_id=start.node_id,
        end_node_id=end.node_id,
        max_speed=speed_mps if features.max_speed else None,
    )


def _actions(drop: Drop, features: Features) -> Iterator[Action]:
    """The hand-over, and before it the trigger without which it does not begin: both HARD, so one after the other."""
    if drop.trigger_id is not None:
        yield Action(action_type=TRIGGER, action_id=drop.trigger_id, blocking_type="HARD")
    # One hand-over may hold several parcels, while loadId is one string.
    load_id = ",".join(drop.order_ids)
    fits = features.load_id_length is None or len(load_id) <= features.load_id_length
    known = features.load_id and bool(load_id) and fits
    parameters = (ActionParameter(key="loadId", value=load_id),) if known else None
    yield Action(action_type="drop", action_id=drop.action_id, blocking_type="HARD", action_parameters=parameters)

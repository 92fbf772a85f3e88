"""The order that a robot holds: whether it takes a new one or an update, and how far it has come.

Section 6.6 of VDA 5050 2.1.0; the numbers in brackets are those of its figure 8.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from routing.vehicle_type import VehicleType
from simulators.robot_actions import check_action
from simulators.robot_messages import Edge, Node, Order, Rejection

NODE_TOLERANCE_M = 0.5
"""What "no deviation" means for this make: how far off a node it still stands on it."""
ROBOT_HEIGHT_M = 1.2
MAX_ORDER_PARTS = 4_000
"""Nodes and edges that the robot holds; an update that makes it more is rejected."""


class Verdict(StrEnum):
    """What became of an order message that was not rejected."""

    NEW = "new"
    UPDATE = "update"
    IGNORED = "ignored"


@dataclass(slots=True)
class OrderBook:
    """The current order, or the previous one when the robot is idle.

    ``nodes`` and ``edges`` are still to be traversed; while ``len(edges) == len(nodes)`` the first edge
    leads to the first node.
    """

    profile: VehicleType
    map_id: str
    last_node_id: str
    order_id: str = ""
    order_update_id: int = 0
    last_node_sequence_id: int = 0
    cancelled: bool = False
    nodes: deque[Node] = field(default_factory=deque)
    edges: deque[Edge] = field(default_factory=deque)

    def released_nodes(self) -> list[Node]:
        """Return the nodes of the base that are still to be traversed."""
        return [node for node in self.nodes if node.released]

    @property
    def has_horizon(self) -> bool:
        """Whether nodes follow that are not released."""
        return bool(self.nodes) and not self.nodes[-1].released

    def decision_point(self) -> tuple[str, int]:
        """Return node id and sequence id of the last node of the base, traversed or not."""
        for node in reversed(self.nodes):
            if node.released:
                return node.node_id, node.sequence_id
        return self.last_node_id, self.last_node_sequence_id

    def take(self, order: Order, *, x: float, y: float, actions_done: bool, known: set[str]) -> Verdict:
        """Accept an order for a robot that stands at ``(x, y)``, or say why not.

        ``actions_done`` tells whether all actions of the current order are; ``known`` holds the ids of
        actions that no new one may have. Raises ``Rejection`` and changes nothing; ``IGNORED`` changes nothing either.
        """
        new = order.order_id != self.order_id
        references = [("topic", "order"), ("headerId", str(order.header_id)), ("orderId", order.order_id)]
        references.append(("orderUpdateId", str(order.order_update_id)))
        try:
            if not new and not self._check_update_id(order):
                return Verdict.IGNORED
            self._check_usable(order, first=0 if new else 1, known=known)
            if new:
                self._check_new(order, x=x, y=y, actions_done=actions_done)
            else:
                self._check_stitch(order)
        except Rejection as error:
            merged = (*references, *error.references)
            raise Rejection(error.error_type, error.description, merged) from error
        self._accept(order, new=new)
        return Verdict.NEW if new else Verdict.UPDATE

    def _check_update_id(self, order: Order) -> bool:
        """Return False for an update that is already here (6); raise for an older one (5)."""
        if order.order_update_id < self.order_update_id:
            text = f"update {order.order_update_id} is older than {self.order_update_id}"
            raise Rejection("orderUpdateError", text)
        return order.order_update_id != self.order_update_id

    def _check_new(self, order: Order, *, x: float, y: float, actions_done: bool) -> None:
        if order.nodes[0].sequence_id != 0:
            raise Rejection("validationError", "the first node of a new order has sequenceId 0")
        if self.nodes or not actions_done:  # (3)
            text = f"order {self.order_id!r} is still being executed or waits for an update; cancel it first"
            raise Rejection("orderError", text)
        first = order.nodes[0]
        position = first.node_position
        if position is None:
            raise Rejection("orderError", "nodePosition is required", (("nodeId", first.node_id),))
        allowed_m = max(position.allowed_deviation_xy or 0.0, NODE_TOLERANCE_M)
        distance_m = math.hypot(position.x - x, position.y - y)
        if distance_m > allowed_m:  # (4)
            text = f"the first node is {distance_m:.1f} m away; at most {allowed_m:.1f} m are allowed"
            raise Rejection("noRouteError", text, (("nodeId", first.node_id),))

    def _check_stitch(self, order: Order) -> None:
        """Check that an update goes on from the decision point (7) or from where the order ended (8)."""
        if self.cancelled:
            raise Rejection("orderUpdateError", "the order was cancelled; send a new one")
        first = order.nodes[0]
        node_id, sequence_id = self.decision_point()
        if (first.node_id, first.sequence_id) != (node_id, sequence_id):
            text = (
                f"the update must start at the last node of the base, {node_id!r} with sequenceId "
                f"{sequence_id}, not at {first.node_id!r} with {first.sequence_id}"
            )
            raise Rejection("orderUpdateError", text, (("nodeId", first.node_id),))
        if len(self.nodes) + len(self.edges) + len(order.nodes) + len(order.edges) > MAX_ORDER_PARTS:
            raise Rejection("orderError", f"the robot holds at most {MAX_ORDER_PARTS} nodes and edges")

    def _check_usable(self, order: Order, *, first: int, known: set[str]) -> None:
        """Reject what this robot cannot do or use (section 6.6.4.2); the stitching node is known already."""
        if order.zone_set_id:
            raise Rejection("orderError", "zones are not supported", (("field", "zoneSetId"),))
        seen = set(known)
        parts: Iterator[tuple[str, Node | Edge]] = iter(
            [("NODE", node) for node in order.nodes[first:]] + [("EDGE", edge) for edge in order.edges]
        )
        for scope, part in parts:
            for action in part.actions:
                check_action(action, scope, self.profile)
                if action.action_id in seen:
                    raise Rejection("orderError", "actionId is used twice", (("actionId", action.action_id),))
                seen.add(action.action_id)
        self._check_positions(order.nodes[first:])
        for edge in order.edges:
            _check_edge(edge)

    def _check_positions(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            where = (("nodeId", node.node_id), ("field", "nodePosition"))
            if node.node_position is None:
                raise Rejection("orderError", "nodePosition is required", where)
            if node.node_position.map_id != self.map_id:
                text = f"map {node.node_position.map_id!r} is not the robot's map {self.map_id!r}"
                raise Rejection("orderError", text, (*where, ("mapId", node.node_position.map_id)))

    def _accept(self, order: Order, *, new: bool) -> None:
        self.order_update_id = order.order_update_id
        if new:
            self.order_id, self.cancelled = order.order_id, False
            self.nodes, self.edges = deque(order.nodes), deque(order.edges)
            return
        while self.nodes and not self.nodes[-1].released:
            self.nodes.pop()
        while self.edges and not self.edges[-1].released:
            self.edges.pop()
        self.nodes.extend(order.nodes[1:])
        self.edges.extend(order.edges)

    def traverse(self) -> tuple[Node, Edge | None]:
        """Take the next node off as traversed, with the edge that led to it (none for an order's first)."""
        edge = self.edges.popleft() if len(self.edges) == len(self.nodes) else None
        node = self.nodes.popleft()
        self.last_node_id, self.last_node_sequence_id = node.node_id, node.sequence_id
        return node, edge

    def delete(self) -> None:
        """Delete what is left of the order after a cancellation; ids are kept (section 6.6.3)."""
        self.nodes.clear()
        self.edges.clear()
        self.cancelled = True


def _check_edge(edge: Edge) -> None:
    where = ("edgeId", edge.edge_id)
    straight = edge.orientation_type != "GLOBAL" and abs(edge.orientation or 0.0) <= 0.05
    unusable = {
        "trajectory": edge.trajectory is not None,
        "corridor": edge.corridor is not None,
        "direction": bool(edge.direction),
        "minHeight": bool(edge.min_height),
        "orientation": edge.orientation is not None and not straight,
        "maxHeight": edge.max_height is not None and edge.max_height < ROBOT_HEIGHT_M,
        "maxSpeed": edge.max_speed is not None and edge.max_speed < 0.05,
        "maxRotationSpeed": edge.max_rotation_speed is not None and edge.max_rotation_speed < 0.05,
    }
    for name, refused in unusable.items():
        if refused:
            raise Rejection("orderError", f"{name} of this edge cannot be kept", (where, ("field", name)))

"""Rules about the ways of robots: on the network, on edges that are theirs, in the approved area."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import shapely

from routing.ground_rules import AREA_TOLERANCE_M, NODE_HEIGHT_ERROR_M, SIDE_MARGIN_M, robot_area
from routing.plan import Leg, Plan
from routing.problem import Problem
from routing.region.model import GroundEdge, GroundNode, Region, WayKind
from routing.validate.context import TripContext, trips_of
from routing.validate.motion import level_m
from routing.validate.violation import Violation
from routing.vehicle_type import Airframe, VehicleKind, VehicleType

AT_NODE_M = 1.0
"""A path passes within this horizontal distance of the nodes that it names."""

_ON_ROADS = {WayKind.ROAD, WayKind.RESIDENTIAL, WayKind.SERVICE, WayKind.TRACK}
_ROUNDING = 1e-6


def check_ground(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield what is wrong with the ways of robots."""
    ways = _Ways(problem.region)
    for context in trips_of(problem, plan):
        if context.vehicle.type.kind is VehicleKind.ROBOT:
            for subject, start, leg, _ in context.legs():
                yield from ways.check(context, subject, start, leg)


class _Ways:
    """The ways of a region as the rules see them."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._nodes = {node.node_id: node for node in region.nodes}
        self._between: dict[frozenset[str], list[GroundEdge]] = defaultdict(list)
        for edge in region.edges:
            self._between[frozenset((edge.a, edge.b))].append(edge)
        self._outside = self._not_approved()

    def check(self, context: TripContext, subject: str, start: str, leg: Leg) -> Iterator[Violation]:
        """Yield what is wrong with the way of a robot's leg that begins at the site ``start``."""
        if len(leg.nodes) != len(leg.path):
            yield Violation("robot.network", subject, f"{len(leg.nodes)} nodes for a path of {len(leg.path)} points")
            return
        for what, node_id, site_id in (("starts", leg.nodes[0], start), ("ends", leg.nodes[-1], leg.to_site)):
            if context.sites[site_id].node != node_id:
                yield Violation("robot.network", subject, f"{what} at node {node_id}, which is not {site_id}'s")
        for node_id, point in zip(leg.nodes, leg.path, strict=True):
            node = self._nodes.get(node_id)
            if node is None:
                yield Violation("robot.network", subject, f"node {node_id} is not in the network")
            elif (off_m := level_m(self._region.frame, node.position, point)) > AT_NODE_M:
                text = f"the path is not at node {node_id} where it says so"
                yield Violation("robot.network", subject, text, place=point, size=off_m, unit="m")
        for a, b in itertools.pairwise(leg.nodes):
            if a in self._nodes and b in self._nodes:
                yield from self._piece(context.vehicle.type, subject, self._nodes[a], self._nodes[b])

    def _piece(self, kind: VehicleType, subject: str, a: GroundNode, b: GroundNode) -> Iterator[Violation]:
        """One piece of the way: of several edges between its ends, any may be the one that is meant."""
        edges = self._between[frozenset((a.node_id, b.node_id))]
        if not edges:
            text = f"there is no edge from {a.node_id} to {b.node_id}"
            yield Violation("robot.network", subject, text, place=a.position)
            return
        yield from min(([*self._edge(kind, subject, edge, a, b)] for edge in edges), key=len)

    def _edge(
        self, kind: VehicleType, subject: str, edge: GroundEdge, a: GroundNode, b: GroundNode
    ) -> Iterator[Violation]:
        way, on_road = f"the way from {a.node_id} to {b.node_id}", kind.built_as is Airframe.ROAD_ROBOT
        theirs = edge.road and edge.kind in _ON_ROADS if on_road else edge.robot and edge.kind is not WayKind.STEPS
        if not theirs:
            text = f"{way}, a {edge.kind}, is not for {'road' if on_road else 'sidewalk'} robots"
            yield Violation("robot.way", subject, text, place=a.position)
        if on_road and edge.one_way and edge.a != a.node_id:
            yield Violation("robot.one_way", subject, f"{way} is driven against its one-way", place=a.position)
        needed_m = kind.width_m + 2.0 * SIDE_MARGIN_M
        # The width of a road is that of its sidewalk, where there is one: the carriageway takes cars.
        carriageway = on_road and edge.kind is WayKind.ROAD
        if edge.width_m is not None and edge.width_m < needed_m - _ROUNDING and not carriageway:
            text = f"{way} is {edge.width_m:g} m wide; {needed_m:g} m are needed"
            short_m = needed_m - edge.width_m
            yield Violation("robot.width", subject, text, place=a.position, size=short_m, unit="m")
        if edge.kerb_m > kind.max_kerb_m + _ROUNDING:
            text = f"{way} has a kerb of {edge.kerb_m:g} m; it climbs {kind.max_kerb_m:g} m"
            over_m = edge.kerb_m - kind.max_kerb_m
            yield Violation("robot.kerb", subject, text, place=a.position, size=over_m, unit="m")
        slope = self._slope(edge, a, b)
        if slope > kind.max_slope + _ROUNDING:
            text = f"{way} has a slope of {100.0 * slope:.0f} %; it climbs {100.0 * kind.max_slope:.0f} %"
            yield Violation("robot.slope", subject, text, place=a.position, size=slope - kind.max_slope, unit="m/m")
        if edge in self._outside:
            text = f"{way} is not within the area that robots are approved for"
            yield Violation("robot.area", subject, text, place=a.position)

    def _slope(self, edge: GroundEdge, a: GroundNode, b: GroundNode) -> float:
        if edge.incline is not None:
            return abs(edge.incline)
        rise_m = abs(b.position.alt_amsl_m - a.position.alt_amsl_m) - NODE_HEIGHT_ERROR_M
        return max(0.0, rise_m) / max(level_m(self._region.frame, a.position, b.position), 0.1)

    def _not_approved(self) -> set[GroundEdge]:
        """Edges that leave the approved area. The planner has half the tolerance: a rounded corner must not make its
        ways wrong."""
        region, frame = self._region, self._region.frame
        approved, excluded = robot_area(region.features, frame)
        if not region.edges or (approved is None and shapely.is_empty(excluded)):
            return set()
        at = {name: frame.to_local(node.position) for name, node in self._nodes.items()}
        lines = np.asarray(shapely.linestrings([(at[edge.a], at[edge.b]) for edge in region.edges]))
        outside = np.asarray(shapely.intersects(shapely.buffer(excluded, -2.0 * AREA_TOLERANCE_M), lines))
        if approved is not None:
            outside = outside | ~np.asarray(shapely.covers(shapely.buffer(approved, 2.0 * AREA_TOLERANCE_M), lines))
        return set(itertools.compress(region.edges, outside))

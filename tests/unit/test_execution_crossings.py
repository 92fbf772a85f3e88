"""A robot's mission says before which roads it has to wait."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

from fleet.execution import compile_mission, mission_from_json, mission_to_json
from hardware.mission import Mission, StepKind
from hardware.vda5050.route import route_of
from routing.plan import Trip
from routing.region.model import Region
from routing.solve import solve
from tests.problems import ROBOT, order, problem, robot


@cache
def _planned() -> tuple[Region, Trip]:
    made = problem([order("a", "drop-4", mass_kg=1.0)], [robot()])
    trip = solve(made, seconds=0.0, seed=1).routes[0].trips[0]
    region = made.region
    # The village has roads of its own on the way; here there are those that a test wants.
    return replace(region, edges=tuple(replace(edge, crossing=False) for edge in region.edges)), trip


def compiled(*crossed: int) -> Mission:
    """The mission over a way of which the edges numbered cross a road."""
    region, trip = _planned()
    nodes = trip.legs[0].nodes
    roads = {frozenset(nodes[index : index + 2]) for index in crossed}
    edges = tuple(replace(edge, crossing={edge.a, edge.b} in roads) for edge in region.edges)
    return compile_mission("m1", trip, ROBOT, replace(region, edges=edges))


def test_without_roads_nothing_is_waited_for() -> None:
    assert not any(step.crossing for step in compiled().steps)


def test_the_step_before_a_road_is_marked_on_the_way_out_and_back() -> None:
    mission = compiled(1)
    nodes = _planned()[1].legs[0].nodes

    marked = [(step.node, after.node) for step, after in pairwise(mission.steps) if step.crossing]

    assert marked[0] == (nodes[1], nodes[2])
    assert set(marked) == {(nodes[1], nodes[2]), (nodes[2], nodes[1])}
    assert len(marked) == 2, "one road, out and back"


def test_parts_of_a_road_one_after_another_are_one_crossing() -> None:
    region, _ = _planned()
    route = route_of(compiled(1, 2), region.frame)

    out, back = route.crossings

    assert [route.nodes[index].node_id for index in out] == [_planned()[1].legs[0].nodes[index] for index in (1, 3)]
    assert [route.nodes[index].node_id for index in back] == [_planned()[1].legs[0].nodes[index] for index in (3, 1)]


def test_a_robot_that_hands_over_at_a_kerb_does_that_first() -> None:
    _, trip = _planned()
    last = len(trip.legs[0].nodes) - 2

    mission = compiled(last)

    release = next(index for index, step in enumerate(mission.steps) if step.kind is StepKind.RELEASE)
    arrival = mission.steps[release - 1]
    assert (arrival.node, arrival.crossing) == (mission.steps[release].node, False)
    assert mission.steps[release].crossing, "the way home goes over the same road"


def test_marks_survive_the_database() -> None:
    mission = compiled(1)

    assert mission_from_json(mission_to_json(mission)) == mission

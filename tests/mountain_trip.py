"""A trip from the village up to a drop point 260 m higher, and what a flight over the terrain must keep."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from fleet.execution import compile_mission
from hardware.mission import Mission
from routing.airspace import CEILING_AGL_M, MIN_CLEARANCE_M
from routing.geo import Position
from routing.own_way import OwnWay
from routing.plan import Plan, Trip
from routing.problem import FleetVehicle, Problem
from routing.region.model import Region
from routing.solve import solve
from tests.problems import drone, order, problem, village

OFF_M = 6.0
"""How far a flight may be off its planned height: barometer, GPS and levelling off (``problem.Separation``)."""

CRUISE_MPS = 3.0


@cache
def mountain_plan() -> tuple[Problem, Plan]:
    """The plan of the one trip."""
    asked = problem([order("a", "drop-8", mass_kg=0.8)], [drone()])
    return asked, solve(asked, seconds=1.0, seed=1)


def mountain_trip() -> tuple[Region, FleetVehicle, Trip, Position]:
    """Region, vehicle, trip, and the pad where it begins and ends."""
    asked, plan = mountain_plan()
    vehicle = asked.vehicles[0]
    return asked.region, vehicle, plan.routes[0].trips[0], village(1).site("hub-1").pads[0]


def mountain_mission() -> Mission:
    """The trip as it is flown."""
    region, vehicle, trip, _ = mountain_trip()
    return compile_mission("m-1", trip, vehicle.type, region)


def predicted_s(at_s: float) -> float:
    """How long the way home should take from a moment of the trip."""
    region, vehicle, trip, _ = mountain_trip()
    return float(OwnWay(trip, vehicle, region).ways([at_s]).left_s[0])


def heights_m(track: Sequence[tuple[float, Position]]) -> tuple[float, float]:
    """Least and greatest height over the terrain, of the parts of a track that are not straight up or down."""
    region = village(1)
    places: npt.NDArray[np.float64] = np.array(
        [(at_s, *region.frame.to_local(place), place.alt_amsl_m) for at_s, place in track]
    )
    speed = np.hypot(np.diff(places[:, 1]), np.diff(places[:, 2])) / np.maximum(np.diff(places[:, 0]), 1e-3)
    flies = np.flatnonzero(speed > CRUISE_MPS)
    above = places[flies, 3] - region.terrain.height_m(places[flies, 1], places[flies, 2])
    return float(above.min()), float(above.max())


def is_clear(track: Sequence[tuple[float, Position]]) -> bool:
    """Whether a track kept the height band of flight paths."""
    low, high = heights_m(track)
    return low > MIN_CLEARANCE_M - OFF_M and high < CEILING_AGL_M + OFF_M

"""Plans made so that drones can come home by themselves: return altitudes, energy, and trips kept apart then too.

How a drone comes home by itself is in ``routing.own_way``. Along the mission (RTL_TYPE 2) that way is the trip's own,
flown earlier by the time that drops would have taken, and plans that keep their separation keep it then too; what
it costs is energy: parcels stay aboard. Straight ways need a return altitude between ground and ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from routing.airspace import CEILING_AGL_M, clearance_m
from routing.errors import NoWay
from routing.own_way import STRAIGHT, OwnWay
from routing.plan import Plan, Trip, Unserved
from routing.problem import FleetVehicle, Problem
from routing.straight_air import in_closed_zones, obstacle_floors
from routing.validate.contingency import check_contingency

MOMENT_S = 5.0
"""Spacing of the moments from which a way home is planned."""

SAMPLE_M = 5.0
BAND_MARGIN_M = 2.0
"""Return altitudes lie so far inside what is allowed, since a drone does not fly at exactly one height."""

BY_ITSELF = "its drones could not come home by themselves, apart from the others, if links failed at the wrong moment"

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contingency:
    """What a trip needs for its own way home: energy from departure to touchdown at the worst moment, and the
    altitude of straight returns (``None``: it returns along its mission)."""

    energy_wh: float
    return_alt_amsl_m: float | None = None


def contingency_of(
    problem: Problem, vehicle: FleetVehicle, trip: Trip, payloads_kg: Sequence[float] = ()
) -> Contingency:
    """Work out a trip's own way home; ``payloads_kg`` has what is aboard on each leg.

    Raises ``NoWay`` when no return altitude is clear from every point of the trip, or the vehicle's failsafe setting
    leads nowhere.
    """
    altitude = None
    if vehicle.type.rtl_type in STRAIGHT:
        altitude = return_altitude_m(problem, vehicle, trip)
        if altitude is None:
            raise NoWay(
                f"no return altitude lies over the terrain and under {CEILING_AGL_M:.0f} m above ground on the "
                "straight way home from everywhere on the trip"
            )
    elif vehicle.type.rtl_type not in (2, 4):
        raise NoWay(f"the failsafe setting of {vehicle.type.name} (RTL_TYPE {vehicle.type.rtl_type}) leads nowhere")
    own = OwnWay(
        trip,
        vehicle,
        problem.region,
        wind=problem.wind,
        payloads_kg=payloads_kg,
        return_alt_amsl_m=altitude,
    )
    return Contingency(own.costliest_wh(), altitude)


def return_altitude_m(problem: Problem, vehicle: FleetVehicle, trip: Trip) -> float | None:
    """The lowest altitude AMSL for straight returns that is clear of terrain, obstacles and ceiling from every point
    of a trip; ``None`` where there is none, or where zones lie in the way. A drone that is higher flies home at its
    own height.
    """
    region = problem.region
    own = OwnWay(trip, vehicle, region, wind=problem.wind)
    ways = own.ways(np.append(np.arange(0.0, own.duration_s, MOMENT_S), own.duration_s))
    pads = np.array([region.frame.to_local(ways.pad(row)) for row in range(len(ways.start))])
    starts, ends = ways.start[ways.airborne], pads[ways.airborne]
    if not len(starts):
        return None
    longest = float(np.hypot(*(ends - starts[:, :2]).T).max())
    share = np.linspace(0.0, 1.0, max(2, int(np.ceil(longest / SAMPLE_M)) + 1))
    places = starts[:, None, :2] + (ends - starts[:, :2])[:, None] * share[:, None]
    east, north = places[..., 0], places[..., 1]
    ground = region.terrain.height_m(east, north)
    low = ground + clearance_m(region, east, north)
    if in_closed_zones(problem, places.reshape(-1, 2)).any():
        return None
    low = np.maximum(low, obstacle_floors(region, places.reshape(-1, 2)).reshape(low.shape))
    lows = low.max(axis=1) + BAND_MARGIN_M
    highs = (ground + CEILING_AGL_M).min(axis=1) - BAND_MARGIN_M
    # Straight up and down over one's own pad is the landing that any trip makes.
    moves = np.hypot(*(ends - starts[:, :2]).T) > 2.0
    lows, highs = np.where(moves, lows, -np.inf), np.where(moves, highs, np.inf)
    short = starts[:, 2] < lows
    altitude = float(lows[short].max()) if short.any() else float(starts[:, 2].min())
    return altitude if (np.maximum(altitude, starts[:, 2]) <= highs).all() else None


def without_clashes(problem: Problem, plan: Plan) -> Plan:
    """Return a plan without the trips that break a rule about contingencies; their orders are unserved.

    The same plan where nothing is asked for or broken. Its cost is left: a plan with fewer trips is no better.
    """
    while True:
        broken = {violation.subject for violation in check_contingency(problem, plan)}
        if not broken:
            return plan
        left, dropped = [], []
        for route in plan.routes:
            kept = tuple(trip for trip in route.trips if trip.trip_id not in broken)
            dropped += [order for trip in route.trips if trip.trip_id in broken for order in trip.order_ids]
            if kept:
                left.append(replace(route, trips=kept))
        if not dropped:
            return plan
        plan = replace(
            plan, routes=tuple(left), unserved=(*plan.unserved, *(Unserved(order, BY_ITSELF) for order in dropped))
        )

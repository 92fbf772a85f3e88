"""Problems and plans as plain JSON data, exactly there and back."""

from __future__ import annotations

import hashlib
import json

from routing.errors import BadInput
from routing.formats.codec import Data, from_data, table, text, to_data
from routing.plan import Plan, Trip
from routing.problem import GivenTrip, Problem
from routing.region.model import Region


def problem_to_json(problem: Problem) -> Data:
    """Plain data of a problem; times as ISO 8601 in UTC, so that equal problems give equal data.

    The region is in it by its hash only.
    """
    return {"region_hash": problem.region.content_hash(), **to_data(problem, without="region")}


def problem_from_json(data: object, region: Region) -> Problem:
    """Read what ``problem_to_json`` wrote, for the region that it was made for.

    Raises ``BadInput`` naming the place that is missing or wrong, or when it was made for another region.
    """
    given = dict(table(data, "problem"))
    if "region_hash" not in given:
        raise BadInput("problem.region_hash: missing")
    made_for = text(given.pop("region_hash"), "problem.region_hash")
    if made_for != region.content_hash():
        raise BadInput(f"problem.region_hash: {made_for[:12]!r} is not region {region.region_id!r} as given")
    return from_data(Problem, given, "problem", region=region)


def problem_hash(problem: Problem) -> str:
    """SHA-256 of the canonical JSON of a problem, its region and seed included."""
    canonical = json.dumps(
        problem_to_json(problem), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def plan_to_json(plan: Plan) -> Data:
    """Plain data of a plan. A point of a path is ``[lat, lon, alt_amsl_m]``."""
    return to_data(plan)


def plan_from_json(data: object) -> Plan:
    """Read what ``plan_to_json`` wrote; raises ``BadInput`` naming the place that is missing or wrong."""
    return from_data(Plan, data, "plan")


def trip_to_json(trip: Trip) -> Data:
    """Plain data of one trip, as a plan holds it."""
    return to_data(trip)


def trip_from_json(data: object) -> Trip:
    """Read what ``trip_to_json`` wrote; raises ``BadInput`` naming the place that is missing or wrong."""
    return from_data(Trip, data, "trip")


def given_to_json(trip: GivenTrip) -> Data:
    """Plain data of a trip that is given to a problem."""
    return to_data(trip)


def given_from_json(data: object) -> GivenTrip:
    """Read what ``given_to_json`` wrote; raises ``BadInput`` naming the place that is missing or wrong."""
    return from_data(GivenTrip, data, "given")

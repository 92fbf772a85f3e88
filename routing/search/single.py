"""One more request into routes that are there: for replanning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routing.errors import BadInput
from routing.search.anneal import save
from routing.search.change import begin, load_routes, put_in
from routing.search.check import check_model
from routing.search.insertion import best_insertion
from routing.search.model import SearchModel, SearchRoute
from routing.search.starts import check_routes, decoded, encoded
from routing.search.world import build


@dataclass(frozen=True, slots=True)
class Insertion:
    """A request put into one of the routes.

    ``route`` is the place of the changed route in the sequence given (its length: a vehicle more), ``changed`` the
    route with the request, ``trip`` the trip in it that serves the request, and ``cost`` what it adds.
    """

    route: int
    trip: int
    changed: SearchRoute
    cost: float


def insert(
    model: SearchModel, routes: Sequence[SearchRoute], request: int, *, checked: bool = False
) -> Insertion | None:
    """The cheapest feasible place of ``request`` among all places of ``routes``; ``None``: there is none.

    All places are tried, new trips and unused vehicles too. ``checked``: the model is known to be good. Raises
    ``BadInput`` for a bad model, routes that serve the request already or that break a limit themselves.
    """
    if not checked:
        check_model(model)
        check_routes(model, routes)
    if not 0 <= request < len(model.dropoff):
        raise BadInput(f"there is no request {request}")
    arrays = build(model)
    load_routes(arrays.world, encoded(routes))
    if int(arrays.record["actives"][0]) != len(routes):
        raise BadInput("a route breaks a limit of the model, or there are more than there are vehicles")
    if arrays["node"]["trip"][2 * request + 1] >= 0:
        raise BadInput(f"request {request} is served already")
    begin(arrays.world)
    cost = float(best_insertion(arrays.world, request, np.inf, 0.0, True))
    if math.isinf(cost) or not put_in(arrays.world, request, int(arrays.record["stamp"][0])):
        return None
    solution = np.zeros(3 * len(model.dropoff) + 2 * len(arrays["vehicle"]) + 16, dtype=np.int32)
    save(arrays.world, solution)
    route = int(arrays["vehicle"]["index"][arrays["trip"]["veh"][arrays["node"]["trip"][2 * request + 1]]])
    changed = decoded(solution)[route]
    trip = next(number for number, visits in enumerate(changed.trips) if 2 * request + 1 in visits)
    return Insertion(route=route, trip=trip, changed=changed, cost=cost)

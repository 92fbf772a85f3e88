"""PyVRP as a peer of the search on classic instances: the same model, in the integers that it needs."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from fleet.errors import BadRequest
from routing.errors import BadInput
from routing.formats.vrp.instance import Instance
from routing.search.model import AT_START, Floats, SearchModel, SearchRoute

_FINE = 10_000.0
"""Units of one where a model's numbers are not integers: rounding then moves 1,000 legs by less than 0.1."""

_NO_WAY = 1 << 40
_MOST_LOAD = 1 << 50


def load_pyvrp() -> Any:
    """The package; raises ``BadRequest`` where it is not installed."""
    try:
        import pyvrp
    except ImportError as error:
        raise BadRequest("--peer pyvrp: PyVRP is not installed; it comes with the 'dev' dependencies") from error
    return pyvrp


def solve_with_pyvrp(instance: Instance, *, seconds: float, seed: int = 0) -> tuple[SearchRoute, ...]:
    """PyVRP's best routes after so many seconds, for the validator to judge.

    Raises ``BadRequest`` where PyVRP is not installed and ``BadInput`` where it cannot express the model.
    """
    pyvrp = load_pyvrp()
    model = instance.model
    _check_expressible(model)
    scale = 1.0 if _is_integral(model) else _FINE
    try:
        # PyVRP's reader scales loads as it does distances, and its bound of penalties is made for that.
        data = _problem(pyvrp, model, instance.depots, scale, scale * instance.rounding.scale)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput(f"PyVRP does not take the model: {error}") from error
    with warnings.catch_warnings():
        # That its penalties are at their bound, and that no routes were found, shows in what it returns.
        warnings.simplefilter("ignore")
        result = pyvrp.solve(data, pyvrp.stop.MaxRuntime(seconds), seed=seed, display=False, collect_stats=False)
    return tuple(_route(route, model) for route in result.best.routes())


def _check_expressible(model: SearchModel) -> None:
    others = {
        "loading times": model.first_load_time.any() or model.reload_time.any(),
        "energy": np.isfinite(model.energy_limit).any(),
        "compartments": model.slots.any(),
        "lateness": model.late_cost.any(),
        "costs of trips": model.trip_cost.any(),
        "vehicles that cannot wait": not model.may_wait.all(),
        "open routes": (model.start != model.end).any(),
    }
    found = [what for what, there in others.items() if there]
    if found:
        raise BadInput(f"PyVRP's model has no {', '.join(found)}")


def _is_integral(model: SearchModel) -> bool:
    numbers = (model.distance, model.duration, model.drop_from, model.drop_to, model.drop_service, model.pickup_from)
    return all(bool((given == np.round(given))[np.isfinite(given)].all()) for given in numbers)


def _problem(pyvrp: Any, model: SearchModel, depots: int, scale: float, load_scale: float) -> Any:
    """The model as PyVRP's ``ProblemData``: travel times rounded up, so that its routes are feasible in ours."""
    least = _least(scale)
    clients, shipments = [], []
    for request in range(len(model.dropoff)):
        required = math.isinf(model.prize[request])
        load = [round(load_scale * float(load)) for load in model.load[request]]
        priced = {"required": required, "prize": 0 if required else round(scale * float(model.prize[request]))}
        drop_from, drop_to = least(model.drop_from[request]), _most(model.drop_to[request], scale)
        drop_service = least(model.drop_service[request])
        if model.pickup[request] == AT_START:
            clients.append(
                pyvrp.Client(
                    int(model.dropoff[request]),
                    delivery=load,
                    service_duration=drop_service,
                    tw_early=drop_from,
                    release_time=least(model.release[request]),
                    name=str(request),
                    **_unless_infinite(tw_late=drop_to),
                    **priced,
                )
            )
        else:
            shipments.append(
                pyvrp.Shipment(
                    int(model.pickup[request]),
                    int(model.dropoff[request]),
                    pickup_tw_early=least(model.pickup_from[request]),
                    pickup_service_duration=least(model.pickup_service[request]),
                    delivery_tw_early=drop_from,
                    delivery_service_duration=drop_service,
                    amount=load,
                    name=str(request),
                    **_unless_infinite(pickup_tw_late=_most(model.pickup_to[request], scale), delivery_tw_late=drop_to),
                    **priced,
                )
            )
    profiles, profile_of = _profiles(model)
    return pyvrp.ProblemData(
        locations=[pyvrp.Location(0, 0) for _ in range(model.distance.shape[1])],
        clients=clients,
        depots=[pyvrp.Depot(place) for place in range(depots)],
        vehicle_types=[
            _vehicle_type(pyvrp, model, which, profile_of[which], scale, load_scale)
            for which in range(len(model.count))
        ],
        distance_matrices=[_matrix(model, model.distance, profile, scale, np.round) for profile in profiles],
        duration_matrices=[_matrix(model, model.duration, profile, scale, _up) for profile in profiles],
        shipments=shipments,
    )


def _vehicle_type(pyvrp: Any, model: SearchModel, which: int, profile: int, scale: float, load_scale: float) -> Any:
    several = int(model.max_trips[which]) > 1
    return pyvrp.VehicleType(
        int(model.count[which]),
        capacity=[math.floor(min(load_scale * float(capacity), _MOST_LOAD)) for capacity in model.capacity[which]],
        start_depot=int(model.start[which]),
        end_depot=int(model.end[which]),
        fixed_cost=round(scale * float(model.fixed_cost[which])),
        tw_early=_least(scale)(model.shift_from[which]),
        unit_distance_cost=round(float(model.distance_cost[which])),
        unit_duration_cost=round(float(model.duration_cost[which])),
        profile=profile,
        reload_depots=[int(model.start[which])] if several else [],
        max_reloads=int(model.max_trips[which]) - 1,
        name=str(which),
        **_unless_infinite(
            tw_late=_most(model.shift_to[which], scale),
            shift_duration=_most(model.max_duration[which], scale),
            max_distance=_most(model.max_distance[which], scale),
        ),
    )


def _profiles(model: SearchModel) -> tuple[list[tuple[int, bytes]], list[int]]:
    """Distinct pairs of movement profile and allowed requests, and which of them each class has."""
    keys = [(int(model.profile[which]), model.allowed[:, which].tobytes()) for which in range(len(model.count))]
    profiles = list(dict.fromkeys(keys))
    return profiles, [profiles.index(key) for key in keys]


def _matrix(model: SearchModel, given: Floats, profile: tuple[int, bytes], scale: float, rounding: Any) -> Any:
    values = given[profile[0]] * scale
    matrix = np.where(np.isfinite(values), rounding(np.where(np.isfinite(values), values, 0.0)), _NO_WAY)
    barred = model.dropoff[~np.frombuffer(profile[1], dtype=bool)]
    matrix[barred, :] = _NO_WAY
    matrix[:, barred] = _NO_WAY
    np.fill_diagonal(matrix, 0)
    return matrix.astype(np.int64)


def _up(values: Floats) -> Floats:
    return np.ceil(values - 1e-6)


def _least(scale: float) -> Any:
    return lambda value: math.ceil(scale * float(value) - 1e-6)


def _most(value: float, scale: float) -> int | None:
    return math.floor(scale * float(value) + 1e-6) if math.isfinite(value) else None


def _unless_infinite(**given: int | None) -> dict[str, int]:
    return {name: value for name, value in given.items() if value is not None}


def _route(route: Any, model: SearchModel) -> SearchRoute:
    """A PyVRP route as ours: depots between visits begin trips."""
    which = int(route.vehicle_type())
    dropping = [request for request in range(len(model.dropoff)) if model.pickup[request] == AT_START]
    paired = [request for request in range(len(model.dropoff)) if model.pickup[request] != AT_START]
    trips: list[list[int]] = [[]]
    for activity in route:
        if activity.is_depot():
            trips.append([])
        elif activity.is_client():
            trips[-1].append(2 * dropping[activity.idx] + 1)
        else:
            trips[-1].append(2 * paired[activity.idx] + (0 if activity.is_pickup() else 1))
    return SearchRoute(which, tuple(tuple(trip) for trip in trips if trip))

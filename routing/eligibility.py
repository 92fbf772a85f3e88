"""Which vehicles may serve which order, and in words why others may not: decided before any search."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from routing.cause import Cause
from routing.errors import NoWay, TooWindy
from routing.problem import FleetVehicle, OrderRequest
from routing.region.model import Site
from routing.travel import Stop
from routing.trip_book import TripBook
from routing.trips import HORIZON_S, LAYERS, LOAD_TOLERANCE, LegShape
from routing.vehicle_type import VehicleKind

FETCH_AT_MOST = 60
"""With more orders than this, one that a vehicle at its pickup site can serve is not fetched by others."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why one vehicle cannot serve an order. ``short_by`` is how much is missing: kg, L, Wh or s, by the cause.

    ``final``: neither waiting nor another vehicle of the kinds that the region's fleet has would help.
    """

    cause: Cause
    message: str
    short_by: float = 0.0
    final: bool = False


class Unservable(Exception):
    """Nobody can serve the order; the message says why, for a dispatcher."""

    def __init__(self, reason: str, cause: Cause, *, final: bool) -> None:
        super().__init__(reason)
        self.cause = cause
        self.final = final


_Rule = Callable[[TripBook, OrderRequest, FleetVehicle], Blocked | None]


def eligible(book: TripBook, order: OrderRequest, vehicles: Iterable[FleetVehicle] | None = None) -> list[FleetVehicle]:
    """Return the vehicles, of those given or all, that could serve this order if it were the only one.

    Vehicles of one type and home stand for one another, but for their times. Raises ``Unservable`` with the reason
    that the vehicles failed for that came farthest.
    """
    check_sites(book, order)
    found: list[FleetVehicle] = []
    failed: list[tuple[int, FleetVehicle, Blocked]] = []
    known: dict[object, tuple[int, Blocked] | None] = {}
    for vehicle in book.problem.vehicles if vehicles is None else vehicles:
        kind = (vehicle.home_site, book.kind(vehicle), vehicle.category)
        if kind not in known:
            known[kind] = _first(book, order, vehicle, _RULES)
        block = known[kind] or _first(book, order, vehicle, _TIMES, len(_RULES))
        if block is None:
            found.append(vehicle)
        else:
            failed.append((block[0], vehicle, block[1]))
    if not found:
        raise _unservable(book, order, failed)
    return found


def eligible_nearby(book: TripBook, order: OrderRequest) -> list[FleetVehicle]:
    """Return the vehicles that could serve this order; of many orders, others fetch only what nobody has at home."""
    near = [vehicle for vehicle in book.problem.vehicles if vehicle.home_site == order.pickup_site]
    if near and len(book.problem.orders) > FETCH_AT_MOST:
        with suppress(Unservable):
            return eligible(book, order, near)
    return eligible(book, order)


def prepare(book: TripBook, orders: Iterable[OrderRequest]) -> None:
    """Work out the ways between homes and the drop points of orders that are picked up there, all at once."""
    orders = tuple(orders)
    kinds = {(book.kind(v), v.home_site): v for v in book.problem.vehicles}.values()
    out_m, home_m = (number * book.layer_m for number in LAYERS[0])
    for vehicle in kinds:
        home = book.home(vehicle)
        moves: dict[int, list[tuple[Stop, Stop, float]]] = {}
        for order in orders:
            if order.pickup_site != vehicle.home_site or order.dropoff_site not in book.sites:
                continue
            if any(rule(book, order, vehicle) for rule in (_accepts, _mass, _volume, _pad)):
                continue
            drop = book.drop(vehicle.type, order.dropoff_site)
            assert drop is not None
            era = book.first_era(vehicle.type, order.order_id)
            moves.setdefault(era, []).extend(((home, drop, out_m), (drop, home, home_m)))
        for era, wanted in moves.items():
            book.travel.prepare(book.mover(vehicle), wanted, era=era)


def blocked(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    """Return why a vehicle cannot serve an order even alone, or ``None`` when it could. Its sites must exist."""
    found = _first(book, order, vehicle, _RULES) or _first(book, order, vehicle, _TIMES)
    return None if found is None else found[1]


def check_sites(book: TripBook, order: OrderRequest) -> None:
    """Raise ``Unservable`` for an order from or to nowhere, or from a place to itself."""
    for what, site_id in (("pickup", order.pickup_site), ("drop-off", order.dropoff_site)):
        if site_id not in book.sites:
            reason = f"{what} site {site_id} is not in region {book.problem.region.region_id}"
            raise Unservable(reason, Cause.UNKNOWN_SITE, final=True)
    if order.pickup_site == order.dropoff_site:
        reason = f"pickup and drop-off are the same site, {order.pickup_site}"
        raise Unservable(reason, Cause.SAME_SITE, final=True)


def accepts(site: Site, kind: VehicleKind) -> bool:
    """Whether vehicles of a kind may stop at a site."""
    return site.accepts_drone if kind is VehicleKind.DRONE else site.accepts_robot


def _first(
    book: TripBook, order: OrderRequest, vehicle: FleetVehicle, rules: Sequence[_Rule], number: int = 0
) -> tuple[int, Blocked] | None:
    """The first rule that a vehicle fails, and its number among all."""
    for i, rule in enumerate(rules, start=number):
        block = rule(book, order, vehicle)
        if block is not None:
            return i, block
    return None


def _home(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    if vehicle.home_site == order.pickup_site or book.problem.policy.away_pickups:
        return None
    return Blocked(Cause.AWAY_PICKUP, f"is based at {vehicle.home_site}, not at pickup site {order.pickup_site}")


def _accepts(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    for site_id in (order.pickup_site, order.dropoff_site):
        site = book.sites[site_id]
        if not accepts(site, vehicle.type.kind):
            return Blocked(Cause.SITE_ACCEPTS, f"may not stop at {site_id}, which {_takes(site)}")
    return None


def _takes(site: Site) -> str:
    kinds = [f"{kind}s" for kind in VehicleKind if accepts(site, kind)]
    return f"accepts {' and '.join(kinds)} only" if kinds else "accepts no vehicles"


def _temperature(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    if order.temperature in vehicle.type.temperature_classes:
        return None
    return Blocked(Cause.TEMPERATURE, f"cannot carry {order.temperature} goods", final=True)


def _mass(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    limit = vehicle.type.payload_kg
    if order.mass_kg <= limit + LOAD_TOLERANCE:
        return None
    return Blocked(Cause.MASS, f"carries at most {limit:g} kg", order.mass_kg - limit, final=True)


def _volume(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    limit = vehicle.type.payload_l
    if order.volume_l <= limit + LOAD_TOLERANCE:
        return None
    return Blocked(Cause.VOLUME, f"holds at most {limit:g} L", order.volume_l - limit, final=True)


def _pad(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    away = () if vehicle.home_site == order.pickup_site else (order.pickup_site,)
    for site_id in (*away, order.dropoff_site):
        if book.drop(vehicle.type, site_id) is None:
            return Blocked(Cause.PADS, f"every pad of {site_id} is the home of a drone")
    return None


def _way(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    home = book.home(vehicle)
    try:
        book.own_way_wh(vehicle, (home, home), book.single(vehicle, order.order_id))
    except TooWindy as error:
        return Blocked(Cause.WIND, str(error))
    except NoWay as error:
        cause = Cause.AIRSPACE if vehicle.type.kind is VehicleKind.DRONE else Cause.NO_WAY
        return Blocked(cause, str(error), final=True)
    return None


def _range(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    need, limit = single_wh(book, vehicle, order.order_id), book.usable_wh(vehicle)
    if need <= limit:
        return None
    in_calm = book.in_calm()
    final = in_calm is book or single_wh(in_calm, vehicle, order.order_id) > limit
    message = f"there and back takes {need:.0f} Wh{_in_wind(book)}, and it may use {limit:.0f} Wh of its battery"
    return Blocked(Cause.ENERGY, message, need - limit, final)


def single_wh(book: TripBook, vehicle: FleetVehicle, order_id: str) -> float:
    """Energy of a trip with one order, whatever the battery holds; more where it may have to come home by itself."""
    legs, home = book.single(vehicle, order_id), book.home(vehicle)
    return max(sum(leg.energy_wh for leg in legs), book.own_way_wh(vehicle, (home, home), legs))


def _pilots(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    if vehicle.type.kind is not VehicleKind.DRONE:
        return None
    limits = [limit.most for limit in book.problem.airborne if limit.category is vehicle.category]
    if min(limits, default=1) >= 1:
        return None
    return Blocked(Cause.PILOT_LIMIT, f"no remote pilot may have a drone of category {vehicle.category} in the air")


def _horizon(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    if max(book.window_s(order.order_id)[0], book.release_s(order.order_id)) <= HORIZON_S:
        return None
    return Blocked(Cause.HORIZON, f"the time window begins more than {HORIZON_S // 86_400} days ahead")


def _window(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    soonest, latest = soonest_s(book, order, vehicle), book.window_s(order.order_id)[1]
    if soonest <= latest:
        return None
    at = book.problem.start + timedelta(seconds=soonest)
    message = (
        f"the time window ends {words_s(soonest - latest)} before the soonest possible arrival, "
        f"{at.isoformat(timespec='minutes')} by {vehicle.vehicle_id}"
    )
    return Blocked(Cause.WINDOW, message, soonest - latest)


def _whole_seconds(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    earliest, latest = book.window_s(order.order_id)
    if earliest <= latest:
        return None
    return Blocked(Cause.WINDOW, "the time window is too short for any arrival in whole seconds", 1.0, final=True)


def _shift(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> Blocked | None:
    legs = book.single(vehicle, order.order_id)
    dropped = _dropped(legs)
    begins = max(soonest_s(book, order, vehicle), book.window_s(order.order_id)[0])
    late = begins + legs[-1].arrive_s - dropped.arrive_s - book.end_s(vehicle)
    if late <= 0:
        return None
    return Blocked(Cause.SHIFT, f"would be back {words_s(late)} after the end of its shift", late)


_RULES: tuple[_Rule, ...] = (_home, _accepts, _temperature, _mass, _volume, _horizon, _pad, _way, _range, _pilots)
"""What the order, the type and the home decide."""

_TIMES: tuple[_Rule, ...] = (_window, _whole_seconds, _shift)
"""What depends on when each vehicle is there."""


def _dropped(legs: Sequence[LegShape]) -> LegShape:
    """The leg to the drop of a trip with one order: the one before the way home."""
    return legs[-2]


def soonest_s(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> int:
    """When a vehicle could be at the drop at the soonest, in seconds from the problem's start."""
    legs = book.single(vehicle, order.order_id)
    release = book.release_s(order.order_id)
    # A parcel that is fetched must be there when the vehicle is, one from home when it leaves.
    departs = max(book.ready_s(vehicle), release - (legs[0].arrive_s if len(legs) > 2 else 0))
    return departs + _dropped(legs).arrive_s


def _unservable(book: TripBook, order: OrderRequest, failed: list[tuple[int, FleetVehicle, Blocked]]) -> Unservable:
    """The reason of those that came farthest, in words about all of them."""
    if not failed:
        reason = f"no vehicle is based at pickup site {order.pickup_site}; there are no vehicles"
        return Unservable(reason, Cause.NO_VEHICLES, final=False)
    farthest = max(number for number, _, _ in failed)
    last = [(vehicle, block) for number, vehicle, block in failed if number == farthest]
    nearest_vehicle, nearest = min(last, key=lambda each: (each[1].short_by, each[0].vehicle_id))
    final = all(block.final for _, block in last)
    cause, site = nearest.cause, order.dropoff_site
    if cause is Cause.AWAY_PICKUP:
        homes = ", ".join(sorted({vehicle.home_site for vehicle, _ in last}))
        reason = f"no vehicle is based at pickup site {order.pickup_site}; vehicles are at {homes}"
    elif cause is Cause.SITE_ACCEPTS and _apart(book, order):
        final = True
        reason = f"no kind of vehicle may stop at both {order.pickup_site} and {site}"
    elif cause is Cause.SITE_ACCEPTS:
        closed = next(book.sites[s] for s in (site, order.pickup_site) if _nobody(book, s, last))
        final = not any(accepts(closed, kind) for kind in VehicleKind)
        where = order.pickup_site if any(v.home_site == order.pickup_site for v, _ in last) else "the fleet"
        reason = f"site {closed.site_id} {_takes(closed)}, and {where} has no vehicle for it"
    elif cause is Cause.TEMPERATURE:
        reason = f"{order.temperature} goods: no vehicle that may go to {site} can carry them"
    elif cause is Cause.MASS:
        limit = max(vehicle.type.payload_kg for vehicle, _ in last)
        reason = f"{order.mass_kg:g} kg is too heavy: vehicles that may go to {site} carry at most {limit:g} kg"
    elif cause is Cause.VOLUME:
        limit = max(vehicle.type.payload_l for vehicle, _ in last)
        reason = f"{order.volume_l:g} L is too large: vehicles that may go to {site} hold at most {limit:g} L"
    elif cause in (Cause.NO_WAY, Cause.AIRSPACE, Cause.WIND):
        messages = dict.fromkeys(block.message for _, block in last)
        reason = f"no way from {order.pickup_site} to {site}: {'; '.join(messages)}"
    elif cause is Cause.ENERGY:
        need, limit = single_wh(book, nearest_vehicle, order.order_id), book.usable_wh(nearest_vehicle)
        reason = (
            f"out of range{_in_wind(book)}: there and back takes {need:.0f} Wh, and {nearest_vehicle.type.name} "
            f"may use {limit:.0f} Wh of its battery"
        )
    elif cause is Cause.SHIFT:
        reason = f"{nearest_vehicle.vehicle_id} {nearest.message}"
    else:
        reason = nearest.message
    return Unservable(reason, cause, final=final)


def _apart(book: TripBook, order: OrderRequest) -> bool:
    """Whether no kind of vehicle may stop at both sites of an order, though each takes some."""
    ends = [
        {kind for kind in VehicleKind if accepts(book.sites[s], kind)} for s in (order.pickup_site, order.dropoff_site)
    ]
    return all(ends) and not set.intersection(*ends)


def _nobody(book: TripBook, site_id: str, failed: Sequence[tuple[FleetVehicle, Blocked]]) -> bool:
    """Whether some of the vehicles may not stop at a site."""
    return any(not accepts(book.sites[site_id], vehicle.type.kind) for vehicle, _ in failed)


def _in_wind(book: TripBook) -> str:
    speed_mps = book.problem.wind.speed_mps
    return f" in {speed_mps:.0f} m/s of wind" if speed_mps > 0.0 else ""


def words_s(seconds: float) -> str:
    """A length of time in words."""
    return f"{math.ceil(seconds)} s" if seconds < 120 else f"{int(seconds) // 60} min"

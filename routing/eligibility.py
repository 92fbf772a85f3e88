"""Which vehicles may serve which order, and in words why none may: decided before any search."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from routing.energy import usable_wh
from routing.errors import NoWay, TooWindy
from routing.problem import FleetVehicle, OrderRequest
from routing.region.model import Site
from routing.trips import HORIZON_S, TripBook
from routing.vehicle_type import VehicleKind


class Unservable(Exception):
    """Nobody can serve the order; the message says why, for a dispatcher.

    ``final``: neither waiting nor another vehicle of the kinds that the region's fleet has would help.
    """

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.final = final


def eligible(book: TripBook, order: OrderRequest) -> list[FleetVehicle]:
    """Return the vehicles that could serve this order if it were the only one.

    Raises ``Unservable`` with the reason that the last remaining vehicles failed for.
    """
    pickup, dropoff = _sites(book, order)
    vehicles = _based_there(book, order, pickup, dropoff)
    vehicles = _strong_enough(order, dropoff, vehicles)
    vehicles = _with_a_pad(book, order, vehicles)
    vehicles = _with_a_way(book, order, vehicles)
    vehicles = _with_the_range(book, order, vehicles)
    return _in_time(book, order, vehicles)


def accepts(site: Site, kind: VehicleKind) -> bool:
    """Whether vehicles of a kind may stop at a site."""
    return site.accepts_drone if kind is VehicleKind.DRONE else site.accepts_robot


def _sites(book: TripBook, order: OrderRequest) -> tuple[Site, Site]:
    region = book.problem.region
    sites = {site.site_id: site for site in region.sites}
    for what, site_id in (("pickup", order.pickup_site), ("drop-off", order.dropoff_site)):
        if site_id not in sites:
            raise Unservable(f"{what} site {site_id} is not in region {region.region_id}", final=True)
    if order.pickup_site == order.dropoff_site:
        raise Unservable(f"pickup and drop-off are the same site, {order.pickup_site}", final=True)
    return sites[order.pickup_site], sites[order.dropoff_site]


def _based_there(book: TripBook, order: OrderRequest, pickup: Site, dropoff: Site) -> list[FleetVehicle]:
    based = [v for v in book.problem.vehicles if v.home_site == order.pickup_site]
    if not based:
        homes = ", ".join(sorted({v.home_site for v in book.problem.vehicles}))
        where = f"vehicles are at {homes}" if homes else "there are no vehicles"
        raise Unservable(f"no vehicle is based at pickup site {pickup.site_id}; {where}", final=False)
    allowed = [v for v in based if accepts(pickup, v.type.kind) and accepts(dropoff, v.type.kind)]
    if not allowed:
        kinds = [f"{kind}s" for kind in VehicleKind if accepts(dropoff, kind)]
        takes = f"accepts {' and '.join(kinds)} only" if kinds else "accepts no vehicles"
        raise Unservable(f"site {dropoff.site_id} {takes}, and {pickup.site_id} has no vehicle for it", final=not kinds)
    return allowed


def _strong_enough(order: OrderRequest, dropoff: Site, vehicles: Sequence[FleetVehicle]) -> list[FleetVehicle]:
    lift = [v for v in vehicles if order.mass_kg <= v.type.payload_kg + 1e-6]
    if not lift:
        limit = max(v.type.payload_kg for v in vehicles)
        raise Unservable(
            f"{order.mass_kg:g} kg is too heavy: vehicles that may go to {dropoff.site_id} carry at most {limit:g} kg",
            final=True,
        )
    hold = [v for v in lift if order.volume_l <= v.type.payload_l + 1e-6]
    if not hold:
        limit = max(v.type.payload_l for v in lift)
        raise Unservable(
            f"{order.volume_l:g} L is too large: vehicles that may go to {dropoff.site_id} hold at most {limit:g} L",
            final=True,
        )
    return hold


def _with_a_pad(book: TripBook, order: OrderRequest, vehicles: Sequence[FleetVehicle]) -> list[FleetVehicle]:
    found = [v for v in vehicles if book.drop(v.type, order.dropoff_site) is not None]
    if not found:
        raise Unservable(f"every pad of {order.dropoff_site} is the home of a drone", final=False)
    return found


def _with_a_way(book: TripBook, order: OrderRequest, vehicles: Sequence[FleetVehicle]) -> list[FleetVehicle]:
    found: list[FleetVehicle] = []
    reasons: dict[str, bool] = {}
    for vehicle in vehicles:
        home, stop = book.home(vehicle), book.drop(vehicle.type, order.dropoff_site)
        assert stop is not None
        try:
            book.travel.way(vehicle.type, home, stop)
            book.travel.way(vehicle.type, stop, home)
        except NoWay as error:
            reasons[str(error)] = isinstance(error, TooWindy)
        else:
            found.append(vehicle)
    if not found:
        raise Unservable(
            f"no way from {order.pickup_site} to {order.dropoff_site}: {'; '.join(reasons)}",
            final=not any(reasons.values()),
        )
    return found


def _with_the_range(book: TripBook, order: OrderRequest, vehicles: Sequence[FleetVehicle]) -> list[FleetVehicle]:
    needs = [(v, book.single_trip_wh(v, order.order_id)) for v in vehicles]
    found = [v for v, need in needs if need <= usable_wh(v.type)]
    if not found:
        nearest, need = min(needs, key=lambda pair: pair[1] - usable_wh(pair[0].type))
        raise Unservable(
            f"out of range{_in_wind(book)}: there and back takes {need:.0f} Wh, and {nearest.type.name} may use "
            f"{usable_wh(nearest.type):.0f} Wh of its battery",
            final=all(book.in_calm().single_trip_wh(v, order.order_id) > usable_wh(v.type) for v in vehicles),
        )
    return found


def _in_time(book: TripBook, order: OrderRequest, vehicles: Sequence[FleetVehicle]) -> list[FleetVehicle]:
    earliest, latest = book.window_s(order.order_id)
    if earliest > HORIZON_S:
        raise Unservable(f"the time window begins more than {HORIZON_S // 86_400} days ahead", final=False)
    arrivals = [(book.ready_s(v) + _outbound_s(book, order, v), v) for v in vehicles]
    found = [v for v in vehicles if book.departures(v, ((order.order_id,),)) is not None]
    if not found:
        soonest, vehicle = min(arrivals, key=lambda pair: (pair[0], pair[1].vehicle_id))
        at = book.problem.start + timedelta(seconds=soonest)
        if soonest <= latest:
            raise Unservable("the time window is too short for any arrival in whole seconds", final=True)
        raise Unservable(
            f"the time window ends {_minutes(soonest - latest)} before the soonest possible arrival, "
            f"{at.isoformat(timespec='minutes')} by {vehicle.vehicle_id}",
            final=False,
        )
    return found


def _outbound_s(book: TripBook, order: OrderRequest, vehicle: FleetVehicle) -> int:
    stop = book.drop(vehicle.type, order.dropoff_site)
    assert stop is not None
    return book.travel.way(vehicle.type, book.home(vehicle), stop, layer_m=0.0).seconds


def _in_wind(book: TripBook) -> str:
    speed_mps = book.problem.wind.speed_mps
    return f" in {speed_mps:.0f} m/s of wind" if speed_mps > 0.0 else ""


def _minutes(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"

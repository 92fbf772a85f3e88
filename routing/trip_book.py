"""Trips with their exact times and energy: what the solver's proposals are measured by."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from routing.contingency import contingency_of
from routing.energy import leg_energy, service_energy, usable_wh
from routing.errors import NoWay
from routing.own_way import FORWARDS, STRAIGHT, forwards_wh
from routing.plan import Leg, Route, StopAction, Trip
from routing.problem import FleetVehicle, OrderRequest, Problem
from routing.travel import Mover, Span, Stop, Travel
from routing.trips import (
    ANY_TIME,
    DELAY_WEIGHT,
    HORIZON_S,
    LAYER_EXTRA_M,
    LAYERS,
    LOAD_TOLERANCE,
    LegShape,
    Slot,
    Tour,
    TripShape,
    Visit,
    Visits,
)
from routing.vehicle_type import VehicleKind, VehicleType
from routing.wind import CALM


class TripBook:
    """Works trips out for one problem, each sequence of visits once for each kind of vehicle, home and pads.

    Energies are linear in the payload, and so no less than exact ones (``energy.leg_energy``): those of the search.
    """

    def __init__(self, problem: Problem, travel: Travel) -> None:
        self.problem = problem
        self.travel = travel
        self.orders = {order.order_id: order for order in problem.orders}
        self.sites = {site.site_id: site for site in problem.region.sites}
        self.places = {site.site_id: problem.region.frame.to_local(site.position) for site in problem.region.sites}
        self._windows = {order.order_id: self._window(order) for order in problem.orders}
        self.layer_m = problem.separation.vertical_m + LAYER_EXTRA_M
        self._drop_pads = _free_pads(problem)
        # Permits that name vehicles make ways of their own.
        self._named = {vehicle_id for permit in problem.permits for vehicle_id in permit.vehicle_ids}
        self._eras = [self._era(span) for span in travel.eras]
        self._stations = {(station.site_id, station.type_id): station for station in problem.stations}
        self._calm: TripBook | None = None
        self._limits: dict[str, float] = {}
        self._services: dict[tuple[str, float], tuple[float, float]] = {}
        self._kinds: dict[str, int] = {}
        self._numbers: dict[tuple[object, ...], int] = {}
        self._shapes: dict[tuple[int, Stop, Stop, Visits, int], TripShape | None] = {}

    def add(self, order: OrderRequest) -> None:
        """Take one more order into account; the trips worked out so far stay."""
        self.problem = replace(self.problem, orders=(*self.problem.orders, order))
        self.orders[order.order_id] = order
        self._windows[order.order_id] = self._window(order)
        self._calm = None

    def forget(self, order_id: str) -> None:
        """Forget an order, and the trips with it."""
        self.problem = replace(
            self.problem, orders=tuple(order for order in self.problem.orders if order.order_id != order_id)
        )
        del self.orders[order_id], self._windows[order_id]
        for key in [key for key in self._shapes if any(visit.order_id == order_id for visit in key[3])]:
            del self._shapes[key]

    def in_calm(self) -> TripBook:
        """The same trips without wind."""
        if self._calm is None:
            still = self.problem.wind.speed_mps == 0.0
            self._calm = self if still else TripBook(replace(self.problem, wind=CALM), self.travel.in_calm())
        return self._calm

    def window_s(self, order_id: str) -> tuple[int, int]:
        """Earliest and latest drop of an order in whole seconds from the problem's start."""
        return self._windows[order_id]

    def seconds(self, moment: datetime) -> float:
        """A moment in seconds from the problem's start."""
        return (moment - self.problem.start).total_seconds()

    def ready_s(self, vehicle: FleetVehicle) -> int:
        """When a vehicle may first depart, in whole seconds from the problem's start."""
        return max(0, math.ceil(self.seconds(vehicle.available_from)))

    def end_s(self, vehicle: FleetVehicle) -> int:
        """When a vehicle must be back at last, in whole seconds from the problem's start."""
        if vehicle.shift_end is None:
            return HORIZON_S + 7 * 86_400
        return math.floor(self.seconds(vehicle.shift_end))

    def usable_wh(self, vehicle: FleetVehicle, pack_id: str | None = None) -> float:
        """Energy that a trip of a vehicle may use with a pack; without its name, with the best there is."""
        if pack_id is None and vehicle.vehicle_id in self._limits:
            return self._limits[vehicle.vehicle_id]
        station = self._stations.get((vehicle.home_site, vehicle.type.type_id))
        healths = [vehicle.battery_health]
        if station is not None:
            healths = [pack.health for pack in station.packs if pack_id in (None, pack.pack_id)]
        limit = usable_wh(
            vehicle.type,
            health=max(healths, default=0.0),
            temperature_c=self.problem.temperature_c,
            reserve_fraction=self.problem.policy.reserve_fraction,
        )
        if pack_id is None:
            self._limits[vehicle.vehicle_id] = limit
        return limit

    def home(self, vehicle: FleetVehicle, pad: int | None = None) -> Stop:
        """Where a vehicle stands, or leaves from and lands on: ``pad``, else its own, else the site's first."""
        if vehicle.type.kind is VehicleKind.ROBOT:
            return Stop(vehicle.home_site, 0, home=True)
        own = vehicle.pad if pad is None else pad
        return Stop(vehicle.home_site, own or 0, home=True)

    def drop(self, vehicle_type: VehicleType, site_id: str) -> Stop | None:
        """Where a vehicle of a type stops at a site: ``None`` for a drone where all pads are other drones' homes."""
        if vehicle_type.kind is VehicleKind.ROBOT:
            return Stop(site_id)
        pad = self._drop_pads.get(site_id)
        return None if pad is None else Stop(site_id, pad)

    def layer_choices(self, vehicle_type: VehicleType) -> range:
        """How a trip may fly: ``LAYERS`` in each of the eras of the airspace in turn, as ``era * len(LAYERS) + i``."""
        return range(len(LAYERS) * len(self._eras) if vehicle_type.kind is VehicleKind.DRONE else 1)

    def usual_layers(self, vehicle_type: VehicleType) -> range:
        """Of ``layer_choices`` the usual layers of each era."""
        return range(0, len(self.layer_choices(vehicle_type)), len(LAYERS))

    def mover(self, vehicle: FleetVehicle) -> Mover:
        """Whose ways a vehicle takes."""
        return vehicle if vehicle.vehicle_id in self._named else vehicle.type

    def visits(self, vehicle: FleetVehicle, order_id: str) -> Visits:
        """What a vehicle does for an order: drop it, and fetch it first if that is away from its home."""
        if self.orders[order_id].pickup_site == vehicle.home_site:
            return (Visit(order_id),)
        return (Visit(order_id, pickup=True), Visit(order_id))

    def service_s(self, vehicle_type: VehicleType, visit: Visit) -> float:
        """How long a visit takes."""
        order = self.orders[visit.order_id]
        if visit.pickup:
            return order.pickup_s
        return vehicle_type.service_s if order.service_s is None else order.service_s

    def shape(
        self,
        vehicle: FleetVehicle,
        visits: Visits,
        layers: int = 0,
        *,
        pad: int | None = None,
        landing_pad: int | None = None,
    ) -> TripShape | None:
        """Return the trip of these visits, or ``None`` when load, energy, times or a missing way forbid it.

        The same object for the same trip, so that its identity may stand for it. ``pad`` and ``landing_pad``: which
        pads of its home it uses; ``None``: the vehicle's own.
        """
        ends = self.home(vehicle, pad), self.home(vehicle, landing_pad)
        key = (self.kind(vehicle), *ends, visits, layers)
        if key not in self._shapes:
            self._shapes[key] = self._work_out(vehicle, ends, visits, layers)
        return self._shapes[key]

    def prepare_homes(self) -> None:
        """Work out the ways between homes, with each pad that may be used, and the drop points of their orders."""
        drops: dict[str, set[str]] = {}
        for order in self.orders.values():
            drops.setdefault(order.pickup_site, set()).add(order.dropoff_site)
        for vehicle in {(self.kind(v), v.home_site): v for v in self.problem.vehicles}.values():
            flies = vehicle.type.kind is VehicleKind.DRONE
            pads = range(len(self.sites[vehicle.home_site].pads)) if flies and vehicle.pad is None else (None,)
            levels = {(out * self.layer_m, back * self.layer_m) for out, back in (LAYERS if flies else LAYERS[:1])}
            stops = [
                stop
                for site in sorted(drops.get(vehicle.home_site, ()))
                if site in self.sites
                and (self.sites[site].accepts_drone if flies else self.sites[site].accepts_robot)
                and (stop := self.drop(vehicle.type, site)) is not None
            ]
            moves = [
                move
                for out_m, back_m in sorted(levels)
                for home in (self.home(vehicle, pad) for pad in pads)
                for stop in stops
                for move in ((home, stop, out_m), (stop, home, back_m))
            ]
            for era in range(len(self._eras) if flies else 1):
                self.travel.prepare(self.mover(vehicle), moves, era=era)

    def prepare_trips(self, trips: Iterable[tuple[FleetVehicle, Visits]]) -> None:
        """Work out the ways of trips in their usual layers, all at once."""
        moves: dict[tuple[Mover, int], list[tuple[Stop, Stop, float]]] = {}
        out_m, back_m = (number * self.layer_m for number in LAYERS[0])
        for vehicle, visits in trips:
            home = self.home(vehicle)
            stops = [self.drop(vehicle.type, site) for site, _, _ in self._stops(visits)]
            era = max(self.first_era(vehicle.type, visit.order_id) for visit in visits)
            wanted = moves.setdefault((self.mover(vehicle), era), [])
            for a, b in itertools.pairwise([home, *stops, home]):
                if a is not None and b is not None:
                    wanted.append((a, b, back_m if b.home else out_m))
        for (mover, era), wanted in moves.items():
            self.travel.prepare(mover, wanted, era=era)

    def next_shape(self, vehicle: FleetVehicle, visits: Visits, free_s: float) -> TripShape | None:
        """The usual shape of a trip in the first era in which it may leave from ``free_s`` on."""
        for layers in self.usual_layers(vehicle.type):
            shape = self.shape(vehicle, visits, layers)
            if shape is not None and max(free_s, shape.soonest_s) <= shape.latest_s:
                return shape
        return None

    def kind(self, vehicle: FleetVehicle) -> int:
        """A number that vehicles share whose trips are the same."""
        if vehicle.vehicle_id not in self._kinds:
            kind = (self.mover(vehicle), self.usable_wh(vehicle), vehicle.shift_end)
            self._kinds[vehicle.vehicle_id] = self._numbers.setdefault(kind, len(self._numbers))
        return self._kinds[vehicle.vehicle_id]

    def _work_out(
        self, vehicle: FleetVehicle, ends: tuple[Stop, Stop], visits: Visits, layers: int
    ) -> TripShape | None:
        flies = vehicle.type.kind is VehicleKind.DRONE
        opens_s, ends_s = self._eras[layers // len(LAYERS)] if flies else ANY_TIME
        windows = [self._windows[visit.order_id] for visit in visits if not visit.pickup]
        if not self.fits(vehicle.type, visits) or any(b < opens_s or a > ends_s for a, b in windows):
            return None
        try:
            legs = tuple(self._legs(vehicle, ends, visits, layers))
            energy = sum(leg.energy_wh for leg in legs)
            if max(energy, self.own_way_wh(vehicle, ends, legs)) > self.usable_wh(vehicle):
                return None
        except NoWay:
            return None
        lows, highs = [opens_s], [min(ends_s, self.end_s(vehicle)) - legs[-1].arrive_s]
        fetched = set()
        for leg in legs:
            for order_id in leg.order_ids:
                if leg.action is StopAction.PICKUP:
                    fetched.add(order_id)
                    lows.append(self.release_s(order_id) - leg.arrive_s)
                    continue
                opens, closes = self._windows[order_id]
                lows.append(opens - leg.arrive_s)
                highs.append(closes - leg.arrive_s)
                if order_id not in fetched:
                    lows.append(self.release_s(order_id))
        if max(lows) > min(highs):
            return None
        return TripShape(legs, energy, max(lows), min(highs))

    def release_s(self, order_id: str) -> int:
        """From when on a parcel is at its pickup site, in whole seconds from the problem's start."""
        release = self.orders[order_id].release
        return -HORIZON_S if release is None else math.ceil(self.seconds(release))

    def fits(self, vehicle_type: VehicleType, visits: Visits) -> bool:
        """Whether the vehicle holds all that is aboard at any time, by mass, volume and compartments."""
        fetched = {visit.order_id for visit in visits if visit.pickup}
        aboard = [visit.order_id for visit in visits if not visit.pickup and visit.order_id not in fetched]
        mass = sum(self.orders[order_id].mass_kg for order_id in aboard)
        volume = sum(self.orders[order_id].volume_l for order_id in aboard)
        count = len(aboard)
        most = [(mass, volume, count)]
        for visit in visits if fetched else ():
            sign = 1 if visit.pickup else -1
            mass += sign * self.orders[visit.order_id].mass_kg
            volume += sign * self.orders[visit.order_id].volume_l
            count += sign
            most.append((mass, volume, count))
        masses, volumes, counts = zip(*most, strict=True)
        return (
            max(masses) <= vehicle_type.payload_kg + LOAD_TOLERANCE
            and max(volumes) <= vehicle_type.payload_l + LOAD_TOLERANCE
            and (vehicle_type.compartments == 0 or max(counts) <= vehicle_type.compartments)
        )

    def single(self, vehicle: FleetVehicle, order_id: str) -> tuple[LegShape, ...]:
        """The legs of a trip with one order, whatever the battery holds; raises ``NoWay``.

        Those of the first era of the airspace that has a way and that the order's window has a part in.
        """
        home, visits = self.home(vehicle), self.visits(vehicle, order_id)
        reason = NoWay("nothing may fly so late")
        for era in self._eras_for(vehicle.type, order_id):
            try:
                return tuple(self._legs(vehicle, (home, home), visits, era * len(LAYERS)))
            except NoWay as error:
                reason = error
        raise reason

    def first_era(self, vehicle_type: VehicleType, order_id: str) -> int:
        """The number of the first era of the airspace that an order's window has a part in."""
        return next(self._eras_for(vehicle_type, order_id), 0)

    def _eras_for(self, vehicle_type: VehicleType, order_id: str) -> Iterator[int]:
        if vehicle_type.kind is VehicleKind.ROBOT:
            yield 0
            return
        # A window that is over, or far ahead, has the first or last one.
        opens, closes = self._windows[order_id]
        opens, closes = min(opens, self._eras[-1][1]), max(closes, self._eras[0][0])
        yield from (era for era, (begins, ends) in enumerate(self._eras) if opens <= ends and closes >= begins)

    def _legs(self, vehicle: FleetVehicle, ends: tuple[Stop, Stop], visits: Visits, layers: int) -> Iterator[LegShape]:
        vehicle_type, mover = vehicle.type, self.mover(vehicle)
        era, layer = divmod(layers, len(LAYERS))
        fetched = {visit.order_id for visit in visits if visit.pickup}
        payload = sum(self.orders[v.order_id].mass_kg for v in visits if v.order_id not in fetched)
        out_m, home_m = (number * self.layer_m for number in LAYERS[layer])
        here, now = ends[0], 0
        for site, pickup, stop_visits in self._stops(visits):
            stop = self.drop(vehicle_type, site)
            if stop is None:
                raise NoWay(f"every pad of {site} is the home of a drone")
            way = self.travel.way(mover, here, stop, layer_m=out_m, era=era)
            service_s = max(self.service_s(vehicle_type, visit) for visit in stop_visits)
            base, per_kg = self.service_wh(vehicle_type, service_s)
            energy = way.base_wh + base + (way.per_kg_wh + per_kg) * payload
            arrive = now + way.seconds
            leave = arrive + math.ceil(service_s)
            order_ids = tuple(visit.order_id for visit in stop_visits)
            action = StopAction.PICKUP if pickup else StopAction.DROP
            yield LegShape(site, action, order_ids, way, now, arrive, leave, energy)
            mass = sum(self.orders[order_id].mass_kg for order_id in order_ids)
            payload = max(0.0, payload + (mass if pickup else -mass))
            here, now = stop, leave
        way = self.travel.way(mover, here, ends[1], layer_m=home_m, era=era)
        arrive = now + way.seconds
        energy = way.base_wh + way.per_kg_wh * payload
        yield LegShape(ends[1].site_id, StopAction.HOME, (), way, now, arrive, arrive, energy)

    def own_way_wh(self, vehicle: FleetVehicle, ends: tuple[Stop, Stop], legs: Sequence[LegShape]) -> float:
        """Energy of a trip whose drone has to come home by itself at the worst moment, with its parcels aboard.

        0 where the policy does not ask for it. Raises ``NoWay`` where it has no clear way of its own.
        """
        if not self.problem.policy.contingency or vehicle.type.kind is VehicleKind.ROBOT:
            return 0.0
        aboard_kg = self._aboard_kg(legs)
        if vehicle.type.rtl_type == FORWARDS:
            base, per_kg = leg_energy(vehicle.type, [leg.way.movement for leg in legs], in_gusts=True)
            return forwards_wh([leg.energy_wh for leg in legs], base + per_kg * np.array(aboard_kg)[:, None])
        trip = Trip("", self._timed(legs, 0), ends[0].pad, ends[1].pad)
        return contingency_of(self.problem, vehicle, trip, aboard_kg).energy_wh

    def _aboard_kg(self, legs: Sequence[LegShape]) -> list[float]:
        """What is carried on each leg."""
        loads, load = [], 0.0
        for leg in reversed(legs):
            mass = sum(self.orders[order_id].mass_kg for order_id in leg.order_ids)
            load += -mass if leg.action is StopAction.PICKUP else mass
            loads.append(load)
        return [max(0.0, kg) for kg in reversed(loads)]

    def service_wh(self, vehicle_type: VehicleType, service_s: float) -> tuple[float, float]:
        """Energy of a stop as a part without payload, and one for each kg of it."""
        key = (vehicle_type.type_id, service_s)
        if key not in self._services:
            base, per_kg = service_energy(vehicle_type, service_s, wind=self.problem.wind)
            self._services[key] = (float(base), float(per_kg))
        return self._services[key]

    def _stops(self, visits: Visits) -> Iterator[tuple[str, bool, list[Visit]]]:
        """Neighbouring visits of one site and kind are one stop, which takes the longest of their times."""
        for (site, pickup), group in itertools.groupby(visits, key=lambda visit: (self.site(visit), visit.pickup)):
            yield site, pickup, list(group)

    def site(self, visit: Visit) -> str:
        """Where a visit is."""
        order = self.orders[visit.order_id]
        return order.pickup_site if visit.pickup else order.dropoff_site

    def departures(self, vehicle: FleetVehicle, tour: Tour) -> list[int] | None:
        """Soonest departures of a vehicle's trips in seconds from the start, as if it were alone.

        ``None`` if they cannot be.
        """
        if len(tour) > self.problem.max_trips_per_vehicle:
            return None
        free = self.ready_s(vehicle)
        departures = []
        for visits in tour:
            shape = self.next_shape(vehicle, visits, free)
            if shape is None:
                return None
            departure = max(free, shape.soonest_s)
            departures.append(departure)
            free = departure + shape.seconds + math.ceil(vehicle.type.turnaround_s)
        return departures

    def cost(self, vehicle: FleetVehicle, tour: Tour, slots: Sequence[Slot] | None = None) -> float:
        """Seconds of travel and turnaround, recipients' waiting and lateness; infinite if the tour cannot be.

        Without ``slots`` the vehicle is taken to be alone.
        """
        if slots is None:
            return self._cost_alone(vehicle, tour)
        return sum(
            self.trip_cost(vehicle, self.slotted(vehicle, visits, slot), slot.departure_s)
            for visits, slot in zip(tour, slots, strict=True)
        )

    def _cost_alone(self, vehicle: FleetVehicle, tour: Tour) -> float:
        departures = self.departures(vehicle, tour)
        if departures is None:
            return math.inf
        total = 0.0
        for visits, departure in zip(tour, departures, strict=True):
            shape = self.next_shape(vehicle, visits, departure)
            assert shape is not None
            total += self.trip_cost(vehicle, shape, departure)
        return total

    def trip_cost(self, vehicle: FleetVehicle, shape: TripShape, departure_s: float) -> float:
        """What one trip adds to the cost of a plan."""
        total = shape.seconds + vehicle.type.turnaround_s
        for leg in shape.legs:
            if leg.action is StopAction.DROP:
                total += sum(self.waiting_cost(order_id, departure_s + leg.arrive_s) for order_id in leg.order_ids)
        return total

    def waiting_cost(self, order_id: str, arrive_s: float) -> float:
        """Cost of a drop so many seconds after the problem's start: the recipient's waiting, and lateness."""
        order = self.orders[order_id]
        cost = DELAY_WEIGHT * max(0.0, arrive_s - max(0, self._windows[order_id][0]))
        if order.due is not None:
            cost += order.late_cost * max(0.0, arrive_s - self.seconds(order.due))
        return cost

    def slotted(self, vehicle: FleetVehicle, visits: Visits, slot: Slot) -> TripShape:
        """The shape of a trip that has its slot."""
        shape = self.shape(vehicle, visits, slot.layers, pad=slot.pad, landing_pad=slot.landing_pad)
        assert shape is not None
        return shape

    def route(self, vehicle: FleetVehicle, tour: Tour, slots: Sequence[Slot]) -> Route:
        """Return the route of a tour that can be; trips are named ``{vehicle_id}-t{n}`` from 1 on."""
        return Route(
            vehicle.vehicle_id,
            vehicle.home_site,
            tuple(
                self.trip(f"{vehicle.vehicle_id}-t{n}", vehicle, visits, slot)
                for n, (visits, slot) in enumerate(zip(tour, slots, strict=True), start=1)
            ),
        )

    def trip(self, trip_id: str, vehicle: FleetVehicle, visits: Visits, slot: Slot) -> Trip:
        """Return a trip with its times, and its return altitude where it needs one."""
        shape = self.slotted(vehicle, visits, slot)
        legs = self._timed(shape.legs, slot.departure_s)
        made = Trip(trip_id, legs, slot.pad, slot.landing_pad, slot.pack_id)
        straight = vehicle.type.kind is VehicleKind.DRONE and vehicle.type.rtl_type in STRAIGHT
        if not straight or not self.problem.policy.contingency:
            return made
        return replace(made, return_alt_amsl_m=contingency_of(self.problem, vehicle, made).return_alt_amsl_m)

    def _timed(self, legs: Sequence[LegShape], departure_s: int) -> tuple[Leg, ...]:
        def at(seconds: int) -> datetime:
            return self.problem.start + timedelta(seconds=departure_s + seconds)

        return tuple(
            Leg(
                to_site=leg.to_site,
                action=leg.action,
                order_ids=leg.order_ids,
                path=leg.way.path,
                nodes=leg.way.nodes,
                depart=at(leg.depart_s),
                arrive=at(leg.arrive_s),
                leave=at(leg.leave_s),
                distance_m=leg.way.movement.distance_m,
                energy_wh=leg.energy_wh,
            )
            for leg in legs
        )

    def with_order(self, vehicle: FleetVehicle, tour: Tour, order_id: str) -> Iterator[Tour]:
        """Yield every tour that one more order makes: at any place of any trip, or on a trip of its own."""
        visits = self.visits(vehicle, order_id)
        for i, trip in enumerate(tour):
            for longer in self.inserted(trip, visits):
                yield (*tour[:i], longer, *tour[i + 1 :])
        if len(tour) < self.problem.max_trips_per_vehicle:
            for i in range(len(tour) + 1):
                yield (*tour[:i], visits, *tour[i:])

    @staticmethod
    def inserted(trip: Visits, visits: Visits) -> Iterator[Visits]:
        """Yield a trip with an order's visits at all places, in their sequence."""
        for i in range(len(trip) + 1):
            if len(visits) == 1:
                yield (*trip[:i], *visits, *trip[i:])
                continue
            for j in range(i, len(trip) + 1):
                yield (*trip[:i], visits[0], *trip[i:j], visits[1], *trip[j:])

    def _era(self, span: Span | None) -> tuple[int, int]:
        """An era in whole seconds from the problem's start."""
        if span is None:
            return ANY_TIME
        return math.ceil(self.seconds(span[0])), math.floor(self.seconds(span[1]))

    def _window(self, order: OrderRequest) -> tuple[int, int]:
        return (
            math.ceil(self.seconds(order.earliest)),
            min(HORIZON_S, math.floor(self.seconds(order.latest))),
        )


def _free_pads(problem: Problem) -> dict[str, int]:
    """For each site the first pad on which no drone stands."""
    taken = {(v.home_site, v.pad) for v in problem.vehicles if v.type.kind is VehicleKind.DRONE}
    free = {}
    for site in problem.region.sites:
        left = [pad for pad in range(len(site.pads)) if (site.site_id, pad) not in taken]
        if left:
            free[site.site_id] = left[0]
    return free

"""A planning problem as the numbers that the search works on, and what it finds as tours of vehicles.

A place of the model is a home, or a site with what is done there and how long that takes. Times at stops are part of
the movement that follows, their energy part of the movement before, so that orders of one site share a stop as in
``routing.trips``. Energy grows with the load on a straight line through that of the empty and that of the full
vehicle: a little more than it takes, since power is convex in mass.

Not all ways are worked out: drones fly on only to sites near by, and where there are many robot sites their ways are
those of the ground network's matrix, until ``refine`` replaces those that routes use by the exact ones.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from routing.errors import NoWay
from routing.problem import FleetVehicle, OrderRequest
from routing.search.model import AT_START, Floats, SearchModel, SearchRoute
from routing.travel import Mover, Stop, Way
from routing.trip_book import TripBook
from routing.trips import DELAY_WEIGHT, LAYERS, LOAD_TOLERANCE, Tour, Tours, Visit, drop_penalty_s
from routing.vehicle_type import VehicleKind, VehicleType

NEAREST = 12
"""To so many nearest sites a drone may fly on from a site; it carries few parcels, and rarely passes one by."""

LEAST_SHARE = 0.5
"""What a straight flight takes at least, as a share of cruise power for its time at cruise speed: with tailwind."""

BATCH = 512
"""Ways that are worked out at once; the clock is looked at between batches."""

EXACT_SITES = 40
"""Up to so many robot sites all ways are exact from the beginning."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A site with what is done there. ``service_s``: ``None`` for that of the vehicle's type."""

    site_id: str
    home: bool = False
    pickup: bool = False
    service_s: float | None = None


@dataclass(slots=True)
class _Profile:
    """How vehicles of a type move; ``home``: those of one home only, where that makes a difference."""

    mover: Mover
    type: VehicleType
    home: str | None
    vehicles: list[int] = field(default_factory=list)


class Modelling:
    """Brings one problem into a ``SearchModel`` and back."""

    def __init__(self, book: TripBook, allowed: Mapping[str, Sequence[int]], *, deadline: float = math.inf) -> None:
        """``allowed``: the orders that take part, with the indices of the vehicles that may serve them.

        After ``deadline`` (of ``time.monotonic``) no more ways between drop points are looked for.
        """
        self._book = book
        self._vehicles = book.problem.vehicles
        self._orders = [book.orders[order_id] for order_id in allowed]
        self._number = {order.order_id: i for i, order in enumerate(self._orders)}
        self._allowed = {order_id: frozenset(indices) for order_id, indices in allowed.items()}
        self._deadline = deadline
        self._places: dict[_Place, int] = {}
        for vehicle in self._vehicles:
            self._places.setdefault(_Place(vehicle.home_site, home=True), len(self._places))
        self._fetched = [self._is_fetched(order) for order in self._orders]
        self._pickups = [
            self._place(_Place(order.pickup_site, pickup=True, service_s=order.pickup_s)) if fetched else AT_START
            for order, fetched in zip(self._orders, self._fetched, strict=True)
        ]
        self._dropoffs = [self._place(_Place(order.dropoff_site, service_s=order.service_s)) for order in self._orders]
        self._at = list(self._places)
        self._profiles = self._make_profiles()
        self._profile_of = {i: n for n, profile in enumerate(self._profiles) for i in profile.vehicles}
        self._classes = self._make_classes()
        size = (len(self._profiles), len(self._places), len(self._places))
        self._duration = np.full(size, np.inf)
        self._base, self._per_kg = np.zeros(size), np.zeros(size)
        self._coarse: set[int] = set()
        for number in range(len(self._profiles)):
            self._fill(number)
        self.model = self._make_model()

    def routes(self, tours: Sequence[Tour]) -> tuple[SearchRoute, ...]:
        """Tours as the search knows them; orders that take no part are left out."""
        found = []
        for vehicle_class, members in enumerate(self._classes):
            for i in members:
                trips = tuple(trip for trip in map(self._search_trip, tours[i]) if trip)
                if trips:
                    found.append(SearchRoute(vehicle_class, trips))
        return tuple(found)

    def tours(self, routes: Sequence[SearchRoute]) -> Tours:
        """What the search found, as tours."""
        free = [list(members) for members in self._classes]
        found: list[Tour] = [() for _ in self._vehicles]
        for route in routes:
            i = free[route.vehicle_class].pop(0)
            home = self._vehicles[i].home_site
            found[i] = tuple(
                tuple(visit for visit in map(self._visit, trip) if not (visit.pickup and self._from(visit) == home))
                for trip in route.trips
                if trip
            )
        return tuple(found)

    def refine(self, tours: Sequence[Tour]) -> bool:
        """Put the exact ways in place of those that tours use; return whether any was not exact."""
        changed = False
        for i, tour in enumerate(tours):
            number = self._profile_of[i]
            if number not in self._coarse:
                continue
            home = self._places[_Place(self._vehicles[i].home_site, home=True)]
            for visits in tour:
                stops = [home, *(self._visited(visit) for visit in visits), home]
                for a, b in itertools.pairwise(stops):
                    before = self._duration[number, a, b], self._base[number, a, b]
                    self._put(number, a, b)
                    changed |= before != (self._duration[number, a, b], self._base[number, a, b])
        return changed

    def _place(self, place: _Place) -> int:
        return self._places.setdefault(place, len(self._places))

    def _is_fetched(self, order: OrderRequest) -> bool:
        """Whether some vehicle would have to fetch it from a site that is not its home."""
        return any(self._vehicles[i].home_site != order.pickup_site for i in self._allowed[order.order_id])

    def _make_profiles(self) -> list[_Profile]:
        profiles: dict[tuple[Mover, str | None], _Profile] = {}
        for i, vehicle in enumerate(self._vehicles):
            home = vehicle.home_site if any(self._fetched) else None
            mover = self._book.mover(vehicle)
            profiles.setdefault((mover, home), _Profile(mover, vehicle.type, home)).vehicles.append(i)
        return list(profiles.values())

    def _make_classes(self) -> list[list[int]]:
        """Vehicles that are the same to the search."""
        book = self._book
        classes: dict[object, list[int]] = {}
        orders_of: list[list[str]] = [[] for _ in self._vehicles]
        for order_id, indices in self._allowed.items():
            for i in indices:
                orders_of[i].append(order_id)
        for i, v in enumerate(self._vehicles):
            key = (book.mover(v), v.home_site, book.ready_s(v), book.end_s(v), book.usable_wh(v), tuple(orders_of[i]))
            classes.setdefault(key, []).append(i)
        return list(classes.values())

    def _make_model(self) -> SearchModel:
        book, orders = self._book, self._orders
        first = [self._vehicles[members[0]] for members in self._classes]
        kinds = [vehicle.type for vehicle in first]
        windows = [book.window_s(order.order_id) for order in orders]
        releases = [float(max(0, book.release_s(order.order_id))) for order in orders]
        none, ends = np.zeros(len(orders)), np.full(len(orders), np.inf)
        starts = np.array([self._places[_Place(v.home_site, home=True)] for v in first], dtype=np.int64)
        free, endless = np.zeros(len(first)), np.full(len(first), np.inf)
        turnaround = np.array([float(math.ceil(kind.turnaround_s)) for kind in kinds])
        due = [self._due(order) for order in orders]
        return SearchModel(
            distance=self._duration,
            duration=self._duration,
            energy_base=self._base,
            energy_per_load=self._per_kg,
            pickup=np.array(self._pickups, dtype=np.int64),
            dropoff=np.array(self._dropoffs, dtype=np.int64),
            load=np.array([(order.mass_kg, order.volume_l) for order in orders]).reshape(-1, 2),
            pickup_from=np.array(releases) * self._fetched,
            pickup_to=ends,
            pickup_service=none,
            drop_from=np.array([float(opens) for opens, _ in windows]),
            drop_to=np.array([float(closes) for _, closes in windows]),
            drop_service=none,
            release=np.array(releases) * ~np.array(self._fetched, dtype=bool),
            due=np.array([moment for moment, _ in due]),
            late_cost=np.array([cost for _, cost in due]),
            prize=np.array([drop_penalty_s(order) for order in orders]),
            allowed=np.array(
                [[members[0] in self._allowed[order.order_id] for members in self._classes] for order in orders]
            ).reshape(len(orders), len(first)),
            count=np.array([len(members) for members in self._classes], dtype=np.int64),
            profile=np.array([self._profile_of[members[0]] for members in self._classes], dtype=np.int64),
            start=starts,
            end=starts,
            capacity=np.array([(k.payload_kg, k.payload_l) for k in kinds]).reshape(-1, 2) + LOAD_TOLERANCE,
            slots=np.array([kind.compartments for kind in kinds], dtype=np.int64),
            shift_from=np.array([float(book.ready_s(v)) for v in first]),
            shift_to=np.array([float(max(book.ready_s(v), book.end_s(v))) for v in first]),
            fixed_cost=free,
            trip_cost=np.array([kind.turnaround_s for kind in kinds]),
            distance_cost=np.ones(len(first)),
            duration_cost=free,
            max_trips=np.full(len(first), book.problem.max_trips_per_vehicle, dtype=np.int64),
            first_load_time=free,
            reload_time=turnaround,
            max_distance=endless,
            max_duration=endless,
            energy_limit=np.array([book.usable_wh(v) for v in first]),
            may_wait=np.zeros(len(first), dtype=bool),
        )

    def _due(self, order: OrderRequest) -> tuple[float, float]:
        """From when on a drop costs how much a second. Lateness outweighs waiting; the search knows one of them."""
        if order.due is not None and order.late_cost > DELAY_WEIGHT:
            return self._book.seconds(order.due), order.late_cost
        return float(max(0, self._book.window_s(order.order_id)[0])), DELAY_WEIGHT

    def _search_trip(self, visits: Sequence[Visit]) -> tuple[int, ...]:
        trip = [(self._number[v.order_id], v) for v in visits if v.order_id in self._number]
        picked = {r for r, visit in trip if visit.pickup}
        # What the vehicle loads at home, the search knows as a pickup there where others would have to fetch it.
        at_home = [2 * r for r, visit in trip if self._fetched[r] and not visit.pickup and r not in picked]
        return (*at_home, *(2 * r + (0 if visit.pickup else 1) for r, visit in trip))

    def _visit(self, number: int) -> Visit:
        return Visit(self._orders[number // 2].order_id, pickup=number % 2 == 0)

    def _from(self, visit: Visit) -> str:
        return self._book.orders[visit.order_id].pickup_site

    def _visited(self, visit: Visit) -> int:
        r = self._number[visit.order_id]
        return self._pickups[r] if visit.pickup else self._dropoffs[r]

    def _fill(self, number: int) -> None:
        """Work out the movements of one profile that may be needed."""
        profile = self._profiles[number]
        homes = {self._vehicles[i].home_site for i in profile.vehicles}
        members = set(profile.vehicles)
        used = {
            place
            for r, order in enumerate(self._orders)
            if members & self._allowed[order.order_id]
            for place in (self._pickups[r], self._dropoffs[r])
            if place != AT_START
        }
        starts = [k for k, place in enumerate(self._at) if place.home and place.site_id in homes]
        stops = sorted(used)
        np.fill_diagonal(self._duration[number], 0.0)
        if profile.type.kind is VehicleKind.ROBOT and len(stops) > EXACT_SITES:
            self._fill_coarsely(number, [*starts, *stops])
            return
        self._put_all(number, [(a, b) for a in starts for b in stops])
        for batch in _batches(self._onward(number, stops), BATCH):
            if time.monotonic() > self._deadline:
                break
            self._put_all(number, batch)

    def _put_all(self, number: int, pairs: Sequence[tuple[int, int]]) -> None:
        """Work out movements between places, there and back."""
        both = [(x, y) for a, b in pairs for x, y in ((a, b), (b, a))]
        moves = []
        for a, b in both:
            with suppress(NoWay):
                if self._is_movement(number, self._at[a], self._at[b]):
                    moves.append(self._move(number, self._at[a], self._at[b]))
        self._book.travel.prepare(self._profiles[number].mover, moves)
        for a, b in both:
            self._put(number, a, b)

    def _onward(self, number: int, stops: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Pairs of stops between which a vehicle may move on, the nearest first."""
        profile = self._profiles[number]
        frame = self._book.problem.region.frame
        at = np.array([frame.to_local(self._book.sites[self._at[k].site_id].position) for k in stops]).reshape(-1, 2)
        away = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1))
        if profile.type.kind is VehicleKind.DRONE and len(stops) > NEAREST + 1:
            rank = away.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
            away = np.where(np.minimum(rank, rank.T) <= NEAREST, away, np.inf)
        if profile.type.kind is VehicleKind.DRONE:
            away = np.where(self._within_reach(number, stops, away), away, np.inf)
        rows, columns = np.triu_indices(len(stops), 1)
        for k in np.argsort(away[rows, columns], kind="stable"):
            if math.isinf(away[rows[k], columns[k]]):
                return
            yield stops[int(rows[k])], stops[int(columns[k])]

    def _within_reach(self, number: int, stops: Sequence[int], away_m: Floats) -> npt.NDArray[np.bool_]:
        """Whether a trip with both stops may hold: both from one home, and a straight flight at least between them."""
        profile = self._profiles[number]
        limit = max(self._book.usable_wh(self._vehicles[i]) for i in profile.vehicles)
        starts = sorted({self._places[_Place(self._vehicles[i].home_site, home=True)] for i in profile.vehicles})
        out = np.where(np.isfinite(self._duration[number]), self._base[number], np.inf)
        least = LEAST_SHARE * profile.type.cruise_power_w / profile.type.cruise_speed_mps / 3_600.0 * away_m
        ends = [out[home, stops][:, None] + out[stops, home][None] for home in starts]
        return np.asarray(np.minimum.reduce([np.minimum(each, each.T) for each in ends]) + least <= limit)

    def _fill_coarsely(self, number: int, stops: Sequence[int]) -> None:
        """Robots' movements from the matrix of the network."""
        kind = self._profiles[number].type
        self._coarse.add(number)
        stops = [k for k in stops if self._book.sites[self._at[k].site_id].node is not None]
        nodes = [str(self._book.sites[self._at[k].site_id].node) for k in stops]
        ways = self._book.travel.ground_matrix(kind, nodes)
        empty, full = (np.nan_to_num(ways.energy_wh(kind, load), posinf=0.0) for load in (0.0, kind.payload_kg))
        services = np.array([self._service_s(number, k) for k in stops])
        base, per_kg = np.array([self._book.service_wh(kind, service_s) for service_s in services]).T
        at = np.ix_([number], stops, stops)
        self._duration[at] = np.ceil(ways.seconds) + np.ceil(services)[:, None]
        self._base[at], self._per_kg[at] = empty + base, (full - empty) / kind.payload_kg + per_kg
        np.fill_diagonal(self._duration[number], 0.0)
        for matrix in (self._base, self._per_kg):
            np.fill_diagonal(matrix[number], 0.0)
        for a in stops:
            for b in stops:
                if self._special(number, self._at[a], self._at[b]):
                    self._put(number, a, b)

    def _special(self, number: int, a: _Place, b: _Place) -> bool:
        """Whether a movement is none on the map: at home, or within one site."""
        return a.site_id == b.site_id or self._at_home(number, a) or self._at_home(number, b)

    def _at_home(self, number: int, place: _Place) -> bool:
        """Whether a pickup is at the home of the profile's vehicles, where it takes no time."""
        return place.pickup and place.site_id == self._profiles[number].home

    def _service_s(self, number: int, place: int) -> float:
        where = self._at[place]
        if where.home or self._at_home(number, where):
            return 0.0
        return self._profiles[number].type.service_s if where.service_s is None else where.service_s

    def _put(self, number: int, a: int, b: int) -> None:
        """Work one movement out."""
        if a == b:
            return
        start, end = self._at[a], self._at[b]
        kind = self._profiles[number].type
        loading = self._at_home(number, end)
        if loading and not (start.site_id == end.site_id and (start.home or start.pickup)):
            return  # it is loaded before the trip begins, not on its way
        if end.home and self._at_home(number, start):
            return
        try:
            way = self._way(number, start, end)
        except NoWay:
            self._duration[number, a, b] = np.inf
            return
        base, per_kg = self._book.service_wh(kind, self._service_s(number, b))
        self._duration[number, a, b] = (way.seconds if way else 0) + math.ceil(self._service_s(number, a))
        self._base[number, a, b] = base + (way.base_wh if way else 0.0)
        self._per_kg[number, a, b] = per_kg + (way.per_kg_wh if way else 0.0)

    def _way(self, number: int, start: _Place, end: _Place) -> Way | None:
        """The movement between two places; ``None`` within a stop."""
        if not self._is_movement(number, start, end):
            return None
        travel, move = self._book.travel, self._move(number, start, end)
        reason = NoWay("there is none at any time")
        for era in range(len(travel.eras)):
            try:
                return travel.way(self._profiles[number].mover, *move[:2], layer_m=move[2], era=era)
            except NoWay as error:
                reason = error
        raise reason

    def _is_movement(self, number: int, start: _Place, end: _Place) -> bool:
        return start.site_id != end.site_id or not (
            self._at_home(number, end) or (start.home == end.home and start.pickup == end.pickup)
        )

    def _move(self, number: int, start: _Place, end: _Place) -> tuple[Stop, Stop, float]:
        out, back = LAYERS[0]
        return self._stop(number, start), self._stop(number, end), self._book.layer_m * (back if end.home else out)

    def _stop(self, number: int, place: _Place) -> Stop:
        if place.home or self._at_home(number, place):
            return self._book.home(self._based(number, place.site_id))
        stop = self._book.drop(self._profiles[number].type, place.site_id)
        if stop is None:
            raise NoWay(f"every pad of {place.site_id} is the home of a drone")
        return stop

    def _based(self, number: int, site_id: str) -> FleetVehicle:
        """One of the profile's vehicles at a home: pads of one site differ by some metres, so any stands for all."""
        return next(
            self._vehicles[i] for i in self._profiles[number].vehicles if self._vehicles[i].home_site == site_id
        )


def _batches(pairs: Iterator[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    while batch := list(itertools.islice(pairs, size)):
        yield batch

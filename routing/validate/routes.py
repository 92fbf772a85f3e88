"""The judge of routes in numbers: every rule of ``SearchModel`` recomputed visit by visit, and the exact cost.

It follows the words of ``routing.search.model.SearchModel`` and shares nothing with the search.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from routing.search.model import AT_START, SearchModel, SearchRoute, SearchTrip
from routing.validate.violation import Violation

_TOLERANCE = 1e-7
"""Share of a limit, at least of 1, by which rounding in sums may pass it."""


@dataclass(frozen=True, slots=True)
class RouteReport:
    """What breaks a rule, and the cost: of used vehicles, trips, distance, time, lateness and what is left out.

    ``cost`` is that of the best timetable of these routes, which may begin as late as the windows allow.
    """

    violations: tuple[Violation, ...]
    cost: float
    distance: float
    vehicles: int
    left_out: tuple[int, ...]


def judge_routes(model: SearchModel, routes: Sequence[SearchRoute]) -> RouteReport:
    """Judge routes against a model; every request that is in none of them counts as left out.

    Routes that cannot be read (unknown class or visit) are judged by that alone, and their cost is infinite.
    """
    violations = list(_form(model, routes))
    if violations:
        return RouteReport(tuple(violations), math.inf, math.inf, len(routes), ())
    used = [route for route in routes if any(route.trips)]
    violations += _counts(model, used)
    served = {visit // 2 for route in used for trip in route.trips for visit in trip}
    left_out = tuple(request for request in range(len(model.dropoff)) if request not in served)
    cost = 0.0
    for request in left_out:
        if math.isinf(model.prize[request]):
            violations.append(Violation("routes.unserved", f"request {request}", "it must be served and is not"))
        else:
            cost += float(model.prize[request])
    distance = 0.0
    for number, route in enumerate(used, 1):
        judged = _Route(model, route, f"route {number}")
        violations += judged.check()
        cost += judged.cost
        distance += judged.distance
    return RouteReport(tuple(violations), cost, distance, len(used), left_out)


def _form(model: SearchModel, routes: Sequence[SearchRoute]) -> Iterable[Violation]:
    for number, route in enumerate(routes, 1):
        subject = f"route {number}"
        if not 0 <= route.vehicle_class < len(model.count):
            yield Violation("routes.form", subject, f"there is no vehicle class {route.vehicle_class}")
        for visit in (visit for trip in route.trips for visit in trip):
            if not 0 <= visit // 2 < len(model.dropoff):
                yield Violation("routes.form", subject, f"there is no visit {visit}")
            elif visit % 2 == 0 and model.pickup[visit // 2] == AT_START:
                yield Violation("routes.form", subject, f"request {visit // 2} is loaded at the start, not on the way")


def _counts(model: SearchModel, routes: Sequence[SearchRoute]) -> Iterable[Violation]:
    """Vehicles there are, and every visit at most once."""
    for vehicle_class, number in Counter(route.vehicle_class for route in routes).items():
        if number > model.count[vehicle_class]:
            message = f"{number} routes for {model.count[vehicle_class]} vehicles"
            yield Violation("routes.count", f"class {vehicle_class}", message)
    visits = Counter(visit for route in routes for trip in route.trips for visit in trip)
    for visit, number in visits.items():
        if number > 1:
            yield Violation("routes.once", f"request {visit // 2}", f"visit {visit} is made {number} times")


def _over(value: float, limit: float) -> bool:
    return value > limit + _TOLERANCE * max(1.0, abs(limit)) if math.isfinite(limit) else False


@dataclass(slots=True)
class _Clock:
    """Every departure that is possible: leaving at ``t`` one is here at ``max(t + least, earliest)``.

    ``latest`` is the last departure with which all windows so far are met; ``broken`` where there is none.
    """

    least: float = 0.0
    earliest: float = -math.inf
    latest: float = math.inf
    broken: bool = False

    def pass_time(self, duration: float) -> None:
        """Travel, serve or load."""
        self.least += duration
        self.earliest += duration

    def wait_until(self, begin: float) -> None:
        """Stand still until a time, if it is not past."""
        self.earliest = max(self.earliest, begin)

    def be_there_by(self, end: float) -> None:
        """Only departures that are here by then remain."""
        self.broken = self.broken or _over(self.earliest, end)
        self.latest = min(self.latest, end - self.least)

    def at(self, departure: float) -> float:
        """When one is here, having left then."""
        return max(departure + self.least, self.earliest)


@dataclass(slots=True)
class _Route:
    """One vehicle's route, followed once."""

    model: SearchModel
    route: SearchRoute
    subject: str
    cost: float = 0.0
    distance: float = 0.0
    _found: list[Violation] = field(default_factory=list)
    _drops: list[tuple[int, float, float]] = field(default_factory=list)

    def check(self) -> list[Violation]:
        """Follow the route; its violations. Sets ``cost`` and ``distance``."""
        model, which = self.model, self.route.vehicle_class
        if len(self.route.trips) > model.max_trips[which]:
            self._break("routes.trips", f"{len(self.route.trips)} trips; {model.max_trips[which]} are allowed")
        clock = _Clock()
        departure = float(model.shift_from[which] + model.first_load_time[which])
        last = len(self.route.trips) - 1
        for number, trip in enumerate(self.route.trips):
            if not trip:
                self._break("routes.form", f"trip {number + 1} visits nothing")
            if number:
                clock.pass_time(float(model.reload_time[which]))
            else:
                clock.wait_until(departure)
            self._loads(trip, number)
            self._move(trip, clock, home=int(model.end[which] if number == last else model.start[which]))
        clock.be_there_by(float(model.shift_to[which]))
        if _over(self.distance, float(model.max_distance[which])):
            self._break("routes.distance", f"{self.distance:g} is more than {model.max_distance[which]:g}")
        self._price(clock, departure)
        return self._found

    def _break(self, rule: str, message: str) -> None:
        self._found.append(Violation(rule, self.subject, message))

    def _loads(self, trip: SearchTrip, number: int) -> None:
        """Pairing, loads and energy of one trip."""
        model, which = self.model, self.route.vehicle_class
        aboard = {visit // 2 for visit in trip if model.pickup[visit // 2] == AT_START}
        places = [int(model.start[which])]
        energy = 0.0
        where = f"trip {number + 1}"
        self._fits(aboard, where)
        for visit in trip:
            request = visit // 2
            place = int(model.pickup[request] if visit % 2 == 0 else model.dropoff[request])
            energy += self._energy(places[-1], place, aboard)
            places.append(place)
            if not model.allowed[request, which]:
                self._break("routes.allowed", f"request {request} may not go with class {which}")
            if visit % 2 == 0:
                aboard = aboard | {request}
                self._fits(aboard, where)
            elif request not in aboard:
                self._break("routes.pairing", f"{where}: request {request} is dropped before it is picked up")
            aboard = aboard - ({request} if visit % 2 else set())
        for request in sorted(aboard):
            self._break("routes.pairing", f"{where}: request {request} is picked up and not dropped")
        last = number == len(self.route.trips) - 1
        home = int(model.end[which] if last else model.start[which])
        if home >= 0:
            energy += self._energy(places[-1], home, aboard)
        if _over(energy, float(model.energy_limit[which])):
            self._break("routes.energy", f"{where}: {energy:g} is more than {model.energy_limit[which]:g}")

    def _fits(self, aboard: set[int], where: str) -> None:
        model, which = self.model, self.route.vehicle_class
        for unit, capacity in enumerate(model.capacity[which]):
            load = math.fsum(float(model.load[request, unit]) for request in aboard)
            if _over(load, float(capacity)):
                self._break("routes.load", f"{where}: {load:g} of load {unit} aboard; {capacity:g} fit")
        if 0 < model.slots[which] < len(aboard):
            self._break("routes.slots", f"{where}: {len(aboard)} requests aboard; {model.slots[which]} fit")

    def _energy(self, a: int, b: int, aboard: set[int]) -> float:
        model, which = self.model, self.route.vehicle_class
        if math.isinf(model.energy_limit[which]):
            return 0.0
        profile = int(model.profile[which])
        load = math.fsum(float(model.load[request, 0]) for request in aboard)
        return float(model.energy_base[profile, a, b] + model.energy_per_load[profile, a, b] * load)

    def _move(self, trip: SearchTrip, clock: _Clock, *, home: int) -> None:
        """Distance and time of one trip; a trip that may not wait leaves later instead."""
        model, which = self.model, self.route.vehicle_class
        release = max((float(model.release[v // 2]) for v in trip if model.pickup[v // 2] == AT_START), default=0.0)
        may_wait = bool(model.may_wait[which])
        clock.wait_until(release if may_wait else max(release, self._unwaiting_departure(trip)))
        here = int(model.start[which])
        for visit in trip:
            request, drop = visit // 2, bool(visit % 2)
            there = int(model.dropoff[request] if drop else model.pickup[request])
            self._travel(here, there, clock)
            if may_wait:
                clock.wait_until(float(model.drop_from[request] if drop else model.pickup_from[request]))
            clock.be_there_by(float(model.drop_to[request] if drop else model.pickup_to[request]))
            if drop:
                self._drops.append((request, clock.least, clock.earliest))
            clock.pass_time(float(model.drop_service[request] if drop else model.pickup_service[request]))
            here = there
        if home >= 0:
            self._travel(here, home, clock)

    def _unwaiting_departure(self, trip: SearchTrip) -> float:
        """The first departure of a trip with which it is nowhere before a window begins."""
        model, which = self.model, self.route.vehicle_class
        profile, here, underway, first = int(model.profile[which]), int(model.start[which]), 0.0, -math.inf
        for visit in trip:
            request, drop = visit // 2, bool(visit % 2)
            there = int(model.dropoff[request] if drop else model.pickup[request])
            underway += float(model.duration[profile, here, there])
            first = max(first, float(model.drop_from[request] if drop else model.pickup_from[request]) - underway)
            underway += float(model.drop_service[request] if drop else model.pickup_service[request])
            here = there
        return first

    def _travel(self, here: int, there: int, clock: _Clock) -> None:
        profile = int(self.model.profile[self.route.vehicle_class])
        distance = float(self.model.distance[profile, here, there])
        duration = float(self.model.duration[profile, here, there])
        if not (math.isfinite(distance) and math.isfinite(duration)):
            self._break("routes.way", f"there is no way from place {here} to place {there}")
            distance = duration = 0.0
        self.distance += distance
        clock.pass_time(duration)

    def _price(self, clock: _Clock, first: float) -> None:
        """The times of the route, and its cost at the best departure."""
        model, which = self.model, self.route.vehicle_class
        if clock.broken or _over(first, clock.latest):
            self._break("routes.window", "a window, or the shift, ends before the vehicle can be there")
        begins = [first, max(first, min(clock.latest, clock.earliest - clock.least))]
        begins += [begin for begin in self._late_departures() if first <= begin <= clock.latest and begin < math.inf]
        late_cost, duration_cost = model.late_cost, float(model.duration_cost[which])

        def time_cost(begin: float) -> float:
            late = math.fsum(
                float(late_cost[request]) * max(0.0, max(begin + least, earliest) - float(model.due[request]))
                for request, least, earliest in self._drops
                if late_cost[request]
            )
            return late + duration_cost * (clock.at(begin) - begin)

        duration = clock.at(begins[1]) - begins[1]
        limit = float(model.max_duration[which])
        if _over(duration, limit):
            self._break("routes.duration", f"{duration:g} is more than {limit:g}")
        # Where the duration is bounded, the departure must leave it within its bound too.
        kept = [begin for begin in begins if not _over(clock.at(begin) - begin, limit)] or begins
        self.cost = (
            float(model.fixed_cost[which])
            + float(model.trip_cost[which]) * len(self.route.trips)
            + float(model.distance_cost[which]) * self.distance
            + min(map(time_cost, kept))
        )

    def _late_departures(self) -> list[float]:
        """Departures at which a drop begins to be late, or begins to be later than a wait makes it anyway."""
        due = [float(self.model.due[request]) - least for request, least, _ in self._drops]
        return [*due, *(earliest - least for _, least, earliest in self._drops)]

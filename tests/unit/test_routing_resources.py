"""Pads, packs, chargers, pilots, lanes and other operators' airspace: what there is one of, or a number of."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

import numpy as np
import pytest
import shapely

from routing.errors import BadInput
from routing.geo import Position
from routing.intents import Volume4D, operational_intent
from routing.plan import Plan, Route, Trip
from routing.problem import (
    AirborneLimit,
    Category,
    GivenTrip,
    Intent,
    Pack,
    Problem,
    Separation,
    Station,
    TimedPosition,
)
from routing.region.model import LaneSection, Region
from routing.resources import Capacity, Packs
from routing.solve import solve
from routing.timetable import Timetabler
from routing.trajectory import trajectory
from routing.travel import Travel
from routing.trip_book import TripBook
from routing.trips import Visit
from routing.validate import validate
from tests.highlands import morning
from tests.problems import DRONE, ROBOT, START, drone, minutes, order, problem, village


def _shared(vehicles: int = 5, pads: int = 2, *, orders: int = 5, latest_min: float = 240) -> Problem:
    """Drones that are kept beside so many pads of the hub, and an order for each of them, as soon as possible."""
    region = village(1)
    hub = region.site("hub-1")
    sites = tuple(replace(hub, pads=hub.pads[:pads]) if site is hub else site for site in region.sites)
    wanted = [order(f"o{i}", f"drop-{5 + i % 4}", mass_kg=0.8, latest=minutes(latest_min)) for i in range(orders)]
    fleet = [replace(drone(f"drone-{i + 1}"), pad=None) for i in range(vehicles)]
    return problem(wanted, fleet, region=replace(region, sites=sites), max_trips=3)


@cache
def _made() -> tuple[Problem, Plan]:
    """Five drones on two pads, each with a trip."""
    made = replace(_shared(), max_trips_per_vehicle=1)
    return made, solve(made)


def _trips(plan: Plan) -> list[Trip]:
    return [trip for route in plan.routes for trip in route.trips]


def _rules(made: Problem, plan: Plan) -> set[str]:
    return {violation.rule for violation in validate(made, plan)}


def _changed(plan: Plan, number: int, **changes: object) -> Plan:
    """The plan with other fields of one trip, by its number among all of them."""
    wanted = _trips(plan)[number]
    return replace(
        plan,
        routes=tuple(
            Route(
                route.vehicle_id,
                route.home_site,
                tuple(replace(trip, **changes) if trip is wanted else trip for trip in route.trips),
            )
            for route in plan.routes
        ),
    )


def _seconds(moment: datetime) -> float:
    return (moment - START).total_seconds()


def test_drones_share_the_pads_of_their_hub_one_at_a_time() -> None:
    made, plan = _made()
    assert validate(made, plan) == ()
    assert not plan.unserved
    assert len(plan.routes) == 5
    holds: dict[int | None, list[tuple[float, float]]] = {}
    for trip in _trips(plan):
        path = trajectory(trip, made.vehicles[0], made.region)
        low = path.places[:, 2] < made.region.site("hub-1").position.alt_amsl_m + 20.0
        still_on = float(path.seconds[np.flatnonzero(~low)[0]])
        down_again = float(path.seconds[np.flatnonzero(~low)[-1]])
        depart, touchdown = _seconds(trip.depart), _seconds(trip.depart) + float(path.seconds[-1])
        ready, clear = made.pad_times.ready_s, made.pad_times.clear_s
        holds.setdefault(trip.pad, []).append((depart - ready, depart + still_on))
        holds.setdefault(trip.landing_pad, []).append((_seconds(trip.depart) + down_again, touchdown + clear))
    assert set(holds) == {0, 1}
    for spans in holds.values():
        for (_, end), (begin, _) in itertools.pairwise(sorted(spans)):
            assert begin > end + made.separation.late_s


def test_a_pad_of_a_drones_own_is_left_to_it() -> None:
    made = _shared(2, 3, orders=4)
    owner = drone("owner", pad=0)
    plan = solve(replace(made, vehicles=(owner, *made.vehicles), orders=made.orders[:3]))
    for route in plan.routes:
        for trip in route.trips:
            used = {trip.pad, trip.landing_pad}
            assert used == {None} if route.vehicle_id == "owner" else not used & {None, 0}
    everything = replace(made, vehicles=tuple(drone(f"own-{i}", pad=i) for i in range(3)) + made.vehicles[:1])
    with pytest.raises(BadInput, match="drone-1: hub-1 has no pad that is not another drone's own"):
        solve(everything)


def test_a_trip_that_is_given_has_the_pad_under_its_track() -> None:
    made = _shared(1, 1, orders=1)
    pad = made.region.site("hub-1").pads[0]
    up = replace(pad, alt_amsl_m=pad.alt_amsl_m + 70.0)
    # It comes down for a minute, and is taken off the pad after that.
    landing = GivenTrip("other", "x", (TimedPosition(minutes(10), up), TimedPosition(minutes(11), pad)))
    busy = replace(made, given=(landing,), orders=(order("o0", "drop-5", earliest=minutes(13)),))
    plan = solve(busy)
    assert validate(busy, plan) == ()
    (trip,) = _trips(plan)
    ready = trip.depart - timedelta(seconds=made.pad_times.ready_s)
    assert ready >= minutes(11) + timedelta(seconds=made.pad_times.clear_s)


def test_two_vehicles_at_one_pad_are_named() -> None:
    made, plan = _made()
    (first, second) = sorted(range(5), key=lambda i: _trips(plan)[i].depart)[:2]
    assert _trips(plan)[first].pad != _trips(plan)[second].pad
    # Ready on a pad where another still stands: nothing moves, so no other rule is broken.
    slow = replace(made, pad_times=replace(made.pad_times, ready_s=600.0))
    found = [violation for violation in validate(slow, plan) if violation.rule == "pad.shared"]
    assert _rules(slow, plan) == {"pad.shared"}
    assert found[0].vehicle_id
    assert found[0].at is not None
    assert found[0].place is not None
    assert found[0].size is not None
    assert found[0].size > 0


def test_a_drop_over_a_shared_pad_has_it_too() -> None:
    to_hub = [replace(order("a", "hub-2", latest=minutes(240)), pickup_site="hub-1")]
    from_hub = [replace(order("b", "far-6", latest=minutes(240)), pickup_site="hub-2")]
    made = replace(morning(0, drones=4, robots=0), orders=(*to_hub, *from_hub))
    hub = made.region.site("hub-2")
    sites = tuple(replace(site, pads=site.pads[:1]) if site is hub else site for site in made.region.sites)
    fleet = tuple(replace(vehicle, pad=None) for vehicle in made.vehicles[:2])
    made = replace(made, region=replace(made.region, sites=sites), vehicles=fleet)
    plan = solve(made)
    assert validate(made, plan) == ()
    assert not plan.unserved
    (dropped,) = (leg for trip in _trips(plan) for leg in trip.legs if leg.to_site == "hub-2" and leg.order_ids)
    (other,) = (trip for trip in _trips(plan) if trip.order_ids == ("b",))
    assert other.depart - timedelta(seconds=made.pad_times.ready_s) > dropped.leave or other.depart < dropped.arrive
    early = replace(made, pad_times=replace(made.pad_times, ready_s=3_600.0))
    assert "pad.shared" in _rules(early, plan) or other.depart < dropped.arrive


def test_a_pad_that_is_anothers_own_is_named() -> None:
    made, plan = _made()
    parked = replace(made, vehicles=(*made.vehicles, drone("owner", pad=1)))
    found = [violation for violation in validate(parked, plan) if violation.rule == "pad.own"]
    assert {violation.subject for violation in found} == {
        trip.trip_id for trip in _trips(plan) if 1 in (trip.pad, trip.landing_pad)
    }


def _limited(most: int) -> Problem:
    return replace(_shared(), airborne=(AirborneLimit(Category.LEVEL_4, most),), max_trips_per_vehicle=1)


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_drones_fly_at_once_than_pilots_may_supervise(most: int) -> None:
    made = _limited(most)
    plan = solve(made)
    assert validate(made, plan) == ()
    assert not plan.unserved
    spans = [(_seconds(trip.depart), _seconds(trip.arrive) + made.separation.late_s) for trip in _trips(plan)]
    at_once = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
    assert max(at_once) == most


def test_a_limit_of_another_category_does_not_count_and_one_of_none_grounds_all() -> None:
    made = _limited(0)
    (entry, *_) = solve(made).unserved
    assert entry.reason
    free = replace(made, vehicles=tuple(replace(vehicle, category=Category.LEVEL_3_5) for vehicle in made.vehicles))
    assert not solve(free).unserved


def test_more_drones_in_the_air_than_allowed_are_named_and_given_ones_count() -> None:
    made, plan = _made()
    most = max(sum(other.depart <= trip.depart < other.arrive for other in _trips(plan)) for trip in _trips(plan))
    assert most > 1
    assert _rules(replace(made, airborne=(AirborneLimit(Category.LEVEL_4, most - 1),)), plan) == {"airborne.limit"}
    assert _rules(replace(made, airborne=(AirborneLimit(Category.LEVEL_3, 0),)), plan) == set()
    away = made.region.frame.to_global(30_000.0, 0.0, 900.0)
    others = GivenTrip("g", "someone", (TimedPosition(START, away), TimedPosition(minutes(200), away)))
    crowded = replace(made, given=(others,), airborne=(AirborneLimit(Category.LEVEL_4, 5),))
    assert _rules(crowded, plan) == set()
    assert _rules(replace(crowded, airborne=(AirborneLimit(Category.LEVEL_4, most),)), plan) == {"airborne.limit"}


def _powered(packs: int = 2, chargers: int = 1, *, charge_s: float = 3_600.0, orders: int = 4) -> Problem:
    kind = replace(DRONE, charge_s=charge_s)
    made = _shared(orders, 3, orders=orders, latest_min=600)
    fleet = tuple(replace(vehicle, type=kind) for vehicle in made.vehicles)
    station = Station("hub-1", kind.type_id, tuple(Pack(f"p{i}") for i in range(packs)), chargers)
    return replace(made, vehicles=fleet, stations=(station,), max_trips_per_vehicle=2)


def test_trips_wait_for_packs_to_be_charged_one_after_the_other() -> None:
    made = _powered()
    plan = solve(made)
    assert validate(made, plan) == ()
    assert not plan.unserved
    trips = sorted(_trips(plan), key=lambda trip: trip.depart)
    assert {trip.pack_id for trip in trips} == {"p0", "p1"}
    # The third pack is the first one to come back, after it has been charged for its share of an hour.
    used = sum(leg.energy_wh for leg in trips[0].legs) / DRONE.battery_wh
    assert trips[2].depart >= trips[0].arrive + timedelta(seconds=3_600.0 * used)
    with_more = solve(_powered(packs=4))
    assert max(trip.depart for trip in _trips(with_more)) < trips[2].depart


def test_without_chargers_there_are_as_many_trips_as_packs() -> None:
    plan = solve(_powered(packs=2, chargers=0))
    assert len(_trips(plan)) == 2
    assert len(plan.unserved) == 2


def test_a_weak_pack_is_used_where_it_will_do_and_not_where_it_will_not() -> None:
    made = _powered(packs=0, orders=1)
    (near,) = _trips(solve(replace(made, stations=())))
    needed = sum(leg.energy_wh for leg in near.legs) / (DRONE.battery_wh * (1.0 - DRONE.reserve_fraction))

    def pack_of(*healths: float) -> str | None:
        packs = tuple(Pack(f"h{i}", health) for i, health in enumerate(healths))
        plan = solve(replace(made, stations=(Station("hub-1", DRONE.type_id, packs, 1),)))
        return next((trip.pack_id for trip in _trips(plan)), None)

    assert pack_of(1.0, needed * 1.3) == "h1"
    assert pack_of(1.0, needed * 0.9) == "h0"
    assert pack_of(needed * 0.9) is None


def test_packs_that_are_not_full_yet_are_waited_for() -> None:
    made = _powered(orders=1)
    late = Station("hub-1", DRONE.type_id, (Pack("p0", full_from=minutes(45)),), 1)
    plan = solve(replace(made, stations=(late,)))
    assert validate(replace(made, stations=(late,)), plan) == ()
    assert _trips(plan)[0].depart >= minutes(45) + timedelta(seconds=made.pad_times.ready_s)


def test_a_pack_that_is_unknown_away_or_not_full_is_named() -> None:
    made = _powered()
    plan = solve(made)
    order_of = sorted(range(4), key=lambda i: _trips(plan)[i].depart)
    first, second, third = (_trips(plan)[i] for i in order_of[:3])
    assert {v.subject for v in validate(made, _changed(plan, order_of[0], pack_id=None))} == {first.trip_id}
    assert "pack.known" in _rules(made, _changed(plan, order_of[0], pack_id="p9"))
    assert "pack.known" in _rules(replace(made, stations=()), plan)
    assert "pack.shared" in _rules(made, _changed(plan, order_of[1], pack_id=first.pack_id))
    assert second.pack_id != first.pack_id
    slower = replace(DRONE, charge_s=20 * 3_600.0)
    slow = replace(made, vehicles=tuple(replace(vehicle, type=slower) for vehicle in made.vehicles))
    found = validate(slow, plan)
    assert {violation.rule for violation in found} == {"pack.charged"}
    assert third.trip_id in {violation.subject for violation in found}


def _over(region: Region, site_id: str, side_m: float, begin_min: float, end_min: float) -> Intent:
    """A square of airspace over a site, up to the ceiling."""
    at = region.frame.to_local(region.site(site_id).landing)
    corners = [(at[0] + x * side_m / 2, at[1] + y * side_m / 2) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    ring = tuple((p.lat, p.lon) for p in (region.frame.to_global(*corner) for corner in corners))
    return Intent("theirs", ring, 0.0, 5_000.0, minutes(begin_min), minutes(end_min))


def test_airspace_that_others_hold_is_left_to_them() -> None:
    made = problem([order("a", "drop-5")], [drone()])
    held = replace(made, intents=(_over(made.region, "drop-5", 300.0, 0, 30),))
    careless, careful = solve(made), solve(held)
    found = validate(held, careless)
    assert {violation.rule for violation in found} == {"intent"}
    assert found[0].size == pytest.approx(made.separation.containment_m, abs=0.1)
    assert validate(held, careful) == ()
    assert careful.routes[0].trips[0].legs[0].arrive > minutes(30)
    forever = replace(made, intents=(_over(made.region, "drop-5", 300.0, 0, 600),))
    assert [entry.order_id for entry in solve(forever).unserved] == ["a"]


def test_a_flight_bends_around_airspace_that_is_held_for_long() -> None:
    made = problem([order("a", "drop-5")], [drone()])
    straight = solve(made).routes[0].trips[0]
    path = straight.legs[0].path
    middle = path[len(path) // 2]
    east, north = made.region.frame.to_local(middle)
    corners = (
        made.region.frame.to_global(east + x, north + y) for x, y in ((-60, -60), (60, -60), (60, 60), (-60, 60))
    )
    theirs = Intent("theirs", tuple((p.lat, p.lon) for p in corners), 0.0, 5_000.0, START, minutes(240))
    held = replace(made, intents=(theirs,))
    plan = solve(held)
    assert validate(held, plan) == ()
    (trip,) = _trips(plan)
    assert trip.depart == START
    assert straight.legs[0].distance_m < trip.legs[0].distance_m < 1.5 * straight.legs[0].distance_m


def test_a_flight_under_or_over_or_after_others_airspace_goes_on_time() -> None:
    made = problem([order("a", "drop-5")], [drone()])
    there = _over(made.region, "drop-5", 300.0, 0, 600)
    for elsewhere in (
        replace(there, floor_amsl_m=3_000.0),
        replace(there, ceiling_amsl_m=10.0),
        replace(there, begins=minutes(-60), ends=minutes(-30)),
    ):
        assert solve(replace(made, intents=(elsewhere,))).routes[0].trips[0].depart == START


def _lane(made: Problem, trip: Trip, capacity: int) -> Problem:
    """A lane along a trip's way out, so wide that all flights are in it."""
    section = LaneSection("s1", "a", "b", trip.legs[0].path, capacity=capacity, width_m=20_000.0)
    return replace(made, region=replace(made.region, lanes=(section,)))


def test_a_lane_section_takes_as_many_as_it_may() -> None:
    made, plan = _made()
    assert _rules(_lane(made, _trips(plan)[0], 5), plan) == set()
    full = _lane(made, _trips(plan)[0], 1)
    assert _rules(full, plan) == {"lane.capacity"}
    careful = solve(full)
    assert validate(full, careful) == ()
    assert not careful.unserved


def _meet(a: Volume4D, b: Volume4D) -> bool:
    if a.begins >= b.ends or b.begins >= a.ends:
        return False
    if a.floor_amsl_m >= b.ceiling_amsl_m or b.floor_amsl_m >= a.ceiling_amsl_m:
        return False
    rings = (shapely.Polygon([(lon, lat) for lat, lon in volume.ring]) for volume in (a, b))
    return bool(shapely.intersects(*rings))


def test_the_volumes_of_flights_of_one_plan_never_meet() -> None:
    made, plan = _made()
    vehicles = {vehicle.vehicle_id: vehicle for vehicle in made.vehicles}
    intents = [
        operational_intent(trip, vehicles[route.vehicle_id], made.region)
        for route in plan.routes
        for trip in route.trips
    ]
    for ours, theirs in itertools.combinations(intents, 2):
        assert not any(_meet(a, b) for a in ours for b in theirs if a.begins < b.ends and b.begins < a.ends)
    early = Plan(tuple(replace(r, trips=tuple(_at(trip, START) for trip in r.trips)) for r in plan.routes), (), 0.0)
    together = [
        operational_intent(trip, vehicles[route.vehicle_id], made.region)
        for route in early.routes
        for trip in route.trips
    ]
    assert any(_meet(a, b) for ours, theirs in itertools.combinations(together, 2) for a in ours for b in theirs)


def _at(trip: Trip, depart: datetime) -> Trip:
    by = depart - trip.depart
    return replace(
        trip,
        legs=tuple(replace(g, depart=g.depart + by, arrive=g.arrive + by, leave=g.leave + by) for g in trip.legs),
    )


def test_a_flight_stays_in_its_volumes_and_they_are_no_larger_than_its_errors() -> None:
    made, plan = _made()
    trip, vehicle = plan.routes[0].trips[0], made.vehicles[0]
    apart = Separation()
    volumes = operational_intent(trip, vehicle, made.region)
    path = trajectory(trip, vehicle, made.region)
    frame = made.region.frame
    rings = [shapely.Polygon([frame.to_local(Position(lat, lon)) for lat, lon in volume.ring]) for volume in volumes]
    for second in np.arange(0.0, path.seconds[-1], 7.0):
        (place,) = path.at([second])
        for late_s in (0.0, apart.late_s):
            moment = path.start + timedelta(seconds=float(second) + late_s)
            inside = [
                ring
                for ring, volume in zip(rings, volumes, strict=True)
                if volume.begins <= moment <= volume.ends
                and volume.floor_amsl_m + apart.containment_vertical_m <= place[2] + 0.1
                and place[2] <= volume.ceiling_amsl_m - apart.containment_vertical_m + 0.1
                and ring.buffer(-apart.containment_m + 0.1).distance(shapely.Point(place[:2])) < 0.2
            ]
            assert inside
    longest = max(ring.length for ring in rings)
    assert longest < 2 * np.pi * apart.containment_m + 4 * DRONE.cruise_speed_mps * 2.0
    assert operational_intent(trip, replace(vehicle, type=ROBOT), made.region) == ()


def test_of_a_number_of_things_no_more_are_taken() -> None:
    two = Capacity(2)
    two.take("a", 0.0, 100.0)
    assert not len(two.forbidden(0.0, 10.0))
    two.take("b", 50.0, 200.0)
    # Full from 50 to 100: a use from 10 to 30 after the departure must end before, or begin after.
    assert two.forbidden(10.0, 30.0).tolist() == [[20.0, 90.0]]
    two.free("a")
    assert not len(two.forbidden(10.0, 30.0))
    assert Capacity(0).forbidden(0.0, 1.0).tolist() == [[-np.inf, np.inf]]


def test_packs_are_charged_in_the_sequence_in_which_they_come_back() -> None:
    kind = replace(DRONE, charge_s=1_000.0)
    station = Station("hub-1", kind.type_id, (Pack("p0"), Pack("p1")), 1)
    packs = Packs(problem([]), station, kind, [1_000.0, 1_000.0])
    half = kind.battery_wh / 2
    packs.take("a", "p0", 0.0, 100.0, half)
    packs.take("b", "p1", 0.0, 150.0, half)
    # p0 is charged from 100 to 600, p1 from 600 to 1100.
    assert packs.first(0.0, 5_000.0, before_s=0.0, after_s=400.0, energy_wh=half) == (600.0, "p0")
    packs.take("c", "p0", 600.0, 1_000.0, half)
    assert packs.first(0.0, 5_000.0, before_s=0.0, after_s=400.0, energy_wh=half) == (1_100.0, "p1")
    assert packs.first(0.0, 1_000.0, before_s=0.0, after_s=400.0, energy_wh=half) is None
    packs.free("b")
    # If it came back before p0 does, p0 would be charged after it, and not be full when it is taken again.
    assert packs.first(0.0, 5_000.0, before_s=0.0, after_s=50.0, energy_wh=half) == (50.0, "p1")


def test_what_leaves_a_trip_no_slot_is_named() -> None:
    def blocked(made: Problem) -> tuple[tuple[str, ...], ...]:
        book = TripBook(made, Travel.of(made))
        table = Timetabler(book).place([((Visit("a"),),)])
        assert table.crowded == ("a",)
        return table.blocked_by

    made = problem([order("a", "drop-5", latest=minutes(20))], [drone()])
    assert blocked(replace(made, airborne=(AirborneLimit(Category.LEVEL_4, 0),))) == (("level_4",),)
    no_packs = Station("hub-1", DRONE.type_id, (Pack("p0", full_from=minutes(30)),), 1)
    assert blocked(replace(made, stations=(no_packs,))) == (("battery packs of hub-1",),)
    held = replace(made, intents=(_over(made.region, "drop-5", 300.0, 0, 30),))
    assert blocked(held) == (("the airspace of intent theirs",),)
    above = replace(village(1).site("drop-5").landing, alt_amsl_m=village(1).site("drop-5").landing.alt_amsl_m + 70.0)
    hovers = GivenTrip("other", "other", (TimedPosition(START, above), TimedPosition(minutes(30), above)))
    assert blocked(replace(made, given=(hovers,))) == (("the air",),)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (replace(_powered(), stations=_powered().stations * 2), "station id 'hub-1, .*' is used twice"),
        (replace(_powered(), stations=(replace(_powered().stations[0], chargers=-1),)), "chargers must be at least 0"),
        (
            replace(_powered(), stations=(Station("hub-1", "x", (Pack("p", float("nan")),), 1),)),
            "pack p: health must be from 0 to 1, not nan",
        ),
        (_limited(-1), "airborne limit of level_4: most must be at least 0, not -1"),
        (
            replace(_shared(), intents=(Intent("i", ((35.0, 138.0),) * 2, 0.0, 1.0, START, minutes(1)),)),
            "intent i: its ring needs three positions on the earth",
        ),
        (
            replace(_shared(), intents=(Intent("i", ((35.0, 138.0),) * 3, 0.0, 1.0, START, minutes(-1)),)),
            "intent i: its end lies before its beginning",
        ),
    ],
)
def test_resources_that_contradict_themselves_are_refused_by_name(made: Problem, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        solve(made)

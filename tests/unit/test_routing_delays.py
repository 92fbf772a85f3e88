"""Delays by deconfliction: trips go by idle vehicles, and long delays are exchanged for short ones."""

from __future__ import annotations

from dataclasses import replace

from routing.delays import Delays
from routing.plan import Plan
from routing.problem import Problem
from routing.timetable import Timetable, Timetabler
from routing.travel import Travel
from routing.trip_book import TripBook
from routing.trips import Visit
from routing.validate import validate
from tests.problems import drone, minutes, order, problem


def _four() -> Problem:
    """Four drones that share the pads of the hub, and four orders."""
    orders = [order(f"o{i}", f"drop-{5 + i}", mass_kg=0.8, latest=minutes(300)) for i in range(4)]
    return problem(orders, [replace(drone(f"drone-{i + 1}"), pad=None) for i in range(4)])


def _plan(book: TripBook, table: Timetable) -> Plan:
    vehicles = zip(book.problem.vehicles, table.tours, table.slots, strict=True)
    return Plan(tuple(book.route(*each) for each in vehicles if each[1]), (), 0.0)


def test_a_trip_whose_vehicle_is_not_back_goes_by_one_that_is_idle() -> None:
    made = _four()
    book = TripBook(made, Travel.of(made))
    # Alone, the second trip of the third drone would leave when its first is back; that waits for two others.
    tours = [((Visit("o0"),),), ((Visit("o1"),),), ((Visit("o2"),), (Visit("o3"),)), ()]
    table, fixed = Timetabler(book).place(tours), Timetabler(book).place(tours, swap=False)
    assert validate(made, _plan(book, table)) == ()
    assert [len(tour) for tour in fixed.tours] == [1, 1, 2, 0]

    assert [len(tour) for tour in table.tours] == [1, 1, 1, 1]
    assert table.tours[3] == ((Visit("o3"),),)
    assert table.slots[3][0].departure_s <= fixed.slots[2][1].departure_s


def test_a_long_delay_is_shortened_and_the_plan_still_holds() -> None:
    made = _four()
    book = TripBook(made, Travel.of(made))
    timetabler = Timetabler(book)
    table = timetabler.place([((Visit(f"o{i}"),),) for i in range(4)])
    # One of them has been given a slot an hour late: so it would stay if nobody looked at it again.
    slots = [list(each) for each in table.slots]
    slots[2][0] = replace(slots[2][0], departure_s=slots[2][0].departure_s + 3_600)
    delays = Delays(book, timetabler.board, table.tours, slots)
    before_s = delays.worst_s
    assert before_s >= 3_600
    assert delays.shorten(rounds=0) == 0
    assert delays.shorten(rounds=20) >= 1
    assert delays.worst_s < 1_200
    shortened = replace(table, slots=delays.slots())
    assert validate(made, _plan(book, shortened)) == ()


def test_trips_that_wait_for_a_lower_priority_of_time_are_all_still_there() -> None:
    made = _four()
    book = TripBook(made, Travel.of(made))
    timetabler = Timetabler(book)
    tours = [tuple((Visit(f"o{i}"),) for i in range(4)), (), (), ()]
    table = timetabler.place(tours, swap=False)
    delays = Delays(book, timetabler.board, table.tours, table.slots)
    delays.shorten(rounds=10)
    assert [len(each) for each in delays.slots()] == [4, 0, 0, 0]
    departures = [slot.departure_s for slot in delays.slots()[0]]
    assert departures == sorted(departures)

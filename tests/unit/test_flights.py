"""Flights found in samples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fleet.flights import (
    GAP_S,
    Flight,
    Gap,
    Scan,
    Turn,
    follow,
    scan_from_json,
    scan_to_json,
    settle,
)

START = datetime(2026, 4, 1, 0, 0, tzinfo=UTC)
Said = list[tuple[float, bool]]


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def _stretch(said: Said) -> list[Turn]:
    """The samples of a stretch that matter, as the statement ``turns`` finds them."""
    turns = []
    for i, (t, airborne) in enumerate(said):
        before = said[i - 1] if i else None
        last = i == len(said) - 1
        if before is None or before[1] != airborne or last or t - before[0] > GAP_S:
            turns.append(Turn(_at(t), airborne, _at(before[0]) if before else None))
    return turns


def _flights(*stretches: Said, until_s: float = 1e6) -> tuple[list[Flight], list[Gap]]:
    scan, found, silences = Scan(), [], []
    for said in stretches:
        scan, ended, gaps = follow(scan_from_json(scan_to_json(scan)), _stretch(said))
        found += ended
        silences += gaps
    return found + settle(scan, _at(until_s))[1], silences


def _times(flights: list[Flight]) -> list[tuple[float, float]]:
    return [((f.took_off.t - START).total_seconds(), (f.landed.t - START).total_seconds()) for f in flights]


def _every_second(*spans: tuple[int, int, bool]) -> Said:
    return [(float(t), airborne) for low, high, airborne in spans for t in range(low, high)]


def test_each_take_off_with_its_landing_is_a_flight() -> None:
    said = _every_second((0, 10, False), (10, 100, True), (100, 200, False), (200, 230, True), (230, 240, False))

    found, silences = _flights(said)

    assert _times(found) == [(10, 100), (200, 230)]
    assert all(f.took_off.heard and f.landed.heard for f in found)
    assert silences == []


def test_a_flicker_of_the_landing_detector_neither_ends_nor_makes_a_flight() -> None:
    said = _every_second((0, 10, False), (10, 11, True), (11, 20, False), (20, 50, True), (50, 53, False))
    said += _every_second((53, 90, True), (90, 120, False))

    assert _times(_flights(said)[0]) == [(20, 90)]


def test_nothing_is_a_flight_before_it_has_ended() -> None:
    said = _every_second((0, 10, False), (10, 60, True))

    assert _flights(said, until_s=70)[0] == []


def test_a_drone_that_is_never_heard_again_has_flown_until_it_was_last_heard() -> None:
    (flight,), _ = _flights(_every_second((0, 10, False), (10, 60, True)), until_s=3 * 3600)

    assert _times([flight]) == [(10, 59)]
    assert flight.took_off.heard
    assert not flight.landed.heard


def test_a_landing_in_a_silence_is_told_as_not_heard_and_the_silence_is_kept() -> None:
    said = _every_second((0, 10, False), (10, 60, True), (120, 130, False))

    (flight,), (silence,) = _flights(said)

    assert _times([flight]) == [(10, 120)]
    assert not flight.landed.heard
    assert (silence.began_at, silence.ended_at) == (_at(59), _at(120))
    assert silence.before.took_off == flight.took_off


def test_a_flight_first_heard_in_the_air_says_so() -> None:
    (flight,), _ = _flights(_every_second((0, 60, True), (60, 70, False)))

    assert not flight.took_off.heard


def test_two_flights_are_told_apart_when_hours_of_silence_lie_between() -> None:
    said = _every_second((0, 10, False), (10, 60, True), (9000, 9060, True), (9060, 9070, False))

    first, second = _flights(said)[0]

    assert _times([first, second]) == [(10, 59), (9000, 9060)]
    assert not first.landed.heard
    assert not second.took_off.heard


@given(
    spans=st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.sampled_from([1, 1, 1, 30])), max_size=25),
    cuts=st.sets(st.integers(1, 400), max_size=12),
)
def test_however_samples_are_cut_into_stretches_the_flights_are_the_same(
    spans: list[tuple[int, bool, int]], cuts: set[int]
) -> None:
    said: Said = []
    t = 0.0
    for length, airborne, pause in spans:
        t += pause
        for _ in range(length):
            said.append((t, airborne))
            t += 1.0
    bounds = [0, *sorted(cut for cut in cuts if cut < len(said)), len(said)]
    stretches = [said[low:high] for low, high in pairwise(bounds) if low < high]

    assert _flights(*stretches, until_s=t + 60) == _flights(said, until_s=t + 60)

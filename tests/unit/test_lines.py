"""One sender that begins again, or two that speak in turn; and how much of what is sent arrives."""

from __future__ import annotations

import random

import pytest

from hardware.arrivals import Arrivals
from hardware.conditions import DUPLICATE_ID, Conditions
from hardware.lines import Line, Lines


def clock_lines() -> Lines:
    """Lines of a clock in ms, as a link has them for autopilots."""
    return Lines(per_s=1500, slack=2000, back=1000, silent_s=3.0, window_s=10.0)


def test_one_clock_with_loss_delay_and_overtaking_is_one_line() -> None:
    lines = clock_lines()
    said = [0, 200, 400, 350, 800, 5800, 6000]

    assert {lines.take(ms, ms / 1000) for ms in said} == {Line.NEXT}
    assert not lines.two(6.0)


def test_a_clock_that_begins_again_once_is_no_second_sender() -> None:
    lines = clock_lines()
    for number in range(50):
        lines.take(100_000 + 200 * number, 0.2 * number)

    after = [lines.take(200 * number, 10 + 0.2 * number) for number in range(50)]

    assert after == [Line.BEGAN] + [Line.NEXT] * 49
    assert not lines.two(20.0)


@pytest.mark.parametrize(("first", "second"), [(500_000, 3_000), (3_000, 500_000)])
def test_of_two_clocks_in_turn_the_older_is_believed(first: int, second: int) -> None:
    lines = clock_lines()
    for number in range(20):
        lines.take(first + 200 * number, 0.2 * number)

    mixed = []
    for number in range(20, 60):
        mixed.append(lines.take(first + 200 * number, 0.2 * number))
        mixed.append(lines.take(second + 200 * number, 0.2 * number + 0.1))

    assert mixed[:2] == [Line.NEXT, Line.BEGAN]
    assert set(mixed[2::2]) == {Line.NEXT}
    assert set(mixed[3::2]) == {Line.OTHER}
    assert lines.two(12.0)
    assert not lines.two(30.0), "it is over when it is not seen any more"


def test_the_second_is_followed_when_the_first_falls_silent() -> None:
    lines = clock_lines()
    for number in range(20):
        lines.take(500_000 + 200 * number, 0.2 * number)
        lines.take(200 * number, 0.2 * number + 0.1)

    alone = [lines.take(200 * number, 0.2 * number + 0.1) for number in range(20, 60)]

    assert alone[0] is Line.OTHER
    assert alone[-1] is Line.NEXT
    assert alone.count(Line.BEGAN) == 1


def test_the_share_that_arrives_is_of_the_last_seconds() -> None:
    arrivals, chance = Arrivals(modulus=256, window_s=5.0), random.Random(4)
    shares = []
    for number in range(5000):
        lossy = 1000 <= number < 2000
        if not lossy or chance.random() < 0.7:
            arrivals.heard(number % 256, number / 50)
        if number in (900, 1900, 4900):
            shares.append(arrivals.permille)

    assert shares[0] == shares[2] == 1000
    assert shares[1] == pytest.approx(700, abs=60)


def test_what_is_overtaken_or_comes_twice_is_no_loss() -> None:
    arrivals = Arrivals(modulus=256, window_s=5.0)
    for number in range(1000):
        even = number - 1 if number % 2 else number + 1
        arrivals.heard(even % 256, number / 50)
        arrivals.heard(even % 256, number / 50)

    assert arrivals.permille == 1000


def test_few_messages_are_no_measure() -> None:
    arrivals = Arrivals(modulus=2**32, window_s=60.0)
    for number in range(8):
        arrivals.heard(number, 15.0 * number)

    assert arrivals.permille is None


def test_a_condition_stands_until_it_has_not_been_seen_for_its_time() -> None:
    conditions = Conditions()
    conditions.see(DUPLICATE_ID, "a", until=10.0)
    conditions.see(DUPLICATE_ID, "b", until=12.0)

    assert [dict(conditions.standing(at)) for at in (9.0, 11.9, 12.0)] == [{DUPLICATE_ID: "b"}] * 2 + [{}]

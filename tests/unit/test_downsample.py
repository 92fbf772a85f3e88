"""Fewer points, the same shape."""

from __future__ import annotations

import numpy as np
import pytest

from telemetry.downsample import largest_triangles


def test_a_short_line_stays_as_it_is() -> None:
    assert largest_triangles(np.arange(10.0).reshape(5, 2), 5).tolist() == [0, 1, 2, 3, 4]
    assert largest_triangles(np.empty((0, 2)), 2).tolist() == []


@pytest.mark.parametrize("most", [2, 3, 4, 50, 998, 999])
def test_the_ends_stay_and_there_are_as_many_points_as_asked_for_in_order(most: int) -> None:
    line = np.cumsum(np.random.default_rng(most).normal(size=(1000, 3)), axis=0)

    chosen = largest_triangles(line, most)

    assert (chosen[0], chosen[-1], len(chosen)) == (0, 999, most)
    assert (np.diff(chosen) > 0).all()


def test_a_spike_of_one_point_stays() -> None:
    line = np.column_stack((np.arange(10_000.0), np.zeros(10_000)))
    line[6174, 1] = 500.0

    assert 6174 in largest_triangles(line, 50)


def test_corners_of_a_flight_stay() -> None:
    legs = [np.linspace(a, b, 1000, endpoint=False) for a, b in (((0, 0), (0, 900)), ((0, 900), (700, 900)))]
    line = np.vstack((*legs, [[700.0, 900.0]]))

    chosen = line[largest_triangles(line, 10)]

    assert np.abs(chosen - [0, 900]).sum(axis=1).min() < 5


def test_it_is_the_textbook_choice_when_computed_point_by_point() -> None:
    line = np.random.default_rng(7).normal(size=(200, 2)).cumsum(axis=0)
    edges = np.linspace(1, 199, 19).astype(int)
    expected = [0]
    for i in range(18):
        a, group = line[expected[-1]], range(edges[i], edges[i + 1])
        c = line[edges[i + 1] : edges[i + 2]].mean(axis=0) if i < 17 else line[-1]
        areas = [abs((a[0] - c[0]) * (b[1] - a[1]) - (a[0] - b[0]) * (c[1] - a[1])) for b in line[group]]
        expected.append(group[int(np.argmax(areas))])

    assert largest_triangles(line, 20).tolist() == [*expected, 199]


def test_fewer_than_two_points_make_no_line() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        largest_triangles(np.zeros((5, 2)), 1)

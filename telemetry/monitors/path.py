"""The planned path of a mission, and where on it a vehicle is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import numpy as np
import numpy.typing as npt

from routing.geo import LocalFrame, Position
from routing.intents import PIECE_S
from routing.motion import SPOOL_UP_S
from routing.problem import Separation, TimedPosition
from routing.trajectory import Trajectory
from telemetry.monitors.monitor import Place, place_of
from telemetry.sample import Sample

OFF_TIME_MPS = 0.1
"""Metres that a second off the plan's time counts for, in finding where on its path a vehicle is: out and home lead
over the same places."""
OFF_TIME_S = 300.0
"""One that is farther off its plan's time has been held or come anew, and its time says nothing of its place."""
DEPARTING_S = 20.0
"""While a flight is younger, its departure is still being found: a sample may be late, never early."""
AHEAD_SHARE = 0.05
"""How far ahead of its plan a flight may be, of the time since its departure. Flights of one kind are ahead alike (PX4
SITL by 2.2 % over nine minutes, simulated flights by 4.5 % at most over five, which the plan's own drift of single
flights does not count) and so stay apart."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PlannedPath:
    """Places (east, north, AMSL) at ``seconds`` after ``start``, straight lines between; at least two."""

    frame: LocalFrame
    start: datetime
    seconds: Array
    places: Array

    @classmethod
    def of_track(cls, points: Sequence[TimedPosition], frame: LocalFrame) -> Self | None:
        """The path of a track in time (``GivenTrip.track``); ``None`` where there is none."""
        if len(points) < 2:
            return None
        path = Trajectory.of_points(points, frame)
        return cls(frame, path.start, path.seconds, path.places)

    @classmethod
    def of_way(cls, positions: Sequence[Position], frame: LocalFrame, *, start: datetime, mps: float) -> Self | None:
        """The path of a way on the ground, at a steady speed."""
        if len(positions) < 2:
            return None
        places = np.array([(*frame.to_local(position), position.alt_amsl_m) for position in positions])
        seconds = np.append(0.0, np.cumsum(np.hypot(*np.diff(places[:, :2], axis=0).T))) / mps
        return cls(frame, start, seconds, places)


@dataclass(frozen=True, slots=True)
class Fix:
    """Where on its path a vehicle was at ``t``.

    ``along_s`` is the path's time at the place nearest to it, ``late_s`` how much later it was there than planned.
    ``beside_m`` is how far it was outside of the path's volume as a whole, ``outside_m`` of the part where it should
    have been then; 0 inside.
    """

    t: datetime
    along_s: float
    late_s: float
    beside_m: float
    outside_m: float


class PathFollower:
    """Finds a vehicle on its path.

    A flight's path is a plan in time, shifted by its true departure, which its climb shows; a path that is not
    ``timed`` is one in space. The vehicle is where it should be within ``Separation.containment_m`` and
    ``containment_vertical_m`` of a place where its plan has it between ``late_s`` before and now, both widened by
    drift (``routing.intents``: the volumes of the operational intent) and ``PIECE_S``.
    """

    def __init__(
        self, path: PlannedPath, *, apart: Separation, timed: bool = True, began: datetime | None = None
    ) -> None:
        """``began``: when the mission departed, where somebody has seen it."""
        self.path = path
        self.fix: Fix | None = None
        self._apart = apart
        self._timed = timed
        self._began = began
        self._departed: datetime | None = None
        self._found_at: datetime | None = None
        self._unsure_s = 0.0
        self._from = path.places[:-1]
        self._steps = np.diff(path.places, axis=0)
        self._paces = np.diff(path.seconds)
        # Heights weigh as much more as less of them is allowed.
        self._weights = np.array([1.0, 1.0, apart.containment_m / apart.containment_vertical_m if timed else 0.0])
        self._squares = np.maximum(((self._steps * self._weights) ** 2).sum(axis=1), 1e-9)

    def at(self, along_s: float) -> Array:
        """The place of the path at one of its times; at its ends outside of them."""
        path = self.path
        return np.array([np.interp(along_s, path.seconds, path.places[:, axis]) for axis in range(3)])

    def stray(self) -> None:
        """It has left its plan, for a hold or its way home, and departs anew from wherever it then goes on."""
        self._departed = self._found_at = None

    def go_on(self, t: datetime, along_s: float) -> None:
        """It goes on from a stop at which it waited for people, where its path is at ``along_s``: earlier or later than
        planned, and from then on by its plan."""
        self._departed = t - timedelta(seconds=along_s)
        self._found_at = t - timedelta(seconds=2.0 * DEPARTING_S)
        # It may go on before it has come down, or from the ground.
        self._unsure_s = self._apart.late_s

    def take(self, sample: Sample, *, planned: bool = True) -> Fix | None:
        """Find the vehicle of a sample; ``planned``: it carries its plan out, else only its place is of interest."""
        place = place_of(sample, self.path.frame)
        if place is None:
            return None
        away, beside_m, above_m, along_s = self._near(place)
        if self._timed:
            over = np.maximum(beside_m - self._apart.containment_m, above_m - self._apart.containment_vertical_m)
        else:
            over = beside_m
        if self._timed and planned:
            self._depart(sample.t, away, along_s)
        expected_s = self._expected_s(sample.t)
        nearest = _likeliest(away, along_s, expected_s)
        found_s, least_m = float(along_s[nearest]), max(0.0, float(over.min()))
        if self._departed is None:
            self.fix = Fix(sample.t, found_s, 0.0, least_m, least_m)
        else:
            outside_m = self._outside_m(expected_s, over)
            self.fix = Fix(sample.t, found_s, expected_s - found_s, least_m, outside_m)
        return self.fix

    def _near(self, place: Place) -> tuple[Array, Array, Array, Array]:
        """For each line of the path: weighted distance, distances beside and above it, its time there."""
        to = np.array(place) - self._from
        share = np.clip((to * self._steps * self._weights**2).sum(axis=1) / self._squares, 0.0, 1.0)
        off = to - share[:, None] * self._steps
        beside_m, above_m = np.hypot(off[:, 0], off[:, 1]), np.abs(off[:, 2])
        away = np.hypot(beside_m, above_m * self._weights[2])
        return away, beside_m, above_m, self.path.seconds[:-1] + share * self._paces

    def _expected_s(self, t: datetime) -> float:
        """Where on its path it should be: by its departure as far as that is known, else where it was last."""
        began = self._departed or (self._began if self.fix is None else None)
        if began is not None:
            return (t - began).total_seconds()
        return SPOOL_UP_S if self.fix is None else self.fix.along_s

    def _depart(self, t: datetime, away: Array, along_s: Array) -> None:
        """Find when the flight departed, by where it is."""
        if self._found_at is not None and (t - self._found_at).total_seconds() > DEPARTING_S:
            return
        found_s = float(along_s[_likeliest(away, along_s, self._expected_s(t))])
        departed = t - timedelta(seconds=found_s)
        if self._found_at is None:
            self._found_at = t
            # One that is found on its way may have been as late there as it is allowed to, and catch up.
            self._unsure_s = self._apart.late_s if found_s > DEPARTING_S else 0.0
        self._departed = departed if self._departed is None else min(departed, self._departed)

    def _outside_m(self, since_s: float, over: Array) -> float:
        """How far it is from where its plan has it so long after its departure."""
        drift = self._apart.drift
        least_s = (since_s - self._apart.late_s) / (1.0 + drift) - PIECE_S
        most_s = since_s * (1.0 + max(drift, AHEAD_SHARE)) + PIECE_S + self._unsure_s
        # Lines as a whole: the one that holds the bound counts as well. After the plan's end, so does its last one.
        begins, ends = self.path.seconds[:-1], self.path.seconds[1:]
        planned = (ends >= min(least_s, float(ends[-1]))) & (begins <= max(most_s, 0.0))
        return max(0.0, float(over[planned].min()))


def _likeliest(away: Array, along_s: Array, expected_s: float) -> int:
    """Which place of the path is meant: one that is near, and at about the time at which it should be there."""
    return int(np.argmin(away + OFF_TIME_MPS * np.minimum(np.abs(along_s - expected_s), OFF_TIME_S)))

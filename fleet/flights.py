"""Flights in a drone's samples: from each take-off to its landing, however the samples were cut up and delayed.

A flight in the sense of Japan's flight log is one line (飛行日誌の取扱要領: 1飛行, from switching on over take-off and
landing to switching off; touching down between without switching off may be one). Here it is one take-off and
one landing; ground contact of less than ``MERGE_S`` is the landing detector's flicker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

MERGE_S = 5.0
"""A drone that is in the air again before so much domain time has not landed."""
MIN_FLIGHT_S = 2.0
"""Less in the air is a landing detector that could not decide on the ground."""
GAP_S = 10.0
"""After a longer silence nobody heard the take-off or landing itself."""
LOST_S = 1800.0
"""Whoever was in the air and is not heard for so long is down: no battery here lasts longer."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of domain time, the place if it is known, and whether the event itself was heard there."""

    t: datetime
    lat: float | None = None
    lon: float | None = None
    heard: bool = True


@dataclass(frozen=True, slots=True)
class Flight:
    """One take-off and its landing."""

    took_off: Mark
    landed: Mark

    @property
    def seconds(self) -> float:
        """Flight time."""
        return (self.landed.t - self.took_off.t).total_seconds()


@dataclass(frozen=True, slots=True)
class Turn:
    """A sample that matters: the first or last of a stretch, one that says another thing, one after a silence.

    ``before_t`` is the time of the sample before it in the stretch, None for its first.
    """

    t: datetime
    airborne: bool
    before_t: datetime | None = None
    lat: float | None = None
    lon: float | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """What is under way after the samples up to ``last_t``."""

    airborne: bool | None = None
    last_t: datetime | None = None
    took_off: Mark | None = None
    landed: Mark | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A silence, and what was under way when it began."""

    began_at: datetime
    ended_at: datetime
    before: Scan


def follow(scan: Scan, turns: Iterable[Turn]) -> tuple[Scan, list[Flight], list[Gap]]:
    """Take more of one drone's samples in, in time order; return what is under way then, flights ended, silences.

    The same samples in other stretches give the same flights.
    """
    flights: list[Flight] = []
    gaps: list[Gap] = []
    for turn in turns:
        before_t = turn.before_t or scan.last_t
        scan, ended = _landed_for_good(replace(scan, last_t=before_t), before_t)
        flights += ended
        if before_t is not None and turn.t - before_t > timedelta(seconds=GAP_S):
            gaps.append(Gap(before_t, turn.t, scan))
        scan, ended = _step(scan, turn)
        flights += ended
    return scan, [flight for flight in flights if flight.seconds >= MIN_FLIGHT_S], gaps


def settle(scan: Scan, horizon: datetime) -> tuple[Scan, list[Flight]]:
    """Return the flight that is over because nothing more was heard until ``horizon``, and what is under way then."""
    if scan.took_off is None or scan.last_t is None:
        return scan, []
    if scan.landed is None and horizon - scan.last_t > timedelta(seconds=LOST_S):
        ended = [Flight(scan.took_off, Mark(scan.last_t, heard=False))]
        scan = replace(scan, took_off=None)
    else:
        scan, ended = _landed_for_good(scan, horizon)
    return scan, [flight for flight in ended if flight.seconds >= MIN_FLIGHT_S]


def _landed_for_good(scan: Scan, until: datetime | None) -> tuple[Scan, list[Flight]]:
    """End the flight of a drone that has stood since its landing for long enough."""
    if scan.took_off is None or scan.landed is None or until is None:
        return scan, []
    if until - scan.landed.t < timedelta(seconds=MERGE_S):
        return scan, []
    return replace(scan, took_off=None, landed=None), [Flight(scan.took_off, scan.landed)]


def _step(scan: Scan, turn: Turn) -> tuple[Scan, list[Flight]]:
    silence = turn.t - scan.last_t if scan.last_t is not None else None
    heard = silence is not None and silence <= timedelta(seconds=GAP_S)
    place = Mark(turn.t, turn.lat, turn.lon, heard)
    after = replace(scan, airborne=turn.airborne, last_t=turn.t)
    if scan.took_off is None or scan.last_t is None:
        return (replace(after, took_off=_take_off(scan, place)) if turn.airborne else after), []
    if scan.landed is None:
        return _in_the_air(scan, after, turn, place)
    if not turn.airborne:
        return _landed_for_good(after, turn.t)
    if heard:
        return replace(after, landed=None), []
    begun = replace(after, took_off=_take_off(scan, place), landed=None)
    return begun, [Flight(scan.took_off, scan.landed)]


def _in_the_air(scan: Scan, after: Scan, turn: Turn, place: Mark) -> tuple[Scan, list[Flight]]:
    assert scan.took_off is not None
    assert scan.last_t is not None
    if turn.t - scan.last_t > timedelta(seconds=LOST_S):
        lost = Flight(scan.took_off, Mark(scan.last_t, heard=False))
        return replace(after, took_off=replace(place, heard=False) if turn.airborne else None), [lost]
    return (after if turn.airborne else replace(after, landed=place)), []


def _take_off(scan: Scan, place: Mark) -> Mark:
    # Heard only by who heard it stand before.
    return replace(place, heard=place.heard and scan.airborne is False)


def scan_to_json(scan: Scan) -> dict[str, Any]:
    """Return plain data for the database."""
    return {
        "airborne": scan.airborne,
        "last_t": scan.last_t and scan.last_t.isoformat(),
        "took_off": _mark_to_json(scan.took_off),
        "landed": _mark_to_json(scan.landed),
    }


def scan_from_json(data: Mapping[str, Any]) -> Scan:
    """Read what ``scan_to_json`` returned; nothing is a scan that has not begun."""
    last_t = data.get("last_t")
    return Scan(
        airborne=data.get("airborne"),
        last_t=datetime.fromisoformat(last_t) if last_t else None,
        took_off=_mark_from_json(data.get("took_off")),
        landed=_mark_from_json(data.get("landed")),
    )


def _mark_to_json(mark: Mark | None) -> dict[str, Any] | None:
    if mark is None:
        return None
    return {"t": mark.t.isoformat(), "lat": mark.lat, "lon": mark.lon, "heard": mark.heard}


def _mark_from_json(data: Mapping[str, Any] | None) -> Mark | None:
    return Mark(datetime.fromisoformat(data["t"]), data["lat"], data["lon"], data["heard"]) if data else None

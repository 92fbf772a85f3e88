"""Stored tracks, measured: how far, how close to one another, and through what vehicles went."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import applies, areas_of, closed_always, zone_limits_amsl
from routing.geo import LocalFrame, Position
from routing.region.model import Region, Zone

NOISE_M = 0.5
"""Movements between two samples below this are receiver noise and are not driven or flown."""

HORIZONTAL_M, VERTICAL_M = 50.0, 20.0
"""Flights closer than both at once are a violation of separation."""

AIRBORNE_M = 3.0
"""A drone lower than this over the place where it stood is taking off or landing on its own pad."""

GAP_S = 5.0
"""Where a vehicle was in a longer silence is not known, and nothing is said about it."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Track:
    """One vehicle's stored positions in time order; arrays of one length.

    ``t_s`` is Unix time, ``east_m``/``north_m`` the region's frame, ``height_m`` over the first position of
    the track (which is on the ground), ``alt_m`` AMSL, ``battery_pct`` NaN where not said.
    """

    vehicle_id: str
    kind: str
    type_id: str
    t_s: _Array
    east_m: _Array
    north_m: _Array
    alt_m: _Array
    battery_pct: _Array

    @property
    def airborne(self) -> npt.NDArray[np.bool_]:
        """Where it is higher than it stands at home."""
        return np.asarray(self.alt_m - self.alt_m[0] > AIRBORNE_M)


def from_rows(rows: Iterable[dict[str, Any]], frame: LocalFrame) -> list[Track]:
    """Return a track for each vehicle of the ``tracks`` statement's rows."""
    tracks = []
    for vehicle_id, group in itertools.groupby(rows, key=lambda row: row["vehicle_id"]):
        points = list(group)
        places = [frame.to_local(Position(p["lat_e7"] / 1e7, p["lon_e7"] / 1e7)) for p in points]
        east, north = np.asarray(places, dtype=np.float64).T
        tracks.append(
            Track(
                vehicle_id=vehicle_id,
                kind=points[0]["kind"],
                type_id=points[0]["type_id"],
                t_s=np.asarray([float(p["t_s"]) for p in points]),
                east_m=east,
                north_m=north,
                alt_m=np.asarray([(p["alt_amsl_cm"] or 0) / 100 for p in points], dtype=np.float64),
                battery_pct=np.asarray(
                    [np.nan if p["battery_pct_x10"] is None else p["battery_pct_x10"] / 10 for p in points]
                ),
            )
        )
    return tracks


def length_m(east_m: _Array, north_m: _Array) -> float:
    """Length of a track. Points closer than the noise to the last one kept add nothing."""
    if not len(east_m):
        return 0.0
    total_m, last = 0.0, 0
    for i in range(1, len(east_m)):
        step_m = float(np.hypot(east_m[i] - east_m[last], north_m[i] - north_m[last]))
        if step_m >= NOISE_M:
            total_m += step_m
            last = i
    return total_m


def legs_m(track: Track, missions: Sequence[tuple[float, float, Sequence[float]]]) -> list[float]:
    """Length of each leg driven or flown: ``missions`` are (start, end, times of releases), Unix time."""
    lengths = []
    for start_s, end_s, releases_s in missions:
        for since_s, until_s in itertools.pairwise([start_s, *sorted(releases_s), end_s]):
            of_leg = (track.t_s >= since_s) & (track.t_s <= until_s)
            lengths.append(length_m(track.east_m[of_leg], track.north_m[of_leg]))
    return lengths


def energy_wh(track: Track, battery_wh: float) -> float:
    """Energy taken from the battery: the sum of its decreases; a swap raises it and counts for nothing."""
    known = track.battery_pct[~np.isnan(track.battery_pct)]
    steps = np.diff(known)
    return float(-steps[steps < 0].sum() / 100 * battery_wh)


@dataclass(frozen=True, slots=True)
class Closest:
    """The closest that two flights came, by the larger of the two distances in units of their minimum."""

    horizontal_m: float | None = None
    vertical_m: float | None = None
    vehicles: tuple[str, str] | None = None
    t_s: float | None = None
    violations: int = 0


def closest(tracks: Sequence[Track]) -> Closest:
    """Return the closest approach of any two airborne vehicles, and for how many pairs it was too close.

    Positions are interpolated to whole seconds; a pair counts once a minute at most.
    """
    worst, best_ratio, violations = Closest(), np.inf, 0
    flights = [track for track in tracks if track.kind == "drone" and len(track.t_s) > 1]
    for a, b in itertools.combinations(flights, 2):
        t_s, horizontal_m, vertical_m = _apart(a, b)
        if not len(t_s):
            continue
        ratio = np.maximum(horizontal_m / HORIZONTAL_M, vertical_m / VERTICAL_M)
        too_close = t_s[ratio < 1.0]
        violations += len(np.unique(too_close // 60))
        nearest = int(np.argmin(ratio))
        if ratio[nearest] < best_ratio:
            best_ratio = float(ratio[nearest])
            worst = Closest(
                round(float(horizontal_m[nearest]), 1),
                round(float(vertical_m[nearest]), 1),
                (a.vehicle_id, b.vehicle_id),
                float(t_s[nearest]),
            )
    return Closest(worst.horizontal_m, worst.vertical_m, worst.vehicles, worst.t_s, violations)


def _apart(a: Track, b: Track) -> tuple[_Array, _Array, _Array]:
    """Distances of two vehicles at whole seconds at which both are in the air and heard of."""
    t_s = np.arange(np.ceil(max(a.t_s[0], b.t_s[0])), np.floor(min(a.t_s[-1], b.t_s[-1])) + 1)
    for track in (a, b):
        if len(t_s):
            after = np.clip(np.searchsorted(track.t_s, t_s), 1, len(track.t_s) - 1)
            heard = track.t_s[after] - track.t_s[after - 1] <= GAP_S
            t_s = t_s[heard & track.airborne[after] & track.airborne[after - 1]]
    (ae, an, ah), (be, bn, bh) = (
        tuple(np.interp(t_s, track.t_s, values) for values in (track.east_m, track.north_m, track.alt_m))
        for track in (a, b)
    )
    return t_s, np.hypot(ae - be, an - bn), np.abs(ah - bh)


def zone_violations(tracks: Sequence[Track], region: Region) -> int:
    """Return how many times a drone in the air was inside a zone that nothing opens, between its floor and ceiling,
    while it applied; a stay counts once a minute."""
    zones = [zone for zone in region.zones if closed_always(zone)]
    areas = areas_of(zones, region.frame)
    count = 0
    for track in (track for track in tracks if track.kind == "drone" and zones):
        east, north, altitude, t_s = (
            values[track.airborne] for values in (track.east_m, track.north_m, track.alt_m, track.t_s)
        )
        points, found = shapely.STRtree(areas).query(shapely.points(east, north), predicate="within")
        inside = np.zeros(len(t_s), dtype=bool)
        for i in np.unique(found):
            at = points[found == i]
            floor, ceiling = zone_limits_amsl(zones[i], region, east[at], north[at])
            at = at[(altitude[at] > floor) & (altitude[at] < ceiling)]
            inside[[k for k in at if _applied(zones[i], float(t_s[k]))]] = True
        count += len(np.unique(t_s[inside] // 60))
    return count


def _applied(zone: Zone, t_s: float) -> bool:
    moment = datetime.fromtimestamp(t_s, tz=UTC)
    return applies(zone, moment, moment)

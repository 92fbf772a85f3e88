"""What is left in the battery, against what the way to the next landing takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from routing.energy import capacity_wh, leg_energy, movement_wh
from routing.movement import Movement, Spell
from routing.own_way import STRAIGHT
from routing.vehicle_type import Airframe, VehicleKind, VehicleType
from routing.wind import CALM, Wind
from telemetry.monitors.finding import Finding, Value
from telemetry.monitors.monitor import Place, airborne, place_of
from telemetry.monitors.path import PathFollower, PlannedPath
from telemetry.sample import Sample

ERROR_SHARE = 0.03
"""Of the capacity: what the prediction may be wrong by, and what batteries round their charge to."""
BAND_SHARE = 0.02
"""How much more than needed must be there before it is enough again."""
FELT_S = 20.0
"""Time constant of the wind that is reckoned with: a gust changes little about the whole way."""
WIND_CHANGES_MPS = 1.0
"""A wind that has changed by less than this makes no new reckoning."""
ON_WING_SHARE = 0.6
"""Share of the cruise speed from which on a VTOL flies on its wing."""

Array = npt.NDArray[np.float64]
Stop = tuple[datetime, float]
"""When parcels are handed over by plan, and their mass in kg."""


class EnergyLeft:
    """Whether the battery takes the vehicle to where it lands next with its reserve: ``energy``.

    On its mission that is the rest of its path, with what it carries by then, in the wind that it feels; on its own
    way home (``heads_home``) the straight way where its type flies straight, else the path as well. ``needed_wh``
    has the reserve in it; ``left_wh`` is the charge told, of what the pack gives at its temperature.
    """

    def __init__(
        self,
        vehicle_type: VehicleType,
        follower: PathFollower,
        *,
        site: str,
        stops: Sequence[Stop] = (),
        payload_kg: float = 0.0,
        temperature_c: float = 20.0,
        return_alt_amsl_m: float | None = None,
    ) -> None:
        """``stops`` are those of the plan; ``payload_kg`` stays aboard for the whole way. Takes some milliseconds."""
        self._type, self._follower, self._site = vehicle_type, follower, site
        self._drone = vehicle_type.kind is VehicleKind.DRONE
        self._loads_kg = _loads_kg(follower.path, stops) + payload_kg
        self._capacity_wh = capacity_wh(vehicle_type, temperature_c=temperature_c)
        self._reserve_wh = self._capacity_wh * vehicle_type.reserve_fraction
        self._return_alt_m = return_alt_amsl_m
        self._wind = self._felt = CALM
        self._ahead_wh = _ahead_wh(vehicle_type, follower.path, self._loads_kg, CALM)
        self._felt_at: datetime | None = None
        self._known = self._low = False
        self._flies = False
        self.needed_wh = self.left_wh = 0.0
        self.heads_home = False
        """Whether it has given its mission up."""

    def take(self, sample: Sample) -> None:
        """See one more sample. To be called after the follower's."""
        if sample.battery_pct_x10 is None or not 0 <= sample.battery_pct_x10 <= 1000:
            return
        needed_wh = self._to_landing_wh(sample)
        if needed_wh is None:
            return
        self._known, self._flies = True, self._drone and airborne(sample)
        self._feel(sample)
        self.needed_wh = needed_wh + self._reserve_wh
        self.left_wh = sample.battery_pct_x10 / 1000.0 * self._capacity_wh
        share = BAND_SHARE - ERROR_SHARE if self._low else -ERROR_SHARE
        self._low = self.left_wh < self.needed_wh + share * self._capacity_wh

    @property
    def hold_s(self) -> float | None:
        """Seconds that it may still hover where it is before it must go to its landing; ``None`` while that is unknown.

        What is spare over the way and its reserve, at the power of hovering with all that it set out with.
        """
        if not self._known or not self._drone:
            return None
        hour_s = 3600.0
        still = Movement(0.0, hour_s, 0.0, (Spell(hour_s, self._wind.greatest_mps, 0.0),))
        hover_w = movement_wh(self._type, float(self._loads_kg[0]), still)
        return max(0.0, (self.left_wh - self.needed_wh) / hover_w * hour_s)

    def findings(self, now: datetime) -> list[Finding]:
        """Return ``energy`` where it holds."""
        if not self._low:
            return []
        values: dict[str, Value] = {"needed_wh": round(self.needed_wh), "left_wh": round(self.left_wh)}
        values["site"] = self._site
        return [Finding("energy", True, values=values, worse=self._flies)]

    def _to_landing_wh(self, sample: Sample) -> float | None:
        path, fix = self._follower.path, self._follower.fix
        if self._drone and self.heads_home and self._type.rtl_type in STRAIGHT:
            place = place_of(sample, path.frame)
            return None if place is None else self._straight_wh(place)
        if fix is None:
            # It stands at its beginning, or has left its path: then the way from its beginning would say nothing.
            return None if self._drone and airborne(sample) else float(self._ahead_wh[0])
        return float(np.interp(fix.along_s, path.seconds, self._ahead_wh))

    def _straight_wh(self, place: Place) -> float:
        """Up to the altitude of returns, straight home against the wind, and down."""
        east, north, alt_m = self._follower.path.places[-1]
        level_m = max(place[2], self._return_alt_m if self._return_alt_m is not None else place[2])
        away_m = float(np.hypot(east - place[0], north - place[1]))
        kind, wind = self._type, self._wind.greatest_mps
        up_s, down_s = (level_m - place[2]) / kind.climb_speed_mps, max(0.0, level_m - alt_m) / kind.descent_speed_mps
        spells = (
            Spell(up_s, wind, kind.climb_speed_mps),
            Spell(away_m / kind.cruise_speed_mps, kind.cruise_speed_mps + wind, 0.0, kind.built_as is Airframe.VTOL),
            Spell(down_s, wind, -kind.descent_speed_mps),
        )
        seconds = sum(spell.seconds for spell in spells)
        return movement_wh(kind, float(self._loads_kg[0]), Movement(away_m, seconds, level_m - place[2], spells))

    def _feel(self, sample: Sample) -> None:
        if not self._drone or sample.wind_n_cms is None or sample.wind_e_cms is None:
            return
        east, north = sample.wind_e_cms / 100.0, sample.wind_n_cms / 100.0
        if not np.hypot(east, north) < 100.0:
            return
        passed_s = 0.0 if self._felt_at is None else max(0.0, (sample.t - self._felt_at).total_seconds())
        share, self._felt_at = 1.0 - math.exp(-passed_s / FELT_S), sample.t
        felt = self._felt
        mean = Wind(felt.east_mps + share * (east - felt.east_mps), felt.north_mps + share * (north - felt.north_mps))
        self._felt = mean
        if np.hypot(mean.east_mps - self._wind.east_mps, mean.north_mps - self._wind.north_mps) > WIND_CHANGES_MPS:
            self._wind = mean
            self._ahead_wh = _ahead_wh(self._type, self._follower.path, self._loads_kg, mean)


def _loads_kg(path: PlannedPath, stops: Sequence[Stop]) -> Array:
    """What is aboard on each line of the path, by plan."""
    begins = path.seconds[:-1]
    loads = np.zeros(len(begins))
    for at, mass_kg in stops:
        loads += np.where(begins < (at - path.start).total_seconds(), mass_kg, 0.0)
    return loads


def _ahead_wh(vehicle_type: VehicleType, path: PlannedPath, loads_kg: Array, wind: Wind) -> Array:
    """Energy from each point of a path to its end."""
    steps, paces = np.diff(path.places, axis=0), np.maximum(np.diff(path.seconds), 1e-9)
    lengths, climbs = np.hypot(steps[:, 0], steps[:, 1]), steps[:, 2] / paces
    through = np.hypot(steps[:, 0] / paces - wind.east_mps, steps[:, 1] / paces - wind.north_mps)
    wing = (vehicle_type.built_as is Airframe.VTOL) & (lengths / paces > ON_WING_SHARE * vehicle_type.cruise_speed_mps)
    rows = np.stack((lengths, paces, steps[:, 2], through, climbs, wing), axis=1).tolist()
    movements = [Movement(m, s, max(0.0, up), (Spell(s, air, rate, bool(on)),)) for m, s, up, air, rate, on in rows]
    base, per_kg = leg_energy(vehicle_type, movements)
    used = base + per_kg * loads_kg
    return np.append(np.cumsum(used[::-1])[::-1], 0.0)

"""The way that a drone takes by itself: on lost link, at a critical battery, or when it is told to return.

What PX4 1.16.1 does, as measured (``tests/sitl/test_return.py``), by its ``RTL_TYPE``:

- **2**: on along the mission to its landing, at the mission's speed, through the drop points down to their height, but
  without waiting and without releasing anything. It lands on the trip's landing pad.
- **4**: the same where fewer mission items lie ahead than behind, else back along the mission, through the drop
  points behind, to over where it took off (amid the take-off it goes up to there first, which is left out here). It
  lands on the pad that it left from.
- **0, 1, 3**: climb to the return altitude (never down to it), straight to home or the landing, and down. It lands on
  the pad that it left from (1: on the landing pad).

This holds from mission mode, and without the hold that PX4 makes before a failsafe acts (``COM_FAIL_ACT_T`` 0,
``RTL_CONE_ANG`` 0 and ``MPC_XY_CRUISE`` the cruise speed, as the profiles have them). From a hold types 2 and 4 first
fly to the mission item nearest in space, whichever way it leads.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from routing.energy import leg_energy, movement_wh, service_energy
from routing.geo import Position
from routing.motion import BRAKE_SHARE, GAIN_SHARE, HELD_SHARE, HELD_VERTICAL_SHARE, SPOOL_UP_S, fly
from routing.movement import Flight, Movement, Spell
from routing.plan import StopAction, Trip
from routing.problem import FleetVehicle
from routing.region.model import Region
from routing.trajectory import home_pads, leg_flights
from routing.vehicle_type import VehicleType
from routing.ways_home import Course, Curve, WaysHome
from routing.wind import CALM, Wind, ground_speed_mps

FORWARDS, EITHER_WAY = 2, 4
STRAIGHT = (0, 1, 3)
"""Values of ``VehicleType.rtl_type``; 5 flies to rally points, which missions do not carry."""

DROP_ITEMS = 3
"""Items of a mission for a drop (the way down, the release, a pause), which RTL_TYPE 4 counts."""

ROUNDING_S = 1.0
"""Plans are made in whole seconds: so much of a leg may be left when its movement is over."""

SAMPLE_S = 0.5
_LEVEL_M = 0.5

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class OwnWay:
    """The ways home of one trip. Raises ``TooWindy`` for a leg that cannot be flown in the wind.

    ``payloads_kg`` has what is aboard on each leg (none: nothing is). ``return_alt_amsl_m`` is for the straight
    types (``None``: the trip's, else as high as it happens to be).
    """

    def __init__(
        self,
        trip: Trip,
        vehicle: FleetVehicle,
        region: Region,
        *,
        wind: Wind = CALM,
        payloads_kg: Sequence[float] = (),
        return_alt_amsl_m: float | None = None,
    ) -> None:
        self._trip = trip
        self._type: VehicleType = vehicle.type
        self._frame = region.frame
        self._wind = wind
        self._payloads = list(payloads_kg) or [0.0] * len(trip.legs)
        altitude = trip.return_alt_amsl_m if return_alt_amsl_m is None else return_alt_amsl_m
        self._return_alt_m = -math.inf if altitude is None else altitude
        self._pads = home_pads(trip, vehicle, region)
        legs = list(leg_flights(trip, vehicle, region, wind=wind))
        self._departs = np.array([begin_s for begin_s, _ in legs])
        self._flights: list[Flight] = [flight for _, flight in legs]
        self._durations = np.array([flight.movement.duration_s for flight in self._flights])
        self._flown_before = np.concatenate(([0.0], np.cumsum(self._durations)[:-1]))

    @property
    def duration_s(self) -> float:
        """From departure until it is back, as planned."""
        return float(self._departs[-1] + self._durations[-1])

    def ways(self, moments: npt.ArrayLike) -> WaysHome:
        """Return the ways home from moments of the trip, in seconds since departure."""
        times = np.asarray(moments, dtype=np.float64)
        leg = np.maximum(np.searchsorted(self._departs, times, side="right") - 1, 0)
        flown = self._flown_before[leg] + np.clip(times - self._departs[leg], 0.0, self._durations[leg])
        ahead = self._curve()
        start = np.stack([np.interp(flown, ahead.seconds, ahead.places[:, axis]) for axis in range(3)], axis=-1)
        along = self._type.rtl_type in (FORWARDS, EITHER_WAY)
        forwards = np.full(len(times), self._type.rtl_type in (FORWARDS, 1))
        if self._type.rtl_type == EITHER_WAY:
            forwards = self._fewer_ahead(leg, flown)
        used = self._used_wh(times, leg)
        airborne = (flown > SPOOL_UP_S) & (flown < ahead.seconds[-1])
        left, energy = np.zeros(len(times)), np.zeros(len(times))
        courses: list[tuple[npt.NDArray[np.int64], Curve | Course]] = []
        on, back = np.flatnonzero(along & forwards & airborne), np.flatnonzero(along & ~forwards & airborne)
        if len(on):
            courses.append((on, Curve(ahead.seconds, ahead.places, flown[on])))
            left[on] = ahead.seconds[-1] - flown[on]
            energy[on] = self._ahead_wh(leg[on], flown[on])
        if len(back):
            behind, begins = self._behind(ahead, flown[back])
            courses.append((back, Curve(behind.seconds, behind.places, begins)))
            left[back] = behind.seconds[-1] - begins
            energy[back] = self._drawn_wh(leg[back], behind, begins)
        if not along:
            course = self._straight(start, forwards, airborne)
            courses.append((np.arange(len(times)), course))
            left = course.seconds[:, -1]
            energy = self._straight_wh(leg, course)
        return WaysHome(times, start, left, used, energy, forwards, airborne, *self._pads, courses)

    def costliest_wh(self) -> float:
        """Energy from departure to touchdown of the costliest contingency of the trip, in Wh; at least the trip's.

        Forwards it is known where that is: at the beginning of a leg, or at the end of a drop's hover with the
        parcel still aboard.
        """
        if self._type.rtl_type == FORWARDS:
            return forwards_wh(self._spent_wh(), self._leg_wh(in_gusts=True))
        moments = np.append(np.arange(0.0, self.duration_s, 5.0), self.duration_s)
        ways = self.ways(moments)
        return float((ways.used_wh + ways.energy_wh).max())

    def _curve(self) -> Curve:
        """The whole trip flown without a stop at the drop points."""
        seconds, places = [], []
        for before, flight in zip(self._flown_before, self._flights, strict=True):
            times = np.append(np.arange(0.0, flight.movement.duration_s, SAMPLE_S), flight.movement.duration_s)
            seconds.append(before + times)
            places.append(flight.at(times))
        return Curve(np.concatenate(seconds), np.concatenate(places), np.zeros(1))

    def _fewer_ahead(self, leg: npt.NDArray[np.int64], flown: Array) -> Bools:
        """Whether a mission has fewer items from the one under way to its landing than before it (RTL_TYPE 4)."""
        reached, counts = [], []
        count = 2  # the take-off, and the speed
        for number, (before, flight) in enumerate(zip(self._flown_before, self._flights, strict=True)):
            points = self._trip.legs[number].path[1 if number == 0 else 0 :]
            corners = np.array([(*self._frame.to_local(point), point.alt_amsl_m) for point in points]).reshape(-1, 3)
            along = _along(flight, corners)
            reached += [before + _when(flight, metres) for metres in along]
            counts += list(range(count + 1, count + 1 + len(points)))
            count += len(points)
            if self._trip.legs[number].action is not StopAction.HOME:
                reached.append(before + flight.movement.duration_s)
                count += DROP_ITEMS
                counts.append(count)
        passed = np.searchsorted(np.maximum.accumulate(np.array(reached)), flown, side="right")
        current = np.concatenate(([0], counts))[passed]
        return np.asarray(count - current < current, dtype=np.bool_)

    def _behind(self, ahead: Curve, flown: Array) -> tuple[Curve, Array]:
        """The trip backwards, in time, with the landing at its end; and where on it each moment begins."""
        back = ahead.places[::-1]
        steps = np.diff(back, axis=0)
        level, up = np.hypot(steps[:, 0], steps[:, 1]), steps[:, 2]
        pace = np.diff(ahead.seconds)[::-1]
        kind = self._type
        climbing = np.maximum(up, 0.0) / (HELD_VERTICAL_SHARE * kind.climb_speed_mps)
        sinking = np.maximum(-up, 0.0) / (HELD_VERTICAL_SHARE * kind.descent_speed_mps)
        # Level flight keeps the pace of the way out; what was climbed is sunk, and the other way round.
        steep = np.where(level > _LEVEL_M * SAMPLE_S, pace, 0.0)
        seconds = np.concatenate(([0.0], np.cumsum(np.maximum(np.maximum(climbing, sinking), steep))))
        begins = np.interp(-flown, -ahead.seconds[::-1], seconds)
        away = np.hypot(*(ahead.places[:, :2] - ahead.places[0, :2]).T) > _LEVEL_M
        top = int(np.argmax(away)) - 1 if away.any() else len(back) - 1
        over = ahead.places[top]
        landing = fly(
            kind,
            self._frame,
            [self._frame.to_global(*(float(x) for x in over))],
            from_alt_amsl_m=float(over[2]),
            to_alt_amsl_m=self._pads[0].alt_amsl_m,
            takes_off=False,
        )
        cut = len(back) - top
        down = np.append(np.arange(0.0, landing.movement.duration_s, SAMPLE_S), landing.movement.duration_s)
        return Curve(
            np.concatenate((seconds[:cut], seconds[cut - 1] + down)),
            np.concatenate((back[:cut], landing.at(down))),
            np.zeros(1),
        ), np.minimum(begins, seconds[cut - 1])

    def _straight(self, start: Array, forwards: Bools, airborne: Bools) -> Course:
        """Up, straight, down: breakpoints of the ways from places."""
        kind, frame = self._type, self._frame
        pad = self._pads[1] if forwards.any() else self._pads[0]
        east, north = frame.to_local(pad)
        level_m = np.where(airborne, np.maximum(start[:, 2], self._return_alt_m), start[:, 2])
        away = np.hypot(east - start[:, 0], north - start[:, 1])
        speeds = np.array(
            [
                HELD_SHARE * ground_speed_mps(kind, self._wind, east - x, north - y) if metres > _LEVEL_M else math.inf
                for (x, y, _), metres in zip(start, away, strict=True)
            ]
        )
        # From rest to rest: what speeding up and braking cost over a steady speed.
        ramps_s = speeds / 2.0 / kind.acceleration_mps2 * (1.0 / GAIN_SHARE + 1.0 / BRAKE_SHARE)
        climb_s = (level_m - start[:, 2]) / (HELD_VERTICAL_SHARE * kind.climb_speed_mps)
        cruise_s = np.where(away > _LEVEL_M, away / speeds + np.where(np.isfinite(ramps_s), ramps_s, 0.0), 0.0)
        times, heights = self._landing(pad, max(float(level_m.max()), pad.alt_amsl_m + 1.0))
        begun = np.interp(-level_m, -heights, times)
        seconds, places = np.empty((len(start), 3 + len(times))), np.empty((len(start), 3 + len(times), 3))
        seconds[:, 0], seconds[:, 1], seconds[:, 2] = 0.0, climb_s, climb_s + cruise_s
        seconds[:, 3:] = (climb_s + cruise_s)[:, None] + np.maximum(0.0, times - begun[:, None])
        places[:, 0] = start
        places[:, 1, :2], places[:, 1, 2] = start[:, :2], level_m
        places[:, 2:, 0], places[:, 2:, 1], places[:, 2, 2] = east, north, level_m
        places[:, 3:, 2] = np.minimum(heights, level_m[:, None])
        places[~airborne], seconds[~airborne] = start[~airborne, None], 0.0
        return Course(seconds, places)

    def _landing(self, pad: Position, top_m: float) -> tuple[Array, Array]:
        """Times and falling heights of a landing from an altitude; one from lower begins amid it."""
        above = Position(pad.lat, pad.lon, top_m)
        flight = fly(
            self._type, self._frame, [above], from_alt_amsl_m=top_m, to_alt_amsl_m=pad.alt_amsl_m, takes_off=False
        )
        times = np.append(np.arange(0.0, flight.movement.duration_s, 4 * SAMPLE_S), flight.movement.duration_s)
        return times, flight.at(times)[:, 2]

    def _leg_wh(self, *, in_gusts: bool) -> Array:
        """Energy of each leg (columns) with what is aboard on each leg (rows), linear in the payload: not less."""
        base, per_kg = leg_energy(self._type, [flight.movement for flight in self._flights], in_gusts=in_gusts)
        return np.asarray(base + per_kg * np.array(self._payloads)[:, None])

    def _power_w(self, payload_kg: float, airspeed: float, climb: float) -> float:
        return movement_wh(self._type, payload_kg, Movement(0.0, 3_600.0, 0.0, (Spell(3_600.0, airspeed, climb),)))

    def _hover_w(self) -> Array:
        """Power of standing in the air with what is aboard on each leg."""
        base, per_kg = service_energy(self._type, 3_600.0, wind=self._wind)
        return np.asarray(base + per_kg * np.array(self._payloads))

    def _spent_wh(self) -> Array:
        """What each leg takes as planned, with the hover after it; seconds are whole in plans."""
        legs = self._trip.legs
        late = np.array([(leg.arrive - leg.depart).total_seconds() for leg in legs]) - self._durations
        stops = [(b.depart - a.arrive).total_seconds() for a, b in itertools.pairwise(legs)]
        hovers = np.where(late > ROUNDING_S, late, 0.0) + np.maximum(0.0, np.append(stops, 0.0))
        return np.asarray(np.diagonal(self._leg_wh(in_gusts=False)) + hovers * self._hover_w() / 3_600.0)

    def _used_wh(self, times: Array, leg: npt.NDArray[np.int64]) -> Array:
        """What the trip has used by moments: legs and hovers as planned, the one under way by its time."""
        flown, hover = np.diagonal(self._leg_wh(in_gusts=False)), self._hover_w() / 3_600.0
        before = np.concatenate(([0.0], np.cumsum(self._spent_wh())[:-1]))
        since = times - self._departs[leg]
        share = np.clip(since / self._durations[leg], 0.0, 1.0)
        standing = np.maximum(0.0, since - self._durations[leg])
        return np.asarray(before[leg] + share * flown[leg] + standing * hover[leg])

    def _ahead_wh(self, leg: npt.NDArray[np.int64], flown: Array) -> Array:
        """What is left of the trip takes with what is aboard now, in the gusts of the forecast."""
        energies = self._leg_wh(in_gusts=True)
        after = np.concatenate((np.cumsum(energies[:, ::-1], axis=1)[:, ::-1], np.zeros((len(energies), 1))), axis=1)
        share = (flown - self._flown_before[leg]) / self._durations[leg]
        return np.asarray(after[leg, leg + 1] + (1.0 - share) * energies[leg, leg])

    def _drawn_wh(self, leg: npt.NDArray[np.int64], curve: Curve, begins: Array) -> Array:
        """What following a curve to its end takes, by its speeds."""
        steps, pace = np.diff(curve.places, axis=0), np.maximum(np.diff(curve.seconds), 1e-9)
        rates = np.round(np.stack((np.hypot(steps[:, 0], steps[:, 1]) / pace, steps[:, 2] / pace), axis=1), 0)
        found = np.zeros(len(begins))
        for stage in np.unique(leg):
            kinds, which = np.unique(rates, axis=0, return_inverse=True)
            gust = self._wind.greatest_mps
            power = np.array([self._power_w(self._payloads[stage], v + gust, c) for v, c in kinds])[which.reshape(-1)]
            used = np.concatenate(([0.0], np.cumsum(power * pace / 3_600.0)))
            rows = leg == stage
            found[rows] = used[-1] - np.interp(begins[rows], curve.seconds, used)
        return found

    def _straight_wh(self, leg: npt.NDArray[np.int64], course: Course) -> Array:
        kind, gust = self._type, self._wind.greatest_mps
        climb_s, cruise_s = course.seconds[:, 1], course.seconds[:, 2] - course.seconds[:, 1]
        down_s = course.seconds[:, -1] - course.seconds[:, 2]
        found = np.zeros(len(leg))
        for stage in np.unique(leg):
            kg, rows = self._payloads[stage], leg == stage
            course_m = course.places[rows, 2, :2] - course.places[rows, 0, :2]
            over_ground = kind.cruise_speed_mps * course_m / np.maximum(1.0, np.hypot(*course_m.T))[:, None]
            air = over_ground - np.array([self._wind.east_mps, self._wind.north_mps])
            through = float(np.hypot(*air.T).max()) + gust - self._wind.speed_mps
            found[rows] = (
                climb_s[rows] * self._power_w(kg, gust, kind.climb_speed_mps)
                + cruise_s[rows] * self._power_w(kg, through, 0.0)
                + down_s[rows] * self._power_w(kg, gust, -kind.descent_speed_mps)
            ) / 3_600.0
        return found


def _along(flight: Flight, corners: Array) -> Array:
    """Metres along a flight's line at which it passes its corners, in sequence."""
    metres, at = [], 0
    for corner in corners:
        away = np.sqrt(((flight.points[at:] - corner) ** 2).sum(axis=1))
        at += int(np.argmin(away))
        metres.append(float(flight.along[at]))
    return np.array(metres)


def _when(flight: Flight, metres: float) -> float:
    ends = np.append(flight.metres, flight.along[-1])
    return float(np.interp(metres, ends, np.append(flight.seconds, flight.movement.duration_s)))


def forwards_wh(spent_wh: npt.ArrayLike, leg_wh: npt.ArrayLike) -> float:
    """Energy of the costliest contingency of a trip that goes on along its mission, in Wh.

    ``spent_wh`` (L) is what each leg with the stop at its end takes as planned, ``leg_wh`` (L, L) what each leg
    (columns) takes with what is aboard on each leg (rows). The worst moment is the beginning of a leg, or the end of
    the stop after it with the parcels still aboard.
    """
    before = np.concatenate(([0.0], np.cumsum(np.asarray(spent_wh, dtype=np.float64))))
    legs = np.asarray(leg_wh, dtype=np.float64)
    at_start = np.triu(legs).sum(axis=1)
    at_end = np.triu(legs, k=1).sum(axis=1)
    return float(np.maximum(before[:-1] + at_start, before[1:] + at_end).max())


def own_way_home(
    trip: Trip, vehicle: FleetVehicle, region: Region, at_s: float, *, wind: Wind = CALM, payload_kg: float = 0.0
) -> WaysHome:
    """Return the way home from one moment of a trip, in seconds since departure (``WaysHome`` with one row)."""
    return OwnWay(trip, vehicle, region, wind=wind, payloads_kg=[payload_kg] * len(trip.legs)).ways([at_s])

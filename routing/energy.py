"""What movements cost in battery energy, and how much of it there is.

Exact for one payload (``movement_wh``), and for the search linear in it (``leg_energy``). A way home is reckoned
with the wind at the strength of its gusts all the way: that is what the forecast says may be met, and nobody can
wait it out in the air. The other legs, whose end is a drop point or the way home still, are reckoned in the mean wind.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from routing.movement import GRAVITY_MPS2, Movement, Spell
from routing.power import hover_w, rotor_w, wing_w
from routing.vehicle_type import Airframe, VehicleKind, VehicleType
from routing.wind import CALM, Wind

WHEEL_EFFICIENCY = 0.6
"""Power at the wheels over battery power of a robot's geared drive. Nothing is won back downhill."""

_J_PER_WH = 3600.0

Array = npt.NDArray[np.float64]


def movement_wh(vehicle_type: VehicleType, payload_kg: float, movement: Movement, *, in_gusts: bool = False) -> float:
    """Energy of one movement in Wh with a payload aboard; ``in_gusts``: with the wind at gust strength all the way."""
    if vehicle_type.kind is VehicleKind.ROBOT:
        base, per_kg = _driving_wh(vehicle_type, [movement])
        return float(base[0] + per_kg[0] * payload_kg)
    return float(_flying_wh(vehicle_type, [movement], [payload_kg], in_gusts=in_gusts)[0, 0])


def leg_energy(
    vehicle_type: VehicleType, movements: Sequence[Movement], *, in_gusts: bool = False
) -> tuple[Array, Array]:
    """Energy of many movements as ``base_wh + per_kg_wh * payload_kg``; two arrays, one value for each movement.

    Exact for robots. For drones it is the chord of ``movement_wh`` from no payload to ``payload_kg`` of the type:
    power is convex in the payload (each of its parts is a power from 1 to 2 of the mass), so that the chord is never
    less than the exact figure, and exact at both ends. Between, it is too much by no more than
    ``(payload_kg / empty_mass_kg)^2 / 4`` of the energy without payload: a quarter of the square of the chord,
    times a second derivative of at most 2: 0.3 % at 1 kg on 8.8 kg, 1.6 % at 5 kg on 20 kg.
    """
    if vehicle_type.kind is VehicleKind.ROBOT:
        return _driving_wh(vehicle_type, movements)
    base, full = _flying_wh(vehicle_type, movements, (0.0, vehicle_type.payload_kg), in_gusts=in_gusts)
    return base, (full - base) / vehicle_type.payload_kg


def service_wh(vehicle_type: VehicleType, payload_kg: float, seconds: float, *, wind: Wind = CALM) -> float:
    """Energy while parcels are handed over, in Wh: a drone hovers with them, a robot stands.

    Hovering in wind takes what flying at its speed takes, where that is more.
    """
    return float(_standing_w(vehicle_type, payload_kg, wind)) * seconds / _J_PER_WH


def service_energy(vehicle_type: VehicleType, seconds: npt.ArrayLike, *, wind: Wind = CALM) -> tuple[Array, Array]:
    """Energy of services as ``base_wh + per_kg_wh * payload_kg``, with the bound of ``leg_energy``."""
    hours = np.asarray(seconds, dtype=np.float64) / _J_PER_WH
    empty, full = (_standing_w(vehicle_type, kg, wind) for kg in (0.0, vehicle_type.payload_kg))
    return empty * hours, (full - empty) / vehicle_type.payload_kg * hours


def capacity_wh(vehicle_type: VehicleType, *, health: float = 1.0, temperature_c: float = 20.0) -> float:
    """What a full pack gives, in Wh: its nominal energy at its health (share of capacity left, 0 to 1) and
    temperature (``VehicleType.capacity_at_c``, linear between its points and level outside of them)."""
    share = 1.0
    if vehicle_type.capacity_at_c:
        degrees, shares = zip(*vehicle_type.capacity_at_c, strict=True)
        share = float(np.interp(temperature_c, degrees, shares))
    return vehicle_type.battery_wh * health * share


def usable_wh(
    vehicle_type: VehicleType,
    *,
    health: float = 1.0,
    temperature_c: float = 20.0,
    reserve_fraction: float | None = None,
) -> float:
    """Energy that may be gone at touchdown, in Wh, wherever that is: at home, or at the end of a contingency.

    It is what the pack gives (``capacity_wh``) less the reserve, ``reserve_fraction`` of it (``None``: the
    type's). A trip keeps it if at every moment what it has used and what its way out of a contingency at that
    moment would take are no more.
    """
    reserve = vehicle_type.reserve_fraction if reserve_fraction is None else reserve_fraction
    return capacity_wh(vehicle_type, health=health, temperature_c=temperature_c) * (1.0 - reserve)


def _standing_w(vehicle_type: VehicleType, payload_kg: float, wind: Wind) -> float:
    if vehicle_type.kind is VehicleKind.ROBOT:
        return vehicle_type.idle_power_w
    held = hover_w(vehicle_type, payload_kg)
    return float(np.maximum(held, rotor_w(vehicle_type, payload_kg, wind.greatest_mps, 0.0)))


def _driving_wh(vehicle_type: VehicleType, movements: Sequence[Movement]) -> tuple[Array, Array]:
    """Auxiliary power for the time, rolling resistance (``c_rr m g`` a metre) and height (``m g h``) for the way.

    Rolling is calibrated by the cruise power of the profile, which is without payload on level asphalt.
    """
    rows = [(one.duration_s, one.rolling_m or one.distance_m, one.climb_m) for one in movements]
    seconds, rolled, climbed = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    mass = vehicle_type.empty_mass_kg
    per_m_j = max(0.0, vehicle_type.cruise_power_w - vehicle_type.idle_power_w) / vehicle_type.cruise_speed_mps / mass
    per_kg = (per_m_j * rolled + GRAVITY_MPS2 * climbed / WHEEL_EFFICIENCY) / _J_PER_WH
    return vehicle_type.idle_power_w * seconds / _J_PER_WH + per_kg * mass, per_kg


def _flying_wh(
    vehicle_type: VehicleType, movements: Sequence[Movement], payloads_kg: Sequence[float], *, in_gusts: bool
) -> Array:
    """Energy of each movement with each payload, shape ``(payloads, movements)``."""
    flown = [_spells(movement) for movement in movements]
    gusty = in_gusts and any(movement.gust_spells for movement in movements)
    if gusty:
        flown += [movement.gust_spells or _spells(movement) for movement in movements]
    rows = [(s.seconds, s.airspeed_mps, s.climb_mps, s.on_wing) for spells in flown for s in spells]
    seconds, airspeed, climb, on_wing = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    payloads = np.array(payloads_kg)[:, None]
    drawn = rotor_w(vehicle_type, payloads, airspeed, climb)
    if vehicle_type.built_as is Airframe.VTOL:
        cruising = np.where(on_wing > 0.0, airspeed, vehicle_type.cruise_speed_mps)
        drawn = np.where(on_wing > 0.0, wing_w(vehicle_type, payloads, cruising, climb), drawn)
    firsts = np.concatenate(([0], np.cumsum([len(spells) for spells in flown])[:-1])).astype(np.int64)
    used = np.add.reduceat(drawn * seconds / _J_PER_WH, firsts, axis=1) if rows else np.zeros((len(payloads), 0))
    # A tailwind that need not blow so hard saves nothing that could be counted on.
    return np.maximum(*np.split(used, 2, axis=1)) if gusty else np.asarray(used)


def _spells(movement: Movement) -> Sequence[Spell]:
    # A movement of which nothing more is known is reckoned as a hover and a climb.
    return movement.spells or (Spell(movement.duration_s, 0.0, movement.climb_m / max(movement.duration_s, 1.0)),)

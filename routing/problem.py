"""The planning problem: what is to be delivered, by what, and within which limits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from routing.geo import Position
from routing.region.model import Region, Zone
from routing.vehicle_type import AMBIENT, VehicleType
from routing.wind import CALM, Wind


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One customer's request as planning sees it. Times are timezone-aware.

    The drop happens from ``earliest`` to ``latest``; after ``due`` (``None``: ``latest``) each second costs
    ``late_cost``, in seconds of travel. ``release``: the parcel is at the pickup site from then on. ``service_s`` is
    the time at the drop-off (``None``: the vehicle type's), ``pickup_s`` that at a pickup away from the vehicle's
    home, on whose trip home it is loaded in the turnaround. ``unserved_cost`` replaces the cost that ``priority`` gives
    for not serving it, in seconds of travel. ``temperature`` is one of ``TEMPERATURE_CLASSES``.
    """

    order_id: str
    pickup_site: str
    dropoff_site: str
    mass_kg: float
    volume_l: float
    earliest: datetime
    latest: datetime
    priority: int = 0
    release: datetime | None = None
    due: datetime | None = None
    late_cost: float = 1.0
    service_s: float | None = None
    pickup_s: float = 60.0
    temperature: str = AMBIENT
    unserved_cost: float | None = None


class Category(StrEnum):
    """Category of operation, which decides how many aircraft one remote pilot may have in the air."""

    LEVEL_3 = "level_3"
    LEVEL_3_5 = "level_3_5"
    LEVEL_4 = "level_4"


@dataclass(frozen=True, slots=True)
class FleetVehicle:
    """A vehicle at its home site, free from ``available_from`` on; each trip begins on a full battery.

    ``pad`` is a drone's own pad there, an index into ``Site.pads``; it means nothing for a robot. ``None``: it is
    kept beside the pads, and each trip is given one to leave from and one to land on, which it holds meanwhile.
    ``shift_end``: it is back by then. ``battery_health``: what is left of its packs' capacity, 0 to 1; packs of a
    ``Station`` have their own.
    """

    vehicle_id: str
    type: VehicleType
    home_site: str
    available_from: datetime
    pad: int | None = 0
    shift_end: datetime | None = None
    battery_health: float = 1.0
    category: Category = Category.LEVEL_4


@dataclass(frozen=True, slots=True)
class Pack:
    """A battery pack; ``health`` is the share of its capacity that is left, and it is full from ``full_from`` on."""

    pack_id: str
    health: float = 1.0
    full_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class Station:
    """The battery packs and chargers for one type of vehicle at a site.

    A trip takes a full pack and gives it back empty by what it used; each charger charges one pack at a time. A type
    without a station at its home has as many full packs as it needs.
    """

    site_id: str
    type_id: str
    packs: tuple[Pack, ...]
    chargers: int


@dataclass(frozen=True, slots=True)
class AirborneLimit:
    """At most ``most`` drones of a category are in the air at once: pilots on duty, times what each may supervise
    (Japan's guideline of 28 March 2025: 5 for Level 3 and 3.5; Level 4: 1 until a permit says another figure)."""

    category: Category
    most: int


@dataclass(frozen=True, slots=True)
class Permit:
    """A permission to fly: where, how high, when, what, and by whom. Empty tuples and ``None`` do not limit.

    ``ring`` holds ``(lat, lon)``. ``zones``: zones that need an authorisation and that this is one for.
    ``from_minute`` and ``to_minute`` are minutes of the day in ``utc_offset_minutes``; ``daylight``: from sunrise to
    sunset only.
    """

    permit_id: str
    ring: tuple[tuple[float, float], ...]
    ceiling_agl_m: float = 150.0
    begins: datetime | None = None
    ends: datetime | None = None
    from_minute: int = 0
    to_minute: int = 1_440
    utc_offset_minutes: int = 540
    daylight: bool = False
    type_ids: tuple[str, ...] = ()
    vehicle_ids: tuple[str, ...] = ()
    pilots: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator demands beyond the rules.

    ``reserve_fraction`` (``None``: the type's) of the usable energy is left at touchdown. ``permit_required``: every
    flight lies in a permit. ``away_pickups``: vehicles may fetch parcels at sites that are not their home.
    ``contingency``: from every point of a flight the vehicle's own way home on lost link or low battery is clear.
    ``ground_risk``: the greatest intrinsic ground risk class (SORA 2.5, table 2) under a flight, ``None``: any.
    ``radio``: gaps of radio coverage longer than the type's lost-link time are not flown.
    """

    reserve_fraction: float | None = None
    permit_required: bool = False
    away_pickups: bool = True
    contingency: bool = False
    ground_risk: int | None = None
    radio: bool = True


@dataclass(frozen=True, slots=True)
class Intent:
    """A volume of airspace that another operator holds for a time (ASTM F3548 operational intent): immovable.

    ``ring`` holds ``(lat, lon)``; altitudes are AMSL.
    """

    intent_id: str
    ring: tuple[tuple[float, float], ...]
    floor_amsl_m: float
    ceiling_amsl_m: float
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Separation:
    """How far flights stay apart: ``horizontal_m`` *or* ``vertical_m``, at all times.

    The figures are made of the errors of one aircraft, 95 %, summed in quadrature as for the total system error
    of performance-based navigation (ICAO Doc 9613, Part A, 2.2): horizontally 4 m navigation (GNSS receiver of
    1.5 m CEP under open sky, with a bias of 1 m), 5 m flight technical error (PX4 in gusts, corners rounded
    within ``NAV_ACC_RAD`` 2 m), 1 m path definition (survey, 1e-7 degrees), 10 m tracking (a sample is up to 1 s old
    at 10 m/s): 11.9 m; for two aircraft times sqrt(2): 16.9 m. Then 50 m, less 1.5 m of airframe, are 5.6 standard
    deviations. Vertically 4 m (barometer and GNSS height), 1.5 m flight technical error, 1 m overshoot in levelling
    off: 4.4 m, for two 6.2 m; 20 m are 6.3 standard deviations.

    Errors in time along the path are no part of the distances: they are kept as times. A plan keeps the
    separation, and the rules about pads and drop points, although any trip leaves anything from 0 to ``late_s``
    seconds late, and is besides up to ``drift`` times the time since its departure ahead of or behind its plan
    (0.02: the scatter between vehicles of one kind, whose common error does not bring them nearer to one
    another). A trip that leaves later than that needs a new plan, with the others as ``Problem.given``. Delivery
    windows are kept for departures on time.

    ``containment_m`` and ``containment_vertical_m`` are the errors of one aircraft above: it is inside its operational
    intent with 95 %. Other operators' intents (``Problem.intents``) stay free of that volume.
    """

    horizontal_m: float = 50.0
    vertical_m: float = 20.0
    late_s: float = 20.0
    drift: float = 0.02
    containment_m: float = 11.9
    containment_vertical_m: float = 4.4

    def slack_s(self, since_a_s: float, since_b_s: float) -> float:
        """How far two trips may be off against one another so long after their departures: drifts in quadrature."""
        return self.late_s + self.drift * math.hypot(since_a_s, since_b_s)


@dataclass(frozen=True, slots=True)
class PadTimes:
    """For how long a drone that is kept beside the pads has one to itself, beyond its way up or down over it.

    ``ready_s`` before departure: set down 10 s, GNSS fix and estimator of a warm autopilot 20 s, the person 10 m away
    at 1 m/s 10 s, the clearance to launch 20 s. ``clear_s`` after touchdown: motors off (COM_DISARM_LAND) 2 s, the
    person there 10 s, switched off 8 s, carried 10 m away 10 s.
    """

    ready_s: float = 60.0
    clear_s: float = 30.0


@dataclass(frozen=True, slots=True)
class TimedPosition:
    """Where something is at a moment."""

    at: datetime
    position: Position


@dataclass(frozen=True, slots=True)
class Stay:
    """A vehicle holds a drop point from ``arrive`` to ``leave``."""

    site_id: str
    arrive: datetime
    leave: datetime


@dataclass(frozen=True, slots=True)
class GivenTrip:
    """A trip that is approved or under way: nothing about it can be changed, and plans stay clear of it.

    ``track`` has the positions of a drone from take-off (or now) to touchdown, straight lines between them, in
    sequence; it is empty for a robot. ``routing.deconflict.given_trip`` makes one from a planned trip.
    """

    trip_id: str
    vehicle_id: str
    track: tuple[TimedPosition, ...] = ()
    stays: tuple[Stay, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything that a plan depends on. Equal problems have equal plans for one seed.

    ``given`` are the trips that fly and drive already, or are approved, ``intents`` the airspace that others hold:
    the plan is made around them. ``zones`` are added to the region's (closed for the day, say). ``temperature_c`` is
    that of the packs in use. Without ``airborne`` no number of drones in the air is too many.
    """

    region: Region
    orders: tuple[OrderRequest, ...]
    vehicles: tuple[FleetVehicle, ...]
    start: datetime
    seed: int = 0
    max_trips_per_vehicle: int = 4
    wind: Wind = CALM
    separation: Separation = Separation()
    given: tuple[GivenTrip, ...] = ()
    intents: tuple[Intent, ...] = ()
    zones: tuple[Zone, ...] = ()
    permits: tuple[Permit, ...] = ()
    stations: tuple[Station, ...] = ()
    airborne: tuple[AirborneLimit, ...] = ()
    policy: Policy = Policy()
    temperature_c: float = 20.0
    pad_times: PadTimes = PadTimes()

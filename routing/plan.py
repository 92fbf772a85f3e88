"""A plan: routes of vehicles, trips of routes, legs of trips, and orders that no one can serve."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from routing.geo import Position


class StopAction(StrEnum):
    """What happens where a leg ends."""

    PICKUP = "pickup"
    DROP = "drop"
    HOME = "home"


@dataclass(frozen=True, slots=True)
class Leg:
    """Movement to one site and what is done there.

    ``path`` runs from the start of the leg to its end, both included: for a drone, points in AMSL at
    flight altitude from above the start to above the destination (take-off and landing are implied);
    for a robot, the nodes of the ground network, and ``nodes`` names them.
    """

    to_site: str
    action: StopAction
    order_ids: tuple[str, ...]
    path: tuple[Position, ...]
    nodes: tuple[str, ...]
    depart: datetime
    arrive: datetime
    leave: datetime
    distance_m: float
    energy_wh: float


@dataclass(frozen=True, slots=True)
class Trip:
    """From the home site out and back on one battery. ``legs[-1]`` is the way home.

    ``pad`` and ``landing_pad`` are where a drone leaves and lands, indices into its home's pads (``None``: its own).
    ``pack_id``: the battery pack, where the home has a ``Station``. ``return_alt_amsl_m``: to which a drone climbs
    for its own way home on lost link or low battery, where it flies straight (``routing.contingency``).
    """

    trip_id: str
    legs: tuple[Leg, ...]
    pad: int | None = None
    landing_pad: int | None = None
    pack_id: str | None = None
    return_alt_amsl_m: float | None = None

    @property
    def order_ids(self) -> tuple[str, ...]:
        """Orders in the sequence in which they are dropped."""
        return tuple(order for leg in self.legs if leg.action is StopAction.DROP for order in leg.order_ids)

    @property
    def depart(self) -> datetime:
        """When the vehicle leaves its home site."""
        return self.legs[0].depart

    @property
    def arrive(self) -> datetime:
        """When it is back."""
        return self.legs[-1].arrive


@dataclass(frozen=True, slots=True)
class Route:
    """All trips of one vehicle, in time order."""

    vehicle_id: str
    home_site: str
    trips: tuple[Trip, ...]


@dataclass(frozen=True, slots=True)
class Unserved:
    """An order that the plan does not serve, and why, in words a dispatcher can use.

    ``final``: nothing in this fleet and region can ever serve it, so that waiting would not help. ``cause``: the
    same as a value of ``routing.cause.Cause``; empty where the plan was not looked at closely enough to say.
    """

    order_id: str
    reason: str
    final: bool = False
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer to a problem."""

    routes: tuple[Route, ...]
    unserved: tuple[Unserved, ...]
    cost: float

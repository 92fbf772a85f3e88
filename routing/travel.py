"""Movements between the sites of a region, for each type of vehicle, each worked out once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from routing.errors import NoWay
from routing.flight_path import FlightPaths
from routing.geo import Position
from routing.ground import GroundNetwork
from routing.motion import RELEASE_HEIGHT_M, Flight, Movement, drive, fly
from routing.region.model import Region, Site
from routing.vehicle_type import VehicleKind, VehicleType
from routing.wind import CALM, Wind

LONGEST_S = 86_400.0
"""A longer movement is no way: no battery or window would allow it, and times stay in bounds."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a movement begins or ends: a site, and for a drone which of its pads.

    ``home``: the vehicle stands there, else a drone hovers at the height of release.
    """

    site_id: str
    pad: int = 0
    home: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """The way of one type of vehicle from a stop to another; ``flight`` is its movement in time, for a drone."""

    path: tuple[Position, ...]
    nodes: tuple[str, ...]
    movement: Movement
    flight: Flight | None = None

    @property
    def seconds(self) -> int:
        """The movement's time rounded up: plans are made in whole seconds."""
        return math.ceil(self.movement.duration_s)


class Travel:
    """Finds ways in one region and wind."""

    def __init__(self, region: Region, wind: Wind = CALM, *, like: Travel | None = None) -> None:
        """``like``: travel in the same region, whose paths are used, so that only times are worked out again."""
        self._region = region
        self._wind = wind
        self._sites = {site.site_id: site for site in region.sites}
        self._flights: FlightPaths = like._flights if like else FlightPaths(region)
        self._network: GroundNetwork = like._network if like else GroundNetwork(region)
        self._ways: dict[tuple[VehicleType, Stop, Stop, float], Way | NoWay] = {}

    def in_calm(self) -> Travel:
        """The same paths without wind."""
        return Travel(self._region, like=self)

    def way(self, vehicle_type: VehicleType, start: Stop, end: Stop, *, layer_m: float = 0.0) -> Way:
        """Return the way between two stops; raises ``NoWay`` with the reason when there is none.

        ``layer_m``: how much higher than need be a drone flies, where there is room.
        """
        if vehicle_type.kind is VehicleKind.ROBOT:
            start, end, layer_m = Stop(start.site_id), Stop(end.site_id), 0.0
        key = (vehicle_type, start, end, layer_m)
        found = self._ways.get(key)
        if found is None:
            try:
                found = self._find(*key)
                if found.movement.duration_s > LONGEST_S:
                    raise NoWay(f"it would take {vehicle_type.name} longer than a day")
            except NoWay as error:
                found = error
            self._ways[key] = found
        if isinstance(found, NoWay):
            raise found
        return found

    def reaches(self, vehicle_type: VehicleType, start: Stop, end: Stop) -> bool:
        """Whether there is a way."""
        try:
            self.way(vehicle_type, start, end)
        except NoWay:
            return False
        return True

    def _find(self, vehicle_type: VehicleType, start: Stop, end: Stop, layer_m: float) -> Way:
        if vehicle_type.kind is VehicleKind.DRONE:
            return self._fly(vehicle_type, start, end, layer_m)
        nodes = [_node(self._sites[stop.site_id]) for stop in (start, end)]
        ground = self._network.path(*nodes)
        movement = drive(vehicle_type, self._region.frame, ground.positions, crossings=ground.crossings)
        return Way(ground.positions, ground.nodes, movement)

    def _fly(self, vehicle_type: VehicleType, start: Stop, end: Stop, layer_m: float) -> Way:
        pads = [self._pad(stop) for stop in (start, end)]
        anchors = (self._sites[start.site_id].landing, self._sites[end.site_id].landing)
        path = self._flights.path(*pads, layer_m=layer_m, anchors=anchors)
        flight = fly(
            vehicle_type,
            self._region.frame,
            path,
            from_alt_amsl_m=pads[0].alt_amsl_m + (0.0 if start.home else RELEASE_HEIGHT_M),
            to_alt_amsl_m=pads[1].alt_amsl_m + (0.0 if end.home else RELEASE_HEIGHT_M),
            takes_off=start.home,
            lands=end.home,
            wind=self._wind,
        )
        return Way(path, (), flight.movement, flight)

    def _pad(self, stop: Stop) -> Position:
        site = self._sites[stop.site_id]
        if not site.pads:
            raise NoWay(f"site {site.site_id} has no pad")
        return site.pads[stop.pad]


def _node(site: Site) -> str:
    if site.node is None:
        raise NoWay(f"site {site.site_id} is not on the ground network")
    return site.node

"""Movements between the sites of a region, for each type of vehicle, each worked out once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from routing.errors import NoWay
from routing.flight_path import FlightPaths
from routing.geo import Position
from routing.ground import GroundNetwork
from routing.motion import Movement, drive, fly
from routing.region.model import Region, Site
from routing.vehicle_type import VehicleKind, VehicleType

LONGEST_S = 86_400.0
"""A longer movement is no way: no battery or window would allow it, and times stay in bounds."""


@dataclass(frozen=True, slots=True)
class Way:
    """The way of one type of vehicle from a site to another."""

    path: tuple[Position, ...]
    nodes: tuple[str, ...]
    movement: Movement

    @property
    def seconds(self) -> int:
        """The movement's time rounded up: plans are made in whole seconds."""
        return math.ceil(self.movement.duration_s)


class Travel:
    """Finds ways in one region."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._sites = {site.site_id: site for site in region.sites}
        self._flights = FlightPaths(region)
        self._network = GroundNetwork(region)
        self._ways: dict[tuple[VehicleType, str, str], Way | NoWay] = {}

    def way(self, vehicle_type: VehicleType, start: str, end: str) -> Way:
        """Return the way between two sites; raises ``NoWay`` with the reason when there is none."""
        key = (vehicle_type, start, end)
        found = self._ways.get(key)
        if found is None:
            try:
                found = self._find(vehicle_type, self._sites[start], self._sites[end])
                if found.movement.duration_s > LONGEST_S:
                    raise NoWay(f"it would take {vehicle_type.name} longer than a day")
            except NoWay as error:
                found = error
            self._ways[key] = found
        if isinstance(found, NoWay):
            raise found
        return found

    def reaches(self, vehicle_type: VehicleType, start: str, end: str) -> bool:
        """Whether there is a way."""
        try:
            self.way(vehicle_type, start, end)
        except NoWay:
            return False
        return True

    def _find(self, vehicle_type: VehicleType, start: Site, end: Site) -> Way:
        if vehicle_type.kind is VehicleKind.DRONE:
            path = self._flights.path(start.position, end.position)
            movement = fly(
                vehicle_type,
                self._region.frame,
                path,
                from_alt_amsl_m=start.position.alt_amsl_m,
                to_alt_amsl_m=end.position.alt_amsl_m,
            )
            return Way(path, (), movement)
        for site in (start, end):
            if site.node is None:
                raise NoWay(f"site {site.site_id} is not on the ground network")
        ground = self._network.path(str(start.node), str(end.node))
        movement = drive(vehicle_type, ground.lengths_m, [at.alt_amsl_m for at in ground.positions])
        return Way(ground.positions, ground.nodes, movement)

"""Movements between the sites of a region, for each type of vehicle, each worked out once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from routing.driving import drive, stretches
from routing.energy import leg_energy
from routing.eras import eras_of
from routing.errors import NoWay
from routing.flight_path import FlightPaths
from routing.geo import Position
from routing.ground import GroundMatrix, GroundNetwork
from routing.intents import long_held
from routing.motion import RELEASE_HEIGHT_M, fly
from routing.movement import Flight, Movement
from routing.problem import FleetVehicle, Problem
from routing.region.model import Region, Site
from routing.vehicle_type import VehicleKind, VehicleType
from routing.wind import CALM, Wind

LONGEST_S = 86_400.0
"""A longer movement is no way: no battery or window would allow it, and times stay in bounds."""


LONGEST_AHEAD = timedelta(days=30)
"""So far ahead the airspace is looked at."""


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
    """The way of one type of vehicle from a stop to another; ``flight`` is its movement in time, for a drone.

    It takes ``base_wh + per_kg_wh`` times the payload in kg (``energy.leg_energy``), with gusts on the way home.
    """

    path: tuple[Position, ...]
    nodes: tuple[str, ...]
    movement: Movement
    base_wh: float
    per_kg_wh: float
    flight: Flight | None = None

    @property
    def seconds(self) -> int:
        """The movement's time rounded up: plans are made in whole seconds."""
        return math.ceil(self.movement.duration_s)


Mover = VehicleType | FleetVehicle
"""Whose ways they are: all vehicles' of a type, or those of one that a permit names."""

Span = tuple[datetime, datetime]
_Key = tuple[Mover, Stop, Stop, float, int]


class Travel:
    """Finds ways in one region and wind.

    ``eras`` are times within which the airspace stays as it is, in sequence; ways are those of one of them, given by
    its number. ``None`` is any time: zones are closed whenever they apply, and permits with hours never hold.
    """

    def __init__(
        self,
        region: Region,
        wind: Wind = CALM,
        *,
        flights: FlightPaths | None = None,
        network: GroundNetwork | None = None,
        eras: Sequence[Span | None] = (None,),
        around: FlightPaths | None = None,
    ) -> None:
        """``flights`` and ``network`` may be those of other travel in the same region, whose paths are used.

        ``around``: paths of the second half of the eras, which are the first half once more.
        """
        self._region = region
        self._wind = wind
        self._sites = {site.site_id: site for site in region.sites}
        self._flights = flights or FlightPaths(region)
        self._around = around
        self._network = network or GroundNetwork(region)
        self.eras = tuple(eras)
        self._ways: dict[_Key, Way | NoWay] = {}

    @classmethod
    def of(cls, problem: Problem) -> Travel:
        """Travel under the conditions of a problem: its wind, zones, permits and policy.

        Where others hold airspace for long, all eras come twice: at last with ways around that.
        """
        flights = FlightPaths(problem.region, zones=problem.zones, permits=problem.permits, policy=problem.policy)
        latest = max((order.latest for order in problem.orders), default=problem.start)
        end = min(max(latest, problem.start), problem.start + LONGEST_AHEAD) + timedelta(seconds=LONGEST_S)
        eras = eras_of(flights.eras(problem.start, end), problem.permits)
        held = long_held(problem)
        if not held:
            return cls(problem.region, problem.wind, flights=flights, eras=eras)
        zones = (*problem.zones, *held)
        around = FlightPaths(problem.region, zones=zones, permits=problem.permits, policy=problem.policy)
        return cls(problem.region, problem.wind, flights=flights, eras=(*eras, *eras), around=around)

    def ground_matrix(self, vehicle_type: VehicleType, nodes: Sequence[str]) -> GroundMatrix:
        """All ways of a robot between nodes of the network at once, within some percent of ``way``."""
        return self._network.matrix(nodes, vehicle_type)

    def in_calm(self) -> Travel:
        """The same paths without wind."""
        return Travel(self._region, flights=self._flights, network=self._network, eras=self.eras, around=self._around)

    def way(self, mover: Mover, start: Stop, end: Stop, *, layer_m: float = 0.0, era: int = 0) -> Way:
        """Return the way between two stops; raises ``NoWay`` with the reason when there is none.

        ``layer_m``: how much higher than need be a drone flies, where there is room.
        """
        key = _key(mover, start, end, layer_m, era)
        found = self._ways.get(key)
        if found is None:
            self.prepare(mover, [(start, end, layer_m)], era=era)
            found = self._ways[key]
        if isinstance(found, NoWay):
            raise found
        return found

    def prepare(self, mover: Mover, moves: Iterable[tuple[Stop, Stop, float]], *, era: int = 0) -> None:
        """Work out ways (start, end, layer in metres) all at once, which is much faster than one by one."""
        keys = dict.fromkeys(_key(mover, *move, era) for move in moves)
        missing = [key for key in keys if key not in self._ways]
        work = self._flown if _type(mover).kind is VehicleKind.DRONE else self._driven
        for key, way in zip(missing, work(missing), strict=True):
            if not isinstance(way, NoWay) and way.movement.duration_s > LONGEST_S:
                way = NoWay(f"it would take {_type(mover).name} longer than a day")
            self._ways[key] = way

    def _driven(self, keys: Sequence[_Key]) -> Iterator[Way | NoWay]:
        for mover, start, end, _, _ in keys:
            try:
                yield self._drive(_type(mover), start, end)
            except NoWay as error:
                yield error

    def _drive(self, vehicle_type: VehicleType, start: Stop, end: Stop) -> Way:
        origin, target = (_node(self._sites[stop.site_id]) for stop in (start, end))
        ground = self._network.path(origin, target, vehicle_type)
        edges = {(edge.a, edge.b): edge for edge in ground.edges}
        movement = drive(
            vehicle_type,
            self._region.frame,
            ground.positions,
            crossings=ground.crossings,
            stretches=stretches(ground.nodes, edges),
        )
        base, per_kg = leg_energy(vehicle_type, [movement])
        return Way(ground.positions, ground.nodes, movement, float(base[0]), float(per_kg[0]))

    def _flown(self, keys: Sequence[_Key]) -> list[Way | NoWay]:
        """Flights of one mover in one era."""
        ways: list[Way | NoWay] = [NoWay("") for _ in keys]
        pads: dict[int, tuple[Position, Position]] = {}
        for i, (_, start, end, _, _) in enumerate(keys):
            try:
                pads[i] = (self._pad(start), self._pad(end))
            except NoWay as error:
                ways[i] = error
        if not pads:
            return ways
        mover, _, _, _, era = keys[0]
        bent = self._around if era >= len(self.eras) // 2 else None
        paths = (bent or self._flights).paths(
            list(pads.values()),
            layers_m=[keys[i][3] for i in pads],
            anchors=[(self._landing(keys[i][1]), self._landing(keys[i][2])) for i in pads],
            vehicle=mover,
            during=self.eras[era],
        )
        flights: dict[int, tuple[tuple[Position, ...], Flight]] = {}
        for i, path in zip(pads, paths, strict=True):
            if isinstance(path, NoWay):
                ways[i] = path
                continue
            try:
                flights[i] = (path, self._fly(keys[i], path, pads[i]))
            except NoWay as error:
                ways[i] = error
        for homewards in (False, True):
            chosen = [i for i in flights if keys[i][2].home == homewards]
            if not chosen:
                continue
            movements = [flights[i][1].movement for i in chosen]
            energies = zip(*leg_energy(_type(mover), movements, in_gusts=homewards), strict=True)
            for i, (base, per_kg) in zip(chosen, energies, strict=True):
                path, flight = flights[i]
                ways[i] = Way(path, (), flight.movement, float(base), float(per_kg), flight)
        return ways

    def _fly(self, key: _Key, path: tuple[Position, ...], pads: tuple[Position, Position]) -> Flight:
        mover, start, end, _, _ = key
        return fly(
            _type(mover),
            self._region.frame,
            path,
            from_alt_amsl_m=pads[0].alt_amsl_m + (0.0 if start.home else RELEASE_HEIGHT_M),
            to_alt_amsl_m=pads[1].alt_amsl_m + (0.0 if end.home else RELEASE_HEIGHT_M),
            takes_off=start.home,
            lands=end.home,
            wind=self._wind,
        )

    def _landing(self, stop: Stop) -> Position:
        return self._sites[stop.site_id].landing

    def _pad(self, stop: Stop) -> Position:
        site = self._sites[stop.site_id]
        if not site.pads:
            raise NoWay(f"site {site.site_id} has no pad")
        return site.pads[stop.pad]


def _key(mover: Mover, start: Stop, end: Stop, layer_m: float, era: int) -> _Key:
    if _type(mover).kind is VehicleKind.ROBOT:
        return _type(mover), Stop(start.site_id), Stop(end.site_id), 0.0, 0
    return mover, start, end, layer_m, era


def _type(mover: Mover) -> VehicleType:
    return mover.type if isinstance(mover, FleetVehicle) else mover


def _node(site: Site) -> str:
    if site.node is None:
        raise NoWay(f"site {site.site_id} is not on the ground network")
    return site.node

"""Who can be served from where: the population within reach of each hub, in time and on one battery."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from routing.energy import leg_energy, service_wh, usable_wh
from routing.errors import BadInput, NoWay
from routing.flight_path import FlightPaths
from routing.geo import Position
from routing.ground import GroundNetwork
from routing.motion import RELEASE_HEIGHT_M, fly
from routing.movement import Movement
from routing.problem import FleetVehicle, Permit, Policy
from routing.region.model import Population, Region, Site
from routing.vehicle_type import VehicleKind, VehicleType
from routing.wind import CALM, Wind

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ALL = "all"
ANY = "any"
ELSEWHERE = "elsewhere"
"""Names in rows: everywhere, every hub and everybody; by any mode; outside of all municipalities of the map."""

MUNICIPALITY = "municipality"
"""Kind of the features that coverage is summed by (``routing.region.municipalities``)."""


THINNED_M = 5.0
"""Points of a flight path that lie this near to the straight line between others are left out of account: a cell's
middle stands for places farther apart."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a delivery may take: ``minutes`` from leaving the hub until the parcel is handed over, and of the energy
    that a trip may use (the battery less its reserve) the share ``energy_share``, with ``payload_kg`` on the way out
    (``None``: all that the type carries) and none on the way back."""

    minutes: float = 30.0
    energy_share: float = 1.0
    payload_kg: float | None = None
    wind: Wind = CALM
    temperature_c: float = 20.0

    def __post_init__(self) -> None:
        for name, most in (("minutes", 1_440.0), ("energy_share", 1.0)):
            value = getattr(self, name)
            if not 0.0 < value <= most:
                raise BadInput(f"coverage: {name} must be more than 0 and at most {most:g}, not {value}")
        if self.payload_kg is not None and not 0.0 <= self.payload_kg < math.inf:
            raise BadInput(f"coverage: payload_kg must be a number from 0 on, not {self.payload_kg}")


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """What one type of vehicle serves from one hub: minutes to each cell of the population mesh, infinite where it
    does not get to within the budget."""

    hub: str
    type_id: str
    mode: VehicleKind
    minutes: Floats


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """Persons of a band in a municipality, and how many of them are served from a hub (or all) by a mode (or any)."""

    municipality: str
    hub: str
    mode: str
    band: str
    persons: float
    served: float

    @property
    def share(self) -> float:
        """Served persons over all; 0 where nobody lives."""
        return self.served / self.persons if self.persons > 0.0 else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """Reaches, and the municipality of each cell by its place in ``municipalities``."""

    region: Region
    population: Population
    budget: Budget
    reaches: tuple[Reach, ...]
    municipalities: tuple[str, ...]
    municipality_of: npt.NDArray[np.int64]

    def served(self, *, hub: str = ALL, mode: str = ANY) -> Bools:
        """Which cells are served."""
        found = np.zeros(self.population.persons.shape, dtype=np.bool_)
        for reach in self._chosen(hub, mode):
            found |= np.isfinite(reach.minutes)
        return found

    def minutes(self, *, hub: str = ALL, mode: str = ANY) -> Floats:
        """Least minutes to each cell, infinite where none serves it."""
        found = np.full(self.population.persons.shape, np.inf)
        for reach in self._chosen(hub, mode):
            found = np.minimum(found, reach.minutes)
        return found

    def _chosen(self, hub: str, mode: str) -> list[Reach]:
        return [each for each in self.reaches if hub in (ALL, each.hub) and mode in (ANY, each.mode.value)]

    @property
    def hubs(self) -> tuple[str, ...]:
        """The hubs of the fleet, in its sequence."""
        return tuple(dict.fromkeys(reach.hub for reach in self.reaches))

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes of the fleet, drones first."""
        return tuple(mode.value for mode in VehicleKind if any(reach.mode is mode for reach in self.reaches))

    def rows(self) -> tuple[CoverageRow, ...]:
        """All sums: for everywhere and each municipality, all hubs and each, any mode and each, everybody and bands."""
        rasters = {ALL: self.population.persons} | dict(self.population.bands)
        everywhere = np.ones(self.population.persons.shape, dtype=np.bool_)
        areas = {ALL: everywhere} | {name: self.municipality_of == i for i, name in enumerate(self.municipalities)}
        served = {
            (hub, mode): self.served(hub=hub, mode=mode) for hub in (ALL, *self.hubs) for mode in (ANY, *self.modes)
        }
        rows = []
        for name, area in areas.items():
            for band, raster in rasters.items():
                persons = float(raster[area].sum(dtype=np.float64))
                for (hub, mode), reached in served.items():
                    counted = float(raster[area & reached].sum(dtype=np.float64))
                    rows.append(CoverageRow(name, hub, mode, band, persons, counted))
        return tuple(rows)

    def to_json(self) -> dict[str, Any]:
        """Plain data: the budget, and every row with its share."""
        budget = self.budget
        return {
            "region_id": self.region.region_id,
            "minutes": budget.minutes,
            "energy_share": budget.energy_share,
            "payload_kg": budget.payload_kg,
            "temperature_c": budget.temperature_c,
            "wind": asdict(budget.wind),
            "population_source": self.population.source,
            "fleet": [{"hub": each.hub, "type": each.type_id, "mode": each.mode.value} for each in self.reaches],
            "rows": [
                {**asdict(row), "persons": round(row.persons, 2), "served": round(row.served, 2)}
                | {"share": round(row.share, 4)}
                for row in self.rows()
            ],
        }


def coverage(
    region: Region,
    fleet: Sequence[FleetVehicle],
    budget: Budget | None = None,
    *,
    permits: Sequence[Permit] = (),
    policy: Policy | None = None,
) -> Coverage:
    """Return whom a fleet can serve from its hubs, whoever ordered first: each trip is one delivery and the way back.

    A drone serves a cell of the population mesh if it can fly to its middle, lower a parcel there and fly home, as
    ``FlightPaths`` finds the ways. A robot serves a cell if at least half of the network's nodes in it are in reach;
    its minutes are their median. ``permits`` (those without hours) and ``policy`` bind as in planning. Of vehicles of
    one type at one hub the one with the healthiest battery counts. Raises ``BadInput`` when the region has no
    population or the fleet no vehicle.
    """
    budget = budget or Budget()
    population = region.population
    if population is None or not population.persons.any():
        raise BadInput(
            f"coverage: region {region.region_id!r} has no population: import it again with --population F (census)"
        )
    if not fleet:
        raise BadInput("coverage: the fleet has no vehicles")
    best: dict[tuple[str, str], FleetVehicle] = {}
    for vehicle in fleet:
        key = (vehicle.home_site, vehicle.type.type_id)
        if key not in best or vehicle.battery_health > best[key].battery_health:
            best[key] = vehicle
    policy = policy or Policy()
    paths, network = FlightPaths(region, permits=permits, policy=policy), GroundNetwork(region)
    cell_of = _cells_of_nodes(region, population)
    reaches = []
    for vehicle in best.values():
        hub, mode = region.site(vehicle.home_site), vehicle.type.kind
        usable = budget.energy_share * usable_wh(
            vehicle.type,
            health=vehicle.battery_health,
            temperature_c=budget.temperature_c,
            reserve_fraction=policy.reserve_fraction,
        )
        if mode is VehicleKind.DRONE:
            minutes = _flown(region, population, paths, hub, vehicle, usable, budget)
        else:
            minutes = _driven(population, cell_of, network, hub, vehicle.type, usable, budget)
        reaches.append(Reach(hub.site_id, vehicle.type.type_id, mode, minutes))
    names, of = _municipalities(region, population)
    return Coverage(region, population, budget, tuple(reaches), names, of)


def _payload_kg(kind: VehicleType, budget: Budget) -> float:
    return kind.payload_kg if budget.payload_kg is None else budget.payload_kg


def _middles(population: Population) -> tuple[Floats, Floats]:
    """East and north of the middles of all cells, shape of the mesh."""
    rows, columns = population.persons.shape
    east = population.west_m + (np.arange(columns) + 0.5) * population.step_m
    north = population.south_m + (np.arange(rows) + 0.5) * population.step_m
    shape = population.persons.shape
    return np.broadcast_to(east, shape).copy(), np.broadcast_to(north[:, None], shape).copy()


def _flown(
    region: Region,
    population: Population,
    paths: FlightPaths,
    hub: Site,
    vehicle: FleetVehicle,
    usable_energy_wh: float,
    budget: Budget,
) -> Floats:
    kind, payload_kg = vehicle.type, _payload_kg(vehicle.type, budget)
    minutes = np.full(population.persons.shape, np.inf)
    if not hub.pads or payload_kg > kind.payload_kg:
        return minutes
    east, north = _middles(population)
    pad_at = region.frame.to_local(hub.landing)
    # Nobody flies faster than in a straight line with all of the wind behind.
    nearest_s = np.hypot(east - pad_at[0], north - pad_at[1]) / (kind.max_airspeed_mps + budget.wind.greatest_mps)
    terrain = region.terrain
    inside = (east >= terrain.west_m) & (east <= terrain.east_m) & (north >= terrain.south_m)
    inside &= north <= terrain.north_m
    cells = np.flatnonzero((population.persons > 0.0) & (nearest_s + kind.service_s <= 60.0 * budget.minutes) & inside)
    heights = region.terrain.height_m(east.flat[cells], north.flat[cells])
    places = [
        region.frame.to_global(*at) for at in zip(east.flat[cells], north.flat[cells], heights.tolist(), strict=True)
    ]
    found = paths.lines([(hub.landing, place) for place in places], vehicle=vehicle)
    thin = iter(_thinned([line for line in found if not isinstance(line, NoWay)]))
    out: list[Movement] = []
    back: list[Movement] = []
    flown: list[int] = []
    for cell, place, line in zip(cells.tolist(), places, found, strict=True):
        if isinstance(line, NoWay):
            continue
        try:
            there, home = _there_and_back(region, kind, paths.positions(next(thin)), hub.landing, place, budget.wind)
        except NoWay:
            continue
        flown.append(cell)
        out.append(there)
        back.append(home)
    if not flown:
        return minutes
    base, per_kg = leg_energy(kind, out)
    needed = base + per_kg * payload_kg + leg_energy(kind, back, in_gusts=True)[0]
    needed += service_wh(kind, payload_kg, kind.service_s, wind=budget.wind)
    served_s = np.array([movement.duration_s for movement in out]) + kind.service_s
    within = (needed <= usable_energy_wh) & (served_s <= 60.0 * budget.minutes)
    minutes.flat[np.array(flown)[within]] = served_s[within] / 60.0
    return minutes


def _thinned(lines: Sequence[Floats]) -> list[Floats]:
    """Lines without the points that hardly bend them: many steps up a slope take as long as one."""
    if not lines:
        return []
    kept: list[set[int]] = [set() for _ in lines]
    count = [len(line) for line in lines]
    owner, points = np.repeat(np.arange(len(lines)), count), np.concatenate(lines)
    number = np.concatenate([np.arange(each) for each in count])
    along = np.concatenate([_along(line) for line in lines])
    for flat in (points[:, :2], np.stack((along, points[:, 2]), axis=1)):
        shapes = shapely.linestrings(np.column_stack((flat, number)), indices=owner)
        left, of = shapely.get_coordinates(
            shapely.simplify(shapes, THINNED_M, preserve_topology=False), include_z=True, return_index=True
        )
        for i, place in zip(of.tolist(), left[:, 2].astype(int).tolist(), strict=True):
            kept[i].add(place)
    return [line[sorted(places)] for line, places in zip(lines, kept, strict=True)]


def _along(line: Floats) -> Floats:
    return np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(line[:, :2], axis=0).T))))


def _there_and_back(
    region: Region, kind: VehicleType, path: tuple[Position, ...], pad: Position, place: Position, wind: Wind
) -> tuple[Movement, Movement]:
    release_m = place.alt_amsl_m + RELEASE_HEIGHT_M
    there = fly(
        kind, region.frame, path, from_alt_amsl_m=pad.alt_amsl_m, to_alt_amsl_m=release_m, lands=False, wind=wind
    )
    home = fly(
        kind,
        region.frame,
        path[::-1],
        from_alt_amsl_m=release_m,
        to_alt_amsl_m=pad.alt_amsl_m,
        takes_off=False,
        wind=wind,
    )
    return there.movement, home.movement


def _cells_of_nodes(region: Region, population: Population) -> npt.NDArray[np.int64]:
    """The cell of each node of the ground network, -1 outside of the mesh."""
    frame = region.frame
    at = np.array([frame.to_local(node.position) for node in region.nodes]).reshape(-1, 2)
    rows, columns = population.persons.shape
    column = np.floor((at[:, 0] - population.west_m) / population.step_m).astype(np.int64)
    row = np.floor((at[:, 1] - population.south_m) / population.step_m).astype(np.int64)
    on_mesh = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    return np.where(on_mesh, row * columns + column, -1)


def _driven(
    population: Population,
    cell_of: npt.NDArray[np.int64],
    network: GroundNetwork,
    hub: Site,
    kind: VehicleType,
    usable_energy_wh: float,
    budget: Budget,
) -> Floats:
    payload_kg = _payload_kg(kind, budget)
    minutes = np.full(population.persons.shape, np.inf)
    if hub.node is None or payload_kg > kind.payload_kg:
        return minutes
    reach = network.reach(hub.node, kind)
    home = network.reach(hub.node, kind, homewards=True)
    seconds = reach.seconds[0] + kind.service_s
    needed = reach.energy_wh(kind, payload_kg)[0] + home.energy_wh(kind, 0.0)[0]
    needed += service_wh(kind, payload_kg, kind.service_s)
    # Infinite less infinite is what no comparison is true of.
    within = np.isfinite(seconds) & (needed <= usable_energy_wh) & (seconds <= 60.0 * budget.minutes)
    on_mesh = (cell_of >= 0) & network.usable_nodes(kind)
    cell = cell_of[on_mesh]
    order = np.lexsort((np.where(within, seconds, np.inf)[on_mesh], cell))
    cells, first, counts = np.unique(cell[order], return_index=True, return_counts=True)
    # The median is infinite where more than half of the nodes are out of reach.
    median = np.where(within, seconds, np.inf)[on_mesh][order][first + (counts - 1) // 2]
    minutes.flat[cells] = median / 60.0
    minutes[population.persons == 0.0] = np.inf
    return minutes


def _municipalities(region: Region, population: Population) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Names, and which each cell's middle lies in, the smallest where areas overlap; one where the map has none."""
    features = [each for each in region.features if each.kind == MUNICIPALITY and len(each.coords) >= 3]
    shape = population.persons.shape
    if not features:
        return (region.name_en,), np.zeros(shape, dtype=np.int64)
    rings = [[region.frame.to_local(Position(lat, lon)) for lat, lon in each.coords] for each in features]
    areas = shapely.make_valid(np.array([shapely.Polygon(ring) for ring in rings], dtype=object))
    names = tuple(dict.fromkeys(each.name for each in features))
    of = np.full(shape, len(names), dtype=np.int64)
    east, north = _middles(population)
    for i in np.argsort(-shapely.area(areas), kind="stable").tolist():
        of[shapely.contains_xy(areas[i], east, north)] = names.index(features[i].name)
    return ((*names, ELSEWHERE), of) if (of[population.persons > 0.0] == len(names)).any() else (names, of)

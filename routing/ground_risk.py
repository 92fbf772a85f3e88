"""Ground risk of flights: the intrinsic ground risk class by population density and size of the aircraft."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from routing.errors import BadInput
from routing.region.model import Population, Region
from routing.vehicle_type import VehicleType

DENSITIES_KM2 = (5.0, 50.0, 500.0, 5_000.0, 50_000.0)
"""Upper bounds of the rows of the table, in persons per square kilometre; the first row is below the first."""

SIZES = ((1.0, 25.0), (3.0, 35.0), (8.0, 75.0), (20.0, 125.0), (40.0, 200.0))
"""Columns of the table: greatest dimension in m and greatest speed in m/s."""

OUT = 99
"""The class where the table has none: outside what SORA can be used for."""

CLASSES = (
    (2, 3, 4, 5, 6),
    (3, 4, 5, 6, 7),
    (4, 5, 6, 7, 8),
    (5, 6, 7, 8, 9),
    (6, 7, 8, 9, 10),
    (7, 8, OUT, OUT, OUT),
)
"""Intrinsic ground risk classes (JARUS SORA 2.5, main body, table 2), without the row of a controlled ground area."""

COST_SHARES = (0.0, 0.03, 0.1, 0.25, 0.6, 1.5)
"""By how much more a second of flight costs over each row of the table: over a town of 1,000 people to the square
kilometre a detour of a quarter is worth it."""

Ints = npt.NDArray[np.int64]


def column(vehicle_type: VehicleType) -> int | None:
    """The column of the table for a type: the first whose size and speed it keeps; ``None``: beyond the last."""
    for number, (span_m, speed_mps) in enumerate(SIZES):
        fastest_mps = max(vehicle_type.max_airspeed_mps, vehicle_type.cruise_speed_mps)
        if vehicle_type.span_m <= span_m and fastest_mps <= speed_mps:
            return number
    return None


def classes(at: int | None, density_km2: npt.ArrayLike) -> Ints:
    """Intrinsic ground risk classes in a ``column`` over places with so many persons per square kilometre."""
    rows = density_rows(density_km2)
    return np.full(rows.shape, OUT) if at is None else np.array([row[at] for row in CLASSES])[rows]


def density_rows(density_km2: npt.ArrayLike) -> Ints:
    """Rows of the table of densities."""
    return np.asarray(np.searchsorted(DENSITIES_KM2, np.asarray(density_km2, dtype=np.float64), side="right"))


def densities_km2(population: Population, east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Persons per square kilometre of the cells that places of the local frame lie in; none outside the mesh."""
    rows, columns = population.persons.shape
    column_ = np.floor((np.asarray(east_m, dtype=np.float64) - population.west_m) / population.step_m).astype(int)
    row = np.floor((np.asarray(north_m, dtype=np.float64) - population.south_m) / population.step_m).astype(int)
    inside = (column_ >= 0) & (column_ < columns) & (row >= 0) & (row < rows)
    persons = population.persons[np.clip(row, 0, rows - 1), np.clip(column_, 0, columns - 1)].astype(np.float64)
    return np.asarray(np.where(inside, persons, 0.0) * (1e6 / population.step_m**2))


def population_of(region: Region) -> Population:
    """The population that a limit of ground risk is judged by. Raises ``BadInput`` where the region has none."""
    if region.population is None:
        raise BadInput(
            f"policy.ground_risk: region {region.region_id} has no population to judge ground risk by; "
            "import one, or leave the limit out"
        )
    return region.population


def closed_cells(region: Region, at: int | None, limit: int) -> npt.NDArray[np.object_]:
    """Squares of the population mesh in the local frame over which the class in a ``column`` is above a limit.

    Raises ``BadInput`` where the region has no population.
    """
    mesh = population_of(region)
    density = mesh.persons.astype(np.float64) * (1e6 / mesh.step_m**2)
    row, place = np.nonzero(classes(at, density) > limit)
    west, south = mesh.west_m + place * mesh.step_m, mesh.south_m + row * mesh.step_m
    return np.asarray(shapely.box(west, south, west + mesh.step_m, south + mesh.step_m), dtype=object)


def cost_shares(region: Region) -> npt.NDArray[np.float64] | None:
    """By how much more a second of flight costs at the points of the region's terrain; ``None`` without people."""
    if region.population is None or not region.population.persons.any():
        return None
    terrain = region.terrain
    rows, columns = terrain.heights.shape
    east, north = np.meshgrid(
        terrain.west_m + terrain.step_m * np.arange(columns), terrain.south_m + terrain.step_m * np.arange(rows)
    )
    return np.asarray(np.array(COST_SHARES)[density_rows(densities_km2(region.population, east, north))])

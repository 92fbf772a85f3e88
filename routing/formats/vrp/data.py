"""What a classic file says, before any rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from routing.errors import BadInput
from routing.formats.vrp.rules import Objective, Rounding
from routing.search.model import Floats

MAX_BYTES = 64 * 2**20
MAX_PLACES = 5_000
"""Bounds of one file: a matrix of distances of that many places takes 200 MB."""

MAX_NUMBER = 1e10
"""No coordinate, time, load or cost of a file is larger: sums of much larger ones are no longer exact."""


@dataclass(frozen=True, slots=True)
class FileVehicle:
    """One vehicle of a file; ``depot`` counts from 0. ``allowed``: places it may serve, ``None`` for all."""

    capacity: float
    depot: int = 0
    fixed_cost: float = 0.0
    unit_cost: float = 1.0
    max_distance: float = math.inf
    max_duration: float = math.inf
    max_trips: int = 1
    allowed: frozenset[int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class VrpData:
    """N places, of which the first ``depots`` are depots; all else are customers, or ends of a pair.

    ``distance`` (N, N) and ``demand``, ``service``, ``release``, ``prize`` (N,; 0: must be served) and ``windows``
    (N, 2) are as in the file; ``duration_factor`` times the distance is the time it takes. ``pairs`` are pickup and
    delivery places. ``rounding`` and ``objective`` are what is usual for files of this kind. ``prints_scaled``:
    published costs are in the units of the rounding rule, not of the file. ``notes``: what was read past.
    """

    name: str
    kind: str
    depots: int
    distance: Floats
    demand: Floats
    windows: Floats
    service: Floats
    release: Floats
    prize: Floats
    vehicles: tuple[FileVehicle, ...]
    rounding: Rounding
    objective: Objective = Objective.DISTANCE
    pairs: tuple[tuple[int, int], ...] = ()
    duration_factor: float = 1.0
    prints_scaled: bool = False
    notes: tuple[str, ...] = ()


def euclidean(coords: Floats) -> Floats:
    """Distances between points of shape (N, 2)."""
    difference = coords[:, None, :] - coords[None, :, :]
    return np.asarray(np.sqrt((difference**2).sum(axis=2)), dtype=np.float64)


def number(text: str, where: str, *, least: float = -MAX_NUMBER) -> float:
    """Read a number of a file; raises ``BadInput`` unless it is finite, at least ``least`` and not huge."""
    try:
        value = float(text)
    except ValueError:
        raise BadInput(f"{where}: {text[:40]!r} is not a number") from None
    if not math.isfinite(value) or not least <= value <= MAX_NUMBER:
        raise BadInput(f"{where}: {text[:40]} is out of range ({least:g} to {MAX_NUMBER:g})")
    return value


def whole(text: str, where: str, *, least: int = 0, most: int = 10**9) -> int:
    """Read a whole number within bounds."""
    value = number(text, where)
    if value != int(value) or not least <= value <= most:
        raise BadInput(f"{where}: {text[:40]} must be a whole number from {least} to {most}")
    return int(value)


def check_customers(data: VrpData, where: str) -> VrpData:
    """Return the data; raises ``BadInput`` naming what no vehicle can ever carry or a window that ends too early."""
    if not data.vehicles:
        raise BadInput(f"{where}: no vehicles")
    early = np.flatnonzero(data.windows[:, 0] > data.windows[:, 1])
    if early.size:
        raise BadInput(f"{where}: place {early[0] + 1}: its time window ends before it begins")
    largest = max(vehicle.capacity for vehicle in data.vehicles)
    heavy = np.flatnonzero((np.abs(data.demand) > largest) & (data.prize == 0))
    if heavy.size:
        place = int(heavy[0])
        asked = f"place {place + 1}: a demand of {data.demand[place]:g}"
        raise BadInput(f"{where}: {asked} is more than any vehicle holds ({largest:g})")
    if len(data.demand) <= data.depots:
        raise BadInput(f"{where}: no customers")
    return data

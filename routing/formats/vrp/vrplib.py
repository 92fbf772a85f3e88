"""VRPLIB files (TSPLIB 95 with the sections of CVRPLIB and of PyVRP's dialect): specifications, then sections."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from routing.errors import BadInput
from routing.formats.vrp.data import MAX_PLACES, VrpData, check_customers, euclidean, number, whole
from routing.formats.vrp.fleet_sections import read_vehicles
from routing.formats.vrp.rules import Rounding
from routing.formats.vrp.sections import Row, Sections
from routing.search.model import Floats

_ROUNDING = {
    "VRPTW": Rounding.DIMACS,
    "PCVRPTW": Rounding.DIMACS,
    "PDVRPTW": Rounding.DIMACS,
    "PDPTW": Rounding.DIMACS,
    "MTVRPTWR": Rounding.DIMACS,
    "MDVRPTW": Rounding.EXACT,
    "HFVRP": Rounding.EXACT,
}
"""Usual rule by ``TYPE``; ROUND where it is not named."""

_SPECIFICATIONS = {
    "NAME", "TYPE", "DIMENSION", "VEHICLES", "CAPACITY", "SERVICE_TIME", "DROP_TIME", "DISTANCE", "EDGE_WEIGHT_TYPE",
    "EDGE_WEIGHT_FORMAT", "VEHICLES_MAX_DURATION", "VEHICLES_MAX_DISTANCE", "VEHICLES_MAX_RELOADS",
    "VEHICLES_FIXED_COST", "VEHICLES_UNIT_DISTANCE_COST", "COMMENT", "NODE_COORD_TYPE", "DISPLAY_DATA_TYPE",
}  # fmt: skip
_SECTIONS = {
    "NODE_COORD", "DEMAND", "LINEHAUL", "DEPOT", "TIME_WINDOW", "SERVICE_TIME", "RELEASE_TIME", "PRIZE",
    "EDGE_WEIGHT", "PICKUP_AND_DELIVERY", "CAPACITY", "VEHICLES_DEPOT", "VEHICLES_RELOAD_DEPOT",
    "VEHICLES_MAX_DURATION", "VEHICLES_MAX_DISTANCE", "VEHICLES_MAX_RELOADS", "VEHICLES_FIXED_COST",
    "VEHICLES_UNIT_DISTANCE_COST", "VEHICLES_ALLOWED_CLIENTS", "DISPLAY_DATA",
}  # fmt: skip


def is_vrplib(text: str) -> bool:
    """Tell whether a text looks like a VRPLIB file, be it cut short."""
    return bool(re.search(r"^\s*(NAME|TYPE|DIMENSION|COMMENT)\s*:|^\s*\w+_SECTION", text[:2_000], re.MULTILINE))


def read_vrplib(text: str, where: str, name: str) -> VrpData:
    """Read a VRPLIB file. Raises ``BadInput`` that names the line or the section."""
    sections = _split(text, where)
    dimension = sections.whole("DIMENSION", least=1, most=MAX_PLACES)
    depots = _depots(sections, dimension)
    pairs = _PairTable.read(sections, dimension, depots)
    kind = sections.specification("TYPE", "CVRP").upper()
    data = VrpData(
        name=sections.specification("NAME", name).strip('" ') or name,
        kind="PDPTW" if pairs and kind == "CVRP" else kind,
        depots=depots,
        distance=_distances(sections, dimension),
        demand=pairs.demand if pairs else _demand(sections, dimension),
        windows=pairs.windows if pairs else _windows(sections, dimension),
        service=pairs.service if pairs else _service(sections, dimension, depots),
        release=sections.by_place("RELEASE_TIME", dimension, 0.0),
        prize=sections.by_place("PRIZE", dimension, 0.0),
        vehicles=read_vehicles(sections, dimension, depots),
        rounding=_ROUNDING.get(kind, Rounding.ROUND),
        pairs=pairs.pairs if pairs else (),
        prints_scaled=True,
        notes=sections.notes,
    )
    if pairs and (data.release.any() or data.prize.any()):
        raise BadInput(f"{where}: PICKUP_AND_DELIVERY_SECTION together with release times or prizes")
    return check_customers(data, where)


def _split(text: str, where: str) -> Sections:
    specifications: dict[str, tuple[str, str]] = {}
    sections: dict[str, list[Row]] = {}
    notes: list[str] = []
    rows: list[Row] | None = None
    ended = False
    for at, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        place = f"{where}: line {at}"
        if not stripped:
            continue
        if stripped.upper().rstrip(":").strip() == "EOF":
            ended = True
            break
        heading = re.fullmatch(r"([A-Za-z_]+)_SECTION\s*:?", stripped)
        specification = None if heading else re.match(r"([A-Za-z_]+)\s*:\s*(.*)$", stripped)
        if heading:
            key = heading[1].upper()
            if key not in _SECTIONS:
                raise BadInput(f"{place}: {key}_SECTION is not supported")
            if key in sections:
                raise BadInput(f"{place}: {key}_SECTION comes twice")
            rows = sections.setdefault(key, [])
        elif specification:
            key = specification[1].upper()
            if key in specifications and key != "COMMENT":
                raise BadInput(f"{place}: {key} comes twice")
            if key not in _SPECIFICATIONS:
                notes.append(f"line {at}: {key} was read past")
            specifications[key] = (specification[2].strip(), place)
        elif rows is not None:
            rows.append(Row(place, stripped.split()))
        else:
            raise BadInput(f"{place}: {stripped[:40]!r} is neither 'KEY: value' nor in a section")
    if not ended and "DEPOT" not in sections:
        # Either may be left out; without both, whole sections may be gone and the rest still be readable.
        raise BadInput(f"{where}: cut short: there is neither a DEPOT_SECTION nor EOF")
    return Sections(where, specifications, sections, tuple(notes))


def _depots(sections: Sections, dimension: int) -> int:
    """How many depots there are: the first places, as in all published files."""
    if "DEPOT" not in sections.rows:
        return 1
    words = [(row.place, word) for row in sections.rows["DEPOT"] for word in row.words]
    depots = [whole(word, place, least=1, most=dimension) for place, word in words if word not in ("-1", "-1.0")]
    if not depots or depots != list(range(1, len(depots) + 1)):
        raise BadInput(f"{sections.where}: DEPOT_SECTION: the depots must be the first places, from 1 on")
    return len(depots)


def _demand(sections: Sections, dimension: int) -> Floats:
    key = "LINEHAUL" if "LINEHAUL" in sections.rows else "DEMAND"
    return sections.by_place(key, dimension, 0.0)


def _windows(sections: Sections, dimension: int) -> Floats:
    if "TIME_WINDOW" not in sections.rows:
        return np.tile([0.0, np.inf], (dimension, 1))
    return sections.table("TIME_WINDOW", dimension, 2, least=0.0)


def _service(sections: Sections, dimension: int, depots: int) -> Floats:
    if "SERVICE_TIME" in sections.rows:
        return sections.by_place("SERVICE_TIME", dimension, 0.0)
    key = "SERVICE_TIME" if "SERVICE_TIME" in sections.specifications else "DROP_TIME"
    times = np.full(dimension, sections.number(key, 0.0, least=0.0))
    times[:depots] = 0.0
    return times


def _distances(sections: Sections, dimension: int) -> Floats:
    given = sections.specification("EDGE_WEIGHT_TYPE", "EUC_2D").upper()
    if given == "EXPLICIT":
        return _explicit(sections, dimension)
    if given not in ("EUC_2D", "EXACT_2D", "CEIL_2D", "FLOOR_2D"):
        raise BadInput(f"{sections.where}: EDGE_WEIGHT_TYPE {given[:40]} is not supported; EUC_2D or EXPLICIT is")
    if "NODE_COORD" not in sections.rows:
        raise BadInput(f"{sections.where}: NODE_COORD_SECTION is missing")
    distance = euclidean(sections.table("NODE_COORD", dimension, 2))
    if given == "CEIL_2D":
        return np.ceil(distance)
    return np.floor(distance) if given == "FLOOR_2D" else distance


def _explicit(sections: Sections, dimension: int) -> Floats:
    """An ``EDGE_WEIGHT_SECTION``: a whole matrix, or a triangle of it by rows or columns (TSPLIB 95, 2.5)."""
    shape = sections.specification("EDGE_WEIGHT_FORMAT", "FULL_MATRIX").upper()
    where = f"{sections.where}: EDGE_WEIGHT_SECTION"
    if "EDGE_WEIGHT" not in sections.rows:
        raise BadInput(f"{where} is missing")
    values = [number(word, row.place, least=0.0) for row in sections.rows["EDGE_WEIGHT"] for word in row.words]
    if shape == "FULL_MATRIX":
        _count(values, dimension * dimension, where)
        return np.array(values).reshape(dimension, dimension)
    triangle = re.fullmatch(r"(UPPER|LOWER)_(DIAG_)?(ROW|COL)", shape)
    if not triangle:
        raise BadInput(f"{where}: EDGE_WEIGHT_FORMAT {shape[:40]} is not supported")
    # An upper triangle by columns is a lower one by rows, with rows and columns exchanged: the matrix is symmetric.
    lower = (triangle[1] == "LOWER") == (triangle[3] == "ROW")
    offset = 0 if triangle[2] else 1
    cells = np.tril_indices(dimension, -offset) if lower else np.triu_indices(dimension, offset)
    _count(values, len(cells[0]), where)
    distance = np.zeros((dimension, dimension))
    distance[cells] = values
    distance[cells[1], cells[0]] = values
    return distance


def _count(values: list[float], needed: int, where: str) -> None:
    if len(values) != needed:
        raise BadInput(f"{where}: {len(values)} numbers; {needed} are needed")


@dataclass(frozen=True, slots=True)
class _PairTable:
    """``PICKUP_AND_DELIVERY_SECTION``: demand, window, service, pickup and delivery place of each place."""

    demand: Floats
    windows: Floats
    service: Floats
    pairs: tuple[tuple[int, int], ...]

    @staticmethod
    def read(sections: Sections, dimension: int, depots: int) -> _PairTable | None:
        if "PICKUP_AND_DELIVERY" not in sections.rows:
            return None
        table = sections.table("PICKUP_AND_DELIVERY", dimension, 6)
        where = f"{sections.where}: PICKUP_AND_DELIVERY_SECTION"
        pairs = tuple(_pairs(table, depots, where))
        if 2 * len(pairs) != dimension - depots:
            raise BadInput(f"{where}: every place but depots must be a pickup or its delivery")
        return _PairTable(table[:, 0], table[:, 1:3], table[:, 3], pairs)


def _pairs(table: Floats, depots: int, where: str) -> Iterable[tuple[int, int]]:
    """Pairs of places, counted from 0; the table names them counted from 1, and 0 for none (LKH's PDPTW layout)."""
    for place in range(depots, len(table)):
        pickup, delivery = table[place, 4:6]
        if pickup == 0 and delivery > 0:
            if delivery != int(delivery) or not depots < delivery <= len(table):
                raise BadInput(f"{where}: place {place + 1}: there is no place {delivery:g} to deliver to")
            if table[int(delivery) - 1, 4] != place + 1 or table[int(delivery) - 1, 0] != -table[place, 0]:
                raise BadInput(f"{where}: places {place + 1} and {delivery:g} are not a pickup and its delivery")
            yield place, int(delivery) - 1

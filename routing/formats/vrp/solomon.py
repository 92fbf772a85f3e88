"""Tables of numbers: Solomon's and Homberger's VRPTW files, and Li and Lim's files of pickups and deliveries."""

from __future__ import annotations

import re

import numpy as np

from routing.errors import BadInput
from routing.formats.vrp.data import MAX_PLACES, FileVehicle, VrpData, check_customers, euclidean, number, whole
from routing.formats.vrp.rules import Objective, Rounding
from routing.search.model import Floats

_SOLOMON_COLUMNS = ("number", "x", "y", "demand", "ready time", "due date", "service time")
_LI_LIM_COLUMNS = ("task", "x", "y", "demand", "earliest", "latest", "service time", "pickup", "delivery")

_DIMACS_CUSTOMERS = 100
"""Solomon's files have so many; costs of larger ones (Homberger's) are published in double precision."""


def is_solomon(text: str) -> bool:
    """Tell whether a text has the headings of a Solomon or Homberger file."""
    words = text[:2_000].upper().split()
    return "VEHICLE" in words and "CUSTOMER" in words


def is_li_lim(text: str) -> bool:
    """Tell whether a text begins as Li and Lim's files do: three numbers, then rows of nine."""
    lines = [line.split() for line in text[:2_000].splitlines() if line.strip()]
    numeric = all(re.fullmatch(r"[-+.\dA-Za-z]+", word) for word in (lines[0] if lines else ["?"]))
    return numeric and len(lines[0]) == 3 and (len(lines) < 2 or len(lines[1]) == len(_LI_LIM_COLUMNS))


def read_solomon(text: str, where: str, name: str) -> VrpData:
    """Read a VRPTW in Solomon's layout. Raises ``BadInput`` that names the line."""
    lines = [(number_, line.split()) for number_, line in enumerate(text.splitlines(), 1) if line.strip()]
    heading = [index for index, (_, words) in enumerate(lines) if words[0].upper() in ("VEHICLE", "CUSTOMER")]
    if len(heading) != 2 or heading[1] + 2 > len(lines) or heading[0] + 3 > heading[1]:
        raise BadInput(f"{where}: VEHICLE with its numbers and CUSTOMER with its table are needed")
    at, fleet = lines[heading[0] + 2]
    if len(fleet) != 2:
        raise BadInput(f"{where}: line {at}: the number of vehicles and their capacity are needed")
    rows = _rows(lines[heading[1] + 2 :], where, _SOLOMON_COLUMNS)
    large = len(rows) > _DIMACS_CUSTOMERS + 1
    return _data(
        rows,
        where,
        name=" ".join(lines[0][1]) if heading[0] else name,
        kind="VRPTW",
        vehicles=whole(fleet[0], f"{where}: line {at}: vehicles", least=1, most=MAX_PLACES),
        capacity=number(fleet[1], f"{where}: line {at}: capacity", least=0.0),
        rounding=Rounding.NONE if large else Rounding.DIMACS,
        objective=Objective.VEHICLES if large else Objective.DISTANCE,
    )


def read_li_lim(text: str, where: str, name: str) -> VrpData:
    """Read a PDPTW in Li and Lim's layout: each pickup names its delivery and the other way round.

    Raises ``BadInput`` that names the line or the task.
    """
    lines = [(number_, line.split()) for number_, line in enumerate(text.splitlines(), 1) if line.strip()]
    at, first = lines[0]
    speed = number(first[2], f"{where}: line {at}: speed", least=0.0)
    rows = _rows(lines[1:], where, _LI_LIM_COLUMNS)
    return _data(
        rows,
        where,
        name=name,
        kind="PDPTW",
        vehicles=whole(first[0], f"{where}: line {at}: vehicles", least=1, most=MAX_PLACES),
        capacity=number(first[1], f"{where}: line {at}: capacity", least=0.0),
        rounding=Rounding.NONE,
        objective=Objective.VEHICLES,
        pairs=_pairs(rows, where),
        # Several of the published files have 0 there, which their solutions read as 1.
        duration_factor=1.0 / speed if speed else 1.0,
    )


def _rows(lines: list[tuple[int, list[str]]], where: str, columns: tuple[str, ...]) -> Floats:
    if len(lines) > MAX_PLACES:
        raise BadInput(f"{where}: {len(lines)} places; at most {MAX_PLACES}")
    rows = []
    for expected, (at, words) in enumerate(lines):
        if len(words) != len(columns):
            raise BadInput(f"{where}: line {at}: {len(words)} numbers; {len(columns)} are needed: {', '.join(columns)}")
        row = [number(word, f"{where}: line {at}: {what}") for word, what in zip(words, columns, strict=True)]
        if row[0] != expected:
            raise BadInput(f"{where}: line {at}: number {words[0]} where {expected} is due")
        if min(row[4:7]) < 0:
            raise BadInput(f"{where}: line {at}: times are numbers from 0 on")
        rows.append(row)
    if len(rows) < 2:
        raise BadInput(f"{where}: no customers")
    return np.array(rows, dtype=np.float64)


def _pairs(rows: Floats, where: str) -> tuple[tuple[int, int], ...]:
    pairs = []
    for row in rows[1:]:
        task, demand, pickup, delivery = int(row[0]), row[3], row[7], row[8]
        other = delivery if pickup == 0 else pickup
        if (pickup == 0) == (delivery == 0) or other != int(other) or not 0 < other < len(rows):
            raise BadInput(f"{where}: task {task}: it must name its pickup or its delivery, one of them")
        sibling = rows[int(other)]
        if sibling[7 if pickup == 0 else 8] != task or sibling[3] != -demand or (demand > 0) != (pickup == 0):
            raise BadInput(f"{where}: tasks {task} and {int(other)} are not a pickup and its delivery")
        if pickup == 0:
            pairs.append((task, int(other)))
    return tuple(pairs)


def _data(
    rows: Floats,
    where: str,
    *,
    name: str,
    kind: str,
    vehicles: int,
    capacity: float,
    rounding: Rounding,
    objective: Objective,
    pairs: tuple[tuple[int, int], ...] = (),
    duration_factor: float = 1.0,
) -> VrpData:
    if not pairs and rows[:, 3].min() < 0:
        raise BadInput(f"{where}: customer {int(rows[:, 3].argmin())}: a demand below 0")
    data = VrpData(
        name=name,
        kind=kind,
        depots=1,
        distance=euclidean(rows[:, 1:3]),
        demand=rows[:, 3],
        windows=rows[:, 4:6],
        service=rows[:, 6],
        release=np.zeros(len(rows)),
        prize=np.zeros(len(rows)),
        vehicles=(FileVehicle(capacity),) * vehicles,
        rounding=rounding,
        objective=objective,
        pairs=pairs,
        duration_factor=duration_factor,
    )
    return check_customers(data, where)

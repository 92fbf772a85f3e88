"""A classic file, whatever its layout, with the best known solution beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from routing.errors import BadInput
from routing.formats.vrp.data import VrpData
from routing.formats.vrp.instance import Instance, build_instance, with_unit
from routing.formats.vrp.rules import Objective, Rounding
from routing.formats.vrp.solomon import is_li_lim, is_solomon, read_li_lim, read_solomon
from routing.formats.vrp.solution import Solution, read_solution, read_text
from routing.formats.vrp.vrplib import is_vrplib, read_vrplib
from routing.search.model import SearchRoute
from routing.validate.routes import RouteReport, judge_routes

SUFFIXES = (".vrp", ".vrptw", ".txt")
"""What instances in a folder are called."""

_UNITS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)


@dataclass(frozen=True, slots=True)
class Reference:
    """The best known solution: its cost in the unit of ``Instance.printed``, and how many vehicles it uses.

    ``confirmed``: its routes break no rule, and cost this much; else it is only what a file states.
    """

    cost: float
    vehicles: int
    confirmed: bool
    routes: tuple[SearchRoute, ...]


def find_instances(places: Iterable[Path]) -> list[Path]:
    """Files as they are named; of folders, every file within that is called like an instance."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        else:
            found.append(place)
    return list(dict.fromkeys(found))


def read_data(path: Path) -> VrpData:
    """Read a file by what is in it. Raises ``BadInput`` that names file and line or section."""
    text = read_text(path)
    where = str(path)
    if is_vrplib(text):
        return read_vrplib(text, where, path.stem)
    if is_solomon(text):
        return read_solomon(text, where, path.stem)
    if is_li_lim(text):
        return read_li_lim(text, where, path.stem)
    raise BadInput(f"{where}: neither a VRPLIB, a Solomon nor a Li-Lim file")


def load_instance(
    path: Path, *, rounding: Rounding | None = None, objective: Objective | None = None
) -> tuple[Instance, Reference | None]:
    """Read an instance and the ``.sol`` file beside it, if there is one.

    The rounding rule, unless it is asked for, is the usual one of the file's kind, or the one under which the
    routes beside it cost what they are said to cost; so is the unit in which costs are printed. Raises ``BadInput``.
    """
    data = read_data(path)
    beside = path.with_suffix(".sol")
    if not beside.is_file():
        return build_instance(data, rounding, objective), None
    solution = read_solution(beside)
    try:
        return _with_reference(data, solution, rounding, objective)
    except BadInput as error:
        raise BadInput(f"{beside}: {error}") from None


def _with_reference(
    data: VrpData, solution: Solution, rounding: Rounding | None, objective: Objective | None
) -> tuple[Instance, Reference]:
    tried: list[tuple[Instance, RouteReport, tuple[SearchRoute, ...]]] = []
    for rule, minimised in _rules(data, solution, rounding):
        instance = build_instance(data, rule, objective or minimised)
        routes = instance.routes(solution.routes)
        report = judge_routes(instance.model, routes)
        tried.append((instance, report, routes))
        unit = _unit(report.cost - instance.vehicle_weight * report.vehicles, solution, rule)
        if unit is not None and solution.cost is not None:
            reference = Reference(solution.cost, report.vehicles, not report.violations, routes)
            return with_unit(instance, unit), reference
    instance, report, routes = tried[0]
    feasible = not report.violations
    if solution.cost is None or (rounding and feasible):
        # Under a rule of one's own, the published routes cost what they cost under it: like is compared with like.
        return instance, Reference(instance.printed(report.cost, report.vehicles), report.vehicles, feasible, routes)
    return instance, Reference(solution.cost, report.vehicles, False, routes)


def _rules(data: VrpData, solution: Solution, rounding: Rounding | None) -> list[tuple[Rounding, Objective]]:
    """Rounding rules that the published solution may follow, and what it minimises if so; the likeliest first."""
    if solution.cost is None:
        # Lists of vehicles-first solutions (SINTEF's) leave the cost out, and count in double precision.
        tables = not data.prints_scaled
        return [
            (rounding or (Rounding.NONE if tables else data.rounding), Objective.VEHICLES if tables else data.objective)
        ]
    rules = [rounding] if rounding else [data.rounding, *(rule for rule in Rounding if rule is not data.rounding)]
    # Nobody rounds where the number of vehicles comes first.
    return [(rule, data.objective if rule is Rounding.NONE else Objective.DISTANCE) for rule in rules]


def _unit(cost: float, solution: Solution, rule: Rounding) -> float | None:
    """The power of ten between a cost and what a file states, to all the digits that it states."""
    if solution.cost is None:
        return None
    # Some sums of unrounded distances are stated for files whose rule is thousandths (HFVRP): no other rule is so near.
    slack = 1e-6 if rule is Rounding.EXACT and solution.decimals else 1e-9
    step = 0.501 * 10.0**-solution.decimals if solution.decimals else 1e-6
    for unit in _UNITS:
        if abs(cost / unit - solution.cost) <= step + slack * abs(cost / unit):
            return unit
    return None

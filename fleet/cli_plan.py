"""``todoke plan``, ``todoke replan`` and ``todoke validate``: plans from files, without a service."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from fleet.cli_records import Home
from fleet.cli_regions import find_region
from fleet.errors import BadRequest
from fleet.fleet_file import read_fleet
from fleet.plan_file import PlanFile, read_plan, write_plan, write_whole
from fleet.weather import Report
from routing.errors import BadInput
from routing.formats.orders_csv import JAPAN, read_orders
from routing.formats.plan_geojson import plan_to_geojson
from routing.formats.plan_html import plan_to_html
from routing.formats.zone_files import read_zone_file
from routing.picture import draw_plan
from routing.plan import Plan
from routing.problem import OrderRequest, Problem
from routing.region.model import Region, Zone
from routing.region.notes import ImportNotes
from routing.validate import Violation, validate
from routing.wind import Wind

EXIT_VIOLATIONS = 1

if TYPE_CHECKING:
    from routing.explain import Explanation

_out = Console(highlight=False)

RegionName = Annotated[str | None, typer.Option("--region", help="A region's name, or the path of a bundle.")]
Maps = Annotated[
    list[Path] | None,
    typer.Option("--map", help="Draw the plan: .html, .png or .geojson; may be given several times."),
]
Seconds = Annotated[float, typer.Option(min=0.0, max=3600.0, help="Time to search for.")]
Workers = Annotated[int | None, typer.Option(min=1, max=256, help="Searches at once; one per core by default.")]
Out = Annotated[Path, typer.Option("--out", help="Write the plan here (JSON).")]
Explain = Annotated[Path | None, typer.Option("--explain", help="Write costs and reasons here (JSON).")]


def plan_command(
    region: Annotated[str, typer.Option("--region", help="A region's name, or the path of a bundle.")],
    fleet: Annotated[Path, typer.Option("--fleet", help="Fleet file (TOML).")],
    orders: Annotated[Path, typer.Option("--orders", help="Orders: CSV as of 'todoke orders import', or JSON.")],
    out: Out = Path("plan.json"),
    start: Annotated[str | None, typer.Option(help="When work begins (ISO 8601); now by default.")] = None,
    seconds: Seconds = 10.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: Workers = None,
    maps: Maps = None,
    explanation: Explain = None,
    home: Home = None,
) -> None:
    """Plan orders with a fleet in a region; the exit status is 1 when the validator has something against it."""
    from routing.solve import solve  # the search takes a second to load

    begin = moment("--start", start) if start else datetime.now(UTC)
    area = find_region(region, home)
    requests = read_requests(orders, area, start=begin)
    problem = read_fleet(fleet, area, start=begin).problem(area, requests, start=begin, seed=seed)
    plan = with_progress("Planning", lambda better: solve(problem, seconds=seconds, workers=workers, on_better=better))
    conclude(problem, plan, out=out, maps=maps or [], explanation=explanation)


def validate_command(
    file: Annotated[Path, typer.Argument(help="A plan as 'todoke plan' writes it.")],
    region: RegionName = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the violations here (JSON).")] = None,
    home: Home = None,
) -> None:
    """Check a plan against every rule, independently of how it was made; the exit status is 1 when it breaks one."""
    problem, plan = open_plan(read_plan(file), region, home)
    violations = validate(problem, plan)
    if as_json is not None:
        write_whole(as_json, json.dumps([asdict(one) for one in violations], ensure_ascii=False, default=str, indent=1))
    show_violations(violations)
    raise typer.Exit(EXIT_VIOLATIONS if violations else 0)


def replan_command(
    file: Annotated[Path, typer.Argument(help="A plan as 'todoke plan' writes it.")],
    now: Annotated[str, typer.Option("--now", help="The moment (ISO 8601), or +MINUTES after the plan's start.")],
    orders: Annotated[Path | None, typer.Option("--orders", help="New orders: CSV or JSON.")] = None,
    cancel: Annotated[list[str] | None, typer.Option("--cancel", help="A cancelled order; several times.")] = None,
    lost: Annotated[list[str] | None, typer.Option("--lost", help="A vehicle that is out; several times.")] = None,
    close: Annotated[
        list[Path] | None, typer.Option("--close", help="Zones closed from now on (GeoJSON, ED-269, ED-318).")
    ] = None,
    wind: Annotated[str | None, typer.Option("--wind", help="FROM_DEG,MPS[,GUST_MPS].")] = None,
    out: Out = Path("plan.json"),
    seconds: Seconds = 5.0,
    maps: Maps = None,
    explanation: Explain = None,
    region: RegionName = None,
    home: Home = None,
) -> None:
    """Plan anew what has not begun, changing as little as can be; the exit status is 1 when a rule is broken."""
    from routing.replan import Changes, replan  # the search takes a second to load

    problem, plan = open_plan(read_plan(file), region, home)
    at = _later(problem.start, now)
    changes = Changes(
        orders=read_requests(orders, problem.region, start=at) if orders else (),
        cancelled=tuple(cancel or ()),
        lost=tuple(lost or ()),
        closed=_closed(close or ()),
        wind=_wind(wind) if wind else None,
    )
    done = replan(problem, plan, at, changes, seconds=seconds)
    for moved in done.moved:
        _out.print(f"Moved     {moved.order_id}: {moved.message}", soft_wrap=True)
    if not done.moved:
        _out.print("Moved     nothing")
    _out.print(f"Begun     {len(done.frozen)} trips, which stay as they are")
    conclude(done.problem, done.plan, out=out, maps=maps or [], explanation=explanation)


def conclude(problem: Problem, plan: Plan, *, out: Path, maps: Sequence[Path], explanation: Path | None) -> None:
    """Check a new plan, write and draw it, and say what it does; exits with 1 when it breaks a rule."""
    from routing.explain import explain  # the search takes a second to load

    for file in maps:
        _drawer(file)
    violations = validate(problem, plan)
    reasons = explain(problem, plan)
    write_plan(out, problem, plan)
    for file in maps:
        _drawer(file)(problem, plan, file)
    if explanation is not None:
        write_whole(explanation, json.dumps(asdict(reasons), ensure_ascii=False, default=str, indent=1))
    _summarise(problem, plan, reasons)
    for file in (out, *maps, *([explanation] if explanation else [])):
        _out.print(f"Written   {file}", soft_wrap=True)
    show_violations(violations)
    if violations:
        raise typer.Exit(EXIT_VIOLATIONS)


def open_plan(file: PlanFile, region: str | None, home: Path | None) -> tuple[Problem, Plan]:
    """Return problem and plan of a file, in the region named or in the file's own."""
    return file.open(find_region(region or file.region, home))


def read_requests(file: Path, region: Region, *, start: datetime) -> tuple[OrderRequest, ...]:
    """Orders of a CSV file, times of day on the day of ``start`` in Japan, or of a JSON list of order requests.

    Raises ``BadRequest`` or ``BadInput`` naming file, row and column.
    """
    if file.suffix.lower() == ".json":
        try:
            return TypeAdapter(tuple[OrderRequest, ...]).validate_json(file.read_bytes())
        except OSError as error:
            raise BadRequest(f"{file}: cannot be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            raise BadRequest(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    try:
        rows = read_orders(file, region, day=start.astimezone(JAPAN).date())
    except BadInput as error:
        raise BadRequest(f"{file}: {error}") from error
    return tuple(OrderRequest(order_id=row.ref, **row.asked) for row in rows)


def moment(option: str, text: str) -> datetime:
    """A time of the command line, in Japan where it names no zone; raises ``BadRequest`` naming the option."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f"{option}: {text!r} is not a time such as 2026-11-22T08:30+09:00") from error
    return found if found.utcoffset() is not None else found.replace(tzinfo=JAPAN)


def with_progress(what: str, work: Callable[[Callable[[float, float], None]], Plan]) -> Plan:
    """Do long work that tells each better cost, and show it."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what)

        def better(seconds: float, cost: float) -> None:
            progress.update(task, description=f"{what}: cost {cost:,.0f} after {seconds:.1f} s")

        return work(better)


def show_violations(violations: Sequence[Violation]) -> None:
    """Print what the validator says."""
    if not violations:
        _out.print("[green]Valid[/green]: every rule is kept")
        return
    table = Table("rule", "where", "what", title=f"{len(violations)} violations")
    for one in violations[:50]:
        table.add_row(one.rule, one.subject, one.message)
    _out.print(table)
    if len(violations) > 50:
        _out.print(f"... and {len(violations) - 50} more")


def _summarise(problem: Problem, plan: Plan, reasons: Explanation) -> None:
    kinds = {vehicle.vehicle_id: vehicle.type.kind.value for vehicle in problem.vehicles}
    table = Table("vehicle", "kind", "trips", "orders", "km", "Wh", "from", "to")
    for route in plan.routes:
        legs = [leg for trip in route.trips for leg in trip.legs]
        table.add_row(
            route.vehicle_id,
            kinds[route.vehicle_id],
            str(len(route.trips)),
            str(sum(len(trip.order_ids) for trip in route.trips)),
            f"{sum(leg.distance_m for leg in legs) / 1000:.1f}",
            f"{sum(leg.energy_wh for leg in legs):.0f}",
            f"{route.trips[0].depart.astimezone(JAPAN):%H:%M}",
            f"{route.trips[-1].arrive.astimezone(JAPAN):%H:%M}",
        )
    _out.print(table)
    served = sum(len(trip.order_ids) for route in plan.routes for trip in route.trips)
    _out.print(f"Served    {served} of {len(problem.orders)} orders, cost {plan.cost:,.0f}")
    helped = {order.order_id: order.remedies for order in reasons.orders}
    for order in plan.unserved:
        _out.print(f"Unserved  {order.order_id}: {order.reason}", soft_wrap=True)
        for remedy in helped.get(order.order_id, ())[:1]:
            _out.print(f"          would be served with: {remedy.message}", soft_wrap=True)


_Drawer = Callable[[Problem, Plan, Path], None]


def _drawer(file: Path) -> _Drawer:
    """How a map is written, by its suffix; raises ``BadRequest`` for another."""
    drawers: dict[str, _Drawer] = {
        ".png": draw_plan,
        ".html": lambda problem, plan, to: write_whole(to, plan_to_html(problem, plan)),
        ".geojson": lambda problem, plan, to: write_whole(
            to, json.dumps(plan_to_geojson(problem, plan), ensure_ascii=False)
        ),
    }
    found = drawers.get(file.suffix.lower())
    if found is None:
        raise BadRequest(f"--map: {file} must end with {', '.join(drawers)}")
    return found


def _later(start: datetime, text: str) -> datetime:
    """A time of the command line: ISO 8601, or ``+MINUTES`` after ``start``; raises ``BadRequest``."""
    if text.startswith("+"):
        try:
            return start + timedelta(minutes=float(text[1:]))
        except (ValueError, OverflowError) as error:
            raise BadRequest(f"--now: {text!r} is not +MINUTES") from error
    return moment("--now", text)


def _wind(text: str) -> Wind:
    """``FROM_DEG,MPS[,GUST_MPS]`` of the command line; raises ``BadRequest``."""
    try:
        from_deg, mps, *gusts = (float(part) for part in text.split(","))
        (gust_mps,) = gusts or [mps]
    except ValueError as error:
        raise BadRequest(f"--wind: {text!r} is not FROM_DEG,MPS[,GUST_MPS], such as 270,5,8") from error
    return Report(from_deg, mps, gust_mps).wind()


def _closed(files: Sequence[Path]) -> tuple[Zone, ...]:
    notes = ImportNotes()
    zones = tuple(zone for file in files for zone in read_zone_file(file, notes, option="--close"))
    for warning in notes.warnings:
        _out.print(f"Zones     {warning}", soft_wrap=True)
    for reason, number in notes.skipped.items():
        _out.print(f"Zones     skipped: {number} {reason}", soft_wrap=True)
    return zones

"""``todoke demo``: a scripted day on the real service, with a live console or headless with a report."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fleet import missions, orders, report
from fleet.cli_regions import find_region
from fleet.config import Settings, load
from fleet.db.database import Connection, Database
from fleet.errors import ConfigError, FleetError
from fleet.logs import configure
from fleet.places import free_port, port_is_free, remove_home
from fleet.scenarios import proof
from fleet.scenarios.day import Day, DayPlan, begin, sign_in_link, wait_until_over
from fleet.supervisor import Supervisor
from fleet.weather import Report
from routing.region.model import Region
from routing.region.sample import sample_region, village_region

KEPT_DEMOS = 3
DEFAULT_SPEED = 5.0
EXIT_UNFINISHED = 1
SMALL_DAY = 4
"""A day of so few vehicles and orders plays in a village, a larger one in a municipality."""

_out = Console(highlight=False)


def demo(
    headless: Annotated[bool, typer.Option(help="End by itself when the day is over.")] = False,
    speed: Annotated[float, typer.Option(min=0.1, max=100, help="How many times faster than real.")] = DEFAULT_SPEED,
    drones: Annotated[int, typer.Option(min=0, max=16, help="Drones.")] = 4,
    robots: Annotated[int, typer.Option(min=0, max=16, help="Delivery robots.")] = 4,
    order_count: Annotated[int, typer.Option("--orders", min=1, max=200, help="Orders of the day.")] = 24,
    region: Annotated[
        str | None, typer.Option(help="A region of yours; by default a sample: a village for a small day.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample region, the orders and all noise.")] = 1,
    px4: Annotated[
        Path | None, typer.Option("--px4", "--px4-dir", help="PX4 SITL build (bin/px4, etc/) that flies the drones.")
    ] = None,
    wind_mps: Annotated[float, typer.Option("--wind", min=0, max=20, help="Wind in m/s, told to planning too.")] = 0.0,
    wind_from_deg: Annotated[float, typer.Option("--wind-from", min=0, max=360, help="Where it blows from.")] = 270.0,
    report_file: Annotated[Path | None, typer.Option("--report", help="Write the day's report here (JSON).")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the console; 8600 or a free one by default.")] = None,
    home: Annotated[Path | None, typer.Option("--home", help="Folder under which the demo keeps its data.")] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Wall seconds after which a headless day fails.")] = 900,
) -> None:
    """Run a morning of a mountain municipality: simulated vehicles, scripted staff, the real service."""
    if px4 is not None and not (px4 / "bin" / "px4").is_file():
        raise ConfigError(f"--px4: {px4} has no bin/px4; name the folder of a PX4 SITL build")
    if report_file is not None and not report_file.absolute().parent.is_dir():
        raise ConfigError(f"--report: the folder of {report_file} does not exist")
    if px4 is not None and wind_mps:
        raise ConfigError("--wind: PX4's built-in simulation knows no wind; leave it out with --px4")
    configure("warning")
    weather = Report(wind_from_deg, wind_mps, wind_mps)
    plan = DayPlan(drones, robots, order_count, seed, px4.absolute() if px4 else None, weather)
    place = _place(region, plan, home)
    settings = _settings(home, speed=speed, port=port)
    running = _run(settings, plan, place, headless=headless, report_file=report_file, timeout_s=timeout_s)
    raise typer.Exit(asyncio.run(running))


def _place(name: str | None, plan: DayPlan, home: Path | None) -> Region:
    """Return the region named, or a sample that fits the day."""
    if name is not None:
        return find_region(name, home)
    if plan.drones + plan.robots <= SMALL_DAY and plan.orders <= SMALL_DAY:
        return village_region(plan.seed)
    return sample_region(plan.seed)


def _settings(home: Path | None, *, speed: float, port: int | None) -> Settings:
    """Return settings with a fresh home for this demo; old demos are removed but for the newest."""
    base = load({"home": home}).home / "demo"
    base.mkdir(parents=True, exist_ok=True)
    for old in sorted(base.glob("20*"))[: -KEPT_DEMOS + 1 or None]:
        remove_home(old)
    fresh = base / datetime.now().astimezone().strftime("%Y%m%d-%H%M%S-%f")
    if port is None:
        port = 8600 if port_is_free("127.0.0.1", 8600) else free_port("127.0.0.1")
    given = {"home": fresh, "speed": speed, "api_port": port, "api_host": "127.0.0.1"}
    # The demo is whole in itself: it never uses a database or broker that other settings name.
    return load(given | {"database_url": "", "broker_url": "", "allow_real": False, "log_level": "warning"})


async def _run(
    settings: Settings, plan: DayPlan, place: Region, *, headless: bool, report_file: Path | None, timeout_s: float
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def end() -> None:
        stop.set()
        if task is not None:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    began = time.monotonic()
    try:
        async with _day(settings, plan, place) as day:
            _out.print(f"Console  [bold]{day.runtime.api_url}[/bold]")
            _out.print(f"Sign in  {await sign_in_link(day.runtime, 'demo')}   (once, as a pilot)", soft_wrap=True)
            _out.print(f"Data     {settings.home}", soft_wrap=True)
            code = await _live_through(day, headless=headless, timeout_s=timeout_s)
            result = await _result(day, wall_s=time.monotonic() - began)
            _show(result)
            if report_file is not None:
                _write(report_file, result)
            if not headless:
                _out.print("The day is over. The console stays up; Ctrl-C ends it.")
                await stop.wait()
            return code
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        return 0 if not headless else 130


@asynccontextmanager
async def _day(settings: Settings, plan: DayPlan, place: Region) -> AsyncIterator[Day]:
    _out.print("Starting database, broker, api, planner and gateway ...")
    async with Supervisor(settings) as service, begin(plan, place, service.runtime) as day:
        yield day


async def _live_through(day: Day, *, headless: bool, timeout_s: float) -> int:
    """Let the day run to its end; return the exit code."""
    seen: dict[str, str] = {}

    async def tell(conn: Connection) -> None:
        await _tell_news(conn, day, seen)

    async with day.at_work():
        try:
            await wait_until_over(day, timeout_s=timeout_s if headless else 86_400, on_round=tell)
        except FleetError as error:
            _out.print(f"[red]{error}[/red]")
            return EXIT_UNFINISHED
    return 0


async def _tell_news(conn: Connection, day: Day, seen: dict[str, str]) -> None:
    """Print each order and mission whose state has changed."""
    region_id = day.region.region_id
    for row in await orders.listing(conn, region_id=region_id):
        key = f"order {row['external_ref']}"
        text = f"{row['state']}" + (f": {row['reason']}" if row["reason"] else "")
        _tell(day, seen, key, text)
    for row in reversed(await missions.listing(conn, region_id=region_id)):
        text = f"{row['state']}" + (f": {row['reason']}" if row["reason"] else "")
        _tell(day, seen, f"{row['vehicle_id']} {row['mission_id']}", text)


def _tell(day: Day, seen: dict[str, str], key: str, text: str) -> None:
    if seen.get(key) != text:
        seen[key] = text
        _out.print(f"[dim]{day.clock.now():%H:%M:%S}[/dim] {key:<24} {text}", soft_wrap=True)


async def _result(day: Day, *, wall_s: float) -> dict[str, Any]:
    """Return the report, with what the simulators' own logs say beside it."""
    async with Database.open(day.runtime.dsn, max_size=1) as database, database.transaction() as conn:
        found = await report.of_day(conn, region_id=day.region.region_id, clock=day.clock)
        found["proof"] = await proof.hold_against_logs(conn, day.simulation.log_dir)
        found["samples"]["lost"] = found["proof"]["samples_lost"]
    found["seconds"]["demo_wall"] = round(wall_s, 1)
    return found


def _write(path: Path, result: dict[str, Any]) -> None:
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    _out.print(f"Report   {path}", soft_wrap=True)


def _show(result: dict[str, Any]) -> None:
    table = Table("order", "state", "by", "evidence", "custody from shelf to door", title="The day")
    for delivery in result["deliveries"]:
        chain = " → ".join(step["holder"] for step in delivery["custody"])
        row = (delivery["ref"], delivery["state"], delivery["mode"] or "", delivery["evidence"] or "", chain)
        table.add_row(*row)
    _out.print(table)
    for failed in result["orders"]["failed"]:
        _out.print(f"{failed['ref']}: {failed['reason']}")
    total, distance, seconds = result["orders"], result["distance_km"], result["seconds"]
    _out.print(
        f"{total['delivered']} of {total['total']} delivered, {total['on_time']} on time; "
        f"drone {distance['drone']:.2f} km, robot {distance['robot']:.2f} km; "
        f"{result['samples']['stored']} samples; {seconds['simulated'] or 0:.0f} s simulated "
        f"in {seconds['demo_wall']:.0f} s"
    )
    if sounded := result["alarms"]:
        delays = sounded["detection_wall_s"]
        _out.print(
            f"{sounded['alarms']} alarms, {sounded['per_operator_per_10_min']:.2f} per operator per 10 minutes"
            + (f"; raised {delays['most']:.1f} s after the first sight at most" if delays["alarms"] else "")
        )
    checked = result["proof"]
    with suppress(KeyError):
        _out.print(
            f"Held against the simulators' logs: {checked['released']} released, {checked['delivered']} recorded, "
            f"{len(checked['differences'])} differences; {checked['samples_lost']} samples lost"
        )

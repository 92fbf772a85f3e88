"""``todoke orders``, ``vehicle``, ``user`` and ``report``: the records of a service that runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from fleet import flight_log, log_view, order_files, orders, regions, report, signing_keys, users, vehicles
from fleet.config import load
from fleet.db.database import Connection, Database
from fleet.errors import BadRequest, NotFound, StartFailed
from fleet.places import holder_of
from fleet.runtime import Runtime, load_runtime
from routing.problem import Category

ACTOR = "command line"

orders_app = typer.Typer(help="Orders.", no_args_is_help=True)
vehicle_app = typer.Typer(help="The register of vehicles.", no_args_is_help=True)
user_app = typer.Typer(help="Users.", no_args_is_help=True)
log_app = typer.Typer(help="Flight logs.", no_args_is_help=True)

Home = Annotated[Path | None, typer.Option("--home", help="Folder of the service's data (TODOKE_HOME).")]
_T = TypeVar("_T")
_out = Console(highlight=False)


def with_service(home: Path | None, work: Callable[[Connection, Runtime], Awaitable[_T]]) -> _T:
    """Run ``work`` in one transaction on the database of the running service."""
    folder = load({"home": home}).home
    if holder_of(folder / "run" / "supervisor.lock") is None:
        raise StartFailed(f"no service runs in {folder}: start one with 'todoke serve'")
    runtime = load_runtime(folder, "cli")

    async def run() -> _T:
        async with Database.open(runtime.dsn, max_size=1) as database, database.transaction() as conn:
            return await work(conn, runtime)

    return asyncio.run(run())


async def _only_region(conn: Connection) -> str:
    known = await regions.listing(conn)
    if not known:
        raise NotFound("there is no region yet; create one with 'todoke region sample'")
    return str(known[0]["region_id"])


@orders_app.command("import")
def orders_import(file: Annotated[Path, typer.Argument(help="CSV file.")], home: Home = None) -> None:
    """Take a CSV file of orders in, whole or not at all."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadRequest(f"{file}: cannot be read: {error.strerror}") from error

    async def work(conn: Connection, runtime: Runtime) -> tuple[int, int]:
        return await order_files.import_csv(
            conn, content, region_id=await _only_region(conn), at=runtime.clock.now(), actor=ACTOR
        )

    new, known = with_service(home, work)
    _out.print(f"{new} orders taken, {known} were known already")


@orders_app.command("list")
def orders_list(home: Home = None) -> None:
    """Show all orders and their states."""

    async def work(conn: Connection, runtime: Runtime) -> list[dict[str, Any]]:
        return await orders.listing(conn, region_id=await _only_region(conn))

    for row in with_service(home, work):
        _out.print(f"{row['external_ref']:<12} {row['state']:<10} {row['dropoff_site']:<12} {row['reason'] or ''}")


@vehicle_app.command("register")
def vehicle_register(
    vehicle_id: str,
    type_id: Annotated[str, typer.Option("--type", help="Profile, such as multirotor_1kg.")],
    home_site: Annotated[str, typer.Option("--site", help="Home site.")],
    link: Annotated[str, typer.Option(help='JSON, such as {"protocol": "mavlink", "bind": "127.0.0.1:14540"}.')],
    simulated: Annotated[bool, typer.Option(help="A simulator, not a vehicle.")] = False,
    uid: Annotated[str | None, typer.Option(help="Hardware uid of the autopilot, hex.")] = None,
    pad: Annotated[int, typer.Option(help="Pad of the home site on which a drone stands.")] = 0,
    category: Annotated[Category, typer.Option(help="Category of its flights: how many one pilot may have up.")] = (
        Category.LEVEL_4
    ),
    home: Home = None,
) -> None:
    """Register a vehicle: nothing that is not registered is ever commanded."""
    try:
        parsed = json.loads(link)
    except json.JSONDecodeError as error:
        raise BadRequest(f"--link: not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise BadRequest("--link: a JSON object is needed")

    async def work(conn: Connection, runtime: Runtime) -> None:
        region_id = await _only_region(conn)
        new = vehicles.NewVehicle(vehicle_id, type_id, home_site, parsed, simulated, uid, pad, category)
        await vehicles.register(conn, new, region_id=region_id, at=runtime.clock.now(), actor=ACTOR)

    with_service(home, work)
    _out.print(f"{vehicle_id} is registered")


@vehicle_app.command("key")
def vehicle_key(name: Annotated[str, typer.Argument(help="Its name.")], home: Home = None) -> None:
    """Make a key for MAVLink signing; load it into the vehicle over a cable, and name it as "key" in its link."""
    _out.print(f"{signing_keys.make(load({'home': home}).home, name)}: load this key into the vehicle", soft_wrap=True)


@user_app.command("add")
def user_add(
    user_id: str,
    role: Annotated[str, typer.Option(help=", ".join(users.ROLES))],
    name: Annotated[str | None, typer.Option(help="Name shown.")] = None,
    home: Home = None,
) -> None:
    """Add or change a user, and print a sign-in link that works once."""

    async def work(conn: Connection, runtime: Runtime) -> str:
        now = runtime.clock.now()
        await users.put(conn, user_id=user_id, display_name=name or user_id, role=role, at=now, actor=ACTOR)
        return f"{runtime.api_url}/#sign-in={await users.new_link(conn, user_id)}"

    _out.print(with_service(home, work), soft_wrap=True)


@user_app.command("password")
def user_password(
    user_id: str,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
    home: Home = None,
) -> None:
    """Set a user's password."""

    async def work(conn: Connection, runtime: Runtime) -> None:
        await users.set_password(conn, user_id, password, at=runtime.clock.now(), actor=ACTOR)

    with_service(home, work)


@user_app.command("disable")
def user_disable(user_id: str, home: Home = None) -> None:
    """Let a user in no more, at once; 'todoke user add' lets in again."""

    async def work(conn: Connection, runtime: Runtime) -> None:
        await users.disable(conn, user_id, at=runtime.clock.now(), actor=ACTOR)

    with_service(home, work)


class _Lang(StrEnum):
    JA = "ja"
    EN = "en"


@log_app.command("export")
def log_export(
    vehicle_id: str,
    folder: Annotated[Path, typer.Argument(help="Where to write a CSV file for each part of the log.")],
    lang: Annotated[_Lang | None, typer.Option(help="Headings in one language; both by default.")] = None,
    home: Home = None,
) -> None:
    """Write a vehicle's flight log: flights (or drives), defects, daily inspections, maintenance."""

    async def work(conn: Connection, runtime: Runtime) -> dict[str, str]:
        start, end = flight_log.ALWAYS
        log = await log_view.read(conn, vehicle_id, start=start, end=end)
        return {kind: log_view.csv(log, kind, lang.value if lang else None) for kind in log["parts"]}

    for kind, text in with_service(home, work).items():
        path = folder / f"{vehicle_id}-{kind}.csv"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise BadRequest(f"{path}: cannot be written: {error.strerror}") from error
        _out.print(str(path), soft_wrap=True)


def report_command(
    file: Annotated[Path | None, typer.Argument(help="Where to write it; the screen by default.")] = None,
    home: Home = None,
) -> None:
    """Write the day's report as JSON."""

    async def work(conn: Connection, runtime: Runtime) -> dict[str, Any]:
        return await report.of_day(conn, region_id=await _only_region(conn), clock=runtime.clock)

    text = json.dumps(with_service(home, work), indent=2, ensure_ascii=False, default=str)
    if file is None:
        print(text)  # noqa: T201
    else:
        file.write_text(text + "\n", encoding="utf-8")

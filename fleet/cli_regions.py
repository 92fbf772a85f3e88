"""``todoke region``: operating areas, as bundles in the home and in a service that runs there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from fleet import regions
from fleet.cli_records import Home, with_service
from fleet.config import load
from fleet.db.database import Connection
from fleet.errors import BadRequest, NotFound
from fleet.places import holder_of, make_home
from fleet.runtime import Runtime
from routing.errors import RoutingError
from routing.region.bundle import load_bundle
from routing.region.model import Region
from routing.region.sample import sample_region

region_app = typer.Typer(help="Regions.", no_args_is_help=True)

_out = Console(highlight=False)


@region_app.command("sample")
def region_sample(
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another municipality.")] = 1,
    scale: Annotated[float, typer.Option(help="Multiplies its extent of 15 x 10 km.")] = 1.0,
    home: Home = None,
) -> None:
    """Make a fictional mountain municipality."""
    keep_and_tell(sample_region(seed, scale=scale), home)


@region_app.command("show")
def region_show(
    name: Annotated[str, typer.Argument(help="Its name, or the path of a bundle.")],
    png: Annotated[Path | None, typer.Option(help="Draw it into this file.")] = None,
    zones: Annotated[Path | None, typer.Option(help="Write its zones into this file (ED-318).")] = None,
    country: Annotated[str, typer.Option(help="Country of those zones, three letters (ISO 3166).")] = "JPN",
    home: Home = None,
) -> None:
    """Describe a region, draw a map of it, and write its zones for others."""
    region = find_region(name, home)
    _out.print(_described(region))
    if png is not None:
        from routing.picture import draw_region

        try:
            draw_region(region, png)
        except OSError as error:
            raise BadRequest(f"--png: {png} cannot be written: {error.strerror}") from error
        _out.print(f"Map      {png}", soft_wrap=True)
    if zones is not None:
        from routing.formats.zones_ed318 import write_ed318

        try:
            written = write_ed318(region.zones, name=region.name_en, country=country)
            zones.write_text(json.dumps(written, ensure_ascii=False), "utf-8")
        except OSError as error:
            raise BadRequest(f"--zones: {zones} cannot be written: {error.strerror}") from error
        _out.print(f"Zones    {zones}", soft_wrap=True)


@region_app.command("list")
def region_list(home: Home = None) -> None:
    """Show all regions: those in the home's folder, and those of the service if it runs."""
    folder = load({"home": home}).home
    stored = {row["region_id"]: row for row in _stored(home)} if _service_runs(folder) else {}
    table = Table(Column("name", overflow="fold"), "place", "extent", "sites", "bundle", "service")
    for path in regions.kept(folder):
        try:
            region = load_bundle(path)
        except RoutingError as error:
            table.add_row(path.name, f"[red]{error}[/red]", "", "", "damaged", "")
            continue
        row = stored.pop(path.name, None)
        same = "" if row is None else "stored" if row["bundle_hash"] == region.content_hash() else "other content"
        table.add_row(path.name, region.name_en, _extent(region), str(len(region.sites)), "yes", same)
    for region_id, row in stored.items():
        table.add_row(region_id, row["name_en"], "", "", "", "stored")
    if table.row_count:
        _out.print(table)
    else:
        _out.print("There is no region yet. Make one: todoke region sample")


def keep_and_tell(region: Region, home: Path | None) -> None:
    """Write a region's bundle into the home, store it in the service that runs there, and say so."""
    folder = make_home(load({"home": home}).home)
    path = regions.keep(folder, region)
    _out.print(_described(region))
    _out.print(f"Bundle   {path}", soft_wrap=True)
    if not _service_runs(folder):
        _out.print("Service  none runs; 'todoke serve' takes it up")
        return

    async def work(conn: Connection, runtime: Runtime) -> None:
        await regions.store(conn, region, at=runtime.clock.now())

    with_service(home, work)
    _out.print("Service  stored")


def find_region(name: str, home: Path | None) -> Region:
    """Return a region of the home, or of the service that runs there; raises ``NotFound`` naming those there are."""
    folder = load({"home": home}).home
    try:
        return regions.find(folder, name)
    except NotFound:
        if not _service_runs(folder):
            raise

    async def work(conn: Connection, runtime: Runtime) -> Region:
        return await regions.load(conn, name)

    return with_service(home, work)


def _stored(home: Path | None) -> list[dict[str, Any]]:
    async def work(conn: Connection, runtime: Runtime) -> list[dict[str, Any]]:
        return await regions.listing(conn)

    return with_service(home, work)


def _service_runs(folder: Path) -> bool:
    return holder_of(folder / "run" / "supervisor.lock") is not None


def _extent(region: Region) -> str:
    terrain = region.terrain
    return f"{(terrain.east_m - terrain.west_m) / 1000:.1f} x {(terrain.north_m - terrain.south_m) / 1000:.1f} km"


def _described(region: Region) -> str:
    kinds: dict[str, int] = {}
    for site in region.sites:
        kinds[site.kind.value] = kinds.get(site.kind.value, 0) + 1
    sites = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in kinds.items())
    heights = region.terrain.heights
    robot_km = sum(edge.length_m for edge in region.edges if edge.robot) / 1000
    all_km = sum(edge.length_m for edge in region.edges) / 1000
    persons = "" if region.population is None else f"\nPersons  {region.population.persons.sum():,.0f}"
    return (
        f"Region   [bold]{region.region_id}[/bold]: {region.name_ja} / {region.name_en}, {_extent(region)}\n"
        f"Terrain  {heights.min():.0f} to {heights.max():.0f} m AMSL, {region.terrain.datum}, "
        f"90 % within {region.terrain.error_m:g} m\n"
        f"Sites    {sites}\n"
        f"Ways     {all_km:.1f} km, {robot_km:.1f} km for robots; {len(region.nodes)} nodes\n"
        f"Zones    {len(region.zones)} no-fly zones, {len(region.obstacles)} obstacles{persons}"
    )

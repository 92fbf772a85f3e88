"""``todoke coverage``: whom a fleet can serve from its hubs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from fleet.cli_records import Home
from fleet.cli_regions import find_region
from fleet.errors import BadRequest
from fleet.fleet_file import read_fleet
from hardware.profiles import load_profile, profile_ids
from routing.problem import FleetVehicle, Permit, Policy
from routing.region.model import Region, SiteKind
from routing.wind import CALM

if TYPE_CHECKING:
    from routing.coverage import Coverage, CoverageRow

_out = Console(highlight=False, soft_wrap=True)


def coverage_command(
    region: Annotated[str, typer.Option("--region", help="A region's name, or the path of a bundle.")],
    fleet: Annotated[
        Path | None, typer.Option("--fleet", help="Fleet file (TOML); its vehicles' homes are hubs.")
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="Without a fleet file: types of vehicles at each hub; all by default."),
    ] = None,
    hubs: Annotated[
        list[str] | None, typer.Option("--hub", help="Sites to serve from; all hubs of the region by default.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="From leaving the hub until the parcel is handed over.")] = 30.0,
    energy: Annotated[
        float, typer.Option("--energy", help="Share of the usable energy (battery less reserve) that a trip may use.")
    ] = 1.0,
    payload: Annotated[
        float | None, typer.Option("--payload", help="Parcel in kg; all that each type carries by default.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="Of the batteries in C; the fleet file's, or 20, by default.")
    ] = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write all figures here (JSON).")] = None,
    png: Annotated[Path | None, typer.Option("--png", help="Draw a map into this file.")] = None,
    home: Home = None,
) -> None:
    """Show what share of the population each hub can serve, by age band, mode and municipality."""
    from routing.coverage import Budget, coverage

    area = find_region(region, home)
    begin = datetime.now(UTC)
    wind, degrees = CALM, 20.0
    permits: Sequence[Permit] = ()
    policy = Policy()
    if fleet is not None:
        if types:
            raise BadRequest("--type: the fleet file names the types; give one or the other")
        given = read_fleet(fleet, area, start=begin)
        vehicles, wind, degrees = given.vehicles, given.wind, given.temperature_c
        permits, policy = given.permits, given.policy
        vehicles = tuple(one for one in vehicles if not hubs or one.home_site in hubs)
        if not vehicles:
            raise BadRequest(f"--hub {', '.join(hubs or ())}: no vehicle of {fleet} has its home there")
    else:
        vehicles = _everywhere(area, types or profile_ids(), hubs, begin)
    degrees = degrees if temperature is None else temperature
    found = coverage(area, vehicles, Budget(minutes, energy, payload, wind, degrees), permits=permits, policy=policy)
    _show(found)
    if as_json is not None:
        _write("--json", as_json, json.dumps(found.to_json(), ensure_ascii=False, indent=1) + "\n")
    if png is not None:
        from routing.coverage_picture import draw_coverage

        try:
            draw_coverage(found, png)
        except OSError as error:
            raise BadRequest(f"--png: {png} cannot be written: {error.strerror}") from error


def _everywhere(
    region: Region, types: Sequence[str], hubs: Sequence[str] | None, begin: datetime
) -> tuple[FleetVehicle, ...]:
    """One vehicle of each type at each hub."""
    sites = [site.site_id for site in region.sites if site.kind is SiteKind.HUB]
    if hubs:
        sites = [region.site(hub).site_id for hub in hubs]
    if not sites:
        raise BadRequest(f"region {region.region_id!r} has no hub; name sites to serve from with --hub")
    return tuple(
        FleetVehicle(f"{site}/{name}", load_profile(name), site, begin)
        for site in sites
        for name in dict.fromkeys(types)
    )


def _show(found: Coverage) -> None:
    from routing.coverage import ALL, ANY

    rows = {(row.municipality, row.hub, row.mode, row.band): row for row in found.rows()}
    modes, bands = found.modes, [name for name, _ in found.population.bands]
    budget = found.budget
    _out.print(
        f"{found.region.name_ja} / {found.region.name_en}: within {budget.minutes:g} min and"
        f" {100 * budget.energy_share:.0f} % of the usable energy,"
        f" {'full payload' if budget.payload_kg is None else f'{budget.payload_kg:g} kg'}"
    )
    columns = (*modes, "in all", *bands, "served")
    by_place = Table(Column("municipality", overflow="fold"), "persons", *columns)
    for name in (*found.municipalities, ALL):
        everybody = rows[name, ALL, ANY, ALL]
        shares = [rows[name, ALL, mode, ALL] for mode in (*modes, ANY)]
        shares += [rows[name, ALL, ANY, band] for band in bands]
        by_place.add_row(name, f"{everybody.persons:,.0f}", *map(_share, shares), f"{everybody.served:,.0f}")
    by_hub = Table("hub", Column("name", overflow="fold"), *columns)
    for hub in found.hubs:
        site = found.region.site(hub)
        shares = [rows[ALL, hub, mode, ALL] for mode in (*modes, ANY)]
        shares += [rows[ALL, hub, ANY, band] for band in bands]
        served = rows[ALL, hub, ANY, ALL].served
        by_hub.add_row(hub, site.name_ja or site.name_en, *map(_share, shares), f"{served:,.0f}")
    _out.print(by_place)
    _out.print(by_hub)


def _share(row: CoverageRow) -> str:
    return f"{100 * row.share:.1f} %" if row.persons else "-"


def _write(option: str, path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadRequest(f"{option}: {path} cannot be written: {error.strerror}") from error

"""``todoke region import``: an operating area from OpenStreetMap, elevation files, zones and sites."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fleet.cli_records import Home
from fleet.cli_regions import keep_and_tell, region_app
from routing.region.notes import ImportNotes

_out = Console(highlight=False, soft_wrap=True)


@region_app.command("import")
def region_import(
    name: Annotated[str, typer.Argument(help="Name of the region; its id is made from it.")],
    osm: Annotated[Path, typer.Option("--osm", help="OpenStreetMap extract (.osm.pbf).")],
    dem: Annotated[
        list[Path] | None,
        typer.Option(
            "--dem",
            help="Elevation: SRTM .hgt or .hgt.zip, GeoTIFF, JPGIS (GML) .xml or .zip, or a folder of them. "
            "Again for more; where several have a height, the first named wins.",
        ),
    ] = None,
    zones: Annotated[
        list[Path] | None, typer.Option("--zones", help="Zones (ED-318, ED-269, GeoJSON). Again for more.")
    ] = None,
    sites: Annotated[
        Path | None,
        typer.Option("--sites", help="Hubs and drop points (CSV or GeoJSON); without it they are chosen from the map."),
    ] = None,
    population: Annotated[
        list[Path] | None,
        typer.Option(
            "--population", help="Census tables by mesh of e-Stat (.zip, .txt), or GeoTIFF of persons. Again for more."
        ),
    ] = None,
    robot_area: Annotated[
        list[Path] | None,
        typer.Option("--robot-area", help="Where robots are approved to drive (GeoJSON polygons); everywhere without."),
    ] = None,
    geoid: Annotated[
        Path | None,
        typer.Option(
            "--geoid", help="Geoid model (GeoTIFF, GTX, ISG, or GSI's ASCII), for heights above the ellipsoid."
        ),
    ] = None,
    roads_without_sidewalk: Annotated[
        str,
        typer.Option(
            "--roads-without-sidewalk",
            help="Road classes that sidewalk robots may use where the map has no sidewalk, or 'none'.",
        ),
    ] = "unclassified,tertiary,secondary,primary",
    bbox: Annotated[
        str | None, typer.Option("--bbox", help="south,west,north,east in degrees; the file's own extent by default.")
    ] = None,
    name_ja: Annotated[str, typer.Option("--name-ja", help="Its name in Japanese.")] = "",
    name_en: Annotated[str, typer.Option("--name-en", help="Its name in English.")] = "",
    home: Home = None,
) -> None:
    """Make a region from real data."""
    # Reading maps needs large libraries, which no other command should wait for.
    from routing.region.build import ImportFiles, import_region
    from routing.region.extent import parse_bbox

    began = time.monotonic()
    extent = parse_bbox(bbox) if bbox is not None else None
    files = ImportFiles(
        osm, tuple(dem or ()), tuple(zones or ()), sites, tuple(population or ()), tuple(robot_area or ()), geoid
    )
    roads = [] if roads_without_sidewalk.strip() in ("", "none") else roads_without_sidewalk.replace(" ", "").split(",")
    with _Bars() as bars:
        imported = import_region(
            name, files, bbox=extent, name_ja=name_ja, name_en=name_en, without_sidewalk=roads, progress=bars.show
        )

    _out.print(f"\nTaken from {imported.extent} (south,west,north,east) in {time.monotonic() - began:.1f} s:")
    _tell(imported.notes)
    keep_and_tell(imported.region, home)


def _tell(notes: ImportNotes) -> None:
    for what, number in sorted(notes.counts.items()):
        _out.print(f"  {number:>9,} {what}")
    _out.print("Skipped:" if notes.skipped else "Nothing was skipped.")
    for reason, number in notes.skipped.most_common():
        _out.print(f"  {number:>9,} {reason}", markup=False)
    for warning in notes.warnings:
        _out.print("[yellow]Note[/yellow] ", end="")
        _out.print(warning, markup=False)
    _out.print()


class _Bars:
    """One progress bar for each step, as the steps begin."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description:<20}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        self._progress = Progress(*columns, TimeElapsedColumn(), console=_out)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def show(self, step: str, done: float, total: float) -> None:
        """Show how much of a step is done."""
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step.capitalize(), total=total)
        self._progress.update(self._tasks[step], completed=done, total=total)

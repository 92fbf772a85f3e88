"""``todoke mission``: missions as files for other ground stations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fleet import missions, vehicles
from fleet.cli_records import Home, with_service
from fleet.db.database import Connection
from fleet.errors import BadRequest
from fleet.execution import mission_from_json
from fleet.runtime import Runtime
from hardware.mavlink.qgc_plan import plan_of
from hardware.profiles import load_profile

mission_app = typer.Typer(help="Missions.", no_args_is_help=True)
_out = Console(highlight=False)


@mission_app.callback()
def _missions() -> None:
    """Missions."""


@mission_app.command("export")
def mission_export(
    mission_id: str,
    out: Annotated[Path | None, typer.Option(help="File to write; MISSION_ID.plan if none is named.")] = None,
    home: Home = None,
) -> None:
    """Write a drone's mission as a QGroundControl plan: the very items that are uploaded."""
    file = out or Path(f"{mission_id}.plan")

    async def work(conn: Connection, runtime: Runtime) -> dict[str, Any]:
        row = await missions.get(conn, mission_id)
        vehicle = await vehicles.get(conn, row["vehicle_id"])
        if vehicle["kind"] != "drone":
            raise BadRequest(f"mission {mission_id} is one of a {vehicle['kind']}: QGroundControl has drones only")
        return plan_of(mission_from_json(row["trip"]["mission"]), load_profile(vehicle["type_id"]))

    plan = with_service(home, work)
    try:
        file.write_text(json.dumps(plan, indent=2), encoding="utf-8")
    except OSError as error:
        raise BadRequest(f"--out: {file}: cannot be written: {error.strerror}") from error
    _out.print(f"{file}: {len(plan['mission']['items'])} items")

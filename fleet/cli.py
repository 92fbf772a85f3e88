"""The command ``todoke``."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli_lazy import LazyGroup
from fleet.errors import FleetError
from routing.errors import RoutingError

if TYPE_CHECKING:
    from fleet.supervisor import Supervisor

app = typer.Typer(
    cls=LazyGroup,
    help="Fleet operations for rural last-mile delivery by drones and delivery robots.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Home = Annotated[Path | None, typer.Option("--home", help="Folder of the service's data (TODOKE_HOME).")]


@app.command()
def serve(
    home: Home = None,
    speed: Annotated[float | None, typer.Option(help="How many times faster simulated time runs.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the console and API; 0: any free one.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to serve on; only this machine by default.")] = None,
    allow_real: Annotated[bool | None, typer.Option("--allow-real", help="Command real vehicles too.")] = None,
) -> None:
    """Run the service until Ctrl-C or SIGTERM."""
    from fleet.config import load
    from fleet.supervisor import Supervisor

    given = {"home": home, "speed": speed, "api_port": port, "api_host": host, "allow_real": allow_real}
    asyncio.run(_serve(Supervisor(load(given))))


async def _serve(supervisor: Supervisor) -> None:
    stop = asyncio.Event()
    starting = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def end() -> None:
        # Before the service is up, what waits for it is cancelled, and stops what it had started.
        if not started and starting:
            starting.cancel()
        stop.set()

    started = False
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    try:
        async with supervisor as service:
            started = True
            print(f"Todoke is ready: {service.runtime.api_url}   (Ctrl-C stops it)", flush=True)  # noqa: T201
            await stop.wait()
    except asyncio.CancelledError:
        if not stop.is_set():
            raise


@app.command()
def role(
    kind: Annotated[str, typer.Argument(help="api, planner or gateway")],
    name: Annotated[str | None, typer.Option(help="Its name, such as gateway-2; the kind by default.")] = None,
    home: Home = None,
) -> None:
    """Run one more process of a service that runs."""
    from fleet.config import load
    from fleet.role import main as run_role

    raise typer.Exit(run_role(kind, name or kind, load({"home": home}).home))


@app.command()
def status(home: Home = None) -> None:
    """Show the processes of the service; the exit status is 3 when it does not run."""
    from rich.console import Console
    from rich.table import Table

    from fleet.config import load
    from fleet.places import holder_of
    from fleet.runtime import load_runtime

    folder = load({"home": home}).home
    out = Console()
    holder = holder_of(folder / "run" / "supervisor.lock")
    if holder is None:
        out.print(f"The service of {folder} does not run.")
        raise typer.Exit(3)
    runtime = load_runtime(folder)
    table = Table("process", "pid", "state")
    table.add_row("supervisor", str(holder), "running")
    for child, pid in runtime.pids.items():
        table.add_row(child, str(pid), "running" if _runs(pid) else "ended")
    out.print(table)
    out.print(f"{runtime.api_url}   speed {runtime.clock.speed:g}   domain time {runtime.clock.now():%F %T} UTC")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main() -> None:
    """Run the command; errors that the user can mend are one line, with exit status 2."""
    # The pool's own words while a database is away; what the user can do is said below.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    try:
        app()
    except (FleetError, RoutingError) as error:
        print(f"todoke: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except Exception as error:
        from fleet.db.database import DATABASE_ERRORS

        if not isinstance(error, DATABASE_ERRORS):
            raise
        print(f"todoke: the database of the service does not answer: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    main()

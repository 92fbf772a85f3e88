"""Commands that are imported when they are run: most people wait for one of them, and nobody for all."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

COMMANDS = {
    "demo": (
        "fleet.cli_demo:demo",
        "Run a morning of a mountain municipality: simulated vehicles, scripted staff, the real service.",
    ),
    "plan": (
        "fleet.cli_plan:plan_command",
        "Plan orders with a fleet in a region; the exit status is 1 when the validator has something against it.",
    ),
    "replan": (
        "fleet.cli_plan:replan_command",
        "Plan anew what has not begun, changing as little as can be; the exit status is 1 when a rule is broken.",
    ),
    "validate": (
        "fleet.cli_plan:validate_command",
        "Check a plan against every rule, independently of how it was made; the exit status is 1 when it breaks one.",
    ),
    "report": (
        "fleet.cli_records:report_command",
        "Write the day's report as JSON.",
    ),
    "coverage": (
        "fleet.cli_coverage:coverage_command",
        "Show what share of the population each hub can serve, by age band, mode and municipality.",
    ),
    "region": (
        "fleet.cli_region_import:region_app",
        "Regions.",
    ),
    "orders": (
        "fleet.cli_records:orders_app",
        "Orders.",
    ),
    "vehicle": (
        "fleet.cli_records:vehicle_app",
        "The register of vehicles.",
    ),
    "mission": (
        "fleet.cli_missions:mission_app",
        "Missions.",
    ),
    "user": (
        "fleet.cli_records:user_app",
        "Users.",
    ),
    "log": (
        "fleet.cli_records:log_app",
        "Flight logs.",
    ),
    "alarms": (
        "fleet.cli_alarms:alarms_app",
        "Alarms.",
    ),
    "bench": (
        "fleet.cli_bench:bench_app",
        "The planner's search, measured.",
    ),
}
"""Where each command is, as ``module:name``, and its line in the list of commands."""


class LazyGroup(TyperGroup):
    """A group that knows its ``COMMANDS`` by name and one line, and imports the one that is run."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, those defined with the group first."""
        return [*self.commands, *(name for name in COMMANDS if name not in self.commands)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; one not imported yet as what the list of commands shows of it."""
        known = super().get_command(ctx, cmd_name)
        if known is None and cmd_name in COMMANDS:
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])
        return known

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that is run."""
        name = args[0]
        if name in COMMANDS and name not in self.commands:
            self.add_command(load_command(name), name)
        elif name not in self.commands:
            # It ends in an error, which shall name those that are alike.
            self.commands.update({known: self.get_command(ctx, known) for known in self.list_commands(ctx)})
        return super().resolve_command(ctx, args)


def load_command(name: str) -> Any:
    """Import one of ``COMMANDS`` and return it."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        command: Any = get_group(found)
    else:
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        command = get_command(single)
    command.name = name
    return command

"""Control of vehicles in tests: short ways to who controls what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fleet import commands, control, duty
from tests.fleet_kit import World

SPEED = 5.0
Change = Callable[..., Awaitable[dict[str, Any]]]


async def change(world: World, how: Change, actor: str, vehicle: str = "drone-1", **more: Any) -> dict[str, Any]:
    """Change hands by one of ``fleet.control``."""
    async with world.database.transaction() as conn:
        return await how(conn, vehicle, at=world.at, actor=actor, **more)


async def on_duty(world: World, *pilots: str) -> None:
    """Make users of these pilots and begin their duty."""
    for pilot in pilots:
        await world.user(pilot, "pilot")
        async with world.database.transaction() as conn:
            await duty.begin(conn, pilot, at=world.at)


async def off_duty(world: World, pilot: str) -> None:
    """End a pilot's duty."""
    async with world.database.transaction() as conn:
        await duty.end(conn, pilot, at=world.at)


async def quiet(world: World, pilot: str, seconds: float = duty.SILENT_S + 1.0) -> None:
    """Let a pilot have given no sign of life for so long."""
    await world.write(
        "UPDATE pilot_duty SET seen_wall = clock_timestamp() - make_interval(secs => %(s)s) WHERE pilot = %(pilot)s",
        s=seconds,
        pilot=pilot,
    )


async def controller(world: World, vehicle: str = "drone-1") -> str | None:
    """Return who controls a vehicle."""
    async with world.database.transaction() as conn:
        return await control.pilot_of(conn, vehicle)


async def give(
    world: World, kind: str, issuer: str, *, key: str, vehicle: str = "drone-1", params: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Give a command."""
    async with world.database.transaction() as conn:
        return await commands.issue(
            conn, vehicle_id=vehicle, kind=kind, key=key, issuer=issuer, at=world.at, speed=SPEED, params=params
        )


async def confirm(world: World, command: dict[str, Any], actor: str) -> dict[str, Any]:
    """Take the second step of a command."""
    async with world.database.transaction() as conn:
        return await commands.confirm(conn, command["command_id"], actor=actor, at=world.at, speed=SPEED)


async def claim(world: World, vehicle: str = "drone-1") -> dict[str, Any] | None:
    """Take the next command as a gateway does."""
    async with world.database.transaction() as conn:
        return await commands.claim(conn, vehicle_id=vehicle, epoch=1, at=world.at)

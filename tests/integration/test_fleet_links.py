"""How vehicles are reached is checked when they are registered."""

from __future__ import annotations

from typing import Any

import pytest

from fleet import vehicles
from fleet.errors import BadRequest
from fleet.vehicles import NewVehicle
from tests.fleet_kit import World

UID = "00000000000000a1"


async def register(world: World, *, simulated: bool = True, **link: Any) -> dict[str, Any]:
    new = NewVehicle("drone-1", "multirotor_1kg", "hub-1", {"protocol": "mavlink", **link}, simulated, UID)
    async with world.database.transaction() as conn:
        return await vehicles.register(conn, new, region_id=world.region.region_id, at=world.at, actor="admin")


@pytest.mark.parametrize(
    ("simulated", "bind"),
    [
        (True, "127.0.0.1:14600"),
        (True, "tcp://127.0.0.1:5760"),
        (True, "tcp-listen://127.0.0.1:5761"),
        (False, "serial:/dev/ttyUSB0:57600"),
        (False, "tcp://192.0.2.1:5760"),
    ],
)
async def test_each_medium_can_be_registered(world: World, simulated: bool, bind: str) -> None:
    row = await register(world, simulated=simulated, bind=bind, key="drone-1")

    assert row["link"] == {"protocol": "mavlink", "bind": bind, "key": "drone-1"}


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ({"bind": 14600}, r"link\.bind"),
        ({"bind": "ftp://127.0.0.1:1"}, "udp://, tcp://"),
        ({"bind": "serial:/etc/passwd"}, "serial:/dev/ttyUSB0"),
        ({"bind": "serial:/dev/ttyUSB0"}, r"simulated vehicle .* 127\.0\.0\.1 only"),
        ({"bind": "tcp://192.0.2.1:5760"}, r"simulated vehicle .* 127\.0\.0\.1 only"),
        ({"bind": "tcp://127.0.0.1:5760", "peer": "127.0.0.1:1"}, "UDP only"),
        ({"bind": "127.0.0.1:14600", "key": "../broker"}, r"link\.key"),
        ({"bind": "127.0.0.1:14600", "key": 7}, r"link\.key"),
        ({"bind": "127.0.0.1:14600", "secret": "00"}, "unknown keys secret"),
    ],
)
async def test_what_no_gateway_could_open_is_refused(world: World, link: dict[str, Any], why: str) -> None:
    async with world.refused(BadRequest, match=why):
        await register(world, **link)

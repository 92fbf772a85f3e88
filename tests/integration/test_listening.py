"""Time in which no gateway listened is a recorded gap; a vehicle's silence is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import psycopg
import pytest

from fleet import leases
from fleet.leases import Lease, Listened
from telemetry.clock import Clock
from telemetry.listening import MOST_WAITING, Listening
from telemetry.sample import Sample
from tests.fleet_kit import World


@pytest.fixture
async def fleet(world: World) -> World:
    """A world with a drone that has a lease."""
    await world.drone("drone-1", port=14601)
    return world


def listening(at: datetime) -> Listening:
    """One that begins to listen at a moment: a clock that starts there and hardly moves during the test."""
    return Listening(Clock(Clock.real().now(), at, 1.0))


async def acquire(world: World, holder: str) -> Lease:
    async with world.database.transaction() as conn:
        (lease,) = await leases.acquire(conn, ["drone-1"], holder=holder)
    return lease


async def renew(world: World, lease: Lease, at: datetime, *, heard: bool = True) -> None:
    listened = Listened(at, (lease.vehicle_id,) if heard else ())
    assert not await leases.renew(world.database, {lease.vehicle_id: lease}, holder=lease.holder, listened=listened)


async def store_sample(world: World, t: datetime) -> None:
    await world.write("INSERT INTO sample (vehicle_id, t, seq, vehicle_ms) VALUES ('drone-1', %(t)s, 1, 1)", t=t)


async def record(world: World, here: Listening) -> list[tuple[datetime, datetime]]:
    """Record what waits; return all gaps of the drone."""
    count = here.waiting
    async with world.database.transaction() as conn:
        await here.record(conn)
    here.recorded(count)
    rows = await world.rows("SELECT began_at, ended_at FROM telemetry_gap WHERE cause = 'not_listening' ORDER BY 1")
    return [(row["began_at"], row["ended_at"]) for row in rows]


def sample(t: datetime) -> Sample:
    return Sample("drone-1", t, 1, 1)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


async def test_a_lease_tells_until_when_the_holder_before_listened(fleet: World) -> None:
    first = await acquire(fleet, "gateway-1/a")
    await renew(fleet, first, fleet.at)
    await renew(fleet, first, fleet.at + seconds(5))
    await renew(fleet, first, fleet.at + seconds(9), heard=False)

    second = await acquire(fleet, "gateway-1/b")

    assert first.listened_until is None
    assert second.listened_until == fleet.at + seconds(5)


async def test_a_holder_that_gives_back_listened_to_the_end(fleet: World) -> None:
    first = await acquire(fleet, "gateway-1/a")
    async with fleet.database.transaction() as conn:
        listened = Listened(fleet.at + seconds(3), ("drone-1",))
        await leases.release_all(conn, holder="gateway-1/a", listened=listened)

    assert (await acquire(fleet, "gateway-2/b")).listened_until == fleet.at + seconds(3)
    assert first.vehicle_id == "drone-1"


async def test_the_gap_reaches_from_the_last_sample_of_the_killed_to_the_first_of_the_next(fleet: World) -> None:
    killed_at = fleet.at
    await store_sample(fleet, killed_at - seconds(60))
    await store_sample(fleet, killed_at + seconds(0.8))
    here = listening(killed_at + seconds(12))

    here.begin("drone-1", killed_at)
    here.take(sample(killed_at + seconds(13)))
    here.take(sample(killed_at + seconds(13.2)))

    assert await record(fleet, here) == [(killed_at + seconds(0.8), killed_at + seconds(13))]
    assert here.waiting == 0


async def test_a_vehicle_that_was_silent_while_somebody_listened_has_a_gap_of_the_change_only(fleet: World) -> None:
    await store_sample(fleet, fleet.at - seconds(3600))
    here = listening(fleet.at + seconds(20))

    here.begin("drone-1", fleet.at)
    here.take(sample(fleet.at + seconds(3600)))

    ((began_at, ended_at),) = await record(fleet, here)
    assert began_at == fleet.at
    assert ended_at - fleet.at == pytest.approx(seconds(20), abs=seconds(1))


async def test_a_vehicle_that_is_given_up_unheard_has_its_gap_too(fleet: World) -> None:
    here = listening(fleet.at + seconds(20))
    here.begin("drone-1", fleet.at)

    here.end("drone-1")

    assert len(await record(fleet, here)) == 1


async def test_a_prompt_change_and_a_first_listener_leave_no_gap(fleet: World) -> None:
    here = listening(fleet.at + seconds(1))
    here.begin("drone-1", fleet.at)
    here.take(sample(fleet.at + seconds(2)))
    here.begin("drone-2", None)
    here.take(replace(sample(fleet.at + seconds(99)), vehicle_id="drone-2"))

    assert await record(fleet, here) == []


async def test_a_database_that_is_away_is_told_later_and_once(fleet: World) -> None:
    here = listening(fleet.at + seconds(20))
    here.begin("drone-1", fleet.at)
    here.take(sample(fleet.at + seconds(21)))
    async with fleet.database.transaction() as conn:
        await conn.close()
        with pytest.raises(psycopg.Error):
            await here.record(conn)

    assert here.waiting == 1
    assert len(await record(fleet, here)) == 1
    here.begin("drone-1", fleet.at)
    here.take(sample(fleet.at + seconds(21)))
    assert len(await record(fleet, here)) == 1, "told twice, it is one gap"


def test_what_waits_for_the_database_is_bounded(world: World) -> None:
    here = listening(world.at + seconds(20))
    for number in range(3 * MOST_WAITING):
        here.begin(f"drone-{number}", world.at)
        here.end(f"drone-{number}")

    assert here.waiting == MOST_WAITING

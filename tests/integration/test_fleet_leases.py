"""Leases: one gateway speaks to a vehicle, the newest one, and only until its deadline."""

from __future__ import annotations

import asyncio
import time

import pytest

from fleet import leases, missions, vehicles
from fleet.leases import LEASE_TTL_S, Lease, LeaseLost
from tests.fleet_kit import World, until


@pytest.fixture
async def fleet(world: World) -> World:
    """A world with two drones."""
    await world.drone("drone-1", port=14601)
    await world.drone("drone-2", port=14602, pad=1)
    return world


async def _acquire(world: World, holder: str, *vehicle_ids: str) -> list[Lease]:
    async with world.database.transaction() as conn:
        return await leases.acquire(conn, list(vehicle_ids) or ["drone-1"], holder=holder)


async def _free(world: World, holder: str) -> list[str]:
    async with world.database.transaction() as conn:
        return await leases.free_vehicles(conn, holder=holder, limit=10)


async def _expire(world: World) -> None:
    await world.write("UPDATE lease SET expires_wall = clock_timestamp() - interval '1 ms'")


async def _fenced_step(world: World, lease: Lease, mission_id: str, step: int) -> None:
    async with leases.fenced(world.database, lease) as conn:
        await missions.set_step(conn, mission_id, step)


async def test_a_free_vehicle_is_taken_until_a_deadline(fleet: World) -> None:
    before_s = time.clock_gettime(time.CLOCK_BOOTTIME)

    (lease,) = await _acquire(fleet, "gateway-1/a")

    assert (lease.vehicle_id, lease.epoch, lease.held()) == ("drone-1", 1, True)
    assert before_s <= lease.deadline_s - LEASE_TTL_S <= time.clock_gettime(time.CLOCK_BOOTTIME)


async def test_a_vehicle_that_is_held_is_not_free_for_another(fleet: World) -> None:
    await _acquire(fleet, "gateway-1/a")

    assert await _free(fleet, "gateway-2/b") == ["drone-2"]
    assert await _acquire(fleet, "gateway-2/b") == []


async def test_of_many_that_acquire_at_once_one_gets_the_vehicle(fleet: World) -> None:
    taken = await asyncio.gather(*(_acquire(fleet, f"gateway-{n}/x") for n in range(6)))

    assert sum(len(found) for found in taken) == 1


async def test_an_expired_lease_goes_to_another_with_a_larger_epoch(fleet: World) -> None:
    await _acquire(fleet, "gateway-1/a")
    await _expire(fleet)

    assert await _free(fleet, "gateway-2/b") == ["drone-1", "drone-2"]
    (lease,) = await _acquire(fleet, "gateway-2/b")

    assert (lease.holder, lease.epoch) == ("gateway-2/b", 2)


async def test_the_next_life_of_the_same_gateway_takes_over_at_once(fleet: World) -> None:
    (old,) = await _acquire(fleet, "gateway-1/a")

    assert await _free(fleet, "gateway-1/b") == ["drone-1", "drone-2"]
    (new,) = await _acquire(fleet, "gateway-1/b")

    assert new.epoch == old.epoch + 1
    assert await leases.renew(fleet.database, {"drone-1": old}, holder="gateway-1/a") == {"drone-1"}
    assert not old.held()


async def test_a_gateway_with_a_similar_name_is_another_one(fleet: World) -> None:
    await _acquire(fleet, "gateway-1/a")

    assert await _acquire(fleet, "gateway-11/a") == []


async def test_a_renewal_moves_the_deadline(fleet: World) -> None:
    (lease,) = await _acquire(fleet, "gateway-1/a")
    lease.drop()

    lost = await leases.renew(fleet.database, {"drone-1": lease}, holder="gateway-1/a")

    assert lost == set()
    assert lease.held()
    row = await fleet.one("SELECT expires_wall > clock_timestamp() AS held, epoch FROM lease")
    assert (row["held"], row["epoch"]) == (True, 1)


async def test_a_lease_that_was_taken_is_lost_at_the_renewal(fleet: World) -> None:
    mine, other = await _acquire(fleet, "gateway-1/a", "drone-1", "drone-2")
    await fleet.write("UPDATE lease SET expires_wall = 'epoch' WHERE vehicle_id = 'drone-1'")
    await _acquire(fleet, "gateway-2/b", "drone-1")

    lost = await leases.renew(fleet.database, {"drone-1": mine, "drone-2": other}, holder="gateway-1/a")

    assert lost == {"drone-1"}
    assert not mine.held()
    assert other.held()


async def test_a_vehicle_given_up_is_not_renewed_and_becomes_free(fleet: World) -> None:
    _, kept = await _acquire(fleet, "gateway-1/a", "drone-1", "drone-2")
    await _expire(fleet)

    await leases.renew(fleet.database, {"drone-2": kept}, holder="gateway-1/a")

    assert await _free(fleet, "gateway-1/a") == ["drone-1"]


async def test_a_renewal_that_is_not_committed_moves_no_deadline(fleet: World) -> None:
    (lease,) = await _acquire(fleet, "gateway-1/a")
    deadline_s = lease.deadline_s

    async with fleet.database.transaction() as conn:
        await conn.execute("SELECT 1 FROM lease FOR UPDATE")
        renewing = asyncio.create_task(leases.renew(fleet.database, {"drone-1": lease}, holder="gateway-1/a"))
        await until(fleet.somebody_waits)
        assert lease.deadline_s == deadline_s
        renewing.cancel()
        await asyncio.wait([renewing])

    assert lease.deadline_s == deadline_s


async def test_after_its_deadline_a_lease_is_not_held(fleet: World) -> None:
    (lease,) = await _acquire(fleet, "gateway-1/a")
    lease.deadline_s = time.clock_gettime(time.CLOCK_BOOTTIME) + 0.05

    assert lease.held()

    async def ran_out() -> bool:
        return not lease.held()

    await until(ran_out, within_s=1.0)


async def test_a_stale_holder_writes_nothing(fleet: World) -> None:
    await fleet.order("A1")
    (mission_id,) = await fleet.missions()
    (stale,) = await _acquire(fleet, "gateway-1/a")
    await _expire(fleet)
    (fresh,) = await _acquire(fleet, "gateway-2/b")

    async with fleet.refused(LeaseLost, r"lease on drone-1 \(epoch 1\)"):
        await _fenced_step(fleet, stale, mission_id, 3)
    await _fenced_step(fleet, fresh, mission_id, 4)

    assert (await fleet.mission(mission_id))["step"] == 4


async def test_a_takeover_waits_for_what_the_old_holder_is_writing(fleet: World) -> None:
    await fleet.order("A1")
    (mission_id,) = await fleet.missions()
    (stale,) = await _acquire(fleet, "gateway-1/a")
    await _expire(fleet)

    async with leases.fenced(fleet.database, stale) as conn:
        taking = asyncio.create_task(_acquire(fleet, "gateway-2/b"))
        await until(fleet.somebody_waits)
        await missions.set_step(conn, mission_id, 3)

    (fresh,) = await taking
    assert fresh.epoch == 2
    assert (await fleet.mission(mission_id))["step"] == 3


async def test_a_renewal_waits_for_nothing_that_is_written_under_a_lease(fleet: World) -> None:
    held = await _acquire(fleet, "gateway-1/a", "drone-1", "drone-2")

    async with leases.fenced(fleet.database, held[0]), asyncio.timeout(5):
        lost = await leases.renew(fleet.database, {lease.vehicle_id: lease for lease in held}, holder="gateway-1/a")

    assert lost == set()
    assert all(lease.held() for lease in held)


async def test_what_is_released_is_free_at_once(fleet: World) -> None:
    await _acquire(fleet, "gateway-1/a", "drone-1", "drone-2")

    async with fleet.database.transaction() as conn:
        await leases.release_all(conn, holder="gateway-1/a")

    assert await _free(fleet, "gateway-2/b") == ["drone-1", "drone-2"]


async def test_a_retired_vehicle_is_leased_to_nobody(fleet: World) -> None:
    async with fleet.database.transaction() as conn:
        await vehicles.retire(conn, "drone-1", at=fleet.at, actor="admin")

    assert await _free(fleet, "gateway-1/a") == ["drone-2"]
    assert await _acquire(fleet, "gateway-1/a", "drone-1") == []
    assert await _acquire(fleet, "gateway-1/a", "drone-9") == []

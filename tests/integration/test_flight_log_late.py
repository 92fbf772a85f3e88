"""The flight log when samples come late: flights are found again, and what a person has said stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fleet import flight_drafts, flight_log
from fleet.flight_log import By
from tests.api_kit import Api
from tests.fleet_kit import World
from tests.log_kit import ENTRIES, draft, entry, fly, stand

HOUR = timedelta(hours=1)


async def test_samples_that_come_late_are_found_in_their_silence(world: World) -> None:
    await world.drone()
    pad = world.region.site("hub-1").pads[0]
    flight = fly("drone-1", world.at, 120, pad)
    await world.store(stand("drone-1", world.at - HOUR, 5, pad))
    await world.store(stand("drone-1", world.at + HOUR, 5, pad))
    assert await draft(world, world.at + 2 * HOUR) == 0

    await world.store(flight)
    await draft(world, world.at + 2 * HOUR)
    await draft(world, world.at + 2 * HOUR)

    assert (await entry(world))["began_at"] == world.at


async def test_a_draft_is_completed_when_the_rest_of_its_samples_comes(world: World) -> None:
    await world.drone()
    pad = world.region.site("hub-1").pads[0]
    flight = fly("drone-1", world.at, 300, pad)
    await world.store([*flight[:100], *flight[-5:]])
    await draft(world, world.at + HOUR)
    first = await entry(world)
    assert len(first["content"]["events"]) == 1

    await world.store(flight[100:-5])
    await draft(world, world.at + HOUR)
    await draft(world, world.at + HOUR)

    row = await entry(world)
    assert row["entry_id"] == first["entry_id"]
    assert row["revision"] == 1
    assert (row["ended_at"] - row["began_at"]).total_seconds() == 300
    assert row["content"]["events"] == []


async def test_late_samples_leave_what_a_person_has_touched(api: Api) -> None:
    world = api.world
    await world.drone()
    pad = world.region.site("hub-1").pads[0]
    flight = fly("drone-1", world.at, 300, pad)
    await world.store([*flight[:100], *flight[-5:]])
    await draft(world, world.at + HOUR)
    entry_id = (await entry(world))["entry_id"]
    body = {"revision": 0, "reason": "by eye", "changes": {"landing_place": "river bank"}}
    assert (await (await api.as_("dispatcher")).patch(f"/api/log-entries/{entry_id}", json=body)).status_code == 200

    await world.store(flight[100:-5])
    await draft(world, world.at + HOUR)
    await draft(world, world.at + HOUR)

    row = await entry(world)
    assert (row["revision"], row["content"]["landing_place"]) == (1, "river bank")


async def test_a_flight_that_a_person_has_declared_void_is_not_drafted_again(world: World) -> None:
    await world.drone()
    pad = world.region.site("hub-1").pads[0]
    flight = fly("drone-1", world.at, 300, pad)
    await world.store([*flight[:100], *flight[-5:]])
    await draft(world, world.at + HOUR)
    entry_id = (await entry(world))["entry_id"]
    async with world.database.transaction() as conn:
        by = By("dispatcher", world.at, "carried by hand")
        await flight_log.revise(conn, entry_id, {"void": True}, revision=0, by=by)

    await world.store(flight[100:-5])
    await draft(world, world.at + HOUR)

    row = await entry(world)
    assert (row["entry_id"], row["void"], row["revision"]) == (entry_id, True, 1)


async def test_a_flight_that_shares_a_little_time_with_a_persons_line_is_drafted_once_with_a_warning(
    world: World,
) -> None:
    await world.drone()
    began, ended = (world.at + timedelta(seconds=seconds) for seconds in (-600, 20))
    by_hand = {"takeoff_at": began.isoformat(), "landing_at": ended.isoformat()}
    by = By("pilot", world.at, "written")
    async with world.database.transaction() as conn:
        by_hand_id = await flight_log.add(conn, vehicle_id="drone-1", kind="flight", content=by_hand, by=by)
    await world.store(fly("drone-1", world.at, 300, world.region.site("hub-1").pads[0]))

    written = [await draft(world, world.at + HOUR) for _ in range(2)]
    await world.write("UPDATE flight_scan SET scanned_to = '2000-01-01', state = '{}'")
    written.append(await draft(world, world.at + HOUR))

    assert written == [1, 0, 0]
    _, drafted = await world.rows(ENTRIES)
    assert drafted["began_at"] == world.at
    assert f"Shares time with entry {by_hand_id}" in drafted["content"]["events"][0]["en"]
    async with world.database.transaction() as conn:
        # What is not about times can be completed before the times are put right.
        changed = {"purpose": "delivery"}
        await flight_log.revise(conn, drafted["entry_id"], changed, revision=drafted["revision"], by=by)


async def test_however_many_silences_there_are_a_few_are_looked_at_in_a_round_and_all_in_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight_drafts, "GAPS_AT_ONCE", 2)
    await world.drone()
    pad = world.region.site("hub-1").pads[0]
    for hours in range(7):
        await world.store(stand("drone-1", world.at + hours * HOUR, 5, pad))
    now = world.at + 8 * HOUR
    await draft(world, now)
    # In the last of six silences.
    await world.store(fly("drone-1", world.at + 5.5 * HOUR, 120, pad))

    written, looked_at = [], []
    for _ in range(3):
        now += timedelta(seconds=10)
        written.append(await draft(world, now))
        row = await world.one("SELECT count(*) AS n FROM flight_gap WHERE checked_at = %(now)s", now=now)
        looked_at.append(row["n"])

    assert sum(written) == 1
    assert max(looked_at[:2]) <= 2
    assert (await entry(world))["began_at"] == world.at + 5.5 * HOUR

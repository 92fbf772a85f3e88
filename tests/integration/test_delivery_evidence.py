"""How a delivery is known: by sensor, by inference, by people; and what is found to be wrong with it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from fleet import deliveries, delivery_evidence, drop_weight, orders, planning
from fleet.errors import Conflict
from routing.geo import Position
from routing.power import hover_w
from telemetry.sample import Sample
from tests.api_kit import Api, assert_problem
from tests.dispatch_kit import FAR_AWAY, Scene, accepted_scene, hurry
from tests.fleet_kit import World, new_order
from tests.problems import DRONE


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


async def _evidence(world: World) -> list[tuple[str, str | None]]:
    rows = await world.rows("SELECT evidence, finding FROM delivery_evidence ORDER BY evidence_id")
    return [(row["evidence"], row["finding"]) for row in rows]


def _at_the_drop(scene: Scene) -> Position:
    return scene.steps.steps[scene.first].position


# -- where it was released -------------------------------------------------------------------------


async def test_a_release_at_its_drop_point_is_evidence_and_no_more(world: World) -> None:
    scene = await accepted_scene(world)
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.show(speed_mps=0.2)
        await scene.vehicle.release(scene.first, at=_at_the_drop(scene))
        await scene.delivered(1)

    assert await _evidence(world) == [("sensor", None)]


@pytest.mark.parametrize(
    ("north_e7", "up_m", "speed_mps", "words"),
    [
        (1000, 0.0, 0.0, "11 m from the drop point"),
        (0, 4.0, 0.0, "4.0 m above the release height"),
        (0, 0.0, 3.0, "at 3.0 m/s"),
    ],
)
async def test_a_release_elsewhere_too_high_or_too_fast_is_delivered_and_found(
    world: World, north_e7: int, up_m: float, speed_mps: float, words: str
) -> None:
    scene = await accepted_scene(world)
    place = _at_the_drop(scene)
    there = Position(place.lat + north_e7 / 1e7, place.lon, place.alt_amsl_m + up_m)
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.show(speed_mps=speed_mps)
        await scene.vehicle.release(scene.first, at=there)
        await scene.delivered(1)

    assert await _evidence(world) == [("sensor", None), ("sensor", "released_elsewhere")]
    row = await world.one("SELECT detail FROM delivery_evidence WHERE finding IS NOT NULL")
    assert words in row["detail"]
    assert any("released_elsewhere" in cause for _, cause in await world.causes(scene.mission_id))


async def test_where_an_inferred_release_was_nobody_claims_to_know(world: World) -> None:
    scene = await accepted_scene(world)
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.release(scene.first, at=FAR_AWAY, evidence="inferred")
        await scene.delivered(1)

    assert await _evidence(world) == [("inferred", None)]


# -- evidence that comes later ---------------------------------------------------------------------


async def test_the_same_release_told_by_the_next_gateway_is_known_already(world: World) -> None:
    scene = await accepted_scene(world)
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.release(scene.first, at=_at_the_drop(scene))
        await scene.delivered(1)
    async with scene.running():
        await scene.vehicle.release(scene.second, at=scene.steps.steps[scene.second].position)
        await scene.delivered(2)

    assert await _evidence(world) == [("sensor", None), ("sensor", None)]


async def test_stronger_evidence_is_kept_beside_the_weaker_and_delivers_nothing_twice(world: World) -> None:
    await world.drone()
    order_id = await world.order()
    (mission_id,) = await world.missions()
    await world.fly(mission_id)
    step = (await world.carried(mission_id))[0]["step"]
    told = deliveries.Told("inferred", "item 7 passed")
    async with world.database.transaction() as conn:
        given: dict[str, Any] = {
            "vehicle_id": "drone-1",
            "step": step,
            "to_site": "drop-5",
            "at": world.at,
            "position": None,
        }
        first = await deliveries.deliver(conn, mission_id, told=told, **given)
        again = await deliveries.deliver(conn, mission_id, told=told, **given)
        await deliveries.receipt(conn, order_id, received=True, by="crew", note="seen", at=world.at)
        rows = await delivery_evidence.of_order(conn, order_id)

    assert (first, again) == ([order_id], [])
    assert [row["evidence"] for row in rows] == ["inferred", "person"]
    assert delivery_evidence.best(rows) == "person"
    assert len(await world.rows("SELECT 1 FROM custody WHERE holder_kind = 'recipient'")) == 1


# -- without evidence ------------------------------------------------------------------------------


async def test_without_evidence_it_is_unconfirmed_and_sent_again_only_when_a_person_has_found_it(world: World) -> None:
    scene = await accepted_scene(world)
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.release(scene.first, at=_at_the_drop(scene))
        await scene.delivered(1)
        await scene.vehicle.come_home()
        row = await scene.reaches("aborted")
    assert row["reason"] == "came back with 1 undelivered"
    (lost,) = [item["order_id"] for item in await world.carried(scene.mission_id) if item["open"]]

    world.at = scene.clock.now()
    await world.unload(scene.mission_id, missing=[lost])

    assert await world.order_state(lost) == "unconfirmed"
    async with world.database.transaction() as conn:
        # An hour later, plans leave it out.
        assert await orders.waiting(conn, region_id=world.region.region_id, at=world.later(3600)) == []
        with pytest.raises(Conflict, match="only a waiting"):
            await orders.cancel(conn, lost, at=world.at, actor="dispatcher")
        await orders.resolve(conn, lost, "found", note="under the seat", at=world.at, actor="dispatcher")
        waiting = await orders.waiting(conn, region_id=world.region.region_id, at=world.at)
    assert [order["order_id"] for order in waiting] == [lost]


async def test_an_unconfirmed_order_is_in_no_problem_of_a_plan(world: World) -> None:
    await world.drone()
    order_id = await world.order()
    (mission_id,) = await world.missions()
    await world.fly(mission_id)
    await world.move(mission_id, "aborted", reason="test")
    await world.unload(mission_id, missing=[order_id])

    async with world.database.transaction() as conn:
        run = await planning.request(conn, region_id=world.region.region_id, at=world.at, actor="dispatcher")
        problem, _ = await planning.build_problem(conn, run, at=world.later(300))
    assert problem.orders == ()


# -- the power without the parcel ------------------------------------------------------------------


def _samples(released_at: datetime, before_w: float, after_w: float, *, wobble_w: float = 10.0) -> list[Sample]:
    """Two a second, in hover but for the way down, which does not count."""
    found = []
    for number in range(-80, 40):
        seconds = number / 2.0
        power = before_w if seconds < 0.0 else after_w
        power += wobble_w * (-1.0) ** (number // 2)
        found.append(
            Sample(
                "drone-1",
                released_at + timedelta(seconds=seconds),
                seq=number + 100,
                vehicle_ms=(number + 100) * 500,
                vel_n_cms=0,
                vel_e_cms=10,
                vel_d_cms=150 if -10.0 < seconds < -5.0 else 0,
                voltage_mv=22_000,
                current_ca=round(power / 22.0 * 100),
                on_ground=False,
            )
        )
    return found


async def _delivered(world: World, *, mass_kg: float = 0.8) -> str:
    await world.drone()
    order_id = await world.order(mass_kg=mass_kg)
    (mission_id,) = await world.missions()
    await world.fly(mission_id)
    await world.deliver(mission_id, (await world.carried(mission_id))[0]["step"])
    return order_id


async def _was_lighter_before(world: World, times: int) -> None:
    """Have the drone's power have shown parcels leave, on other days."""
    async with world.database.transaction() as conn:
        for step in range(100, 100 + times):
            other, _ = await world.receive(conn, new_order(f"before-{step}"))
            await delivery_evidence.add(
                conn,
                other["order_id"],
                evidence="inferred",
                given_by=drop_weight.given_by("drone-1"),
                detail="lighter",
                at=world.at - timedelta(days=1),
                step=step,
            )


async def test_a_drone_whose_power_has_never_shown_a_parcel_leave_says_nothing_by_not_showing_it(world: World) -> None:
    order_id = await _delivered(world)
    await _was_lighter_before(world, drop_weight.SHOWN_BEFORE - 1)
    await world.store(_samples(world.at, 1200.0, 1200.0))

    async with world.database.transaction() as conn:
        await drop_weight.weigh_releases(conn, at=world.at + timedelta(seconds=18))
        rows = await delivery_evidence.of_order(conn, order_id)

    assert rows[-1]["finding"] == "says_nothing"
    assert "has not shown parcels leave before" in rows[-1]["detail"]


@pytest.mark.parametrize(
    ("left_kg", "finding", "words"),
    [(0.0, None, "power in hover fell by"), (0.8, "not_lighter", "may have the parcel still")],
)
async def test_a_drone_that_is_lighter_after_it_is_evidence_and_one_that_is_not_is_found(
    world: World, left_kg: float, finding: str | None, words: str
) -> None:
    order_id = await _delivered(world)
    await _was_lighter_before(world, drop_weight.SHOWN_BEFORE)
    await world.store(_samples(world.at, float(hover_w(DRONE, 0.8)), float(hover_w(DRONE, left_kg))))

    async with world.database.transaction() as conn:
        looked = await drop_weight.weigh_releases(conn, at=world.at + timedelta(seconds=18))
        again = await drop_weight.weigh_releases(conn, at=world.at + timedelta(seconds=30))
        rows = await delivery_evidence.of_order(conn, order_id)

    assert (looked, again) == (1, 0)
    assert [(row["evidence"], row["finding"]) for row in rows] == [("sensor", None), ("inferred", finding)]
    assert words in rows[-1]["detail"]
    assert await world.order_state(order_id) == "delivered"


async def test_without_samples_nothing_is_said_until_nothing_can_come_any_more(world: World) -> None:
    order_id = await _delivered(world)

    async with world.database.transaction() as conn:
        soon = await drop_weight.weigh_releases(conn, at=world.at + timedelta(seconds=60))
        late = await drop_weight.weigh_releases(conn, at=world.at + drop_weight.LATEST - timedelta(seconds=10))
        rows = await delivery_evidence.of_order(conn, order_id)

    assert (soon, late) == (0, 1)
    assert rows[-1]["finding"] == "says_nothing"
    assert delivery_evidence.best(rows) == "sensor"


# -- by hand ---------------------------------------------------------------------------------------


async def test_a_parcel_is_moved_to_another_shelf_and_fetched_there(api: Api) -> None:
    order_id, crew = await api.world.order(), await api.as_("ground_crew")
    path = f"/api/orders/{order_id}/custody"

    moved = await crew.post(path, json={"to": {"kind": "shelf", "id": "drop-8"}, "note": "by car"})

    assert [row["holder_id"] for row in moved.json()["custody"]] == ["hub-1", "drop-8"]
    assert moved.json()["custody"][-1]["moved_by"] == "ground-crew"
    shown = (await crew.get(f"/api/orders/{order_id}")).json()
    assert (shown["pickup_site"], shown["state"]) == ("drop-8", "received")
    for to, status in (
        ({"kind": "shelf", "id": "drop-8"}, 409),
        ({"kind": "shelf", "id": "drop-5"}, 422),
        ({"kind": "shelf", "id": "nowhere"}, 422),
        ({"kind": "recipient", "id": "drop-5"}, 422),
        ({"kind": "vehicle", "id": "drone-9"}, 404),
    ):
        assert_problem(await crew.post(path, json={"to": to, "note": "x"}), status)


async def test_a_parcel_is_fetched_out_of_a_vehicle_that_does_not_come_home(api: Api) -> None:
    world = api.world
    await world.drone()
    await world.drone("drone-2", port=14601, pad=1)
    order_id = await world.order()
    (mission_id,) = await world.missions()
    first = (await world.mission(mission_id))["vehicle_id"]
    other = "drone-2" if first == "drone-1" else "drone-1"
    await world.fly(mission_id)
    crew, path = await api.as_("ground_crew"), f"/api/orders/{order_id}/custody"
    body = {"to": {"kind": "shelf", "id": "drop-8"}, "note": "walked up to it"}

    flying = await crew.post(path, json=body)
    await world.move(mission_id, "failed", reason="it has come down in the wood")
    into = await crew.post(path, json={"to": {"kind": "vehicle", "id": other}, "note": "carried over"})
    home = await crew.post(path, json=body)

    assert_problem(flying, 409)
    assert into.status_code == 200, into.text
    assert home.status_code == 200, home.text
    assert await world.holders(order_id) == ["shelf:hub-1", f"vehicle:{first}", f"vehicle:{other}", "shelf:drop-8"]
    assert await world.order_state(order_id) == "received"
    assert [item["open"] for item in await world.carried(mission_id)] == [False]
    trail = await world.rows("SELECT actor FROM audit WHERE action = 'order.custody'")
    assert [entry["actor"] for entry in trail] == ["ground-crew", "ground-crew"]


async def test_crews_say_that_they_saw_the_recipient_take_it(api: Api) -> None:
    order_id = await _delivered(api.world)
    crew = await api.as_("ground_crew")

    answer = await crew.post(f"/api/orders/{order_id}/receipt", json={"note": "handed to the daughter"})
    early = await crew.post(f"/api/orders/{await api.world.order('A2')}/receipt", json={"note": "x"})

    assert answer.json() == {"order_id": order_id, "state": "delivered"}
    assert_problem(early, 409)
    assert await _evidence(api.world) == [("sensor", None), ("person", None)]

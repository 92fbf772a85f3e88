"""A delivery over HTTP, from a plan to the report: each by who may, and in the shape that the contract says."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fleet import ground_checks, missions, planning, vehicles
from fleet.live import encode_snapshot
from routing.formats.json import plan_from_json
from telemetry.sample import Sample
from tests.api_kit import Api, assert_problem
from tests.fleet_kit import DRONE_LINK, ROBOT_LINK
from tests.problems import START, minutes

VEHICLE: dict[str, Any] = {
    "vehicle_id": "drone-9",
    "type_id": "multirotor_1kg",
    "home_site": "hub-1",
    "link": DRONE_LINK,
    "simulated": True,
}


async def _proposed(api: Api) -> str:
    await api.world.drone()
    await api.world.order("A1")
    return await api.world.propose()


async def test_a_plan_is_asked_for_shown_and_approved_once(api: Api) -> None:
    dispatcher = await api.as_("dispatcher")
    await api.world.drone()
    await api.world.order("A1")
    asked = await dispatcher.post("/api/plans", json={"seconds": 1.5, "seed": 3})
    assert asked.status_code == 202
    assert (asked.json()["state"], asked.json()["requested_by"]) == ("queued", "dispatcher")
    assert_problem(await dispatcher.post("/api/plans"), 409)
    await api.world.write("UPDATE planning_run SET state = 'rejected'")
    api.world.later(1)
    run_id = await api.world.propose()

    shown = (await dispatcher.get(f"/api/plans/{run_id}")).json()
    (newest, *_) = (await dispatcher.get("/api/plans")).json()["plans"]
    approved = await dispatcher.post(f"/api/plans/{run_id}/approve")

    assert not {"problem", "claimed_by", "claim_expires_wall", "attempts"} & set(shown)
    for run in (shown, newest):
        leg = run["plan"]["routes"][0]["trips"][0]["legs"][0]
        assert set(leg["path"][0]) == {"lat", "lon", "alt_amsl_m"}
        assert set(leg) >= {"to_site", "action", "order_ids", "depart", "arrive", "leave", "distance_m", "energy_wh"}
    (mission_id,) = approved.json()["missions"]
    assert (await api.world.mission(mission_id))["state"] == "planned"
    assert_problem(await dispatcher.post(f"/api/plans/{run_id}/approve"), 409)
    assert_problem(await dispatcher.post(f"/api/plans/{run_id}/reject"), 409)


async def test_the_stored_plan_can_still_be_read_after_it_was_shown(api: Api) -> None:
    run_id = await _proposed(api)
    await (await api.as_("viewer")).get(f"/api/plans/{run_id}")

    async with api.world.database.transaction() as conn:
        stored = await planning.get(conn, run_id)

    assert plan_from_json(stored["plan"]).routes


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"seconds": 0}, "seconds"),
        ({"seconds": 301}, "seconds"),
        ({"seconds": "long"}, "seconds"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**40}, "seed"),
        ({"hurry": True}, "hurry"),
    ],
)
async def test_a_malformed_request_for_a_plan_is_refused_by_name(api: Api, body: dict[str, Any], field: str) -> None:
    assert_problem(await (await api.as_("dispatcher")).post("/api/plans", json=body), 422, field=field)


async def test_a_search_of_no_number_of_seconds_is_refused(api: Api) -> None:
    dispatcher = await api.as_("dispatcher")
    for number in ("NaN", "Infinity", "1e999"):
        response = await dispatcher.post(
            "/api/plans", content=f'{{"seconds": {number}}}', headers={"Content-Type": "application/json"}
        )
        assert_problem(response, 422, field="seconds")


async def test_a_mission_is_loaded_accepted_and_unloaded_by_those_who_may(api: Api) -> None:
    (mission_id,) = await api.world.approve(await _proposed(api))
    crew, pilot, dispatcher = await api.as_("ground_crew"), await api.as_("pilot"), await api.as_("dispatcher")
    path = f"/api/missions/{mission_id}"
    await api.world.look_around()

    checks = {"checks": {check.name: True for check in ground_checks.of_kind("drone")}}

    assert_problem(await pilot.post(f"{path}/accept"), 409)
    assert (await crew.post(f"{path}/load", json=checks)).status_code == 204
    assert_problem(await crew.post(f"{path}/load", json=checks), 409)
    assert (await pilot.post(f"{path}/accept")).status_code == 204
    assert_problem(await crew.post(f"{path}/unload"), 409)
    shown = (await dispatcher.get(path)).json()
    assert (await dispatcher.post(f"{path}/cancel")).status_code == 204
    unloaded = await crew.post(f"{path}/unload")

    assert (shown["state"], shown["accepted_by"]) == ("accepted", "pilot")
    assert [event["cause"] for event in shown["events"][1:]] == ["loaded by ground-crew", "launch accepted by pilot"]
    assert len(unloaded.json()["orders"]) == 1
    trail = await (await api.as_("administrator")).get(f"/api/audit?subject_id={mission_id}")
    assert [(e["actor"], e["action"]) for e in trail.json()["entries"]] == [
        ("ground-crew", "mission.unload"),
        ("dispatcher", "mission.cancel"),
        ("pilot", "mission.accept"),
        ("ground-crew", "mission.load"),
    ]


async def test_missions_are_shown_as_the_contract_says(api: Api) -> None:
    (mission_id,) = await api.world.approve(await _proposed(api))

    (listed,) = (await (await api.as_("viewer")).get("/api/missions")).json()["missions"]

    assert set(listed) >= {
        "mission_id", "vehicle_id", "run_id", "ordinal", "state", "planned_depart", "planned_arrive", "accepted_by",
        "started_at", "ended_at", "step", "steps", "reason", "orders", "path",
    }  # fmt: skip
    assert listed["mission_id"] == mission_id
    assert set(listed["orders"][0]) == {"order_id", "state", "step", "open"}
    assert len(listed["path"]) == listed["steps"]
    assert all(len(point) == 3 for point in listed["path"])


async def test_a_hold_is_given_in_one_step_and_a_return_in_two(api: Api) -> None:
    await api.world.drone()
    pilot, path = await api.as_("pilot"), "/api/vehicles/drone-1/commands"
    await pilot.post("/api/vehicles/drone-1/control/take")

    proposed = await pilot.post(path, json={"kind": "return", "idempotency_key": "a"})
    confirmed = await pilot.post(f"/api/commands/{proposed.json()['command_id']}/confirm")
    held = await pilot.post(path, json={"kind": "hold", "idempotency_key": "b"})
    again = await pilot.post(path, json={"kind": "hold", "idempotency_key": "b"})

    assert [r.status_code for r in (proposed, confirmed, held, again)] == [202] * 4
    assert [r.json()["state"] for r in (proposed, confirmed, held)] == ["proposed", "pending", "pending"]
    assert again.json()["command_id"] == held.json()["command_id"]
    assert proposed.json()["description_ja"]
    assert "comes home" in proposed.json()["description_en"]
    listed = (await pilot.get("/api/commands?vehicle_id=drone-1")).json()["commands"]
    assert [(c["kind"], c["state"]) for c in listed] == [("hold", "pending"), ("return", "expired")]
    assert (await pilot.get("/api/commands?vehicle_id=drone-2")).json() == {"commands": []}


async def test_a_command_of_another_pilot_is_not_confirmed(api: Api) -> None:
    await api.world.drone()
    pilot = await api.as_("pilot")
    await pilot.post("/api/vehicles/drone-1/control/take")
    proposed = await pilot.post("/api/vehicles/drone-1/commands", json={"kind": "land", "idempotency_key": "a"})
    other = api.client((await api.world.session("other", "pilot")).token)

    response = await other.post(f"/api/commands/{proposed.json()['command_id']}/confirm")

    assert "was proposed by pilot" in assert_problem(response, 409)["detail"]


@pytest.mark.parametrize(
    ("vehicle_id", "body", "status", "field"),
    [
        ("drone-9", {"kind": "hold", "idempotency_key": "k"}, 404, None),
        ("drone-1", {"kind": "explode", "idempotency_key": "k"}, 422, "kind"),
        ("drone-1", {"kind": "hold", "idempotency_key": ""}, 422, "idempotency_key"),
        ("drone-1", {"kind": "hold", "idempotency_key": "a\0b"}, 422, "idempotency_key"),
        ("drone-1", {"kind": "hold", "idempotency_key": "x" * 129}, 422, "idempotency_key"),
        ("drone-1", {"kind": "hold"}, 422, "idempotency_key"),
        ("drone-1", {"kind": "hold", "idempotency_key": "k", "speed": 3}, 422, "speed"),
    ],
)
async def test_what_cannot_be_a_command_is_refused(
    api: Api, vehicle_id: str, body: dict[str, Any], status: int, field: str | None
) -> None:
    await api.world.drone()

    response = await (await api.as_("pilot")).post(f"/api/vehicles/{vehicle_id}/commands", json=body)

    assert_problem(response, status, field=field)
    assert await api.world.rows("SELECT * FROM command") == []


async def test_a_retired_vehicle_is_not_commanded(api: Api) -> None:
    await api.world.drone()
    async with api.world.database.transaction() as conn:
        await vehicles.retire(conn, "drone-1", at=api.world.at, actor="admin")

    response = await (await api.as_("pilot")).post(
        "/api/vehicles/drone-1/commands", json={"kind": "hold", "idempotency_key": "k"}
    )

    assert "is retired" in assert_problem(response, 409)["detail"]


async def test_a_vehicle_is_registered_once_and_shown_with_what_is_heard_of_it(api: Api) -> None:
    administrator = await api.as_("administrator")

    made = await administrator.post("/api/vehicles", json=VEHICLE)
    again = await administrator.post("/api/vehicles", json=VEHICLE)
    other = await administrator.post("/api/vehicles", json=VEHICLE | {"type_id": "sidewalk_robot", "link": ROBOT_LINK})
    before = (await administrator.get("/api/vehicles")).json()["vehicles"]
    api.context.live.take(encode_snapshot("gateway-1", START, [{"vehicle_id": "drone-9", "connected": True}]))
    after = (await administrator.get("/api/vehicles")).json()["vehicles"]

    assert (made.status_code, again.status_code) == (201, 201)
    assert_problem(other, 409)
    assert [(v["vehicle_id"], v["kind"], v["live"]) for v in before] == [("drone-9", "drone", None)]
    assert after[0]["live"]["connected"] is True


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"vehicle_id": "../drone"}, "vehicle_id"),
        ({"vehicle_id": "drone\n"}, "vehicle_id"),
        ({"type_id": "zeppelin"}, None),
        ({"type_id": "a\0b"}, None),
        ({"home_site": "atlantis"}, "home_site"),
        ({"home_site": "a\0b"}, "home_site"),
        ({"link": {}}, None),
        ({"link": ROBOT_LINK}, None),
        ({"link": {"protocol": "mavlink"}}, "link.bind"),
        ({"link": {**DRONE_LINK, "bind": "127.0.0.1:99999"}}, None),
        ({"link": {**DRONE_LINK, "bind": "999.0.0.1:14550"}}, None),
        ({"link": {**DRONE_LINK, "peer": 5}}, "link.peer"),
        ({"link": {**DRONE_LINK, "peer": "127.0.0.1"}}, None),
        ({"link": {**DRONE_LINK, "system_id": 256}}, None),
        ({"link": {**DRONE_LINK, "system_id": "1"}}, "link.system_id"),
        ({"link": {**DRONE_LINK, "system_id": True}}, "link.system_id"),
        ({"link": {**DRONE_LINK, "shell": "rm"}}, "link"),
        ({"link": "mavlink"}, "link"),
        ({"hardware_uid": "xyz"}, "hardware_uid"),
        ({"hardware_uid": "12"}, None),
        ({"simulated": "perhaps"}, "simulated"),
    ],
)
async def test_a_vehicle_that_no_gateway_could_link_is_refused(
    api: Api, change: dict[str, Any], field: str | None
) -> None:
    response = await (await api.as_("administrator")).post("/api/vehicles", json=VEHICLE | change)

    assert_problem(response, 422, field=field)
    assert await api.world.rows("SELECT * FROM vehicle") == []


async def test_two_vehicles_never_share_a_link(api: Api) -> None:
    await api.world.drone("drone-1", port=14600)

    response = await (await api.as_("administrator")).post("/api/vehicles", json=VEHICLE | {"pad": 1})

    assert "another vehicle has the same link" in assert_problem(response, 409)["detail"]


def _sample(minute: float) -> Sample:
    return Sample(
        "drone-1", minutes(minute), int(minute), 0, lat_e7=350_000_000, lon_e7=1_380_000_000 + int(minute) * 1000,
        alt_amsl_cm=60_000, battery_pct_x10=905,
    )  # fmt: skip


async def _stored(api: Api, *samples: Sample) -> None:
    await api.world.store(samples)


async def test_samples_come_back_as_the_newest(api: Api) -> None:
    await api.world.drone()
    viewer = await api.as_("viewer")
    assert_problem(await viewer.get("/api/vehicles/drone-1/sample"), 404)
    assert_problem(await viewer.get("/api/vehicles/drone-2/sample"), 404)
    await _stored(api, *(_sample(minute) for minute in range(10)))

    newest = (await viewer.get("/api/vehicles/drone-1/sample")).json()

    assert (newest["seq"], newest["lat_e7"]) == (9, 350_000_000)


async def test_the_report_tells_of_the_day_what_is_stored(api: Api) -> None:
    (mission_id,) = await api.world.approve(await _proposed(api))
    await api.world.order("A2", "drop-6")
    (parcel,) = await api.world.carried(mission_id)
    api.world.later(60)
    await api.world.fly(mission_id)
    api.world.later(240)
    await api.world.deliver(mission_id, parcel["step"])
    await _stored(api, _sample(1.5), _sample(2), _sample(3))
    await api.world.move(mission_id, "completed")

    report = (await (await api.as_("viewer")).get("/api/report")).json()

    assert {name: report["orders"][name] for name in ("total", "delivered", "on_time", "open", "by_mode")} == {
        "total": 2, "delivered": 1, "on_time": 1, "open": 1, "by_mode": {"drone": 1, "robot": 0},
    }  # fmt: skip
    assert report["missions"]["completed"] == 1
    assert report["samples"]["stored"] == 3
    assert report["seconds"]["simulated"] == 240.0
    chain = next(d["custody"] for d in report["deliveries"] if d["ref"] == "A1")
    assert [hop["holder"] for hop in chain] == ["shelf:hub-1", "vehicle:drone-1", "recipient:drop"]


async def test_the_region_is_shown_as_the_contract_says(api: Api) -> None:
    region = (await (await api.as_("viewer")).get("/api/region")).json()

    assert set(region) >= {"region_id", "name_ja", "name_en", "origin", "bounds", "sites", "zones", "ways"}
    assert {"lat", "lon", "alt_amsl_m"} <= set(region["origin"])
    assert region["bounds"]["south"] < region["bounds"]["north"]


async def test_without_a_region_the_api_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(*args: Any) -> list[dict[str, Any]]:
        return []

    monkeypatch.setattr("fleet.regions.listing", none)

    response = await (await api.as_("viewer")).get("/api/orders")

    assert "there is no region yet" in assert_problem(response, 404)["detail"]


@pytest.mark.parametrize("kind", ["orders", "plans", "missions", "commands"])
@pytest.mark.parametrize(("name", "status"), [("none", 404), ("%00", 422), ("%ff", 404)])
async def test_what_there_is_not_is_not_found(api: Api, kind: str, name: str, status: int) -> None:
    client: httpx.AsyncClient = await api.as_("viewer")

    assert_problem(await client.get(f"/api/{kind}/{name}"), status)


async def test_ended_missions_stay_ended_over_http(api: Api) -> None:
    (mission_id,) = await api.world.approve(await _proposed(api))
    await api.world.fly(mission_id)
    await api.world.move(mission_id, "completed")
    pilot, crew = await api.as_("pilot"), await api.as_("ground_crew")

    for client, deed in ((pilot, "accept"), (pilot, "cancel"), (crew, "load")):
        assert_problem(await client.post(f"/api/missions/{mission_id}/{deed}"), 409)

    assert (await api.world.mission(mission_id))["state"] in missions.ENDED

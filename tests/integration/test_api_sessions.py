"""Who may do what over HTTP: signing in, forged requests, roles, and what every answer looks like."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from fleet import users
from fleet.db.database import Database
from fleet.users import GRANTS, ROLES
from tests.api_kit import Api, assert_problem
from tests.fleet_kit import DRONE_LINK, World, until
from tests.integration.test_api_orders import ORDER
from tests.postgres import TestServer

PERIOD = "from=2026-04-01T00:00:00Z&to=2026-04-01T01:00:00Z"
VEHICLE = {"vehicle_id": "drone-9", "type_id": "multirotor_1kg", "home_site": "hub-1", "link": DRONE_LINK,
           "simulated": True}  # fmt: skip

# Every route, who it takes, and a request that says what such a request says.
OPEN = {"POST /api/sign-in", "POST /api/sign-in/link", "GET /api/health", "GET /api/ready", "GET /metrics", "GET /"}
# A recipient's link lets in by what is in it; ``test_recipient.py`` has what it shows.
OPEN |= {"GET /api/recipient/{token}"}
OPEN |= {f"POST /api/recipient/{{token}}/{name}" for name in ("clear", "code", "unlock", "received")}
SIGNED_IN = {"GET /api/me", "POST /api/sign-out"}
CHANGES_HANDS = ("take", "accept", "decline", "release")
TAKES: dict[str, tuple[str, Any]] = {
    "GET /api/region": ("viewer", None),
    "GET /api/region/hillshade.png": ("viewer", None),
    "GET /api/orders": ("viewer", None),
    "GET /api/weather": ("viewer", None),
    "GET /api/launch": ("viewer", None),
    "POST /api/region/hold": ("pilot", {"idempotency_key": "k"}),
    "GET /api/groundings": ("viewer", None),
    "POST /api/groundings": ("pilot", {"scope_kind": "vehicle", "scope_id": "x", "reason": "inspection"}),
    "POST /api/groundings/{grounding_id}/lift": ("pilot", {"reason": "inspected"}),
    "GET /api/airspace/emergencies": ("viewer", None),
    "GET /api/airspace/aircraft": ("viewer", None),
    "POST /api/airspace/aircraft": ("dispatcher", {"lat": 35.0, "lon": 138.0}),
    "DELETE /api/airspace/aircraft/{ident}": ("dispatcher", None),
    "GET /api/contingencies": ("viewer", None),
    "GET /api/contingencies/rules": ("viewer", None),
    "POST /api/airspace/emergencies": ("dispatcher", {"name": "x", "ring": []}),
    "POST /api/airspace/emergencies/{airspace_id}/withdraw": ("dispatcher", None),
    "POST /api/airspace/checks": ("dispatcher", {"source": "the civil aviation bureau's page"}),
    "GET /api/pilot-limits": ("viewer", None),
    "PUT /api/pilot-limits/{category}": ("administrator", {"most": 2, "source": "permit"}),
    "POST /api/weather": ("dispatcher", {"wind_from_deg": 0, "wind_mps": 0}),
    "GET /api/vehicles/{vehicle_id}/way-home": ("viewer", None),
    "POST /api/orders": ("dispatcher", ORDER),
    "POST /api/orders/import": ("dispatcher", None),
    "GET /api/orders/{order_id}": ("viewer", None),
    "POST /api/orders/{order_id}/cancel": ("dispatcher", None),
    "POST /api/orders/{order_id}/resolve": ("dispatcher", {"outcome": "lost", "note": "not found"}),
    "POST /api/plans": ("dispatcher", None),
    "GET /api/plans": ("viewer", None),
    "GET /api/plans/{run_id}": ("viewer", None),
    "POST /api/plans/{run_id}/approve": ("dispatcher", None),
    "POST /api/plans/{run_id}/reject": ("dispatcher", None),
    "GET /api/missions": ("viewer", None),
    "GET /api/missions/{mission_id}": ("viewer", None),
    "POST /api/missions/{mission_id}/load": ("ground_crew", None),
    "GET /api/missions/{mission_id}/checks": ("viewer", None),
    "POST /api/missions/{mission_id}/checks": ("ground_crew", {"check": "battery", "ok": True}),
    "GET /api/drop-points": ("viewer", None),
    "PUT /api/drop-points/{site_id}": ("dispatcher", {"class": "camera"}),
    "POST /api/orders/{order_id}/recipient-link": ("dispatcher", None),
    "POST /api/orders/{order_id}/unlock-code": ("dispatcher", None),
    "POST /api/orders/{order_id}/receipt": ("ground_crew or dispatcher", {"note": "seen"}),
    "POST /api/orders/{order_id}/custody": ("ground_crew", {"to": {"kind": "shelf", "id": "hub-1"}, "note": "x"}),
    "POST /api/missions/{mission_id}/unload": ("ground_crew", None),
    "POST /api/missions/{mission_id}/accept": ("pilot", None),
    "POST /api/missions/{mission_id}/cancel": ("dispatcher", None),
    "GET /api/vehicles": ("viewer", None),
    "POST /api/vehicles": ("administrator", VEHICLE),
    "GET /api/vehicles/{vehicle_id}/sample": ("viewer", None),
    f"GET /api/vehicles/{{vehicle_id}}/track?{PERIOD}": ("viewer", None),
    f"GET /api/vehicles/{{vehicle_id}}/series?{PERIOD}&field=speed": ("viewer", None),
    f"GET /api/vehicles/{{vehicle_id}}/events?{PERIOD}": ("viewer", None),
    f"GET /api/vehicles/{{vehicle_id}}/gaps?{PERIOD}": ("viewer", None),
    f"GET /api/history/area?{PERIOD}&bbox=138,35,139,36": ("viewer", None),
    "POST /api/vehicles/{vehicle_id}/commands": ("pilot", {"kind": "hold", "idempotency_key": "k"}),
    "GET /api/commands": ("viewer", None),
    "GET /api/commands/{command_id}": ("viewer", None),
    "POST /api/commands/{command_id}/confirm": ("pilot", None),
    "POST /api/vehicles/{vehicle_id}/commands/preview": ("pilot", {"kind": "hold"}),
    "GET /api/control": ("viewer", None),
    **{f"POST /api/vehicles/{{vehicle_id}}/control/{how}": ("pilot", None) for how in CHANGES_HANDS},
    "POST /api/vehicles/{vehicle_id}/control/offer": ("pilot", {"to": "other"}),
    "GET /api/duty": ("viewer", None),
    "POST /api/duty/start": ("pilot", None),
    "POST /api/duty/beat": ("pilot", None),
    "POST /api/duty/end": ("pilot", None),
    "GET /api/alarms": ("viewer", None),
    "GET /api/alarms/table": ("viewer", None),
    "GET /api/alarms/rate": ("viewer", None),
    "GET /api/alarms/{alarm_id}": ("viewer", None),
    "POST /api/alarms/{alarm_id}/acknowledge": ("pilot", None),
    "POST /api/alarms/{alarm_id}/shelve": ("pilot", {"minutes": 5, "reason": "known"}),
    "POST /api/alarms/{alarm_id}/unshelve": ("pilot", None),
    "GET /api/report": ("viewer", None),
    "GET /api/vehicles/{vehicle_id}/log": ("viewer", None),
    "GET /api/vehicles/{vehicle_id}/log.csv": ("viewer", None),
    "GET /api/vehicles/{vehicle_id}/log.html": ("viewer", None),
    "GET /api/vehicles/{vehicle_id}/particulars": ("viewer", None),
    "PUT /api/vehicles/{vehicle_id}/particulars": ("dispatcher", {}),
    "GET /api/pilots/{user_id}/particulars": ("viewer", None),
    "PUT /api/pilots/{user_id}/particulars": ("dispatcher", {"name": "x"}),
    "POST /api/vehicles/{vehicle_id}/flights": ("pilot", {}),
    "POST /api/vehicles/{vehicle_id}/inspections": ("ground_crew or pilot", {"place": "x", "items": {}}),
    "POST /api/vehicles/{vehicle_id}/maintenance": (
        "ground_crew or pilot",
        {"work": "x", "reason": "x", "place": "x"},
    ),
    "POST /api/vehicles/{vehicle_id}/defects": ("ground_crew or pilot", {"text": "x"}),
    "GET /api/log-entries/{entry_id}": ("viewer", None),
    "PATCH /api/log-entries/{entry_id}": (
        "ground_crew or dispatcher",
        {"revision": 0, "reason": "x", "changes": {}},
    ),
    "POST /api/log-entries/{entry_id}/action": ("ground_crew or pilot", {"revision": 0, "action": "x"}),
    "POST /api/log-entries/{entry_id}/sign": ("pilot", {"revision": 0}),
    "GET /api/log-forms": ("viewer", None),
    "GET /api/flights/{flight_id}/samples.csv": ("viewer", None),
    "GET /api/incident-classes": ("viewer", None),
    "POST /api/incidents": (
        "dispatcher",
        {"scope_kind": "vehicle", "scope_id": "x", "idempotency_key": "k"},
    ),
    "GET /api/incidents": ("viewer", None),
    "GET /api/incidents.html": ("viewer", None),
    "GET /api/incidents/{incident_id}": ("viewer", None),
    "PATCH /api/incidents/{incident_id}": ("dispatcher", {"revision": 0}),
    "POST /api/incidents/{incident_id}/close": ("dispatcher", None),
    "POST /api/incidents/{incident_id}/unfreeze": ("administrator", {"reason": "x"}),
    "GET /api/incidents/{incident_id}/report": ("viewer", None),
    "GET /api/incidents/{incident_id}/report.html": ("viewer", None),
    "GET /api/incidents/{incident_id}/bundle.zip": ("dispatcher", None),
    "GET /api/audit": ("administrator", None),
}


def _request(key: str) -> tuple[str, str, Any]:
    method, _, path = key.partition(" ")
    return method, re.sub(r"\{\w+\}", "none", path), TAKES[key][1]


def test_every_route_is_in_the_table(api: Api) -> None:
    paths = api.app.openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}

    assert routes - OPEN - SIGNED_IN == {key.partition("?")[0] for key in TAKES}


async def test_no_route_but_the_open_ones_answers_a_stranger(api: Api) -> None:
    for key in TAKES:
        method, path, body = _request(key)
        for token in (None, "wrong", "x" * 5000):
            response = await api.client(token).request(method, path, json=body)
            assert_problem(response, 401)
            assert response.headers["www-authenticate"] == "Bearer"
    for path in ("/api/me", "/api/sign-out"):
        assert_problem(await api.client().request("GET" if path == "/api/me" else "POST", path), 401)


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_may_do_what_its_work_takes_and_nothing_else(api: Api, role: str) -> None:
    client = await api.as_(role)

    for key, (needed, _) in TAKES.items():
        method, path, body = _request(key)
        response = await client.request(method, path, json=body)
        if GRANTS[role] & set(needed.split(" or ")):
            assert response.status_code not in {401, 403}, (key, response.text)
            assert response.status_code < 500, (key, response.text)
        else:
            detail = assert_problem(response, 403)["detail"]
            assert f"this takes a {needed}" in detail


async def test_a_link_signs_in_with_a_cookie_and_a_token_once(api: Api) -> None:
    await api.world.user("kato", "pilot")
    async with api.world.database.transaction() as conn:
        link = await users.new_link(conn, "kato")
    browser = api.client()

    signed_in = await browser.post("/api/sign-in/link", json={"token": link})
    again = await api.client().post("/api/sign-in/link", json={"token": link})

    body = signed_in.json()
    assert body["user"] == {"user_id": "kato", "display_name": "Kato", "role": "pilot"}
    cookie = signed_in.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("todoke_session=", "httponly", "samesite=strict", "path=/"))
    me = (await browser.get("/api/me")).json()
    assert (me["user"], me["csrf_token"]) == (body["user"], body["csrf_token"])
    assert (me["region_id"], me["clock"]["speed"], me["clock"]["simulated"]) == ("sugigase", 5.0, True)
    assert (await api.client(body["token"]).get("/api/me")).json()["user"] == body["user"]
    assert_problem(again, 401)


async def test_a_password_signs_in_and_a_wrong_one_does_not(api: Api) -> None:
    await api.world.user("kato", "pilot")
    async with api.world.database.transaction() as conn:
        await users.set_password(conn, "kato", "correct horse", at=api.world.at, actor="test")

    right = await api.client().post("/api/sign-in", json={"user_id": "kato", "password": "correct horse"})
    wrong = await api.client().post("/api/sign-in", json={"user_id": "kato", "password": "wrong horse"})
    nobody = await api.client().post("/api/sign-in", json={"user_id": "nobody", "password": "wrong horse"})

    assert right.status_code == 200
    assert assert_problem(wrong, 401)["detail"] == assert_problem(nobody, 401)["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/sign-in", {"user_id": "a\0b", "password": "correct horse"}),
        ("/api/sign-in", {"user_id": "kato", "password": "a\0b"}),
        ("/api/sign-in/link", {"token": "a\0b"}),
    ],
)
async def test_strange_characters_sign_nobody_in(api: Api, path: str, body: dict[str, str]) -> None:
    assert_problem(await api.client().post(path, json=body), 401)


@pytest.mark.parametrize(
    ("body", "field"),
    [({"user_id": "kato"}, "password"), ({"user_id": "x" * 65, "password": "y"}, "user_id"),
     ({"user_id": "kato", "password": "x" * 1025}, "password"), ({"user_id": 1, "password": "y"}, "user_id")],
)  # fmt: skip
async def test_a_malformed_sign_in_is_refused_by_name(api: Api, body: dict[str, Any], field: str) -> None:
    assert_problem(await api.client().post("/api/sign-in", json=body), 422, field=field)


async def test_guessing_is_slowed_down_for_who_guesses_alone(api: Api) -> None:
    guesser, other = api.client(host="192.0.2.1"), api.client(host="192.0.2.2")

    statuses = [(await guesser.post("/api/sign-in/link", json={"token": f"t{n}"})).status_code for n in range(40)]
    refused = await guesser.post("/api/sign-in", json={"user_id": "kato", "password": "x"})

    assert statuses[:30] == [401] * 30
    assert set(statuses[30:]) == {429}
    assert_problem(refused, 429)
    assert "retry-after" in refused.headers
    assert (await other.post("/api/sign-in/link", json={"token": "t"})).status_code == 401


async def test_a_change_by_cookie_needs_the_token_that_another_site_cannot_read(api: Api) -> None:
    session = await api.world.session("dispatcher", "dispatcher")
    browser = api.client()
    browser.cookies.set("todoke_session", session.token)

    without = await browser.post("/api/orders", json=ORDER)
    wrong = await browser.post("/api/orders", json=ORDER, headers={"X-CSRF-Token": "wrong"})
    strange = await browser.post("/api/orders", json=ORDER, headers={"X-CSRF-Token": b"\xff\xfe"})
    reading = await browser.get("/api/orders")

    for response in (without, wrong, strange):
        assert "X-CSRF-Token" in assert_problem(response, 403)["detail"]
    assert reading.json() == {"orders": []}
    right = await browser.post("/api/orders", json=ORDER, headers={"X-CSRF-Token": session.csrf_token})
    assert right.status_code == 201


async def test_a_change_by_bearer_token_needs_no_other(api: Api) -> None:
    assert (await (await api.as_("dispatcher")).post("/api/orders", json=ORDER)).status_code == 201


async def test_the_token_of_another_session_is_not_enough(api: Api) -> None:
    mine = await api.world.session("dispatcher", "dispatcher")
    other = await api.world.session("dispatcher", "dispatcher")
    browser = api.client()
    browser.cookies.set("todoke_session", mine.token)

    response = await browser.post("/api/orders", json=ORDER, headers={"X-CSRF-Token": other.csrf_token})

    assert_problem(response, 403)


async def test_signing_out_ends_the_session_and_needs_the_token_too(api: Api) -> None:
    session = await api.world.session("kato", "pilot")
    browser = api.client()
    browser.cookies.set("todoke_session", session.token)

    assert_problem(await browser.post("/api/sign-out"), 403)
    signed_out = await browser.post("/api/sign-out", headers={"X-CSRF-Token": session.csrf_token})

    assert signed_out.status_code == 204
    assert 'todoke_session=""' in signed_out.headers["set-cookie"]
    assert_problem(await api.client(session.token).get("/api/me"), 401)


async def test_every_answer_carries_the_headers_that_protect_the_page(api: Api) -> None:
    viewer = await api.as_("viewer")
    answers = [
        await viewer.get("/api/orders"), await viewer.get("/api/orders/none"), await api.client().get("/api/me"),
        await viewer.get("/nothing/here"), await viewer.post("/api/orders", json={}),
    ]  # fmt: skip

    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answers[0].headers["cache-control"] == "no-store"


async def test_a_defect_of_our_own_tells_nothing_of_itself(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: Any, **values: Any) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr("fleet.orders.listing", broken)

    with capture_logs() as logs:
        response = await (await api.as_("viewer")).get("/api/orders")

    assert [str(entry["exc_info"]) for entry in logs] == ["secret of the house"]
    assert_problem(response, 500)
    assert "secret" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("POST", "/api/nothing", 404),
        ("DELETE", "/api/orders", 405),
        ("PUT", "/api/me", 405),
    ],
)
async def test_what_there_is_not_is_a_problem(api: Api, method: str, path: str, status: int) -> None:
    response = await (await api.as_("administrator")).request(method, path)

    assert_problem(response, response.status_code)
    assert response.status_code in {status, 405}


async def test_nothing_is_lost_when_the_database_goes_away_and_comes_back(
    crashing_server: TestServer, tmp_path: Any
) -> None:
    async with Database.open(crashing_server.dsn, timeout_s=0.5) as database:
        world = World(database)
        await world.empty()
        async with Api.on(world, tmp_path) as api:
            dispatcher = await api.as_("dispatcher")
            crashing_server.crash()

            away = await asyncio.wait_for(dispatcher.post("/api/orders", json=ORDER), 20)
            unready = await dispatcher.get("/api/ready")
            health = await dispatcher.get("/api/health")
            crashing_server.start()

            async def is_back() -> bool:
                return (await dispatcher.post("/api/orders", json=ORDER)).status_code == 201

            await until(is_back)

    assert_problem(away, 503)
    assert "retry-after" in away.headers
    assert_problem(unready, 503)
    assert health.status_code == 200

"""Orders over HTTP: taken once, whole or not at all, and refused by the name of what is wrong."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from fleet.api.guard import MAX_BODY_BYTES
from tests.api_kit import Api, assert_problem
from tests.problems import START

HEADER = "ref,pickup,dropoff,recipient,goods,mass_kg,volume_l,earliest,latest"
ORDER: dict[str, Any] = {
    "external_ref": "A1",
    "pickup_site": "hub-1",
    "dropoff_site": "drop-5",
    "recipient": "佐藤",
    "goods": "パン",
    "mass_kg": 0.3,
    "volume_l": 1.0,
    "earliest": START.isoformat(),
    "latest": (START + timedelta(hours=2)).isoformat(),
    "priority": 0,
}


def _csv(*rows: str) -> bytes:
    return "\n".join([HEADER, *rows]).encode()


def _row(ref: str, mass_kg: str = "0.5", dropoff: str = "drop-5") -> str:
    return f"{ref},hub-1,{dropoff},Sato,bread,{mass_kg},2,{ORDER['earliest']},{ORDER['latest']}"


async def test_an_order_is_taken_in_and_shown(api: Api) -> None:
    dispatcher = await api.as_("dispatcher")

    made = await dispatcher.post("/api/orders", json=ORDER)

    assert made.status_code == 201
    order = made.json()
    assert {name: order[name] for name in ("external_ref", "recipient", "goods", "mass_kg", "state")} == {
        "external_ref": "A1", "recipient": "佐藤", "goods": "パン", "mass_kg": 0.3, "state": "received",
    }  # fmt: skip
    (listed,) = (await dispatcher.get("/api/orders")).json()["orders"]
    assert listed.items() >= order.items()
    detail = (await dispatcher.get(f"/api/orders/{order['order_id']}")).json()
    assert detail.items() >= order.items()
    assert [event["to_state"] for event in detail["events"]] == ["received"]
    assert [(hop["holder_kind"], hop["holder_id"]) for hop in detail["custody"]] == [("shelf", "hub-1")]


async def test_an_order_is_shown_as_the_contract_says(api: Api) -> None:
    order = (await (await api.as_("dispatcher")).post("/api/orders", json=ORDER)).json()

    assert set(order) >= {
        "order_id", "external_ref", "state", "pickup_site", "dropoff_site", "recipient", "goods", "mass_kg", "volume_l",
        "earliest", "latest", "priority", "reason", "created_at", "changed_at", "mission_id", "vehicle_id", "eta",
    }  # fmt: skip
    assert order["earliest"] == "2026-04-01T00:00:00Z"


async def test_sending_an_order_again_takes_it_once(api: Api) -> None:
    dispatcher = await api.as_("dispatcher")
    first = await dispatcher.post("/api/orders", json=ORDER)

    again = await dispatcher.post("/api/orders", json=ORDER)
    other = await dispatcher.post("/api/orders", json=ORDER | {"mass_kg": 0.4})

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert "'A1' exists already" in assert_problem(other, 409)["detail"]
    assert len(await api.world.rows("SELECT * FROM delivery_order")) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"mass_kg": -1}, "mass_kg"),
        ({"mass_kg": 0}, "mass_kg"),
        ({"mass_kg": 1e9}, "mass_kg"),
        ({"mass_kg": "heavy"}, "mass_kg"),
        ({"mass_kg": None}, "mass_kg"),
        ({"volume_l": float("nan")}, "volume_l"),
        ({"volume_l": float("inf")}, "volume_l"),
        ({"volume_l": 10**400}, "volume_l"),
        ({"priority": 101}, "priority"),
        ({"priority": 10**30}, "priority"),
        ({"priority": 0.5}, "priority"),
        ({"recipient": "a\0b"}, "recipient"),
        ({"goods": "bread\0"}, "goods"),
        ({"goods": "two\nlines"}, "goods"),
        ({"external_ref": "\0"}, "external_ref"),
        ({"external_ref": "   "}, "external_ref"),
        ({"external_ref": "x" * 201}, "external_ref"),
        ({"goods": "x" * 501}, "goods"),
        ({"recipient": ["Sato"]}, "recipient"),
        ({"dropoff_site": "atlantis"}, "dropoff_site"),
        ({"pickup_site": "a\0b"}, "pickup_site"),
        ({"dropoff_site": "hub-1"}, "dropoff_site"),
        ({"earliest": "2026-04-01T09:00:00"}, "earliest"),
        ({"earliest": "tomorrow"}, "earliest"),
        ({"latest": ORDER["earliest"]}, "latest"),
        ({"earliest": "0001-01-01T00:00:00+14:00"}, "earliest"),
        ({"latest": "9999-12-31T23:59:59-12:00"}, "latest"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_malformed_order_is_refused_by_name_and_changes_nothing(
    api: Api, change: dict[str, Any], field: str
) -> None:
    dispatcher = await api.as_("dispatcher")
    before = await api.world.digest()

    response = await dispatcher.post(
        "/api/orders", content=json.dumps(ORDER | change), headers={"Content-Type": "application/json"}
    )

    assert_problem(response, 422, field=field)
    assert await api.world.digest() == before


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"A1"', b"\xff\xfe", b'{"external_ref": "\\ud800"}', b"[" * 100_000]
)
async def test_what_is_no_order_at_all_is_a_problem(api: Api, body: bytes) -> None:
    dispatcher = await api.as_("dispatcher")

    response = await dispatcher.post("/api/orders", content=body, headers={"Content-Type": "application/json"})

    assert_problem(response, 400 if response.status_code == 400 else 422)


async def test_a_file_is_taken_and_taken_again_without_effect(api: Api) -> None:
    dispatcher = await api.as_("dispatcher")
    content = _csv(_row("A1"), _row("A2"))

    first = await dispatcher.post("/api/orders/import", content=content)
    again = await dispatcher.post("/api/orders/import", content=_csv(_row("A1"), _row("A2"), _row("A3")))

    assert first.json() == {"imported": 2, "already": 0}
    assert again.json() == {"imported": 1, "already": 2}
    refs = await api.world.rows("SELECT external_ref FROM delivery_order ORDER BY 1")
    assert [row["external_ref"] for row in refs] == ["A1", "A2", "A3"]


async def test_one_bad_row_keeps_a_file_out_and_is_named(api: Api) -> None:
    dispatcher = await api.as_("dispatcher")

    response = await dispatcher.post(
        "/api/orders/import", content=_csv(_row("A1"), _row("A2", mass_kg="-2"), _row("A3", dropoff="atlantis"))
    )

    errors = assert_problem(response, 422)["errors"]
    assert [error["where"] for error in errors] == ["row 3, column mass_kg", "row 4, column dropoff"]
    assert "must be a number above 0" in errors[0]["reason"]
    assert await api.world.rows("SELECT * FROM delivery_order") == []


async def test_a_file_that_contradicts_what_is_known_is_kept_out(api: Api) -> None:
    dispatcher = await api.as_("dispatcher")
    await dispatcher.post("/api/orders/import", content=_csv(_row("A1")))

    response = await dispatcher.post("/api/orders/import", content=_csv(_row("A0"), _row("A1", mass_kg="0.9")))

    assert "'A1'" in assert_problem(response, 409)["detail"]
    assert len(await api.world.rows("SELECT * FROM delivery_order")) == 1


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"\xff\xfe\xfd", b"a,b,c\n1,2,3", HEADER.encode()])
async def test_what_is_no_file_of_orders_is_a_problem(api: Api, content: bytes) -> None:
    response = await (await api.as_("dispatcher")).post("/api/orders/import", content=content)

    assert_problem(response, 422)


async def test_a_file_that_is_too_large_is_refused(api: Api) -> None:
    dispatcher = await api.as_("dispatcher")
    row = _row("A1").encode() + b"\n"
    content = HEADER.encode() + b"\n" + row * (MAX_BODY_BYTES // len(row) + 1)

    async def without_its_length():  # type: ignore[no-untyped-def]
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    announced = await dispatcher.post("/api/orders/import", content=content)
    streamed = await dispatcher.post("/api/orders/import", content=without_its_length())
    as_json = await dispatcher.post("/api/orders", content=content, headers={"Content-Type": "application/json"})

    for response in (announced, streamed, as_json):
        assert "split it" in assert_problem(response, 413)["detail"]
    assert await api.world.rows("SELECT * FROM delivery_order") == []


async def test_a_file_of_thousands_of_orders_is_taken_in_seconds(api: Api) -> None:
    dispatcher = await api.as_("dispatcher")

    response = await dispatcher.post(
        "/api/orders/import", content=_csv(*(_row(f"A{n}") for n in range(3000))), timeout=20
    )

    assert response.json() == {"imported": 3000, "already": 0}
    counts = await api.world.one(
        "SELECT (SELECT count(*) FROM custody) AS custody, (SELECT count(*) FROM order_event) AS events"
    )
    assert counts == {"custody": 3000, "events": 3000}


async def test_orders_are_listed_by_state(api: Api) -> None:
    dispatcher = await api.as_("dispatcher")
    await dispatcher.post("/api/orders", json=ORDER)
    cancelled = (await dispatcher.post("/api/orders", json=ORDER | {"external_ref": "A2"})).json()

    done = await dispatcher.post(f"/api/orders/{cancelled['order_id']}/cancel")
    again = await dispatcher.post(f"/api/orders/{cancelled['order_id']}/cancel")
    listed = {
        state: [o["external_ref"] for o in (await dispatcher.get(f"/api/orders?state={state}")).json()["orders"]]
        for state in ("received", "cancelled", "delivered")
    }

    assert done.status_code == 204
    assert_problem(again, 409)
    assert listed == {"received": ["A1"], "cancelled": ["A2"], "delivered": []}
    assert_problem(await dispatcher.get("/api/orders?state=lost"), 422, field="state")


@pytest.mark.parametrize("order_id", ["o-none", "%00", "x" * 5000, "%F0%9F%8D%9E"])
async def test_an_order_that_there_is_not_is_not_found(api: Api, order_id: str) -> None:
    dispatcher = await api.as_("dispatcher")

    assert_problem(await dispatcher.get(f"/api/orders/{order_id}"), 422 if order_id == "%00" else 404)

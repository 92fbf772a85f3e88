"""Alarms over HTTP: listed, paged, acknowledged and shelved by pilots, explained by the table, and counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from fleet.alarm_keeper import AlarmKeeper
from fleet.alarms import AlarmBook
from telemetry.monitors.finding import Finding
from tests.api_kit import Api, assert_problem
from tests.problems import START


async def _raise(api: Api, *codes: str, source: str = "drone-1", at: datetime = START) -> AlarmKeeper:
    """Have a gateway raise alarms as of a moment."""
    keeper = AlarmKeeper(AlarmBook(), api.world.database, actor="gateway-1")
    for second in range(4):
        findings = [Finding(code, True) for code in codes]
        keeper.book.take("vehicle", source, findings, at=at + timedelta(seconds=second), speed=1.0)
    await keeper.once()
    return keeper


async def _list(api: Api, **query: Any) -> dict[str, Any]:
    response = await (await api.as_("viewer")).get("/api/alarms", params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_a_pilot_acknowledges_and_shelves_and_everybody_sees_it(api: Api) -> None:
    await _raise(api, "stuck", "manual")
    ids = {alarm["code"]: alarm["alarm_id"] for alarm in (await _list(api))["alarms"]}
    pilot = await api.as_("pilot")

    acknowledged = await pilot.post(f"/api/alarms/{ids['manual']}/acknowledge")
    again = await pilot.post(f"/api/alarms/{ids['manual']}/acknowledge")
    body = {"minutes": 30, "reason": "道路工事"}
    shelved = await pilot.post(f"/api/alarms/{ids['stuck']}/shelve", json=body)

    assert acknowledged.json() == again.json()
    assert (acknowledged.json()["state"], acknowledged.json()["acknowledged_by"]) == ("acknowledged", "pilot")
    assert (shelved.json()["state"], shelved.json()["shelf_reason"]) == ("shelved", "道路工事")
    assert {alarm["code"]: alarm["state"] for alarm in (await _list(api))["alarms"]} == {
        "stuck": "shelved", "manual": "acknowledged",
    }  # fmt: skip
    back = await pilot.post(f"/api/alarms/{ids['stuck']}/unshelve")
    assert back.json()["state"] == "unacknowledged"
    detail = (await pilot.get(f"/api/alarms/{ids['stuck']}")).json()
    assert [event["event"] for event in detail["events"]] == ["raise", "shelve", "unshelve"]
    assert detail["definition"]["meaning_en"].startswith("The way may be blocked")


@pytest.mark.parametrize(
    ("body", "field"),
    [({"minutes": 500, "reason": "x"}, "minutes"), ({"minutes": 0, "reason": "x"}, "minutes"),
     ({"minutes": "NaN", "reason": "x"}, "minutes"), ({"minutes": 5, "reason": " "}, "reason"),
     ({"minutes": 5, "reason": "a\0"}, "reason"), ({"minutes": 5}, "reason")],
)  # fmt: skip
async def test_a_malformed_shelf_is_refused_by_name(api: Api, body: dict[str, Any], field: str) -> None:
    await _raise(api, "stuck")
    (alarm,) = (await _list(api))["alarms"]
    response = await (await api.as_("pilot")).post(f"/api/alarms/{alarm['alarm_id']}/shelve", json=body)
    assert_problem(response, 422, field=field)
    assert (await _list(api))["alarms"] == [alarm]


async def test_what_is_not_there_or_not_possible_says_so(api: Api) -> None:
    await _raise(api, "stuck", "too_close")
    ids = {alarm["code"]: alarm["alarm_id"] for alarm in (await _list(api))["alarms"]}
    pilot = await api.as_("pilot")
    shelf = {"minutes": 5, "reason": "x"}
    assert_problem(await pilot.post("/api/alarms/none/acknowledge"), 404)
    assert_problem(await pilot.post(f"/api/alarms/{ids['too_close']}/shelve", json=shelf), 409)
    await pilot.post(f"/api/alarms/{ids['stuck']}/shelve", json=shelf)
    assert_problem(await pilot.post(f"/api/alarms/{ids['stuck']}/acknowledge"), 409)


async def test_the_list_of_now_forgets_what_is_over_and_answered_and_the_history_does_not(api: Api) -> None:
    keeper = await _raise(api, "manual", at=START - timedelta(hours=2))
    await _raise(api, "stuck", source="robot-1")
    (old,) = [alarm for alarm in (await _list(api))["alarms"] if alarm["code"] == "manual"]
    await (await api.as_("pilot")).post(f"/api/alarms/{old['alarm_id']}/acknowledge")
    for second in range(0, 60, 5):
        keeper.book.take("vehicle", "drone-1", [], at=START - timedelta(seconds=3600 - second), speed=1.0)
    await keeper.once()

    assert [alarm["code"] for alarm in (await _list(api))["alarms"]] == ["stuck"]
    day = {"from": (START - timedelta(hours=3)).isoformat(), "to": (START + timedelta(hours=1)).isoformat()}
    assert [alarm["code"] for alarm in (await _list(api, **day))["alarms"]] == ["stuck", "manual"]
    assert [a["code"] for a in (await _list(api, **day, state="normal"))["alarms"]] == ["manual"]
    assert [a["code"] for a in (await _list(api, **day, source_id="robot-1"))["alarms"]] == ["stuck"]
    assert [a["code"] for a in (await _list(api, **day, urgency="high"))["alarms"]] == ["manual"]
    first = await _list(api, **day, limit=1)
    then = await _list(api, **day, limit=1, before=first["next"])
    assert [first["alarms"][0]["code"], then["alarms"][0]["code"]] == ["stuck", "manual"]
    assert (await _list(api, **day, limit=1, before=then["next"]))["alarms"] == []


async def test_a_period_that_ends_before_it_begins_is_refused(api: Api) -> None:
    query = {"from": START.isoformat(), "to": (START - timedelta(hours=1)).isoformat()}
    for path in ("/api/alarms", "/api/alarms/rate"):
        assert_problem(await (await api.as_("viewer")).get(path, params=query), 422, field="from")


async def test_the_rate_counts_what_sounded_for_each_operator(api: Api) -> None:
    for minute in (1, 2, 25):
        await _raise(api, "manual", source=f"drone-{minute}", at=START + timedelta(minutes=minute))
    await _raise(api, "silent", source="drone-4", at=START + timedelta(minutes=26))
    query = {"from": START.isoformat(), "to": (START + timedelta(hours=1)).isoformat()}
    viewer = await api.as_("viewer")

    rate = (await viewer.get("/api/alarms/rate", params=query)).json()
    shared = (await viewer.get("/api/alarms/rate", params={**query, "operators": 2})).json()

    assert (rate["alarms"], rate["operators"], rate["per_operator_per_10_min"]) == (4, 1, 0.667)
    assert (rate["worst_10_min"], rate["floods"]) == (2, 0)
    assert rate["by_code"] == {"manual": 3, "silent": 1}
    assert shared["per_operator_per_10_min"] == 0.333
    # The clock of this API runs five times as fast as the wall's.
    assert rate["detection_wall_s"] == {"alarms": 3, "median": 0.4, "most": 0.4}


async def test_the_table_says_of_each_alarm_what_it_means(api: Api) -> None:
    table = (await (await api.as_("viewer")).get("/api/alarms/table")).json()["alarms"]
    silent = next(row for row in table if row["code"] == "silent")
    assert silent["urgency"] == "urgent"
    assert silent["answers"][0] == {
        "answer": "map",
        "ja": "地図で位置と周囲を見る",
        "en": "Look at where it is on the map",
    }
    assert silent["shelve_max_min"] == 5

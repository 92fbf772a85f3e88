"""The flight log: drafted once from what happened, completed by people, never overwritten, printed and filed."""

from __future__ import annotations

import asyncio
import csv
import io
import threading
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from fleet import flight_drafts, log_page, log_view
from fleet.log_forms import INSPECTION_ITEMS
from tests.api_kit import Api, assert_problem
from tests.fleet_kit import World
from tests.log_kit import ENTRIES, draft, entry, fly, note_threads

HOUR = timedelta(hours=1)


async def _flown(world: World, *, minutes: int = 3) -> tuple[str, datetime]:
    """Have a drone fly its mission; return the mission and when it took off."""
    await world.drone()
    await world.order()
    (mission_id,) = await world.missions()
    took_off = world.later(60)
    await world.fly(mission_id)
    pad = world.region.site("hub-1").pads[0]
    await world.store(fly("drone-1", took_off, 60 * minutes, pad))
    world.later(60 * minutes)
    await world.move(mission_id, "completed")
    return mission_id, took_off


async def test_a_flight_is_drafted_from_its_samples_and_its_mission(world: World) -> None:
    mission_id, took_off = await _flown(world)

    assert await draft(world, world.at + HOUR) == 1

    row = await entry(world)
    assert (row["began_at"], row["ended_at"]) == (took_off, took_off + timedelta(minutes=3))
    content = row["content"]
    hub = world.region.site("hub-1")
    assert content["mission_ids"] == [mission_id]
    assert content["pilot_id"] == "pilot"
    assert content["takeoff_place"] == content["landing_place"] == f"{hub.name_ja} (hub-1)"
    assert content["route"].endswith(hub.name_ja)
    assert content["events"] == []


async def test_each_landing_ends_a_flight_of_the_same_mission(world: World) -> None:
    _, took_off = await _flown(world)
    pad = world.region.site("hub-1").pads[0]
    await world.store(fly("drone-1", took_off + timedelta(minutes=4), 90, pad))

    await draft(world, world.at + HOUR)

    assert [(row["ended_at"] - row["began_at"]).total_seconds() for row in await world.rows(ENTRIES)] == [180, 90]


async def test_however_often_and_by_how_many_it_is_drafted_there_is_one_line(world: World) -> None:
    await _flown(world)
    at = world.at + HOUR

    await asyncio.gather(*(draft(world, at) for _ in range(4)))
    await draft(world, at + HOUR)

    await entry(world)


async def test_a_crash_while_drafting_leaves_nothing_half_done_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _flown(world)

    async def crash(*args: object, **kwargs: object) -> None:
        raise ConnectionResetError("the process ends here")

    with monkeypatch.context() as patch:
        patch.setattr(flight_drafts, "_keep", crash)
        with pytest.raises(ConnectionResetError):
            await draft(world, world.at + HOUR)
    assert await world.rows(ENTRIES) == []

    await draft(world, world.at + HOUR)

    await entry(world)


async def test_a_flight_is_drafted_piece_by_piece_as_its_samples_come(world: World) -> None:
    await world.drone()
    pad = world.region.site("hub-1").pads[0]
    samples = fly("drone-1", world.at, 300, pad)

    for low in range(0, len(samples), 47):
        piece = samples[low : low + 47]
        await world.store(piece)
        await draft(world, piece[-1].t + timedelta(seconds=4))

    row = await entry(world)
    assert (row["ended_at"] - row["began_at"]).total_seconds() == 300
    assert row["content"]["events"] == []


async def test_days_of_samples_are_caught_up_with_in_one_round(world: World) -> None:
    await world.drone()
    pad = world.region.site("hub-1").pads[0]
    for day in range(3):
        await world.store(fly("drone-1", world.at + timedelta(days=day), 60, pad))

    assert await draft(world, world.at + timedelta(days=3)) == 3


async def test_a_mission_that_cannot_be_read_costs_the_flight_its_particulars_alone(world: World) -> None:
    _, took_off = await _flown(world)
    await world.write("""UPDATE mission SET trip = '{"stops": [{}]}'""")

    await draft(world, world.at + HOUR)

    row = await entry(world)
    assert (row["began_at"], row["content"]["mission_ids"]) == (took_off, [])


async def test_a_robots_mission_is_a_line_of_its_remote_operation(world: World) -> None:
    await world.robot()
    drop = next(s.site_id for s in world.region.sites if s.accepts_robot and not s.accepts_drone)
    await world.order(dropoff=drop)
    (mission_id,) = await world.missions()
    await world.fly(mission_id)
    started = world.at
    world.later(600)
    await world.move(mission_id, "held", "underway", "aborted", reason="kerb too high")

    await draft(world, world.at)
    await draft(world, world.at + HOUR)

    row = await entry(world)
    assert (row["kind"], row["mission_id"], row["began_at"]) == ("operation", mission_id, started)
    assert row["content"]["pilot_id"] == "pilot"
    assert [event["en"].split(":")[0] for event in row["content"]["events"]] == [
        "Held on the way",
        "Ended without all deliveries",
    ]


async def test_what_was_written_is_not_overwritten(world: World) -> None:
    await _flown(world)
    await draft(world, world.at + HOUR)

    for statement in ("UPDATE log_revision SET actor = 'x'", "DELETE FROM log_revision"):
        with pytest.raises(psycopg.errors.RaiseException, match="written once"):
            await world.write(statement)


async def _drafted(api: Api) -> str:
    await _flown(api.world)
    await api.world.user("pilot", "pilot")
    await draft(api.world, api.world.at + HOUR)
    return str((await entry(api.world))["entry_id"])


async def test_a_person_corrects_and_signs_and_the_former_words_stay(api: Api) -> None:
    entry_id = await _drafted(api)
    pilot = await api.as_("pilot")
    licence = {"name": "山田 太郎", "licence_class": "一等", "licence_number": "1234567890"}
    assert (await pilot.put("/api/pilots/pilot/particulars", json=licence)).status_code == 204

    correction = {"revision": 0, "reason": "permission", "changes": {"method": "目視外飛行", "safety": "なし"}}
    changed = await pilot.patch(f"/api/log-entries/{entry_id}", json=correction)
    stale = await pilot.patch(f"/api/log-entries/{entry_id}", json=correction)
    signed = await pilot.post(f"/api/log-entries/{entry_id}/sign", json={"revision": 1})
    again = await pilot.post(f"/api/log-entries/{entry_id}/sign", json={"revision": 1})

    assert changed.status_code == 200, changed.text
    assert (changed.json()["method"], changed.json()["revision"]) == ("目視外飛行", 1)
    assert "has changed since" in assert_problem(stale, 409)["detail"]
    assert signed.status_code == again.status_code == 200, signed.text
    assert signed.json()["signed_by"] == "pilot"
    history = again.json()["revisions"]
    assert [(r["revision"], r["actor"], r["signed"]) for r in history] == [
        (0, "service", False), (1, "pilot", False), (2, "pilot", True),
    ]  # fmt: skip
    assert history[0]["content"]["method"] == ""
    trail = await api.world.rows("SELECT action FROM audit WHERE action LIKE 'log.%%' ORDER BY audit_id")
    assert [row["action"] for row in trail] == ["log.pilot", "log.revise", "log.sign"]


async def test_a_signed_line_stays_as_it_was_signed_and_a_correction_wants_a_new_signature(api: Api) -> None:
    entry_id = await _drafted(api)
    pilot = await api.as_("pilot")
    await pilot.put("/api/pilots/pilot/particulars", json={"name": "山田 太郎", "licence_number": "1"})
    await pilot.post(f"/api/log-entries/{entry_id}/sign", json={"revision": 0})
    await pilot.put("/api/pilots/pilot/particulars", json={"name": "鈴木 太郎", "licence_number": "2"})

    signed = (await pilot.get(f"/api/log-entries/{entry_id}")).json()
    body = {"revision": 1, "reason": "a slip", "changes": {"purpose": "訓練"}}
    corrected = (await pilot.patch(f"/api/log-entries/{entry_id}", json=body)).json()

    assert (signed["pilot_name"], signed["licence_number"]) == ("山田 太郎", "1")
    assert corrected["signed_by"] is None
    assert (corrected["pilot_name"], corrected["purpose"]) == ("鈴木 太郎", "訓練")


async def test_ground_crew_corrects_inspections_and_no_flights(api: Api) -> None:
    entry_id = await _drafted(api)
    crew = await api.as_("ground_crew")
    made = (await crew.post("/api/vehicles/drone-1/inspections", json=_inspection())).json()

    notes = {"revision": 0, "reason": "forgotten", "changes": {"notes": "雨天"}}
    own = await crew.patch(f"/api/log-entries/{made['entry_id']}", json=notes)
    body = {"revision": 0, "reason": "x", "changes": {"purpose": "訓練"}}
    flight = await crew.patch(f"/api/log-entries/{entry_id}", json=body)

    assert own.status_code == 200, own.text
    assert own.json()["notes"] == "雨天"
    assert_problem(flight, 403)


async def test_a_flight_by_hand_is_written_by_a_pilot_once_and_counts(api: Api) -> None:
    world = api.world
    await world.drone()
    pilot = await api.as_("pilot")
    await pilot.put("/api/vehicles/drone-1/particulars", json={"registration": "JU3200000001", "hours_brought": 10.5})
    flight = {
        "takeoff_at": (world.at - HOUR).isoformat(),
        "landing_at": (world.at - HOUR / 2).isoformat(),
        "takeoff_place": "field",
        "purpose": "訓練",
    }

    made = await pilot.post("/api/vehicles/drone-1/flights", json=flight)
    twice = await pilot.post("/api/vehicles/drone-1/flights", json=flight)
    backwards = await pilot.post("/api/vehicles/drone-1/flights", json={**flight, "takeoff_at": world.at.isoformat()})
    log = (await pilot.get("/api/vehicles/drone-1/log")).json()

    assert made.status_code == 201, made.text
    assert made.json()["pilot_name"] == "Pilot"
    assert made.json()["total_flight_time_s"] == 11 * 3600
    assert "another flight at that time" in assert_problem(twice, 409)["detail"]
    assert_problem(backwards, 422, field="landing_at")
    assert log["particulars"]["registration"] == "JU3200000001"
    assert [warning["code"] for warning in log["warnings"]] == ["particulars", "unsigned"]


def _inspection(**changed: str) -> dict[str, Any]:
    items = {name: {"result": changed.get(name, "good")} for name in INSPECTION_ITEMS["drone"]}
    return {"place": "拠点", "items": items}


async def test_an_inspection_that_finds_a_defect_is_warned_of_until_it_is_put_right(api: Api) -> None:
    await api.world.drone()
    crew = await api.as_("ground_crew")

    made = await crew.post("/api/vehicles/drone-1/inspections", json=_inspection(propellers="defect"))
    log = (await crew.get("/api/vehicles/drone-1/log")).json()
    (defect,) = log["parts"]["defect"]
    action = {"revision": 0, "action": "交換"}
    fixed = await crew.post(f"/api/log-entries/{defect['entry_id']}/action", json=action)
    after = (await crew.get("/api/vehicles/drone-1/log")).json()

    assert made.status_code == 201, made.text
    assert made.json()["inspector"] == "Ground-Crew"
    assert "open_defect" in [warning["code"] for warning in log["warnings"]]
    assert "プロペラ" in defect["text"]
    assert fixed.status_code == 200, fixed.text
    assert fixed.json()["confirmer"] == "Ground-Crew"
    assert "open_defect" not in [warning["code"] for warning in after["warnings"]]


@pytest.mark.parametrize("change", [{"frame": None}, {"wings": {"result": "good"}}])
async def test_an_inspection_has_every_item_of_the_form_and_no_other(api: Api, change: dict[str, Any]) -> None:
    await api.world.drone()
    body = _inspection()
    body["items"] = {name: item for name, item in (body["items"] | change).items() if item is not None}

    refused = await (await api.as_("ground_crew")).post("/api/vehicles/drone-1/inspections", json=body)

    assert_problem(refused, 422, field="items")
    assert await api.world.rows("SELECT FROM log_entry") == []


async def test_maintenance_carries_the_hours_of_its_moment(api: Api) -> None:
    world = api.world
    world.at -= HOUR
    await _flown(world, minutes=6)
    await draft(world, world.at + HOUR)
    crew, office = await api.as_("ground_crew"), await api.as_("dispatcher")
    hours = {"hours_brought": 100, "hours_at_certification": 90}
    assert (await office.put("/api/vehicles/drone-1/particulars", json=hours)).status_code == 204

    body = {"work": "モーター交換", "parts": "motor 3", "reason": "20時間点検", "place": "拠点"}
    made = await crew.post("/api/vehicles/drone-1/maintenance", json=body)

    assert made.status_code == 201, made.text
    assert made.json()["total_flight_time_s"] == 100 * 3600 + 360
    assert made.json()["since_certification_s"] == 10 * 3600 + 360


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"colour": "red"}, "changes"), ({"takeoff_at": "yesterday"}, "changes.takeoff_at"), ({}, "changes"),
     ({"landing_at": "2025-01-01T00:00:00Z"}, "landing_at"), ({"safety": "x" * 5000}, "changes.safety"),
     ({"takeoff_place": "a\0b"}, "changes.takeoff_place"), ({"landing_at": "2150-01-01T00:00:00Z"}, "landing_at"),
     ({"takeoff_at": None}, "takeoff_at")],
)  # fmt: skip
async def test_a_correction_that_cannot_be_is_refused_by_name(api: Api, changes: dict[str, Any], field: str) -> None:
    entry_id = await _drafted(api)

    body = {"revision": 0, "reason": "x", "changes": changes}
    refused = await (await api.as_("pilot")).patch(f"/api/log-entries/{entry_id}", json=body)

    assert_problem(refused, 422, field=field)
    assert (await entry(api.world))["revision"] == 0


def _read(text: str) -> list[list[str]]:
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text[1:])))


async def test_the_csv_is_for_spreadsheets_in_japan_and_holds_no_formulas(api: Api) -> None:
    entry_id = await _drafted(api)
    pilot = await api.as_("pilot")
    hostile = {"takeoff_place": '=HYPERLINK("http://x")', "purpose": "@SUM(1)", "route": "-2+3", "method": "＝1+1"}
    await pilot.patch(f"/api/log-entries/{entry_id}", json={"revision": 0, "reason": "x", "changes": hostile})

    both = await pilot.get("/api/vehicles/drone-1/log.csv")
    english = await pilot.get("/api/vehicles/drone-1/log.csv?lang=en&part=flight")

    assert both.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="drone-1-flight.csv"' in both.headers["content-disposition"]
    japanese_heads, english_heads, row = _read(both.text)
    named = dict(zip(english_heads, row, strict=True))
    assert japanese_heads[english_heads.index("Date of flight")] == "飛行年月日"
    assert named["From"] == "'" + hostile["takeoff_place"]
    assert (named["Purpose"], named["Route"]) == ("'@SUM(1)", "'-2+3")
    assert named["Method of flight"] == "'＝1+1"
    assert named["Flight time"] == "0:03"
    assert named["Flight time [s]"] == "180"
    assert _read(english.text)[0] == english_heads
    assert_problem(await pilot.get("/api/vehicles/drone-1/log.csv?part=operation"), 422, field="part")


async def test_the_page_is_one_that_can_be_printed_and_runs_nothing(api: Api) -> None:
    entry_id = await _drafted(api)
    pilot = await api.as_("pilot")
    script = {"takeoff_place": "<script>alert(1)</script>"}
    await pilot.patch(f"/api/log-entries/{entry_id}", json={"revision": 0, "reason": "x", "changes": script})

    japanese = (await pilot.get("/api/vehicles/drone-1/log.html")).text
    english = (await pilot.get("/api/vehicles/drone-1/log.html?lang=en")).text

    assert "<script" not in japanese
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in japanese
    assert "size: A4 landscape" in japanese
    for words in ("飛行記録", "日常点検記録", "点検整備記録", "技能証明書番号", "製造番号"):
        assert words in japanese
    assert "Journey log of UAS" in english
    period = "start=2026-01-01T09%3A00%3A00%2B09%3A00"
    of_a_period = (await pilot.get(f"/api/vehicles/drone-1/log.html?{period}")).text
    assert f'href="log.html?{period}&amp;lang=en"' in of_a_period
    assert "飛行記録" not in english


@pytest.mark.parametrize(
    ("path", "made_by"),
    [("log.html", (log_page, "render")), ("log.csv", (log_view, "csv")), ("log", (log_view, "_shown"))],
)
async def test_a_long_log_is_not_written_where_everything_else_waits_for_it(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str, made_by: tuple[Any, str]
) -> None:
    await _drafted(api)
    threads = note_threads(monkeypatch, *made_by)

    answer = await (await api.as_("viewer")).get(f"/api/vehicles/drone-1/{path}")

    assert answer.status_code == 200
    assert threads, "it was written by nobody"
    assert threading.get_ident() not in threads


async def test_the_samples_of_one_flight_come_as_csv(api: Api) -> None:
    entry_id = await _drafted(api)
    viewer = await api.as_("viewer")

    answer = await viewer.get(f"/api/flights/{entry_id}/samples.csv?around_s=5")

    heads, *rows = _read(answer.text)
    air = [row for row in rows if row[heads.index("on_ground")] == "false"]
    assert len(rows) == 180 + 10
    assert len(air) == 180
    assert {row[heads.index("mode")] for row in air} == {"'=cmd|mission"}
    assert air[0][heads.index("vel_d_cms")] == "-100"
    assert [row[0] for row in rows] == ["drone-1"] * len(rows)
    assert_problem(await viewer.get("/api/flights/f-none/samples.csv"), 404)

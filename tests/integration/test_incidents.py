"""Incidents: one action keeps the data whatever retention does; a report says what is stored, and people add to it."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from fleet import commands, housekeeping, incident_bundle, incident_page, incident_report, incidents, missions
from telemetry import keeping
from telemetry.clock import Clock
from tests.api_kit import Api, assert_problem
from tests.fleet_kit import World
from tests.log_kit import fly, note_threads

HOUR = timedelta(hours=1)
COUNT = "SELECT vehicle_id, count(*) AS n FROM sample_all GROUP BY 1 ORDER BY 1"


def _body(**more: Any) -> dict[str, Any]:
    return {"scope_kind": "vehicle", "scope_id": "drone-1", "idempotency_key": "k1"} | more


async def _two_fly(world: World) -> datetime:
    """Have two drones fly circles at the same time; return when they took off, long enough ago to be over."""
    await world.drone()
    await world.drone("drone-2", port=14601, pad=1)
    pads = world.region.site("hub-1").pads
    began = world.at - timedelta(minutes=10)
    await world.store(fly("drone-1", began, 120, pads[0]))
    await world.store(fly("drone-2", began, 120, pads[1], radius_m=100.0))
    return began


async def _begin(api: Api, role: str = "pilot", **more: Any) -> dict[str, Any]:
    answer = await (await api.as_(role)).post("/api/incidents", json=_body(**more))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _retention(world: World, now: datetime) -> None:
    """Let retention come round until nothing is left to do."""
    limits = keeping.Limits(samples_days=1, rollups_1s_days=1, rollups_1m_days=1, events_days=1)
    async with await AsyncConnection.connect(world.database.dsn, autocommit=True) as connection:
        for _ in range(20):
            done = await keeping.keep_house(connection, now, limits)
            if not (done.days_dropped or done.events_dropped or done.gaps_dropped or done.released):
                break


async def test_one_action_freezes_the_last_half_hour_and_goes_on(api: Api) -> None:
    await _two_fly(api.world)

    incident = await _begin(api)

    opened = datetime.fromisoformat(incident["opened_at"])
    assert datetime.fromisoformat(incident["began_at"]) == opened - timedelta(minutes=30)
    assert (incident["ended_at"], incident["vehicle_ids"]) == (None, ["drone-1"])
    assert await _begin(api) == incident
    span = await api.world.one("SELECT * FROM frozen_span")
    assert span["ended_at"] > opened + timedelta(days=1000)
    (trail,) = await api.world.rows("SELECT * FROM audit WHERE action = 'incident.open'")
    assert trail["actor"] == "pilot"


async def test_what_is_frozen_outlives_retention_and_the_rest_does_not(api: Api) -> None:
    world = api.world
    await _two_fly(world)
    await world.write("INSERT INTO vehicle_event (vehicle_id, t, severity, text) VALUES ('drone-1', %(t)s, 3, 'bad')",
                      t=world.at - timedelta(minutes=9))  # fmt: skip
    incident = await _begin(api)
    dispatcher, admin = await api.as_("dispatcher"), await api.as_("administrator")
    assert (await dispatcher.post(f"/api/incidents/{incident['incident_id']}/close")).status_code == 200

    await _retention(world, world.at + timedelta(days=10))
    kept = await world.rows(COUNT)
    report = (await dispatcher.get(f"/api/incidents/{incident['incident_id']}/report")).json()
    body = {"reason": "reported and settled"}
    unfrozen = await admin.post(f"/api/incidents/{incident['incident_id']}/unfreeze", json=body)
    await _retention(world, world.at + timedelta(days=11))

    assert kept == [{"vehicle_id": "drone-1", "n": 160}]
    assert report["figures"][0]["samples"] == 160
    assert "bad" in json.dumps(report["timeline"])
    assert unfrozen.status_code == 200, unfrozen.text
    assert await world.rows(COUNT) == []


async def test_an_incident_of_a_type_or_region_takes_all_its_vehicles_in_and_those_that_join(api: Api) -> None:
    world = api.world
    await _two_fly(world)
    await world.robot()
    by_type = await _begin(api, scope_kind="type", scope_id="multirotor_1kg", idempotency_key="t")
    by_region = await _begin(api, scope_kind="region", scope_id=world.region.region_id, idempotency_key="r")
    await world.drone("drone-3", port=14602, pad=2)

    await housekeeping.round_once(world.database, Clock(Clock.real().now(), world.at, 1.0))

    assert by_type["vehicle_ids"] == ["drone-1", "drone-2"]
    assert by_region["vehicle_ids"] == ["drone-1", "drone-2", "robot-1"]
    frozen = await world.rows("SELECT vehicle_id FROM frozen_span WHERE freeze_id = %(id)s ORDER BY 1",
                              id=by_type["incident_id"])  # fmt: skip
    assert [row["vehicle_id"] for row in frozen] == ["drone-1", "drone-2", "drone-3"]


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [({"scope_id": "drone-9"}, 404, None), ({"scope_kind": "type", "scope_id": "zeppelin"}, 404, None),
     ({"scope_kind": "region", "scope_id": "moon"}, 404, None), ({"start": "2150-01-01T00:00:00Z"}, 422, "start"),
     ({"classes": ["fun"]}, 422, "classes"), ({"idempotency_key": ""}, 422, "idempotency_key")],
)  # fmt: skip
async def test_what_cannot_be_frozen_is_refused_and_nothing_is_begun(
    api: Api, change: dict[str, Any], status: int, field: str | None
) -> None:
    await api.world.drone()

    refused = await (await api.as_("pilot")).post("/api/incidents", json=_body(**change))

    assert_problem(refused, status, field=field)
    assert await api.world.rows("SELECT FROM incident") == []


async def test_it_is_closed_once_and_unfrozen_after_that_with_a_reason_by_an_administrator(api: Api) -> None:
    await api.world.drone()
    incident = await _begin(api)
    path = f"/api/incidents/{incident['incident_id']}"
    pilot, admin = await api.as_("pilot"), await api.as_("administrator")

    too_early = await admin.post(f"{path}/unfreeze", json={"reason": "settled"})
    closed = await pilot.post(f"{path}/close")
    twice = await pilot.post(f"{path}/close")
    by_pilot = await pilot.post(f"{path}/unfreeze", json={"reason": "settled"})
    no_reason = await admin.post(f"{path}/unfreeze", json={"reason": " "})

    assert_problem(too_early, 409)
    assert closed.json()["closed_by"] == "pilot"
    assert_problem(twice, 409)
    assert_problem(by_pilot, 403)
    assert_problem(no_reason, 422, field="reason")
    assert (await admin.get(path)).json()["unfrozen_at"] is None


async def test_what_people_write_is_kept_in_revisions(api: Api) -> None:
    await api.world.drone()
    incident = await _begin(api)
    path = f"/api/incidents/{incident['incident_id']}"
    pilot = await api.as_("pilot")

    first = {"revision": 0, "classes": ["loss_of_control"], "sections": {"outline": "風に流された。\n川へ。"}}
    second = {"revision": 1, "sections": {"persons": "なし"}}
    assert (await pilot.patch(path, json=first)).status_code == 200
    after = (await pilot.patch(path, json=second)).json()
    stale = await pilot.patch(path, json=second)
    unknown = await pilot.patch(path, json={"revision": 2, "sections": {"colour": "red"}})

    assert after["content"]["sections"] == {"outline": "風に流された。\n川へ。", "persons": "なし"}
    assert_problem(stale, 409)
    assert_problem(unknown, 422, field="sections")
    said = (await pilot.get(path)).json()["revisions"]
    assert [len(each["content"]["sections"]) for each in said] == [0, 1, 2]
    with pytest.raises(psycopg.errors.RaiseException, match="written once"):
        await api.world.write("UPDATE incident_revision SET actor = 'x'")


async def _eventful(world: World) -> str:
    """A mission with a hold, an alarm, words of the vehicle and a gap; return the mission."""
    began = await _two_fly(world)
    await world.order()
    (mission_id,) = await world.missions()
    await world.user("pilot", "pilot")
    world.at, now = began, world.at
    await world.fly(mission_id)
    async with world.database.transaction() as conn:
        await commands.issue(
            conn, vehicle_id="drone-1", kind="hold", key="h", issuer="pilot", at=world.later(30), speed=1.0
        )
        await missions.move(conn, mission_id, "held", at=world.later(1), cause="hold by pilot")
    values = {"t": world.later(1), "end": world.later(2)}
    await world.write("INSERT INTO vehicle_event (vehicle_id, t, severity, text) "
                      "VALUES ('drone-1', %(t)s, 3, 'Motor <2> failure')", **values)  # fmt: skip
    await world.write("INSERT INTO telemetry_gap (vehicle_id, began_at, ended_at, cause) "
                      "VALUES ('drone-1', %(t)s, %(end)s, 'not_listening')", **values)  # fmt: skip
    await world.write(
        """INSERT INTO alarm (alarm_id, source_kind, source_id, code, urgency, state, standing, text_ja, text_en, since,
            shown_at, raised_at, changed_at)
        VALUES ('a-1', 'vehicle', 'drone-1', 'fault', 'high', 'unacknowledged', true, '故障', 'A fault', %(t)s, %(t)s,
            %(t)s, %(t)s)""",
        **values,
    )
    await world.write(
        """INSERT INTO alarm_event (alarm_id, at, event, state, standing, urgency, text_ja, text_en, since, actor,
            cause)
        VALUES ('a-1', %(t)s, 'raise', 'unacknowledged', true, 'high', '故障', 'A fault', %(t)s, 'gateway-1', 'x')""",
        **values,
    )
    world.at = now
    return mission_id


async def test_the_draft_tells_what_happened_who_was_at_work_and_how_near_it_came(api: Api) -> None:
    await _eventful(api.world)
    incident = await _begin(api)

    report = (await (await api.as_("viewer")).get(f"/api/incidents/{incident['incident_id']}/report")).json()

    assert {event["source"] for event in report["timeline"]} >= {
        "command", "mission", "alarm", "vehicle", "gap", "custody", "audit",
    }  # fmt: skip
    times = [datetime.fromisoformat(event["at"]) for event in report["timeline"]]
    assert times == sorted(times)
    assert "pilot" in [person["user_id"] for person in report["people"]]
    (figure,) = report["figures"]
    assert figure["speed_max_mps"] == 8.0
    assert figure["wind_max_mps"] == 5.0
    assert figure["height_max_m"] == 40.0
    assert figure["battery_min_pct"] == pytest.approx(88.1)
    nearest = report["closest"]["nearest"]
    assert nearest["vehicles"] == ["drone-1", "drone-2"]
    assert 0 < nearest["distance_m"] <= 15.0
    assert report["grade"] == "other"


async def test_how_near_it_came_is_of_its_own_vehicle_and_says_for_which_time_it_is(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = api.world
    # Fewer than one drone of the two has: the incident's own comes last by its name.
    monkeypatch.setattr(incident_report, "NEAR_ROWS", 50)
    await _two_fly(world)
    incident = await _begin(api, scope_id="drone-2")
    viewer, path = await api.as_("viewer"), f"/api/incidents/{incident['incident_id']}"

    report = (await viewer.get(f"{path}/report")).json()
    page = (await viewer.get(f"{path}/report.html?lang=en")).text

    closest = report["closest"]
    assert closest["nearest"]["vehicles"] == ["drone-1", "drone-2"]
    assert closest["start"] <= closest["nearest"]["at"] < closest["end"]
    assert not closest["whole"]
    assert report["left_out"] == [f"distances between drones before {closest['start'].replace('Z', '+00:00')}"]
    assert "distances before that were not measured" in page


async def test_two_drones_are_nearest_where_they_were_though_the_time_is_read_in_pieces(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = api.world
    await _two_fly(world)
    await world.drone("drone-3", port=14602, pad=2)
    incident = await _begin(api)
    path = f"/api/incidents/{incident['incident_id']}/report"
    viewer = await api.as_("viewer")

    at_once = (await viewer.get(path)).json()["closest"]
    monkeypatch.setattr(incident_report, "NEAR_PIECE", timedelta(seconds=7))
    in_pieces = (await viewer.get(path)).json()["closest"]

    assert (at_once["whole"], in_pieces["whole"]) == (True, True)
    assert at_once["nearest"]["distance_m"] == in_pieces["nearest"]["distance_m"]
    assert at_once["nearest"]["vehicles"] == in_pieces["nearest"]["vehicles"]


@pytest.mark.parametrize(
    ("name", "made_by"),
    [("report.html", (incident_page, "render")), ("report", (incident_report, "_nearest")),
     ("report", (incident_report, "_told")), ("bundle.zip", (incident_bundle, "_json")),
     ("bundle.zip", (incident_page, "render"))],
)  # fmt: skip
async def test_what_is_long_is_not_written_where_everything_else_waits_for_it(
    api: Api, monkeypatch: pytest.MonkeyPatch, name: str, made_by: tuple[Any, str]
) -> None:
    await _two_fly(api.world)
    incident = await _begin(api)
    threads = note_threads(monkeypatch, *made_by)

    answer = await (await api.as_("pilot")).get(f"/api/incidents/{incident['incident_id']}/{name}")

    assert answer.status_code == 200
    assert threads, "it was written by nobody"
    assert threading.get_ident() not in threads


async def test_a_long_incident_of_many_is_measured_in_its_last_day_and_says_what_is_left_out(api: Api) -> None:
    world = api.world
    for i in range(4):
        await world.drone(f"drone-{i}", port=14600 + i, pad=i)
    await world.robot()
    pad = world.region.site("hub-1").pads[0]
    for days in (9, 0.5):
        await world.store(fly("drone-0", world.at - timedelta(days=days), 60, pad))
    start = (world.at - timedelta(days=10)).isoformat()
    incident = await _begin(api, scope_kind="region", scope_id=world.region.region_id, start=start)

    report = (await (await api.as_("viewer")).get(f"/api/incidents/{incident['incident_id']}/report")).json()

    assert [figure["vehicle_id"] for figure in report["figures"]] == [f"drone-{i}" for i in range(4)]
    assert report["figures"][0]["samples"] == 100
    assert [text.split(" ")[0:2] for text in report["left_out"]] == [["figures", "before"], ["figures", "of"]]


async def test_the_page_says_first_what_the_law_asks_and_runs_nothing(api: Api) -> None:
    await _eventful(api.world)
    incident = await _begin(api, title="<b>near</b> the school")
    viewer = await api.as_("viewer")
    path = f"/api/incidents/{incident['incident_id']}/report.html"

    japanese, english = (await viewer.get(path)).text, (await viewer.get(f"{path}?lang=en")).text
    listed = (await viewer.get("/api/incidents.html")).text

    assert japanese.index("直ちに飛行を中止") < japanese.index("負傷者を救護") < japanese.index("国土交通大臣へ報告")
    assert japanese.index("国土交通大臣へ報告") < japanese.index("時系列")
    assert "人の死傷（重傷以上）" in japanese
    assert "<polyline" in japanese
    for page in (japanese, english, listed):
        assert "<script" not in page
        assert "<b>near</b>" not in page
    assert "Motor &lt;2&gt; failure" in english
    assert "時系列" not in english
    assert incident["incident_id"] in listed


async def test_the_bundle_holds_samples_rows_and_report_with_their_hashes(api: Api) -> None:
    mission_id = await _eventful(api.world)
    incident = await _begin(api, scope_kind="type", scope_id="multirotor_1kg")
    dispatcher = await api.as_("dispatcher")

    answer = await dispatcher.get(f"/api/incidents/{incident['incident_id']}/bundle.zip")

    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    manifest = json.loads(archive.read("manifest.json"))
    assert set(archive.namelist()) == {*manifest["files"], "manifest.json"}
    for name, listed in manifest["files"].items():
        content = archive.read(name)
        assert (len(content), hashlib.sha256(content).hexdigest()) == (listed["bytes"], listed["sha256"]), name
    assert len(archive.read("samples/drone-2.csv").splitlines()) == 1 + 160
    assert mission_id in archive.read("rows/missions.jsonl").decode()
    assert json.loads(archive.read("rows/alarm_events.jsonl"))["code"] == "fault"
    assert "Sato" not in "".join(archive.read(name).decode() for name in archive.namelist())
    assert await api.world.rows("SELECT FROM audit WHERE action = 'incident.export'")


async def test_a_bundle_is_handed_out_while_it_is_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    world = api.world
    await world.drone()
    pad = world.region.site("hub-1").pads[0]
    await world.store(fly("drone-1", world.at - timedelta(minutes=29), 1500, pad))
    incident = await _begin(api)
    async with world.database.transaction() as conn:
        row = await incidents.get(conn, incident["incident_id"])
    monkeypatch.setattr(incident_bundle, "PIECE_BYTES", 4096)

    pieces = [piece async for piece in incident_bundle.stream(world.database, row, now=world.at, actor="x")]

    # A piece is what one page of the report or one minute of samples has added at most.
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 64 * 1024
    assert len(zipfile.ZipFile(io.BytesIO(b"".join(pieces))).read("samples/drone-1.csv").splitlines()) == 1 + 1540


async def test_a_bundle_has_every_row_once_and_in_order_however_dense_they_are(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = api.world
    await _eventful(world)
    begun = await _begin(api)
    await world.write(
        """INSERT INTO vehicle_event (vehicle_id, t, severity, text) SELECT 'drone-1',
            %(t)s + (i / 10) * interval '1 us' + (i / 30) * interval '1 min', 6, 'event ' || i
        FROM generate_series(0, 99) i""",
        t=world.at - timedelta(minutes=20),
    )
    monkeypatch.setattr(incident_bundle, "PAGE", 4)
    monkeypatch.setattr(incident_bundle, "MISSIONS_PAGE", 1)

    answer = await (await api.as_("dispatcher")).get(f"/api/incidents/{begun['incident_id']}/bundle.zip")

    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    rows = [json.loads(line) for line in archive.read("rows/vehicle_events.jsonl").splitlines()]
    times = [row["at"] for row in rows]
    stored = await world.one("SELECT count(*) AS n FROM vehicle_event")
    assert len({row["text"] for row in rows}) == len(rows) == stored["n"] == 101
    assert times == sorted(times)
    (mission,) = archive.read("rows/missions.jsonl").splitlines()
    assert json.loads(mission)["mission_id"] == (await world.one("SELECT mission_id FROM mission"))["mission_id"]

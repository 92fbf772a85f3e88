"""What vehicles did, as the API tells it, and the questions that it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from fleet.db.database import Connection, Database
from telemetry.sample import Sample
from tests.api_kit import Api, assert_problem
from tests.problems import minutes

PERIOD = {"from": "2026-04-01T00:00:00Z", "to": "2026-04-01T00:05:00Z"}


def _sample(minute: int) -> Sample:
    return Sample(
        "drone-1", minutes(minute), minute, 0, lat_e7=350_000_000, lon_e7=1_380_000_000 + minute * 1000,
        alt_amsl_cm=60_000 + minute, battery_pct_x10=905, vel_n_cms=300, vel_e_cms=400,
    )  # fmt: skip


async def _flown(api: Api) -> Any:
    """A drone with ten minutes of history; return a viewer's client."""
    await api.world.drone()
    await api.world.store([_sample(minute) for minute in range(10)])
    async with api.world.database.transaction() as conn:
        for minute in range(10):
            await conn.execute(
                "INSERT INTO vehicle_event (vehicle_id, t, severity, text) VALUES ('drone-1', %s, 4, %s)",
                (minutes(minute), f"event {minute}"),
            )
        await conn.execute(
            """INSERT INTO telemetry_gap (vehicle_id, began_at, ended_at, cause, samples)
               VALUES ('drone-1', %s, %s, 'dropped', 7)""",
            (minutes(1), minutes(2)),
        )
    return await api.as_("viewer")


async def test_a_track_is_told_in_degrees_and_metres(api: Api) -> None:
    viewer = await _flown(api)

    found = (await viewer.get("/api/vehicles/drone-1/track", params=PERIOD)).json()

    assert len(found["points"]) == 5
    assert found["points"][1] == ["2026-04-01T00:01:00Z", 35.0, 138.0001, 600.01, 90.5]
    assert found["resolution"] == "samples"
    thinned = await viewer.get("/api/vehicles/drone-1/track", params=PERIOD | {"points": 2})
    assert [point[0] for point in thinned.json()["points"]] == ["2026-04-01T00:00:00Z", "2026-04-01T00:04:00Z"]


async def test_a_chart_is_told_with_its_unit(api: Api) -> None:
    viewer = await _flown(api)

    found = (await viewer.get("/api/vehicles/drone-1/series", params=PERIOD | {"field": "speed", "points": 3})).json()

    assert (found["field"], found["unit"], found["width_s"], found["resolution"]) == ("speed", "m/s", 120, "1m")
    assert found["stretches"] == [[f"2026-04-01T00:0{minute}:00Z", 5.0, 5.0] for minute in (0, 2, 4)]


@pytest.mark.parametrize(
    "where", [{"bbox": "138.00005,34.9,138.00025,35.1"}, {"polygon": "34.9,138.00005;35.1,138.00015;34.9,138.00025"}]
)
async def test_who_was_in_an_area_is_told_with_the_height(api: Api, where: dict[str, str]) -> None:
    viewer = await _flown(api)

    found = (await viewer.get("/api/history/area", params=PERIOD | where)).json()

    # A minute apart, two samples are two passes.
    assert [(p["vehicle_id"], p["entered_at"], p["lowest_amsl_m"]) for p in found["passes"]][:1] == [
        ("drone-1", "2026-04-01T00:01:00Z", 600.01)
    ]
    assert found["passes"][0]["places"] == [["2026-04-01T00:01:00Z", 35.0, 138.0001, 600.01, 600.01]]
    assert (found["resolution"], found["complete"]) == ("samples", True)


async def test_events_and_gaps_are_told_newest_first(api: Api) -> None:
    viewer = await _flown(api)

    events = (await viewer.get("/api/vehicles/drone-1/events", params=PERIOD | {"limit": 2})).json()["events"]
    gaps = (await viewer.get("/api/vehicles/drone-1/gaps", params=PERIOD)).json()["gaps"]

    assert [(event["text"], event["severity"], event["kind"]) for event in events] == [
        ("event 4", 4, "status"),
        ("event 3", 4, "status"),
    ]
    assert gaps == [
        {
            "vehicle_id": "drone-1",
            "began_at": "2026-04-01T00:01:00Z",
            "ended_at": "2026-04-01T00:02:00Z",
            "cause": "dropped",
            "samples": 7,
        }
    ]


OWN = ("track", "series", "events", "gaps")


@pytest.mark.parametrize("what", OWN)
async def test_a_vehicle_that_is_not_there_has_no_history(api: Api, what: str) -> None:
    viewer = await api.as_("viewer")
    asked = PERIOD | {"field": "speed"}
    assert_problem(await viewer.get(f"/api/vehicles/nobody/{what}", params=asked), 404)


@pytest.mark.parametrize("path", [*(f"/api/vehicles/drone-1/{what}" for what in OWN), "/api/history/area"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-04-01T00:00:00"}, "from"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "from"),
        ({"to": "9999-12-31T23:59:59-12:00"}, "to"),
        ({"to": "2026-03-01T00:00:00Z"}, "to"),
        ({"to": PERIOD["from"]}, "to"),
    ],
)
async def test_a_malformed_time_is_refused_by_name(api: Api, path: str, query: dict[str, str], field: str) -> None:
    await api.world.drone()
    asked = PERIOD | {"field": "speed", "bbox": "138,35,139,36"} | query

    assert_problem(await (await api.as_("viewer")).get(path, params=asked), 422, field=field)


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("vehicles/drone-1/track", {"points": "1"}, "points"),
        ("vehicles/drone-1/track", {"points": "10001"}, "points"),
        ("vehicles/drone-1/track", {"points": "many"}, "points"),
        ("vehicles/drone-1/series", {"field": "happiness"}, "field"),
        ("vehicles/drone-1/series", {"field": "speed", "to": "2199-01-01T00:00:00Z", "points": "2"}, "to"),
        ("vehicles/drone-1/events", {"limit": "1001"}, "limit"),
        ("history/area", {}, "bbox"),
        ("history/area", {"bbox": "1,2,3,4", "polygon": "1,2;3,4;5,6"}, "bbox"),
        ("history/area", {"bbox": "1,2,3"}, "bbox"),
        ("history/area", {"bbox": "1,2,3,x"}, "bbox"),
        ("history/area", {"bbox": "1,2,nan,4"}, "bbox"),
        ("history/area", {"bbox": "5,2,3,4"}, "bbox"),
        ("history/area", {"polygon": "0,0;1,1;1,0;0,1"}, "polygon"),
        ("history/area", {"polygon": "0,0;1,1;inf,0"}, "polygon"),
        ("history/area", {"polygon": "0,0;1,1"}, "polygon"),
        ("history/area", {"polygon": "0;1;2"}, "polygon"),
        ("history/area", {"bbox": "1,2,3,4", "to": "2026-06-01T00:00:00Z"}, "to"),
    ],
)
async def test_a_malformed_question_is_refused_by_name(api: Api, path: str, query: dict[str, str], field: str) -> None:
    await api.world.drone()

    assert_problem(await (await api.as_("viewer")).get(f"/api/{path}", params=PERIOD | query), 422, field=field)


async def test_a_question_that_takes_too_long_is_refused_with_a_word(api: Api) -> None:
    viewer = await _flown(api)
    impatient = make_conninfo(api.world.database.dsn, options="-c statement_timeout=100ms")
    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        impatient, min_size=1, max_size=2, kwargs={"row_factory": dict_row}, open=False
    )
    async with (
        pool,
        api.world.database.transaction() as other,
    ):
        # Another's lock stands in for years of samples: the statement's time runs out either way.
        await other.execute("LOCK TABLE vehicle_event IN ACCESS EXCLUSIVE MODE")
        api.context.database = Database(pool, impatient)
        answer = await viewer.get("/api/vehicles/drone-1/events", params=PERIOD)

    assert "less time" in assert_problem(answer, 422, field="to")["detail"]

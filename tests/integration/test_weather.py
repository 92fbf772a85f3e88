"""The weather that people report, and what planning makes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fleet import planning
from fleet.weather import Report
from routing.problem import Problem
from routing.wind import CALM
from tests.api_kit import Api, assert_problem
from tests.fleet_kit import World

GALE = {"wind_from_deg": 180, "wind_mps": 6.0, "gust_mps": 9.0, "temperature_c": -3.5}


async def _planned_with(world: World) -> tuple[Problem, dict[str, Any] | None]:
    """The problem that a planner would solve now, as the run has it on record afterwards."""
    async with world.database.transaction() as conn:
        run = {"region_id": world.region.region_id, "seed": 1}
        return await planning.build_problem(conn, run, at=world.at)


def test_the_wind_goes_to_where_it_does_not_come_from() -> None:
    wind = Report(wind_from_deg=270.0, wind_mps=5.0, gust_mps=8.0).wind()

    assert (round(wind.east_mps, 9), round(wind.north_mps, 9), wind.gust_mps) == (5.0, 0.0, 8.0)


async def test_a_plan_goes_by_the_newest_report_and_says_so(api: Api) -> None:
    dispatcher = await api.as_("dispatcher")
    earlier = (api.world.at - timedelta(minutes=20)).isoformat()
    await dispatcher.post("/api/weather", json=GALE)
    await dispatcher.post("/api/weather", json={**GALE, "wind_mps": 1.0, "observed_at": earlier})

    problem, report = await _planned_with(api.world)
    run_id = (await dispatcher.post("/api/plans", json={"seconds": 1})).json()["run_id"]
    async with api.world.database.transaction() as conn:
        await planning.record_problem(conn, run_id, problem, report=report)
    told = (await dispatcher.get(f"/api/plans/{run_id}")).json()["weather"]

    assert round(problem.wind.north_mps, 6) == 6.0
    assert (problem.wind.gust_mps, problem.temperature_c) == (9.0, -3.5)
    assert (told["wind_from_deg"], told["gust_mps"], told["reported_by"]) == (180, 9.0, "dispatcher")


async def test_a_report_that_is_too_old_is_not_planned_with(api: Api) -> None:
    viewer, dispatcher = await api.as_("viewer"), await api.as_("dispatcher")
    assert (await viewer.get("/api/weather")).json() == {"weather": None}
    hours_ago = (api.world.at - timedelta(minutes=61)).isoformat()
    await dispatcher.post("/api/weather", json={**GALE, "observed_at": hours_ago})

    problem, report = await _planned_with(api.world)
    shown = (await viewer.get("/api/weather")).json()["weather"]

    assert (problem.wind, report) == (CALM, None)
    assert shown["wind_mps"] == 6.0
    assert not shown["used_by_planning"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"wind_mps": 3}, "wind_from_deg"),
        (GALE | {"wind_from_deg": 361}, "wind_from_deg"),
        (GALE | {"wind_mps": -1}, "wind_mps"),
        (GALE | {"temperature_c": "cold"}, "temperature_c"),
        (GALE | {"observed_at": "2026-04-01T09:00:00"}, "observed_at"),
        (GALE | {"rain": 1}, "rain"),
    ],
)
async def test_a_malformed_report_is_refused_by_field(api: Api, body: dict[str, Any], field: str) -> None:
    assert_problem(await (await api.as_("dispatcher")).post("/api/weather", json=body), 422, field=field)


@pytest.mark.parametrize("wrong", [{"gust_mps": 2}, {"observed_at": "2199-01-01T00:00:00Z"}])
async def test_a_report_that_cannot_be_changes_nothing(api: Api, wrong: dict[str, Any]) -> None:
    assert_problem(await (await api.as_("dispatcher")).post("/api/weather", json=GALE | wrong), 422)

    assert await api.world.rows("SELECT * FROM weather_report") == []


async def test_a_viewer_reports_no_weather(api: Api) -> None:
    assert_problem(await (await api.as_("viewer")).post("/api/weather", json=GALE), 403)

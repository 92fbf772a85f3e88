"""A plan as GeoJSON, as a page and as a picture: everything of it is there, and nothing can break out of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from routing.formats.plan_geojson import plan_to_geojson
from routing.formats.plan_html import plan_to_html
from routing.geo import Position, distance_m
from routing.picture import draw_plan, draw_region
from routing.plan import Leg, Plan, Route, StopAction, Trip, Unserved
from routing.problem import Problem
from routing.region.model import Zone
from tests.problems import START, drone, minutes, order, problem, robot

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture
def made() -> Problem:
    """A problem with a zone of its own and an order that nobody serves."""
    given = problem(
        [order("a", "drop-6"), order("b", "drop-1"), order(EVIL, "drop-2")], [drone(), robot(), drone("spare")]
    )
    at = given.region.site("drop-5").position
    ring = tuple((at.lat + north, at.lon + east) for north, east in ((0, 0), (0.001, 0), (0.001, 0.001), (0, 0)))
    return replace(given, zones=(Zone("fair", "event", "祭り", "Fair", ring, ceiling_m=150.0),))


def leg(made: Problem, start: str, end: str, depart: datetime, orders: tuple[str, ...] = ()) -> Leg:
    """Straight to a site in two minutes, and one there; home without orders."""
    path = tuple(replace(made.region.site(site).position, alt_amsl_m=560.0) for site in (start, end))
    arrive = depart + timedelta(minutes=2)
    action = StopAction.DROP if orders else StopAction.HOME
    length_m = distance_m(*path)
    return Leg(end, action, orders, path, (), depart, arrive, arrive + timedelta(minutes=1), length_m, 12.5)


@pytest.fixture
def plan(made: Problem) -> Plan:
    """The drone serves ``a`` and the robot ``b``; the third order has no vehicle."""

    def route(vehicle: str, drop: str, served: str) -> Route:
        out, back = leg(made, "hub-1", drop, START, (served,)), leg(made, drop, "hub-1", minutes(5))
        return Route(vehicle, "hub-1", (Trip(f"{vehicle}-t1", (out, back)),))

    routes = (route("drone-1", "drop-6", "a"), route("robot-1", "drop-1", "b"))
    return Plan(routes, (Unserved(EVIL, f"too heavy {EVIL}", final=True),), 100.0)


def page_data(page: str) -> dict[str, Any]:
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    parsed: dict[str, Any] = json.loads(data)
    return parsed


def test_geojson_has_every_leg_with_its_height_and_times(made: Problem, plan: Plan) -> None:
    data = json.loads(json.dumps(plan_to_geojson(made, plan), allow_nan=False))

    legs = [one for one in data["features"] if one["properties"]["feature"] == "leg"]
    assert [(one["properties"]["vehicle_id"], one["properties"]["action"]) for one in legs] == [
        ("drone-1", "drop"),
        ("drone-1", "home"),
        ("robot-1", "drop"),
        ("robot-1", "home"),
    ]
    first = legs[0]["properties"]
    assert (first["order_ids"], first["depart"], first["arrive"]) == (
        ["a"],
        "2026-04-01T00:00:00Z",
        "2026-04-01T00:02:00Z",
    )
    hub = made.region.site("hub-1").position
    assert legs[0]["geometry"]["coordinates"][0] == [round(hub.lon, 7), round(hub.lat, 7), 560.0]


def test_geojson_has_zones_sites_and_what_is_not_served(made: Problem, plan: Plan) -> None:
    features = plan_to_geojson(made, plan)["features"]

    def of(kind: str) -> list[dict[str, Any]]:
        return [one for one in features if one["properties"]["feature"] == kind]

    assert {one["properties"]["zone_id"] for one in of("zone")} == {z.zone_id for z in made.region.zones} | {"fair"}
    for zone in of("zone"):
        ring = np.array(zone["geometry"]["coordinates"][0])
        assert (ring[0] == ring[-1]).all()
        assert np.sum(ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]) > 0
    assert {"hub-1", "drop-1", "drop-2", "drop-6"} == {one["properties"]["site_id"] for one in of("site")}
    [missed] = of("unserved")
    drop = made.region.site("drop-2").position
    assert missed["geometry"]["coordinates"][:2] == [round(drop.lon, 7), round(drop.lat, 7)]
    assert missed["properties"]["final"]


def test_the_page_needs_no_network_and_nothing_ends_its_data_early(made: Problem, plan: Plan) -> None:
    page = plan_to_html(made, plan)

    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "default-src 'none'" in page
    assert EVIL not in page
    assert page.count("</script>") == 2
    assert page_data(page)["unserved"][0]["id"] == EVIL


def test_the_page_has_every_leg_zone_and_site(made: Problem, plan: Plan) -> None:
    data = page_data(plan_to_html(made, plan))

    assert [(vehicle["id"], len(vehicle["trips"])) for vehicle in data["vehicles"]] == [
        ("drone-1", 1),
        ("robot-1", 1),
        ("spare", 0),
    ]
    assert data["vehicles"][0]["trips"][0]["legs"][0]["orders"] == ["a"]
    assert {zone["en"] for zone in data["zones"]} == {zone.name_en for zone in made.region.zones} | {"Fair"}
    assert set(data["sites"]) == {site.site_id for site in made.region.sites}
    assert (data["begins"], data["orders"]) == (int(START.timestamp()), 3)
    assert data["ends"] >= int(minutes(7).timestamp())


@pytest.mark.parametrize(("vehicle", "drop"), [(0, "drop-6"), (1, "drop-1")])
def test_tracks_are_where_the_plan_says_at_its_times(vehicle: int, drop: str, made: Problem, plan: Plan) -> None:
    data = page_data(plan_to_html(made, plan))

    track = np.array(data["vehicles"][vehicle]["trips"][0]["track"]).reshape(-1, 4)
    assert (np.diff(track[:, 0]) >= 0).all()
    assert track[0, 0] == START.timestamp()
    home, there = ([data["sites"][site]["x"], data["sites"][site]["y"]] for site in ("hub-1", drop))
    # Pads are some metres from the place of their site.
    assert np.hypot(*(track[0, 1:3] - home)) < 20
    assert np.hypot(*(track[-1, 1:3] - home)) < 20
    assert np.hypot(*(track[:, 1:3] - there).T).min() < 30


def test_an_empty_plan_is_a_page_and_a_picture(made: Problem, tmp_path: Path) -> None:
    empty = Plan((), (), 0.0)

    assert page_data(plan_to_html(made, empty))["vehicles"][0]["trips"] == []
    assert len(plan_to_geojson(made, empty)["features"]) == len(made.region.zones) + 1 + 4
    draw_plan(made, empty, tmp_path / "empty.png")
    assert Image.open(tmp_path / "empty.png").width > 1_000


def test_a_picture_shows_the_legs_where_they_are(made: Problem, plan: Plan, tmp_path: Path) -> None:
    draw_plan(made, Plan((), (), 0.0), tmp_path / "empty.png")
    draw_plan(made, plan, tmp_path / "plan.png")

    pictures = [
        np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int) for name in ("empty.png", "plan.png")
    ]
    red = np.array([0xD7, 0x30, 0x1F])
    is_red = [(np.abs(picture - red).sum(axis=2) < 30) for picture in pictures]
    assert is_red[1].sum() > is_red[0].sum() + 500
    # The leg runs from the hub, in the middle, to the north-west.
    rows, columns = np.nonzero(is_red[1] & ~is_red[0])
    middle = np.array(pictures[1].shape[:2]) / 2
    assert rows.mean() < middle[0]
    assert columns.mean() < middle[1]


def test_the_picture_of_a_region_is_still_drawn(made: Problem, tmp_path: Path) -> None:
    draw_region(made.region, tmp_path / "region.png")

    assert Image.open(tmp_path / "region.png").width > 1_000


def test_a_leg_to_the_same_place_is_still_a_line(made: Problem, plan: Plan) -> None:
    here = Position(made.region.origin.lat, made.region.origin.lon, 500.0)
    trip = plan.routes[1].trips[0]
    still = replace(trip, legs=(replace(trip.legs[0], path=(here,)), trip.legs[1]))
    odd = replace(plan, routes=(replace(plan.routes[1], trips=(still,)),))

    [line] = [one for one in plan_to_geojson(made, odd)["features"] if one["properties"].get("leg") == 0]
    assert len(line["geometry"]["coordinates"]) == 2
    assert page_data(plan_to_html(made, odd))["vehicles"][0]["trips"][0]["track"]

"""What a command is said to do to this vehicle now, and a resume that would come too near to others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fleet import command_preview, control, going_on
from fleet.alarm_table import Words
from fleet.errors import BadRequest, Conflict, NotFound
from routing.formats.json import given_from_json
from routing.geo import Position
from routing.problem import TimedPosition
from telemetry.sample import Sample
from tests.api_kit import Api, assert_problem
from tests.control_kit import change, confirm, give
from tests.fleet_kit import World

RULE = "rule: energy for holding"


async def _flying(world: World, *, pads: int = 1) -> str:
    for pad in range(pads):
        await world.drone(f"drone-{pad + 1}", port=14600 + pad, pad=pad)
    await world.order("A1", "drop-5")
    (mission_id,) = await world.missions()
    await world.write("UPDATE mission SET vehicle_id = 'drone-1'")
    await world.user("pilot", "pilot")
    await world.fly(mission_id)
    return mission_id


async def _track(world: World, mission_id: str) -> tuple[TimedPosition, ...]:
    row = await world.one("SELECT given FROM mission_track WHERE mission_id = %(id)s", id=mission_id)
    return given_from_json(row["given"]).track


async def _seen(
    world: World, vehicle_id: str, place: Position, *, battery_pct: float | None = 80.0, on_ground: bool = False
) -> None:
    await world.store(
        [
            Sample(
                vehicle_id,
                world.at,
                seq=1,
                vehicle_ms=1,
                lat_e7=round(place.lat * 1e7),
                lon_e7=round(place.lon * 1e7),
                alt_amsl_cm=round(place.alt_amsl_m * 100),
                battery_pct_x10=None if battery_pct is None else round(battery_pct * 10),
                on_ground=on_ground,
                armed=not on_ground,
            )
        ]
    )


def _live(place: Position | None, **more: Any) -> dict[str, Any]:
    here = {"lat": place.lat, "lon": place.lon, "alt_amsl_m": place.alt_amsl_m} if place else {}
    told = {"connected": True, "on_ground": False, "battery_pct": 80.0, "step": 1, "waits": None, "hold_left_s": None}
    return {**told, **here, **more}


async def _says(world: World, kind: str, live: dict[str, Any] | None, vehicle: str = "drone-1", **params: Any) -> Words:
    async with world.database.transaction() as conn:
        return await command_preview.preview(
            conn, vehicle_id=vehicle, kind=kind, params=params, live=live, at=world.at, speed=1.0
        )


async def _on_its_way(world: World, seconds: float = 60.0) -> tuple[str, Position]:
    """A drone a while after its departure, where its plan has it."""
    mission_id = await _flying(world)
    track = await _track(world, mission_id)
    began = (await world.mission(mission_id))["started_at"]
    world.later((began - world.at).total_seconds() + seconds)
    place = next(point.position for point in track if (point.at - track[0].at).total_seconds() >= seconds)
    await _seen(world, "drone-1", place)
    return mission_id, place


async def test_previews_of_a_drone_on_its_way_say_where_how_far_when_and_with_what_charge(world: World) -> None:
    mission_id, place = await _on_its_way(world)
    live = _live(place)
    step = next(
        i for i, one in enumerate((await world.mission(mission_id))["trip"]["mission"]["steps"])
        if one["kind"] == "release"
    )  # fmt: skip
    said = {
        kind: await _says(world, kind, live, **params)
        for kind, params in (
            ("hold", {}), ("resume", {}), ("return", {}), ("land", {}), ("divert", {"site_id": "drop-6"}),
            ("abort", {}), ("speed", {"speed_mps": 5.0}), ("altitude", {"agl_m": 40.0}), ("clear", {"step": step}),
            ("skip", {"step": step}), ("release", {"step": 0}), ("emergency_stop", {}),
        )
    }  # fmt: skip

    for kind, fragments in {
        "hold": ["hovers", "Its energy lasts for about", "then it returns by itself"],
        "resume": ["goes on to", " km, about ", "% of charge left there"],
        "return": ["delivers no more", "On its way it comes down at", "% of charge left there"],
        "land": ["no site of ours", "Down from "],
        "divert": ["flies straight to", "lands there", "% of charge left there", "above the sea"],
        "abort": ["flies straight to"],
        "speed": ["at 5 m/s (usually 10)", "later"],
        "altitude": ["to 40 m above ground", "it waits there"],
        "clear": ["releases 1 parcels", "does not wait there now"],
        "skip": ["aboard"],
        "release": ["no delivery at step 0"],
        "emergency_stop": ["falls"],
    }.items():
        for fragment in fragments:
            assert fragment in said[kind].en, (kind, said[kind].en)
    assert "電池は約" in said["hold"].ja
    assert all(any(ord(c) > 0x3000 for c in words.ja) for words in said.values())


async def test_what_the_gateway_says_of_a_hold_counts(world: World) -> None:
    _, place = await _on_its_way(world)

    assert "lasts for about 40 s" in (await _says(world, "hold", _live(place, hold_left_s=41))).en


async def test_a_vehicle_that_waits_at_a_drop_is_said_to_come_down(world: World) -> None:
    mission_id, place = await _on_its_way(world)
    steps = (await world.mission(mission_id))["trip"]["mission"]["steps"]
    step = next(i for i, one in enumerate(steps) if one["kind"] == "release")
    live = _live(place, waits={"what": "drop_clear", "step": step}, step=step)

    assert "does not wait" not in (await _says(world, "clear", live, step=step)).en


async def test_what_is_not_known_is_said_to_be_unknown(world: World) -> None:
    await _flying(world)
    world.later(60)

    for kind, params, words in (
        ("hold", {}, "is not known"),
        ("resume", {}, "is not known"),
        ("return", {}, "is not known"),
        ("divert", {"site_id": "drop-6"}, "Where it is is not known"),
        ("altitude", {"agl_m": 40.0}, "Where it is is not known"),
        ("land", {}, "Where it is is not known"),
    ):
        said = await _says(world, kind, None, **params)
        assert words in said.en, (kind, said.en)
        assert "not heard now" in said.en


async def test_a_preview_refuses_what_the_command_would_be_refused_for(world: World) -> None:
    await world.drone()

    with pytest.raises(BadRequest, match=r"params\.agl_m"):
        await _says(world, "altitude", None)
    with pytest.raises(BadRequest, match="only a robot can cross"):
        await _says(world, "cross", None, node="n")
    with pytest.raises(BadRequest, match="kind: 'explode'"):
        await _says(world, "explode", None)
    with pytest.raises(NotFound):
        await _says(world, "hold", None, vehicle="drone-9")


async def test_a_robot_is_told_of_in_its_own_terms(world: World) -> None:
    await world.robot()
    live = _live(None, waits={"what": "crossing", "step": 3, "node": "n1"})

    assert "crosses the road" in (await _says(world, "cross", live, "robot-1", node="n1")).en
    assert "does not wait at that kerb" in (await _says(world, "cross", live, "robot-1", node="n2")).en
    assert "Somebody has to fetch it" in (await _says(world, "abort", live, "robot-1")).en
    assert "stands where it is" in (await _says(world, "hold", live, "robot-1")).en


async def test_a_proposal_keeps_what_it_was_said_to_do(api: Api) -> None:
    await _flying(api.world)
    pilot = await api.as_("pilot")
    path = "/api/vehicles/drone-1/commands"

    proposed = (await pilot.post(path, json={"kind": "return", "idempotency_key": "a"})).json()
    shown = (await pilot.get(f"/api/commands/{proposed['command_id']}")).json()
    asked = await pilot.post(f"{path}/preview", json={"kind": "altitude", "params": {"agl_m": 40}})
    held = (await pilot.post(path, json={"kind": "hold", "idempotency_key": "b"})).json()

    assert "delivers no more" in proposed["preview_en"]
    assert "配達をやめて" in proposed["preview_ja"]
    assert shown["preview_en"] == proposed["preview_en"]
    assert (asked.json()["kind"], asked.json()["steps"]) == ("altitude", 2)
    # A stop waits for nothing, not even for what it is going to do.
    assert held["preview_en"] is None
    assert_problem(await pilot.post(f"{path}/preview", json={"kind": "altitude"}), 422, field="params.agl_m")
    wrong = {"kind": "altitude", "idempotency_key": "c", "params": {"agl_m": 5}}
    assert_problem(await pilot.post(path, json=wrong), 422, field="params.agl_m")


async def _two_in_the_air(world: World) -> tuple[str, Position]:
    """drone-1 holds where its plan has it after a minute; drone-2 flies the same way 30 s behind it."""
    mission_id = await _flying(world, pads=2)
    await world.write(
        """INSERT INTO mission (mission_id, region_id, run_id, vehicle_id, ordinal, state, trip, planned_depart,
            planned_arrive, accepted_by, started_at, changed_at)
        SELECT 'm-2', region_id, run_id, 'drone-2', 7, 'underway', trip, planned_depart, planned_arrive, 'pilot',
            started_at + interval '30 s', changed_at + interval '30 s' FROM mission WHERE mission_id = %(id)s""",
        id=mission_id,
    )
    await world.write("INSERT INTO mission_track SELECT 'm-2', given FROM mission_track WHERE mission_id = %(id)s",
                      id=mission_id)  # fmt: skip
    track = await _track(world, mission_id)
    began = (await world.mission(mission_id))["started_at"]
    world.later((began - world.at).total_seconds() + 60.0)
    await world.move(mission_id, "held")
    start = track[0].at

    def after(seconds: float) -> Position:
        return next(point.position for point in track if (point.at - start).total_seconds() >= seconds)

    await _seen(world, "drone-1", after(60.0))
    await _seen(world, "drone-2", after(35.0))
    return mission_id, after(60.0)


async def test_a_resume_that_would_come_too_near_is_refused_and_names_who(world: World) -> None:
    mission_id, place = await _two_in_the_air(world)
    proposed = await give(world, "resume", "pilot", key="a")

    async with world.refused(Conflict, "drone-1 goes on holding: drone-2 would come too near"):
        await confirm(world, proposed, "pilot")

    said = await _says(world, "resume", _live(place))
    assert "Others would be too near: drone-2. It cannot be resumed as it is." in said.en
    # A rule has looked itself.
    by_rule = await give(world, "resume", RULE, key="b")
    assert (await confirm(world, by_rule, RULE))["state"] == "pending"
    assert mission_id


async def test_a_resume_is_confirmed_when_the_other_has_gone(world: World) -> None:
    _, place = await _two_in_the_air(world)
    proposed = await give(world, "resume", "pilot", key="a")
    far = replace(place, lat=place.lat + 0.05)
    await world.write("UPDATE mission SET state = 'held', changed_at = %(at)s WHERE mission_id = 'm-2'", at=world.at)
    world.later(1.0)
    await _seen(world, "drone-2", far)
    await _seen(world, "drone-1", place)

    assert (await confirm(world, proposed, "pilot"))["state"] == "pending"


async def test_one_that_hovers_in_the_way_is_in_the_way_and_one_beside_it_is_not(world: World) -> None:
    mission_id, place = await _two_in_the_air(world)
    track = await _track(world, mission_id)
    ahead = next(p.position for p in track if (p.at - track[0].at).total_seconds() >= 70.0)
    await world.write("UPDATE mission SET state = 'held', changed_at = %(at)s WHERE mission_id = 'm-2'", at=world.at)

    async def near() -> list[str]:
        async with world.database.transaction() as conn:
            return await going_on.in_the_way(conn, "drone-1", at=world.at, speed=1.0)

    found = []
    for other in (ahead, replace(ahead, alt_amsl_m=ahead.alt_amsl_m + 200.0)):
        world.later(1.0)
        await _seen(world, "drone-2", other)
        await _seen(world, "drone-1", place)
        found.append(await near())

    assert found == [["drone-2"], []]


async def test_a_robot_has_nobody_in_its_way(world: World) -> None:
    await world.robot()
    async with world.database.transaction() as conn:
        assert await going_on.in_the_way(conn, "robot-1", at=world.at, speed=1.0) == []
    await change(world, control.take, "pilot", "robot-1")
    proposed = await give(world, "resume", "pilot", key="a", vehicle="robot-1")
    assert (await confirm(world, proposed, "pilot"))["state"] == "pending"
    assert proposed["expires_at"] - world.at == timedelta(seconds=75)

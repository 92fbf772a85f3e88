"""From a command to the link: what it means for this vehicle now, and what it is refused for."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from fleet import commands, control, emergency_airspace, nearest_site
from fleet.command_sending import Sending
from hardware.errors import Refused
from hardware.link import Activity
from routing.geo import Position, distance_m
from telemetry.clock import Clock
from tests.control_kit import change, give
from tests.dispatch_kit import Scene, accepted_scene, hurry
from tests.fleet_kit import World, until
from tests.scripted_vehicle import ScriptedVehicle

ONE_DAY = timedelta(days=1)


class Told(ScriptedVehicle):
    """A vehicle that knows all commands; ``told`` holds what each was given."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[Any, ...]] = []

    async def divert(self, to: Position, *, alt_amsl_m: float) -> None:
        """Go somewhere else."""
        self.told.append(("divert", to, alt_amsl_m))
        await self.show(activity=Activity.RETURN)

    async def set_altitude(self, alt_amsl_m: float) -> None:
        """Hold at another altitude."""
        self.told.append(("altitude", alt_amsl_m))
        await self.show(activity=Activity.HOLD)

    async def set_speed(self, speed_mps: float) -> None:
        """Go on at another speed."""
        self.told.append(("speed", speed_mps))

    async def abort(self) -> None:
        """Stop on the spot."""
        self.told.append(("abort",))

    async def cross(self, node: str) -> None:
        """Cross a road."""
        self.told.append(("cross", node))

    async def emergency_stop(self) -> None:
        """Cut the drives."""
        self.told.append(("emergency_stop",))


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
async def scene(world: World) -> Scene:
    """A drone on its pad, with an accepted mission, that knows all commands."""
    found = await accepted_scene(world)
    found.vehicle = Told()
    return found


def told(scene: Scene) -> list[tuple[Any, ...]]:
    assert isinstance(scene.vehicle, Told)
    return scene.vehicle.told


def above(scene: Scene, site_id: str, agl_m: float = 80.0, *, east_m: float = 0.0) -> Position:
    """A place over a site, or so far to the east of it."""
    region = scene.world.region
    east, north = region.frame.to_local(region.site(site_id).position)
    place = region.frame.to_global(east + east_m, north)
    return Position(place.lat, place.lon, region.ground_amsl_m(place) + agl_m)


async def in_the_air(scene: Scene, place: Position, *, battery_pct: float | None = 80.0) -> None:
    await scene.reaches("underway")
    await scene.vehicle.show(position=place, battery_pct=battery_pct)


async def close(scene: Scene, site_id: str) -> None:
    """Declare emergency airspace at a site."""
    world, middle = scene.world, scene.world.region.site(site_id).position
    async with world.database.transaction() as conn:
        await emergency_airspace.declare(
            conn, region_id=world.region.region_id, name="fire", begins_at=world.at, ends_at=None, at=world.at,
            actor="dispatcher", ring=[(middle.lat + a, middle.lon + b) for a, b in ((0, 0), (0, 1e-4), (1e-4, 0))],
        )  # fmt: skip


async def test_a_diversion_goes_to_the_sites_pad_at_a_safe_altitude(scene: Scene) -> None:
    region = scene.world.region
    async with scene.running():
        await in_the_air(scene, above(scene, "drop-5"))
        outcome = await scene.outcome(await scene.command("divert", key="a", params={"site_id": "drop-6"}))

    ((_, to, level_m),) = told(scene)
    pad = region.site("drop-6").pads[0]
    assert distance_m(to, pad) < 0.1
    assert to.alt_amsl_m == pytest.approx(region.ground_amsl_m(pad))
    assert level_m >= region.ground_amsl_m(pad) + 30.0
    assert outcome["state"] == "done"
    assert outcome["outcome"].startswith("to drop-6, ")


async def test_a_diversion_that_cannot_be_flown_is_refused_and_says_why(scene: Scene) -> None:
    cases = [
        ("drop-6", 2.0, "Wh can be counted on"),
        ("drop-6", None, "its charge is not known"),
        ("drop-2", 80.0, "the way leads through fire"),
        ("nowhere", 80.0, "'nowhere' is no site of this region"),
        ("drop-1", 80.0, "'drop-1' is no site of this region with a free pad"),  # robots only
    ]
    outcomes = []
    async with scene.running():
        await scene.reaches("underway")
        await close(scene, "drop-2")
        for site_id, battery_pct, _ in cases:
            await in_the_air(scene, above(scene, "drop-5"), battery_pct=battery_pct)
            command = await scene.command("divert", key=f"{site_id}{battery_pct}", params={"site_id": site_id})
            outcomes.append(await scene.outcome(command))
        await in_the_air(scene, above(scene, "drop-5"))
        await scene.vehicle.show(position=None)
        for kind, params in (("altitude", {"agl_m": 42.0}), ("divert", {"site_id": "drop-6"}), ("abort", {})):
            outcomes.append(await scene.outcome(await scene.command(kind, key=kind, params=params)))

    assert {outcome["state"] for outcome in outcomes} == {"failed"}
    for outcome, (_, _, words) in zip(outcomes, cases, strict=False):
        assert words in outcome["outcome"]
    assert [outcome["outcome"] for outcome in outcomes[len(cases) :]] == ["its position is not known"] * 3
    assert told(scene) == []


async def test_a_rule_diverts_all_the_same(scene: Scene) -> None:
    async with scene.running():
        await in_the_air(scene, above(scene, "drop-5"), battery_pct=2.0)
        command = await give(scene.world, "divert", "rule: low energy", key="a", params={"site_id": "drop-6"})
        async with scene.world.database.transaction() as conn:
            await commands.confirm(
                conn, command["command_id"], actor="rule: low energy", at=scene.clock.now(), speed=20.0
            )
        outcome = await scene.outcome(command)

    assert outcome["state"] == "done"
    assert [what for what, *_ in told(scene)] == ["divert"]


async def test_the_nearest_site_is_a_landing_site_in_reach_on_a_clear_way(scene: Scene) -> None:
    async def look(battery_pct: float | None) -> nearest_site.Reach:
        here = above(scene, "hub-1", east_m=200.0)
        async with scene.world.database.transaction() as conn:
            return await nearest_site.look(
                conn, vehicle_id="drone-1", here=here, battery_pct=battery_pct, at=scene.clock.now()
            )

    full, empty, unknown = await look(80.0), await look(5.5), await look(None)
    await close(scene, "hub-1")
    closed = await look(80.0)

    way = full.nearest()
    assert way is not None
    assert way.site_id == "hub-1"
    # Its own pad.
    assert distance_m(way.to, scene.world.region.site("hub-1").pads[0]) < 0.1
    assert (empty.nearest(), unknown.nearest()) == (None, None)
    forced = empty.nearest(forced=True)
    assert forced is not None
    assert forced.needed_wh == min(way.needed_wh for way in empty.ways)
    assert [way.needed_wh for way in full.ways] == sorted(way.needed_wh for way in full.ways)
    # Drop points are somebody's garden: for those alone who must come down.
    assert closed.to("hub-1").through == ("fire",)
    assert closed.nearest() is None
    elsewhere = closed.nearest(forced=True)
    assert elsewhere is not None
    assert elsewhere.clear
    assert elsewhere.site_id.startswith("drop-")


async def test_nobody_lands_on_anothers_pad(scene: Scene) -> None:
    world = scene.world
    await world.drone("drone-2", port=14601, pad=1)
    await world.write("UPDATE vehicle SET home_site = 'drop-5', pad = 0 WHERE vehicle_id = 'drone-2'")
    async with world.database.transaction() as conn:
        reach = await nearest_site.look(
            conn, vehicle_id="drone-1", here=above(scene, "drop-5"), battery_pct=80.0, at=scene.clock.now()
        )

    assert "drop-5" not in [way.site_id for way in reach.ways]


async def test_altitude_speed_and_emergency_stop_reach_the_vehicle_in_its_own_terms(scene: Scene) -> None:
    place = above(scene, "drop-5")
    async with scene.running():
        await in_the_air(scene, place)
        outcomes = [
            await scene.outcome(await scene.command(kind, key=kind, params=params))
            for kind, params in (("altitude", {"agl_m": 42.0}), ("speed", {"speed_mps": 4.5}), ("emergency_stop", {}))
        ]

    assert {outcome["state"] for outcome in outcomes} == {"done"}
    # 42 m above the ground, where it was 80 m above it.
    assert told(scene) == [("altitude", pytest.approx(place.alt_amsl_m - 38.0)), ("speed", 4.5), ("emergency_stop",)]


async def test_an_abort_in_the_air_is_a_diversion_to_the_nearest_site(scene: Scene) -> None:
    async with scene.running():
        await in_the_air(scene, above(scene, "hub-1", east_m=60.0))
        outcome = await scene.outcome(await scene.command("abort", key="a"))

    assert outcome["outcome"].startswith("to hub-1, ")
    # By which others know where it goes.
    assert outcome["sent_to"] == "hub-1"
    assert [what for what, *_ in told(scene)] == ["divert"]


async def test_an_abort_before_it_begins_cancels_the_mission(scene: Scene) -> None:
    await scene.vehicle.show(ready=False)
    async with scene.running():
        outcome = await scene.outcome(await scene.command("abort", key="a"))

    assert outcome["outcome"].startswith(f"mission {scene.mission_id} is cancelled before it began")
    assert (await scene.row())["state"] == "cancelled"
    assert told(scene) == []


async def test_a_robot_gives_its_mission_up_on_the_spot(world: World) -> None:
    await world.robot()
    await change(world, control.take, "pilot", "robot-1")
    robot = Told()
    robot.vehicle_id = "robot-1"
    sending = Sending("robot-1", robot, world.database, Clock(Clock.real().now(), world.at, 1.0))

    await sending.send({"kind": "abort", "params": {}, "issuer": "pilot", "expires_at": world.at + ONE_DAY})

    assert robot.told == [("abort",)]


async def test_what_is_still_prepared_when_a_stop_comes_is_not_sent_after_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    look = nearest_site.look

    async def slowly(*args: Any, **more: Any) -> nearest_site.Reach:
        begun.set()
        await go_on.wait()
        return await look(*args, **more)

    monkeypatch.setattr(nearest_site, "look", slowly)
    async with scene.running():
        await in_the_air(scene, above(scene, "drop-5"))
        divert = await scene.command("divert", key="a", params={"site_id": "drop-6"})
        async with asyncio.timeout(10):
            await begun.wait()
        await scene.outcome(await scene.command("hold", key="b"))
        go_on.set()
        outcome = await scene.outcome(divert)

    assert (outcome["state"], outcome["outcome"]) == ("failed", "a stop was given after it")
    assert told(scene) == []
    assert scene.vehicle.state().activity is Activity.HOLD


async def test_what_took_longer_to_prepare_than_it_lives_is_not_sent(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, too_late = nearest_site.look, scene.clock.now() + timedelta(seconds=10)

    async def lapsed() -> bool:
        return scene.clock.now() > too_late

    async def slowly(*args: Any, **more: Any) -> nearest_site.Reach:
        await until(lapsed)
        return await look(*args, **more)

    monkeypatch.setattr(nearest_site, "look", slowly)
    drone = Told()
    await drone.show(position=above(scene, "drop-5"), battery_pct=80.0, on_ground=False)
    sending = Sending("drone-1", drone, scene.world.database, scene.clock)
    given = {"command_id": "c-1", "issuer": "rule: x", "expires_at": too_late}

    with pytest.raises(Refused, match="too late"):
        await sending.send(given | {"kind": "divert", "params": {"site_id": "drop-6"}})
    with pytest.raises(Refused, match="too late"):
        await sending.send(given | {"kind": "cross", "params": {"node": "B"}})
    assert drone.told == []

    await sending.send(given | {"kind": "emergency_stop", "params": {}})
    assert drone.told == [("emergency_stop",)]


async def test_an_emergency_stop_does_not_wait_behind_holds_without_an_answer(scene: Scene) -> None:
    never = scene.vehicle.hangs["hold"] = asyncio.Event()
    async with scene.running():
        await scene.reaches("underway")
        for number in range(3):
            await scene.command("hold", key=f"h{number}")

        async def full() -> bool:
            return scene.vehicle.calls.count("hold") == 2

        await until(full)
        outcome = await scene.outcome(await scene.command("emergency_stop", key="e"))
        never.set()

    assert outcome["state"] == "done"
    assert told(scene) == [("emergency_stop",)]


async def test_an_outcome_waits_for_a_database_that_is_away_between_claim_and_finish(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, away = commands.finish, 3

    async def sometimes(*args: Any, **more: Any) -> None:
        nonlocal away
        away -= 1
        if away >= 0:
            raise psycopg.OperationalError("the database is away")
        await finish(*args, **more)

    monkeypatch.setattr(commands, "finish", sometimes)
    async with scene.running():
        await scene.reaches("underway")
        outcome = await scene.outcome(await scene.command("hold", key="a"))

    assert (outcome["state"], outcome["outcome"]) == ("done", "the vehicle shows: hold")
    assert scene.vehicle.calls.count("hold") == 1


async def test_a_command_that_needs_the_database_fails_clearly_while_it_is_away(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_args: Any, **_more: Any) -> None:
        raise psycopg.OperationalError("the database is away")

    async with scene.running():
        await in_the_air(scene, above(scene, "drop-5"))
        monkeypatch.setattr(nearest_site, "look", away)
        outcome = await scene.outcome(await scene.command("divert", key="a", params={"site_id": "drop-6"}))
        held = await scene.outcome(await scene.command("hold", key="b"))

    assert outcome["outcome"] == "the database was away, so that nothing was sent; give it again"
    assert held["state"] == "done"


async def test_a_hand_over_between_confirming_and_sending_expires_the_command(scene: Scene) -> None:
    never = scene.vehicle.hangs["return"] = asyncio.Event()
    async with scene.running():
        await scene.reaches("underway")
        waiting = [await scene.command("return", key=f"r{n}") for n in range(4)]

        async def full() -> bool:
            return scene.vehicle.calls.count("return") == 3

        await until(full)
        async with scene.world.database.transaction() as conn:
            await conn.execute("UPDATE vehicle_control SET pilot = 'kato', epoch = epoch + 1")
        never.set()
        outcome = await scene.outcome(waiting[3])

    assert outcome["state"] == "expired"
    assert "changed hands" in outcome["outcome"]
    assert scene.vehicle.calls.count("return") == 3


async def test_a_refusal_by_the_vehicle_keeps_its_words(scene: Scene) -> None:
    class Stubborn(Told):
        async def divert(self, to: Position, *, alt_amsl_m: float) -> None:
            raise Refused("geofence")

    scene.vehicle = Stubborn()
    async with scene.running():
        await in_the_air(scene, above(scene, "drop-5"))
        outcome = await scene.outcome(await scene.command("divert", key="a", params={"site_id": "drop-6"}))

    assert (outcome["state"], outcome["outcome"]) == ("failed", "geofence")
    assert (await scene.row())["state"] == "underway"

"""Missions as QGroundControl's plan files."""

from __future__ import annotations

import json

from hardware.mavlink.qgc_plan import plan_of
from hardware.mavlink.translate import DO_GRIPPER, DO_JUMP, FRAME_GLOBAL, NAV_LAND, NAV_TAKEOFF, translate
from hardware.profiles import load_profile
from tests.mavlink_kit import HOME, delivery, fenced, gated


def test_a_plan_file_holds_the_items_that_are_uploaded() -> None:
    mission = delivery()

    plan = json.loads(json.dumps(plan_of(mission, load_profile("multirotor_1kg")), allow_nan=False))

    items, sent = plan["mission"]["items"], translate(mission).items
    assert [item["command"] for item in items] == [item.command for item in sent]
    assert [item["doJumpId"] for item in items] == list(range(1, len(sent) + 1))
    assert (items[0]["command"], items[-1]["command"]) == (NAV_TAKEOFF, NAV_LAND)
    assert DO_GRIPPER in [item["command"] for item in items]
    for item, ours in zip(items, sent, strict=True):
        assert len(item["params"]) == 7
        if ours.frame == FRAME_GLOBAL:
            assert item["params"][4:] == [ours.x / 1e7, ours.y / 1e7, ours.z]
            assert item["Altitude"] == ours.z


def test_a_plan_file_says_where_it_begins_and_what_flies_it() -> None:
    multirotor, vtol = (plan_of(delivery(), load_profile(kind)) for kind in ("multirotor_1kg", "vtol_5kg"))

    assert multirotor["mission"]["plannedHomePosition"] == [HOME.lat, HOME.lon, HOME.alt_amsl_m]
    assert (multirotor["mission"]["vehicleType"], vtol["mission"]["vehicleType"]) == (2, 22)
    assert (multirotor["fileType"], multirotor["version"], multirotor["mission"]["version"]) == ("Plan", 1, 2)


def test_a_plan_file_has_the_fence_and_the_rally_points_above_home() -> None:
    mission = fenced(delivery())
    assert mission.fence is not None

    plan = json.loads(json.dumps(plan_of(mission, load_profile("multirotor_1kg"))))

    polygons = plan["geoFence"]["polygons"]
    assert [polygon["inclusion"] for polygon in polygons] == [True]
    assert polygons[0]["polygon"] == [[place.lat, place.lon] for place in mission.fence.inclusions[0]]
    assert plan["rallyPoints"]["points"] == [[place.lat, place.lon, 3.0] for place in mission.rally]


def test_a_jump_names_its_item_as_a_plan_file_numbers_them() -> None:
    items = plan_of(gated(delivery(), 30.0), load_profile("multirotor_1kg"))["mission"]["items"]

    (jump,) = [item for item in items if item["command"] == DO_JUMP]
    (target,) = [item for item in items if item["doJumpId"] == jump["params"][0]]
    assert target["Altitude"] == HOME.alt_amsl_m + 25, "past the release, high again"

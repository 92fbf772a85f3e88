"""Missions as QGroundControl's plan files."""

from __future__ import annotations

import json

from hardware.mavlink.qgc_plan import plan_of
from hardware.mavlink.translate import DO_GRIPPER, FRAME_GLOBAL, NAV_LAND, NAV_TAKEOFF, translate
from hardware.profiles import load_profile
from tests.mavlink_kit import HOME, delivery


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

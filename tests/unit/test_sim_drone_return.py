"""The light autopilot comes home as PX4 did: along the same items, to the same place, in the same time."""

from __future__ import annotations

import itertools
import math

import pytest

from simulators.modes import Mode
from tests.drone_pilot import HOME, Pilot
from tests.return_flights import DROP_M, MEASURED, MOMENTS, Place, Returned, items_at

PX4_DEFAULTS = {"MPC_XY_CRUISE": 5.0, "COM_FAIL_ACT_T": 0.0}


def flown_to(
    moment: str, *, rtl_type: int = 2, lands: bool = True, parameters: dict[str, float] | None = None
) -> Pilot:
    drone = Pilot({**PX4_DEFAULTS, "RTL_TYPE": rtl_type, **(parameters or {})})
    drone.upload(items_at(HOME, lands=lands))
    drone.run(6)
    drone.pilot.set_mode(Mode.MISSION)
    assert drone.pilot.arm()
    drone.until(lambda: MOMENTS[moment](place(drone), drone.pilot.mission.current), 400)
    return drone


def place(drone: Pilot) -> Place:
    return (drone.body.east_m, drone.body.north_m, drone.height_m)


def come_home(drone: Pilot) -> tuple[list[int], list[Place], float]:
    """Let it return; return the current items one after another, places ten times a second, and how long it took."""
    items, places = [drone.pilot.mission.current], [place(drone)]

    def landed() -> bool:
        items.append(drone.pilot.mission.current)
        places.append(place(drone))
        return not drone.pilot.armed

    seconds = drone.until(landed, 600)
    return [item for item, _ in itertools.groupby(items)], places, seconds


@pytest.mark.parametrize("px4", MEASURED, ids=lambda px4: f"{px4.rtl_type}-{px4.moment}")
def test_comes_home_as_px4_does(px4: Returned) -> None:
    drone = flown_to(px4.moment, rtl_type=px4.rtl_type, lands=px4.lands, parameters=px4.parameters)
    gripped = len(drone.named("released"))
    if px4.held:
        drone.pilot.set_mode(Mode.LOITER)
        drone.run(6)
    before = drone.pilot.mission.current

    drone.pilot.set_mode(Mode.RTL)
    items, places, seconds = come_home(drone)

    # PX4 tells its current item once a second: those that lie at one place it passes unsaid.
    assert [item for item in items if item in px4.items] == list(px4.items)
    assert items[-1] == (px4.items[-1] if px4.items else before)
    assert seconds == pytest.approx(px4.seconds, rel=0.15)
    assert math.hypot(*places[-1][:2]) < 2.0
    assert max(at[2] for at in places) == pytest.approx(px4.top_m, abs=3.0)
    near_drop = [at[2] for at in places[50:] if at[0] > DROP_M - 5]
    assert (min(near_drop, default=99.0) < 10.0) is px4.down_at_drop
    assert len(drone.named("released")) == gripped, "a return releases nothing"


def test_without_a_hold_before_it_a_lost_link_goes_on_with_the_item_under_way() -> None:
    drone = flown_to("homebound")
    drone.gcs = False

    drone.until(lambda: drone.pilot.mode is Mode.RTL, 20)

    assert [event["mode"] for event in drone.named("mode")][-2:] == ["AUTO.MISSION", "AUTO.RTL"]
    assert come_home(drone)[0] == [10, 11, 12]


def test_after_the_hold_that_px4_makes_by_default_it_goes_back_to_the_nearest_item() -> None:
    """With COM_FAIL_ACT_T 5 PX4 went from item 10 back to 9 and lost 18 s."""
    drone = flown_to("homebound", parameters={"COM_FAIL_ACT_T": 5.0})
    drone.gcs = False

    drone.until(lambda: drone.pilot.mode is Mode.RTL, 30)

    assert drone.pilot.mission.current == 9
    assert come_home(drone)[0] == [9, 10, 11, 12]


def test_a_return_resumed_goes_on_with_the_mission_where_the_return_was() -> None:
    drone = flown_to("outbound")
    drone.pilot.set_mode(Mode.RTL)
    drone.until(lambda: drone.pilot.mission.current == 5, 60)

    drone.pilot.set_mode(Mode.MISSION)
    drone.until(lambda: not drone.pilot.armed, 400)

    assert len(drone.named("released")) == 1

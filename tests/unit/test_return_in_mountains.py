"""Broken off in the mountains, the light autopilot comes home along the planned path and lands on its pad."""

from __future__ import annotations

import random

import pytest

from hardware.mavlink.translate import translate
from hardware.profiles import profile_data
from routing.geo import Position, distance_m
from simulators.autopilot import Autopilot
from simulators.flight import Airframe
from simulators.missions import Item
from simulators.modes import Mode
from simulators.world import Wind, World
from tests.drone_pilot import Pilot
from tests.mountain_trip import heights_m, is_clear, mountain_mission, mountain_trip, predicted_s

Track = list[tuple[float, Position]]


def flying(**parameters: float) -> Pilot:
    """The drone on the mission, taking off from its pad in the village."""
    region, vehicle, _, pad = mountain_trip()
    drone = Pilot({**profile_data(vehicle.type.type_id)["parameters"], **parameters})
    drone.body = Airframe(vehicle.type, pad, World(region, Wind()), random.Random(1))
    drone.pilot = Autopilot(drone.body, drone.params, drone.store, drone, payload_kg=0.8)
    drone.upload(
        Item(5 if item.frame == 0 else item.frame, item.command, item.params, item.x, item.y, item.z, True)
        for item in translate(mountain_mission()).items
    )
    drone.run(6)
    drone.pilot.set_mode(Mode.MISSION)
    assert drone.pilot.arm()
    return drone


def home_from(drone: Pilot) -> tuple[Track, float]:
    """Let it come home; return its track and how long it took."""
    track: Track = []

    def landed() -> bool:
        track.append((drone.pilot.now_s, drone.body.position()))
        return not drone.pilot.armed

    return track, drone.until(landed, 900)


@pytest.mark.parametrize("at_s", [60.0, 150.0, 215.0, 330.0])
@pytest.mark.parametrize("why", ["told to return", "link cut"])
def test_comes_home_clear_of_the_terrain_and_lands_on_its_pad(why: str, at_s: float) -> None:
    drone = flying().run(at_s)
    if why == "link cut":
        drone.gcs = False
        drone.until(lambda: drone.pilot.mode is Mode.RTL, 20)
    else:
        drone.pilot.set_mode(Mode.RTL)
    left_at_s = drone.pilot.now_s - drone.pilot.armed_s
    released = len(drone.named("released"))

    track, seconds = home_from(drone)

    assert is_clear(track), heights_m(track)
    assert distance_m(track[-1][1], mountain_trip()[3]) < 2.0
    assert seconds == pytest.approx(predicted_s(left_at_s), rel=0.15)
    assert len(drone.named("released")) == released


def test_the_straight_way_home_would_have_hit_the_mountain_or_left_the_airspace() -> None:
    """Why the profile does not have PX4's default: RTL_TYPE 0 at its RTL_RETURN_ALT."""
    drone = flying(RTL_TYPE=0).run(215.0)
    drone.pilot.set_mode(Mode.RTL)

    track, _ = home_from(drone)

    assert not is_clear(track)

"""Fences and rally points as items: what PX4 keeps, and what it must never be given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hardware.errors import MissionRejected
from hardware.mavlink import fence_items as f
from hardware.mavlink.translate import FRAME_GLOBAL
from hardware.mission import Fence, Ring
from routing.geo import LocalFrame, Position
from tests.mavlink_kit import HOME, delivery, fenced

FRAME = LocalFrame(HOME)


def square(east_m: float, north_m: float, half_m: float) -> Ring:
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return tuple(FRAME.to_global(east_m + x * half_m, north_m + y * half_m) for x, y in corners)


def test_a_mission_without_a_fence_has_no_items_of_one() -> None:
    assert f.fence_items(delivery()) == f.rally_items(delivery()) == ()


def test_each_vertex_names_the_number_of_its_polygon() -> None:
    mission = replace(delivery(), fence=Fence((square(0, 0, 300),), (square(150, 150, 20), square(-150, 0, 10)[:3])))

    items = f.fence_items(mission)

    assert [(item.command, item.params[0]) for item in items] == (
        [(f.FENCE_INCLUSION, 4.0)] * 4 + [(f.FENCE_EXCLUSION, 4.0)] * 4 + [(f.FENCE_EXCLUSION, 3.0)] * 3
    )
    assert {item.frame for item in items} == {FRAME_GLOBAL}


def test_rally_points_are_amsl_in_the_frame_that_px4_can_return_to() -> None:
    (item,) = f.rally_items(fenced(delivery()))

    assert (item.command, item.frame, item.z) == (f.RALLY_POINT, FRAME_GLOBAL, HOME.alt_amsl_m + 3.0)


@pytest.mark.parametrize(
    ("fence", "words"),
    [
        (Fence((square(0, 0, 300)[:2],)), "fewer than 3 points"),
        (Fence((square(0, 0, 300),), (square(150, 150, 20),) * 16), "68 points, at most 64"),
        (Fence((square(900, 0, 300),)), "step 0 lies outside its fence"),
        (Fence((square(0, 0, 40),)), "step 1 lies outside its fence"),
        (Fence((square(0, 0, 300),), (square(60, 20, 10),)), "step 1 lies outside its fence"),
        (Fence((square(0, 0, 300), square(0, 0, 40))), "step 1 lies outside its fence"),
    ],
)
def test_a_fence_that_is_not_kept_or_not_heeded_is_refused(fence: Fence, words: str) -> None:
    with pytest.raises(MissionRejected, match=words):
        f.fence_items(replace(delivery(), fence=fence))


def test_too_many_rally_points_and_one_outside_are_refused() -> None:
    fence = Fence((square(0, 0, 300),))
    with pytest.raises(MissionRejected, match="33 rally points, at most 32"):
        f.rally_items(replace(delivery(), rally=(HOME,) * 33))
    outside = Position(HOME.lat + 1.0, HOME.lon, 0.0)
    with pytest.raises(MissionRejected, match="rally point 2 lies outside the fence"):
        f.rally_items(replace(delivery(), fence=fence, rally=(HOME, outside)))

"""What the validator says of airspace: by where a drone is, how high, and when."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.errors import BadInput, NoWay
from routing.flight_path import FlightPaths
from routing.plan import Plan, Route
from routing.problem import Permit, Policy, Problem
from routing.region.model import AltitudeReference, LaneSection, Layer, Period, Population, Restriction, Terrain, Zone
from routing.validate import Violation, validate
from tests.plain import FRAME, StopAction, at, far, plain_problem, retimed, trip
from tests.problems import START

HALF_EAST = far("east", 0.5)


def _ring(east_m: float, north_m: float, half_m: float = 60.0) -> tuple[tuple[float, float], ...]:
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    places = (at(east_m + x * half_m, north_m + y * half_m) for x, y in corners)
    return tuple((place.lat, place.lon) for place in places)


def _zone(**how: Any) -> Zone:
    return Zone("z", "test", "", "", _ring(*HALF_EAST), **how)


def _one_drone(up_m: float = 70.0) -> tuple[Problem, Plan]:
    """A drone flies to the east and back, so high above the ground; it passes 750 m after about 95 seconds."""
    base = plain_problem()
    problem = replace(base, orders=base.orders[:1], vehicles=base.vehicles[:1])
    made = trip(problem, problem.vehicles[0], [("east", StopAction.DROP, ["a"])], up_m=up_m)
    return problem, Plan((Route("drone-1", "hub", (made,)),), (), 0.0)


def _judged(*zones: Zone, up_m: float = 70.0, **how: Any) -> list[Violation]:
    problem, plan = _one_drone(up_m)
    region = replace(problem.region, zones=zones, **{k: how.pop(k) for k in ("lanes", "radio", "geoid") if k in how})
    return list(validate(replace(problem, region=region, **how), plan))


def _rules(found: list[Violation]) -> set[str]:
    return {violation.rule for violation in found}


def test_a_zone_closed_at_all_times_names_place_and_depth() -> None:
    found = _judged(_zone())
    assert [violation.rule for violation in found] == ["drone.zone"] * 2
    assert found[0].vehicle_id == "drone-1"
    assert found[0].place is not None
    east_m, north_m = FRAME.to_local(found[0].place)
    assert abs(east_m - 750.0) <= 81.0
    assert abs(north_m) < 1.0
    # Its middle is 60 m from its side, which has a margin of 20 m.
    assert found[0].size == pytest.approx(80.0, abs=3.0)
    assert _judged(_zone(margin_m=5.0))[0].size == pytest.approx(65.0, abs=3.0)


@pytest.mark.parametrize(
    ("how", "up_m", "free"),
    [
        ({"floor_m": 81.0}, 70.0, True),
        ({"floor_m": 79.0}, 70.0, False),
        ({"ceiling_m": 59.0}, 70.0, True),
        ({"ceiling_m": 61.0}, 70.0, False),
        ({"floor_m": 181.0, "floor_reference": AltitudeReference.AMSL}, 70.0, True),
        ({"floor_m": 179.0, "floor_reference": AltitudeReference.AMSL}, 70.0, False),
        ({"restriction": Restriction.NONE}, 70.0, True),
        ({"restriction": Restriction.CONDITIONAL, "conditions": ("transponder",)}, 70.0, False),
    ],
)
def test_height_counts_with_its_margin(how: dict[str, Any], up_m: float, free: bool) -> None:
    assert _rules(_judged(_zone(**how), up_m=up_m)) == (set() if free else {"drone.zone"})


def test_a_limit_above_the_ellipsoid_goes_through_the_geoid() -> None:
    zone = _zone(floor_m=221.0, floor_reference=AltitudeReference.ELLIPSOID)
    geoid = Layer(-5000.0, -5000.0, 5000.0, np.full((3, 3), 40.0), "EGM2008 (EPSG:3855)")
    assert not _judged(zone, geoid=geoid)
    assert _rules(_judged(zone, geoid=replace(geoid, values=geoid.values + 2.0))) == {"drone.zone"}
    with pytest.raises(BadInput, match=r"zone z: .*no geoid"):
        _judged(zone)


def test_a_zone_is_judged_by_when_the_drone_is_in_it() -> None:
    """There and back, each leg is in it for a quarter of a minute."""
    whole = _judged(_zone(floor_m=0.0))
    there, back = (violation.at for violation in whole)
    assert there is not None
    assert back is not None
    minute = timedelta(minutes=1)
    assert not _judged(_zone(schedule=(Period(there + minute, back - minute),)))
    (late,) = _judged(_zone(schedule=(Period(begins=back - minute),)))
    assert late.subject.endswith("/2")
    assert late.at == back
    assert [violation.at for violation in _judged(_zone(schedule=(Period(ends=there + minute),)))] == [there]


def _permit(**how: Any) -> Permit:
    return Permit(**({"permit_id": "p", "ring": _ring(*HALF_EAST, 200.0), "zones": ("z",)} | how))


def test_a_zone_that_needs_an_authorisation_wants_a_permit_that_covers_the_flight() -> None:
    zone = _zone(restriction=Restriction.AUTHORISATION)
    for permit in (
        _permit(),
        _permit(vehicle_ids=("drone-1",)),
        _permit(ceiling_agl_m=70.0),
        _permit(daylight=True),
        _permit(from_minute=540, to_minute=560),
    ):
        assert not _judged(zone, permits=(permit,))
    for permit in (
        _permit(zones=("other",)),
        _permit(vehicle_ids=("drone-2",)),
        _permit(type_ids=("other",)),
        _permit(ceiling_agl_m=69.0),
        _permit(ring=_ring(*HALF_EAST, 40.0)),
        # The flight begins at nine in Japan.
        _permit(from_minute=560, to_minute=600),
        _permit(begins=START + timedelta(minutes=20)),
    ):
        found = _judged(zone, permits=(permit,))
        assert _rules(found) == {"drone.permit"}
        assert "zone z needs an authorisation" in found[0].message


def test_a_permit_that_runs_out_on_the_way_is_noticed_where_it_does() -> None:
    zone = _zone(restriction=Restriction.AUTHORISATION)
    entered = _judged(zone)[0]
    assert entered.at is not None
    ends = entered.at + timedelta(seconds=8)
    there, back = _judged(zone, permits=(_permit(ends=ends),))
    assert there.at is not None
    assert abs((there.at - ends).total_seconds()) < 1.0
    assert there.size == pytest.approx(160.0 - 80.0, abs=10.0)
    assert back.size == pytest.approx(160.0, abs=8.0)


def test_where_every_flight_needs_a_permit_the_way_up_needs_one_too() -> None:
    all_of_it = _permit(ring=_ring(750.0, 0.0, 900.0))
    assert not _judged(permits=(all_of_it,), policy=Policy(permit_required=True))
    from_half_on = _permit(ring=_ring(1150.0, 0.0, 900.0))
    found = _judged(permits=(from_half_on,), policy=Policy(permit_required=True))
    assert [violation.rule for violation in found] == ["drone.permit"] * 2
    assert found[0].at == START


def _lane(*places: tuple[float, float], **how: Any) -> LaneSection:
    line = tuple(at(*place, 70.0) for place in places)
    return LaneSection(**({"section_id": "s", "a": "a", "b": "b", "line": line} | how))


def test_a_zone_for_lanes_only_is_crossed_along_one_and_with_its_direction() -> None:
    zone = _zone(restriction=Restriction.CONDITIONAL, conditions=("lane",))
    assert not _judged(zone, lanes=(_lane((500, 30), (1000, 30)),))
    assert _rules(_judged(zone, lanes=(_lane((500, 60), (1000, 60)),))) == {"drone.lane"}
    assert _rules(_judged(zone, lanes=(_lane((500, 0), (750, 0)),))) == {"drone.lane"}
    (against,) = _judged(zone, lanes=(_lane((500, 0), (1000, 0), one_way=True),))
    assert against.rule == "drone.lane"
    assert against.subject.endswith("/2")


def test_a_gap_of_radio_longer_than_the_lost_link_time_is_measured() -> None:
    """Above 70 m there is no link for 300 m, of which 100 m may be flown."""
    values = np.zeros((101, 101))
    values[:, 56:59] = 90.0
    radio = Layer(-5000.0, -5000.0, 100.0, values)
    found = _judged(radio=radio)
    assert _rules(found) == {"drone.radio"}
    assert found[0].size == pytest.approx(400.0 - 100.0, abs=5.0)
    assert not _judged(radio=radio, up_m=90.0)
    assert not _judged(radio=radio, policy=Policy(radio=False))


def test_ground_risk_is_judged_by_the_type_and_needs_a_population() -> None:
    problem, plan = _one_drone()
    persons = np.zeros((20, 20))
    persons[10, 11] = 400.0  # on a quarter of a square kilometre: 1,600 to the square kilometre
    region = replace(problem.region, population=Population(-5000.0, -5000.0, 500.0, persons))
    small = replace(problem.vehicles[0], type=replace(problem.vehicles[0].type, span_m=1.0))
    made = replace(problem, region=region, vehicles=(small,))
    assert not validate(replace(made, policy=Policy(ground_risk=5)), plan)
    found = validate(replace(made, policy=Policy(ground_risk=4)), plan)
    assert _rules(list(found)) == {"drone.ground_risk"}
    assert found[0].size == 1.0
    # A larger aircraft is in the next class.
    large = replace(small, type=replace(small.type, span_m=2.5))
    found = validate(replace(made, vehicles=(large,), policy=Policy(ground_risk=5)), plan)
    assert _rules(list(found)) == {"drone.ground_risk"}
    with pytest.raises(BadInput, match="no population"):
        validate(replace(problem, policy=Policy(ground_risk=4)), plan)


def test_clearance_counts_the_terrains_error_trees_and_its_border() -> None:
    problem, plan = _one_drone(64.0)
    terrain = problem.region.terrain

    def judged(**how: Any) -> list[Violation]:
        return list(validate(replace(problem, region=replace(problem.region, **how)), plan))

    assert not judged(terrain=replace(terrain, error_m=4.0))
    (there, _) = judged(terrain=replace(terrain, error_m=5.0))
    assert (there.rule, there.size) == ("drone.clearance", pytest.approx(1.0, abs=0.01))
    assert not judged(canopy=Layer(-5000.0, -5000.0, 5000.0, np.full((3, 3), 34.0)))
    assert _rules(judged(canopy=Layer(-5000.0, -5000.0, 5000.0, np.full((3, 3), 35.0)))) == {"drone.clearance"}
    small = Terrain(-1000.0, -1000.0, 1000.0, np.full((3, 3), 100.0), "flat", 0.0)
    (there, _) = judged(terrain=small)
    assert (there.rule, there.size) == ("drone.clearance", pytest.approx(500.0, abs=0.1))


def test_zones_of_the_day_count_as_the_regions_do() -> None:
    assert _rules(_judged(zones=(_zone(),))) == {"drone.zone"}
    with pytest.raises(BadInput, match="zone id 'z' is used twice"):
        _judged(_zone(), zones=(_zone(),))
    with pytest.raises(BadInput, match="zone z: its floor"):
        _judged(_zone(floor_m=50.0, ceiling_m=40.0))


_LIMIT = st.one_of(st.none(), st.floats(20.0, 140.0))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(250, 1250), st.floats(-250, 250), st.floats(30, 200), _LIMIT, _LIMIT, st.integers(0, 3)),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 2**31),
)
def test_what_the_planner_flies_the_validator_passes(zones: list[tuple[Any, ...]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem, _ = _one_drone()
    heights = np.round(100.0 + rng.uniform(0.0, 60.0, (101, 101)), 1)
    radio = Layer(
        -5000.0, -5000.0, 100.0, rng.choice([0.0, 80.0, 120.0, math.inf], (101, 101), p=[0.9, 0.04, 0.03, 0.03])
    )
    lane = _lane((-200, 40), (500, 160), (1700, 20), width_m=90.0)
    made = []
    for i, (east, north, half, floor, ceiling, kind) in enumerate(zones):
        if floor is not None and ceiling is not None and floor >= ceiling:
            floor, ceiling = ceiling, floor + 1.0
        restriction = (Restriction.PROHIBITED, Restriction.AUTHORISATION, Restriction.CONDITIONAL, Restriction.NONE)[
            kind
        ]
        made.append(
            Zone(f"z{i}", "test", "", "", _ring(east, north, half), floor, AltitudeReference.AGL, ceiling,
                 AltitudeReference.AGL, restriction, ("lane",) if kind == 2 else ())
        )  # fmt: skip
    permit = Permit("p", _ring(700.0, 60.0, 420.0), ceiling_agl_m=110.0, zones=("z0", "z1"), daylight=True)
    terrain = Terrain(-5000.0, -5000.0, 100.0, heights, "rough", 3.0)
    # The pads stand on the flat ground of the plain region, which this terrain is nowhere lower than.
    region = replace(problem.region, terrain=terrain, zones=tuple(made), lanes=(lane,), radio=radio)
    problem = replace(problem, region=region, permits=(permit,))
    vehicle = problem.vehicles[0]
    during = (START, START + timedelta(minutes=30))
    start, end = region.site("hub").pads[0], region.site("east").pads[0]
    ways = FlightPaths(region, permits=problem.permits).paths(
        [(start, end), (end, start)], vehicle=vehicle, during=during
    )
    if any(isinstance(way, NoWay) for way in ways):
        return
    bare = trip(problem, vehicle, [("east", StopAction.DROP, ["a"])])
    legs = tuple(replace(leg, path=way) for leg, way in zip(bare.legs, ways, strict=True))
    flown = retimed(problem, vehicle, replace(bare, legs=legs))
    found = validate(problem, Plan((Route("drone-1", "hub", (flown,)),), (), 0.0))
    assert [violation for violation in found if violation.rule.startswith("drone.")] == []


def test_the_property_above_is_about_flights_that_exist() -> None:
    """Random ground and radio leave most flights possible."""
    rng = np.random.default_rng(1)
    terrain = Terrain(-5000.0, -5000.0, 100.0, 100.0 + rng.uniform(0.0, 60.0, (101, 101)), "rough", 3.0)
    problem, _ = _one_drone()
    paths = FlightPaths(replace(problem.region, terrain=terrain))
    path = paths.path(problem.region.site("hub").pads[0], problem.region.site("east").pads[0])
    assert shapely.LineString([FRAME.to_local(point) for point in path]).length == pytest.approx(1500.0, rel=0.2)

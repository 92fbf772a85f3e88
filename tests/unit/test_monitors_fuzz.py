"""Whatever a vehicle sends, no monitor crashes, and nothing that is found is no number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.conditions import Look, Memory, findings, remember
from fleet.watched import Course, Surroundings, WatchedVehicle, course_of, under_way
from hardware.link import Activity, VehicleState
from routing.geo import Position
from routing.problem import Separation
from routing.vehicle_type import VehicleType
from telemetry.monitors.finding import Finding
from telemetry.monitors.traffic import Flying, too_close
from telemetry.sample import Sample
from tests.flown import LATE, flown
from tests.problems import DRONE, ROBOT, START, village

HOME = village(1).site("hub-1").pads[0]

times = st.one_of(
    st.floats(-10.0, 1_000.0).map(lambda s: START + LATE + timedelta(seconds=s)),
    st.integers(0, 2**32).map(lambda s: datetime.fromtimestamp(s, tz=UTC)),
)


def maybe(low: int, high: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(low, high)


samples = st.builds(
    Sample,
    vehicle_id=st.just("drone-1"),
    t=times,
    seq=st.integers(0, 2**31),
    vehicle_ms=st.integers(0, 2**41),
    lat_e7=st.just(round(HOME.lat * 1e7)) | maybe(-(2**31), 2**31 - 1),
    lon_e7=st.just(round(HOME.lon * 1e7)) | maybe(-(2**31), 2**31 - 1),
    alt_amsl_cm=st.just(round(HOME.alt_amsl_m * 100) + 3_000) | maybe(-(2**31), 2**31 - 1),
    alt_home_cm=maybe(-(2**31), 2**31 - 1),
    vel_n_cms=maybe(-(2**15), 2**15),
    vel_e_cms=maybe(-(2**15), 2**15),
    vel_d_cms=maybe(-(2**15), 2**15),
    battery_pct_x10=maybe(-1000, 2**15),
    wind_n_cms=maybe(-(2**15), 2**15),
    wind_e_cms=maybe(-(2**15), 2**15),
    link_pct_x10=maybe(-1000, 2**15),
    on_ground=st.none() | st.booleans(),
    armed=st.none() | st.booleans(),
    step=maybe(-1, 2**15),
    mission_id=st.none() | st.sampled_from(["m-1", "m-2"]),
    mode=st.none() | st.text(max_size=5),
)
positions = st.none() | st.builds(Position, st.floats(-90, 90), st.floats(-180, 180), st.floats(-1e4, 1e5))
states = st.builds(
    VehicleState,
    t=st.none() | times,
    connected=st.booleans(),
    activity=st.sampled_from(Activity),
    on_ground=st.booleans(),
    position=positions,
    battery_pct=st.none() | st.floats(0, 100),
    faults=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    conditions=st.dictionaries(st.sampled_from(["duplicate_id", "second_station"]), st.text(max_size=5)),
)
rows = st.none() | st.fixed_dictionaries(
    {
        "mission_id": st.sampled_from(["m-1", "m-2"]),
        "state": st.sampled_from(
            ["planned", "loaded", "accepted", "starting", "underway", "held", "returning", "completed", "failed"]
        ),
        "changed_at": times,
        "reason": st.none() | st.text(max_size=5),
    },
    optional={"attempts": st.integers(0, 9), "parcels_aboard": st.booleans()},
)
asked = st.none() | st.tuples(st.sampled_from(["hold", "return", "land", "resume"]), times)


@cache
def surroundings() -> Surroundings:
    return Surroundings.of(village(1))


def course_for(kind: VehicleType) -> Course:
    flight = flown()
    course = course_of(flight.row, kind, frame=flight.frame, site="hub", temperature_c=20.0)
    assert course is not None
    return course


def assert_tellable(found: Sequence[Finding]) -> None:
    assert len({(finding.code, finding.key) for finding in found}) == len(found)
    for finding in found:
        for value in finding.values.values():
            assert isinstance(value, str | int) or math.isfinite(value)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(samples, states, rows, asked, times), max_size=12), st.booleans())
def test_no_sequence_of_samples_and_states_crashes_a_vehicles_monitors(
    looks: list[tuple[Sample, VehicleState, dict[str, object] | None, tuple[str, datetime] | None, datetime]],
    drone: bool,
) -> None:
    kind = DRONE if drone else ROBOT
    vehicle = WatchedVehicle(kind, HOME, surroundings())
    vehicle.course = course_for(kind)
    for sample, state, row, command, now in looks:
        vehicle.take(sample)
        vehicle.feed(state.activity, now=now, watches=under_way(row, state, kind))
        assert_tellable(vehicle.look(state, row, command, now))


@settings(max_examples=40, deadline=None)
@given(st.lists(samples, max_size=12))
def test_each_monitor_takes_any_samples_in_any_order(given_samples: list[Sample]) -> None:
    course, vehicle = course_for(DRONE), WatchedVehicle(DRONE, HOME, surroundings())
    for sample in given_samples:
        for monitor in (*vehicle._always, course.conformance, course.energy):
            monitor.take(sample)
            assert_tellable(monitor.findings(sample.t))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(states, rows, asked, times), max_size=10))
def test_conditions_are_told_of_any_state(
    looks: list[tuple[VehicleState, dict[str, object] | None, tuple[str, datetime] | None, datetime]],
) -> None:
    memory = Memory()
    for state, row, command, at in looks:
        look = Look(at, state, DRONE, row, command, HOME)
        memory = remember(look, memory)
        assert_tellable(findings(look, memory))


metres = st.floats(-1e7, 1e7)
speeds = st.floats(-1e3, 1e3)
flying = st.builds(
    Flying,
    st.sampled_from(["a", "b", "c", "d"]),
    st.floats(-1e3, 1e3),
    st.tuples(metres, metres, metres),
    st.tuples(speeds, speeds, speeds),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(flying, max_size=8), st.integers(0, 4), st.floats(-1e3, 1e3))
def test_traffic_is_compared_whatever_it_does(vehicles: list[Flying], own: int, now_s: float) -> None:
    for vehicle_id, found in too_close(vehicles[:own], vehicles, now_s=now_s, apart=Separation()).items():
        assert_tellable(found)
        assert all(finding.key != vehicle_id for finding in found)

"""A vehicle under watch: which findings its samples, state and mission make together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from fleet.watched import Surroundings, WatchedVehicle, course_of, intake_findings, under_way
from hardware.link import Activity, VehicleState
from routing.errors import BadInput
from telemetry.intake import VehicleIntake
from telemetry.monitors.finding import Finding
from telemetry.sample import Sample
from tests.flown import Flown, changed, flown, moved, state_of
from tests.problems import DRONE

LOOKS = Callable[[Sample], VehicleState]


class Watch:
    """One flight under watch, looked at after each sample."""

    def __init__(self, flight: Flown, *, course: bool = True) -> None:
        self.flight = flight
        self.row: dict[str, Any] | None = flight.row
        home = flight.region.site("hub-1")
        self.vehicle = WatchedVehicle(DRONE, home.position, Surroundings.of(flight.region))
        if course:
            self.vehicle.course = course_of(
                flight.row, DRONE, frame=flight.frame, site=home.name_ja, temperature_c=20.0
            )

    def sees(self, samples: Iterable[Sample], state: LOOKS = state_of) -> list[tuple[datetime, Finding]]:
        """Show samples; return what each look found."""
        seen = []
        for sample in samples:
            self.vehicle.take(sample)
            seen += [(sample.t, finding) for finding in self.looks(state(sample), sample.t)]
        return seen

    def looks(self, state: VehicleState, now: datetime) -> list[Finding]:
        """Look once."""
        self.vehicle.feed(state.activity, now=now, watches=under_way(self.row, state, DRONE))
        return self.vehicle.look(state, self.row, None, now)


def codes(seen: Iterable[tuple[datetime, Finding]]) -> set[str]:
    return {finding.code for _, finding in seen if finding.holds}


@pytest.mark.parametrize("wind_mps", [0.0, 6.0])
def test_a_whole_mission_as_planned_shows_nothing(wind_mps: float) -> None:
    flight = flown(wind_mps)
    assert Watch(flight).sees(flight.samples) == []


def test_a_mission_flown_in_cold_air_has_less_in_its_battery() -> None:
    flight = flown()
    worn = [replace(s, battery_pct_x10=(s.battery_pct_x10 or 0) - 450) for s in flight.samples]
    assert Watch(flight).sees(worn) == []
    cold = Watch(flight)
    cold.vehicle.course = course_of(flight.row, DRONE, frame=flight.frame, site="hub", temperature_c=-20.0)
    assert codes(cold.sees(worn)) == {"energy"}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (lambda flight, s: moved(s, flight.frame, north_m=200.0), "off_plan"),
        (lambda flight, s: moved(s, flight.frame, up_m=150.0), "fence_breach"),
        (lambda flight, s: replace(s, link_pct_x10=500), "link_weak"),
        (lambda flight, s: replace(s, wind_n_cms=2_000, wind_e_cms=0), "wind"),
        (lambda flight, s: replace(s, battery_pct_x10=260), "energy"),
    ],
)
def test_what_goes_wrong_on_the_way_is_found_within_two_seconds(
    wrong: Callable[[Flown, Sample], Sample], code: str
) -> None:
    flight = flown()
    begin = flight.cruising()
    seen = Watch(flight).sees(changed(flight.samples, begin, lambda s: wrong(flight, s), seconds=30.0))
    assert codes(seen) >= {code}
    first = next(at for at, finding in seen if finding.code == code)
    assert timedelta() <= first - flight.samples[begin].t <= timedelta(seconds=2)


def test_a_held_flight_is_off_no_plan_and_goes_on_from_where_it_is() -> None:
    flight = flown()
    watch, held = Watch(flight), flight.cruising()
    watch.sees(flight.samples[:held])
    here = flight.samples[held]
    stands = [
        replace(here, t=here.t + timedelta(seconds=i), vehicle_ms=here.vehicle_ms + i, vel_n_cms=0, vel_e_cms=0)
        for i in range(180)
    ]
    seen = watch.sees(stands, lambda s: state_of(s, activity=Activity.HOLD))
    assert codes(seen) == {"holds_unasked"}
    later = [replace(sample, t=sample.t + timedelta(seconds=180)) for sample in flight.samples[held:]]
    assert watch.sees(later) == []


def test_without_its_track_a_flight_is_watched_by_all_that_does_not_need_it() -> None:
    flight = flown()
    watch = Watch(flight, course=False)
    wrong = changed(
        flight.samples,
        flight.cruising(),
        lambda s: replace(moved(s, flight.frame, north_m=200.0), link_pct_x10=500, battery_pct_x10=300),
    )
    assert codes(watch.sees(wrong)) == {"link_weak"}


def test_what_held_when_the_vehicle_fell_silent_can_no_longer_be_told() -> None:
    flight = flown()
    watch, begin = Watch(flight), flight.cruising()
    watch.sees(changed(flight.samples[: begin + 20], begin, lambda s: replace(s, link_pct_x10=500)))
    last = flight.samples[begin + 20]
    found = watch.looks(state_of(last, connected=False), last.t + timedelta(seconds=5))
    assert [(finding.code, finding.holds) for finding in found] == [("silent", True), ("link_weak", None)]
    assert watch.looks(state_of(last, connected=False), last.t + timedelta(seconds=9)) == found


def test_after_its_mission_a_vehicle_is_asked_about_nothing_of_it() -> None:
    flight = flown()
    watch = Watch(flight)
    watch.sees(changed(flight.samples, flight.cruising(), lambda s: replace(s, battery_pct_x10=300)))
    watch.row = None
    watch.vehicle.course = None
    last = flight.samples[-1]
    assert watch.looks(state_of(last, on_ground=True, activity=Activity.IDLE), last.t) == []


def test_what_the_link_finds_odd_is_handed_on() -> None:
    flight = flown()
    odd = {"duplicate_id": "two boards answer", "second_station": "system 254"}
    seen = Watch(flight).sees(flight.samples[:1], lambda s: state_of(s, conditions=odd))
    assert {(finding.code, finding.values["detail"]) for _, finding in seen} == set(odd.items())


def test_why_a_vehicle_is_not_heard_is_handed_on_too() -> None:
    flight = flown()
    odd = {"half_open": "it answers nothing", "unsigned": "not signed", "second_station": "system 254"}
    watch = Watch(flight)
    watch.sees(flight.samples[:1])
    last = flight.samples[0]

    seen = watch.looks(state_of(last, connected=False, conditions=odd), last.t)

    assert {"half_open", "unsigned"} <= {finding.code for finding in seen}
    assert "second_station" not in {finding.code for finding in seen}


def test_a_position_that_does_not_come_any_more_is_stale_while_the_vehicle_flies_its_mission() -> None:
    flight = flown()
    watch, begin = Watch(flight), flight.cruising()
    watch.sees(flight.samples[:begin])
    last = flight.samples[begin - 1]
    assert watch.looks(state_of(last), last.t + timedelta(seconds=2)) == []
    found = watch.looks(state_of(last), last.t + timedelta(seconds=5))
    assert [(finding.code, finding.key) for finding in found] == [("stale", "position")]
    assert watch.looks(state_of(last, on_ground=True), last.t + timedelta(seconds=20)) == []


def test_a_clock_that_is_wrong_and_a_flood_are_found_of_what_the_intake_counts() -> None:
    def known(off_s: float | None, *, flooding: bool = False) -> VehicleIntake:
        return VehicleIntake({}, 1_000.0, off_s, flooding)

    assert intake_findings(known(None), speed=1.0) == []
    assert intake_findings(known(-4.0), speed=1.0) == []
    assert intake_findings(known(-7.0), speed=1.0) == [Finding("clock_wrong", True, values={"off_s": -7.0})]
    assert intake_findings(known(-7.0), speed=10.0) == []
    assert intake_findings(known(0.0, flooding=True), speed=1.0)[0].values == {"rate_hz": 1_000.0}


def test_a_vehicle_flies_where_its_plan_leads_as_long_as_it_keeps_to_it() -> None:
    flight = flown()
    watch = Watch(flight)
    climbing = next(i for i, s in enumerate(flight.samples) if (s.alt_home_cm or 0) > 1_500)
    watch.sees(flight.samples[:climbing])
    assert watch.vehicle.flying is not None
    assert watch.vehicle.flying.velocity[2] > 1.0
    watch.sees([moved(flight.samples[climbing], flight.frame, north_m=100.0)])
    reported = flight.samples[climbing]
    assert watch.vehicle.flying.velocity == (
        (reported.vel_e_cms or 0) / 100,
        (reported.vel_n_cms or 0) / 100,
        -(reported.vel_d_cms or 0) / 100,
    )
    watch.sees([replace(flight.samples[-1], on_ground=True)])
    assert watch.vehicle.flying is None


@pytest.mark.parametrize(
    "damage", [{"given": {"track": 1}}, {"given": {}}, {"given": {"trip_id": "a", "vehicle_id": "b", "track": [{}]}}]
)
def test_a_damaged_track_is_an_error_that_says_where(damage: Mapping[str, Any]) -> None:
    flight = flown()
    with pytest.raises(BadInput, match="given"):
        course_of({**flight.row, **damage}, DRONE, frame=flight.frame, site="hub", temperature_c=20.0)


def test_a_mission_without_a_track_has_no_course() -> None:
    flight = flown()
    assert course_of({**flight.row, "given": None}, DRONE, frame=flight.frame, site="hub", temperature_c=20.0) is None


def test_samples_out_of_order_are_passed_over() -> None:
    flight = flown()
    watch = Watch(flight)
    watch.sees(flight.samples[:500])
    old = moved(flight.samples[10], flight.frame, north_m=5_000.0)
    assert watch.sees([old]) == []

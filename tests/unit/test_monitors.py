"""Monitors, fed with the samples of a real autopilot's flight, and with the same flight gone wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from hardware.profiles import load_profile
from routing.problem import Separation
from telemetry.monitors.conformance import CONTINGENT_S, EXCURSION_S, GROUND_OFF_M, Conformance
from telemetry.monitors.energy import EnergyLeft
from telemetry.monitors.fence import Approved, FenceBreach
from telemetry.monitors.finding import Finding
from telemetry.monitors.link_quality import LinkQuality
from telemetry.monitors.path import PathFollower, PlannedPath
from telemetry.monitors.stale import LIMIT_S, StaleData
from telemetry.monitors.wind import WindLimit, limit_mps
from telemetry.monitors.zones import ClosedAirspace, ZoneBreach
from telemetry.sample import Sample
from tests.flown import EVERY_S, LATE, MASS_KG, Flown, changed, flown, found, moved
from tests.problems import DRONE, ROBOT

APART = Separation()
SOON = timedelta(seconds=2)


def follower(flight: Flown) -> PathFollower:
    path = PlannedPath.of_track(flight.given.track, flight.frame)
    assert path is not None
    return PathFollower(path, apart=APART)


def conformance(flight: Flown) -> Conformance:
    return Conformance(follower(flight), apart=APART)


def energy(flight: Flown) -> tuple[Conformance, EnergyLeft]:
    follows = follower(flight)
    stops = [(leg.leave, MASS_KG) for leg in flight.trip.legs if leg.order_ids]
    return Conformance(follows, apart=APART), EnergyLeft(DRONE, follows, site="hub", stops=stops)


# -- a normal flight --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wind_mps", [0.0, 6.0])
def test_a_whole_flight_as_planned_shows_nothing_to_any_monitor(wind_mps: float) -> None:
    flight = flown(wind_mps)
    conforms, left = energy(flight)
    assert found(left, flight.samples, first=[conforms]) == []
    for monitor in (
        conformance(flight),
        ZoneBreach(ClosedAirspace(flight.region), DRONE),
        FenceBreach(Approved(flight.region), DRONE),
        LinkQuality(),
        WindLimit(10.0),
    ):
        assert found(monitor, flight.samples) == []


# -- conformance to the plan in space and time --------------------------------------------------------------


def test_an_excursion_of_ten_seconds_is_allowed_and_a_longer_one_is_found_with_its_figures() -> None:
    flight = flown()
    aside = changed(flight.samples, flight.cruising(), lambda s: moved(s, flight.frame, north_m=30.0), seconds=10.0)
    assert found(conformance(flight), aside) == []

    begin = flight.samples[flight.cruising()].t
    aside = changed(flight.samples, flight.cruising(), lambda s: moved(s, flight.frame, north_m=30.0), seconds=30.0)
    seen = found(conformance(flight), aside)

    at, finding = seen[0]
    assert finding.code == "off_plan"
    assert timedelta(seconds=EXCURSION_S) < at - begin < timedelta(seconds=EXCURSION_S) + SOON
    assert finding.since == begin
    assert 0.0 < float(finding.values["outside_m"]) < 30.0
    assert not any(finding.worse for _, finding in seen)
    during = [at for at, finding in seen if finding.since == begin]
    assert during[-1] < begin + timedelta(seconds=30) + SOON


def test_one_that_is_outside_for_a_minute_is_contingent() -> None:
    flight = flown()
    begin = flight.samples[flight.cruising()].t
    aside = changed(flight.samples, flight.cruising(), lambda s: moved(s, flight.frame, north_m=20.0))
    worse = [at for at, finding in found(conformance(flight), aside) if finding.worse]
    assert timedelta(seconds=CONTINGENT_S) < worse[0] - begin < timedelta(seconds=CONTINGENT_S) + SOON


def test_one_that_goes_where_others_may_be_is_found_at_once() -> None:
    flight = flown()
    begin = flight.samples[flight.cruising()].t
    away = changed(flight.samples, flight.cruising(), lambda s: moved(s, flight.frame, north_m=200.0))
    assert found(conformance(flight), away)[0][0] - begin < SOON


def test_one_at_the_wrong_height_is_off_its_plan() -> None:
    flight = flown()
    high = changed(flight.samples, flight.cruising(), lambda s: moved(s, flight.frame, up_m=12.0))
    assert found(conformance(flight), high)[0][1].code == "off_plan"


def test_one_that_hangs_behind_is_late_and_not_beside_its_path() -> None:
    flight = flown()
    hung = flight.cruising()
    stands = [
        replace(flight.samples[hung], t=flight.samples[hung].t + timedelta(seconds=i * EVERY_S)) for i in range(300)
    ]
    late = [replace(sample, t=sample.t + timedelta(seconds=60)) for sample in flight.samples[hung:]]
    seen = found(conformance(flight), [*flight.samples[:hung], *stands, *late])
    at, finding = seen[0]
    assert at - flight.samples[hung].t < timedelta(seconds=APART.late_s + EXCURSION_S) + SOON
    assert finding.values["outside_m"] == 0.0
    assert float(finding.values["late_s"]) > APART.late_s
    assert any(finding.worse for _, finding in seen)


def test_short_excursions_that_add_up_to_more_than_the_share_are_found() -> None:
    flight = flown()
    begin, frame = flight.samples[flight.cruising()].t, flight.frame

    def often(sample: Sample) -> Sample:
        return moved(sample, frame, north_m=25.0) if int((sample.t - begin).total_seconds()) % 20 < 6 else sample

    seen = found(conformance(flight), changed(flight.samples, flight.cruising(), often, seconds=100.0))
    assert seen
    assert float(seen[0][1].values["share_pct"]) < 95.0
    assert max(float(finding.values["excursions_h"]) for _, finding in seen) == 5
    # Nobody can make up for it: it is told while it goes on, and not for the rest of the flight.
    assert seen[-1][0] < begin + timedelta(seconds=140)


def test_the_true_departure_counts_and_not_the_planned_one() -> None:
    flight = flown()
    much_later = [replace(sample, t=sample.t + timedelta(minutes=25)) for sample in flight.samples]
    assert found(conformance(flight), much_later) == []


def test_one_that_a_new_gateway_meets_on_its_way_conforms_from_there() -> None:
    flight = flown()
    path = PlannedPath.of_track(flight.given.track, flight.frame)
    assert path is not None
    for part in (0.3, 0.7):
        follows = PathFollower(path, apart=APART, began=flight.trip.depart + LATE)
        assert found(Conformance(follows, apart=APART), flight.samples[int(part * len(flight.samples)) :]) == []


def test_one_that_is_held_and_goes_on_is_on_its_plan_again_as_much_later() -> None:
    flight = flown()
    conforms, held = conformance(flight), flight.cruising()
    assert found(conforms, flight.samples[:held]) == []
    conforms.follows(False)
    stands = [replace(flight.samples[held], t=flight.samples[held].t + timedelta(seconds=i)) for i in range(120)]
    assert found(conforms, stands) == []
    conforms.follows(True)
    later = [replace(sample, t=sample.t + timedelta(seconds=120)) for sample in flight.samples[held:]]
    assert found(conforms, later) == []
    assert conforms.conforms


@pytest.mark.parametrize("told", [True, False])
def test_one_that_goes_on_early_from_a_stop_where_it_was_to_wait_is_on_its_plan_if_that_is_known(told: bool) -> None:
    flight, wait = flown(), timedelta(seconds=60)
    leave = next(leg.leave for leg in flight.trip.legs if leg.order_ids)
    track = [replace(p, at=p.at + wait) if p.at >= leave else p for p in flight.given.track]
    path = PlannedPath.of_track(track, flight.frame)
    assert path is not None
    conforms = Conformance(PathFollower(path, apart=APART), apart=APART)
    before = [sample for sample in flight.samples if sample.t < leave + LATE]

    assert found(conforms, before) == []
    if told:
        conforms.go_on(leave + LATE, (leave + wait - path.start).total_seconds())

    early = found(conforms, flight.samples[len(before) :])
    assert ({finding.code for _, finding in early} == set()) == told


def test_a_robot_keeps_to_its_way_and_not_to_its_time() -> None:
    flight = flown()
    frame = flight.frame
    way = [frame.to_global(east, 0.0) for east in (0.0, 100.0, 200.0)]
    path = PlannedPath.of_way(way, frame, start=flight.trip.depart, mps=1.5)
    assert path is not None
    drives = Conformance(PathFollower(path, apart=APART, timed=False), apart=APART, drone=False)

    def at(seconds: float, east_m: float, north_m: float) -> Sample:
        place = frame.to_global(east_m, north_m)
        t = flight.trip.depart + timedelta(seconds=seconds)
        return Sample("robot-1", t, 0, 0, lat_e7=round(place.lat * 1e7), lon_e7=round(place.lon * 1e7))

    assert found(drives, [at(s, 0.3 * s, GROUND_OFF_M - 1.0) for s in range(300)]) == []
    seen = found(drives, [at(s, 90.0, GROUND_OFF_M + 3.0) for s in range(300, 330)])
    assert seen[0][0] - flight.trip.depart < timedelta(seconds=300 + EXCURSION_S) + SOON
    assert seen[0][1].values["outside_m"] == pytest.approx(GROUND_OFF_M + 3.0, abs=0.2)


# -- energy --------------------------------------------------------------------------------------------------


def test_what_the_way_home_takes_is_known_to_a_few_percent_all_the_way() -> None:
    flight = flown()
    conforms, left = energy(flight)
    expected = []
    for sample in flight.samples:
        conforms.take(sample)
        left.take(sample)
        expected.append(left.left_wh - left.needed_wh)
    at_landing = expected[-1]
    assert np.abs(np.array(expected) - at_landing).max() < 0.05 * DRONE.battery_wh


def test_a_battery_that_does_not_last_for_the_way_is_found_long_before_it_is_at_its_reserve() -> None:
    flight = flown()
    conforms, left = energy(flight)
    aged = [replace(s, battery_pct_x10=max(0, (s.battery_pct_x10 or 0) - 650)) for s in flight.samples]
    seen = found(left, aged, first=[conforms])
    at, finding = seen[0]
    reserve_at = next(s.t for s in aged if (s.battery_pct_x10 or 0) < 1000 * DRONE.reserve_fraction)
    assert at < reserve_at - timedelta(minutes=1)
    assert finding.code == "energy"
    assert finding.values["site"] == "hub"
    assert float(finding.values["needed_wh"]) > float(finding.values["left_wh"])
    air = flight.airborne()[0].t + SOON, flight.airborne()[-1].t - SOON
    assert all(finding.worse for at, finding in seen if air[0] < at < air[1])


def test_a_sudden_loss_of_charge_is_found_within_two_seconds() -> None:
    flight = flown()
    conforms, left = energy(flight)
    middle = flight.cruising()
    lost = changed(flight.samples, middle, lambda s: replace(s, battery_pct_x10=250))
    assert found(left, lost, first=[conforms])[0][0] - flight.samples[middle].t <= SOON


def test_headwind_is_reckoned_with() -> None:
    flight = flown()
    needed = []
    for wind_cms in (0, 1_400):
        conforms, left = energy(flight)
        gusty = [replace(s, wind_n_cms=wind_cms, wind_e_cms=0) for s in flight.samples[: flight.cruising()]]
        found(left, gusty, first=[conforms])
        needed.append(left.needed_wh)
    assert needed[1] > 1.05 * needed[0]


def test_a_type_that_flies_straight_home_needs_what_that_takes() -> None:
    flight = flown()
    straight = replace(DRONE, rtl_type=0)
    follows = follower(flight)
    conforms, left = Conformance(follows, apart=APART), EnergyLeft(straight, follows, site="hub", payload_kg=MASS_KG)
    found(left, flight.samples[: flight.cruising()], first=[conforms])
    on_mission = left.needed_wh
    left.heads_home = True
    found(left, flight.samples[flight.cruising() : flight.cruising() + 10], first=[conforms])
    reserve = straight.battery_wh * straight.reserve_fraction
    assert reserve < left.needed_wh < on_mission


def test_a_drone_may_hold_for_as_long_as_there_is_more_than_its_way_takes() -> None:
    flight = flown()
    conforms, left = energy(flight)
    assert left.hold_s is None
    found(left, flight.samples[: flight.cruising()], first=[conforms])
    spare_wh = left.left_wh - left.needed_wh
    assert left.hold_s is not None
    assert left.hold_s * DRONE.cruise_power_w / 3600 == pytest.approx(spare_wh, rel=0.25)

    drained = [replace(s, battery_pct_x10=260) for s in flight.samples[flight.cruising() : flight.cruising() + 20]]
    found(left, drained, first=[conforms])
    assert left.hold_s == 0.0


# -- link, wind, data that stands still ----------------------------------------------------------------------


def test_a_link_that_loses_messages_is_weak_until_it_is_good_again() -> None:
    flight = flown()
    begin = flight.cruising()

    def weak(pct: float) -> list[tuple[datetime, Finding]]:
        poor = changed(flight.samples, begin, lambda s: replace(s, link_pct_x10=round(pct * 10)), seconds=20.0)
        return found(LinkQuality(), poor)

    seen = weak(60.0)
    assert seen[0][0] - flight.samples[begin].t < SOON
    assert seen[0][1] == Finding("link_weak", True, since=flight.samples[begin].t, values={"arrived_pct": 60.0})
    assert weak(85.0) == []
    flutters = [replace(s, link_pct_x10=700 + 150 * (i % 2)) for i, s in enumerate(flight.samples[:100])]
    assert len(found(LinkQuality(), flutters)) == 100


def test_wind_beyond_the_limit_of_the_type_is_found_until_it_is_well_below() -> None:
    flight = flown()
    limit = limit_mps(DRONE)
    assert limit == 10.0
    assert limit_mps(ROBOT) is None
    assert limit_mps(replace(DRONE, weather=load_profile("sidewalk_robot").weather)) == 10.0
    begin = flight.cruising()

    def blows(mps: float, *, then_mps: float = 5.0) -> list[tuple[datetime, Finding]]:
        calms = [replace(s, wind_n_cms=round(then_mps * 100), wind_e_cms=0) for s in flight.samples]
        windy = changed(calms, begin, lambda s: replace(s, wind_n_cms=0, wind_e_cms=round(mps * 100)), seconds=30.0)
        return found(WindLimit(limit), windy)

    seen = blows(14.0)
    assert seen[0][0] == flight.samples[begin].t
    assert seen[0][1].values == {"wind_mps": 14.0, "limit_mps": 10.0}
    assert seen[-1][0] < flight.samples[begin].t + timedelta(seconds=30)
    assert blows(9.9) == []
    assert len(blows(14.0, then_mps=9.5)) > len(seen)
    on_ground = [replace(s, on_ground=True, wind_n_cms=2_000, wind_e_cms=0) for s in flight.samples[:50]]
    assert found(WindLimit(limit), on_ground) == []


def watches(samples: list[Sample]) -> list[tuple[datetime, Finding]]:
    monitor = StaleData()
    monitor.begin(samples[0].t)
    return found(monitor, samples)


def test_a_position_that_stands_still_while_it_says_that_it_moves_is_stale() -> None:
    flight = flown()
    samples = flight.airborne()
    assert watches(samples) == []
    frozen = flight.samples[flight.cruising()]
    stuck = changed(
        samples,
        samples.index(frozen),
        lambda s: replace(s, lat_e7=frozen.lat_e7, lon_e7=frozen.lon_e7, vel_n_cms=900, vel_e_cms=0),
        seconds=30.0,
    )
    at, finding = watches(stuck)[0]
    assert timedelta(seconds=LIMIT_S) < at - frozen.t < timedelta(seconds=LIMIT_S) + SOON
    assert finding.key == "position"


def test_positions_that_do_not_come_any_more_and_a_clock_that_stands_are_stale() -> None:
    flight = flown()
    samples = flight.airborne()
    begin = flight.cruising()
    blind = changed(samples, begin, lambda s: replace(s, lat_e7=None, lon_e7=None))
    assert watches(blind)[0][1].values["what"] == "position"
    stopped = changed(samples, begin, lambda s: replace(s, vehicle_ms=samples[begin].vehicle_ms))
    assert watches(stopped)[0][1].key == "clock"
    monitor = StaleData()
    monitor.begin(samples[0].t)
    for sample in samples[:50]:
        monitor.take(sample)
    assert [f.key for f in monitor.findings(samples[49].t + timedelta(seconds=LIMIT_S + 1))] == ["position"]
    monitor.end()
    assert monitor.findings(samples[49].t + timedelta(hours=1)) == []

"""What counts as progress, and above all what does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.link import Activity, Wait, WaitFor
from hardware.mavlink.messages import MissionCurrent
from hardware.mavlink.progress import ProgressTracker
from hardware.mavlink.translate import translate
from routing.geo import LocalFrame, Position
from tests.mavlink_kit import HOME, delivery, gated

PLAN = translate(delivery(east_m=200))
GRIPPER = PLAN.release_items[2]
LAST = PLAN.last
DROP = PLAN.mission.steps[2].position
FAR = LocalFrame(HOME).to_global(-400, 0)
ON_THE_WAY = LocalFrame(HOME).to_global(100, 0)


class Flight:
    """Tells a tracker what a vehicle would: each step lasts a second of the vehicle's time."""

    def __init__(self, *, fresh: bool = True, returns_along_mission: bool = False) -> None:
        self.tracker = ProgressTracker(returns_along_mission=returns_along_mission)
        self.ms = 10_000
        self.at = HOME
        self.activity, self.armed, self.on_ground = Activity.IDLE, False, True
        self.tracker.on_position(self.at, self.ms)
        self.tracker.carry(PLAN, fresh=fresh)

    def now(
        self,
        item: int | None = None,
        *,
        at: Position | None = None,
        doing: Activity | None = None,
        after_ms: int = 1000,
    ) -> Flight:
        self.ms += after_ms
        self.at = at or self.at
        if doing is not None:
            self.activity = doing
            self.armed = doing is not Activity.IDLE
            self.on_ground = doing is Activity.IDLE
        self.tracker.on_position(self.at, self.ms)
        self.tracker.on_state(activity=self.activity, armed=self.armed, on_ground=self.on_ground)
        if item is not None:
            self.tracker.on_current(MissionCurrent(item, len(PLAN.items), None))
            self.tracker.on_state(activity=self.activity, armed=self.armed, on_ground=self.on_ground)
        return self

    def beats(self, doing: Activity) -> Flight:
        """The heartbeat that tells what the vehicle does."""
        self.now(doing=doing).tracker.on_heartbeat()
        return self

    def outbound(self) -> Flight:
        return self.now(0, doing=Activity.MISSION).now(2, at=ON_THE_WAY)

    def released(self) -> Flight:
        return self.outbound().now(GRIPPER - 1, at=DROP).now(GRIPPER + 1)

    @property
    def releases(self) -> list[tuple[int, str]]:
        return [(release.step, release.evidence) for release in self.tracker.progress().releases]

    @property
    def finished(self) -> bool:
        return self.tracker.progress().finished


def test_a_mission_only_uploaded_has_no_progress() -> None:
    flight = Flight().now(0).now(0)

    progress = flight.tracker.progress()

    assert (progress.mission_id, progress.step, progress.releases, progress.finished) == ("m-1", 0, (), False)
    assert not flight.tracker.flown


def test_the_step_is_that_of_the_current_item() -> None:
    flight = Flight()

    steps = [flight.now(item, doing=Activity.MISSION).tracker.progress().step for item in range(LAST + 1)]

    assert steps == list(PLAN.step_of)


def test_flying_past_the_release_at_its_place_implies_it() -> None:
    assert Flight().released().releases == [(2, "inferred")]


def test_coming_to_the_release_is_not_yet_a_release() -> None:
    assert Flight().outbound().now(GRIPPER - 1, at=DROP).now(GRIPPER).releases == []


def test_an_item_reached_implies_it_as_well_as_the_current_item() -> None:
    flight = Flight().outbound().now(GRIPPER, at=DROP)

    flight.tracker.on_reached(GRIPPER)

    assert flight.releases == [(2, "inferred")]


def test_the_vehicles_own_acknowledgement_is_better_evidence_whichever_comes_first() -> None:
    before = Flight().outbound().now(GRIPPER - 1, at=DROP).now(GRIPPER)
    before.tracker.on_release_acknowledged()
    after = Flight().released()
    after.tracker.on_release_acknowledged()

    assert before.releases == after.releases == [(2, "sensor")]
    assert before.now(GRIPPER + 1).releases == [(2, "sensor")]


def test_an_acknowledgement_before_the_flight_is_a_test_of_the_gripper_on_the_ground() -> None:
    flight = Flight().now(0)

    flight.tracker.on_release_acknowledged()

    assert flight.releases == []


def test_an_acknowledgement_far_before_the_release_belongs_to_none() -> None:
    flight = Flight().now(0, doing=Activity.MISSION)

    flight.tracker.on_release_acknowledged()

    assert flight.releases == []


def test_a_skipped_release_is_not_a_release() -> None:
    """Somebody sets the current item beyond it; the vehicle was seen all the while, and never there."""
    assert Flight().outbound().now(GRIPPER + 2, at=FAR).now(LAST, at=HOME).releases == []


def test_what_was_passed_out_of_sight_counts_as_released() -> None:
    flight = Flight().outbound().now(GRIPPER + 2, after_ms=40_000)

    assert flight.releases == [(2, "inferred")]


def test_being_out_of_sight_earlier_does_not_excuse_a_skip_seen_later() -> None:
    flight = Flight().now(0, doing=Activity.MISSION).now(0, after_ms=40_000).now(1)

    assert flight.now(GRIPPER + 2, at=FAR).releases == []


def test_a_return_home_releases_nothing_though_it_moves_the_current_item() -> None:
    """RTL along the mission path (RTL_TYPE 2) jumps to the landing; the drop point lies on the way."""
    flight = Flight().outbound().now(2, at=DROP, doing=Activity.RETURN).now(LAST).now(at=HOME, doing=Activity.IDLE)

    assert flight.releases == []
    assert flight.finished


def test_a_release_once_known_stays_known() -> None:
    flight = Flight().released().now(0).now(2, doing=Activity.RETURN, at=FAR)

    assert flight.releases == [(2, "inferred")]


def test_landing_at_the_end_disarmed_finishes() -> None:
    flight = Flight().released().now(LAST, at=HOME)
    assert not flight.finished

    flight.on_ground = True
    assert not flight.now().finished

    assert flight.now(doing=Activity.IDLE).finished
    assert flight.now(0).finished, "the vehicle going back to its first item does not undo a landing"


def test_landing_elsewhere_on_the_way_does_not_finish() -> None:
    assert not Flight().outbound().now(2, at=FAR, doing=Activity.IDLE).finished


def test_re_attached_after_the_landing_the_mission_is_finished_and_the_release_inferred() -> None:
    flight = Flight(fresh=False).now(LAST)

    assert flight.finished
    assert flight.releases == [(2, "inferred")]


def test_re_attached_to_a_mission_not_yet_begun_it_is_not_finished() -> None:
    flight = Flight(fresh=False).now(0).now(0)

    assert not flight.finished
    assert flight.releases == []
    assert not flight.tracker.flown


def test_re_attached_after_an_early_return_home_it_is_finished_without_the_release() -> None:
    flight = Flight(fresh=False).now(2)

    assert flight.finished
    assert flight.releases == []


def test_re_attached_in_flight_before_the_release_it_goes_on_as_usual() -> None:
    flight = Flight(fresh=False).now(2, at=ON_THE_WAY, doing=Activity.MISSION)
    assert flight.releases == []

    assert flight.now(GRIPPER - 1, at=DROP).now(GRIPPER + 1).releases == [(2, "inferred")]


def test_a_leftover_of_the_last_mission_is_no_progress_in_a_new_one() -> None:
    flight = Flight().released().now(LAST, at=HOME).now(doing=Activity.IDLE)

    flight.tracker.drop()
    flight.tracker.carry(PLAN, fresh=True)
    flight.tracker.on_reached(LAST)
    flight.now(0)
    flight.tracker.on_reached(LAST)

    assert flight.releases == []
    assert not flight.finished


def test_recognising_the_same_mission_again_keeps_what_is_known() -> None:
    flight = Flight().released()

    flight.tracker.carry(PLAN, fresh=False)

    assert flight.releases == [(2, "inferred")]


@pytest.mark.parametrize(
    "other", [MissionCurrent(2, 99, None), MissionCurrent(2, len(PLAN.items), 77)], ids=["length", "checksum"]
)
def test_another_mission_on_the_vehicle_ends_the_progress(other: MissionCurrent) -> None:
    flight = Flight()
    flight.tracker.on_current(MissionCurrent(0, len(PLAN.items), 76))

    assert not flight.tracker.on_current(other)
    assert flight.tracker.progress().mission_id is None


def returning_along_its_mission(*, fresh: bool = True) -> Flight:
    """RTL_TYPE 2, as the profiles have it: a return passes the release, and what it says moves on as on a mission."""
    return Flight(fresh=fresh, returns_along_mission=True)


def test_a_release_is_inferred_when_the_next_heartbeat_still_tells_of_the_mission() -> None:
    flight = returning_along_its_mission().released()
    assert flight.releases == []

    assert flight.beats(Activity.MISSION).releases == [(2, "inferred")]


def test_a_return_from_over_the_drop_is_told_after_the_item_has_moved_and_is_no_release() -> None:
    """Measured: MISSION_CURRENT 8 came 0.3 s before the heartbeat with AUTO.RTL."""
    flight = returning_along_its_mission().outbound().now(GRIPPER - 1, at=DROP).now(GRIPPER + 2)

    assert flight.beats(Activity.RETURN).releases == []
    assert flight.now(LAST, at=HOME).beats(Activity.RETURN).releases == []


def test_what_a_return_left_out_is_not_released_by_taking_the_mission_up_again_behind_it() -> None:
    flight = returning_along_its_mission().outbound().beats(Activity.RETURN).now(GRIPPER + 2, at=DROP)

    flight.beats(Activity.MISSION).now(GRIPPER + 3).beats(Activity.MISSION)

    assert flight.releases == []


def test_what_was_left_out_may_be_flown_to_again() -> None:
    flight = returning_along_its_mission().outbound().beats(Activity.RETURN).now(GRIPPER + 2, at=DROP)

    flight.beats(Activity.MISSION).now(1, at=ON_THE_WAY).now(GRIPPER - 1, at=DROP).now(GRIPPER + 1)

    assert flight.beats(Activity.MISSION).releases == [(2, "inferred")]


def test_found_on_its_way_home_nobody_claims_that_it_released() -> None:
    """It may have lost its link before the drop or after it; the ground crew looks."""
    flight = returning_along_its_mission(fresh=False).now(GRIPPER + 2, at=FAR, doing=Activity.RETURN)

    assert flight.beats(Activity.RETURN).releases == []


def test_found_landed_it_is_finished_and_nobody_claims_that_it_released() -> None:
    flight = returning_along_its_mission(fresh=False).now(LAST).beats(Activity.IDLE)

    assert flight.finished
    assert flight.releases == []


def test_found_on_its_mission_beyond_the_drop_it_has_released() -> None:
    """A return ends its mission mode: on the mission it has been all the while."""
    flight = returning_along_its_mission(fresh=False).now(GRIPPER + 2, at=FAR, doing=Activity.MISSION)

    assert flight.beats(Activity.MISSION).releases == [(2, "inferred")]


def test_the_vehicles_own_acknowledgement_needs_no_heartbeat() -> None:
    flight = returning_along_its_mission().outbound().now(GRIPPER - 1, at=DROP).now(GRIPPER)

    flight.tracker.on_release_acknowledged()

    assert flight.releases == [(2, "sensor")]


ANYTHING: st.SearchStrategy[Callable[[Flight], object]] = st.one_of(
    st.integers(0, LAST).map(lambda item: lambda flight: flight.now(item)),
    st.sampled_from([HOME, DROP, FAR, ON_THE_WAY]).map(lambda at: lambda flight: flight.now(at=at)),
    st.sampled_from([Activity.MISSION, Activity.RETURN, Activity.HOLD, Activity.IDLE, Activity.LAND]).map(
        lambda doing: lambda flight: flight.now(doing=doing)
    ),
    st.integers(0, LAST).map(lambda item: lambda flight: flight.tracker.on_reached(item)),
    st.just(lambda flight: flight.tracker.on_release_acknowledged()),
    st.just(lambda flight: flight.tracker.on_heartbeat()),
    st.integers(0, 60_000).map(lambda gap: lambda flight: flight.now(after_ms=gap)),
)


@given(st.lists(ANYTHING, max_size=30), st.booleans(), st.booleans())
def test_whatever_comes_releases_only_grow_and_an_unflown_mission_is_never_finished(
    events: list[Callable[[Flight], object]], fresh: bool, along: bool
) -> None:
    flight = Flight(fresh=fresh, returns_along_mission=along)
    known: set[int] = set()
    for event in events:
        event(flight)
        progress = flight.tracker.progress()
        steps = [release.step for release in progress.releases]
        assert set(steps) >= known
        assert len(steps) == len(set(steps))
        assert flight.tracker.flown or not (progress.finished or steps)
        known = set(steps)


GATED = translate(gated(delivery(east_m=200), 30.0))
GATE = GATED.gates[2]
ABOVE = Position(DROP.lat, DROP.lon, HOME.alt_amsl_m + 25.0)
NOON = datetime(2026, 5, 1, 3, tzinfo=UTC)


class GatedFlight(Flight):
    """The same with a gate above the drop point, in domain time that goes as fast as the vehicle's."""

    def __init__(self, *, fresh: bool = True) -> None:
        super().__init__(fresh=fresh)
        self.tracker.carry(GATED, fresh=fresh)

    def now(
        self,
        item: int | None = None,
        *,
        at: Position | None = None,
        doing: Activity | None = None,
        after_ms: int = 1000,
    ) -> Flight:
        super().now(None, at=at, doing=doing, after_ms=after_ms)
        if item is not None:
            self.tracker.on_current(MissionCurrent(item, len(GATED.items), None))
        self.tracker.on_position(self.at, self.ms, NOON + timedelta(milliseconds=self.ms))
        return self

    def waiting(self) -> Flight:
        return self.now(0, doing=Activity.MISSION).now(2, at=ON_THE_WAY).now(GATE.hover, at=ABOVE)


def test_it_waits_at_the_gate_from_when_it_hovers_there_until_its_time_is_over() -> None:
    flight = GatedFlight()
    flight.now(0, doing=Activity.MISSION).now(GATE.hover, at=ON_THE_WAY)
    assert flight.tracker.wait is None, "on its way there"

    flight.now(at=ABOVE)
    begun = NOON + timedelta(milliseconds=flight.ms)
    flight.now().now()

    assert flight.tracker.wait == Wait(WaitFor.DROP_CLEAR, 2, begun, until=begun + timedelta(seconds=30))
    assert flight.tracker.wait_left_s == pytest.approx(28.0)
    assert flight.tracker.progress().step == 2
    assert flight.now(GATE.after).tracker.wait is None


def test_it_waits_for_nobody_while_it_is_held_or_lower_than_the_gate() -> None:
    assert GatedFlight().waiting().now(doing=Activity.HOLD).tracker.wait is None
    low = GatedFlight().now(0, doing=Activity.MISSION).now(GATE.hover, at=Position(DROP.lat, DROP.lon, 101.0))
    assert low.tracker.wait is None


def test_a_release_passed_by_a_jump_is_none_although_it_was_right_above() -> None:
    assert GatedFlight().waiting().now(GATE.after).now(LAST, at=HOME).releases == []


def test_a_release_that_it_was_let_through_to_is_inferred() -> None:
    flight = GatedFlight().waiting().now(GATE.down).now(GATED.release_items[2], at=DROP)

    assert flight.now(GATED.release_items[2] + 1).releases == [(2, "inferred")]


def test_nobody_knows_whether_it_was_let_through_out_of_sight() -> None:
    flight = GatedFlight().waiting().now(GATE.after, after_ms=60_000)

    assert flight.releases == []


def test_an_acknowledgement_after_a_jump_belongs_to_no_release() -> None:
    flight = GatedFlight().waiting().now(GATE.after)

    flight.tracker.on_release_acknowledged()

    assert flight.releases == []


def test_a_release_told_by_hand_belongs_to_its_step_whatever_the_current_item_is() -> None:
    flight = GatedFlight().waiting()
    with flight.tracker.by_hand(2):
        flight.tracker.on_release_acknowledged()
        assert flight.releases == [], "not before it is known that the answer was to that"
        flight.tracker.on_told(2, "told")

    assert flight.releases == [(2, "sensor")]
    assert flight.now(GATE.after).releases == [(2, "sensor")]

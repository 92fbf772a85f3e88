"""Alarms over time: findings of one source, and which alarms stand after each look at it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fleet import alarm_states, alarm_table, alarms
from fleet.alarm_states import START as NORMAL
from fleet.alarm_states import TRANSITIONS, Event, State
from fleet.alarm_table import TABLE, Urgency
from fleet.alarms import Alarm, AlarmBook, Change, Occurrence
from telemetry.monitors.finding import Finding, Value

START = datetime(2026, 4, 1, tzinfo=UTC)
LOOK_S = 0.2


def found(code: str, *, key: str = "", since: datetime | None = None, worse: bool = False, **values: Value) -> Finding:
    return Finding(code, True, since=since, key=key, values=values, worse=worse)


def unknown(code: str) -> Finding:
    return Finding(code, None)


class Sequence:
    """One source over time: each ``shows`` is what is found for a while, looked at five times a wall second."""

    def __init__(self, *, speed: float = 1.0, book: AlarmBook | None = None) -> None:
        self.book = book or AlarmBook()
        self.now = START
        self.speed = speed
        self.alarms: tuple[Alarm, ...] = ()
        self.raised_at: dict[str, datetime] = {}

    def shows(self, *findings: Finding, seconds: float) -> list[str]:
        """Show the same for some domain seconds; return the codes of the alarms that stand at the end."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.now += timedelta(seconds=LOOK_S * self.speed)
            self.alarms = self.book.take("vehicle", "drone-1", findings, at=self.now, speed=self.speed)
            for alarm in self.alarms:
                self.raised_at.setdefault(alarm.code, self.now)
        return [alarm.code for alarm in self.alarms]

    @property
    def states(self) -> list[State]:
        return [alarm.state for alarm in self.alarms]

    @property
    def events(self) -> list[str]:
        return [f"{change.event} {change.alarm.code}" for change in self.book.changes]

    def heeds(self, state: State, *, shelved_until: datetime | None = None) -> None:
        """Have somebody move the one alarm in the database, and the book learn of it."""
        (alarm,) = self.book.open()
        moved = replace(alarm, place=(state, alarm.standing), shelved_until=shelved_until)
        self.book.heed(alarm.alarm_id, moved)


@pytest.mark.parametrize("speed", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("code", [row.code for row in TABLE.values() if row.detection_s <= 2.0])
def test_what_a_sample_shows_is_raised_within_two_wall_seconds(code: str, speed: float) -> None:
    vehicle = Sequence(speed=speed)
    vehicle.shows(seconds=5 * speed)
    first = vehicle.now

    assert vehicle.shows(found(code), seconds=2.0 * speed) == [code]

    assert (vehicle.raised_at[code] - first).total_seconds() / speed <= 2.0


def test_what_lasts_for_a_moment_is_no_alarm_however_often_it_comes() -> None:
    vehicle = Sequence()
    for _ in range(50):
        vehicle.shows(found("battery"), seconds=1)
        vehicle.shows(seconds=5)
    assert vehicle.events == []


def test_a_condition_that_comes_and_goes_makes_one_alarm() -> None:
    vehicle = Sequence()
    for _ in range(100):
        vehicle.shows(found("link_weak", arrived_pct=60.0), seconds=3)
        vehicle.shows(seconds=5)
    assert vehicle.events == ["raise link_weak"]


def test_one_that_comes_back_again_and_again_stays_longer_each_time() -> None:
    vehicle = Sequence()
    for _ in range(60):
        vehicle.shows(found("wind", wind_mps=15.0, limit_mps=12.0), seconds=5)
        vehicle.heeds(State.ACKNOWLEDGED)
        vehicle.shows(seconds=45)
    assert vehicle.events.count("raise wind") <= 3


def test_an_alarm_is_unacknowledged_until_somebody_says_so_and_over_when_its_condition_is() -> None:
    vehicle = Sequence()
    vehicle.shows(found("battery"), seconds=3)
    assert vehicle.states == [State.UNACKNOWLEDGED]

    vehicle.heeds(State.ACKNOWLEDGED)
    vehicle.shows(found("battery"), seconds=60)
    assert vehicle.states == [State.ACKNOWLEDGED]

    assert vehicle.shows(seconds=12) == []
    assert vehicle.book.open() == []
    assert vehicle.events == ["raise battery", "clear battery"]


def test_one_that_is_over_before_anybody_acknowledged_it_stays_open_and_comes_back_as_the_same() -> None:
    vehicle = Sequence()
    vehicle.shows(found("battery"), seconds=3)
    assert vehicle.shows(seconds=12) == []
    (over,) = vehicle.book.open()
    assert over.place == (State.RETURNED, False)

    assert vehicle.shows(found("battery"), seconds=3) == ["battery"]

    (again,) = vehicle.book.open()
    assert (again.alarm_id, again.place) == (over.alarm_id, (State.UNACKNOWLEDGED, True))


def test_a_shelved_alarm_comes_back_unacknowledged_when_its_time_is_over_and_it_still_stands() -> None:
    vehicle = Sequence()
    vehicle.shows(found("stuck"), seconds=3)
    vehicle.heeds(State.SHELVED, shelved_until=vehicle.now + timedelta(minutes=5))
    vehicle.shows(found("stuck"), seconds=299)
    assert vehicle.states == [State.SHELVED]
    vehicle.shows(found("stuck"), seconds=2)
    assert vehicle.states == [State.UNACKNOWLEDGED]


def test_a_shelved_alarm_that_is_over_comes_back_on_the_shelf_and_is_closed_at_the_end_of_its_time() -> None:
    vehicle = Sequence()
    vehicle.shows(found("stuck"), seconds=3)
    vehicle.heeds(State.SHELVED, shelved_until=vehicle.now + timedelta(minutes=5))
    assert vehicle.shows(seconds=20) == []
    vehicle.shows(found("stuck"), seconds=20)
    assert vehicle.states == [State.SHELVED]
    vehicle.shows(seconds=300)
    assert vehicle.book.open() == []


def test_one_that_becomes_worse_sounds_anew_off_the_shelf_and_does_not_flicker_back() -> None:
    vehicle = Sequence()
    vehicle.shows(found("off_plan", outside_m=30.0), seconds=3)
    vehicle.heeds(State.SHELVED, shelved_until=vehicle.now + timedelta(minutes=60))
    for _ in range(20):
        vehicle.shows(found("off_plan", outside_m=60.0, worse=True), seconds=1)
        vehicle.shows(found("off_plan", outside_m=60.0), seconds=1)
    (alarm,) = vehicle.alarms
    assert (alarm.state, alarm.urgency, alarm.shelved_until) == (State.UNACKNOWLEDGED, Urgency.HIGH, None)
    assert vehicle.events == ["raise off_plan", "worsen off_plan"]


def test_newer_words_are_answered_anew_but_not_every_second() -> None:
    vehicle = Sequence()
    vehicle.shows(found("fault", since=START, text="GPS glitch"), seconds=3)
    vehicle.heeds(State.ACKNOWLEDGED)
    for second in range(60):
        vehicle.shows(found("fault", since=vehicle.now, text=f"word {second}"), seconds=1)
    (alarm,) = vehicle.alarms
    assert alarm.state is State.UNACKNOWLEDGED
    assert alarm.text_en == "The vehicle reports: word 59"
    assert 5 <= vehicle.events.count("renew fault") <= 6


def test_a_link_that_comes_and_goes_is_one_alarm_although_each_silence_is_a_newer_one() -> None:
    vehicle = Sequence()
    for _ in range(60):
        vehicle.shows(found("silent", since=vehicle.now), seconds=3)
        vehicle.shows(seconds=3)
    assert vehicle.events == ["raise silent"]


def test_other_words_after_a_break_are_news() -> None:
    vehicle = Sequence()
    vehicle.shows(found("fault", since=START, text="GPS glitch"), seconds=20)
    vehicle.heeds(State.ACKNOWLEDGED)
    vehicle.shows(seconds=5)
    vehicle.shows(found("fault", since=vehicle.now, text="wind too strong"), seconds=2)
    assert vehicle.states == [State.UNACKNOWLEDGED]


def test_what_cannot_be_told_changes_nothing() -> None:
    vehicle = Sequence()
    assert vehicle.shows(unknown("battery"), seconds=60) == []
    vehicle.shows(found("battery"), seconds=3)
    assert vehicle.shows(unknown("battery"), seconds=600) == ["battery"]


def test_a_silent_vehicle_keeps_its_alarms_and_gets_no_others_but_that() -> None:
    vehicle = Sequence()
    vehicle.shows(found("battery"), seconds=3)
    assert vehicle.shows(found("silent"), found("stale"), found("link_weak"), seconds=120) == ["silent", "battery"]
    # It is heard again: what is over goes, and what holds comes at once.
    assert vehicle.shows(found("too_close", key="drone-2", other="drone-2"), seconds=2) == [
        "silent", "too_close", "battery",
    ]  # fmt: skip
    assert vehicle.shows(seconds=12) == []


def test_conditions_of_one_code_are_told_apart_by_their_key() -> None:
    vehicle = Sequence()
    near = [found("too_close", key=key, other=key, horizontal_m=9.0, vertical_m=2.0) for key in ("b", "c")]
    vehicle.shows(*near, seconds=2)
    assert {alarm.key for alarm in vehicle.alarms} == {"b", "c"}
    vehicle.shows(near[0], seconds=12)
    assert {alarm.key for alarm in vehicle.alarms} == {"b"}


def test_alarms_come_most_urgent_first_and_then_oldest() -> None:
    vehicle = Sequence()
    vehicle.shows(found("fault", text="x"), seconds=3)
    vehicle.shows(found("fault", text="x"), found("manual"), seconds=3)
    both = found("fault", text="x"), found("manual"), found("returns_unasked"), found("battery", worse=True)
    assert vehicle.shows(*both, seconds=3) == ["battery", "manual", "returns_unasked", "fault"]


@pytest.mark.parametrize("speed", [1.0, 50.0])
def test_each_alarm_outlives_its_condition_by_many_snapshots_however_fast_the_clock(speed: float) -> None:
    vehicle = Sequence(speed=speed)
    assert vehicle.shows(found("manual"), seconds=3 * speed) == ["manual"]
    assert vehicle.shows(seconds=4.0 * speed) == ["manual"]
    assert vehicle.shows(seconds=10.0 * speed) == []


def test_another_process_takes_alarms_over_and_raises_none_anew() -> None:
    before = Sequence()
    before.shows(found("fault", since=START, text="GPS glitch"), seconds=3)
    before.heeds(State.ACKNOWLEDGED)

    after = Sequence()
    after.now = before.now + timedelta(seconds=8)
    after.book.adopt(before.book.open())
    # Its monitor has no memory: it takes what it hears first for new.
    after.shows(found("fault", since=after.now, text="GPS glitch"), seconds=60)

    assert after.events == []
    assert after.states == [State.ACKNOWLEDGED]
    assert after.alarms[0].alarm_id == before.book.open()[0].alarm_id
    assert after.shows(seconds=12) == []
    assert after.events == ["clear fault"]


def test_an_alarm_that_the_database_has_lost_is_stored_anew() -> None:
    vehicle = Sequence()
    vehicle.shows(found("manual"), seconds=3)
    (alarm,) = vehicle.book.open()
    vehicle.book.done({change.change_id for change in vehicle.book.changes})
    vehicle.book.stored(alarm.alarm_id, alarm.alarm_id)

    vehicle.book.heed(alarm.alarm_id, None)

    assert vehicle.events == ["raise manual"]
    assert vehicle.book.changes[0].alarm.raised_at == alarm.raised_at


def test_the_book_is_bounded_in_conditions_and_in_changes_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "MAX_PER_SOURCE", 5)
    vehicle = Sequence()
    vehicle.shows(*(found("manual", key=str(i)) for i in range(20)), seconds=3)
    assert len(vehicle.alarms) == 5

    alarm = vehicle.book.open()[0]
    for number in range(alarms.MAX_CHANGES + 3):
        vehicle.book._note(Event.RENEW, replace(alarm, key=str(number)), vehicle.now)
    assert len(vehicle.book.changes) == alarms.MAX_CHANGES
    assert vehicle.book.dropped == 5 + 3
    assert vehicle.book.changes[-1].alarm.key == str(alarms.MAX_CHANGES + 2)


def test_at_the_bound_what_is_over_gives_way_and_nothing_urgent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "MAX_PER_SOURCE", 3)
    vehicle = Sequence()
    for code in ("link_weak", "wind", "stuck"):
        vehicle.shows(found(code), seconds=3)
        vehicle.heeds(State.ACKNOWLEDGED)
        assert vehicle.shows(seconds=60) == []

    standing = [found("manual", key=str(i)) for i in range(4)]
    assert vehicle.shows(*standing, seconds=3) == ["manual"] * 3
    refused = vehicle.book.refused
    assert refused > 0

    urgent = found("too_close", key="drone-2", other="drone-2")
    assert vehicle.shows(*standing[:3], urgent, seconds=3) == ["too_close", *["manual"] * 3]
    assert vehicle.book.refused == refused


def test_what_is_not_followed_is_in_the_log_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "MAX_PER_SOURCE", 1)
    vehicle = Sequence(speed=4.0)
    with structlog.testing.capture_logs() as logged:
        vehicle.shows(found("manual"), found("fault"), seconds=4.0 * 150)
    assert len(logged) == 3


def test_one_whose_storing_was_given_up_is_handed_in_again_as_it_is_now() -> None:
    vehicle = Sequence()
    vehicle.shows(found("manual"), seconds=3)
    vehicle.book.note_lost()
    assert vehicle.events == ["raise manual"]
    vehicle.book.changes.clear()

    vehicle.book.note_lost()
    assert vehicle.events == ["raise manual"]

    vehicle.shows(seconds=30)
    vehicle.book.changes.clear()
    over_at = vehicle.now
    vehicle.shows(seconds=3600)
    vehicle.book.note_lost()
    (change,) = vehicle.book.changes
    assert change.event is Event.CLEAR
    assert change.alarm.sounded_at < change.at <= over_at


def test_what_is_over_is_told_to_the_database_with_the_time_at_which_it_was() -> None:
    vehicle = Sequence()
    vehicle.shows(found("manual"), seconds=60)
    held_until = vehicle.now
    vehicle.shows(seconds=60)
    (alarm,) = vehicle.book.open()

    vehicle.book.heed(alarm.alarm_id, replace(alarm, place=(State.UNACKNOWLEDGED, True)))

    assert vehicle.events[-1] == "clear manual"
    assert vehicle.book.changes[-1].at > held_until


def test_a_source_is_followed_as_long_as_something_of_it_may_still_matter() -> None:
    vehicle = Sequence()
    vehicle.shows(found("manual"), seconds=LOOK_S)
    assert vehicle.book.open() == []
    assert vehicle.book.sources() == [("vehicle", "drone-1")]

    vehicle.shows(seconds=LOOK_S)
    assert vehicle.book.sources() == []


def test_a_failed_mission_does_not_say_that_nothing_was_delivered() -> None:
    meaning = TABLE["mission_failed"].meaning
    assert "届いていない注文があるかもしれません" in meaning.ja
    assert "may not be delivered" in meaning.en


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), "a\0b\ud800", "x" * 10_000, 10**400],
    ids=["nan", "inf", "control", "long", "huge"],
)
def test_whatever_a_vehicle_says_becomes_a_text_that_can_be_stored(value: Any) -> None:
    for row in TABLE.values():
        values = dict.fromkeys(
            ("text", "more", "reason", "charge_pct", "reserve_pct", "outside_m", "zone", "detail", "what", "dropped"),
            value,
        )
        text = row.text(values)
        assert text.ja.isprintable()
        assert text.en.isprintable()
        assert len(text.en) < 1000
        assert "\0" not in str(alarm_table.clean(values))


def test_every_row_of_the_table_says_all_in_both_languages() -> None:
    for row in TABLE.values():
        for words in (row.title, row.cause, row.meaning, *(words for _, words in row.texts)):
            assert words.ja.strip()
            assert words.en.strip()
            assert any(ord(character) > 0x3000 for character in words.ja), (row.code, words)
        assert row.answers
        assert set(row.answers) <= set(alarm_table.ANSWERS)
        assert row.texts[-1][0] == (), f"{row.code}: the last text needs nothing"
        assert row.suppressed_by <= set(TABLE)
        assert row.detection_s <= 2.0 or row.detection_note is not None
        assert row.detection_s > 2.0 or row.raise_s + LOOK_S < 2.0
        assert row.worse is None or alarm_table.RANK[row.worse] < alarm_table.RANK[row.urgency]
        for urgency in {row.urgency, row.worse or row.urgency}:
            assert row.shelve_max_min(urgency) <= alarm_table.SHELVE_MAX_MIN[urgency]


def test_the_table_of_transitions_is_closed_and_leads_from_everywhere_back_to_normal() -> None:
    places = set(TRANSITIONS)
    assert {place for moves in TRANSITIONS.values() for place in moves.values()} == places
    reached = {NORMAL}
    for _ in places:
        reached |= {place for place, moves in TRANSITIONS.items() if reached & set(moves.values())}
    assert reached == places
    # No condition that begins goes unnoticed, and none that is over goes without an answer.
    for (state, standing), moves in TRANSITIONS.items():
        assert (Event.RAISE in moves) != standing
        assert (Event.CLEAR in moves) == standing
        if state is State.UNACKNOWLEDGED:
            assert moves[Event.CLEAR][0] is State.RETURNED


CODES = ("battery", "manual", "wind")


class Book(RuleBasedStateMachine):
    """A book, the database that follows it, people who move alarms there, and a truth to compare with."""

    def __init__(self) -> None:
        super().__init__()
        self.book = AlarmBook()
        self.now = START
        self.rows: dict[str, Occurrence] = {}
        self.held_for: dict[str, float] = {}
        self.over_for: dict[str, float] = {}
        self.standing: tuple[Alarm, ...] = ()

    def _look(self, findings: Iterable[Finding]) -> None:
        self.now += timedelta(seconds=LOOK_S)
        self.standing = self.book.take("vehicle", "v", findings, at=self.now, speed=1.0)

    @rule(codes=st.sets(st.sampled_from(CODES)), looks=st.integers(1, 120))
    def shows(self, codes: set[str], looks: int) -> None:
        for _ in range(looks):
            self._look([found(code) for code in sorted(codes)])
        for code in CODES:
            holds = code in codes
            self.held_for[code] = self.held_for.get(code, 0.0) + looks * LOOK_S if holds else 0.0
            self.over_for[code] = self.over_for.get(code, 0.0) + looks * LOOK_S if not holds else 0.0

    @rule(looks=st.integers(1, 20))
    def cannot_be_told(self, looks: int) -> None:
        before = {alarm.code for alarm in self.standing}
        for _ in range(looks):
            self._look([unknown(code) for code in CODES])
        assert {alarm.code for alarm in self.standing} == before
        self.held_for, self.over_for = {}, {}

    @rule()
    def stores(self) -> None:
        for change in list(self.book.changes):
            self._apply(change)
        self.book.done({change.change_id for change in self.book.changes})
        for alarm_id in list(self.rows):
            self.book.heed(alarm_id, self.rows[alarm_id])

    def _apply(self, change: Change) -> None:
        alarm = change.alarm
        row = self.rows.get(alarm.alarm_id)
        place = row.place if row else NORMAL
        to = alarm_states.after(place, change.event)
        if row is None:
            # Its place among the changes is that of one that begins.
            assert change.event is Event.RAISE
        if to is not None:
            self.rows[alarm.alarm_id] = replace(alarm, place=to, shelved_until=row.shelved_until if row else None)
        self.book.stored(alarm.alarm_id, alarm.alarm_id)

    @rule(event=st.sampled_from([Event.ACKNOWLEDGE, Event.SHELVE, Event.UNSHELVE]), code=st.sampled_from(CODES))
    def a_person(self, event: Event, code: str) -> None:
        self.stores()
        known = [alarm_id for alarm_id, row in self.rows.items() if row.code == code]
        if not known:
            return
        alarm_id = known[-1]
        row = self.rows[alarm_id]
        to = alarm_states.after(row.place, event)
        if to is not None:
            until = self.now + timedelta(minutes=5) if to[0] is State.SHELVED else None
            self.rows[alarm_id] = replace(row, place=to, shelved_until=until)
            self.book.heed(alarm_id, self.rows[alarm_id])

    @rule()
    def the_process_is_replaced(self) -> None:
        self.stores()
        self.book = AlarmBook()
        self.book.adopt(row for row in self.rows.values() if row.place != NORMAL)
        self.held_for, self.over_for = {}, {}

    @invariant()
    def what_has_lasted_stands_and_what_is_long_over_does_not(self) -> None:
        standing = {alarm.code for alarm in self.standing}
        for code, seconds in self.held_for.items():
            assert seconds < 3.0 or code in standing, f"{code} is lost"
        for code, seconds in self.over_for.items():
            assert seconds < 30.0 * 16 + 1 or code not in standing

    @invariant()
    def one_condition_is_one_alarm_in_a_place_that_there_is(self) -> None:
        alarms_open = self.book.open()
        assert len({(alarm.code, alarm.key) for alarm in alarms_open}) == len(alarms_open)
        assert all(alarm.place in TRANSITIONS and alarm.place != NORMAL for alarm in alarms_open)

    @invariant()
    def each_alarm_s_changes_follow_the_table(self) -> None:
        for alarm_id in {change.alarm.alarm_id for change in self.book.changes}:
            mine = [change for change in self.book.changes if change.alarm.alarm_id == alarm_id]
            assert all(first.at <= second.at for first, second in pairwise(mine))
            assert all(first.event is Event.CLEAR for first, second in pairwise(mine) if second.event is Event.RAISE)


TestBook = Book.TestCase
TestBook.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)

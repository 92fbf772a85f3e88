"""Alarms: what needs a person's response, made of findings. All else is an event.

After ISA-18.2: an alarm names what is wrong and how soon somebody has to answer, does not flicker, and does not
sound in normal operation. Each condition has to last for a while before it is raised and be over for a while
before it is cleared, in domain time and at least some wall time, since a fast clock makes jitter look long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from fleet.alarm_states import START, TRANSITIONS, Event, Place, State
from fleet.alarm_table import RANK, Urgency, clean, definition
from fleet.ids import new_id
from telemetry.monitors.finding import Finding, Value

_LOG = structlog.get_logger()

RAISE_WALL_S = 0.7
"""Wall seconds that any condition lasts before it is raised, however fast the clock: four looks in a row."""
CLEAR_WALL_S = 5.0
"""Wall seconds for which an alarm outlives its condition: twenty-five snapshots, so that conflation cannot
swallow it."""
RENEW_S, RENEW_WALL_S = 10.0, 5.0
"""At most so often is an alarm that stands raised anew: who says something new every second says it in its text."""
NEWER_S = 1.0
"""What is newer by less is the same, told with another rounding."""
REPEAT_S = 600.0
"""Domain seconds after which an alarm that has cleared and not come back is forgotten. Each time that it comes back
within them doubles its clear delay, ``REPEATS`` times at most: what comes and goes is one alarm."""
REPEATS = 4
MAX_PER_SOURCE = 100
"""Conditions of one source that are followed. At the bound a new one takes the place of one that is over; where
there is none, only what is urgent is still taken up."""
TELL_WALL_S = 60.0
"""Wall seconds between two words in the log about a source that has too many conditions."""
MAX_CHANGES = 10_000
"""Changes that wait for the database. At the bound the oldest go: each carries its whole alarm, so that what is
lost is a step of its history and not the alarm."""

Source = tuple[str, str]
"""Kind and id of what the alarm is about: ("vehicle", "drone-1"), ("process", "gateway-1")."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that stands, as people see it. ``since`` is domain time, ``alarm_id`` none until it is stored."""

    code: str
    key: str
    urgency: Urgency
    state: State
    text_ja: str
    text_en: str
    since: datetime
    alarm_id: str | None
    shelved_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One alarm from its raising until it is over and answered. All times are domain time.

    ``shown_at`` is the first look that showed the condition, ``since`` when the condition itself began where that
    is known. ``sounded_at`` is when it was last raised, renewed or made worse. ``known`` is the newest ``since`` that
    its monitor has told; none of one that was taken over, since the monitors of another process had other memories.
    """

    alarm_id: str
    source: Source
    code: str
    key: str
    urgency: Urgency
    place: Place
    text_ja: str
    text_en: str
    values: Mapping[str, Value | None]
    since: datetime
    shown_at: datetime
    raised_at: datetime
    sounded_at: datetime
    known: datetime | None = None
    stored: bool = False
    shelved_until: datetime | None = None

    @property
    def standing(self) -> bool:
        """Whether the condition holds."""
        return self.place[1]

    def shown(self) -> Alarm:
        """Return what people see of it."""
        return Alarm(
            self.code,
            self.key,
            self.urgency,
            self.place[0],
            self.text_ja,
            self.text_en,
            self.since,
            self.alarm_id if self.stored else None,
            self.shelved_until,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to an alarm and is to be stored, with the alarm as it was then.

    ``change_id`` makes storing it twice harmless.
    """

    change_id: str
    event: Event
    at: datetime
    alarm: Occurrence


_Name = tuple[str, str]
"""Code and key of a condition."""


@dataclass(frozen=True, slots=True)
class _Track:
    """One condition over time: the first look at which it held, since when it has not, and the alarm raised."""

    shown: datetime | None = None
    over: datetime | None = None
    alarm: Occurrence | None = None
    cleared: datetime | None = None
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class _Moment:
    """A look: its source, its domain time, and how many times faster than the wall that runs."""

    source: Source
    at: datetime
    speed: float

    def lasting(self, since: datetime, seconds: float, wall_s: float) -> bool:
        """Whether so much domain time and so much wall time have passed."""
        return self.at - since >= timedelta(seconds=max(seconds, wall_s * self.speed))


class AlarmBook:
    """The alarms of one process's sources: makes findings alarms, and keeps what is to be stored.

    It never waits for anything: ``changes`` is what is to be stored, and ``on_change`` is called with each; ``dropped``
    counts those that found no room, ``refused`` the looks at conditions that were not followed. What people do to an
    alarm it learns by ``heed``; what another life of the service knew it takes over by ``adopt``.
    """

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.changes: deque[Change] = deque(maxlen=MAX_CHANGES)
        self.dropped = self.refused = 0
        self._tracks: dict[Source, dict[_Name, _Track]] = {}
        self._full: dict[Source, datetime] = {}

    def take(
        self, source_kind: str, source_id: str, findings: Iterable[Finding], *, at: datetime, speed: float
    ) -> tuple[Alarm, ...]:
        """Take one look at a source; return its alarms that stand, the most urgent first and of these the oldest.

        A condition that is not among ``findings`` does not hold; one whose ``holds`` is ``None`` stays as it is, and
        so does one that another, which holds now, explains (``Definition.suppressed_by``). ``at`` is domain time,
        ``speed`` the clock's.
        """
        now = _Moment((source_kind, source_id), at, speed)
        tracks = self._tracks.setdefault(now.source, {})
        told = {(finding.code, finding.key): finding for finding in findings}
        holding = {finding.code for finding in told.values() if finding.holds}
        for name in [*told, *(name for name in tracks if name not in told)]:
            finding = told.get(name) or Finding(name[0], holds=False, key=name[1])
            if finding.holds is None or not definition(finding.code).suppressed_by.isdisjoint(holding):
                self._leave(tracks, name, now)
            elif finding.holds or name in tracks:
                self._carry_on(tracks, name, finding, now)
        return self.alarms(source_kind, source_id)

    def alarms(self, source_kind: str, source_id: str) -> tuple[Alarm, ...]:
        """Return the alarms of a source that stand, the most urgent first and of these the oldest."""
        tracks = self._tracks.get((source_kind, source_id), {}).values()
        standing = [track.alarm.shown() for track in tracks if track.alarm is not None and track.alarm.standing]
        return tuple(sorted(standing, key=lambda alarm: (RANK[alarm.urgency], alarm.since, alarm.code, alarm.key)))

    def forget(self, source_kind: str, source_id: str) -> None:
        """Look at a source no more: another process does, and takes its alarms over."""
        self._tracks.pop((source_kind, source_id), None)
        self._full.pop((source_kind, source_id), None)

    def sources(self) -> list[Source]:
        """Return every source of which something is followed: an alarm, or a condition that was shown."""
        return [source for source, tracks in self._tracks.items() if tracks]

    def open(self) -> list[Occurrence]:
        """Return every alarm that is not closed."""
        return [track.alarm for tracks in self._tracks.values() for track in tracks.values() if track.alarm is not None]

    def adopt(self, alarms: Iterable[Occurrence]) -> None:
        """Take over stored alarms of sources that this process looks at from now on."""
        for alarm in alarms:
            tracks = self._tracks.setdefault(alarm.source, {})
            tracks[alarm.code, alarm.key] = _Track(alarm=replace(alarm, stored=True, known=None))

    def heed(self, alarm_id: str, stored: Occurrence | None) -> None:
        """Take what is stored of an alarm of ours, once our own changes of it are: people's part of it counts.

        One that is not stored at all (the database was put back to an earlier day) is stored anew.
        """
        found = self._find(alarm_id)
        if found is None:
            return
        tracks, name, track, alarm = found
        if stored is None:
            self._note(Event.RAISE, replace(alarm, stored=False), alarm.raised_at)
            tracks[name] = replace(track, alarm=replace(alarm, stored=False))
        elif stored.place == START:
            # Closed while our condition stands: that was another's doing, and is not true.
            tracks[name] = _Track(shown=alarm.shown_at) if alarm.standing else replace(track, alarm=None)
        elif stored.standing != alarm.standing:
            self._note_where_it_is(track, alarm)
        else:
            own = replace(alarm, place=stored.place, shelved_until=stored.shelved_until, stored=True)
            tracks[name] = replace(track, alarm=own)

    def note_lost(self) -> None:
        """Have those open alarms stored whose raising was lost: they are neither stored nor wait to be."""
        waiting = {change.alarm.alarm_id for change in self.changes}
        for track in [track for tracks in self._tracks.values() for track in tracks.values()]:
            if track.alarm is not None and not track.alarm.stored and track.alarm.alarm_id not in waiting:
                self._note_where_it_is(track, track.alarm)

    def done(self, change_ids: Set[str]) -> None:
        """Forget changes that are stored; they are the oldest."""
        while self.changes and self.changes[0].change_id in change_ids:
            self.changes.popleft()

    def stored(self, alarm_id: str, as_id: str) -> None:
        """Note that an alarm is in the database, under the id of one that stood there for the same condition."""
        found = self._find(alarm_id)
        if found is not None:
            tracks, name, track, alarm = found
            tracks[name] = replace(track, alarm=replace(alarm, alarm_id=as_id, stored=True))
        if alarm_id != as_id:
            renamed = [
                replace(change, alarm=replace(change.alarm, alarm_id=as_id))
                if change.alarm.alarm_id == alarm_id
                else change
                for change in self.changes
            ]
            self.changes.clear()
            self.changes.extend(renamed)

    def _find(self, alarm_id: str) -> tuple[dict[_Name, _Track], _Name, _Track, Occurrence] | None:
        for tracks in self._tracks.values():
            for name, track in tracks.items():
                if track.alarm is not None and track.alarm.alarm_id == alarm_id:
                    return tracks, name, track, track.alarm
        return None

    def _carry_on(self, tracks: dict[_Name, _Track], name: _Name, finding: Finding, now: _Moment) -> None:
        if name not in tracks and len(tracks) >= MAX_PER_SOURCE and not self._make_room(tracks, finding, now):
            return
        track = _off_the_shelf_in_time(tracks.get(name, _Track()), now)
        track = self._held(track, finding, now) if finding.holds else self._not_held(track, finding, now)
        if track.alarm is None and track.shown is None and track.cleared is None:
            tracks.pop(name, None)
        else:
            tracks[name] = track

    def _make_room(self, tracks: dict[_Name, _Track], finding: Finding, now: _Moment) -> bool:
        """Find room at the bound: what is over gives way, and what is urgent is followed all the same."""
        over = [name for name, each in tracks.items() if not (each.shown or (each.alarm and each.alarm.standing))]
        if over:
            del tracks[min(over, key=lambda name: tracks[name].alarm is not None)]
            return True
        if definition(finding.code).urgency_of(worse=finding.worse) is Urgency.URGENT:
            return True
        self.refused += 1
        told = self._full.get(now.source)
        if told is None or now.lasting(told, 0.0, TELL_WALL_S):
            self._full[now.source] = now.at
            _LOG.warning("condition not followed: the source has too many", source=now.source, code=finding.code)
        return False

    def _leave(self, tracks: dict[_Name, _Track], name: _Name, now: _Moment) -> None:
        """Leave a condition as it is that cannot be told now, or that another one explains."""
        if name in tracks:
            tracks[name] = _off_the_shelf_in_time(tracks[name], now)

    def _held(self, track: _Track, finding: Finding, now: _Moment) -> _Track:
        """Carry a condition on that holds: it is raised when it has lasted."""
        row = definition(finding.code)
        broke = track.over is not None
        track = replace(track, shown=track.shown or now.at, over=None)
        if track.alarm is not None and track.alarm.standing:
            return replace(track, alarm=self._stands_on(track.alarm, finding, now, broke=broke))
        shown_at = track.shown or now.at
        if not now.lasting(shown_at, row.raise_s, RAISE_WALL_S):
            return track
        fresh = _occurrence(finding, now, shown_at=shown_at)
        if track.alarm is not None:
            fresh = replace(
                fresh,
                alarm_id=track.alarm.alarm_id,
                place=TRANSITIONS[track.alarm.place][Event.RAISE],
                stored=track.alarm.stored,
                shelved_until=track.alarm.shelved_until,
            )
        self._note(Event.RAISE, fresh, now.at)
        again = track.repeats + 1 if track.cleared or track.alarm is not None else 0
        return replace(track, alarm=fresh, cleared=None, repeats=min(again, REPEATS))

    def _stands_on(self, alarm: Occurrence, finding: Finding, now: _Moment, *, broke: bool) -> Occurrence:
        """Return a standing alarm with what a new look says of it; ``broke``: the look before did not show it."""
        row = definition(finding.code)
        urgency, text = row.urgency_of(worse=finding.worse), row.text(finding.values)
        since = alarm.since if finding.since is None else min(finding.since, now.at)
        # What comes back before it was cleared, in the same words, has come and gone, and is not news.
        known = (
            since if alarm.known is None or (broke and _names(alarm.values) == _names(finding.values)) else alarm.known
        )
        event = None
        if RANK[urgency] < RANK[alarm.urgency]:
            event = Event.WORSEN
        elif since - known > timedelta(seconds=NEWER_S) and now.lasting(alarm.sounded_at, RENEW_S, RENEW_WALL_S):
            event = Event.RENEW
        carried = replace(alarm, text_ja=text.ja, text_en=text.en, values=clean(finding.values), known=known)
        if event is None:
            return carried
        place = TRANSITIONS[alarm.place][event]
        shelved_until = alarm.shelved_until if place[0] is State.SHELVED else None
        # Never less urgent while it is the same thing: a mark that flickers must not sound each time.
        newer = replace(
            carried,
            place=place,
            urgency=urgency if event is Event.WORSEN else alarm.urgency,
            since=max(since, alarm.since) if event is Event.RENEW else alarm.since,
            known=max(since, known),
            sounded_at=now.at,
            shelved_until=shelved_until,
        )
        self._note(event, newer, now.at)
        return newer

    def _not_held(self, track: _Track, finding: Finding, now: _Moment) -> _Track:
        """Carry a condition on that does not hold: its alarm is cleared when it has been over for long."""
        track = replace(track, shown=None)
        if track.alarm is None or not track.alarm.standing:
            expired = track.cleared is None or now.lasting(track.cleared, REPEAT_S, 0.0)
            # Of an alarm that waits for an answer it is kept when it was over.
            return replace(track, cleared=track.cleared if track.alarm else None, repeats=0) if expired else track
        over = track.over or now.at
        clear_s = definition(finding.code).clear_s * 2**track.repeats
        if not now.lasting(over, clear_s, CLEAR_WALL_S):
            return replace(track, over=over)
        place = TRANSITIONS[track.alarm.place][Event.CLEAR]
        alarm = replace(track.alarm, place=place)
        self._note(Event.CLEAR, alarm, now.at)
        return replace(track, over=None, cleared=now.at, alarm=None if place == START else alarm)

    def _note_where_it_is(self, track: _Track, alarm: Occurrence) -> None:
        if alarm.standing:
            self._note(Event.RAISE, alarm, alarm.sounded_at)
        else:
            self._note(Event.CLEAR, alarm, track.cleared or alarm.sounded_at)

    def _note(self, event: Event, alarm: Occurrence, at: datetime) -> None:
        if len(self.changes) == MAX_CHANGES:
            self.dropped += 1
        self.changes.append(Change(new_id("ac"), event, at, alarm))
        self.on_change()


def _names(values: Mapping[str, Value | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if isinstance(value, str)}


def _off_the_shelf_in_time(track: _Track, now: _Moment) -> _Track:
    """End a shelf whose time is over; the database does so by itself."""
    alarm = track.alarm
    if alarm is None or alarm.place[0] is not State.SHELVED or (alarm.shelved_until or now.at) > now.at:
        return track
    place = TRANSITIONS[alarm.place][Event.UNSHELVE]
    return replace(track, alarm=None if place == START else replace(alarm, place=place, shelved_until=None))


def _occurrence(finding: Finding, now: _Moment, *, shown_at: datetime) -> Occurrence:
    row = definition(finding.code)
    text = row.text(finding.values)
    since = shown_at if finding.since is None else min(finding.since, now.at)
    return Occurrence(
        alarm_id=new_id("a"),
        source=now.source,
        code=finding.code,
        key=finding.key,
        urgency=row.urgency_of(worse=finding.worse),
        place=TRANSITIONS[START][Event.RAISE],
        text_ja=text.ja,
        text_en=text.en,
        values=clean(finding.values),
        since=since,
        known=since,
        shown_at=shown_at,
        raised_at=now.at,
        sounded_at=now.at,
    )

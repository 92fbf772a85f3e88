"""The states of an alarm and what moves it between them, as ISA-18.2 has them (figure 3, alarm state transitions)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """What people owe an alarm. Whether its condition stands is beside it: a shelved one may stand or not."""

    NORMAL = "normal"
    """Over and answered: closed."""
    UNACKNOWLEDGED = "unacknowledged"
    """It stands and nobody has said that they know."""
    ACKNOWLEDGED = "acknowledged"
    """It stands and somebody sees to it."""
    RETURNED = "returned"
    """Over before anybody acknowledged it: it stays until somebody has."""
    SHELVED = "shelved"
    """Put aside by a person for a while, with a reason."""


class Event(StrEnum):
    """What happens to an alarm."""

    RAISE = "raise"
    """The condition has held for long enough."""
    RENEW = "renew"
    """Something newer of the same kind: it is answered anew."""
    WORSEN = "worsen"
    """It has become more urgent: it is answered anew, off the shelf too."""
    CLEAR = "clear"
    """The condition has been over for long enough."""
    ACKNOWLEDGE = "acknowledge"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    """A person, or the end of the time, takes it off the shelf."""


Place = tuple[State, bool]
"""A state, and whether the condition stands."""

START: Place = (State.NORMAL, False)
_UNANSWERED: Place = (State.UNACKNOWLEDGED, True)

TRANSITIONS: Mapping[Place, Mapping[Event, Place]] = {
    START: {Event.RAISE: _UNANSWERED},
    _UNANSWERED: {
        Event.RENEW: _UNANSWERED,
        Event.WORSEN: _UNANSWERED,
        Event.CLEAR: (State.RETURNED, False),
        Event.ACKNOWLEDGE: (State.ACKNOWLEDGED, True),
        Event.SHELVE: (State.SHELVED, True),
    },
    (State.ACKNOWLEDGED, True): {
        Event.RENEW: _UNANSWERED,
        Event.WORSEN: _UNANSWERED,
        Event.CLEAR: START,
        Event.SHELVE: (State.SHELVED, True),
    },
    (State.RETURNED, False): {
        Event.RAISE: _UNANSWERED,
        Event.ACKNOWLEDGE: START,
        Event.SHELVE: (State.SHELVED, False),
    },
    (State.SHELVED, True): {
        Event.RENEW: (State.SHELVED, True),
        Event.WORSEN: _UNANSWERED,
        Event.CLEAR: (State.SHELVED, False),
        Event.UNSHELVE: _UNANSWERED,
    },
    (State.SHELVED, False): {
        Event.RAISE: (State.SHELVED, True),
        Event.UNSHELVE: START,
    },
}
"""All that may happen; what is not here changes nothing."""


def after(place: Place, event: Event) -> Place | None:
    """Return where ``event`` takes an alarm, ``None`` where it may not happen."""
    return TRANSITIONS[place].get(event)

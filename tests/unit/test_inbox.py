"""What a writer has been given and not yet sent: it knows how old the oldest of it is."""

from __future__ import annotations

import pytest

from telemetry.inbox import Inbox
from tests.writer_kit import sample


def test_the_age_of_what_waits_does_not_stay_that_of_what_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("telemetry.inbox.time.monotonic", lambda: now)
    waiting = Inbox(piece=10)
    for number in range(1, 100):  # it never becomes empty
        now = float(number)
        for _ in range(10):
            waiting.add(sample(number))
        if number > 1:
            waiting.make_rows()
            taken = waiting.take(10)
            put_at = taken.batch.rows[0][2]
            assert put_at - 2 <= taken.since <= put_at
            assert waiting.oldest is not None
            assert number - 2 <= waiting.oldest <= number

"""Signs of life of pilots: which requests are one, noted cheaply."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from fleet.users import User

NOTE_EVERY_S = 5.0
"""Wall seconds between two notes of one session."""
MAX_SESSIONS = 1_000
"""Sessions of which is known when they were noted last; at the bound the oldest is noted once more than needed."""
_READS = {"GET", "HEAD", "OPTIONS"}


@dataclass(slots=True)
class Presence:
    """When the sessions of pilots have been heard of, in this process."""

    _noted_s: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def due(self, user: User, token: str, request: HTTPConnection) -> bool:
        """Whether a request is a sign of life of a pilot that is to be noted now."""
        if user.role != "pilot" or not is_sign_of_life(request):
            return False
        now_s = time.monotonic()
        if now_s - self._noted_s.get(token, float("-inf")) < NOTE_EVERY_S:
            return False
        self._noted_s[token] = now_s
        self._noted_s.move_to_end(token)
        while len(self._noted_s) > MAX_SESSIONS:
            self._noted_s.popitem(last=False)
        return True


def is_sign_of_life(request: HTTPConnection) -> bool:
    """Whether somebody is there who asks.

    The console in a browser reads by itself whenever something changes, for as long as it is open: there what changes
    something is a sign, and what it sends when there is input (``POST /api/duty/beat``). A program of a pilot's own
    reads because it works.
    """
    reads = str(request.scope.get("method", "GET")) in _READS
    return not reads or not request.headers.get("user-agent", "").startswith("Mozilla/")

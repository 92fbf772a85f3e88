"""What is odd about a vehicle's contact now, for as long as it is seen."""

from __future__ import annotations

from collections.abc import Mapping

DUPLICATE_ID = "duplicate_id"
"""Two senders use the vehicle's identity."""
SECOND_STATION = "second_station"
"""Another ground station speaks with the vehicle."""
HALF_OPEN = "half_open"
"""The vehicle is heard and does not hear us: it answers nothing."""
UNSIGNED = "unsigned"
"""What comes in the place of a vehicle with a key is not signed with it."""
MISSION_CHANGED = "mission_changed"
"""Somebody else has put another mission on the vehicle than the one that it carried for us."""

_NONE: Mapping[str, str] = {}


class Conditions:
    """Conditions by code with a detail in words; each expires when it has not been seen again for a while."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}

    def see(self, code: str, detail: str, *, until: float) -> None:
        """Note a condition that holds until a monotonic time if it is not seen again."""
        self._seen[code] = (detail, until)

    def end(self, code: str) -> None:
        """Note that a condition holds no more."""
        self._seen.pop(code, None)

    def standing(self, now: float) -> Mapping[str, str]:
        """Return what holds at a monotonic time, code to detail."""
        if not self._seen:
            return _NONE
        self._seen = {code: seen for code, seen in self._seen.items() if now < seen[1]}
        return {code: detail for code, (detail, _) in self._seen.items()}

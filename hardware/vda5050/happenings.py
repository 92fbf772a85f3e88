"""What happened to a robot between two of its states, in words."""

from __future__ import annotations

from collections.abc import Iterator

from hardware.vda5050.messages import State

ERRORS_AT_ONCE = 5
"""New errors of one message that are told one by one."""
_SEVERITY = {"FATAL": 2, "WARNING": 4}


def changes_of(before: State | None, state: State) -> Iterator[tuple[int, str, str]]:
    """Yield severity, kind and words (``VehicleEvent``) of each change: mode, emergency stop, errors that are new."""
    if before is not None and before.operating_mode != state.operating_mode:
        yield 5, "mode", f"{before.operating_mode} -> {state.operating_mode}"
    e_stop = state.safety_state.e_stop
    if e_stop != ("NONE" if before is None else before.safety_state.e_stop):
        yield 2 if e_stop != "NONE" else 5, "status", f"emergency stop: {e_stop}"
    if not state.errors or (before is not None and before.errors == state.errors):
        return
    known = set() if before is None else set(before.errors)
    new = [error for error in state.errors if error not in known]
    for error in new[:ERRORS_AT_ONCE]:
        yield _SEVERITY.get(error.error_level, 3), "status", error.words()
    if len(new) > ERRORS_AT_ONCE:
        yield 4, "status", f"and {len(new) - ERRORS_AT_ONCE} more errors"

"""What a gateway tells those who look: each vehicle as it changes, and how it is itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fleet import live
from hardware.errors import HardwareError
from hardware.link import VehicleState
from telemetry.clock import Clock

TICK_S = 0.025
"""Wall seconds between two rounds: what may be said at once waits no longer than this."""
BURST_S = live.INTERVAL_S / 2
"""How much earlier than its turn a state may come, if those before it took longer: a vehicle that speaks five times a
second does so unevenly, and need not wait for that. It makes no more of them in the end (a leaky bucket)."""
_EARLY_S = TICK_S / 2
"""A round is never on time to the millisecond: what is due within half of one is taken with it."""


@dataclass(slots=True)
class _Told:
    """What was looked at and told of one vehicle last, and when (wall time, monotonic)."""

    state: VehicleState | None = None
    looked_s: float = float("-inf")
    view: Mapping[str, Any] = field(default_factory=dict)
    told_s: float = float("-inf")
    free_s: float = float("-inf")
    """When it may be told of again."""


class Publisher:
    """Looks at each vehicle five times a second, and says what has changed as soon as it may.

    A vehicle that has been calm for ``live.INTERVAL_S`` is spoken of in the round after it has changed, so that its
    states come as soon as they arrive while there are five a second; of more than that the newest counts. What has
    not changed is said again each ``live.CONFIRM_S``. What could not be sent is lost, and all is said anew then.

    ``send`` takes a message for the bus, raising ``HardwareError`` when it cannot. ``look`` judges a vehicle's
    state, its alarms above all, and returns what is shown of it. ``process`` returns how this process is: its name,
    alarms and writer.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        send: Callable[[bytes], Awaitable[None]],
        look: Callable[[str, VehicleState], dict[str, Any]],
        process: Callable[[], dict[str, Any]],
    ) -> None:
        self._name, self._clock = name, clock
        self._send, self._look, self._process = send, look, process
        self._told: dict[str, _Told] = {}
        self._itself = _Told()

    async def round(self, states: Iterable[tuple[str, VehicleState]], now_s: float) -> None:
        """Look at those vehicles whose turn it is at ``now_s`` (monotonic), and tell what has to be told."""
        known, self._told = self._told, {}
        views = []
        for vehicle_id, state in states:
            told = self._told[vehicle_id] = known.get(vehicle_id) or _Told()
            view = self._news(vehicle_id, state, told, now_s)
            if view is not None:
                views.append(view)
        process = self._process_news(now_s)
        if not views and process is None:
            return
        try:
            await self._send(live.encode_snapshot(self._name, self._clock.now(), views, process))
        except HardwareError:
            for told in (self._itself, *self._told.values()):
                told.told_s = float("-inf")

    def _news(self, vehicle_id: str, state: VehicleState, told: _Told, now_s: float) -> dict[str, Any] | None:
        """Look at a vehicle if it is its turn; return what is to be told of it, if there is anything."""
        free = now_s >= told.free_s - _EARLY_S
        # Any message of a vehicle moves the time at which it was heard, whether it says anything new or not.
        now = replace(state, t=None)
        if not (free and now != told.state) and now_s - told.looked_s < live.INTERVAL_S - _EARLY_S:
            return None
        told.looked_s = now_s
        view = self._look(vehicle_id, state)
        if not free:
            return None
        told.state = now
        confirmed = now_s - told.told_s < live.CONFIRM_S - _EARLY_S
        if confirmed and {**view, "t": None} == {**told.view, "t": None}:
            return None
        told.view, told.told_s = view, now_s
        told.free_s = max(now_s, told.free_s + BURST_S) + live.INTERVAL_S - BURST_S
        return view

    def _process_news(self, now_s: float) -> dict[str, Any] | None:
        # Its figures change all the time, and nobody reads them more than once a second; its alarms go at once.
        told = self._itself
        if now_s - told.looked_s < live.INTERVAL_S - _EARLY_S:
            return None
        told.looked_s = now_s
        process = self._process()
        if now_s - told.told_s < live.CONFIRM_S - _EARLY_S and process["alarms"] == told.view["alarms"]:
            return None
        told.view, told.told_s = process, now_s
        return process

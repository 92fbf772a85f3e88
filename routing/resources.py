"""What there is a number of: pilots, lane sections, battery packs and chargers, and when more of it may be used."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.energy import capacity_wh
from routing.problem import Problem, Station
from routing.vehicle_type import VehicleType

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """A trip takes one of something from ``begin_s`` to ``end_s`` since its departure, lateness included."""

    resource: str
    begin_s: float
    end_s: float


class Capacity:
    """Something of which ``most`` may be in use at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._spans: dict[object, list[tuple[float, float]]] = {}
        self._full: Array | None = None

    def take(self, key: object, begin_s: float, end_s: float) -> None:
        """Use one from ``begin_s`` to ``end_s``, until ``free`` is told the same key."""
        self._spans.setdefault(key, []).append((begin_s, end_s))
        self._full = None

    def free(self, key: object) -> None:
        """Forget what a key has taken."""
        if self._spans.pop(key, None) is not None:
            self._full = None

    def forbidden(self, begin_s: float, end_s: float) -> Array:
        """Departures, as rows of (least, greatest), at which ``begin_s`` to ``end_s`` after them is too much."""
        if self._full is None:
            self._full = _full([span for spans in self._spans.values() for span in spans], self.most)
        return np.asarray(self._full - np.array([end_s, begin_s]))


def _full(spans: Sequence[tuple[float, float]], most: int) -> Array:
    """When at least ``most`` of the spans overlap."""
    if most <= 0:
        return np.array([[-math.inf, math.inf]])
    if len(spans) < most:
        return np.empty((0, 2))
    times = np.array(spans).T.ravel()
    steps = np.repeat((1, -1), len(spans))
    # An end before a beginning at the same moment: spans that touch do not overlap.
    order = np.lexsort((steps, times))
    times, count = times[order], np.cumsum(steps[order])
    full = np.concatenate(([False], count >= most, [False])).astype(np.int8)
    begins, ends = np.flatnonzero(np.diff(full) == 1), np.flatnonzero(np.diff(full) == -1)
    return np.stack((times[begins], times[ends]), axis=1)


@dataclass(frozen=True, slots=True)
class _Pack:
    pack_id: str
    full_from_s: float
    capacity_wh: float
    usable_wh: float


@dataclass(frozen=True, slots=True)
class _Use:
    """A pack is with a vehicle from ``take_s``, back at ``back_s``, and then charged for ``charge_s``."""

    pack: int
    take_s: float
    back_s: float
    charge_s: float


class Packs:
    """The packs and chargers of a station. Packs are charged in the sequence in which they come back."""

    def __init__(
        self, problem: Problem, station: Station, vehicle_type: VehicleType, usable_wh: Sequence[float]
    ) -> None:
        """``usable_wh``: what a trip may use of each pack."""
        self._station, self._charge_s = station, vehicle_type.charge_s
        self._uses: dict[object, _Use] = {}
        self._packs = []
        for pack, usable in zip(station.packs, usable_wh, strict=True):
            full_from_s = -math.inf if pack.full_from is None else (pack.full_from - problem.start).total_seconds()
            capacity = capacity_wh(vehicle_type, health=pack.health, temperature_c=problem.temperature_c)
            self._packs.append(_Pack(pack.pack_id, full_from_s, capacity, usable))

    def take(self, key: object, pack_id: str, take_s: float, back_s: float, energy_wh: float) -> None:
        """Use a pack for a trip, until ``free`` is told the same key."""
        number = next(i for i, pack in enumerate(self._packs) if pack.pack_id == pack_id)
        self._uses[key] = self._use(number, take_s, back_s, energy_wh)

    def free(self, key: object) -> None:
        """Forget what a key has taken."""
        self._uses.pop(key, None)

    def first(
        self, soonest_s: float, latest_s: float, *, before_s: float, after_s: float, energy_wh: float
    ) -> tuple[float, str] | None:
        """Return the soonest departure for which there is a full pack, and the weakest pack that will do.

        The pack is taken ``before_s`` before the departure and is back ``after_s`` after it. ``None``: there is none.
        """
        strong = [i for i, pack in enumerate(self._packs) if pack.usable_wh >= energy_wh]
        strong.sort(key=lambda i: (self._packs[i].usable_wh, i))
        if not strong:
            return None
        uses = sorted(self._uses.values(), key=lambda use: (use.back_s, use.take_s, use.pack))
        full = self._full_again(uses)
        changes = {full[use] + before_s for use in uses} | {use.back_s - after_s for use in uses}
        changes |= {pack.full_from_s + before_s for pack in self._packs}
        for departure in [soonest_s, *sorted(math.ceil(t) for t in changes if soonest_s < t <= latest_s)]:
            for number in strong:
                new = self._use(number, departure - before_s, departure + after_s, energy_wh)
                if self._fits(new, uses, full):
                    return departure, self._packs[number].pack_id
        return None

    def _use(self, number: int, take_s: float, back_s: float, energy_wh: float) -> _Use:
        share = energy_wh / max(self._packs[number].capacity_wh, 1e-9)
        return _Use(number, take_s, back_s, self._charge_s * share)

    def _full_again(self, uses: Sequence[_Use]) -> dict[_Use, float]:
        """When the pack of each use is full again; uses come in the sequence of their ends."""
        # Packs that are not full at first are on the chargers until they are.
        waiting = sorted((p.full_from_s for p in self._packs if p.full_from_s > 0.0), reverse=True)
        chargers = waiting[: self._station.chargers] + [-math.inf] * max(0, self._station.chargers - len(waiting))
        heapq.heapify(chargers)
        full = {}
        for use in uses:
            if not chargers:
                full[use] = math.inf
                continue
            full[use] = max(use.back_s, chargers[0]) + use.charge_s
            heapq.heapreplace(chargers, full[use])
        return full

    def _fits(self, new: _Use, uses: Sequence[_Use], full: dict[_Use, float]) -> bool:
        """Whether one more use leaves every pack full when it is taken."""
        if new.take_s < self._packs[new.pack].full_from_s:
            return False
        same = [use for use in uses if use.pack == new.pack]
        if any(use.take_s < new.take_s < full[use] or new.take_s <= use.take_s < new.back_s for use in same):
            return False
        if not uses or new.back_s > uses[-1].back_s:
            return True  # it is charged after all others
        full = self._full_again(sorted([*uses, new], key=lambda use: (use.back_s, use.take_s, use.pack)))
        by_pack: dict[int, list[_Use]] = {}
        for use in sorted(full, key=lambda use: use.take_s):
            by_pack.setdefault(use.pack, []).append(use)
        return all(
            full[before] <= after.take_s for each in by_pack.values() for before, after in itertools.pairwise(each)
        )

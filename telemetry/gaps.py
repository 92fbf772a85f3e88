"""What had to be dropped, kept by vehicle until the store knows of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from telemetry.row import Row

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MOST_VEHICLES = 10_000
"""Of more vehicles, what is dropped is only counted."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples of one vehicle that found no room: the first's and the last's domain time, and how many."""

    vehicle_id: str
    began_us: int
    ended_us: int
    samples: int

    @property
    def began_at(self) -> datetime:
        """The time of the first sample dropped."""
        return _EPOCH + timedelta(microseconds=self.began_us)

    @property
    def ended_at(self) -> datetime:
        """The time of the last sample dropped."""
        return _EPOCH + timedelta(microseconds=self.ended_us)


class DroppedSamples:
    """Gaps that the store has not been told of, in memory and in a file that outlives the process.

    A gap keeps its beginning while more is dropped, so that the store, told twice, has one row of it. The file
    is as new as the last ``save``.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._gaps: dict[str, Gap] = {}
        self._saved = True

    def load(self) -> None:
        """Take over what an earlier process left; a file that cannot be read is as good as none."""
        try:
            found = [Gap(*entry) for entry in orjson.loads(self._file.read_bytes())]
        except (OSError, ValueError, TypeError):
            return
        self._gaps = {gap.vehicle_id: gap for gap in found}

    def note(self, rows: Iterable[Row]) -> None:
        """Add samples that were dropped."""
        for vehicle_id, t_us, _, _ in rows:
            known = self._gaps.get(vehicle_id)
            if known:
                began, ended = min(known.began_us, t_us), max(known.ended_us, t_us)
                self._gaps[vehicle_id] = Gap(vehicle_id, began, ended, known.samples + 1)
            elif len(self._gaps) < MOST_VEHICLES:
                self._gaps[vehicle_id] = Gap(vehicle_id, t_us, t_us, 1)
            self._saved = False

    def waiting(self) -> list[Gap]:
        """The gaps that the store is to be told of."""
        return list(self._gaps.values())

    def told(self, gaps: Iterable[Gap]) -> None:
        """Forget gaps that the store knows; one that has grown meanwhile is told again."""
        for gap in gaps:
            if self._gaps.get(gap.vehicle_id) == gap:
                del self._gaps[gap.vehicle_id]
                self._saved = False

    def save(self) -> None:
        """Bring the file up to date. Raises ``OSError``; the file is then as before."""
        if self._saved:
            return
        gaps, self._saved = self.waiting(), True
        try:
            if not gaps:
                self._file.unlink(missing_ok=True)
                return
            new = self._file.with_suffix(".new")
            with new.open("wb") as file:
                file.write(orjson.dumps([astuple(gap) for gap in gaps]))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        except OSError:
            self._saved = False
            raise

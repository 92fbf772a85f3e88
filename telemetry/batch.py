"""Rows that are written together, once, wherever they wait meanwhile."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from operator import itemgetter, lt
from uuid import UUID, uuid4, uuid5

import orjson

from telemetry.row import COLUMNS, COPY_HEADER, COPY_TRAILER, Row

_VERSION = 3
_READABLE = {2, 3}
"""Version 2 had no events."""
_HEADER_LENGTH = struct.Struct("<I")
_ROWS_AT_ONCE = 400
"""About 100 kB: what psycopg hands to the socket at a time, see its ``MAX_BUFFER_SIZE``."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples' and events' rows with an identity that goes with them, so that a batch sent twice is recognised.

    ``columns`` are those of the samples' rows: an earlier version of this program knew fewer.
    """

    rows: Sequence[Row] = ()
    events: Sequence[bytes] = ()
    batch_id: UUID = field(default_factory=uuid4)
    columns: Sequence[str] = tuple(COLUMNS)

    def __len__(self) -> int:
        """Return how many samples and events it holds."""
        return len(self.rows) + len(self.events)

    def newest(self) -> list[Row]:
        """The newest row of each vehicle, sorted by vehicle."""
        newest = newest_of(self.rows, {})
        return [newest[vehicle_id] for vehicle_id in sorted(newest)]

    def halves(self) -> tuple[Batch, Batch] | None:
        """Two batches with the same rows, whose identities follow from this one's; ``None`` for a single row."""
        if len(self) < 2:
            return None
        rows, events = len(self.rows), len(self.events)
        if not (rows and events):
            rows, events = rows // 2, events // 2
            parts = (self.rows[:rows], self.events[:events]), (self.rows[rows:], self.events[events:])
        else:
            parts = (self.rows, ()), ((), self.events)
        first, second = (
            Batch(*part, uuid5(self.batch_id, str(number)), self.columns) for number, part in enumerate(parts)
        )
        return first, second

    def encode(self) -> bytes:
        """Return the batch as bytes for the spool: a JSON header, what tells the rows apart, and the rows."""
        names = {vehicle_id: number for number, vehicle_id in enumerate(dict.fromkeys(row[0] for row in self.rows))}
        header = orjson.dumps(
            {
                "v": _VERSION,
                "id": str(self.batch_id),
                "columns": list(self.columns),
                "vehicles": list(names),
                "n": len(self.rows),
                "events": len(self.events),
            }
        )
        index = _index(len(self.rows), len(self.events)).pack(
            *(names[row[0]] for row in self.rows),
            *(row[1] for row in self.rows),
            *(row[2] for row in self.rows),
            *(len(row[3]) for row in self.rows),
            *map(len, self.events),
        )
        rows = (row[3] for row in self.rows)
        return b"".join((_HEADER_LENGTH.pack(len(header)), header, index, *rows, *self.events))

    @classmethod
    def decode(cls, data: bytes) -> Batch:
        """Read what ``encode`` wrote, now or as version 2; raises ``ValueError`` when the bytes are something else."""
        try:
            (length,) = _HEADER_LENGTH.unpack_from(data)
            start = _HEADER_LENGTH.size + length
            header = orjson.loads(data[_HEADER_LENGTH.size : start])
            columns = tuple(header["columns"])
            if header["v"] not in _READABLE or not COLUMNS.keys() >= set(columns):
                raise ValueError("a batch of another version")
            count, vehicles = header["n"], header["vehicles"]
            index = _index(count, header.get("events", 0))
            numbers = index.unpack_from(data, start)
            places = list(accumulate(numbers[3 * count :], initial=start + index.size))
            if places[-1] != len(data):
                raise ValueError("a batch of another length")
            pieces = [data[a:b] for a, b in pairwise(places)]
            ids = [vehicles[number] for number in numbers[:count]]
            times, seqs = numbers[count : 2 * count], numbers[2 * count : 3 * count]
            rows = list(zip(ids, times, seqs, pieces[:count], strict=True))
            return cls(rows, pieces[count:], UUID(header["id"]), columns)
        except (KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
            raise ValueError(f"not a batch: {error!r}") from error


def newest_of(rows: Sequence[Row], known: dict[str, Row]) -> dict[str, Row]:
    """Put the newest row of each vehicle into ``known``, by time and number, and return it."""
    times = [row[1] for row in rows]
    if all(map(lt, times, times[1:])):  # as a rule: then the last of each vehicle is its newest
        rows = list(dict(zip(map(itemgetter(0), rows), rows, strict=True)).values())
    for row in rows:
        other = known.get(row[0])
        if other is None or (other[1], other[2]) < (row[1], row[2]):
            known[row[0]] = row
    return known


def copy_data(rows: Sequence[bytes]) -> Iterator[bytes]:
    """What a binary COPY of rows sends, in pieces that do not hold up a loop."""
    yield COPY_HEADER
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        yield b"".join(rows[start : start + _ROWS_AT_ONCE])
    yield COPY_TRAILER


def _index(rows: int, events: int) -> struct.Struct:
    return struct.Struct(f"<{rows}I{rows}q{rows}q{rows + events}I")

"""Rows that are written together, once, wherever they wait meanwhile."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from uuid import UUID, uuid4

import orjson

from telemetry.row import COLUMNS, COPY_HEADER, COPY_TRAILER, Row

_VERSION = 2
_HEADER_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows with an identity that goes with them, so that a batch sent twice is recognised."""

    rows: Sequence[Row]
    batch_id: UUID = field(default_factory=uuid4)

    def newest(self) -> list[Row]:
        """The newest row of each vehicle, sorted by vehicle so that two writers cannot deadlock."""
        newest: dict[str, Row] = {}
        for row in self.rows:
            known = newest.get(row[0])
            if known is None or (known[1], known[2]) < (row[1], row[2]):
                newest[row[0]] = row
        return [newest[vehicle_id] for vehicle_id in sorted(newest)]

    def encode(self) -> bytes:
        """Return the batch as bytes for the spool: a JSON header, what tells the rows apart, and the rows."""
        names = {vehicle_id: number for number, vehicle_id in enumerate(dict.fromkeys(row[0] for row in self.rows))}
        header = orjson.dumps(
            {
                "v": _VERSION,
                "id": str(self.batch_id),
                "columns": list(COLUMNS),
                "vehicles": list(names),
                "n": len(self.rows),
            }
        )
        index = _index(len(self.rows)).pack(
            *(names[row[0]] for row in self.rows),
            *(row[1] for row in self.rows),
            *(row[2] for row in self.rows),
            *(len(row[3]) for row in self.rows),
        )
        return b"".join((_HEADER_LENGTH.pack(len(header)), header, index, *(row[3] for row in self.rows)))

    @classmethod
    def decode(cls, data: bytes) -> Batch:
        """Read what ``encode`` wrote; raises ``ValueError`` when the bytes are something else."""
        try:
            (length,) = _HEADER_LENGTH.unpack_from(data)
            start = _HEADER_LENGTH.size + length
            header = orjson.loads(data[_HEADER_LENGTH.size : start])
            if header["v"] != _VERSION or header["columns"] != list(COLUMNS):
                raise ValueError("a batch of another version")
            count, vehicles = header["n"], header["vehicles"]
            index = _index(count)
            numbers = index.unpack_from(data, start)
            places = list(accumulate(numbers[3 * count :], initial=start + index.size))
            if places[-1] != len(data):
                raise ValueError("a batch of another length")
            rows = [
                Row(vehicles[number], t_us, seq, data[a:b])
                for number, t_us, seq, (a, b) in zip(
                    numbers[:count],
                    numbers[count : 2 * count],
                    numbers[2 * count : 3 * count],
                    pairwise(places),
                    strict=True,
                )
            ]
            return cls(rows, UUID(header["id"]))
        except (KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
            raise ValueError(f"not a batch: {error!r}") from error


def copy_data(rows: Iterable[Row]) -> bytes:
    """What a binary COPY of rows sends."""
    return b"".join((COPY_HEADER, *(row[3] for row in rows), COPY_TRAILER))


def _index(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}I{count}q{count}q{count}I")

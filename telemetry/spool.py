"""Records that wait on disk for a database that is away: appended, read in order, kept over a crash."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from telemetry.errors import SpoolInUse

_HEADER = struct.Struct("<II")
"""Length of the record's bytes and their CRC-32."""
_SEGMENT = re.compile(r"^(\d{12})\.spool$")
_MAX_RECORD = 64 * 1024 * 1024


@dataclass(slots=True)
class _Segment:
    """One file; ``records`` are the places and lengths of its whole records not yet forgotten."""

    path: Path
    number: int
    size: int
    records: deque[tuple[int, int]]


def _scan(path: Path) -> tuple[deque[tuple[int, int]], int, int]:
    """Return the whole records of a file, where they end, and how many between were damaged.

    What follows the last whole header and body is a torn write. A length of 0 is never written: zeros are
    what some file systems leave behind after a power cut.
    """
    data = path.read_bytes()
    records: deque[tuple[int, int]] = deque()
    place = damaged = 0
    while place + _HEADER.size <= len(data):
        length, crc = _HEADER.unpack_from(data, place)
        body = place + _HEADER.size
        if not 0 < length <= _MAX_RECORD or body + length > len(data):
            break
        if zlib.crc32(memoryview(data)[body : body + length]) == crc:
            records.append((body, length))
        else:
            damaged += 1
        place = body + length
    return records, place, damaged


class Spool:
    """A first-in first-out queue of byte records in a folder, bounded by ``max_bytes``.

    At the bound ``append`` refuses, so that the oldest are kept. What has been forgotten within a file
    that is not yet used up comes back after a restart: the reader must recognise a record that it has had.
    Not safe for threads, except ``len`` and ``size``: one at a time.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int = 512 * 1024 * 1024, segment_bytes: int = 8 * 1024 * 1024
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._segments: deque[_Segment] = deque()
        self._next_number = 1
        self._size = 0
        self._waiting = 0
        self._tail: BinaryIO | None = None
        self._head: BinaryIO | None = None
        self._lock: BinaryIO | None = None
        self.damaged = 0
        """Records found damaged, and torn ends cut off, when the spool was opened."""

    def __enter__(self) -> Self:
        """Take the folder, and the records that an earlier process left in it.

        Raises ``SpoolInUse`` when another process has it, and ``OSError`` when it cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        for number, path in self._files():
            records, end, damaged = _scan(path)
            self._next_number = number + 1
            self.damaged += damaged + (end < path.stat().st_size)
            if records:
                segment = _Segment(path, number, path.stat().st_size, records)
                self._segments.append(segment)
                self._size += segment.size
                self._waiting += len(records)
            else:
                path.unlink()
        # A new file is begun for new records, so that nothing is ever appended to a torn end.
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the folder go; what is in it stays."""
        for file in (self._tail, self._head, self._lock):
            if file is not None:
                file.close()
        self._tail = self._head = self._lock = None

    def __len__(self) -> int:
        """Return how many records wait."""
        return self._waiting

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._size

    @property
    def max_bytes(self) -> int:
        """The bound of ``size``."""
        return self._max_bytes

    def append(self, record: bytes) -> bool:
        """Write a record so that it survives a crash from here on; ``False`` when there is no room.

        Raises ``OSError`` when the disk refuses; the spool is then as before.
        """
        return self.extend([record]) == 1

    def extend(self, records: Sequence[bytes]) -> int:
        """Write records as ``append`` does, with one wait for the disk; return how many of the first found room."""
        end = 0
        places: list[tuple[int, int]] = []
        pieces: list[bytes] = []
        room = self._max_bytes - self._size
        for record in records:
            if not 0 < len(record) <= _MAX_RECORD:
                raise ValueError(f"a record has 1 to {_MAX_RECORD} bytes, not {len(record)}")
            if end + _HEADER.size + len(record) > room:
                break
            pieces += (_HEADER.pack(len(record), zlib.crc32(record)), record)
            places.append((end + _HEADER.size, len(record)))
            end += _HEADER.size + len(record)
        if places:
            if self._tail is None or self._segments[-1].size >= self._segment_bytes:
                self._begin_segment()
            segment = self._segments[-1]
            self._write_to_tail(b"".join(pieces))
            segment.records.extend((segment.size + place, length) for place, length in places)
            segment.size += end
            self._size += end
            self._waiting += len(places)
        return len(places)

    def peek(self) -> bytes | None:
        """Return the oldest record, ``None`` when none waits. Raises ``OSError``."""
        while self._segments and not self._segments[0].records:
            self._drop_head()
        if not self._segments:
            return None
        if self._head is None:
            self._head = self._segments[0].path.open("rb")
        place, length = self._segments[0].records[0]
        self._head.seek(place)
        return self._head.read(length)

    def forget(self) -> None:
        """Let the oldest record go; a file goes with its last record."""
        self._segments[0].records.popleft()
        self._waiting -= 1
        if not self._segments[0].records:
            self._drop_head()

    def set_aside(self) -> Path:
        """Let the oldest record go into a file of its own, for whoever can read it. Raises ``OSError``."""
        record = self.peek()
        assert record is not None
        path = self._folder / f"{zlib.crc32(record):08x}-{len(record)}.unreadable"
        path.write_bytes(record)
        self.forget()
        return path

    def _files(self) -> list[tuple[int, Path]]:
        found = ((_SEGMENT.match(path.name), path) for path in self._folder.iterdir())
        return sorted((int(match[1]), path) for match, path in found if match)

    def _take_lock(self) -> None:
        lock = (self._folder / "lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise SpoolInUse(f"{self._folder}: another process writes to this spool") from error
        self._lock = lock

    def _begin_segment(self) -> None:
        path = self._folder / f"{self._next_number:012}.spool"
        tail = path.open("xb", buffering=0)
        if self._tail is not None:
            self._tail.close()
        self._tail = tail
        self._segments.append(_Segment(path, self._next_number, 0, deque()))
        self._next_number += 1
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _write_to_tail(self, data: bytes) -> None:
        assert self._tail is not None
        end = self._segments[-1].size
        try:
            written = 0
            while written < len(data):
                written += self._tail.write(data[written:])
            os.fsync(self._tail.fileno())
        except OSError:
            self._tail.truncate(end)
            self._tail.seek(end)
            raise

    def _drop_head(self) -> None:
        segment = self._segments.popleft()
        self._size -= segment.size
        if self._head is not None:
            self._head.close()
            self._head = None
        if not self._segments and self._tail is not None:
            self._tail.close()
            self._tail = None
        segment.path.unlink(missing_ok=True)

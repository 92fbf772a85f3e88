"""The outer form of an OpenStreetMap PBF file: where its blocks are, and whether they are all there.

The form is https://wiki.openstreetmap.org/wiki/PBF_Format: a length, a ``BlobHeader`` and a ``Blob``, repeated. Reading
it here tells a damaged file from a good one before any work, and lets the reader go block by block, so that its
progress is known.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from routing.errors import BadInput

MAX_FILE_BYTES = 512 * 2**20
"""Larger files are refused: the positions of their nodes would not fit the memory of a small machine."""

MAX_HEADER_BYTES = 64 * 2**10
MAX_BLOB_BYTES = 32 * 2**20
"""Bounds of the format's own description."""

PART_BYTES = 4 * 2**20
"""Blocks are read in parts of about this size: few enough for speed, enough of them for a progress bar."""


@dataclass(frozen=True, slots=True)
class PbfFile:
    """A file that is whole from its first block to its last: the header block, and offset and size of the others."""

    path: Path
    header: bytes
    blocks: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """Bytes of data."""
        return sum(size for _, size in self.blocks)

    def parts(self) -> Iterator[bytes]:
        """Yield the blocks in order, several at a time, each time with the header: a small file of its own.

        Raises ``BadInput`` when the file can no longer be read as it was.
        """
        try:
            with self.path.open("rb") as file:
                for offset, size in _joined(self.blocks):
                    file.seek(offset)
                    part = file.read(size)
                    if len(part) != size:
                        raise BadInput(f"{self.path}: was changed while it was read")
                    yield self.header + part
        except OSError as error:
            raise BadInput(f"{self.path}: cannot be read: {error.strerror}") from error


def open_pbf(path: Path) -> PbfFile:
    """Find the blocks of a file.

    Raises ``BadInput`` when the file is missing, no PBF file, longer than ``MAX_FILE_BYTES`` or cut off.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise BadInput(
                f"{path}: {size / 2**20:.0f} MiB; at most {MAX_FILE_BYTES // 2**20} MiB are read: cut out the area"
                " first, for instance with 'osmium extract --bbox'"
            )
        with path.open("rb") as file:
            found = list(_blocks(file, size, path))
            if not found or found[0][0] != b"OSMHeader":
                raise BadInput(f"{path}: not an OpenStreetMap PBF file (.osm.pbf)")
            file.seek(0)
            header = file.read(found[0][2])
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    blocks = tuple((offset, length) for kind, offset, length in found if kind == b"OSMData")
    if not blocks:
        raise BadInput(f"{path}: holds a header and no data")
    return PbfFile(path, header, blocks)


def _joined(blocks: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, int]]:
    """Neighbouring blocks as one span, up to ``PART_BYTES``."""
    start, length = blocks[0]
    for offset, size in blocks[1:]:
        if offset == start + length and length + size <= PART_BYTES:
            length += size
        else:
            yield start, length
            start, length = offset, size
    yield start, length


def _blocks(file: BinaryIO, size: int, path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Kind, offset and whole length of each block."""
    offset = 0
    for number in itertools.count(1):
        if offset == size:
            return
        file.seek(offset, os.SEEK_SET)
        start = file.read(4)
        length = struct.unpack(">I", start)[0] if len(start) == 4 else 0
        if not 0 < length <= MAX_HEADER_BYTES:
            raise BadInput(_broken(path, number, offset, size))
        kind, blob = _blob_header(file.read(length), path)
        if number == 1 and kind != b"OSMHeader":
            raise BadInput(f"{path}: not an OpenStreetMap PBF file (.osm.pbf)")
        whole = 4 + length + blob
        if not 0 <= blob <= MAX_BLOB_BYTES or offset + whole > size:
            raise BadInput(_broken(path, number, offset, size))
        yield kind, offset, whole
        offset += whole


def _broken(path: Path, number: int, offset: int, size: int) -> str:
    if number == 1:
        return f"{path}: not an OpenStreetMap PBF file (.osm.pbf)"
    return f"{path}: damaged or cut off: block {number} at byte {offset} of {size} is not whole; fetch the file again"


def _blob_header(content: bytes, path: Path) -> tuple[bytes, int]:
    """Fields 1 (type) and 3 (datasize) of a ``BlobHeader`` message."""
    kind, blob, at = b"", -1, 0
    try:
        while at < len(content):
            key, at = _varint(content, at)
            value, at = _varint(content, at)
            if key & 7 == 2:
                if key >> 3 == 1:
                    kind = content[at : at + value]
                at += value
            elif key & 7 != 0:
                raise IndexError
            elif key >> 3 == 3:
                blob = value
    except IndexError:
        raise BadInput(f"{path}: not an OpenStreetMap PBF file, or damaged") from None
    return kind, blob


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError

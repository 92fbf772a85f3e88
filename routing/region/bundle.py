"""Regions on disk and on the wire: a folder of two files, or one packed blob.

A folder holds ``region.json`` (everything that people may want to read, and the content hash) and ``rasters.npz``
(terrain, population and layers). A packed region is the same in one piece: ``MAGIC``, the lengths of the JSON and of
the rasters, and a zlib stream of both; its JSON has the rasters' shapes. Equal regions have equal bytes. Reading never
runs what it reads, and sizes are checked before memory is taken.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from routing.errors import BadInput
from routing.region.model import Raster, Region
from routing.region.reading import region_from_json

JSON_NAME, RASTERS_NAME = "region.json", "rasters.npz"
MAGIC = b"TODOKER3"
MAX_PACKED_BYTES = 64 * 1024 * 1024
"""Longer packed regions are refused unread."""
MAX_BYTES = 512 * 1024 * 1024
"""Regions that would be longer than this when unpacked are refused: JSON and rasters together."""

# Bytes of the JSON and of all rasters.
_LENGTHS = struct.Struct("<2I")


def save_bundle(region: Region, folder: Path) -> None:
    """Write a region's bundle; ``folder`` is made if need be. Raises ``OSError``."""
    folder.mkdir(parents=True, exist_ok=True)
    rasters: dict[str, npt.ArrayLike] = dict(region.rasters())
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **rasters)
    data = {"content_hash": region.content_hash()} | region.to_json()
    _replace(folder / RASTERS_NAME, packed.getvalue())
    _replace(folder / JSON_NAME, _readable(data).encode())


def load_bundle(folder: Path) -> Region:
    """Read a bundle's folder. Raises ``BadInput`` naming the file, or the place in it, that is missing or wrong."""
    path = folder / JSON_NAME
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path}: longer than {MAX_BYTES // 2**20} MiB")
        data = _parsed(path.read_bytes(), str(path))
        rasters = _rasters(folder / RASTERS_NAME)
    except FileNotFoundError as error:
        raise BadInput(f"{error.filename}: no such region; make one with 'todoke region sample'") from error
    except OSError as error:
        raise BadInput(f"{error.filename}: cannot be read: {error.strerror}") from error
    known = data.pop("content_hash", None)
    region = _made(data, rasters, str(folder))
    if known != region.content_hash():
        raise BadInput(f"{folder}: {JSON_NAME} and {RASTERS_NAME} do not belong together; make the region again")
    return region


def stated_hash(folder: Path) -> str | None:
    """Return the content hash that a bundle's ``region.json`` says it has; raises ``BadInput``."""
    path = folder / JSON_NAME
    try:
        found = _parsed(path.read_bytes(), str(path)).get("content_hash")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    return found if isinstance(found, str) else None


def pack(region: Region) -> bytes:
    """Return a region as one compressed blob."""
    rasters = region.rasters()
    shapes = {name: list(raster.shape) for name, raster in rasters.items()}
    text = json.dumps(region.to_json() | {"rasters": shapes}, separators=(",", ":"), ensure_ascii=False).encode()
    lengths = _LENGTHS.pack(len(text), sum(raster.nbytes for raster in rasters.values()))
    return MAGIC + lengths + zlib.compress(b"".join((text, *map(_planes, rasters.values()))), 6)


def unpack(blob: bytes) -> Region:
    """Read what ``pack`` returned; raises ``BadInput`` for anything else."""
    start = len(MAGIC) + _LENGTHS.size
    if len(blob) > MAX_PACKED_BYTES:
        raise BadInput(f"packed region: longer than {MAX_PACKED_BYTES // 2**20} MiB")
    if len(blob) < start or not blob.startswith(MAGIC):
        raise BadInput("packed region: not one, or of another version")
    text_length, raster_bytes = _LENGTHS.unpack_from(blob, len(MAGIC))
    total = text_length + raster_bytes
    if total > MAX_BYTES:
        raise BadInput(f"packed region: longer than {MAX_BYTES // 2**20} MiB")
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(memoryview(blob)[start:], total + 1)
    except zlib.error as error:
        raise BadInput(f"packed region: damaged: {error}") from error
    if len(data) != total or not stream.eof or stream.unused_data:
        raise BadInput("packed region: damaged: its length is wrong")
    parsed = _parsed(data[:text_length], "packed region")
    rasters, offset = {}, text_length
    for name, shape in _shapes(parsed.pop("rasters", None), raster_bytes).items():
        end = offset + 4 * shape[0] * shape[1]
        rasters[name] = _from_planes(data[offset:end], shape)
        offset = end
    return _made(parsed, rasters, "packed region")


def _shapes(data: Any, raster_bytes: int) -> dict[str, tuple[int, int]]:
    """The shapes of rasters in sequence, which make up so many bytes."""
    shapes: dict[str, tuple[int, int]] = {}
    for name, shape in data.items() if isinstance(data, dict) else ():
        if not (isinstance(shape, list) and len(shape) == 2 and all(type(side) is int and side > 0 for side in shape)):
            raise BadInput(f"packed region: raster {name[:40]!r} has no shape that can be")
        shapes[name] = (shape[0], shape[1])
    if 4 * sum(rows * columns for rows, columns in shapes.values()) != raster_bytes:
        raise BadInput("packed region: its rasters are of another length than it says")
    return shapes


def load_region(path: Path) -> Region:
    """Read a bundle's folder, its ``region.json``, or a file with a packed region; raises ``BadInput`` naming it."""
    if path.is_dir():
        return load_bundle(path)
    if path.name == JSON_NAME:
        return load_bundle(path.parent)
    try:
        with path.open("rb") as file:
            blob = file.read(MAX_PACKED_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{path}: no such region ({error.strerror}); make one with 'todoke region sample'") from error
    try:
        return unpack(blob)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def _made(data: dict[str, Any], rasters: dict[str, Raster], where: str) -> Region:
    try:
        return region_from_json(data, rasters)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def _parsed(text: bytes, where: str) -> dict[str, Any]:
    try:
        data = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not the JSON of a region: {error}") from error
    if not isinstance(data, dict):
        raise BadInput(f"{where}: must be an object")
    return data


def _readable(data: dict[str, Any]) -> str:
    """JSON with a line for each key, and for each site, zone, obstacle and feature."""

    def plain(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    lines = []
    for key, value in data.items():
        text = (
            f"[\n  {f',{chr(10)}  '.join(map(plain, value))}\n ]" if isinstance(value, list) and value else plain(value)
        )
        lines.append(f" {plain(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_bytes(content)
    new.replace(path)


def _rasters(path: Path) -> dict[str, Raster]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            if sum(entry.file_size for entry in entries.values()) > MAX_BYTES:
                raise BadInput(f"{path}: longer than {MAX_BYTES // 2**20} MiB")
            found = {
                name.removesuffix(".npy"): _array(archive.read(entry), f"{path}: {name.removesuffix('.npy')}")
                for name, entry in entries.items()
            }
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError) as error:
        raise BadInput(f"{path}: damaged: {error}") from error
    if "terrain" not in found:
        raise BadInput(f"{path}: holds no terrain")
    return found


def _array(content: bytes, where: str) -> Raster:
    """Read a NumPy file; the shape that it claims is checked against its length first."""
    file = io.BytesIO(content)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("of another version")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype != np.dtype("<f4") or fortran or len(shape) != 2 or min(shape) < 0:
            raise ValueError("a grid of float32 is needed")
        return np.frombuffer(content[file.tell() :], dtype="<f4").reshape(shape)
    except ValueError as error:
        raise BadInput(f"{where}: {error}") from error


def _planes(raster: Raster) -> bytes:
    """Bits of each row as differences of neighbours, by planes of bytes: half the size that plain floats pack to."""
    bits = raster.view("<u4")
    steps = np.diff(bits, axis=1, prepend=np.uint32(0)).astype("<u4")
    return steps.ravel().view(np.uint8).reshape(-1, 4).T.tobytes()


def _from_planes(content: bytes, shape: tuple[int, int]) -> Raster:
    planes = np.frombuffer(content, dtype=np.uint8).reshape(4, -1)
    steps = np.ascontiguousarray(planes.T).view("<u4").reshape(shape)
    return np.cumsum(steps, axis=1, dtype=np.uint32).astype("<u4").view("<f4")

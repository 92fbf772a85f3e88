"""Regions on disk and on the wire: a folder of two files, or one packed blob.

A folder holds ``region.json`` (everything that people may want to read, and the content hash) and ``rasters.npz``
(terrain and population). A packed region is the same in one piece: ``MAGIC``, five lengths, and a zlib stream of
the JSON and the rasters. Equal regions have equal bytes. Reading never runs what it reads, and sizes are checked
before memory is taken.
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
MAGIC = b"TODOKER2"
MAX_PACKED_BYTES = 64 * 1024 * 1024
"""Longer packed regions are refused unread."""
MAX_BYTES = 512 * 1024 * 1024
"""Regions that would be longer than this when unpacked are refused: JSON and rasters together."""

# JSON bytes, then rows and columns of terrain and of population (0, 0 without one).
_LENGTHS = struct.Struct("<5I")


def save_bundle(region: Region, folder: Path) -> None:
    """Write a region's bundle; ``folder`` is made if need be. Raises ``OSError``."""
    folder.mkdir(parents=True, exist_ok=True)
    rasters: dict[str, npt.ArrayLike] = {"terrain": region.terrain.heights}
    if region.population is not None:
        rasters["population"] = region.population.persons
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
        terrain, population = _rasters(folder / RASTERS_NAME)
    except FileNotFoundError as error:
        raise BadInput(f"{error.filename}: no such region; make one with 'todoke region sample'") from error
    except OSError as error:
        raise BadInput(f"{error.filename}: cannot be read: {error.strerror}") from error
    known = data.pop("content_hash", None)
    region = _made(data, terrain, population, str(folder))
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
    population = None if region.population is None else region.population.persons
    text = json.dumps(region.to_json(), separators=(",", ":"), ensure_ascii=False).encode()
    terrain = region.terrain.heights
    lengths = _LENGTHS.pack(len(text), *terrain.shape, *((0, 0) if population is None else population.shape))
    rasters = [_planes(raster) for raster in (terrain, population) if raster is not None]
    return MAGIC + lengths + zlib.compress(b"".join((text, *rasters)), 6)


def unpack(blob: bytes) -> Region:
    """Read what ``pack`` returned; raises ``BadInput`` for anything else."""
    start = len(MAGIC) + _LENGTHS.size
    if len(blob) > MAX_PACKED_BYTES:
        raise BadInput(f"packed region: longer than {MAX_PACKED_BYTES // 2**20} MiB")
    if len(blob) < start or not blob.startswith(MAGIC):
        raise BadInput("packed region: not one, or of another version")
    text_length, *shapes = _LENGTHS.unpack_from(blob, len(MAGIC))
    cells = (shapes[0] * shapes[1], shapes[2] * shapes[3])
    total = text_length + 4 * sum(cells)
    if total > MAX_BYTES:
        raise BadInput(f"packed region: longer than {MAX_BYTES // 2**20} MiB")
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(memoryview(blob)[start:], total + 1)
    except zlib.error as error:
        raise BadInput(f"packed region: damaged: {error}") from error
    if len(data) != total or not stream.eof or stream.unused_data:
        raise BadInput("packed region: damaged: its length is wrong")
    middle = text_length + 4 * cells[0]
    terrain = _from_planes(data[text_length:middle], (shapes[0], shapes[1]))
    population = _from_planes(data[middle:], (shapes[2], shapes[3])) if cells[1] else None
    return _made(_parsed(data[:text_length], "packed region"), terrain, population, "packed region")


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


def _made(data: dict[str, Any], terrain: Raster, population: Raster | None, where: str) -> Region:
    try:
        return region_from_json(data, heights=terrain, persons=population)
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


def _rasters(path: Path) -> tuple[Raster, Raster | None]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            if sum(entry.file_size for entry in entries.values()) > MAX_BYTES:
                raise BadInput(f"{path}: longer than {MAX_BYTES // 2**20} MiB")
            found = {
                name: _array(archive.read(entries[f"{name}.npy"]), f"{path}: {name}")
                for name in ("terrain", "population")
                if f"{name}.npy" in entries
            }
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError) as error:
        raise BadInput(f"{path}: damaged: {error}") from error
    if "terrain" not in found:
        raise BadInput(f"{path}: holds no terrain")
    return found["terrain"], found.get("population")


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

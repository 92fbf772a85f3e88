"""Japan's census by mesh (e-Stat): persons and age bands in each mesh, and where in it they live.

The files are the text tables of e-Stat's statistical GIS, as they come (``.zip`` or ``.txt``): the first line names
the columns, the second labels them, ``KEY_CODE`` is the mesh (``routing.region.mesh``).

Of a mesh with few persons only their number is published (``HTKSYORI`` 2, ``*`` in the other columns); everything
else is added to that of a mesh nearby (``HTKSYORI`` 1; the first names the second in ``HTKSAKI``). Such a sum is
divided again between the meshes that it is of, in proportion to their persons: totals stay true, and nobody counts
twice.

Tables are by first-order mesh, or by prefecture: of a mesh on the border these have the prefecture's part alone. A
table by mesh has the last word on a mesh; parts of several prefectures are added.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from routing.errors import BadInput
from routing.region.mesh import MeshLevel, mesh_corners
from routing.region.notes import ImportNotes
from routing.region.osm import clean

Floats = npt.NDArray[np.float64]

MAX_BYTES = 64 * 2**20
"""A file that is, or unpacks to, more is refused: all of Japan at 1 km is half of it."""

HIDDEN = "*"
_NONE = {"", "-", "－", "0"}
_TOTAL = re.compile(r"人口(\(総数\)|総数)?(総数)?")
_BAND = re.compile(r"(?:(\d+)[~〜～-](\d+)歳|(\d+)歳以上)人口(総数)?")
_WANTED = ("0-14", "15-64", "65+", "75+")


@dataclass(frozen=True, slots=True, eq=False)
class Census:
    """Persons by mesh. ``rows`` and ``columns`` are of the south-west corners (``mesh_units``); ``bands`` by name."""

    level: MeshLevel
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    persons: Floats
    bands: dict[str, Floats]


@dataclass(frozen=True, slots=True)
class _Table:
    """One table: its meshes with their figures, and whether they are whole or a prefecture's part."""

    where: str
    whole: bool
    figures: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class _Cell:
    """One line: its values in the sequence of the table's columns; None: kept secret."""

    code: str
    where: str
    merged_into: str
    values: dict[str, float | None]


def read_census(files: Sequence[Path], notes: ImportNotes) -> Census:
    """Read tables of one mesh size; a mesh that several have counts once, or is put together from its parts.

    Raises ``BadInput`` that names the file, the line and the column.
    """
    tables = [table for path in files for table in _tables(path, notes)]
    meshes = _put_together(tables)
    if not meshes:
        raise BadInput(f"--population {', '.join(map(str, files))}: there is no mesh in it")
    rows, columns, level = mesh_corners(list(meshes))
    names = [name for name in _WANTED if all(name in figures for figures in meshes.values())]
    taken = {name: np.array([figures[name] for figures in meshes.values()]) for name in ("persons", *names)}
    notes.counts["census meshes"] = len(meshes)
    return Census(level, rows, columns, taken.pop("persons"), taken)


def _put_together(tables: Sequence[_Table]) -> dict[str, dict[str, float]]:
    """The figures of each mesh. Equal parts are one table that was given twice."""
    whole: dict[str, dict[str, float]] = {}
    parts: dict[str, list[dict[str, float]]] = defaultdict(list)
    for table in tables:
        for code, figures in table.figures.items():
            if table.whole:
                whole.setdefault(code, figures)
            elif figures not in parts[code]:
                parts[code].append(figures)
    added = {
        code: {name: sum(part[name] for part in of_one) for name in of_one[0] if all(name in part for part in of_one)}
        for code, of_one in parts.items()
    }
    return added | whole


def _tables(path: Path, notes: ImportNotes) -> Iterator[_Table]:
    for where, listed in _texts_of(path):
        cells = {cell.code: cell for cell in listed}
        if len(cells) < len(listed):
            twice = next(cell for i, cell in enumerate(listed) if any(cell.code == c.code for c in listed[:i]))
            raise BadInput(f"{twice.where}: mesh {twice.code} is there twice")
        if cells:
            names = [name for name in ("persons", *_WANTED) if name in listed[0].values]
            figures = _divided(cells, names, notes)
            rows = (
                dict(zip(names, row, strict=True)) for row in zip(*(figures[n].tolist() for n in names), strict=True)
            )
            by_mesh = len({code[:4] for code in cells}) == 1
            yield _Table(where, by_mesh, dict(zip(cells, rows, strict=True)))


def _divided(cells: Mapping[str, _Cell], names: Sequence[str], notes: ImportNotes) -> dict[str, Floats]:
    """The columns, with sums over merged meshes divided between them."""
    number = {code: i for i, code in enumerate(cells)}
    members: dict[str, list[int]] = defaultdict(list)
    for code, cell in cells.items():
        if cell.merged_into:
            members[cell.merged_into].append(number[code])
    figures = {name: np.array([_known(cell.values[name]) for cell in cells.values()]) for name in names}
    notes.counts["census meshes merged for secrecy"] += sum(map(len, members.values()))
    alone = [i for host, group in members.items() if host not in number for i in group]
    for name in names:
        values = figures[name]
        for host, group in members.items():
            hidden = [i for i in group if np.isnan(values[i])]
            if host in number and hidden:
                share = [number[host], *hidden]
                persons = np.nan_to_num(figures["persons"][share])
                if name == "persons" or not persons.sum():
                    persons = np.ones(len(share))
                values[share] = np.nan_to_num(values[share[0]]) * persons / persons.sum()
        unknown = np.isnan(values)
        if unknown.any():
            # Their sum is in another file: they are taken to be as everybody else here is.
            everybody = figures["persons"]
            counted = float(everybody[~unknown].sum())
            mean = 0.0 if name == "persons" or not counted else float(values[~unknown].sum()) / counted
            values[unknown] = mean * everybody[unknown]
    if alone:
        notes.warn(
            f"the figures of {len(alone)} meshes were added to meshes that the files do not hold: their ages are taken"
            " to be those of the others"
        )
    return figures


def _known(value: float | None) -> float:
    return np.nan if value is None else value


def _texts_of(path: Path) -> Iterator[tuple[str, list[_Cell]]]:
    for name, content in _texts(path):
        where = f"--population {path}" + (f": {name}" if name != path.name else "")
        text = _decoded(content, where)
        first = text.partition("\n")[0]
        reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in first else ",", strict=True)
        try:
            yield where, list(_cells(reader, where))
        except csv.Error as error:
            raise BadInput(f"{where}: line {reader.line_num}: not a table: {error}") from error


def _texts(path: Path) -> Iterator[tuple[str, bytes]]:
    """The tables in a file, with their names."""
    try:
        if path.suffix.lower() != ".zip":
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise BadInput(f"--population {path}: larger than {MAX_BYTES // 2**20} MiB")
            yield path.name, content
            return
        with zipfile.ZipFile(path) as archive:
            entries = [e for e in archive.infolist() if e.filename.lower().endswith((".txt", ".csv"))]
            entries = [e for e in entries if "__MACOSX" not in e.filename]
            if not entries:
                raise BadInput(f"--population {path}: no .txt and no .csv in it")
            if sum(e.file_size for e in entries) > MAX_BYTES:
                raise BadInput(f"--population {path}: unpacks to more than {MAX_BYTES // 2**20} MiB")
            for entry in sorted(entries, key=lambda e: e.filename):
                yield entry.filename, archive.read(entry)
    except OSError as error:
        raise BadInput(f"--population {path}: cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"--population {path}: a damaged zip file: {error}") from error


def _decoded(content: bytes, where: str) -> str:
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BadInput(f"{where}: neither Shift_JIS (cp932) nor UTF-8")


def _cells(reader: Iterator[list[str]], where: str) -> Iterator[_Cell]:
    header = [cell.strip().upper() for cell in next(reader, [])]
    if "KEY_CODE" not in header:
        raise BadInput(f"{where}: line 1: not a census table of e-Stat: the column KEY_CODE is missing")
    labels = next(reader, [])
    code_at = header.index("KEY_CODE")
    if len(labels) != len(header) or labels[code_at].strip():
        raise BadInput(f"{where}: line 2: must label the columns, as the tables of e-Stat do, and has no KEY_CODE")
    columns = _columns(labels)
    if "persons" not in columns:
        raise BadInput(f"{where}: line 2: no column is labelled as the total population (人口総数)")
    into_at = header.index("HTKSAKI") if "HTKSAKI" in header else None
    for number, row in enumerate(reader, start=3):
        if not any(cell.strip() for cell in row):
            continue
        place = f"{where}: line {number}"
        if len(row) != len(header):
            raise BadInput(f"{place}: {len(row)} cells; line 1 has {len(header)} columns")
        code = row[code_at].strip()
        try:
            mesh_corners([code])
        except BadInput as error:
            raise BadInput(f"{place}: KEY_CODE: {error}") from None
        into = row[into_at].strip() if into_at is not None else ""
        values = {name: _value(row[at], f"{place}: column {header[at]}") for name, at in columns.items()}
        yield _Cell(code, place, into, values)


def _columns(labels: Sequence[str]) -> dict[str, int]:
    """Where the persons and the bands are, by their labels; those of one sex are not taken."""
    found: dict[str, int] = {}
    for at, label in enumerate(labels):
        text = re.sub(r"\s", "", unicodedata.normalize("NFKC", label))
        band = _BAND.fullmatch(text)
        if band is not None:
            name = f"{band[3]}+" if band[3] else f"{band[1]}-{band[2]}"
            if name in _WANTED:
                found.setdefault(name, at)
        elif text and _TOTAL.fullmatch(text):
            found.setdefault("persons", at)
    return found


def _value(text: str, where: str) -> float | None:
    text = text.strip()
    if text == HIDDEN:
        return None
    if text in _NONE:
        return 0.0
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", text) or not text.isascii():
        raise BadInput(f"{where}: {clean(text)[:40]!r} is not a number of persons")
    return float(text)

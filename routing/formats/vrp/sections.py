"""The specifications and sections of a VRPLIB file, read with their places so that errors can name them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from routing.errors import BadInput
from routing.formats.vrp.data import MAX_NUMBER, number, whole
from routing.search.model import Floats


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a section; ``place`` names file and line."""

    place: str
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class Sections:
    """A file, split. ``specifications``: value and place by key; ``rows`` by section, without ``_SECTION``."""

    where: str
    specifications: Mapping[str, tuple[str, str]]
    rows: Mapping[str, Sequence[Row]]
    notes: tuple[str, ...]

    def specification(self, key: str, default: str) -> str:
        """A specification's text."""
        return self.specifications.get(key, (default, ""))[0] or default

    def number(self, key: str, default: float, *, least: float = -MAX_NUMBER) -> float:
        """A specification that is a number."""
        if key not in self.specifications:
            return default
        text, place = self.specifications[key]
        return number(text, f"{place}: {key}", least=least)

    def whole(self, key: str, *, least: int, most: int, default: int | None = None) -> int:
        """A specification that is a whole number; ``BadInput`` where it is missing and has no default."""
        if key not in self.specifications:
            if default is None:
                raise BadInput(f"{self.where}: {key} is missing")
            return default
        text, place = self.specifications[key]
        return whole(text, f"{place}: {key}", least=least, most=most)

    def table(self, key: str, length: int, columns: int, *, least: float = -MAX_NUMBER) -> Floats:
        """A section with a row for each of ``1 .. length``, in any sequence; shape ``(length, columns)``."""
        values = np.full((length, columns), math.nan)
        for index, row in self._numbered(key, length):
            if len(row.words) != columns + 1:
                raise BadInput(f"{row.place}: {key}_SECTION: an index and {columns} numbers are needed")
            values[index] = [number(word, f"{row.place}: {key}_SECTION", least=least) for word in row.words[1:]]
        return values

    def by_place(self, key: str, length: int, default: float) -> Floats:
        """A section with one number from 0 on for each place; ``default`` for all where it is missing."""
        if key not in self.rows:
            return np.full(length, default)
        return self.table(key, length, 1, least=0.0)[:, 0]

    def by_vehicle(self, key: str, vehicles: int, default: float) -> Floats:
        """Numbers from 0 on by vehicle: a section, one number for all in a specification, or the default."""
        if key in self.rows:
            if key in self.specifications:
                raise BadInput(f"{self.where}: {key} is there both as specification and as section")
            return self.table(key, vehicles, 1, least=0.0)[:, 0]
        return np.full(vehicles, self.number(key, default, least=0.0))

    def lists(self, key: str, length: int, most: int) -> list[tuple[int, ...]] | None:
        """A section with a list of whole numbers in ``1 .. most`` for each of ``1 .. length``, if it is there."""
        if key not in self.rows:
            return None
        lists: list[tuple[int, ...]] = [()] * length
        for index, row in self._numbered(key, length):
            where = f"{row.place}: {key}_SECTION"
            lists[index] = tuple(whole(word, where, least=1, most=most) for word in row.words[1:])
        return lists

    def _numbered(self, key: str, length: int) -> list[tuple[int, Row]]:
        """Rows with their index from 0; all of ``1 .. length`` must be there, once each."""
        seen: dict[int, Row] = {}
        for row in self.rows[key]:
            index = whole(row.words[0], f"{row.place}: {key}_SECTION: index", least=1, most=length) - 1
            if index in seen:
                raise BadInput(f"{row.place}: {key}_SECTION: {index + 1} comes twice")
            seen[index] = row
        if len(seen) != length:
            missing = next(index for index in range(length) if index not in seen)
            raise BadInput(f"{self.where}: {key}_SECTION: {len(seen)} rows of {length}; {missing + 1} is missing")
        return list(seen.items())

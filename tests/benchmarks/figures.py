"""A measured figure beside that of its peer, and how figures are shown and kept."""

from __future__ import annotations

import json
import operator
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

_COMPARE = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Figure:
    """A value in ``unit`` and, of a peer or floor measured in the same run, the peer's.

    ``ratio`` is value / peer_value; ``aim`` is ``<= n`` or ``>= n`` and is about the ratio where there is
    one, else about the value. An empty aim is no aim.
    """

    name: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    aim: str = ""

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of the peer's."""
        return self.value / self.peer_value if self.peer_value else None

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; ``None`` without one."""
        if not self.aim:
            return None
        sign, bound = self.aim.split()
        return bool(_COMPARE[sign](self.value if self.ratio is None else self.ratio, float(bound)))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def show(figures: Sequence[Figure]) -> None:
    """Print figures as a table."""
    table = Table("figure", "value", "unit", "peer", "peer value", "ratio", "aim", "met")
    for figure in figures:
        met = {None: "", True: "yes", False: "NO"}[figure.met]
        table.add_row(
            *(figure.name, _number(figure.value), figure.unit, figure.peer),
            *(_number(figure.peer_value), _number(figure.ratio), figure.aim, met),
        )
    Console(width=140).print(table)


def keep(figures: Sequence[Figure], path: Path) -> None:
    """Write figures, replacing those of the same name that an earlier run left there."""
    names = {figure.name for figure in figures}
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    entries = [entry for entry in earlier if entry["name"] not in names]
    entries += [asdict(figure) | {"ratio": figure.ratio} for figure in figures]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")

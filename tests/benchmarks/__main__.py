"""Run the benchmarks: ``python -m tests.benchmarks [name ...]``; each is a module here with ``measure()``."""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from pathlib import Path

from tests.benchmarks.figures import Figure, keep, show

_NOT_BENCHMARKS = {"__main__", "figures"}
_RESULTS = Path("build") / "bench.json"


def main(wanted: list[str]) -> int:
    """Run the benchmarks named, or all; 2 for a name that there is not."""
    known = {module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])} - _NOT_BENCHMARKS
    if unknown := set(wanted) - known:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in sorted(wanted or known):
        print(f"{name} ...", flush=True)
        figures += import_module(f"tests.benchmarks.{name}").measure()
        keep(figures, _RESULTS)  # so that a later one's failure does not lose it
    show(figures)
    return 0


sys.exit(main(sys.argv[1:]))

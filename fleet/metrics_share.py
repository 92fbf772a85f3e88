"""Where the processes of one machine keep their metrics, so that one address gives those of all.

This is prometheus_client's multiprocess mode with two changes. Files carry the name of the process ("gateway-1")
instead of its number, so that a restarted process goes on counting where it was and crashes never heap up files;
and a process holds a lock for as long as it lives, which the kernel takes back whatever it dies of: gauges of the
dead are seen by that, and not shown.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog
from prometheus_client import values
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from fleet.errors import StartFailed
from fleet.places import hold, holder_of

_LOG = structlog.get_logger()

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
FILE_BYTES = {"counter": 1 << 17, "histogram": 1 << 20, "gauge_livesum": 1 << 16}
"""Room made in advance for each kind of metric: a page that a full disk cannot give is a fatal signal later.
The api's histograms need the most, about 4 kB a route."""

LOCK_TRIES = 5
LOCK_PAUSE_S = 0.02


@dataclass(slots=True)
class _Own:
    """This process's part: its name, and the lock that says that it lives."""

    name: str = "local"
    lock: IO[str] | None = None
    shared: bool = False


_own = _Own()


def own_name() -> str:
    """Return the name under which this process counts."""
    return _own.name


def is_shared() -> bool:
    """Whether the other processes can read what this one counts."""
    return _own.shared


def folder_of(home: Path) -> Path:
    """Return the folder of the metrics of the service of ``home``."""
    return home / "run" / "metrics"


def clear(home: Path) -> None:
    """Forget everything: for the supervisor, before it starts the first process."""
    with suppress(OSError):
        shutil.rmtree(folder_of(home))


def share(home: Path, name: str) -> bool:
    """Let the metrics of this process be read by the others; to be called before ``fleet.metrics`` is imported.

    Returns whether it worked. Without room on the disk, or under a name that is in use, the process counts for
    itself alone: what is only counted must not stop what is done.
    """
    folder = folder_of(home)
    _own.name = re.sub(r"[^A-Za-z0-9.-]", "-", name)
    values.ValueClass = values.MutexValue
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _own.lock = _hold(folder / f"{_own.name}.lock", f"the name {name!r}")
        mark_process_dead(_own.name, str(folder))
        for kind, size in FILE_BYTES.items():
            _make_room(folder / f"{kind}_{_own.name}.db", size)
    except (OSError, StartFailed) as error:
        _LOG.warning("metrics are not shared", name=name, why=str(error))
        return False
    os.environ[FOLDER_VARIABLE] = str(folder)
    values.ValueClass = values.MultiProcessValue(own_name)
    _own.shared = True
    return True


def _hold(file: Path, what: str) -> IO[str]:
    """Take the lock. Who looks whether we live holds it for an instant."""
    for _ in range(LOCK_TRIES - 1):
        with suppress(StartFailed):
            return hold(file, what)
        time.sleep(LOCK_PAUSE_S)
    return hold(file, what)


def _make_room(file: Path, size: int) -> None:
    """Reserve the file's bytes on the disk; one that cannot be read is begun anew."""
    if file.exists():
        try:
            for _ in MmapedDict.read_all_values_from_file(str(file)):
                pass
        except Exception as error:  # whatever its bytes are taken for
            _LOG.warning("metrics begun anew", file=file.name, why=repr(error))
            file.unlink()
    if file.exists():
        return
    # Whole at once: somebody may be reading.
    begun = file.with_suffix(".begun")
    with begun.open("wb") as opened:
        os.posix_fallocate(opened.fileno(), 0, size)
    begun.rename(file)


class SharedMetrics:
    """A collector of what all processes of ``home`` count, those of dead ones without their gauges."""

    def __init__(self, home: Path) -> None:
        self._folder = folder_of(home)

    def collect(self) -> Iterable[Metric]:
        """Read the files of all processes."""
        found: Iterable[Metric] = MultiProcessCollector.merge([str(file) for file in self._files()])
        return found

    def _files(self) -> list[Path]:
        found = sorted(self._folder.glob("*.db"))
        names = {_name_of(file) for file in found}
        living = {name for name in names if holder_of(self._folder / f"{name}.lock") is not None}
        return [file for file in found if not file.name.startswith("gauge_") or _name_of(file) in living]


def _name_of(file: Path) -> str:
    return file.stem.rpartition("_")[2]

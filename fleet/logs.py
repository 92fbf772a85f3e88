"""Logs: JSON lines in a bounded set of files, short lines for people on the console."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TextIO

import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
MAX_CONSOLE_LINE = 400
_HIDDEN = frozenset({"event", "level", "timestamp", "logger", "exception"})


def configure(level: str) -> None:
    """Write this process's logs, those of libraries too, as JSON lines to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False, default=str)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=max(LEVELS[level], logging.INFO), handlers=[handler], force=True)


class LogFile:
    """A log of at most ``files`` files of about ``max_bytes`` each; the oldest lines are dropped.

    A line that cannot be written (disk full) is dropped: the service goes on without logs rather than stop.
    """

    def __init__(self, path: Path, *, max_bytes: int = 10_000_000, files: int = 5) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._files = files
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        path.chmod(0o600)

    def write(self, line: bytes) -> None:
        """Append one line, without its line end."""
        try:
            if self._file.tell() + len(line) >= self._max_bytes:
                self._rotate()
            self._file.write(line + b"\n")
            self._file.flush()
        except (OSError, ValueError):
            return

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._files - 1, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        self._file = self.path.open("ab")
        self.path.chmod(0o600)

    def _numbered(self, number: int) -> Path:
        return self.path if number == 0 else self.path.with_name(f"{self.path.name}.{number}")

    def close(self) -> None:
        """Close the file; later lines are dropped."""
        self._file.close()


class Console:
    """Short lines for people: time, who, what happened."""

    def __init__(self, stream: TextIO | None = None, *, level: str = "info") -> None:
        self._stream = stream or sys.stderr
        self._level = LEVELS[level]

    def line(self, name: str, raw: bytes) -> None:
        """Show a line that a child wrote, when it is a log entry."""
        try:
            entry = json.loads(raw)
        except ValueError:
            return
        if isinstance(entry, dict):
            self.show(name, entry)

    def show(self, name: str, entry: Mapping[str, object]) -> None:
        """Show a log entry, when it is of the level or above."""
        level = str(entry.get("level", ""))
        if LEVELS.get(level, 0) < self._level:
            return
        mark = "" if level in ("info", "debug") else f"{level.upper()} "
        rest = " ".join(f"{key}={value}" for key, value in entry.items() if key not in _HIDDEN)
        at = datetime.now().astimezone().strftime("%H:%M:%S")
        try:
            print(f"{at} {name:<10} {mark}{entry.get('event', '')} {rest}".rstrip(), file=self._stream)
        except (OSError, ValueError):
            return  # the terminal has gone; the service has not

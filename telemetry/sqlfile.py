"""SQL in files: each statement follows a line ``-- name: the_name`` and is known by that name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import LiteralString, cast

from telemetry.errors import TelemetryError

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)


@cache
def statements(package: str, filename: str) -> Mapping[str, LiteralString]:
    """Return the statements of a package's ``.sql`` file by name.

    Raises ``TelemetryError`` when the file is not there, has text before the first name, or uses a name
    twice.
    """
    try:
        text = (resources.files(package) / filename).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise TelemetryError(f"{package}/{filename}: no such SQL file") from error
    head, *rest = _NAME.split(text)
    if re.sub(r"^--.*$", "", head, flags=re.MULTILINE).strip():
        raise TelemetryError(f"{package}/{filename}: text before the first '-- name:' line")
    found: dict[str, LiteralString] = {}
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        if name in found:
            raise TelemetryError(f"{package}/{filename}: the name {name} is used twice")
        # The package's own files are as trustworthy as its code.
        found[name] = cast(LiteralString, body.strip().rstrip(";"))
    return found

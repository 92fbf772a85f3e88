"""Keys with which MAVLink is signed: one file each, beside the service's other secrets, and nowhere else.

A vehicle's registration names its key; the database, logs, backups and reports never hold it. Every machine on which
gateways run needs the file.
"""

from __future__ import annotations

import re
import secrets
import stat
from pathlib import Path

from fleet.errors import BadRequest, Conflict, StartFailed
from fleet.places import write_private
from hardware.mavlink.signing import KEY_BYTES

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_HEX = re.compile(rf"[0-9a-fA-F]{{{2 * KEY_BYTES}}}")


def file_of(home: Path, name: str) -> Path:
    """Return where the key of a name lies; raises ``BadRequest`` for what is no name."""
    if not NAME.fullmatch(name):
        raise BadRequest("key: 1 to 63 letters, digits or _ - are needed, beginning with a letter or digit")
    return home / "secrets" / "mavlink" / f"{name}.key"


def make(home: Path, name: str) -> Path:
    """Make a key of 32 random bytes, as 64 hexadecimal digits that only the service's user reads; return its file.

    Raises ``Conflict`` when there is one of that name: a vehicle would not understand us any more.
    """
    file = file_of(home, name)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.exists():
        raise Conflict(f"there is a key {name!r} already: {file}")
    write_private(file, secrets.token_hex(KEY_BYTES) + "\n")
    return file


def read(home: Path, name: str) -> bytes:
    """Return a key. Raises ``StartFailed`` where it is missing, malformed, or to be read by other users."""
    file = file_of(home, name)
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise StartFailed(f"signing key {name!r}: {file} cannot be read ({error.strerror})") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StartFailed(f"signing key {name!r}: other users can read {file}; chmod 600 it, and make a new key")
    if not _HEX.fullmatch(text):
        raise StartFailed(f"signing key {name!r}: {file} must hold {2 * KEY_BYTES} hexadecimal digits")
    return bytes.fromhex(text)

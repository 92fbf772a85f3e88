"""Where the service keeps files, and as whom it runs what must not run as root."""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import IO

from fleet.child import User, run
from fleet.errors import StartFailed

# For root, whose own folders no other user may enter: where servers keep data and binaries instead.
SHARED = Path("/var/lib/todoke")


def make_home(home: Path) -> Path:
    """Create the home folder if it is not there, and return its absolute path.

    For root it can be entered (not listed) by others, since servers run as an unprivileged user.
    """
    home = home.expanduser().absolute()
    try:
        if not home.exists():
            home.mkdir(parents=True, mode=0o711 if os.geteuid() == 0 else 0o700)
        for name in ("run", "logs", "secrets"):
            (home / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StartFailed(f"{home}: cannot be used as home ({error.strerror}); set TODOKE_HOME") from error
    if not os.access(home / "run", os.W_OK):
        raise StartFailed(f"{home}: belongs to another user; set TODOKE_HOME to a folder of your own")
    return home


def unprivileged(home: Path) -> User | None:
    """Return the user that servers run as: ``None`` (ourselves), or for root the home's owner or ``nobody``."""
    if os.geteuid() != 0:
        return None
    owner = home.stat()
    if owner.st_uid != 0:
        return User(owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise StartFailed("the machine has no user 'nobody': run Todoke as another user than root") from error
    return User(entry.pw_uid, entry.pw_gid)


def can_enter(path: Path, user: User | None) -> bool:
    """Whether ``user`` gets at a folder or a program, which every folder above it decides as well."""
    if user is None:
        return os.access(path, os.X_OK)
    return run(["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)], user=user).returncode == 0


def shared_folder(*, temporary: bool) -> Path:
    """Return a folder that other users can enter (root only)."""
    if temporary:
        # Not TMPDIR, which may itself be private to root.
        folder = Path(tempfile.mkdtemp(prefix="todoke-", dir="/tmp"))
        folder.chmod(0o711)
        return folder
    try:
        SHARED.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise StartFailed(f"{SHARED}: {error.strerror}; set TODOKE_HOME to a folder that others can enter") from error
    return SHARED


def give(path: Path, user: User | None) -> None:
    """Make ``user`` the owner of a file or folder."""
    if user:
        os.chown(path, user.uid, user.gid)


def write_private(path: Path, text: str, user: User | None = None) -> None:
    """Replace a file, whole or not at all, by one that only its owner reads."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        give(new, user)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def secret(path: Path) -> tuple[str, bool]:
    """Return the password kept in a file, and whether it was made just now."""
    try:
        kept = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        kept = ""
    if kept:
        return kept, False
    made = secrets.token_hex(24)
    write_private(path, made + "\n")
    return made, True


def remove_home(home: Path) -> None:
    """Delete a home that is not in use, with the data that lie elsewhere (see ``EmbeddedPostgres``)."""
    data = home / "postgres"
    if data.is_symlink():
        place = data.readlink().parent
        if place.parent == SHARED and place.name.startswith("data-"):
            shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


MAY_SHARE_PORT = hasattr(socket, "SO_REUSEPORT")
"""Whether several processes can listen on one port. Linux spreads connections over them; macOS lets them share the port
and gives new connections to one of them; Windows has no such thing."""


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that was free a moment ago; who uses it must be ready to find it taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def hold(path: Path, what: str) -> IO[str]:
    """Take a lock that ends with this process, or when the returned file is closed.

    Raises ``StartFailed`` that names ``what`` and the process that has it.
    """
    file = path.open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "another one"
        file.close()
        raise StartFailed(f"{what} is in use by process {holder}: stop that, or use another TODOKE_HOME") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def holder_of(path: Path) -> int | None:
    """Return the process that holds a lock, ``None`` when nobody does."""
    try:
        with path.open("r", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                text = file.read().strip()
                return int(text) if text.isdigit() else 0
    except FileNotFoundError:
        pass
    return None

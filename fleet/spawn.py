"""Start a program that dies with its parent, perhaps as another user.

Run as a file (``python -I -S spawn.py PARENT UID:GID DEATH_SIGNAL PROGRAM [ARGUMENT...]``), so that nothing
but the standard library is loaded, and that no Python runs between ``fork`` and ``exec`` of the service.
``UID:GID`` is ``-`` for the same user. Exit status 126: the program could not be started.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

# Loaded before the change of user, who may not get at this Python's files.
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1
CANNOT_START = 126


def die_with_parent(parent: int, death_signal: int = signal.SIGKILL) -> None:
    """Have the kernel send ``death_signal`` to this process when the thread that started it ends (Linux).

    Ends the process at once when ``parent`` has died before. Elsewhere than on Linux it only does the latter.
    """
    if LIBC:
        LIBC.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def become(uid: int, gid: int) -> None:
    """Give up this user's rights for those of another, for good. Raises ``OSError`` when that is not allowed."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    # The working directory may be one that the other user cannot enter.
    os.chdir("/")


def main(arguments: list[str]) -> None:
    """Set up this process as the arguments say, and become the program."""
    parent, user, death_signal, *program = arguments
    try:
        if user != "-":
            uid, gid = user.split(":")
            become(int(uid), int(gid))
            os.umask(0o077)
        # After the change of user, which would clear it.
        die_with_parent(int(parent), int(death_signal))
        os.execvp(program[0], program)  # noqa: S606 - starting a program is what this file is for
    except OSError as error:
        print(f"cannot start {program[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Compilation of the search's inner loops to machine code, kept on disk where a folder can be written."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_HERE = Path(__file__).parent
_PREFIX = "search-"
_OLD_S = 86_400.0


def _digest() -> str:
    # numba keeps a function's code until its own file changes, even when a function that it calls has changed
    # elsewhere. A folder named after all the sources cannot go stale that way.
    content = hashlib.sha256()
    for source in sorted(_HERE.glob("*.py")):
        content.update(source.read_bytes())
    return content.hexdigest()[:16]


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f".trial-{os.getpid()}"
        trial.write_bytes(b"")
        trial.unlink()
    except OSError:
        return False
    return True


def _forget_old(root: Path, name: str) -> None:
    # Another version may be at work with its own folder, even compiling into it: only what is long unused goes.
    for old in root.glob(_PREFIX + "*"):
        with suppress(OSError):
            if old.name != name and time.time() - old.stat().st_mtime > _OLD_S:
                shutil.rmtree(old, ignore_errors=True)


def _cache_folder() -> Path | None:
    """The first folder of these that can be written: the package's, the user's; ``None``: no cache."""
    name = _PREFIX + _digest()
    roots = [_HERE / "__pycache__"]
    with suppress(RuntimeError):
        roots.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "todoke")
    for root in roots:
        if _usable(root / name):
            _forget_old(root, name)
            return root / name
    return None


_FOLDER = _cache_folder()


def compiled(function: F) -> F:
    """``function`` as machine code that releases the interpreter lock; it may neither allocate nor keep arrays.

    Without reference counts (``_nrt=False``) threads that share a model's arrays do not slow each other down.
    """
    if _FOLDER is not None:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(_FOLDER)
        try:
            return cast(F, numba.njit(nogil=True, cache=True, _nrt=False)(function))
        except RuntimeError:  # no place for a cache after all
            pass
        finally:
            numba.config.CACHE_DIR = before
    return cast(F, numba.njit(nogil=True, _nrt=False)(function))

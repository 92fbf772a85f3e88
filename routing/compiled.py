"""Kernels that run as machine code, kept on disk between processes."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, update_wrapper
from pathlib import Path
from typing import Any, TypeVar, cast

_ONE_AT_A_TIME = threading.Lock()
_OLD_S = 86_400.0

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])


class _Compiled:
    """A kernel that is compiled, with those of its file, when one of them is first called.

    Numba takes a second to import, which processes that never call a kernel need not wait for.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._run: Callable[..., Any] | None = None
        update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        if self._run is None:
            with _ONE_AT_A_TIME:
                if self._run is None:
                    self._compile_file()
            assert self._run is not None
        return self._run(*args)

    def _compile_file(self) -> None:
        names = vars(sys.modules[self._function.__module__])
        own = {name: kernel for name, kernel in names.items() if isinstance(kernel, _Compiled)}
        runs = {
            name: _machine_code(kernel._function, error_model="numpy")
            for name, kernel in own.items()
            if kernel._function.__module__ == self._function.__module__
        }
        # Kernels find one another by their names in the file.
        names.update(runs)
        for name, run in runs.items():
            own[name]._run = run


def compiled(function: _Kernel) -> _Kernel:
    """Compile a function of numbers and arrays on its first call; the machine code is kept beside its file.

    It runs without the interpreter lock, so that threads share the work. What is kept goes stale with the function's
    own file only: a kernel calls kernels of its own file alone.
    """
    return cast(_Kernel, _Compiled(function))


def compiled_together(function: _Kernel) -> _Kernel:
    """Compile a function whose callees lie in other files of its folder too; it may not allocate or keep arrays.

    Without reference counts (``_nrt=False``) threads that share arrays do not slow each other down. Numba keeps a
    function's code until its own file changes, even when a function that it calls has changed elsewhere; what is
    kept here lies in a folder named after all the sources, and cannot go stale that way.
    """
    import numba

    folder = _cache_folder(Path(function.__code__.co_filename).parent)
    if folder is None:
        return cast(_Kernel, numba.njit(nogil=True, _nrt=False)(function))
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        return cast(_Kernel, _machine_code(function, _nrt=False))
    finally:
        numba.config.CACHE_DIR = before


def _machine_code(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    import numba

    try:
        return cast(Callable[..., Any], numba.njit(cache=True, nogil=True, **options)(function))
    except RuntimeError:  # no folder for a cache can be written
        return cast(Callable[..., Any], numba.njit(nogil=True, **options)(function))


@cache
def _cache_folder(sources: Path) -> Path | None:
    """The first folder of these that can be written: the sources' own, the user's; ``None``: no cache."""
    content = hashlib.sha256()
    for source in sorted(sources.glob("*.py")):
        content.update(source.read_bytes())
    prefix = f"{sources.name}-"
    name = prefix + content.hexdigest()[:16]
    roots = [sources / "__pycache__"]
    with suppress(RuntimeError):
        roots.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "todoke")
    for root in roots:
        if _usable(root / name):
            _forget_old(root, prefix, name)
            return root / name
    return None


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f".trial-{os.getpid()}"
        trial.write_bytes(b"")
        trial.unlink()
    except OSError:
        return False
    return True


def _forget_old(root: Path, prefix: str, name: str) -> None:
    # Another version may be at work with its own folder, even compiling into it: only what is long unused goes.
    for old in root.glob(f"{prefix}*"):
        with suppress(OSError):
            if old.name != name and time.time() - old.stat().st_mtime > _OLD_S:
                shutil.rmtree(old, ignore_errors=True)

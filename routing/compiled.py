"""Kernels that run as machine code."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar, cast

_ONE_AT_A_TIME = threading.Lock()

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
        import numba

        names = vars(sys.modules[self._function.__module__])
        own = {name: kernel for name, kernel in names.items() if isinstance(kernel, _Compiled)}
        runs = {
            name: numba.njit(cache=True, nogil=True, error_model="numpy")(kernel._function)
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

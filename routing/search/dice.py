"""Random numbers for compiled code, one stream per search (xorshift64*, Vigna 2016)."""

from __future__ import annotations

from typing import Any

import numpy as np

from routing.compiled import compiled_together

_A, _B, _C, _TOP = np.uint64(12), np.uint64(25), np.uint64(27), np.uint64(11)
_FACTOR = np.uint64(0x2545F4914F6CDD1D)


def seed(world: Any, value: int) -> None:
    """Start the stream that belongs to ``value`` (splitmix64)."""
    z = (value * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & (2**64 - 1)
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    world["rng"] = np.uint64((z ^ (z >> 31)) | 1)


@compiled_together
def uniform(w: Any) -> float:
    """A number in [0, 1)."""
    x = w.rng
    x ^= x >> _A
    x ^= x << _B
    x ^= x >> _C
    w.rng = x
    return float((x * _FACTOR) >> _TOP) * 1.1102230246251565e-16


@compiled_together
def below(w: Any, n: int) -> int:
    """A whole number in [0, n)."""
    return int(uniform(w) * n)

"""Identifiers: short, sortable by nothing, safe in topics, URLs and file names."""

from __future__ import annotations

import secrets

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


def new_id(prefix: str) -> str:
    """Return ``prefix-`` and 10 characters without look-alikes: 50 bits, so that clashes need 10^7 ids."""
    return f"{prefix}-" + "".join(secrets.choice(_ALPHABET) for _ in range(10))

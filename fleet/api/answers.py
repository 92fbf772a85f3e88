"""Answers that are too large to be made in the event loop."""

from __future__ import annotations

import asyncio

import orjson
from fastapi import Response


async def as_json(value: object) -> Response:
    """Return plain data as a JSON answer, encoded in a thread."""
    body = await asyncio.to_thread(orjson.dumps, value, default=float, option=orjson.OPT_UTC_Z)
    return Response(body, media_type="application/json")

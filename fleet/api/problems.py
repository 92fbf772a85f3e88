"""Errors as problem details (RFC 9457): what was wrong, where, and what to do."""

from __future__ import annotations

from typing import Any

import psycopg
import psycopg_pool
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from fleet.errors import BadRequest, Conflict, FleetError, Forbidden, NotFound, NotSignedIn
from routing.errors import BadInput

_LOG = structlog.get_logger()

_STATUS: dict[type[FleetError], tuple[int, str]] = {
    BadRequest: (422, "The request is malformed"),
    NotSignedIn: (401, "Not signed in"),
    Forbidden: (403, "Not allowed"),
    NotFound: (404, "Not found"),
    Conflict: (409, "Not possible now"),
}


class TooManyRequests(FleetError):
    """Wait and try again."""


class InvalidRows(BadRequest):
    """A file with bad rows; nothing of it was taken. ``errors`` is a list of ``{"where", "reason"}``."""

    def __init__(self, message: str, errors: list[dict[str, str]]) -> None:
        super().__init__(message)
        self.errors = errors


def problem(status: int, title: str, detail: str, errors: list[dict[str, str]] | None = None) -> JSONResponse:
    """Return a problem details response."""
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if errors:
        body["errors"] = errors
    headers = {"Retry-After": "2"} if status in {429, 503} else None
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


async def _fleet_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, TooManyRequests):
        return problem(429, "Too many requests", str(error))
    status, title = next((known for kind, known in _STATUS.items() if isinstance(error, kind)), (500, "Internal error"))
    return problem(status, title, str(error), getattr(error, "errors", None))


async def _bad_input(request: Request, error: Exception) -> JSONResponse:
    return problem(422, "The request is malformed", str(error))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    errors = [
        {"where": ".".join(str(part) for part in e["loc"][1:]) or str(e["loc"][0]), "reason": e["msg"]}
        for e in found[:100]
    ]
    where = ", ".join(e["where"] for e in errors[:5])
    return problem(422, "The request is malformed", f"see {where}", errors)


async def _http(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return problem(status, "Error", str(getattr(error, "detail", "")) or "error")


async def _database(request: Request, error: Exception) -> JSONResponse:
    _LOG.warning("request failed: the database is away", path=request.url.path, error=str(error).strip())
    return problem(503, "Not available", "the database is away; nothing was changed. Try again in a moment")


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _LOG.error("request failed", path=request.url.path, exc_info=error)
    return problem(500, "Internal error", "the request failed; the log of the api says why")


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem details response."""
    app.add_exception_handler(FleetError, _fleet_error)
    app.add_exception_handler(BadInput, _bad_input)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(psycopg_pool.PoolTimeout, _database)
    app.add_exception_handler(psycopg.OperationalError, _database)
    app.add_exception_handler(Exception, _unexpected)

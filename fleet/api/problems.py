"""Errors as problem details (RFC 9457): what was wrong, where, and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from fleet.db.database import DATABASE_ERRORS
from fleet.errors import BadRequest, Conflict, FleetError, Forbidden, NotFound, NotSignedIn
from routing.errors import BadInput
from routing.formats.orders_csv import BadRows, RowProblem

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


_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "2"}, 503: {"Retry-After": "2"}}
_FIELD = re.compile(r"([a-z_]+(?:\.[a-z_]+)*): (.+)", re.DOTALL)
_TOKEN = re.compile(r"(/api/recipient/)[^/]+")
_MALFORMED = "The request is malformed"


def problem(
    status: int,
    title: str,
    detail: str,
    errors: list[dict[str, str]] | None = None,
    *,
    more: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """Return a problem details response; ``more`` are members of its own."""
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail, **(more or {})}
    if errors:
        body["errors"] = errors
    return JSONResponse(body, status, headers=_HEADERS.get(status), media_type="application/problem+json")


async def _fleet_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, TooManyRequests):
        return problem(429, "Too many requests", str(error))
    status, title = next((known for kind, known in _STATUS.items() if isinstance(error, kind)), (500, "Internal error"))
    return problem(status, title, str(error), _named(str(error)) if status == 422 else None)


async def _bad_input(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, BadRows):
        count = len(error.problems)
        detail = f"the file is not taken: {error.problems[0]}" + (f"; and {count - 1} more" if count > 1 else "")
        return problem(422, _MALFORMED, detail, [_row(each) for each in error.problems])
    return problem(422, _MALFORMED, str(error), _named(str(error)))


def _row(found: RowProblem) -> dict[str, str]:
    place = [f"row {found.line}"] if found.line else []
    place += [f"column {found.column}"] if found.column else []
    return {"where": ", ".join(place) or "file", "reason": found.reason}


def _named(message: str) -> list[dict[str, str]]:
    """Return the field that a message names by beginning with it and a colon."""
    found = _FIELD.fullmatch(message)
    return [{"where": found[1], "reason": found[2]}] if found else []


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    errors = [
        {"where": ".".join(str(part) for part in e["loc"][1:]) or str(e["loc"][0]), "reason": e["msg"]}
        for e in found[:100]
    ]
    where = ", ".join(e["where"] for e in errors[:5])
    return problem(422, _MALFORMED, f"see {where}", errors)


async def _http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        return unexpected(request.url.path, error)
    response = problem(error.status_code, _phrase(error.status_code), str(error.detail) or "error")
    response.headers.update(error.headers or {})
    return response


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


async def _database(request: Request, error: Exception) -> JSONResponse:
    _LOG.warning("request failed: the database is away", path=_told(request.url.path), error=str(error).strip())
    detail = "the database is away; look in a moment whether it was done, and try again if not"
    return problem(503, "Not available", detail)


async def _not_storable(request: Request, error: Exception) -> JSONResponse:
    _LOG.warning("request refused by the database", path=_told(request.url.path), error=str(error).strip())
    return problem(422, _MALFORMED, "a value of the request cannot be stored; nothing was changed")


def unexpected(path: str, error: Exception) -> JSONResponse:
    """Log what went wrong in a request, and return the response that tells nothing of it."""
    _LOG.error("request failed", path=_told(path), exc_info=error)
    return problem(500, "Internal error", "the request failed; the log of the api says why")


def _told(path: str) -> str:
    """A path as a log may have it: whoever reads it is not to be let in by a recipient's link."""
    return _TOKEN.sub(r"\1...", path)


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem details response."""
    app.add_exception_handler(FleetError, _fleet_error)
    app.add_exception_handler(BadInput, _bad_input)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in DATABASE_ERRORS:
        app.add_exception_handler(kind, _database)
    app.add_exception_handler(psycopg.DataError, _not_storable)

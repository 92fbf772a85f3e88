"""What recipients do without an account: the token in the address is all they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from fleet import deliveries, recipient, unlock
from fleet.api.context import Context, Ctx
from fleet.api.fields import Text
from fleet.api.problems import problem
from fleet.db.database import Connection
from fleet.errors import Conflict, NotFound
from fleet.log_forms import Lang
from fleet.recipient import EARLY, LATE, Coming, Refused
from fleet.recipient_words import ASKS, REFUSALS, STATES, language

router = APIRouter(prefix="/api/recipient")

Token = Annotated[str, Path(max_length=64)]


class ClearIn(BaseModel):
    """Whether nobody and nothing is at the drop point."""

    model_config = ConfigDict(extra="forbid")

    clear: bool


class CodeIn(BaseModel):
    """The code that unlocks the robot."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(max_length=16)


class ReceivedIn(BaseModel):
    """Whether the parcel has come, and what is to be said of it."""

    model_config = ConfigDict(extra="forbid")

    received: bool = True
    note: Annotated[Text, Field(max_length=300)] = ""


async def _order(ctx: Context, conn: Connection, token: str, request: Request, at: datetime) -> dict[str, Any]:
    """Return the order of a link. Those who ask too often, or for links that there are not, wait.

    The token is looked up first: who shares an address with somebody that guesses tokens is not kept waiting.
    """
    try:
        order = await recipient.order_of(conn, token, at=at)
    except NotFound:
        ctx.stranger_limit.check(request.client.host if request.client else "?")
        raise
    ctx.recipient_limit.check(token)
    return order


def _language(ctx: Context, request: Request) -> Lang:
    return language(request.headers.get("accept-language"), "en" if ctx.runtime.language == "en" else "ja")


def _live(ctx: Context) -> Callable[[str], Mapping[str, Any] | None]:
    ctx.live.look_for_silence()
    return ctx.live.get


def _refusal(code: str, lang: Lang) -> JSONResponse:
    return problem(409, "Not possible now", REFUSALS[code].in_(lang), more={"refusal": code})


def _shown(order: dict[str, Any], how: Coming, asked: list[str], lang: Lang) -> dict[str, Any]:
    state = order["state"]
    if state == "underway" and how.carrier is not None:
        state = "arrived" if how.arrived else "returning" if how.carrier["state"] == "returning" else state
    eta = how.expected
    return {
        "language": lang,
        "goods": order["goods"],
        "state": state,
        "text": STATES[state].in_(lang),
        "window": {"from": order["earliest"], "to": order["latest"]},
        "eta": None if eta is None else {"expected": eta, "from": eta - EARLY, "to": eta + LATE},
        "vehicle": None if how.carrier is None else how.carrier["kind"],
        "asks": [{"what": what, "text": ASKS[what].in_(lang)} for what in asked],
    }


async def _view(ctx: Context, token: str, request: Request, response: Response) -> dict[str, Any]:
    now, lang = ctx.clock.now(), _language(ctx, request)
    async with ctx.database.transaction() as conn:
        order = await _order(ctx, conn, token, request, now)
        how = await recipient.coming(conn, order, _live(ctx), at=now)
        asked = await recipient.asks(conn, order, how, at=now)
    response.headers["Content-Language"] = lang
    response.headers["Vary"] = "Accept-Language"
    return {**_shown(order, how, asked, lang), "now": now}


@router.get("/{token}")
async def view(token: Token, ctx: Ctx, request: Request, response: Response) -> dict[str, Any]:
    """Return what comes when, and what is asked of the recipient now."""
    return await _view(ctx, token, request, response)


@router.post("/{token}/clear", response_model=None)
async def clear(
    token: Token, body: ClearIn, ctx: Ctx, request: Request, response: Response
) -> dict[str, Any] | JSONResponse:
    """Say whether the drop point is clear."""
    now = ctx.clock.now()
    try:
        async with ctx.database.transaction() as conn:
            order = await _order(ctx, conn, token, request, now)
            how = await recipient.coming(conn, order, _live(ctx), at=now)
            await recipient.say_clear(conn, order, how, clear=body.clear, at=now)
    except Refused as error:
        return _refusal(error.code, _language(ctx, request))
    return await _view(ctx, token, request, response)


@router.post("/{token}/code", response_model=None)
async def code(token: Token, ctx: Ctx, request: Request) -> dict[str, str] | JSONResponse:
    """Return the code that unlocks the robot, once."""
    now = ctx.clock.now()
    async with ctx.database.transaction() as conn:
        order = await _order(ctx, conn, token, request, now)
    try:
        return {"code": await unlock.draw(ctx.database, order["order_id"], at=now, actor="recipient")}
    except Conflict:
        return _refusal("no_code", _language(ctx, request))


@router.post("/{token}/unlock", response_model=None)
async def enter(token: Token, body: CodeIn, ctx: Ctx, request: Request) -> dict[str, Any] | JSONResponse:
    """Enter the code in front of the robot."""
    lang = _language(ctx, request)
    async with ctx.database.transaction() as conn:
        order = await _order(ctx, conn, token, request, ctx.clock.now())
        carrier = await deliveries.carrier(conn, order["order_id"])
    live = None if carrier is None else _live(ctx)(carrier["vehicle_id"])
    try:
        entered = await unlock.enter(ctx.database, order["order_id"], body.code, live=live, clock=ctx.clock)
    except Conflict:
        return _refusal("no_code", lang)
    if entered.refusal is not None:
        return _refusal(entered.refusal, lang)
    return {"unlocking": True}


@router.post("/{token}/received", response_model=None)
async def received(
    token: Token, ctx: Ctx, request: Request, response: Response, body: ReceivedIn | None = None
) -> dict[str, Any] | JSONResponse:
    """Say whether the parcel has come."""
    now, said = ctx.clock.now(), body or ReceivedIn()
    async with ctx.database.transaction() as conn:
        order_id = (await _order(ctx, conn, token, request, now))["order_id"]
    try:
        async with ctx.database.transaction() as conn:
            await deliveries.receipt(conn, order_id, received=said.received, by="recipient", note=said.note, at=now)
    except Conflict:
        return _refusal("nothing_yet", _language(ctx, request))
    return await _view(ctx, token, request, response)

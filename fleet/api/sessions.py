"""Signing in and out."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from fleet import users
from fleet.api.context import COOKIE, Ctx, context, current_user, session_token
from fleet.users import Session, User
from fleet.version import VERSION

router = APIRouter(prefix="/api")


class Password(BaseModel):
    """Who signs in by password."""

    user_id: str = Field(max_length=64)
    password: str = Field(max_length=1024)


class Link(BaseModel):
    """A one-time link's token."""

    token: str = Field(max_length=256)


def _user(user: User) -> dict[str, str]:
    return {"user_id": user.user_id, "display_name": user.display_name, "role": user.role}


def _begun(request: Request, response: Response, session: Session) -> dict[str, Any]:
    response.set_cookie(
        COOKIE,
        session.token,
        max_age=int(users.SESSION_TTL_S),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
    return {"user": _user(session.user), "csrf_token": session.csrf_token, "token": session.token}


def _limit(request: Request) -> None:
    context(request).sign_in_limit.check(request.client.host if request.client else "?")


@router.post("/sign-in")
async def sign_in(body: Password, ctx: Ctx, request: Request, response: Response) -> dict[str, Any]:
    """Sign in by password."""
    _limit(request)
    session = await users.sign_in(ctx.database, body.user_id, body.password)
    return _begun(request, response, session)


@router.post("/sign-in/link")
async def sign_in_by_link(body: Link, ctx: Ctx, request: Request, response: Response) -> dict[str, Any]:
    """Sign in once by a link."""
    _limit(request)
    async with ctx.database.transaction() as conn:
        session = await users.sign_in_by_link(conn, body.token)
    return _begun(request, response, session)


@router.get("/me")
async def me(ctx: Ctx, request: Request) -> dict[str, Any]:
    """Say who is signed in, the service's clock and region."""
    token, _ = session_token(request)
    async with ctx.database.transaction() as conn:
        user, csrf_token = await users.of_session(conn, token)
        region_id = await ctx.region_id(conn)
    clock = {"now": ctx.clock.now(), "speed": ctx.clock.speed, "simulated": ctx.clock.simulated}
    return {
        "user": _user(user),
        "csrf_token": csrf_token,
        "clock": clock,
        "region_id": region_id,
        "version": VERSION,
    }


@router.post("/sign-out", status_code=204)
async def sign_out(ctx: Ctx, request: Request, response: Response) -> None:
    """End the session."""
    await current_user(request)
    token, _ = session_token(request)
    async with ctx.database.transaction() as conn:
        await users.sign_out(conn, token)
    response.delete_cookie(COOKIE, path="/")

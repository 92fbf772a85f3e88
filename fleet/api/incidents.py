"""Incidents over HTTP: frozen in one action, written about, printed, handed over."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import Field

from fleet import audit, incident_bundle, incident_page, incident_report, incidents, regions
from fleet.api.answers import as_json
from fleet.api.context import Ctx, Signed
from fleet.api.fields import Moment
from fleet.api.log_fields import Body, Line, Note
from fleet.incident_law import CLASSES, DUTIES, GRADES, SECTIONS, SOURCE

router = APIRouter(prefix="/api")

Lang = Literal["ja", "en"]


class IncidentIn(Body):
    """What is to be frozen: of which vehicle, type or region, since when (half an hour ago by default)."""

    scope_kind: Literal["vehicle", "type", "region"]
    scope_id: Annotated[str, Field(min_length=1, max_length=200)]
    idempotency_key: Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,128}$")]
    start: Moment | None = None
    title: Line = ""
    classes: Annotated[tuple[str, ...], Field(max_length=20)] = ()


class ChangesIn(Body):
    """What a person writes; sections that are not named stay as they are."""

    revision: Annotated[int, Field(ge=0)]
    title: Line | None = None
    classes: Annotated[list[str], Field(max_length=20)] | None = None
    sections: dict[str, Note] | None = None


class CloseIn(Body):
    """Until when the incident lasted; until now by default."""

    end: Moment | None = None


class UnfreezeIn(Body):
    """Why the data need not be kept any more."""

    reason: Annotated[Line, Field(min_length=1)]


def _shown(incident: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in incident.items() if name != "idempotency_key"}


@router.get("/incident-classes")
async def classes(user: Signed) -> dict[str, Any]:
    """Return what the law calls an accident or serious incident, what it asks for first, and the report's sections."""
    user.require("viewer")
    return {
        "duties": [asdict(duty) for duty in DUTIES],
        "grades": {name: asdict(words) for name, words in GRADES.items()},
        "classes": {name: asdict(each) for name, each in CLASSES.items()},
        "sections": {name: asdict(words) for name, words in SECTIONS.items()},
        "source": asdict(SOURCE),
    }


@router.post("/incidents", status_code=201)
async def begin(body: IncidentIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Freeze data in one action; it goes on until the incident is closed."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        incident = await incidents.begin(
            conn,
            region_id=await ctx.region_id(conn),
            scope=(body.scope_kind, body.scope_id),
            at=ctx.clock.now(),
            actor=user.user_id,
            key=body.idempotency_key,
            start=body.start,
            content={"title": body.title, "classes": body.classes},
        )
    return _shown(incident)


@router.get("/incidents")
async def listing(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return incidents, newest first."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        rows = await incidents.listing(conn, region_id=await ctx.region_id(conn))
    return {"incidents": [_shown(row) for row in rows]}


@router.get("/incidents.html")
async def page_of_all(ctx: Ctx, user: Signed, lang: Lang = "ja") -> HTMLResponse:
    """Return the list of incidents as a page."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        rows = await incidents.listing(conn, region_id=await ctx.region_id(conn))
    return HTMLResponse(incident_page.render_list(rows, lang=lang))


@router.get("/incidents/{incident_id}")
async def one(incident_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return an incident with all that people said of it."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id)
        return {**_shown(incident), "revisions": await incidents.revisions(conn, incident_id)}


@router.patch("/incidents/{incident_id}")
async def revise(incident_id: str, body: ChangesIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Write title, classes or sections; the former words stay readable."""
    user.require("dispatcher")
    changes = body.model_dump(exclude={"revision"}, exclude_none=True)
    async with ctx.database.transaction() as conn:
        incident = await incidents.revise(
            conn, incident_id, changes, revision=body.revision, at=ctx.clock.now(), actor=user.user_id
        )
    return _shown(incident)


@router.post("/incidents/{incident_id}/close")
async def close(incident_id: str, ctx: Ctx, user: Signed, body: CloseIn | None = None) -> dict[str, Any]:
    """End an incident's period; its data stay frozen."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        end = body.end if body else None
        return _shown(await incidents.close(conn, incident_id, end=end, at=ctx.clock.now(), actor=user.user_id))


@router.post("/incidents/{incident_id}/unfreeze")
async def unfreeze(incident_id: str, body: UnfreezeIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Give an incident's data back to retention."""
    user.require("administrator")
    async with ctx.database.transaction() as conn:
        return _shown(
            await incidents.unfreeze(conn, incident_id, reason=body.reason, at=ctx.clock.now(), actor=user.user_id)
        )


@router.get("/incidents/{incident_id}/report")
async def report(incident_id: str, ctx: Ctx, user: Signed) -> Response:
    """Return the draft of the report."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        drafted = await incident_report.draft(conn, await incidents.get(conn, incident_id), now=ctx.clock.now())
    return await as_json(drafted)


@router.get("/incidents/{incident_id}/report.html")
async def report_page(incident_id: str, ctx: Ctx, user: Signed, lang: Lang = "ja") -> HTMLResponse:
    """Return the draft of the report as a page to be printed."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id)
        drafted = await incident_report.draft(conn, incident, now=ctx.clock.now())
        region = await regions.load(conn, incident["region_id"])
    page = await asyncio.to_thread(incident_page.render, drafted, region, lang=lang, path="report.html")
    return HTMLResponse(page)


@router.get("/incidents/{incident_id}/bundle.zip")
async def bundle(incident_id: str, ctx: Ctx, user: Signed) -> StreamingResponse:
    """Return everything of an incident as one file; that it was handed out is in the audit trail."""
    user.require("dispatcher")
    now = ctx.clock.now()
    async with ctx.database.transaction() as conn:
        incident = await incidents.get(conn, incident_id)
        subject = ("incident", incident_id)
        await audit.record(conn, at=now, actor=user.user_id, action="incident.export", subject=subject)
    pieces = incident_bundle.stream(ctx.database, incident, now=now, actor=user.user_id)
    headers = {"Content-Disposition": f'attachment; filename="{incident_id}.zip"'}
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)

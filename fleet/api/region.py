"""The region as the map draws it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from fleet import regions
from fleet.api.context import Ctx, Signed
from routing import shade
from routing.airspace import ZONE_MARGIN_M
from routing.geo import Position
from routing.region.model import GroundEdge, Region, Zone

router = APIRouter(prefix="/api")

_HILLSHADE_VERSION = 1
"""Counted up when the picture changes: it is kept by the region's hash, on disk and in browsers."""


@router.get("/region")
async def region(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return what a map of the region served shows: sites, zones, lanes, obstacles, ways, water, buildings."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        found = await regions.load(conn, await ctx.region_id(conn))
    return await asyncio.to_thread(_drawing, found)


@router.get("/region/hillshade.png", response_class=Response)
async def hillshade(ctx: Ctx, user: Signed, request: Request) -> Response:
    """Return the region's terrain as a picture, within the bounds that ``/api/region`` says."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        found = await regions.load(conn, await ctx.region_id(conn))
    tag = f'"{_picture_name(found)}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=31536000, immutable"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    picture = await asyncio.to_thread(_hillshade, ctx.runtime.home, found)
    return Response(picture, media_type="image/png", headers=headers)


def _picture_name(region: Region) -> str:
    return f"{region.content_hash()[:16]}-{_HILLSHADE_VERSION}"


def _hillshade(home: Path, region: Region) -> bytes:
    path = regions.cached(home, region, f"-hillshade-{_HILLSHADE_VERSION}.png")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        picture = shade.to_png(shade.hillshade(region))
        regions.replace_file(path, picture)
        return picture


def _drawing(region: Region) -> dict[str, Any]:
    """``bounds`` is the part that people work in; the hillshade's is the whole terrain."""
    points = [[node.position.lat, node.position.lon] for node in region.nodes]
    points += [[site.position.lat, site.position.lon] for site in region.sites]
    points += [list(corner) for zone in region.zones for corner in zone.ring]
    corners = shade.bounds(region)
    return {
        "region_id": region.region_id,
        "name_ja": region.name_ja,
        "name_en": region.name_en,
        "origin": region.origin,
        "bounds": _bounds(points or [[corner.lat, corner.lon] for corner in corners]),
        "hillshade": {
            "url": f"/api/region/hillshade.png?v={_picture_name(region)}",
            "bounds": _bounds([[corner.lat, corner.lon] for corner in corners]),
        },
        "sites": [
            {
                "site_id": site.site_id,
                "kind": site.kind.value,
                "name_ja": site.name_ja,
                "name_en": site.name_en,
                "lat": site.position.lat,
                "lon": site.position.lon,
                "alt_amsl_m": site.position.alt_amsl_m,
                "accepts_drone": site.accepts_drone,
                "accepts_robot": site.accepts_robot,
                "pads": [_point(pad) for pad in site.pads],
            }
            for site in region.sites
        ],
        "zones": [_zone(zone) for zone in region.zones],
        "lanes": [
            {
                "section_id": lane.section_id,
                "line": [_point(point) for point in lane.line],
                "width_m": lane.width_m,
                "one_way": lane.one_way,
                "capacity": lane.capacity,
            }
            for lane in region.lanes
        ],
        "obstacles": [
            {
                "obstacle_id": obstacle.obstacle_id,
                "kind": obstacle.kind,
                "name_en": obstacle.name_en,
                "line": [_point(top) for top in obstacle.line],
                "margin_m": obstacle.margin_m,
            }
            for obstacle in region.obstacles
        ],
        "features": [
            {"kind": feature.kind, "name": feature.name, "coords": feature.coords, "closed": feature.closed}
            for feature in region.features
        ],
        "ways": _lines(region, [edge for edge in region.edges if edge.robot]),
        "other_ways": _lines(region, [edge for edge in region.edges if not edge.robot]),
    }


def _zone(zone: Zone) -> dict[str, Any]:
    """All that says whom a zone keeps out, where and when. Minutes of a period are of the day in UTC."""
    return {
        "zone_id": zone.zone_id,
        "kind": zone.kind,
        "name_ja": zone.name_ja,
        "name_en": zone.name_en,
        "ring": zone.ring,
        "floor_m": zone.floor_m,
        "floor_reference": zone.floor_reference.value,
        "ceiling_m": zone.ceiling_m,
        "ceiling_reference": zone.ceiling_reference.value,
        "restriction": zone.restriction.value,
        "conditions": zone.conditions,
        "margin_m": ZONE_MARGIN_M if zone.margin_m is None else zone.margin_m,
        "schedule": [asdict(period) for period in zone.schedule],
    }


def _bounds(points: list[list[float]]) -> dict[str, float]:
    lats, lons = [p[0] for p in points], [p[1] for p in points]
    return {"south": min(lats), "west": min(lons), "north": max(lats), "east": max(lons)}


def _point(position: Position) -> list[float]:
    return [position.lat, position.lon, position.alt_amsl_m]


def _lines(region: Region, edges: list[GroundEdge]) -> list[list[list[float]]]:
    """Edges joined into lines where one follows another: a fifth of the points."""
    at = {node.node_id: [node.position.lat, node.position.lon] for node in region.nodes}
    after: dict[str, list[int]] = {}
    for i, edge in enumerate(edges):
        for node in (edge.a, edge.b):
            after.setdefault(node, []).append(i)
    used = [False] * len(edges)
    lines = []
    # From ends and junctions first; what is left are rings.
    starts = [n for n, touching in after.items() if len(touching) != 2] + list(after)
    for start in starts:
        for first in after[start]:
            if used[first]:
                continue
            line, node, i = [at[start]], start, first
            while True:
                used[i] = True
                node = edges[i].b if edges[i].a == node else edges[i].a
                line.append(at[node])
                following = [j for j in after[node] if not used[j]]
                if len(after[node]) != 2 or not following:
                    break
                i = following[0]
            lines.append(line)
    return lines

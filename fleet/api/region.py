"""The region as the map draws it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from fleet import regions
from fleet.api.context import Ctx, Signed
from routing.region.model import Region

router = APIRouter(prefix="/api")


@router.get("/region")
async def region(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return sites, zones and ways of the region served."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        return _drawing(await regions.load(conn, await ctx.region_id(conn)))


def _drawing(region: Region) -> dict[str, Any]:
    at = {node.node_id: [node.position.lat, node.position.lon] for node in region.nodes}
    points = [*at.values()]
    points += [[site.position.lat, site.position.lon] for site in region.sites]
    points += [list(corner) for zone in region.zones for corner in zone.ring]
    lats, lons = [p[0] for p in points], [p[1] for p in points]
    return {
        "region_id": region.region_id,
        "name_ja": region.name_ja,
        "name_en": region.name_en,
        "origin": region.origin,
        "bounds": {"south": min(lats), "west": min(lons), "north": max(lats), "east": max(lons)},
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
            }
            for site in region.sites
        ],
        "zones": [
            {"zone_id": z.zone_id, "name_ja": z.name_ja, "name_en": z.name_en, "ring": z.ring} for z in region.zones
        ],
        "ways": [[at[edge.a], at[edge.b]] for edge in region.edges],
    }

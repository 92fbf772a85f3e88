"""A picture of a region and a plan as SVG, for notebooks and reports."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from html import escape

from routing.geo import Position
from routing.plan import Plan
from routing.region.model import Region
from routing.shade import hillshade, to_png

_WIDTH_PX = 900
_FEATURES = {"river": "#3182ce", "water": "#90cdf4", "building": "#718096"}
_COLOURS = ("#d7301f", "#2b6cb0", "#6b46c1", "#2f855a", "#b7791f", "#97266d")


def draw(region: Region, plan: Plan | None = None) -> str:
    """Return SVG text: terrain, water, zones, ways, obstacles, sites, and each vehicle's legs in its own colour.

    North is up. Ways that robots may not use are grey.
    """
    view = _View(region)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH_PX} {view.height_px:.0f}"'
        f' width="{_WIDTH_PX}" font-family="sans-serif" font-size="12">',
        '<marker id="top" refX="2" refY="2" markerWidth="4" markerHeight="4"><circle cx="2" cy="2" r="2"/></marker>',
        *_terrain(region, view),
        *_features(region, view),
        *(
            f'<polygon points="{view.line(Position(lat, lon) for lat, lon in zone.ring)}" fill="#e53e3e66"'
            f' stroke="#c53030"><title>{escape(zone.name_en)}</title></polygon>'
            for zone in region.zones
        ),
        *_network(region, view),
        *(
            f'<polyline class="obstacle" points="{view.line(obstacle.line)}" stroke="#1a202c" fill="none"'
            f' marker-start="url(#top)" marker-mid="url(#top)" marker-end="url(#top)">'
            f"<title>{escape(obstacle.name_en)}</title></polyline>"
            for obstacle in region.obstacles
        ),
        *(_routes(plan, view) if plan else ()),
        *_sites(region, view),
        "</svg>",
    ]
    return "\n".join(parts)


class _View:
    """Maps the region's terrain to pixels."""

    def __init__(self, region: Region) -> None:
        terrain = region.terrain
        self._frame = region.frame
        self.west_m, self.south_m = terrain.west_m, terrain.south_m
        self.east_m = terrain.east_m
        self.north_m = terrain.north_m
        self.scale = _WIDTH_PX / (self.east_m - self.west_m)
        self.height_px = (self.north_m - self.south_m) * self.scale

    def at(self, position: Position) -> tuple[float, float]:
        east_m, north_m = self._frame.to_local(position)
        return (east_m - self.west_m) * self.scale, (self.north_m - north_m) * self.scale

    def line(self, positions: Iterable[Position]) -> str:
        return " ".join("{:.1f},{:.1f}".format(*self.at(position)) for position in positions)


def _terrain(region: Region, view: _View) -> Iterator[str]:
    picture = base64.b64encode(to_png(hillshade(region, _WIDTH_PX))).decode()
    yield (
        f'<image width="{_WIDTH_PX}" height="{view.height_px:.1f}" preserveAspectRatio="none"'
        f' href="data:image/png;base64,{picture}"/>'
    )


def _features(region: Region, view: _View) -> Iterator[str]:
    for feature in region.features:
        if feature.kind in _FEATURES and len(feature.coords) > 1:
            points = view.line(Position(lat, lon) for lat, lon in feature.coords)
            shape, paint = ("polygon", "fill") if feature.closed else ("polyline", "stroke")
            rest = "" if feature.closed else ' fill="none" stroke-width="2"'
            yield f'<{shape} points="{points}" {paint}="{_FEATURES[feature.kind]}"{rest}/>'


def _network(region: Region, view: _View) -> Iterator[str]:
    at = {node.node_id: node.position for node in region.nodes}
    for edge in region.edges:
        colour, width = ("#744210", 2) if edge.robot else ("#a0aec0", 1)
        yield (
            f'<polyline class="way" points="{view.line((at[edge.a], at[edge.b]))}" stroke="{colour}"'
            f' stroke-width="{width}"><title>{escape(f"{edge.a} to {edge.b}, {edge.kind}")}</title></polyline>'
        )


def _routes(plan: Plan, view: _View) -> Iterator[str]:
    for i, route in enumerate(plan.routes):
        colour = _COLOURS[i % len(_COLOURS)]
        yield f'<text x="8" y="{18 + 16 * i}" fill="{colour}">{escape(route.vehicle_id)}</text>'
        for trip in route.trips:
            for leg in trip.legs:
                title = escape(f"{trip.trip_id} to {leg.to_site}, {leg.arrive.isoformat(timespec='seconds')}")
                yield (
                    f'<polyline class="leg" points="{view.line(leg.path)}" fill="none" stroke="{colour}"'
                    f' stroke-width="2" stroke-dasharray="6 3"><title>{title}</title></polyline>'
                )


def _sites(region: Region, view: _View) -> Iterator[str]:
    for site in region.sites:
        x, y = view.at(site.position)
        colour = (
            "#1a202c" if site.accepts_robot and site.accepts_drone else "#2b6cb0" if site.accepts_drone else "#744210"
        )
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}" stroke="white"/>'
        label = escape(f"{site.name_ja} {site.site_id}")
        yield f'<text x="{x + 8:.1f}" y="{y - 6:.1f}" fill="{colour}">{label}</text>'

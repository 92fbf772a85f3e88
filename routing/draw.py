"""A picture of a region and a plan as SVG, for notebooks and reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

import numpy as np

from routing.geo import Position
from routing.plan import Plan
from routing.region.model import Region

_WIDTH_PX = 900
_SHADES = 60
_COLOURS = ("#d7301f", "#2b6cb0", "#6b46c1", "#2f855a", "#b7791f", "#97266d")


def draw(region: Region, plan: Plan | None = None) -> str:
    """Return SVG text: terrain, zones, ground network, sites, and each vehicle's legs in a colour of its own.

    North is up; a step of the grey scale is a step in height, not a shadow.
    """
    view = _View(region)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH_PX} {view.height_px:.0f}"'
        f' width="{_WIDTH_PX}" font-family="sans-serif" font-size="12">',
        *_terrain(region, view),
        *(
            f'<polygon points="{view.line(Position(lat, lon) for lat, lon in zone.ring)}" fill="#e53e3e66"'
            f' stroke="#c53030"><title>{escape(zone.name_en)}</title></polygon>'
            for zone in region.zones
        ),
        *_network(region, view),
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
        self.east_m = terrain.west_m + (len(terrain.heights_m[0]) - 1) * terrain.step_m
        self.north_m = terrain.south_m + (len(terrain.heights_m) - 1) * terrain.step_m
        self.scale = _WIDTH_PX / (self.east_m - self.west_m)
        self.height_px = (self.north_m - self.south_m) * self.scale

    def at(self, position: Position) -> tuple[float, float]:
        east_m, north_m = self._frame.to_local(position)
        return (east_m - self.west_m) * self.scale, (self.north_m - north_m) * self.scale

    def line(self, positions: Iterable[Position]) -> str:
        return " ".join("{:.1f},{:.1f}".format(*self.at(position)) for position in positions)


def _terrain(region: Region, view: _View) -> Iterator[str]:
    east = np.linspace(view.west_m, view.east_m, _SHADES + 1)[:-1] + (view.east_m - view.west_m) / _SHADES / 2
    rows = max(1, round(_SHADES * view.height_px / _WIDTH_PX))
    north = np.linspace(view.north_m, view.south_m, rows + 1)[:-1] - (view.north_m - view.south_m) / rows / 2
    heights = region.terrain.height_m(*np.meshgrid(east, north))
    low, high = heights.min(), heights.max()
    width, height = _WIDTH_PX / _SHADES, view.height_px / rows
    for (row, column), metres in np.ndenumerate(heights):
        grey = round(250 - 110 * (metres - low) / max(1.0, high - low))
        yield (
            f'<rect x="{column * width:.1f}" y="{row * height:.1f}" width="{width + 0.5:.1f}"'
            f' height="{height + 0.5:.1f}" fill="rgb({grey},{min(255, grey + 4)},{grey})"/>'
        )


def _network(region: Region, view: _View) -> Iterator[str]:
    at = {node.node_id: node.position for node in region.nodes}
    for edge in region.edges:
        yield f'<polyline points="{view.line((at[edge.a], at[edge.b]))}" stroke="#744210" stroke-width="2"/>'
    for node in region.nodes:
        x, y = view.at(node.position)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="#744210"><title>{escape(node.node_id)}</title></circle>'


def _routes(plan: Plan, view: _View) -> Iterator[str]:
    for i, route in enumerate(plan.routes):
        colour = _COLOURS[i % len(_COLOURS)]
        yield f'<text x="8" y="{18 + 16 * i}" fill="{colour}">{escape(route.vehicle_id)}</text>'
        for trip in route.trips:
            for leg in trip.legs:
                title = escape(f"{trip.trip_id} to {leg.to_site}, {leg.arrive.isoformat(timespec='seconds')}")
                yield (
                    f'<polyline points="{view.line(leg.path)}" fill="none" stroke="{colour}" stroke-width="2"'
                    f' stroke-dasharray="6 3"><title>{title}</title></polyline>'
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

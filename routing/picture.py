"""A map of a region or of a plan as a PNG file, for people who want to see what they have made or imported."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from routing.map_figure import DPI, map_figure
from routing.plan import Plan
from routing.problem import Problem
from routing.region.model import Region, Site, SiteKind, WayKind
from routing.vehicle_type import VehicleKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONG_SIDE_IN = 15.0

_WAYS: dict[WayKind, tuple[str, float, str]] = {
    WayKind.ROAD: ("#c05621", 2.4, "-"),
    WayKind.RESIDENTIAL: ("#ffffff", 1.3, "-"),
    WayKind.SERVICE: ("#e2e8f0", 1.2, "-"),
    WayKind.FOOTWAY: ("#2f855a", 0.9, "-"),
    WayKind.CROSSING: ("#2f855a", 0.9, "-"),
    WayKind.PATH: ("#2f855a", 0.8, ":"),
    WayKind.STEPS: ("#9b2c2c", 1.4, ":"),
    WayKind.TRACK: ("#744210", 0.9, "--"),
}
_CASED = {WayKind.ROAD, WayKind.RESIDENTIAL, WayKind.SERVICE}
_SITES: dict[SiteKind, tuple[str, str, float, float]] = {
    SiteKind.HUB: ("s", "#1a202c", 90, 9.5),
    SiteKind.DRONE_PORT: ("^", "#2b6cb0", 55, 7.0),
    SiteKind.DROP_POINT: ("o", "#c53030", 26, 6.0),
    SiteKind.CHARGING: ("P", "#2f855a", 50, 6.5),
    SiteKind.EMERGENCY: ("X", "#b7791f", 50, 6.5),
}
_ROUTES = ("#d7301f", "#2b6cb0", "#6b46c1", "#276749", "#b7791f", "#97266d", "#2c7a7b", "#c05621")
_MOST_NAMED = 24
"""Vehicles that have room in the legend."""
_AREAS = {"water": "#90cdf4", "building": "#718096", "forest": "#9ae6b455"}
_LINES = {"river": ("#3182ce", 1.6), "road": ("#a0aec0", 0.8), "power_line": ("#4a5568", 0.7)}


def draw_region(region: Region, file: Path) -> None:
    """Write a map of the region: terrain, contours, water, ways, zones, obstacles, population and sites.

    Names are the English ones: machines have no Japanese fonts. Raises ``OSError``.
    """
    figure, axes = _map(region)
    _population(axes, region)
    _legend(figure, axes, region)
    title = f"{region.name_en}  ({region.region_id})"
    axes.set_title(title, loc="left", fontsize=14, fontweight="bold")
    axes.set_title(_summary(region), loc="right", fontsize=9, color="#4a5568")
    figure.savefig(file, format="png")


def draw_plan(problem: Problem, plan: Plan, file: Path) -> None:
    """Write a map of the plan: each vehicle's legs in its own colour on the map of the region, drones' whole, robots'
    dashed, and a cross where an order is not served. Raises ``OSError``.
    """
    region = replace(problem.region, zones=(*problem.region.zones, *problem.zones))
    figure, axes = _map(region)
    entries = [*_routes(axes, problem, plan), *_unserved(axes, problem, plan)]
    if entries:
        figure.legend(handles=entries, loc="lower center", ncols=8, fontsize=7, frameon=False)
    served = sum(len(trip.order_ids) for route in plan.routes for trip in route.trips)
    axes.set_title(
        f"{region.name_en}: plan of {problem.start:%F %H:%M} (UTC{problem.start:%z})", loc="left", fontsize=14
    )
    summary = f"{served} of {len(problem.orders)} orders, {len(plan.routes)} vehicles, cost {plan.cost:,.0f}"
    axes.set_title(summary, loc="right", fontsize=9, color="#4a5568")
    figure.savefig(file, format="png")


def _map(region: Region) -> tuple[Figure, Axes]:
    """The map that everything is drawn on."""
    box = (0.01, 0.06, 0.98, 0.89)
    figure, axes = map_figure(region, long_side_in=LONG_SIDE_IN, least_wide_in=6.0, below_in=1.0, box=box)
    _terrain(axes, region)
    _features(axes, region)
    _ways(axes, region)
    _zones(axes, region)
    _obstacles(axes, region)
    _sites(axes, region)
    _scale_bar(axes, region)
    return figure, axes


def _routes(axes: Axes, problem: Problem, plan: Plan) -> list[Any]:
    """Draw the legs; what the legend says of the first vehicles."""
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    kinds = {vehicle.vehicle_id: vehicle.type.kind for vehicle in problem.vehicles}
    entries: list[Any] = []
    for number, route in enumerate(plan.routes):
        colour = _ROUTES[number % len(_ROUTES)]
        style = "-" if kinds.get(route.vehicle_id) is VehicleKind.DRONE else "--"
        lines = [
            _local(problem.region, [(place.lat, place.lon) for place in leg.path])
            for trip in route.trips
            for leg in trip.legs
            if len(leg.path) > 1
        ]
        axes.add_collection(LineCollection(lines, colors="#ffffff", linewidths=3.2, alpha=0.7, zorder=7))
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=1.8, linestyles=style, zorder=7.5))
        if number < _MOST_NAMED:
            entries.append(Line2D([], [], color=colour, linestyle=style, label=route.vehicle_id))
    return entries


def _unserved(axes: Axes, problem: Problem, plan: Plan) -> list[Any]:
    missed = {order.order_id for order in plan.unserved}
    sites = {site.site_id: site for site in problem.region.sites}
    at = [
        problem.region.frame.to_local(sites[order.dropoff_site].position)
        for order in problem.orders
        if order.order_id in missed and order.dropoff_site in sites
    ]
    if not at:
        return []
    east, north = np.array(at).T
    crosses = axes.scatter(east, north, marker="x", s=120, c="#c53030", linewidths=2.5, zorder=11)
    crosses.set_label("not served")
    return [crosses]


def _summary(region: Region) -> str:
    terrain = region.terrain
    wide, high = (terrain.east_m - terrain.west_m) / 1000, (terrain.north_m - terrain.south_m) / 1000
    persons = f"   {region.population.persons.sum():,.0f} persons" if region.population else ""
    heights = f"{terrain.heights.min():.0f} to {terrain.heights.max():.0f} m AMSL ({terrain.datum})"
    length_km = sum(edge.length_m for edge in region.edges) / 1000
    return f"{wide:.1f} x {high:.1f} km   {heights}   {length_km:.0f} km of ways{persons}"


def _terrain(axes: Axes, region: Region) -> None:
    terrain = region.terrain
    heights = terrain.heights
    skip = max(1, round(max(heights.shape) / 600))
    east = terrain.west_m + np.arange(0, heights.shape[1], skip) * terrain.step_m
    north = terrain.south_m + np.arange(0, heights.shape[0], skip) * terrain.step_m
    relief = float(heights.max() - heights.min())
    step = next((step for step in (10, 20, 50, 100, 200, 500) if relief / step <= 12), 1000)
    levels = np.arange(math.ceil(heights.min() / step), math.floor(heights.max() / step) + 1) * step
    if len(levels):
        lines = axes.contour(
            east, north, heights[::skip, ::skip], levels=levels, colors="#8d6e4a", linewidths=0.45, alpha=0.6, zorder=1
        )
        axes.clabel(lines, levels[::2], fontsize=5.5, fmt="%d")


def _population(axes: Axes, region: Region) -> None:
    mesh = region.population
    if mesh is None or not mesh.persons.any():
        return
    rows, columns = mesh.persons.shape
    extent = (mesh.west_m, mesh.west_m + columns * mesh.step_m, mesh.south_m, mesh.south_m + rows * mesh.step_m)
    share = np.sqrt(mesh.persons / mesh.persons.max())
    colours = np.zeros((rows, columns, 4))
    colours[..., :3] = (0.93, 0.54, 0.21)
    colours[..., 3] = 0.5 * share
    axes.imshow(colours, extent=extent, origin="lower", interpolation="nearest", zorder=2)


def _local(region: Region, coords: Iterable[tuple[float, float]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    from routing.geo import Position

    return np.array([region.frame.to_local(Position(lat, lon)) for lat, lon in coords])


def _features(axes: Axes, region: Region) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    for kind, fill in _AREAS.items():
        areas = [_local(region, f.coords) for f in region.features if f.kind == kind and f.closed and len(f.coords) > 2]
        axes.add_collection(PolyCollection(areas, facecolors=fill, edgecolors="none", zorder=3))
    for kind, (colour, width) in _LINES.items():
        lines = [_local(region, f.coords) for f in region.features if f.kind == kind and not f.closed]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, zorder=3, capstyle="round"))


def _ways(axes: Axes, region: Region) -> None:
    from matplotlib.collections import LineCollection

    at = {node.node_id: region.frame.to_local(node.position) for node in region.nodes}
    for kind, (colour, width, style) in _WAYS.items():
        lines = [(at[edge.a], at[edge.b]) for edge in region.edges if edge.kind is kind]
        if kind in _CASED:
            case = LineCollection(lines, colors="#4a5568", linewidths=width + 0.8, zorder=4, capstyle="round")
            axes.add_collection(case)
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, linestyles=style, zorder=5))


def _zones(axes: Axes, region: Region) -> None:
    from matplotlib.patches import Polygon

    for zone in region.zones:
        ring = _local(region, zone.ring)
        axes.add_patch(
            Polygon(
                ring, closed=True, facecolor="#e53e3e30", edgecolor="#c53030", hatch="////", linewidth=1.0, zorder=6
            )
        )


def _obstacles(axes: Axes, region: Region) -> None:
    for obstacle in region.obstacles:
        places = np.array([region.frame.to_local(point) for point in obstacle.line])
        axes.plot(*places.T, color="#1a202c", linewidth=0.9, zorder=6)
        axes.plot(*places.T, linestyle="none", marker="x" if len(places) > 1 else "*", color="#1a202c",
                  markersize=3.5 if len(places) > 1 else 8, markeredgewidth=0.8, zorder=6)  # fmt: skip


def _sites(axes: Axes, region: Region) -> None:
    labels: list[tuple[float, float, str, float, str]] = []
    for zone in region.zones:
        east, north = _local(region, zone.ring).mean(axis=0)
        labels.append((east, north, zone.name_en, 6.5, "#9b2c2c"))
    for kind, (marker, colour, size, font) in _SITES.items():
        sites = [site for site in region.sites if site.kind is kind]
        for site in sites:
            place = region.frame.to_local(site.position)
            face = _face(site, colour)
            axes.scatter(*place, marker=marker, s=size, c=face, edgecolors="white", linewidths=0.8, zorder=8)
            labels.append((*place, site.name_en, font, colour))
    _labels(axes, sorted(labels, key=lambda label: -label[3]))


def _face(site: Site, colour: str) -> str:
    if site.kind is not SiteKind.DROP_POINT:
        return colour
    return "#6b46c1" if site.accepts_drone and site.accepts_robot else "#2b6cb0" if site.accepts_drone else "#2f855a"


def _labels(axes: Axes, labels: list[tuple[float, float, str, float, str]]) -> None:
    """Write names beside their places, the larger first; one for which there is no room is left out."""
    from matplotlib.patheffects import withStroke

    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    metres_per_point = (high - low) / (axes.get_window_extent().width * 72.0 / DPI)
    taken = [(x - 60, y - 60, x + 60, y + 60) for x, y, *_ in labels]
    for i, (x, y, text, font, colour) in enumerate(labels):
        height, width = 1.15 * font * metres_per_point, 0.56 * font * metres_per_point * len(text)
        for away in (5.0, 11.0, 18.0, 26.0):
            gap = away * metres_per_point
            corners = [
                (x + gap, y - height / 2), (x - gap - width, y - height / 2), (x + gap, y + gap / 2),
                (x + gap, y - gap / 2 - height), (x - gap - width, y + gap / 2),
                (x - gap - width, y - gap / 2 - height), (x - width / 2, y + gap), (x - width / 2, y - gap - height),
            ]  # fmt: skip
            boxes = [(x0, y0, x0 + width, y0 + height) for x0, y0 in corners]
            inside = [b for b in boxes if low < b[0] and b[2] < high and bottom < b[1] and b[3] < top]
            free = [b for b in inside if not any(_overlap(b, t) for j, t in enumerate(taken) if j != i)]
            if free:
                box = free[0]
                taken.append(box)
                axes.text(box[0], box[1], text, fontsize=font, color=colour, va="bottom", zorder=9,
                          path_effects=[withStroke(linewidth=2.2, foreground="white")])  # fmt: skip
                break


_Box = tuple[float, float, float, float]


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _scale_bar(axes: Axes, region: Region) -> None:
    terrain = region.terrain
    wide = terrain.east_m - terrain.west_m
    length = next((m for m in (5_000, 2_000, 1_000, 500, 200, 100) if m <= wide / 6), 50)
    x, y = terrain.east_m - wide * 0.03 - length, terrain.south_m + wide * 0.02
    axes.plot([x, x + length], [y, y], color="#1a202c", linewidth=3, solid_capstyle="butt", zorder=10)
    axes.text(x + length / 2, y + wide * 0.004, f"{length / 1000:g} km", ha="center", fontsize=8, zorder=10)
    axes.annotate("", (x - wide * 0.02, y + wide * 0.025), (x - wide * 0.02, y - wide * 0.004), zorder=10,
                  arrowprops={"arrowstyle": "-|>", "color": "#1a202c"})  # fmt: skip
    axes.text(x - wide * 0.02, y + wide * 0.026, "N", ha="center", fontsize=9, fontweight="bold", zorder=10)


def _legend(figure: Any, axes: Axes, region: Region) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def dot(marker: str, colour: str, label: str) -> Line2D:
        return Line2D([], [], linestyle="none", marker=marker, color=colour, markeredgecolor="white", label=label)

    entries: list[Any] = [dot(*_SITES[kind][:2], kind.value.replace("_", " "))
                          for kind in _SITES if kind is not SiteKind.DROP_POINT
                          and any(site.kind is kind for site in region.sites)]  # fmt: skip
    entries += [
        dot("o", "#2b6cb0", "drop point, drones"),
        dot("o", "#2f855a", "drop point, robots"),
        dot("o", "#6b46c1", "drop point, both"),
        Patch(facecolor="#e53e3e30", edgecolor="#c53030", hatch="////", label="no-fly zone"),
    ]
    if region.obstacles:
        entries.append(Line2D([], [], color="#1a202c", marker="x", markersize=4, label="power line"))
    if region.population:
        entries.append(Patch(facecolor="#ed8936", alpha=0.5, label="population"))
    used = {edge.kind for edge in region.edges}
    entries += [
        Line2D([], [], color=colour if colour != "#ffffff" else "#a0aec0", linestyle=style, label=kind.value)
        for kind, (colour, _, style) in _WAYS.items()
        if kind in used and kind is not WayKind.CROSSING
    ]
    figure.legend(handles=entries, loc="lower center", ncols=math.ceil(len(entries) / 2), fontsize=7, frameon=False,
                  columnspacing=1.1, handletextpad=0.4)  # fmt: skip

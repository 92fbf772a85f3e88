"""A map of coverage as a PNG file: how soon each inhabited place is served, and which are not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from routing.coverage import ALL, ANY, MUNICIPALITY, Coverage
from routing.geo import Position
from routing.map_figure import map_figure
from routing.region.model import WayKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONG_SIDE_IN = 12.0

_UNSERVED = (0.77, 0.12, 0.30, 0.75)
_SERVED_ALPHA = 0.72
_WAYS = {WayKind.ROAD: ("#4a5568", 1.1), WayKind.RESIDENTIAL: ("#718096", 0.6), WayKind.SERVICE: ("#718096", 0.5)}
_LINES = {"river": ("#3182ce", 1.0)}


def draw_coverage(found: Coverage, file: Path) -> None:
    """Write the map: inhabited cells by the minutes until they are served from the nearest hub, those that nobody
    serves in red, hubs and municipalities. Names are as the region has them in English. Raises ``OSError``.
    """
    box = (0.01, 0.13, 0.98, 0.80)
    figure, axes = map_figure(found.region, long_side_in=LONG_SIDE_IN, least_wide_in=7.0, below_in=1.6, box=box)
    _cells(figure, axes, found)
    _lines(axes, found)
    _hubs(axes, found)
    _words(figure, axes, found)
    figure.savefig(file, format="png")


def _cells(figure: Figure, axes: Axes, found: Coverage) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    mesh, minutes = found.population, found.minutes()
    rows, columns = minutes.shape
    scale = Normalize(0.0, found.budget.minutes)
    ramp = colormaps["viridis_r"]
    colours: npt.NDArray[np.float64] = ramp(scale(np.where(np.isfinite(minutes), minutes, 0.0)))
    colours[..., 3] = _SERVED_ALPHA
    colours[np.isinf(minutes)] = _UNSERVED
    colours[mesh.persons == 0.0] = 0.0
    extent = (mesh.west_m, mesh.west_m + columns * mesh.step_m, mesh.south_m, mesh.south_m + rows * mesh.step_m)
    axes.imshow(colours, extent=extent, origin="lower", interpolation="nearest", zorder=2)
    bar = figure.colorbar(ScalarMappable(scale, ramp), cax=figure.add_axes((0.05, 0.085, 0.30, 0.018)),
                          orientation="horizontal")  # fmt: skip
    bar.set_label("minutes from leaving the hub to the handover", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _lines(axes: Axes, found: Coverage) -> None:
    from matplotlib.collections import LineCollection

    region = found.region
    at = {node.node_id: region.frame.to_local(node.position) for node in region.nodes}
    for kind, (colour, width) in _WAYS.items():
        lines = [(at[edge.a], at[edge.b]) for edge in region.edges if edge.kind is kind]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, zorder=3))
    for name, (colour, width) in (*_LINES.items(), (MUNICIPALITY, ("#1a202c", 1.2))):
        features = [each.coords for each in region.features if each.kind == name]
        outlines = [[region.frame.to_local(Position(lat, lon)) for lat, lon in coords] for coords in features]
        style = "--" if name == MUNICIPALITY else "-"
        axes.add_collection(LineCollection(outlines, colors=colour, linewidths=width, linestyles=style, zorder=4))


def _hubs(axes: Axes, found: Coverage) -> None:
    from matplotlib.patheffects import withStroke

    terrain = found.region.terrain
    off_m = 0.008 * (terrain.east_m - terrain.west_m)
    for hub in map(found.region.site, found.hubs):
        east, north = found.region.frame.to_local(hub.position)
        axes.scatter(east, north, marker="s", s=80, c="#1a202c", edgecolors="white", linewidths=1.0, zorder=6)
        axes.text(east + off_m, north + off_m, hub.name_en or hub.site_id, fontsize=9, zorder=7, clip_on=True,
                  path_effects=[withStroke(linewidth=2.4, foreground="white")])  # fmt: skip


def _words(figure: Figure, axes: Axes, found: Coverage) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    rows = {(row.mode, row.band): row for row in found.rows() if row.municipality == ALL and row.hub == ALL}
    parts = [f"{'in all' if mode == ANY else mode} {100 * rows[mode, ALL].share:.0f} %" for mode in (*found.modes, ANY)]
    bands = [f"{band}: {100 * rows[ANY, band].share:.0f} %" for band, _ in found.population.bands]
    budget = f"{found.budget.minutes:g} min, {100 * found.budget.energy_share:.0f} % of the usable energy"
    region = found.region
    axes.set_title(f"{region.name_en}: who is served within {budget}", loc="left", fontsize=12, fontweight="bold")
    persons = f"{rows[ANY, ALL].persons:,.0f} persons"
    figure.text(0.42, 0.055, "   ".join((persons, *parts)), fontsize=10, fontweight="bold")
    if bands:
        figure.text(0.42, 0.02, "by age   " + "   ".join(bands), fontsize=9)
    hub = Line2D([], [], linestyle="none", marker="s", color="#1a202c", markeredgecolor="white", label="hub")
    entries: list[Any] = [Patch(facecolor=_UNSERVED, label="not served"), hub]
    if any(each.kind == MUNICIPALITY for each in region.features):
        entries.append(Line2D([], [], color="#1a202c", linestyle="--", label="municipality"))
    figure.legend(handles=entries, loc="upper left", bbox_to_anchor=(0.41, 0.125), ncols=3, fontsize=8, frameon=False)

"""The frame of every map that is drawn as a picture: the region to scale, on its shaded terrain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.region.model import Region
from routing.shade import hillshade

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 130


def map_figure(
    region: Region,
    *,
    long_side_in: float,
    least_wide_in: float,
    below_in: float,
    box: tuple[float, float, float, float],
) -> tuple[Figure, Axes]:
    """Return a figure with axes in metres of the region's frame, the hillshade drawn (``zorder`` 0).

    The terrain's longer side takes ``long_side_in`` inches; ``below_in`` is the room for words above and below,
    ``box`` where the axes lie (left, bottom, width, height, as shares of the figure).
    """
    # Loaded here: it takes a second, and nothing else of the service needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    terrain = region.terrain
    wide, high = terrain.east_m - terrain.west_m, terrain.north_m - terrain.south_m
    scale = long_side_in / max(wide, high)
    figure = Figure(figsize=(max(least_wide_in, wide * scale) + 0.3, max(5.0, high * scale) + below_in), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(box)
    axes.set(xlim=(terrain.west_m, terrain.east_m), ylim=(terrain.south_m, terrain.north_m), aspect="equal")
    axes.set(xticks=[], yticks=[])
    extent = (terrain.west_m, terrain.east_m, terrain.south_m, terrain.north_m)
    axes.imshow(hillshade(region), extent=extent, origin="upper", interpolation="bilinear", zorder=0)
    return figure, axes

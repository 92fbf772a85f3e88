"""The municipalities of a region, from the administrative boundaries of the map."""

from __future__ import annotations

import numpy as np
import shapely

from routing.geo import LocalFrame, Position
from routing.region.landscape import degrees, local_coords
from routing.region.model import Feature
from routing.region.network import Network
from routing.region.notes import ImportNotes
from routing.region.osm import ADMIN_LEVELS, OsmData

KIND = "municipality"
"""Kind of the features; coverage is summed by them."""

LEAST_SHARE = 0.5
"""A level counts where this much of the ground network lies in its areas: elsewhere it has another use, as wards of
cities."""

TOLERANCE_M = 10.0
LEAST_M2 = 10_000.0


def municipalities_of(data: OsmData, network: Network, frame: LocalFrame, notes: ImportNotes) -> tuple[Feature, ...]:
    """Return the areas of the finest administrative level from 8 to 6 that holds most of the network.

    They are cut at the extent. Countries use levels differently
    (https://wiki.openstreetmap.org/wiki/Tag:boundary=administrative): Japan's cities, towns and villages have 7,
    Germany's and France's municipalities 8, Andorra's parishes 7.
    """
    extent = data.extent
    west, south = frame.to_local(Position(extent.south, extent.west))
    east, north = frame.to_local(Position(extent.north, extent.east))
    box = shapely.box(west, south, east, north)
    for level in ADMIN_LEVELS:
        areas = [area for area in data.boundaries if area.tags.get("admin_level") == level and area.tags.get("name")]
        if not areas:
            continue
        owner = np.repeat(np.arange(len(areas)), [len(area.ring) for area in areas])
        corners = local_coords(np.concatenate([area.ring for area in areas]), frame)
        shapes = shapely.make_valid(np.asarray(shapely.polygons(shapely.linearrings(corners, indices=owner))))
        parts, of = shapely.get_parts(shapely.intersection(shapes, box), return_index=True)
        kept = shapely.area(parts) >= LEAST_M2
        parts, of = shapely.simplify(parts[kept], TOLERANCE_M), of[kept]
        if shapely.contains_xy(shapely.union_all(parts), network.xy[:, 0], network.xy[:, 1]).mean() >= LEAST_SHARE:
            rings = map(shapely.get_coordinates, shapely.get_exterior_ring(parts))
            found = tuple(
                Feature(KIND, areas[i].tags["name"], degrees(ring, frame, 6), closed=True)
                for i, ring in zip(of.tolist(), rings, strict=True)
            )
            notes.counts["municipalities"] = len({feature.name for feature in found})
            return found
    return ()

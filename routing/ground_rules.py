"""The rules of the ground that robots keep, and the area that they are approved for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import shapely

from routing.geo import LocalFrame, Position
from routing.region.model import Feature
from routing.vehicle_type import ROBOT_SPEED_LIMIT_MPS, Airframe, VehicleType

SIDE_MARGIN_M = 0.15
"""A way is wider than a robot by this much on either side: its position error, and the edge itself."""

ROAD_ROBOT_LIMIT_MPS = 20.0 / 3.6
"""20 km/h: the class of larger robots that drive on the carriageway."""

NODE_HEIGHT_ERROR_M = 0.1
"""Heights of nodes are rounded to this: a slope worked out from them is known no better."""

AREA, NO_AREA = "robot_area", "no_robot_area"
"""Kinds of ``Feature`` that are rules: robots stay within the first, where there is one, and out of the second."""

AREA_TOLERANCE_M = 0.5
"""A way may stray so far over the border of the area: borders are drawn along ways."""


def speed_limit_mps(vehicle_type: VehicleType) -> float:
    """What the rules let a robot drive at most; the limit of the road comes on top."""
    return ROAD_ROBOT_LIMIT_MPS if vehicle_type.built_as is Airframe.ROAD_ROBOT else ROBOT_SPEED_LIMIT_MPS


def robot_area(features: Iterable[Feature], frame: LocalFrame) -> tuple[shapely.Geometry | None, shapely.Geometry]:
    """Return the approved area (``None``: everywhere) and what is excluded, in the local frame.

    Rings of fewer than three corners enclose nothing and are passed over.
    """
    shapes: dict[str, list[shapely.Geometry]] = {AREA: [], NO_AREA: []}
    for feature in features:
        if feature.kind in shapes and len(feature.coords) >= 3:
            ring = [frame.to_local(Position(lat, lon)) for lat, lon in feature.coords]
            shapes[feature.kind].append(shapely.make_valid(shapely.Polygon(ring)))
    approved = shapely.union_all(np.array(shapes[AREA], dtype=object)) if shapes[AREA] else None
    return approved, shapely.union_all(np.array(shapes[NO_AREA], dtype=object))


def within_area(
    features: Iterable[Feature], frame: LocalFrame, lines: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which straight lines, shape ``(n, 2, 2)`` in the local frame, robots are approved for."""
    approved, excluded = robot_area(features, frame)
    inside = np.ones(len(lines), dtype=np.bool_)
    if approved is None and shapely.is_empty(excluded):
        return inside
    shapes = np.asarray(shapely.linestrings(lines))
    if approved is not None:
        inside &= np.asarray(shapely.covers(shapely.buffer(approved, AREA_TOLERANCE_M), shapes))
    return inside & ~np.asarray(shapely.intersects(shapely.buffer(excluded, -AREA_TOLERANCE_M), shapes))

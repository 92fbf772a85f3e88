"""Radio coverage: where there is no link at any height that may be flown, and how long a flight may do without."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from routing.region.model import Region
from routing.vehicle_type import VehicleType


def longest_gap_m(vehicle_type: VehicleType) -> float:
    """How far a vehicle may fly without a link before it takes its lost-link action, at cruise speed."""
    return vehicle_type.lost_link_s * vehicle_type.cruise_speed_mps


def shadows(region: Region, top_agl_m: float) -> npt.NDArray[np.object_]:
    """Squares of the region's radio layer in the local frame, with no link up to ``top_agl_m`` at a corner of them."""
    layer = region.radio
    if layer is None:
        return np.empty(0, dtype=object)
    dark = layer.values > top_agl_m
    row, column = np.nonzero(dark[:-1, :-1] | dark[1:, :-1] | dark[:-1, 1:] | dark[1:, 1:])
    west, south = layer.west_m + column * layer.step_m, layer.south_m + row * layer.step_m
    return np.asarray(shapely.box(west, south, west + layer.step_m, south + layer.step_m), dtype=object)

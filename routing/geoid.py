"""Heights above the ellipsoid and above mean sea level: the geoid lies between them, 30 to 45 m up in Japan."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from routing.errors import BadInput
from routing.region.model import Region

Floats = npt.NDArray[np.float64]


def geoid_m(region: Region, east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> Floats:
    """Height of mean sea level above the ellipsoid at places of the local frame, from the region's geoid model.

    Raises ``BadInput`` where the region has none: a height is never taken for one above another datum.
    """
    if region.geoid is None:
        raise BadInput(
            f"a height above the ellipsoid cannot be converted: region {region.region_id} has no geoid model; "
            "import it with one (--geoid)"
        )
    return region.geoid.at(east_m, north_m)


def ellipsoid_to_amsl(region: Region, height_m: npt.ArrayLike, east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> Floats:
    """Altitude AMSL of heights above the ellipsoid (H = h - N). Raises ``BadInput`` without a geoid model."""
    return np.asarray(np.asarray(height_m, dtype=np.float64) - geoid_m(region, east_m, north_m))


def amsl_to_ellipsoid(
    region: Region, alt_amsl_m: npt.ArrayLike, east_m: npt.ArrayLike, north_m: npt.ArrayLike
) -> Floats:
    """Height above the ellipsoid of altitudes AMSL (h = H + N). Raises ``BadInput`` without a geoid model."""
    return np.asarray(np.asarray(alt_amsl_m, dtype=np.float64) + geoid_m(region, east_m, north_m))

"""A plan as one HTML file that needs no network: a map to zoom, the day on a slider, details under the pointer.

Japanese and English. The page is ``plan_map.html``; this is the data in it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import numpy as np

from routing.errors import RoutingError
from routing.geo import Position
from routing.plan import Leg, Plan, Route, Trip
from routing.problem import FleetVehicle, Problem
from routing.region.model import Region, Zone
from routing.shade import hillshade, to_png
from routing.trajectory import trajectory
from routing.vehicle_type import VehicleKind

PICTURE_PX = 1_200
"""Longest side of the terrain's picture."""

MAX_WAYS = 60_000
"""Ways that are drawn: a browser has to draw them again at every step of a zoom."""

TRACK_STEP_S = 4.0
"""Spacing of the moments of a drone's track; between them it is a straight line."""

_DRAWN = {"river", "water", "building"}
_COLOURS = (
    "#d7301f", "#2b6cb0", "#6b46c1", "#2f855a", "#b7791f", "#97266d", "#2c7a7b", "#c05621", "#4a5568", "#553c9a",
)  # fmt: skip


def plan_to_html(problem: Problem, plan: Plan) -> str:
    """The page. It shows region, zones, sites, every leg of the plan, and what is not served."""
    data = json.dumps(_data(problem, plan), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Nothing in the data may end the script that it is in (HTML, 4.12.1.3).
    for sign in ("<", ">", "&", "\u2028", "\u2029"):
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    page = files("routing.formats").joinpath("plan_map.html").read_text(encoding="utf-8")
    return page.replace("@DATA@", data, 1)


class _Sheet:
    """Places as metres east and south of the terrain's north-western corner."""

    def __init__(self, region: Region) -> None:
        self._frame = region.frame
        self._west_m, self._north_m = region.terrain.west_m, region.terrain.north_m

    def at(self, position: Position) -> tuple[float, float]:
        return self.of_local(*self._frame.to_local(position))

    def of_local(self, east_m: float, north_m: float) -> tuple[float, float]:
        return round(east_m - self._west_m, 1), round(self._north_m - north_m, 1)

    def line(self, positions: Iterable[Position]) -> list[float]:
        return [value for position in positions for value in self.at(position)]

    def ring(self, ring: Iterable[tuple[float, float]]) -> list[float]:
        return self.line(Position(lat, lon) for lat, lon in ring)


def _data(problem: Problem, plan: Plan) -> dict[str, Any]:
    region, sheet = problem.region, _Sheet(problem.region)
    moments = [leg.arrive for route in plan.routes for trip in route.trips for leg in trip.legs]
    begins = min((trip.depart for route in plan.routes for trip in route.trips), default=problem.start)
    orders = {order.order_id: order for order in problem.orders}
    sites = {site.site_id: site for site in region.sites}
    return {
        "region": {"ja": region.name_ja, "en": region.name_en},
        "size": [region.terrain.east_m - region.terrain.west_m, region.terrain.north_m - region.terrain.south_m],
        "picture": "data:image/png;base64," + base64.b64encode(to_png(hillshade(region, PICTURE_PX))).decode(),
        "begins": int(min(begins, problem.start).timestamp()),
        "ends": int(max(moments, default=problem.start).timestamp()) + 1,
        "orders": len(problem.orders),
        "cost": round(plan.cost),
        "features": [
            [feature.kind, feature.closed, sheet.ring(feature.coords)]
            for feature in region.features
            if feature.kind in _DRAWN
        ],
        "ways": _ways(region, sheet),
        "zones": [_zone(zone, sheet) for zone in (*region.zones, *problem.zones)],
        "obstacles": [
            {"kind": obstacle.kind, "en": obstacle.name_en, "line": sheet.line(obstacle.line)}
            for obstacle in region.obstacles
        ],
        "sites": {
            site_id: dict(zip("xy", sheet.at(site.position), strict=True))
            | {"ja": site.name_ja, "en": site.name_en, "kind": site.kind.value}
            for site_id, site in sites.items()
        },
        "vehicles": _vehicles(problem, plan, sheet),
        "unserved": [
            {"id": missed.order_id, "reason": missed.reason, "final": missed.final}
            | (
                {"at": sheet.at(sites[orders[missed.order_id].dropoff_site].position)}
                if missed.order_id in orders and orders[missed.order_id].dropoff_site in sites
                else {}
            )
            for missed in plan.unserved
        ],
    }


def _ways(region: Region, sheet: _Sheet) -> str:
    """All ways as one path: a browser draws that faster than thousands."""
    at = {node.node_id: sheet.at(node.position) for node in region.nodes}
    edges = [edge for edge in region.edges if edge.robot or edge.road][:MAX_WAYS]
    return "".join("M{:.0f} {:.0f}L{:.0f} {:.0f}".format(*at[edge.a], *at[edge.b]) for edge in edges)


def _zone(zone: Zone, sheet: _Sheet) -> dict[str, Any]:
    return {
        "ja": zone.name_ja,
        "en": zone.name_en,
        "kind": zone.kind,
        "ring": sheet.ring(zone.ring),
        "restriction": zone.restriction.value,
        "floor": zone.floor_m,
        "floor_reference": zone.floor_reference.value,
        "ceiling": zone.ceiling_m,
        "ceiling_reference": zone.ceiling_reference.value,
    }


def _vehicles(problem: Problem, plan: Plan, sheet: _Sheet) -> list[dict[str, Any]]:
    """Vehicles that do something first, in the sequence of the problem."""
    routes = {route.vehicle_id: route for route in plan.routes}
    ordered = sorted(problem.vehicles, key=lambda vehicle: vehicle.vehicle_id not in routes)
    return [
        _vehicle(problem, vehicle, routes.get(vehicle.vehicle_id), _COLOURS[number % len(_COLOURS)], sheet)
        for number, vehicle in enumerate(ordered)
    ]


def _vehicle(
    problem: Problem, vehicle: FleetVehicle, route: Route | None, colour: str, sheet: _Sheet
) -> dict[str, Any]:
    return {
        "id": vehicle.vehicle_id,
        "type": vehicle.type.name,
        "kind": vehicle.type.kind.value,
        "home": vehicle.home_site,
        "colour": colour,
        "trips": [
            {
                "id": trip.trip_id,
                "legs": [_leg(leg, sheet) for leg in trip.legs],
                "track": _track(problem, vehicle, trip, sheet),
            }
            for trip in (route.trips if route else ())
        ],
    }


def _leg(leg: Leg, sheet: _Sheet) -> dict[str, Any]:
    return {
        "to": leg.to_site,
        "action": leg.action.value,
        "orders": list(leg.order_ids),
        "path": sheet.line(leg.path),
        "depart": int(leg.depart.timestamp()),
        "arrive": int(leg.arrive.timestamp()),
        "m": round(leg.distance_m),
        "wh": round(leg.energy_wh, 1),
    }


def _track(problem: Problem, vehicle: FleetVehicle, trip: Trip, sheet: _Sheet) -> list[float]:
    """Seconds, x, y and altitude of moments of a trip, one after the other."""
    if vehicle.type.kind is VehicleKind.DRONE:
        try:
            return _flown(problem, vehicle, trip, sheet)
        except RoutingError:
            # A plan that cannot be flown may be drawn all the same: at an even pace along its legs.
            pass
    return [value for leg in trip.legs for value in _even(leg, sheet)]


def _flown(problem: Problem, vehicle: FleetVehicle, trip: Trip, sheet: _Sheet) -> list[float]:
    flight = trajectory(trip, vehicle, problem.region, wind=problem.wind)
    end_s = float(flight.seconds[-1])
    seconds = np.append(np.arange(0.0, end_s, TRACK_STEP_S), end_s)
    began = flight.start.timestamp()
    track: list[float] = []
    for moment, (east_m, north_m, alt_m) in zip(seconds.tolist(), flight.at(seconds).tolist(), strict=True):
        track += [round(began + moment, 1), *sheet.of_local(east_m, north_m), round(alt_m, 1)]
    return track


def _even(leg: Leg, sheet: _Sheet) -> list[float]:
    places = np.array([sheet.at(position) for position in leg.path])
    steps = np.append(0.0, np.cumsum(np.hypot(*np.diff(places, axis=0).T)))
    share = steps / steps[-1] if steps[-1] else steps
    seconds = leg.depart.timestamp() + share * (leg.arrive - leg.depart).total_seconds()
    track: list[float] = []
    for moment, (x, y), position in zip(seconds.tolist(), places.tolist(), leg.path, strict=True):
        track += [round(moment, 1), x, y, round(position.alt_amsl_m, 1)]
    return [*track, leg.leave.timestamp(), *track[-3:]]

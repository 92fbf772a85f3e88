"""A plan as GeoJSON (RFC 7946), for geographic information systems: legs, sites, zones and what is not served."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from routing.formats.zones_geojson import polygon_of
from routing.geo import Position
from routing.plan import Plan
from routing.problem import Problem
from routing.region.model import Site, Zone

Data = dict[str, Any]


def plan_to_geojson(problem: Problem, plan: Plan) -> Data:
    """A collection of features, told apart by the property ``feature``: ``leg``, ``site``, ``zone``, ``unserved``.

    Legs are lines with altitudes AMSL as third coordinates; times are ISO 8601 in UTC. An unserved order is a point
    at its drop-off, with no geometry where that is not a site of the region.
    """
    return {
        "type": "FeatureCollection",
        "name": f"{problem.region.region_id} plan",
        "features": [
            *_legs(problem, plan),
            *_sites(problem, plan),
            *(_zone(zone) for zone in (*problem.region.zones, *problem.zones)),
            *_unserved(problem, plan),
        ],
    }


def _feature(kind: str, geometry: Data | None, properties: Data) -> Data:
    return {"type": "Feature", "geometry": geometry, "properties": {"feature": kind, **properties}}


def _at(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _place(position: Position) -> list[float]:
    return [round(position.lon, 7), round(position.lat, 7), round(position.alt_amsl_m, 2)]


def _legs(problem: Problem, plan: Plan) -> Iterable[Data]:
    types = {vehicle.vehicle_id: vehicle.type for vehicle in problem.vehicles}
    for route in plan.routes:
        kind = types.get(route.vehicle_id)
        for trip in route.trips:
            for number, leg in enumerate(trip.legs):
                places = [_place(position) for position in leg.path]
                # A line has two places at least (RFC 7946, 3.1.4), also one to the next door.
                line = {"type": "LineString", "coordinates": places if len(places) > 1 else places * 2}
                yield _feature(
                    "leg",
                    line if places else None,
                    {
                        "vehicle_id": route.vehicle_id,
                        "vehicle_kind": kind.kind.value if kind else None,
                        "vehicle_type": kind.type_id if kind else None,
                        "trip_id": trip.trip_id,
                        "leg": number,
                        "action": leg.action.value,
                        "to_site": leg.to_site,
                        "order_ids": list(leg.order_ids),
                        "depart": _at(leg.depart),
                        "arrive": _at(leg.arrive),
                        "leave": _at(leg.leave),
                        "distance_m": round(leg.distance_m, 1),
                        "energy_wh": round(leg.energy_wh, 2),
                    },
                )


def _sites(problem: Problem, plan: Plan) -> Iterable[Data]:
    """The sites that the plan or the orders name."""
    named = {route.home_site for route in plan.routes}
    named |= {leg.to_site for route in plan.routes for trip in route.trips for leg in trip.legs}
    named |= {site for order in problem.orders for site in (order.pickup_site, order.dropoff_site)}
    return (_site(site) for site in problem.region.sites if site.site_id in named)


def _site(site: Site) -> Data:
    return _feature(
        "site",
        {"type": "Point", "coordinates": _place(site.position)},
        {"site_id": site.site_id, "kind": site.kind.value, "name_ja": site.name_ja, "name_en": site.name_en},
    )


def _zone(zone: Zone) -> Data:
    return _feature(
        "zone",
        polygon_of(zone.ring),
        {
            "zone_id": zone.zone_id,
            "kind": zone.kind,
            "name_ja": zone.name_ja,
            "name_en": zone.name_en,
            "restriction": zone.restriction.value,
            "floor_m": zone.floor_m,
            "floor_reference": zone.floor_reference.value,
            "ceiling_m": zone.ceiling_m,
            "ceiling_reference": zone.ceiling_reference.value,
        },
    )


def _unserved(problem: Problem, plan: Plan) -> Iterable[Data]:
    sites = {site.site_id: site for site in problem.region.sites}
    drops = {order.order_id: sites.get(order.dropoff_site) for order in problem.orders}
    for missed in plan.unserved:
        site = drops.get(missed.order_id)
        point = {"type": "Point", "coordinates": _place(site.position)} if site else None
        yield _feature("unserved", point, {"order_id": missed.order_id, "reason": missed.reason, "final": missed.final})

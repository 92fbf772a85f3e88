"""Compile every kernel once and keep the machine code: ``python -m routing.warm``, part of the set-up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from routing.problem import FleetVehicle, OrderRequest, Problem
from routing.region.model import SiteKind
from routing.region.sample import sample_region
from routing.search import warm_up
from routing.solve import solve
from routing.validate import validate
from routing.vehicle_type import VehicleKind, VehicleType

_START = datetime(2026, 4, 1, tzinfo=UTC)


def main() -> None:
    """Plan and check a few flights in the sample municipality: what is compiled for them serves all."""
    warm_up()
    problem = _problem()
    validate(problem, solve(problem, work=1))


def _problem() -> Problem:
    region = sample_region(1)
    hub = next(site for site in region.sites if site.kind is SiteKind.HUB and len(site.pads) > 1)
    drops = [site for site in region.sites if site.kind is SiteKind.DROP_POINT and site.accepts_drone][:4]
    drone = VehicleType(
        type_id="warm",
        kind=VehicleKind.DRONE,
        name="A drone that flies in no plan",
        empty_mass_kg=9.0,
        payload_kg=1.0,
        payload_l=10.0,
        cruise_speed_mps=10.0,
        climb_speed_mps=3.0,
        descent_speed_mps=1.5,
        acceleration_mps2=3.0,
        battery_wh=900.0,
        cruise_power_w=900.0,
        idle_power_w=10.0,
        reserve_fraction=0.25,
        lost_link_s=10.0,
        turnaround_s=60.0,
        service_s=8.0,
    )
    return Problem(
        region=region,
        orders=tuple(
            OrderRequest(f"o{i}", hub.site_id, drop.site_id, 0.8, 1.0, _START, _START + timedelta(hours=3))
            for i, drop in enumerate(drops)
        ),
        vehicles=tuple(FleetVehicle(f"d{pad}", drone, hub.site_id, _START, pad) for pad in range(2)),
        start=_START,
    )


if __name__ == "__main__":
    main()

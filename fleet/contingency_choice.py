"""How a rule's response becomes a command: which site, which altitude, whether the way home is clear.

Nothing is guessed: a response that cannot be shown to help is not given, and the next of the rule is tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import shapely

from fleet import emergency_airspace, look_ahead, missions, nearest_site, predicted
from fleet.contingency_rules import Response, limit
from fleet.db.database import Connection
from fleet.look_ahead import APART, Ahead
from fleet.predicted import HOLDS_S, Flight, Plans
from hardware.link import VehicleState
from hardware.profiles import load_profile
from routing.airspace import CEILING_AGL_M
from routing.geo import Position
from routing.problem import TimedPosition
from routing.region.model import Region
from routing.straight_air import obstacle_floors
from routing.straight_way import CROWNS_OVER_M, LEAST_OVER_M, Closed
from telemetry.monitors.finding import Value
from telemetry.monitors.zones import ClosedAirspace

ALTITUDE_STEP_M = 5.0
VERTICAL_SPARE_M = 5.0
"""How much farther than the least separation another altitude lies: a drone does not fly at exactly one height."""
STAYS_CLEAR_S = 2.0 * HOLDS_S
"""For so long a place to hold at has to be clear."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A command that answers an occurrence, and what it does in words."""

    response: Response
    kind: str
    params: Mapping[str, Any]
    ja: str
    en: str


@dataclass(frozen=True, slots=True)
class NotPossible:
    """Why a response cannot be given now."""

    why: str


@dataclass(frozen=True, slots=True)
class Case:
    """What a response is chosen by: the vehicle as it is, and what is known of all that is around."""

    vehicle: Mapping[str, Any]
    state: VehicleState
    mission: Mapping[str, Any]
    region: Region
    closed: ClosedAirspace
    ahead: Ahead
    at: datetime
    trigger: str
    key: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)

    def here(self) -> TimedPosition | None:
        """Where it is; ``None`` where it does not say."""
        return None if self.state.position is None else TimedPosition(self.at, self.state.position)

    def flight(self, why: str, track: tuple[TimedPosition, ...]) -> Flight:
        """Return a way of this vehicle as one of the flights."""
        kind = load_profile(self.vehicle["type_id"])
        return Flight(self.mission["mission_id"], self.vehicle["vehicle_id"], kind, why, track, self.at)

    def standing(self, position: Position) -> Flight:
        """Return a stay at a place."""
        until = self.at + timedelta(seconds=STAYS_CLEAR_S)
        return self.flight("hold", (TimedPosition(self.at, position), TimedPosition(until, position)))


async def choose(conn: Connection, response: Response, case: Case) -> Choice | NotPossible:
    """Return the command that carries a response out. Raises one of ``FleetError`` or ``RoutingError``."""
    make = _CHOICES.get(response)
    return NotPossible(f"{response} is no command") if make is None else await make(conn, case)


async def _hold(_conn: Connection, _case: Case) -> Choice | NotPossible:
    return Choice(Response.HOLD, "hold", {}, "その場で停止", "held where it is")


async def _hold_clear(_conn: Connection, case: Case) -> Choice | NotPossible:
    here = case.here()
    if here is None:
        return NotPossible("where it is is not known")
    stay = case.standing(here.position)
    for other in case.ahead.silent:
        in_s = predicted.meets(stay, other, case.region, at=case.at, ahead_s=STAYS_CLEAR_S, apart=APART)
        if in_s is not None:
            return NotPossible(f"{other.vehicle_id} comes by where it is in {in_s:.0f} s")
    return Choice(
        Response.HOLD_CLEAR, "hold", {}, "その場で停止（相手の経路の外）", "held where it is, clear of the other's way"
    )


async def _return(_conn: Connection, _case: Case) -> Choice | NotPossible:
    return Choice(Response.RETURN, "return", {}, "帰還", "brought home")


async def _return_clear(conn: Connection, case: Case) -> Choice | NotPossible:
    here = case.here()
    mission_id = case.mission["mission_id"]
    plan = (await Plans().of(conn, [mission_id])).get(mission_id)
    if here is None or plan is None:
        return NotPossible("its own way home is not known")
    row = await missions.get(conn, mission_id)
    late = (row["started_at"] or row["changed_at"]) - row["planned_depart"]
    kind = load_profile(case.vehicle["type_id"])
    track = await asyncio.to_thread(predicted.homewards, plan, kind, case.region, now=here, late=late)
    if len(track) < 2:
        return NotPossible("its own way home is not known")
    areas = await emergency_airspace.listing(conn, region_id=case.region.region_id, at=case.at)
    entered = look_ahead.of_areas(case.flight("return", track), areas, case.region)
    if entered:
        names = ", ".join(str(finding.values["area"]) for finding in entered)
        return NotPossible(f"its own way home leads through {names}")
    return Choice(
        Response.RETURN_CLEAR, "return", {}, "帰還（閉鎖空域を通らない経路）", "brought home by a way that is clear"
    )


async def _land(_conn: Connection, _case: Case) -> Choice | NotPossible:
    return Choice(Response.LAND, "land", {}, "その場に着陸", "landed where it is")


async def _nearest_site(conn: Connection, case: Case) -> Choice | NotPossible:
    here = case.here()
    if here is None:
        return NotPossible("where it is is not known")
    reach = await nearest_site.look(
        conn,
        vehicle_id=case.vehicle["vehicle_id"],
        here=here.position,
        battery_pct=case.state.battery_pct,
        at=case.at,
        closed=_closed(case),
        region=case.region,
    )
    way = reach.nearest(forced=case.trigger == "energy")
    if way is None:
        return NotPossible("no site is in reach by a clear way")
    site = reach.site(way)
    ja = f"{site.name_ja or site.site_id}へ（{way.distance_m:.0f} m、{way.duration_s:.0f} 秒）"
    en = f"diverted to {site.name_en or site.site_id}, {way.distance_m:.0f} m, {way.duration_s:.0f} s"
    return Choice(Response.NEAREST_SITE, "divert", {"site_id": way.site_id}, ja, en)


def _closed(case: Case) -> list[Closed]:
    """What is closed now or soon, beside the zones, and where manned aircraft are."""
    frame = case.region.frame
    return [
        Closed(
            str(area["name"]),
            shapely.Polygon([frame.to_local(Position(lat, lon)) for lat, lon in area["ring"]]).buffer(
                emergency_airspace.AROUND_M
            ),
        )
        for area in case.ahead.areas
    ]


async def _other_altitude(_conn: Connection, case: Case) -> Choice | NotPossible:
    return await asyncio.to_thread(_altitude, case)


def _altitude(case: Case) -> Choice | NotPossible:
    """The height nearest to its own that is high enough over the ground, in no zone, and apart from what comes."""
    here = case.here()
    if here is None:
        return NotPossible("where it is is not known")
    encounters = case.ahead.encounters.get(case.vehicle["vehicle_id"], ())
    unknown = [one.name for one in encounters if one.alt_amsl_m is None]
    if unknown:
        return NotPossible(f"the height of {', '.join(unknown)} is not known")
    region, place = case.region, here.position
    ground_m, least_m = _least_amsl_m(region, place)
    heights = np.arange(least_m, ground_m + CEILING_AGL_M, ALTITUDE_STEP_M)
    kind = load_profile(case.vehicle["type_id"])
    # Down rather than up where both are as far: what has people aboard is more often above.
    for alt_m in sorted(heights.tolist(), key=lambda h: (abs(h - place.alt_amsl_m), h)):
        if any(_too_near(alt_m, one.alt_amsl_m or 0.0, one.alt_error_m) for one in encounters):
            continue
        there = replace(place, alt_amsl_m=alt_m)
        if case.closed.breached((*region.frame.to_local(there), alt_m), case.at, kind) or _meets_any(case, there):
            continue
        agl_m = float(alt_m - ground_m)
        ja, en = f"対地 {agl_m:.0f} m で待機", f"waits at {agl_m:.0f} m above the ground"
        return Choice(Response.OTHER_ALTITUDE, "altitude", {"agl_m": round(agl_m, 1)}, ja, en)
    return NotPossible("no height over the ground and under the ceiling is far enough from what comes")


def _least_amsl_m(region: Region, place: Position) -> tuple[float, float]:
    """Return the ground's height, and the least height for a drone that waits, both AMSL (``routing.straight_way``)."""
    east, north = region.frame.to_local(place)
    ground_m = float(region.terrain.height_m(east, north))
    trees_m = float(region.canopy.greatest(east, north)) + CROWNS_OVER_M if region.canopy else 0.0
    floor_m = float(obstacle_floors(region, np.array([[east, north]])).max())
    return ground_m, max(ground_m + max(LEAST_OVER_M, trees_m) + region.terrain.error_m, floor_m)


def _too_near(alt_m: float, other_m: float, error_m: float) -> bool:
    return abs(alt_m - other_m) < limit("aircraft_near", "vertical_m") + error_m + VERTICAL_SPARE_M


def _meets_any(case: Case, place: Position) -> bool:
    apart = replace(APART, vertical_m=APART.vertical_m + VERTICAL_SPARE_M)
    stay = case.standing(place)
    return any(
        predicted.meets(stay, other, case.region, at=case.at, ahead_s=STAYS_CLEAR_S, apart=apart) is not None
        for other in case.ahead.flights.values()
        if other.vehicle_id != case.vehicle["vehicle_id"] and other.track
    )


async def _skip(_conn: Connection, case: Case) -> Choice | NotPossible:
    step = case.values.get("step")
    if not isinstance(step, int):
        return NotPossible("which delivery it waits at is not known")
    return Choice(Response.SKIP, "skip", {"step": step}, "荷物を積んだまま先へ", "sent on with its parcel")


_CHOICES: Mapping[Response, Callable[[Connection, Case], Awaitable[Choice | NotPossible]]] = {
    Response.HOLD: _hold,
    Response.HOLD_CLEAR: _hold_clear,
    Response.RETURN: _return,
    Response.RETURN_CLEAR: _return_clear,
    Response.LAND: _land,
    Response.NEAREST_SITE: _nearest_site,
    Response.OTHER_ALTITUDE: _other_altitude,
    Response.SKIP: _skip,
}

"""From a command to the link: what it means for this vehicle now, and whether it may still be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet import commands, going_on, missions, nearest_site, regions, vehicles
from fleet.command_kinds import STOPS, by_rule
from fleet.db.database import Database
from fleet.errors import FleetError
from fleet.nearest_site import Reach
from hardware.errors import NotSupported, Refused
from hardware.link import VehicleLink
from routing.geo import Position
from routing.straight_way import StraightWay
from routing.vehicle_type import VehicleKind
from telemetry.clock import Clock


@dataclass(frozen=True, slots=True)
class Sending:
    """Carries commands to the link of one vehicle; all that it reads is read at the moment of sending."""

    vehicle_id: str
    link: VehicleLink
    database: Database
    clock: Clock

    async def send(self, command: Mapping[str, Any], *, overtaken: Callable[[], bool] = lambda: False) -> str:
        """Carry one command out; return what it was, in words that are put before the vehicle's state, or "".

        ``overtaken`` says whether a stop was given after it: what takes a while to prepare is then not sent any more,
        nor is it after the command's time; stops are sent in any case. Raises one of ``hardware.errors``, ``Refused``
        with what is against it now, and ``DATABASE_ERRORS``.
        """
        link, params = self.link, command["params"]
        if command["kind"] not in STOPS:
            self._check(command, overtaken)
        match command["kind"]:
            case "emergency_stop":
                await link.emergency_stop()
            case "hold":
                await link.hold()
            case "cross":
                await link.cross(params["node"])
            case "clear":
                await link.descend(params["step"])
            case "resume":
                await self._resume(command, overtaken)
            case "return":
                await link.return_home()
            case "land":
                await link.land()
            case "divert":
                return await self._divert(command, overtaken)
            case "speed":
                await link.set_speed(params["speed_mps"])
            case "altitude":
                await self._altitude(command, overtaken)
            case "release":
                await link.release(params["step"])
            case "skip":
                await link.skip(params["step"])
            case "unlock":
                await link.unlock(params["step"])
            case "abort":
                return await self._abort(command, overtaken)
            case kind:
                raise NotSupported(f"this service does not carry {kind} to a vehicle")
        return ""

    async def _resume(self, command: Mapping[str, Any], overtaken: Callable[[], bool]) -> None:
        """A drone goes on only if nobody is in its way now; a rule has looked itself."""
        if not by_rule(command["issuer"]):
            at, here = self.clock.now(), self.link.state().position
            async with self.database.transaction() as conn:
                near = await going_on.in_the_way(conn, self.vehicle_id, at=at, speed=self.clock.speed, here=here)
            if near:
                raise Refused(f"{', '.join(near)} would come too near: it goes on holding")
        self._check(command, overtaken)
        await self.link.resume()

    async def _altitude(self, command: Mapping[str, Any], overtaken: Callable[[], bool]) -> None:
        here = self._here()
        async with self.database.transaction() as conn:
            vehicle = await vehicles.get(conn, self.vehicle_id)
            region = await regions.load(conn, vehicle["region_id"])
        self._check(command, overtaken)
        await self.link.set_altitude(region.ground_amsl_m(here) + command["params"]["agl_m"])

    async def _divert(self, command: Mapping[str, Any], overtaken: Callable[[], bool]) -> str:
        reach = await self._reach()
        try:
            way = reach.to(command["params"]["site_id"])
        except FleetError as error:
            raise Refused(str(error)) from None
        against = reach.against(way)
        if against and not by_rule(command["issuer"]):
            raise Refused(f"not to {way.site_id}: {'; '.join(words.en for words in against)}")
        return await self._fly(command, way, overtaken)

    async def _abort(self, command: Mapping[str, Any], overtaken: Callable[[], bool]) -> str:
        async with self.database.transaction() as conn:
            vehicle = await vehicles.get(conn, self.vehicle_id)
            mission = await missions.active(conn, self.vehicle_id)
            waiting = None if mission else await missions.next_accepted(conn, self.vehicle_id)
            if waiting is not None:
                at = self.clock.now()
                await missions.cancel(conn, waiting["mission_id"], at=at, actor=command["issuer"])
                return f"mission {waiting['mission_id']} is cancelled before it began; "
        if vehicle["kind"] != VehicleKind.DRONE:
            self._check(command, overtaken)
            await self.link.abort()
            return ""
        if self.link.state().on_ground:
            raise Refused("it stands on the ground; a start that is under way is held once it is in the air")
        reach = await self._reach()
        way = reach.nearest(forced=by_rule(command["issuer"]))
        if way is None:
            raise Refused("no site is in reach on a clear way; land it here, or divert it to a drop point")
        return await self._fly(command, way, overtaken)

    async def _fly(self, command: Mapping[str, Any], way: StraightWay, overtaken: Callable[[], bool]) -> str:
        async with self.database.transaction() as conn:
            await commands.sent_to(conn, command["command_id"], way.site_id)
        self._check(command, overtaken)
        await self.link.divert(way.to, alt_amsl_m=way.alt_amsl_m)
        return f"to {way.site_id}, {way.distance_m:.0f} m at {way.alt_amsl_m:.0f} m AMSL, {way.needed_wh:.0f} Wh; "

    async def _reach(self) -> Reach:
        state, here = self.link.state(), self._here()
        if state.on_ground:
            raise Refused("it stands on the ground")
        async with self.database.transaction() as conn:
            return await nearest_site.look(
                conn,
                vehicle_id=self.vehicle_id,
                here=here,
                battery_pct=state.battery_pct,
                at=self.clock.now(),
            )

    def _here(self) -> Position:
        here = self.link.state().position
        if here is None:
            raise Refused("its position is not known")
        return here

    def _check(self, command: Mapping[str, Any], overtaken: Callable[[], bool]) -> None:
        """Look right before the link is told: what took a while to prepare may be too late by now."""
        if overtaken():
            raise Refused("a stop was given after it")
        if command["expires_at"] <= self.clock.now():
            raise Refused("too late: its time was over before it could be sent")

"""The gate above a drop point: a drone that waits there comes down when it is clear, and passes by when it is not.

Who may say so depends on the class of the drop point (``fleet.drop_point``). What a recipient says is a row here, good
for a few minutes and for one descent; a pilot gives the command ``clear``. Nothing said means no descent: when its
time is over the drone goes on with the parcel aboard, by itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from fleet import clearance, drop_point, leases, missions
from fleet.db.database import Connection, Database
from fleet.drop_point import DropClass, DropPoint
from fleet.errors import Conflict
from fleet.leases import Lease
from hardware.errors import HardwareError
from hardware.link import VehicleLink, VehicleState, WaitFor
from telemetry.clock import Clock
from telemetry.sqlfile import statements

_LOG = structlog.get_logger()
_SQL = statements("fleet.db.sql", "deliveries.sql")

VALID_FOR = timedelta(minutes=5)
"""For so much domain time a word that the place is clear (or not) is good: whoever gave it stands there and sees to
it; nobody does so for longer."""
POLL_S = 0.5
"""Wall seconds between two looks at what was said, unless told of it."""


ON_ITS_WAY = frozenset({"underway", "held"})
"""States of a mission that delivers yet."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a drop point is clear. ``confirmation_id`` is the row that says so, None where none is needed."""

    clear: bool
    said_by: str
    confirmation_id: int | None = None


async def say(
    conn: Connection,
    mission: Mapping[str, Any],
    step: int,
    *,
    clear: bool,
    said_as: str,
    said_by: str,
    at: datetime,
) -> dict[str, Any]:
    """Keep a word that the drop point of a mission's release is clear, or is not; return its row.

    ``said_as`` is ``recipient`` or ``pilot``. Raises ``Conflict`` when the mission is not on its way, no drone comes
    down there or another person has to say it.
    """
    mission_id = mission["mission_id"]
    if mission["state"] not in ON_ITS_WAY:
        raise Conflict(f"mission {mission_id} is {mission['state']}; it is not on its way to the drop point")
    if not mission["trip"]["mission"]["steps"][step].get("gate_s"):
        raise Conflict(f"nobody has to say whether the drop point of step {step} is clear")
    point = (await drop_point.of_region(conn, mission["region_id"]))[site_of(mission, step)]
    if said_as == "recipient" and point.kind is not DropClass.RECIPIENT:
        raise Conflict("the drop point is looked at by the pilot; nothing is needed from you")
    return await _keep(conn, mission_id, step, clear=clear, said_as=said_as, said_by=said_by, at=at)


async def decide(conn: Connection, mission: Mapping[str, Any], step: int, *, at: datetime) -> Decision | None:
    """Return whether the drop point of a release is clear now; ``None`` while nobody has said who may.

    Only the newest word of those who may counts, while it is good: one before it is void, whatever became of the
    newest. A word that it is clear is used up by one descent; one that it is not holds on, since to pass by is always
    safe. A fence that was entered after the start of the mission does not count: nobody builds one below a drone.
    """
    point = (await drop_point.of_region(conn, mission["region_id"]))[site_of(mission, step)]
    if point.kind is DropClass.FENCED and await _since_before(conn, mission["mission_id"], point):
        return Decision(True, "the drop point is fenced")
    for row in await confirmations(conn, mission["mission_id"], step):
        if row["said_as"] == "pilot" or point.kind is DropClass.RECIPIENT:
            used_up = row["clear"] and row["used_at"] is not None
            good = row["said_at"] <= at < row["valid_until"] and not used_up
            return Decision(row["clear"], row["said_by"], row["confirmation_id"]) if good else None
    return None


async def _since_before(conn: Connection, mission_id: str, point: DropPoint) -> bool:
    """Whether a drop point was entered as it is before the mission began; a runner's row may be from before, too."""
    started_at = (await missions.get(conn, mission_id))["started_at"]
    return started_at is not None and point.set_at is not None and point.set_at <= started_at


async def was_let_down(conn: Connection, mission_id: str, step: int) -> bool:
    """Return whether a word that the drop point is clear has been acted on: none is used up while the vehicle has not
    taken it, but for a gateway that died between the two."""
    return any(row["clear"] and row["used_at"] is not None for row in await confirmations(conn, mission_id, step))


async def confirmations(conn: Connection, mission_id: str, step: int) -> list[dict[str, Any]]:
    """Return what was said of a drop point, newest first."""
    return await (await conn.execute(_SQL["confirmations"], {"mission_id": mission_id, "step": step})).fetchall()


def site_of(mission: Mapping[str, Any], step: int) -> str:
    """Return the site at which a step of a mission releases; raises ``Conflict`` for a step that does not."""
    steps = mission["trip"]["mission"]["steps"]
    order_ids = list(steps[step]["order_ids"]) if 0 <= step < len(steps) else []
    for stop in mission["trip"]["stops"]:
        if order_ids and stop["order_ids"] == order_ids:
            return str(stop["to_site"])
    raise Conflict(f"step {step} of mission {mission['mission_id']} releases nothing")


async def _keep(
    conn: Connection,
    mission_id: str,
    step: int,
    *,
    clear: bool,
    said_as: str,
    said_by: str,
    at: datetime,
    used: bool = False,
) -> dict[str, Any]:
    values = {
        "mission_id": mission_id,
        "step": step,
        "clear": clear,
        "said_as": said_as,
        "said_by": said_by,
        "at": at,
        "until": at + VALID_FOR,
        "used_at": at if used else None,
    }
    row = await (await conn.execute(_SQL["say"], values)).fetchone()
    assert row is not None
    words = "is clear" if clear else "is not clear"
    await missions.note(conn, mission_id, f"drop point of step {step} {words}: {said_by}", at=at)
    return row


class DropGate:
    """Answers the waits of one vehicle above its drop points, for as long as the lease is ours."""

    def __init__(self, *, link: VehicleLink, lease: Lease, database: Database, clock: Clock) -> None:
        self._link = link
        self._lease = lease
        self._database = database
        self._clock = clock
        self._at: tuple[str, int, datetime] | None = None
        self._answered = False
        self._told = False
        self._look_at_s = 0.0
        self._log = _LOG.bind(vehicle=lease.vehicle_id)

    def wake(self) -> None:
        """Look again at the next round: something has been said."""
        self._told = True

    async def look(self, mission: Mapping[str, Any], state: VehicleState) -> None:
        """Let the vehicle down, or on, when it waits and the answer is there; write down how a wait has ended.

        Raises ``LeaseLost`` and what the database raises; what the vehicle refuses is tried again while the word holds.
        """
        waits = state.waits
        if waits is None or waits.what is not WaitFor.DROP_CLEAR or state.progress.mission_id != mission["mission_id"]:
            if self._at is not None and state.connected:
                await self._left(mission)
            return
        if self._at is None or self._at[:2] != (mission["mission_id"], waits.step):
            self._at, self._answered, self._told = (mission["mission_id"], waits.step, waits.since), False, True
        if not self._told and time.monotonic() < self._look_at_s:
            return
        self._told, self._look_at_s = False, time.monotonic() + POLL_S
        decision = await self._take(mission, waits.step)
        if decision is not None:
            await self._answer(decision, waits.step)

    async def note_step(self, conn: Connection, mission: Mapping[str, Any], step: int) -> None:
        """It has come to another step of its mission, whose row has the former one: where it was at a drop point that
        it waits above, its further way is as much earlier or later than planned as it is."""
        before = mission["step"]
        gated = mission["trip"]["mission"]["steps"][before].get("gate_s", 0.0) > 0.0
        if gated and step > before:
            site_id = site_of(mission, before)
            await clearance.goes_on(conn, mission["mission_id"], site_id, at=self._clock.now())

    async def _take(self, mission: Mapping[str, Any], step: int) -> Decision | None:
        """Use up the word that decides, before anything is sent: were we to die now, it would have to be said again."""
        at = self._clock.now()
        async with leases.fenced(self._database, self._lease) as conn:
            decision = await decide(conn, mission, step, at=at)
            if decision is not None and decision.confirmation_id is not None:
                await _use(conn, decision.confirmation_id, at)
        return decision

    async def _answer(self, decision: Decision, step: int) -> None:
        try:
            if decision.clear:
                await self._link.descend(step)
            else:
                await self._link.skip(step)
        except HardwareError as error:
            self._log.warning("not let down", step=step, clear=decision.clear, error=str(error) or type(error).__name__)
            if decision.confirmation_id is not None:
                async with leases.fenced(self._database, self._lease) as conn:
                    await _use(conn, decision.confirmation_id, None)
            return
        self._answered = True
        self._log.info("drop point answered", step=step, clear=decision.clear, by=decision.said_by)

    async def _left(self, mission: Mapping[str, Any]) -> None:
        """Write down who has let it down by command, or that nobody has answered it."""
        assert self._at is not None
        (mission_id, step, since), at = self._at, self._clock.now()
        if not self._answered and mission_id == mission["mission_id"]:
            async with leases.fenced(self._database, self._lease) as conn:
                values = {"mission_id": mission_id, "step": step, "since": since}
                command = await (await conn.execute(_SQL["gate_command"], values)).fetchone()
                if command is None:
                    words = f"went on from the drop point of step {step} untold that it is clear, its parcel aboard"
                    await missions.note(conn, mission_id, words, at=at)
                else:
                    clear, by = command["kind"] == "clear", f"pilot {command['issuer']}"
                    await _keep(conn, mission_id, step, clear=clear, said_as="pilot", said_by=by, at=at, used=True)
        self._at = None


async def _use(conn: Connection, confirmation_id: int, used_at: datetime | None) -> None:
    await conn.execute(_SQL["use_confirmation"], {"confirmation_id": confirmation_id, "used_at": used_at})

"""A past period over WebSocket: the messages of the live view as they were, faster if asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fleet.api.fields import Moment
from fleet.api.live import SEND_TIMEOUT_S, Hub, hold, refused, token_of
from fleet.db.database import DATABASE_ERRORS
from fleet.live import INTERVAL_S
from fleet.replay import Frame, Replay

router = APIRouter(prefix="/api")

MAX_REPLAYS = 20
"""Replays that one process plays at once; a further one is refused."""
MAX_LATE_S = 1.0
"""Wall seconds that a replay makes up for when its reader or the database was slow; beyond that it takes longer."""
MAX_REASON = 120
"""Bytes of a reason that fit into a close frame (RFC 6455, 5.5)."""
MAX_CONTROLS = 16
"""What a client has asked for and was not done yet; at the bound it is not read any further."""

Speed = Annotated[float, Field(ge=1.0, le=100.0, allow_inf_nan=False)]


class Period(BaseModel):
    """What is to be replayed: domain time, and how much of it passes in a second."""

    start: Moment = Field(alias="from")
    end: Moment = Field(alias="to")
    speed: Speed = 1.0

    @model_validator(mode="after")
    def _is_a_period(self) -> Period:
        if self.end <= self.start:
            raise ValueError("to: must be after from")
        return self


class Control(BaseModel):
    """What a client asks for while it looks."""

    model_config = ConfigDict(extra="forbid")

    pause: bool | None = None
    seek: Moment | None = None
    speed: Speed | None = None


@dataclass(slots=True)
class Player:
    """Plays a replay: five pictures a second, until the end and again from wherever its viewer goes.

    ``send`` takes one message; while it does not, nothing is made for it, and what comes after shows what is true
    then. Alarms between two pictures are all in the one after them.
    """

    replay: Replay
    send: Callable[[dict[str, Any]], Awaitable[None]]
    controls: asyncio.Queue[Control]
    paused: bool = False
    ended: bool = False
    shown_s: float = 0.0

    async def play(self) -> None:
        """Play until cancelled."""
        await self._show(await self.replay.seek(self.replay.start))
        while True:
            control = await self._asked()
            if control is not None:
                await self._obey(control)
                continue
            now_s = time.monotonic()
            passed_s = min(now_s - self.shown_s, MAX_LATE_S) * self.replay.speed
            self.shown_s = now_s
            await self._show(await self.replay.advance(self.replay.t + timedelta(seconds=passed_s)), begun_s=now_s)

    async def _asked(self) -> Control | None:
        """What the viewer asks for before the next picture is due, if anything."""
        rests = self.paused or self.ended
        with suppress(TimeoutError):
            async with asyncio.timeout(None if rests else max(0.0, self.shown_s + INTERVAL_S - time.monotonic())):
                return await self.controls.get()
        return None

    async def _obey(self, control: Control) -> None:
        if control.speed is not None and control.speed != self.replay.speed:
            # What was read ahead is as close together as the old speed wanted it.
            await self.replay.close()
            self.replay.speed = control.speed
        if control.pause is not None:
            self.paused, self.shown_s = control.pause, time.monotonic()
        if control.seek is not None:
            self.ended = False
            await self._show(await self.replay.seek(control.seek))

    async def _show(self, frame: Frame, begun_s: float | None = None) -> None:
        self.shown_s = time.monotonic() if begun_s is None else begun_s
        if frame.alarms or frame.full:
            newest = max((alarm["event_id"] for alarm in frame.alarms), default=0)
            await self.send({"type": "alarms", "cursor": newest, "alarms": frame.alarms, "reset": frame.full})
        snapshot = {"type": "snapshot", "t": frame.t, "full": frame.full, "vehicles": frame.vehicles}
        await self.send(snapshot | {"processes": []})
        if frame.t >= self.replay.end:
            self.ended = True
            await self.send({"type": "end"})


@router.websocket("/replay")
async def replay(
    socket: WebSocket,
    start: Annotated[str, Query(alias="from")] = "",
    end: Annotated[str, Query(alias="to")] = "",
    speed: str = "1",
) -> None:
    """Replay a past period to one client: ``from`` and ``to`` ISO 8601 with a zone, ``speed`` 1 to 100."""
    hub: Hub = socket.app.state.hub
    found = token_of(socket)
    await socket.accept()
    refusal = await refused(socket, hub, found)
    if refusal is None and len(hub.replays) >= MAX_REPLAYS:
        refusal = 4429, "too many replays; try again later"
    try:
        period = Period.model_validate({"from": start, "to": end, "speed": speed})
    except ValidationError as error:
        refusal = refusal or (4400, _why(error))
    if refusal is not None:
        await socket.close(*refusal)
        return
    controls = asyncio.Queue[Control](MAX_CONTROLS)
    hub.replays.add(socket)
    try:
        await hold(socket, hub, found, _play(socket, hub, period, controls), _listen(socket, controls))
    finally:
        hub.replays.discard(socket)


async def _play(socket: WebSocket, hub: Hub, period: Period, controls: asyncio.Queue[Control]) -> None:
    async def send(message: dict[str, Any]) -> None:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await socket.send_text(orjson.dumps(message).decode())

    end: datetime = min(period.end, hub.context.clock.now())
    if end <= period.start:
        await socket.close(4400, "from: must be in the past")
        return
    past = Replay(hub.context.database, start=period.start, end=end, speed=period.speed)
    try:
        await Player(past, send, controls).play()
    except DATABASE_ERRORS:
        await socket.close(1013, "the database is away; try again in a moment")
    finally:
        await past.close()


async def _listen(socket: WebSocket, controls: asyncio.Queue[Control]) -> None:
    """Take what the client asks for until it has gone, or says what nobody understands."""
    try:
        while True:
            await controls.put(Control.model_validate_json(await socket.receive_text()))
    except ValidationError as error:
        await socket.close(4400, _why(error))
    except (WebSocketDisconnect, RuntimeError, KeyError):
        return


def _why(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return f"{place}: {text}"[:MAX_REASON] if place else text[:MAX_REASON]

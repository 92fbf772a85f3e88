"""The one interface through which the service speaks to a vehicle, whatever its protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from hardware.errors import NotSupported
from hardware.mission import Mission
from routing.geo import Position
from telemetry.event import VehicleEvent
from telemetry.sample import Sample


class Activity(StrEnum):
    """What a vehicle is doing, in terms common to all protocols."""

    UNKNOWN = "unknown"
    IDLE = "idle"
    TAKEOFF = "takeoff"
    MISSION = "mission"
    HOLD = "hold"
    RETURN = "return"
    LAND = "land"
    MANUAL = "manual"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Release:
    """A parcel hand-over that the vehicle confirmed or that its progress implies.

    ``evidence`` is ``sensor`` (the vehicle's own acknowledgement of the release) or ``inferred``
    (its progress has passed the release). ``detail`` says by which message it is known.
    """

    step: int
    evidence: str
    detail: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the vehicle is in the mission that it carries.

    ``mission_id`` is the mission that the link recognised on the vehicle (by content or by id), ``None``
    when it carries none that we know. ``step`` is the index of the step under way.
    ``finished`` only when the vehicle itself is at the end: landed and disarmed, or idle at the last node
    with every action done. ``releases`` holds every release known so far, never fewer than before.
    """

    mission_id: str | None = None
    step: int = 0
    releases: tuple[Release, ...] = ()
    finished: bool = False


class WaitFor(StrEnum):
    """For what decision of a person a vehicle stands still by itself."""

    DROP_CLEAR = "drop_clear"
    """A drone above a drop point: ``descend`` or ``skip``; it goes on without a release when its time is over."""
    UNLOCK = "unlock"
    """A robot at a drop point: ``unlock``, or give the delivery up."""
    CROSSING = "crossing"
    """A robot at the kerb: ``cross``."""
    RESUME = "resume"
    """It was out of contact for longer than its lost-link time: ``resume`` or ``return_home``."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A decision that a vehicle waits for. ``step`` is the mission's step, ``node`` a robot's node; ``since`` is domain
    time, ``until`` when it goes on without, if it does."""

    what: WaitFor
    step: int
    since: datetime
    node: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class VehicleState:
    """The latest state of a vehicle. ``t`` is the domain time at which it was last heard.

    ``connected`` is the link's judgement by silence (heartbeats or connection message);
    ``faults`` are the vehicle's own words, newest last, at most 10. ``conditions`` is what is odd about the contact
    now, code (``hardware.conditions``) to detail in words. ``waits``: the decision that it waits for. ``unconfirmed``:
    a stop that was sent and that its state does not show yet, in words.
    """

    t: datetime | None = None
    connected: bool = False
    activity: Activity = Activity.UNKNOWN
    mode: str = ""
    armed: bool = False
    on_ground: bool = True
    ready: bool = False
    position: Position | None = None
    heading_deg: float | None = None
    speed_mps: float | None = None
    battery_pct: float | None = None
    progress: Progress = field(default_factory=Progress)
    faults: tuple[str, ...] = ()
    conditions: Mapping[str, str] = field(default_factory=dict)
    waits: Wait | None = None
    unconfirmed: str | None = None


class LeaseGuard(Protocol):
    """Answers whether this process still owns the vehicle. Checked before anything is sent."""

    def held(self) -> bool:
        """Return whether the lease's deadline (monotonic wall time) has not passed. Must not block."""
        ...


class VehicleLink(Protocol):
    """A connection to one vehicle.

    Every method that speaks to the vehicle has a time-out of its own and raises one of
    ``hardware.errors``: ``NotOurs`` when the lease is not held, ``LinkDown`` when the vehicle is not
    heard, ``Refused`` with its reason, ``NoAnswer`` otherwise. A successful return means that the
    vehicle's state shows the effect, not only that it acknowledged. What a protocol does not have raises
    ``NotSupported``, as do the defaults of this class.
    """

    vehicle_id: str

    async def open(self) -> None:
        """Start listening and return at once; ``state().connected`` tells when the vehicle is heard."""
        ...

    async def close(self) -> None:
        """Stop listening and release sockets and threads. Sends nothing that changes the vehicle."""
        ...

    def state(self) -> VehicleState:
        """Return the latest state."""
        ...

    def changes(self) -> AsyncIterator[VehicleState]:
        """Yield the state now and then after each change, conflated: a slow reader sees the latest only."""
        ...

    def beat(self) -> None:
        """Say that the working loop is alive; heartbeats to the vehicle stop when this stops coming."""
        ...

    def expect(self, mission: Mission) -> None:
        """Tell which mission the vehicle should carry, so that a running one is recognised; sends nothing."""
        ...

    async def recognise(self) -> bool:
        """Read what the vehicle carries; return whether it is the expected mission. For re-attaching."""
        ...

    async def upload(self, mission: Mission) -> None:
        """Load a mission and read it back; raises ``MissionRejected``. Robots take it with ``start``."""
        ...

    async def start(self) -> None:
        """Start the mission uploaded; returns when the vehicle's state shows that it has begun."""
        ...

    async def hold(self) -> None:
        """Stop where it is (a drone hovers, a robot stands)."""
        ...

    async def resume(self) -> None:
        """Go on with the mission after a hold."""
        ...

    async def return_home(self) -> None:
        """Give the mission up and come home."""
        ...

    async def land(self) -> None:
        """Land here; raises ``NotSupported`` for robots."""
        ...

    async def divert(self, to: Position, *, alt_amsl_m: float) -> None:
        """Give the mission up, fly straight to above ``to`` at an altitude and land there (``to`` is at ground level).

        Returns when it is on its way; a link sees it through to the landing. Drones only.
        """
        raise NotSupported(f"{self.vehicle_id} cannot be diverted")

    async def set_speed(self, speed_mps: float) -> None:
        """Go on at another speed, until the mission sets one again."""
        raise NotSupported(f"{self.vehicle_id} takes no other speed")

    async def set_altitude(self, alt_amsl_m: float) -> None:
        """Hold here at another altitude; ``resume`` goes on with the mission from there. Drones only."""
        raise NotSupported(f"{self.vehicle_id} takes no altitude")

    async def release(self, step: int) -> None:
        """Let the parcels of a RELEASE go now; raises ``Refused`` unless it is at its drop point, low and still."""
        raise NotSupported(f"{self.vehicle_id} releases by its mission only")

    async def descend(self, step: int) -> None:
        """The drop point of a RELEASE is clear: come down and release; raises ``Refused`` unless it waits there."""
        raise NotSupported(f"{self.vehicle_id} does not wait above drop points")

    async def skip(self, step: int) -> None:
        """Go on without a RELEASE that the vehicle waits at; its parcels stay aboard."""
        raise NotSupported(f"{self.vehicle_id} leaves no release out")

    async def cross(self, node: str) -> None:
        """Cross the road from a kerb: raises ``Refused`` unless the robot stands there and has said so within 1 s."""
        raise NotSupported(f"{self.vehicle_id} waits at no crossing")

    async def unlock(self, step: int) -> None:
        """Let the recipient at the parcels of a RELEASE; raises ``Refused`` unless the robot stands there."""
        raise NotSupported(f"{self.vehicle_id} has no lock")

    async def abort(self) -> None:
        """Give the mission up on the spot: a robot drops its order and stands. A drone is diverted instead."""
        raise NotSupported(f"{self.vehicle_id} cannot give its mission up on the spot")

    async def emergency_stop(self) -> None:
        """Cut the drives, where the maker offers a channel for it."""
        raise NotSupported(f"{self.vehicle_id} offers no emergency stop: hold it")


SampleSink = Callable[[Sample], None]
"""Takes one sample at once, never blocks; what happens at its bound is the sink's business."""

EventSink = Callable[[VehicleEvent], None]
"""Takes one event at once, never blocks. Links tell what happens, never something for each sample."""


def no_events(_event: VehicleEvent) -> None:
    """Take an event and keep nothing of it."""

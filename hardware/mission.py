"""The executable form of a trip, before it is translated to a protocol."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from routing.geo import Position


class StepKind(StrEnum):
    """What a step of a mission does."""

    TAKEOFF = "takeoff"
    """Climb to ``position.alt_amsl_m`` above the start."""
    MOVE = "move"
    """Fly or drive to ``position``."""
    RELEASE = "release"
    """Let the parcels of ``order_ids`` go at ``position`` (a drone descends to it first)."""
    LAND = "land"
    """Come down at ``position``; the mission ends there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``node`` names the node of the ground network for robots; ``order_ids`` is for RELEASE.

    ``speed_mps`` is kept on the way to this step and after it until another step says otherwise; ``None``: as before.
    ``gate_s``: a drone waits so long above a RELEASE to be told that the drop point is clear (``VehicleLink.descend``);
    untold it goes on without coming down. 0: it comes down at once. ``unlock``: a robot lets nobody at the parcels of a
    RELEASE before it is told to (``VehicleLink.unlock``). ``crossing``: a robot's way on from this node crosses a road.
    Nodes so marked one after another are one crossing: the robot waits at the first until somebody releases it
    (``VehicleLink.cross``), and stands at none of the others.
    """

    kind: StepKind
    position: Position
    node: str | None = None
    order_ids: tuple[str, ...] = ()
    dwell_s: float = 0.0
    speed_mps: float | None = None
    gate_s: float = 0.0
    unlock: bool = False
    crossing: bool = False


Ring = tuple[Position, ...]
"""A simple polygon in plan, not closed: its last point is not the first again; altitudes mean nothing."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Where a drone may be in plan: inside one of ``inclusions`` and outside all ``exclusions``."""

    inclusions: tuple[Ring, ...]
    exclusions: tuple[Ring, ...] = ()


@dataclass(frozen=True, slots=True)
class Mission:
    """A trip as a vehicle executes it.

    A drone's steps are TAKEOFF, then MOVE and RELEASE, then LAND. A robot's begin with a MOVE to the
    node where it stands and hold MOVE and RELEASE only; it ends at the last node.
    ``speed_mps`` is the cruise speed over ground or air. ``return_alt_amsl_m``: to which a drone climbs on its own way
    home, where it flies straight. ``fence`` and ``rally`` (emergency sites, at ground level) are given to a drone with
    it. ``vtol``: it flies on its wing between what it does in hover. ``winch``: it lowers parcels on a line.
    ``energy_wh``: what it is planned to take; ``None`` when nobody has reckoned it.
    """

    mission_id: str
    steps: tuple[Step, ...]
    speed_mps: float
    map_id: str
    return_alt_amsl_m: float | None = None
    fence: Fence | None = None
    rally: tuple[Position, ...] = ()
    vtol: bool = False
    winch: bool = False
    energy_wh: float | None = None

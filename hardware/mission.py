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
    """One step. ``node`` names the node of the ground network for robots; ``order_ids`` is for RELEASE."""

    kind: StepKind
    position: Position
    node: str | None = None
    order_ids: tuple[str, ...] = ()
    dwell_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Mission:
    """A trip as a vehicle executes it.

    A drone's steps are TAKEOFF, then MOVE and RELEASE, then LAND. A robot's begin with a MOVE to the
    node where it stands and hold MOVE and RELEASE only; it ends at the last node.
    ``speed_mps`` is the cruise speed over ground or air. ``return_alt_amsl_m``: to which a drone climbs on its own way
    home, where it flies straight.
    """

    mission_id: str
    steps: tuple[Step, ...]
    speed_mps: float
    map_id: str
    return_alt_amsl_m: float | None = None

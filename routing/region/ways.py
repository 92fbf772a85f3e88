"""How the tags of a way in OpenStreetMap are read: who may use it, and whether a sidewalk robot can.

Meanings are those of https://wiki.openstreetmap.org/wiki/Key:highway and the pages it names. A robot is 0.7 m wide, has
no legs, and is treated as a pedestrian (Japan, Road Traffic Act, remotely operated small vehicles).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from routing.region.model import WayKind
from routing.region.osm import Tags

ROBOT_WIDTH_M = 1.0
"""Least width of a way for a robot of 0.7 m that must keep off both edges."""

STEEPEST = 0.15
"""Steepest slope that a robot is sent over."""

_KINDS = {
    "footway": WayKind.FOOTWAY,
    "pedestrian": WayKind.FOOTWAY,
    "corridor": WayKind.FOOTWAY,
    "path": WayKind.PATH,
    "bridleway": WayKind.PATH,
    "cycleway": WayKind.PATH,
    "steps": WayKind.STEPS,
    "residential": WayKind.RESIDENTIAL,
    "living_street": WayKind.RESIDENTIAL,
    "service": WayKind.SERVICE,
    "track": WayKind.TRACK,
    "road": WayKind.ROAD,
    "unclassified": WayKind.ROAD,
    "tertiary": WayKind.ROAD,
    "tertiary_link": WayKind.ROAD,
    "secondary": WayKind.ROAD,
    "secondary_link": WayKind.ROAD,
    "primary": WayKind.ROAD,
    "primary_link": WayKind.ROAD,
    "trunk": WayKind.ROAD,
    "trunk_link": WayKind.ROAD,
}
_FAST = {"trunk", "trunk_link"}
_ALLOWED = {"yes", "designated", "permissive", "official", "destination", "customers", "public", "delivery"}
_FORBIDDEN = {"no", "private", "military", "agricultural", "forestry", "agricultural;forestry", "emergency"}
_SIDEWALK = {"yes", "both", "left", "right"}
_SMOOTH_SURFACES = {
    *("paved", "asphalt", "concrete", "paving_stones", "sett", "compacted", "fine_gravel", "bricks", "brick"),
    *("metal", "metal_grid", "wood", "rubber", "tartan", "chipseal", "acrylic", "tiles", "interlock"),
}
_ROUGH = {"bad", "very_bad", "horrible", "very_horrible", "impassable"}
_UNPAVED_BY_DEFAULT = {WayKind.PATH, WayKind.TRACK}
# Hiking trails from T2 on (SAC scale) are for people who hike, not for deliveries.
_HARD_HIKES = {"demanding_mountain_hiking", "alpine_hiking", "demanding_alpine_hiking", "difficult_alpine_hiking"}
BLOCKING_BARRIERS = {
    *("stile", "kissing_gate", "turnstile", "full-height_turnstile", "cycle_barrier", "motorcycle_barrier"),
    *("horse_stile", "log", "debris", "jersey_barrier", "wall", "fence", "hedge", "cattle_grid", "block"),
    *("chain", "spikes"),
}


@dataclass(frozen=True, slots=True)
class WayRule:
    """What a way is for the ground network. ``why_not`` says why a robot may not use it, else it is empty."""

    kind: WayKind
    width_m: float | None
    surface: str
    why_not: str
    covered: bool
    """On a bridge or in a tunnel: the ground's height says nothing about the way's."""


def read_way(tags: Tags) -> WayRule | str:
    """Return what a way is for somebody on foot, or why it is none for them (a phrase for after a number)."""
    highway = tags["highway"]
    kind = _KINDS.get(highway)
    if tags.get("area") == "yes" and kind is not WayKind.FOOTWAY:  # of a square, the outline is a way
        return "parking and service areas"
    if highway in ("motorway", "motorway_link") or tags.get("motorroad") == "yes":
        return "motorways"
    if highway in ("construction", "proposed", "planned", "disused", "abandoned", "razed"):
        return "ways that are not there yet or any more"
    if kind is None:
        return "ways of other kinds (platforms, raceways, rest areas, ...)"
    if tags.get("sac_scale") in _HARD_HIKES or highway == "via_ferrata":
        return "alpine trails"
    if (reason := _closed(tags)) is not None:
        return reason
    if "crossing" in (tags.get("footway"), tags.get("path"), tags.get("cycleway")):
        kind = WayKind.CROSSING
    surface = tags.get("surface", "unpaved" if kind in _UNPAVED_BY_DEFAULT else "paved")
    width_m = metres(tags.get("width", tags.get("est_width", "")))
    covered = tags.get("bridge", "no") != "no" or tags.get("tunnel", "no") != "no" or tags.get("covered") == "yes"
    return WayRule(kind, width_m, surface, _why_no_robot(tags, kind, surface, width_m), covered)


def _closed(tags: Tags) -> str | None:
    foot, access = tags.get("foot"), tags.get("access")
    if foot in _FORBIDDEN:
        return "ways closed to pedestrians"
    if access in _FORBIDDEN and foot not in _ALLOWED:
        return "private or closed ways"
    if tags["highway"] == "cycleway" and foot not in _ALLOWED:
        return "cycleways without a right for pedestrians"
    return None


def _why_no_robot(tags: Tags, kind: WayKind, surface: str, width_m: float | None) -> str:
    highway = tags["highway"]
    sidewalk = any(value in _SIDEWALK for key, value in tags.items() if key.split(":")[0] == "sidewalk")
    if kind is WayKind.STEPS:
        return "steps"
    if highway in _FAST and not sidewalk:
        return "trunk roads without a sidewalk"
    if tags.get("foot") == "use_sidepath" or tags.get("sidewalk") == "separate":
        return "roads whose sidewalk is a way of its own"
    if tags.get("tunnel", "no") not in ("no", "building_passage", "culvert") and kind is WayKind.ROAD and not sidewalk:
        return "road tunnels without a sidewalk"
    if width_m is not None and width_m < ROBOT_WIDTH_M:
        return f"narrower than {ROBOT_WIDTH_M:g} m"
    if tags.get("ford", "no") != "no":
        return "fords"
    if tags.get("wheelchair") == "no" or tags.get("smoothness") in _ROUGH:
        return "too rough for wheels"
    if not _smooth(tags, kind, surface):
        return "unpaved or of unknown surface"
    slope = _incline(tags.get("incline", ""))
    return "steeper than 15 %" if slope is not None and slope > STEEPEST else ""


def _smooth(tags: Tags, kind: WayKind, surface: str) -> bool:
    if kind is WayKind.TRACK and tags.get("tracktype", "grade3") not in ("grade1", "grade2"):
        return False
    if surface == "unpaved" and "surface" not in tags:
        return kind is WayKind.TRACK and tags.get("tracktype") == "grade1"
    return surface.split(":")[0].split(";")[0] in _SMOOTH_SURFACES


def _incline(text: str) -> float | None:
    match = re.fullmatch(r"([+-]?\d+(?:\.\d+)?)\s*(%|°)", text)
    if match is None:
        return None
    value = abs(float(match[1]))
    return value / 100.0 if match[2] == "%" else math.tan(math.radians(min(value, 89.0)))


def metres(text: str) -> float | None:
    """A length as OpenStreetMap writes it: ``2``, ``2.5 m``, ``8'``, ``8'6"``, ``20 ft``; None for anything else."""
    feet = re.fullmatch(r"(\d+)'(?:\s*(\d+(?:\.\d+)?)\")?", text.strip())
    if feet:
        return 0.3048 * (float(feet[1]) + float(feet[2] or 0) / 12)
    match = re.fullmatch(r"(\d+(?:[.,]\d+)?)\s*(m|metres?|meters?|ft|feet|km|cm)?", text.strip())
    if match is None:
        return None
    units = {"ft": 0.3048, "feet": 0.3048, "km": 1000.0, "cm": 0.01}
    value = float(match[1].replace(",", ".")) * units.get(match[2] or "m", 1.0)
    return value if 0 < value < 10_000 else None

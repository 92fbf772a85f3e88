"""How the tags of a way in OpenStreetMap are read: which robots may use it, and what it is like.

Meanings are those of https://wiki.openstreetmap.org/wiki/Key:highway and the pages it names. A sidewalk robot is 0.7 m
wide, has no legs, and is treated as a pedestrian (Japan, Road Traffic Act, remotely operated small vehicles). A road
robot (20 km/h class) is a motor vehicle too slow for main roads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass

from routing.region.model import WayKind
from routing.region.osm import Tags

ROBOT_WIDTH_M = 1.0
"""Least width of a way for a robot of 0.7 m that must keep off both edges."""

STEEPEST = 0.15
"""Steepest slope that a robot is sent over."""

ROBOT_KERB_M = 0.05
"""Highest kerb that a sidewalk robot of the usual kind climbs: sites are not put behind higher ones."""

FASTEST_ROAD_MPS = 50.0 / 3.6
"""Road robots keep off roads with a higher limit: the others would come up 30 km/h faster from behind."""

ROAD_CLASSES = ("unclassified", "tertiary", "secondary", "primary")
"""Through roads, the quietest first: without a mapped sidewalk they are for sidewalk robots only where allowed. Trunk
roads never are."""

QUIET_CLASSES = ("unclassified", "tertiary")
"""Roads that pedestrians, and so sidewalk robots, use the side of where there is known to be no sidewalk. Of a busier
road the map must not say so; that it says nothing of sidewalks is usual where nobody has mapped them."""

KERBS_M = {"no": 0.0, "none": 0.0, "flush": 0.0, "lowered": 0.03, "rolled": 0.1, "raised": 0.15, "regular": 0.15}
"""Heights by the tag ``kerb`` where none is measured (https://wiki.openstreetmap.org/wiki/Key:kerb: lowered is about
3 cm, raised more than that; the usual is 15 cm). One of another kind is taken for raised."""

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
_SPEED_UNITS = {"km/h": 1.0, "kmh": 1.0, "kph": 1.0, "mph": 1.609344, "knots": 1.852}
# What a country's law says of a kind of road, in km/h: enough to tell a slow road from a fast one.
_SPEED_WORDS = {
    "walk": 6.0,
    "living_street": 10.0,
    "urban": 50.0,
    "rural": 90.0,
    "trunk": 100.0,
    "motorway": 120.0,
    "none": 130.0,
}
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

ROAD_BARRIERS = {"bollard", "planter", "bump_gate", "bus_trap", "sump_buster", "height_restrictor"}
"""What a sidewalk robot passes beside, and a road robot does not."""


@dataclass(frozen=True, slots=True)
class WayRule:
    """What a way is for the ground network.

    ``why_not`` says why a sidewalk robot may not use it, ``why_no_road`` why a road robot may not; empty: it may.
    ``one_way`` is 1 along the way, -1 against it, 0 for both directions. ``incline`` is rise over run along the way.
    """

    kind: WayKind
    width_m: float | None
    surface: str
    why_not: str
    covered: bool
    """On a bridge or in a tunnel: the ground's height says nothing about the way's."""
    why_no_road: str = "for pedestrians"
    one_way: int = 0
    incline: float | None = None
    kerb_m: float = 0.0
    max_speed_mps: float | None = None
    unmapped: bool = False
    """A busy road of which the map says nothing about sidewalks."""


def read_way(tags: Tags, without_sidewalk: Collection[str] = ROAD_CLASSES) -> WayRule | str:
    """Return what a way is for, or why it is for nobody on foot and no robot (a phrase for after a number).

    ``without_sidewalk``: the road classes that sidewalk robots may use where no sidewalk is mapped.
    """
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
    surface = tags.get("surface", "unpaved" if kind in _UNPAVED_BY_DEFAULT else "paved")
    max_speed_mps = speed_mps(tags.get("maxspeed", "") or _both_directions(tags, "maxspeed"))
    why_no_road = _why_no_road(tags, kind, surface, max_speed_mps)
    closed = _closed(tags)
    if closed is not None and why_no_road:
        return closed
    if "crossing" in (tags.get("footway"), tags.get("path"), tags.get("cycleway")):
        kind = WayKind.CROSSING
    if kind is WayKind.STEPS and (
        tags.get("ramp:wheelchair") == "yes" or tags.get("wheelchair") in ("yes", "designated")
    ):
        kind = WayKind.FOOTWAY
    width_m = _width_m(tags, kind)
    return WayRule(
        kind,
        width_m,
        surface,
        closed or _why_no_robot(tags, kind, surface, width_m, without_sidewalk),
        tags.get("bridge", "no") != "no" or tags.get("tunnel", "no") != "no" or tags.get("covered") == "yes",
        why_no_road,
        0 if why_no_road else _one_way(tags),
        incline(tags.get("incline", "")),
        kerb_m(tags),
        max_speed_mps,
        kind is WayKind.ROAD and _class_of(tags) not in QUIET_CLASSES and not _sides(tags) and "foot" not in tags,
    )


def _closed(tags: Tags) -> str | None:
    foot, access = tags.get("foot"), tags.get("access")
    if foot in _FORBIDDEN:
        return "ways closed to pedestrians"
    if access in _FORBIDDEN and foot not in _ALLOWED:
        return "private or closed ways"
    if tags["highway"] == "cycleway" and foot not in _ALLOWED:
        return "cycleways without a right for pedestrians"
    return None


def _sides(tags: Tags) -> set[str]:
    """All that is said about sidewalks, of either side."""
    keys = ("sidewalk", "sidewalk:both", "sidewalk:left", "sidewalk:right")
    return {tags[key] for key in keys if key in tags}


def _width_m(tags: Tags, kind: WayKind) -> float | None:
    """The width of what a sidewalk robot uses: of a road with a sidewalk, the widest sidewalk's where it is tagged."""
    if kind is WayKind.ROAD and _sides(tags) & _SIDEWALK:
        keys = (f"sidewalk:{side}width" for side in ("", "both:", "left:", "right:"))
        return max((width for key in keys if (width := metres(tags.get(key, ""))) is not None), default=None)
    return metres(tags.get("width", tags.get("est_width", "")))


def _why_no_robot(
    tags: Tags, kind: WayKind, surface: str, width_m: float | None, without_sidewalk: Collection[str]
) -> str:
    sides = _sides(tags)
    sidewalk = bool(sides & _SIDEWALK)
    if kind is WayKind.STEPS:
        return "steps"
    if tags["highway"] in _FAST and not sidewalk:
        return "trunk roads without a sidewalk"
    if tags.get("foot") == "use_sidepath" or ("separate" in sides and not sidewalk):
        return "roads whose sidewalk is a way of its own"
    if tags.get("tunnel", "no") not in ("no", "building_passage", "culvert") and kind is WayKind.ROAD and not sidewalk:
        return "road tunnels without a sidewalk"
    if kind is WayKind.ROAD and not (sidewalk or _may_go_without(tags, sides, without_sidewalk)):
        return "roads without a sidewalk"
    if width_m is not None and width_m < ROBOT_WIDTH_M:
        return f"narrower than {ROBOT_WIDTH_M:g} m"
    if tags.get("ford", "no") != "no":
        return "fords"
    if tags.get("wheelchair") == "no" or tags.get("smoothness") in _ROUGH:
        return "too rough for wheels"
    if not _smooth(tags, kind, surface):
        return "unpaved or of unknown surface"
    slope = incline(tags.get("incline", ""))
    return "steeper than 15 %" if slope is not None and abs(slope) > STEEPEST else ""


def _may_go_without(tags: Tags, sides: set[str], allowed: Collection[str]) -> bool:
    """Whether sidewalk robots may use a road that has no sidewalk on the map."""
    if tags.get("foot") in ("yes", "designated", "permissive", "official"):
        return True
    road = _class_of(tags)
    return road in allowed and (road in QUIET_CLASSES or not sides & {"no", "none"})


def _class_of(tags: Tags) -> str:
    highway = tags["highway"].removesuffix("_link")
    return "unclassified" if highway == "road" else highway


def _why_no_road(tags: Tags, kind: WayKind, surface: str, max_speed_mps: float | None) -> str:
    """Why a road robot may not use a way. Rights of vehicles: the more special tag wins over the more general."""
    right = next((tags[key] for key in ("motor_vehicle", "vehicle", "access") if key in tags), "yes")
    if kind not in (WayKind.ROAD, WayKind.RESIDENTIAL, WayKind.SERVICE, WayKind.TRACK):
        return "for pedestrians"
    if right not in _ALLOWED:
        return "closed to vehicles"
    if max_speed_mps is not None and max_speed_mps > FASTEST_ROAD_MPS + 0.01:
        return "roads too fast for slow vehicles"
    if tags["highway"] in _FAST or (max_speed_mps is None and _class_of(tags) in ("primary", "secondary")):
        return "main roads without a low speed limit"
    if tags.get("oneway") in ("reversible", "alternating"):
        return "roads whose direction changes"
    if tags.get("ford", "no") != "no" or tags.get("smoothness") in _ROUGH or not _smooth(tags, kind, surface):
        return "too rough for wheels"
    return ""


def _one_way(tags: Tags) -> int:
    value = next((tags[key] for key in ("oneway:motor_vehicle", "oneway:vehicle", "oneway") if key in tags), None)
    if value is None:
        return 1 if tags.get("junction") in ("roundabout", "circular", "mini_roundabout") else 0
    return 1 if value in ("yes", "true", "1") else -1 if value in ("-1", "reverse") else 0


def kerb_m(tags: Tags) -> float:
    """Height of the kerb that tags tell of, 0 where they tell of none."""
    if "kerb" not in tags and tags.get("barrier") != "kerb":
        return 0.0
    measured = metres(tags.get("kerb:height", tags.get("height", "") if tags.get("barrier") == "kerb" else ""))
    return KERBS_M.get(tags.get("kerb", "raised"), KERBS_M["raised"]) if measured is None else measured


def _smooth(tags: Tags, kind: WayKind, surface: str) -> bool:
    if kind is WayKind.TRACK and tags.get("tracktype", "grade3") not in ("grade1", "grade2"):
        return False
    if surface == "unpaved" and "surface" not in tags:
        return kind is WayKind.TRACK and tags.get("tracktype") == "grade1"
    return surface.split(":")[0].split(";")[0] in _SMOOTH_SURFACES


def incline(text: str) -> float | None:
    """Rise over run as OpenStreetMap writes it: ``8%``, ``-5°``, ``1:12``; None for ``up``, ``steep`` and the like."""
    ratio = re.fullmatch(r"([+-]?)(\d+(?:\.\d+)?)\s*:\s*(\d+(?:\.\d+)?)", text.strip())
    if ratio is not None:
        run = float(ratio[3])
        return float(ratio[1] + ratio[2]) / run if run > 0 else None
    match = re.fullmatch(r"([+-]?\d+(?:[.,]\d+)?)\s*(%|°|deg)", text.strip())
    if match is None:
        return None
    value = float(match[1].replace(",", "."))
    return value / 100.0 if match[2] == "%" else math.tan(math.radians(min(max(value, -89.0), 89.0)))


def speed_mps(text: str) -> float | None:
    """A speed limit as OpenStreetMap writes it: ``50``, ``30 mph``, ``walk``, ``DE:urban``, ``JP:zone30``, ``30; 50``
    (the highest); None where it gives no figure."""
    found = []
    for part in text.lower().split(";"):
        match = re.fullmatch(r"(?:.*[a-z:])?(\d+(?:\.\d+)?)\s*(km/h|kmh|kph|mph|knots)?", part.strip())
        if match is not None:
            found.append(float(match[1]) * _SPEED_UNITS[match[2] or "km/h"])
        elif (value := _SPEED_WORDS.get(part.strip().rsplit(":", 1)[-1])) is not None:
            found.append(value)
    return max(found) / 3.6 if found and max(found) > 0 else None


def _both_directions(tags: Tags, key: str) -> str:
    return ";".join(tags[f"{key}:{way}"] for way in ("forward", "backward") if f"{key}:{way}" in tags)


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

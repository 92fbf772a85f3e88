"""Orders of a scripted day, as the shop's CSV file would bring them."""

from __future__ import annotations

import csv
import io
import random
from dataclasses import astuple, dataclass, fields, replace
from datetime import datetime, timedelta

from routing.errors import NoWay
from routing.geo import distance_m
from routing.ground import GroundNetwork
from routing.region.model import Region, Site, SiteKind

# What is light enough for the air, and what people let a robot bring: name, mass in kg, volume in litres.
_LIGHT = (
    ("牛乳とパン", 0.8, 3.0),
    ("処方薬", 0.2, 0.8),
    ("野菜の詰め合わせ", 0.9, 5.0),
    ("豆腐と納豆", 0.6, 2.0),
    ("乾電池と懐中電灯", 0.5, 1.5),
    ("米 900 g", 0.9, 2.0),
)
_HEAVY = (
    ("米 5 kg と調味料", 6.5, 14.0),
    ("飲料水 2 L × 6 本", 12.4, 18.0),
    ("一週間分の食料品", 8.0, 26.0),
    ("灯油用ポンプと電池", 2.5, 8.0),
    ("紙おむつ", 3.2, 24.0),
)
_FAMILIES = ("佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村", "小林", "加藤", "吉田", "山田")

# A morning that takes long enough to show something, and not so long that nobody watches it.
_FLIGHT_M = (2_000.0, 3_600.0)
_DRIVE_M = (500.0, 1_200.0)
_IMPOSSIBLE_FROM = 12
"""Days of this many orders and more have two that nobody can serve."""
_TOO_SOON = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file."""

    ref: str
    pickup: str
    dropoff: str
    recipient: str
    goods: str
    mass_kg: float
    volume_l: float
    earliest: str
    latest: str
    priority: int = 0


def morning_csv(region: Region, *, hubs: list[str], count: int, seed: int, start: datetime, open_for: timedelta) -> str:
    """Return a CSV of ``count`` orders from ``hubs`` to places that only drones or only robots reach, by turns.

    Distances are those of a village morning where the region has places so far away, else the farthest there
    are. A day of 12 orders or more has two that are impossible: one too heavy for the air, one with a window
    that closes before anything could be there.
    """
    rng = random.Random(seed)  # noqa: S311 - a scripted day, not a secret
    trips = _by_turns(region, hubs, rng)
    rows = []
    for i in range(count):
        hub, drop, by_air = trips[i % len(trips)]
        goods, mass_kg, volume_l = rng.choice(_LIGHT if by_air else _HEAVY)
        rows.append(
            Row(
                ref=f"A{i + 1:03d}",
                pickup=hub.site_id,
                dropoff=drop.site_id,
                recipient=f"{_FAMILIES[rng.randrange(len(_FAMILIES))]}様",
                goods=goods,
                mass_kg=mass_kg,
                volume_l=volume_l,
                earliest=start.isoformat(timespec="seconds"),
                latest=(start + open_for).isoformat(timespec="seconds"),
            )
        )
    if count >= _IMPOSSIBLE_FROM:
        rows[-2:] = _impossible(rows[-2:], next(t for t in trips if t[2]), start)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows(astuple(row) for row in rows)
    return text.getvalue()


def _impossible(rows: list[Row], flight: tuple[Site, Site, bool], start: datetime) -> list[Row]:
    hub, drop, _ = flight
    heavy, soon = (replace(row, pickup=hub.site_id, dropoff=drop.site_id) for row in rows)
    closes = (start + _TOO_SOON).isoformat(timespec="seconds")
    return [
        replace(heavy, goods="灯油 18 L", mass_kg=15.0, volume_l=18.0),
        replace(
            soon,
            goods="焼きたてのパン",
            mass_kg=0.4,
            volume_l=3.0,
            latest=closes,
        ),
    ]


def _by_turns(region: Region, hubs: list[str], rng: random.Random) -> list[tuple[Site, Site, bool]]:
    """Return (hub, drop, by air) by turns of air and road, each of them in random order."""
    network = GroundNetwork(region)
    flights, drives = [], []
    for drop in region.sites:
        if drop.kind is not SiteKind.DROP_POINT:
            continue
        for hub in (region.site(hub_id) for hub_id in hubs):
            if drop.accepts_drone and not drop.accepts_robot:
                flights.append((distance_m(hub.position, drop.position), hub, drop, True))
            elif drop.accepts_robot and not drop.accepts_drone:
                drives += [(length, hub, drop, False) for length in _driven_m(network, hub, drop)]
    by_air, by_road = _within(flights, _FLIGHT_M, rng), _within(drives, _DRIVE_M, rng)
    turns = [trip for pair in zip(by_air, by_road, strict=False) for trip in pair]
    return turns or by_air or by_road


def _driven_m(network: GroundNetwork, hub: Site, drop: Site) -> list[float]:
    if hub.node is None or drop.node is None:
        return []
    try:
        return [sum(network.path(hub.node, drop.node).lengths_m)]
    except NoWay:
        return []


def _within(
    trips: list[tuple[float, Site, Site, bool]], band_m: tuple[float, float], rng: random.Random
) -> list[tuple[Site, Site, bool]]:
    """Return the trips of a length within the band, or those nearest to it when there are fewer than four.

    The hubs take turns, so that the vehicles of none have all the work.
    """
    low, high = band_m
    good = [trip for trip in trips if low <= trip[0] <= high]
    if len(good) < 4:
        good = sorted(trips, key=lambda trip: max(low - trip[0], trip[0] - high, 0.0))[:4]
    rng.shuffle(good)
    turns: dict[str, list[tuple[Site, Site, bool]]] = {}
    for _, hub, drop, by_air in good:
        turns.setdefault(hub.site_id, []).append((hub, drop, by_air))
    # The hubs that have few drops serve them again rather than leave the day to the others.
    rounds = range(max(map(len, turns.values()), default=0))
    return [trips[i % len(trips)] for i in rounds for trips in turns.values()]

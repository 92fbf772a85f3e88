"""Orders of a scripted day, as the shop's CSV file would bring them."""

from __future__ import annotations

import csv
import io
import random
from datetime import datetime, timedelta

from routing.region.model import Region, Site, SiteKind

_GOODS = (
    ("牛乳とパン", 0.8, 3.0),
    ("処方薬", 0.2, 0.8),
    ("野菜の詰め合わせ", 0.9, 5.0),
    ("豆腐と納豆", 0.6, 2.0),
    ("乾電池と懐中電灯", 0.5, 1.5),
    ("米 1 kg 袋ひとつ小分け", 0.95, 2.0),
)
_FAMILIES = ("佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村", "小林", "加藤", "吉田", "山田")


def morning_csv(region: Region, *, count: int, seed: int, start: datetime, open_for: timedelta) -> str:
    """Return a CSV of ``count`` orders from the region's first hub to places of both kinds by turns.

    The first goes to a drop point that only drones serve and the second to one that only robots serve, as
    far as the region has them. All windows begin at ``start``.
    """
    rng = random.Random(seed)  # noqa: S311 - a scripted day, not a secret
    hub = next(site for site in region.sites if site.kind is SiteKind.HUB)
    by_turns = _by_turns(region, rng)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["ref", "pickup", "dropoff", "recipient", "goods", "mass_kg", "volume_l", "earliest", "latest", "priority"]
    )
    for i in range(count):
        goods, mass_kg, volume_l = _GOODS[rng.randrange(len(_GOODS))]
        writer.writerow(
            [
                f"A{i + 1:03d}",
                hub.site_id,
                by_turns[i % len(by_turns)].site_id,
                f"{_FAMILIES[rng.randrange(len(_FAMILIES))]}様",
                goods,
                mass_kg,
                volume_l,
                start.isoformat(timespec="seconds"),
                (start + open_for).isoformat(timespec="seconds"),
                0,
            ]
        )
    return text.getvalue()


def _by_turns(region: Region, rng: random.Random) -> list[Site]:
    drops = [site for site in region.sites if site.kind is SiteKind.DROP_POINT]
    by_air = [site for site in drops if site.accepts_drone and not site.accepts_robot] or drops
    by_road = [site for site in drops if site.accepts_robot and not site.accepts_drone] or drops
    rng.shuffle(by_air)
    rng.shuffle(by_road)
    turns = [site for pair in zip(by_air, by_road, strict=False) for site in pair]
    return turns + [site for site in drops if site not in turns]

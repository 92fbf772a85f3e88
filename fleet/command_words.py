"""Figures of previews in both languages: distances, times and charges, as exact as they are known."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.alarm_table import Words
from fleet.vehicle_now import Ahead

Said = list[Words]

NO_PLACE = Words("位置が分かりません。", "Where it is is not known.")
FEW_S = 90.0
"""Shorter times are told in seconds."""


def distance(metres: float) -> Words:
    """Return a distance to two digits or so."""
    if metres < 1_000.0:
        return Words(f"{round(metres, -1):.0f} m", f"{round(metres, -1):.0f} m")
    return Words(f"{metres / 1_000.0:.1f} km", f"{metres / 1_000.0:.1f} km")


def time(seconds: float) -> Words:
    """Return a time to 5 s or to the minute."""
    if seconds < FEW_S:
        told = 5 * round(seconds / 5.0)
        return Words(f"約 {told} 秒", f"about {told} s")
    return Words(f"約 {seconds / 60.0:.0f} 分", f"about {seconds / 60.0:.0f} min")


def way(ahead: Ahead | None) -> Said:
    """Return how far a way is, how long it takes, and the charge at its end."""
    if ahead is None:
        return [Words("距離と所要時間は分かりません。", "How far that is and how long it takes is not known.")]
    far, long = distance(ahead.distance_m), time(ahead.seconds)
    said = [Words(f"{far.ja}、{long.ja}。", f"{far.en}, {long.en}.")]
    if ahead.charge_pct is None:
        return [*said, Words("着いたときの電池残量は分かりません。", "The charge left there is not known.")]
    if ahead.charge_pct < 0.0:
        return [*said, Words("電池が足りません。", "Its charge does not last for that.")]
    charge = f"{ahead.charge_pct:.0f} %"
    return [*said, Words(f"着いたときの電池残量は約 {charge}。", f"About {charge} of charge left there.")]


def others(near: Sequence[str]) -> Said:
    """Return who would be too near."""
    if not near:
        return []
    return [Words(f"近づきすぎる機体があります：{'、'.join(near)}。", f"Others would be too near: {', '.join(near)}.")]

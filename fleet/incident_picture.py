"""Tracks and profiles as SVG drawn by hand: no font, library or script is needed where it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any

from fleet.log_forms import JAPAN, Lang, Words
from routing.geo import LocalFrame, Position
from routing.region.model import Region

COLOURS = ("#1d5fa8", "#b3401e", "#2e7d4f", "#7a3fa0", "#8a6a00", "#00788a")
"""Of the vehicles in turn; they differ in lightness too."""
MAP_W, MAP_H = 640, 420
LINE_W, LINE_H = 232, 110
_MARGIN = 26

PROFILES = {
    "height_m": Words("離陸地点からの高さ [m]", "Height over take-off [m]"),
    "speed_mps": Words("対地速度 [m/s]", "Ground speed [m/s]"),
    "battery_pct": Words("電池残量 [%]", "Battery [%]"),
}


def tracks(figures: Sequence[dict[str, Any]], region: Region) -> str:
    """Return a plan of the tracks with north up, the sites among them and a scale; "" when there is no position."""
    frame = region.frame
    lines = [(each["vehicle_id"], _local(frame, each["track"])) for each in figures]
    points = [point for _, line in lines for point in line]
    if not points:
        return ""
    east, north = [p[0] for p in points], [p[1] for p in points]
    span = max(max(east) - min(east), (max(north) - min(north)) * MAP_W / MAP_H, 60.0)
    scale = (MAP_W - 2 * _MARGIN) / span
    mid_e, mid_n = (max(east) + min(east)) / 2, (max(north) + min(north)) / 2

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return MAP_W / 2 + (point[0] - mid_e) * scale, MAP_H / 2 - (point[1] - mid_n) * scale

    parts = [f'<svg viewBox="0 0 {MAP_W} {MAP_H}" width="{MAP_W}" height="{MAP_H}" role="img">']
    for site in region.sites:
        x, y = at(frame.to_local(site.position))
        if 0 <= x <= MAP_W and 0 <= y <= MAP_H:
            parts.append(
                f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" fill="#fff" stroke="#555"/>'
                f'<text x="{x + 6:.1f}" y="{y + 4:.1f}" font-size="9" fill="#555">{escape(site.site_id)}</text>'
            )
    for i, (vehicle_id, line) in enumerate(lines):
        if line:
            parts.append(_track(vehicle_id, [at(point) for point in line], COLOURS[i % len(COLOURS)], i))
    return "".join([*parts, _scale_bar(span, scale), _NORTH, "</svg>"])


def _track(vehicle_id: str, line: list[tuple[float, float]], colour: str, i: int) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
    (x0, y0), (x1, y1) = line[0], line[-1]
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        f'<circle cx="{x0:.1f}" cy="{y0:.1f}" r="4" fill="#fff" stroke="{colour}" stroke-width="1.6"/>'
        f'<path d="M{x1 - 4:.1f} {y1 - 4:.1f}l8 8m0 -8l-8 8" stroke="{colour}" stroke-width="2.2"/>'
        f'<text x="8" y="{16 + 13 * i}" font-size="11" fill="{colour}">{escape(vehicle_id)}</text>'
    )


_NORTH = (
    f'<g transform="translate({MAP_W - 18} 14)"><path d="M0 0l5 14l-5 -4l-5 4z" fill="#333"/>'
    '<text x="-3.5" y="26" font-size="10" fill="#333">N</text></g>'
)


def _scale_bar(span_m: float, scale: float) -> str:
    length_m = next(m for m in (20_000, 10_000, 5000, 2000, 1000, 500, 200, 100, 50, 20, 10) if m <= span_m / 3)
    width = length_m * scale
    y = MAP_H - 10
    return (
        f'<path d="M10 {y - 4}v4h{width:.1f}v-4" fill="none" stroke="#333"/>'
        f'<text x="{14 + width:.1f}" y="{y}" font-size="10" fill="#333">{length_m} m</text>'
    )


def profiles(track: Sequence[dict[str, Any]], lang: Lang) -> str:
    """Return height, speed and battery of one vehicle while it was heard, each as a small line; "" without track."""
    if not track:
        return ""
    start, end = track[0]["t"], track[-1]["t"]
    return "".join(_profile(track, name, words.in_(lang), start, end) for name, words in PROFILES.items())


def _profile(track: Sequence[dict[str, Any]], name: str, words: str, start: datetime, end: datetime) -> str:
    known = [(point["t"], float(point[name])) for point in track if point[name] is not None]
    if not known:
        return ""
    high = 100.0 if name == "battery_pct" else max(max(value for _, value in known), 1.0)
    low = min(0.0, *(value for _, value in known))
    span_s = max((end - start).total_seconds(), 1.0)
    width, height = LINE_W - 46, LINE_H - 38
    line = " ".join(
        f"{36 + (t - start).total_seconds() / span_s * width:.1f},{20 + (high - value) / (high - low) * height:.1f}"
        for t, value in known
    )
    times = "".join(
        f'<text x="{x}" y="{LINE_H - 5}" font-size="9" fill="#555" text-anchor="{anchor}">'
        f"{moment.astimezone(JAPAN):%H:%M:%S}</text>"
        for x, moment, anchor in ((36, start, "start"), (LINE_W - 10, end, "end"))
    )
    return (
        f'<svg viewBox="0 0 {LINE_W} {LINE_H}" width="{LINE_W}" height="{LINE_H}" role="img">'
        f'<text x="6" y="12" font-size="10" fill="#333">{escape(words)}</text>'
        f'<path d="M36 20v{height}h{width}" fill="none" stroke="#999"/>'
        f'<text x="33" y="27" font-size="9" fill="#555" text-anchor="end">{high:.0f}</text>'
        f'<text x="33" y="{20 + height}" font-size="9" fill="#555" text-anchor="end">{low:.0f}</text>'
        f'<polyline points="{line}" fill="none" stroke="#1d5fa8" stroke-width="1.3"/>{times}</svg>'
    )


def _local(frame: LocalFrame, track: Sequence[dict[str, Any]]) -> list[tuple[float, float]]:
    return [frame.to_local(Position(point["lat"], point["lon"])) for point in track]

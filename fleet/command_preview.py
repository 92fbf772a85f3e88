"""What a command will do to this vehicle now, in both languages: where to, how far, when it is there, the charge then.

It is said before anything is sent and kept with the command. What is not known is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from fleet import command_words, going_on, nearest_site, vehicle_now
from fleet.alarm_table import Words
from fleet.command_kinds import check_limits, check_params, check_vehicle, kind_of
from fleet.command_words import NO_PLACE, Said
from fleet.db.database import Connection
from fleet.errors import FleetError
from fleet.nearest_site import LANDING_KINDS, Reach
from fleet.vehicle_now import Ahead, VehicleNow
from hardware.link import WaitFor
from routing.geo import distance_m
from routing.own_way import STRAIGHT
from routing.problem import TimedPosition
from routing.straight_way import StraightWay
from telemetry.monitors.zones import ClosedAirspace

HERE_M = 20.0
"""A drone that is within this of a site lands on it."""
STEP_S = 2.0


@dataclass(frozen=True, slots=True)
class _Asked:
    conn: Connection
    now: VehicleNow
    params: Mapping[str, Any]
    speed: float

    @property
    def vehicle_id(self) -> str:
        return str(self.now.vehicle["vehicle_id"])


async def preview(
    conn: Connection,
    *,
    vehicle_id: str,
    kind: str,
    params: Mapping[str, Any] | None,
    live: Mapping[str, Any] | None,
    at: datetime,
    speed: float,
) -> Words:
    """Return what a command would do; ``live`` is the vehicle's newest snapshot, ``speed`` the clock's.

    Raises ``BadRequest`` as giving it would, and ``NotFound`` for the vehicle.
    """
    row = kind_of(kind)
    now = await vehicle_now.look(conn, vehicle_id, live, at=at, speed=speed)
    check_vehicle(row, now.vehicle["kind"])
    given = check_params(row, params)
    check_limits(row, given, now.vehicle_type)
    said = await _SAYS[row.name](_Asked(conn, now, given, speed))
    if not now.heard:
        said.append(Words("いま応答がなく、届かないことがあります。", "It is not heard now and may not get it."))
    return Words("".join(each.ja for each in said), " ".join(each.en for each in said))


async def _hold(asked: _Asked) -> Said:
    now = asked.now
    if not now.drone:
        return [Words("その場に止まり、再開まで待ちます。", "It stands where it is until it is resumed.")]
    if now.on_ground:
        return [Words("地上にいます。", "It is on the ground.")]
    told = now.live.get("hold_left_s") if now.live else None
    left_s = told if told is not None else now.ahead.hold_s if now.ahead else None
    said = [Words("その場でホバリングします。", "It hovers where it is.")]
    if left_s is None:
        return [*said, Words("電池が何分もつかは分かりません。", "For how long its energy lasts is not known.")]
    lasts = command_words.time(left_s)
    return [
        *said,
        Words(
            f"電池は{lasts.ja}もち、その後は自動で帰還します。",
            f"Its energy lasts for {lasts.en}; then it returns by itself.",
        ),
    ]


async def _emergency_stop(asked: _Asked) -> Said:
    if asked.now.drone and not asked.now.on_ground:
        return [Words("モーターが止まり、その場に落下します。", "Its motors stop, and it falls where it is.")]
    return [Words("駆動が切れ、その場に止まります。", "Its drives are cut, and it stops where it is.")]


async def _resume(asked: _Asked) -> Said:
    now = asked.now
    if now.mission is None:
        return [
            Words("運航中ではなく、続ける運航がありません。", "It is on no mission: there is nothing to go on with.")
        ]
    near = await going_on.in_the_way(asked.conn, asked.vehicle_id, at=now.at, speed=asked.speed, here=now.place)
    blocked = [Words("このままでは再開できません。", "It cannot be resumed as it is.")] if near else []
    until = [Words("着陸まで：", "Until it lands:")] if now.ahead and now.drone else []
    return [_next(now), *until, *command_words.way(now.ahead), *command_words.others(near), *blocked]


def _next(now: VehicleNow) -> Words:
    drops = now.drops_ahead()
    home = now.site_name(now.vehicle["home_site"])
    if not drops:
        return Words(f"運航を続け、{home} へ向かいます。", f"It goes on to {home}.")
    more = len(drops) - 1
    after_ja, after_en = (f"（その後 {more} か所）", f" (then {more} more)") if more else ("", "")
    return Words(f"運航を続け、{drops[0]} へ向かいます{after_ja}。", f"It goes on to {drops[0]}{after_en}.")


async def _return(asked: _Asked) -> Said:
    now, drops = asked.now, asked.now.drops_ahead()
    home = now.site_name(now.vehicle["home_site"])
    if now.mission is None:
        return [
            Words(f"{home} へ戻ります。経路は分かりません。", f"It comes back to {home}; by which way is not known.")
        ]
    said = [Words(f"配達をやめて {home} へ戻ります。", f"It delivers no more and comes back to {home}.")]
    if drops and now.drone and now.vehicle_type.rtl_type not in STRAIGHT:
        said.append(
            Words(
                f"途中で {'、'.join(drops)} に下りますが、荷物は放しません。",
                f"On its way it comes down at {', '.join(drops)} and releases nothing.",
            )
        )
    elif drops:
        said.append(Words(f"未配達：{'、'.join(drops)}。", f"Not delivered: {', '.join(drops)}."))
    return said + command_words.way(now.home if now.drone else None)


async def _land(asked: _Asked) -> Said:
    now = asked.now
    if now.place is None:
        return [NO_PLACE]
    ground_m = now.region.ground_amsl_m(now.place)
    height_m = max(0.0, now.place.alt_amsl_m - ground_m)
    below = [site for site in now.region.sites if distance_m(site.landing, now.place) <= HERE_M]
    said = [Words("真下は登録された地点ではありません。", "Below it is no site of ours: nobody knows what is there.")]
    if below:
        what_ja, what_en = (
            ("着陸地点", "a landing site") if below[0].kind in LANDING_KINDS else ("届け先", "a drop point")
        )
        name = now.site_name(below[0].site_id)
        said = [Words(f"真下は{what_ja}の {name} です。", f"Below it is {name}, {what_en}.")]
    east, north = now.region.frame.to_local(now.place)
    for zone in ClosedAirspace(now.region).breached((east, north, ground_m + 1.0), now.at):
        name = zone.name_ja or zone.name_en or zone.zone_id
        said.append(Words(f"{name}（飛行禁止）の中に降ります。", f"It comes down inside {name}, which is closed."))
    takes = command_words.time(height_m / now.vehicle_type.descent_speed_mps)
    down = Words(f"対地 {height_m:.0f} m から{takes.ja}で降ります。", f"Down from {height_m:.0f} m in {takes.en}.")
    return [*said, down]


async def _divert(asked: _Asked) -> Said:
    reach = await _reach(asked)
    if reach is None:
        return [NO_PLACE]
    try:
        return await _straight(asked, reach, reach.to(asked.params["site_id"]))
    except FleetError:
        site_id = asked.params["site_id"]
        return [
            Words(f"{site_id} には空いた着陸場所がありません。", f"{site_id} has no free pad that can be flown to.")
        ]


async def _abort(asked: _Asked) -> Said:
    now = asked.now
    if not now.drone:
        return [
            Words(
                "その場で止まり、荷物は積んだままです。迎えが要ります。",
                "It stops where it is, with what is aboard. Somebody has to fetch it.",
            )
        ]
    if now.on_ground:
        return [Words("離陸前の運航を取り消します。", "The launch is cancelled; it stays on the ground.")]
    reach = await _reach(asked)
    way = None if reach is None else reach.nearest()
    if reach is None or way is None:
        return [
            Words(
                "安全に届く着陸地点がありません。その場への着陸か、届け先への変更を選んでください。",
                "No landing site is in reach on a clear way: land it here, or divert it to a drop point.",
            )
        ]
    return await _straight(asked, reach, way)


async def _reach(asked: _Asked) -> Reach | None:
    now = asked.now
    if now.place is None:
        return None
    return await nearest_site.look(
        asked.conn,
        vehicle_id=asked.vehicle_id,
        here=now.place,
        battery_pct=now.battery_pct,
        at=now.at,
        region=now.region,
    )


async def _straight(asked: _Asked, reach: Reach, way: StraightWay) -> Said:
    now, name = asked.now, asked.now.site_name(way.site_id)
    against = reach.against(way)
    if against:
        ja, en = "、".join(words.ja for words in against), "; ".join(words.en for words in against)
        return [Words(f"{name} へは送れません（{ja}）。", f"It will not be sent to {name}: {en}.")]
    charge = None if now.battery_pct is None else now.battery_pct - way.needed_wh / reach.capacity_wh * 100.0
    near = await going_on.beside(
        asked.conn, asked.vehicle_id, now.region, _track(now, way), at=now.at, speed=asked.speed
    )
    said = [Words(f"{name} へまっすぐ飛び、着陸します。", f"It flies straight to {name} and lands there.")]
    said += command_words.way(Ahead(way.duration_s, way.distance_m, charge, None))
    said.append(Words(f"高度は海抜 {way.alt_amsl_m:.0f} m。", f"At {way.alt_amsl_m:.0f} m above the sea."))
    if way.too_high:
        said.append(Words("谷の上では対地 150 m を超えます。", "Over valleys that is more than 150 m above ground."))
    return said + command_words.others(near)


def _track(now: VehicleNow, way: StraightWay) -> tuple[TimedPosition, ...]:
    seconds = np.append(np.arange(0.0, way.duration_s, STEP_S), way.duration_s)
    return tuple(
        TimedPosition(now.at + timedelta(seconds=float(s)), now.region.frame.to_global(*(float(x) for x in place)))
        for s, place in zip(seconds, way.flight.at(seconds), strict=True)
    )


async def _speed(asked: _Asked) -> Said:
    now, to_mps = asked.now, float(asked.params["speed_mps"])
    usual_mps = now.vehicle_type.cruise_speed_mps
    said = [
        Words(
            f"{to_mps:g} m/s で進みます（通常 {usual_mps:g} m/s）。",
            f"It goes on at {to_mps:g} m/s (usually {usual_mps:g}).",
        )
    ]
    if now.ahead is None:
        return [*said, Words("到着の変化は分かりません。", "By how much it arrives earlier or later is not known.")]
    later_s = now.ahead.distance_m / to_mps - now.ahead.distance_m / usual_mps
    by = command_words.time(abs(later_s))
    ja, en = ("遅く", "later") if later_s > 0 else ("早く", "earlier")
    return [*said, Words(f"残り全体では{by.ja}{ja}着きます。", f"Over the rest of its way it arrives {by.en} {en}.")]


async def _altitude(asked: _Asked) -> Said:
    now, agl_m = asked.now, float(asked.params["agl_m"])
    if now.place is None:
        return [NO_PLACE]
    ground_m = now.region.ground_amsl_m(now.place)
    level_m = ground_m + agl_m
    by_m = level_m - now.place.alt_amsl_m
    mps = now.vehicle_type.climb_speed_mps if by_m > 0 else now.vehicle_type.descent_speed_mps
    takes = command_words.time(abs(by_m) / mps)
    moves_ja, moves_en = ("上昇", "Up") if by_m > 0 else ("降下", "Down")
    there = now.region.frame.to_global(*now.region.frame.to_local(now.place), level_m)
    near = await going_on.beside(
        asked.conn, asked.vehicle_id, now.region, going_on.standing(there, now.at), at=now.at, speed=asked.speed
    )
    said = [
        Words(
            f"対地 {agl_m:.0f} m まで {abs(by_m):.0f} m {moves_ja}し（{takes.ja}）、そこで待ちます。",
            f"{moves_en} by {abs(by_m):.0f} m to {agl_m:.0f} m above ground in {takes.en}; it waits there.",
        )
    ]
    return said + command_words.others(near)


async def _at_drop(asked: _Asked, ja: str, en: str, waits: WaitFor | None) -> Said:
    """What is done at a step of the mission, and whether the vehicle is there."""
    now, step = asked.now, int(asked.params["step"])
    name = now.site_of(step)
    if now.mission is None or name is None:
        words = f"its mission has no delivery at step {step}"
        return [Words(f"手順 {step} に届け先はありません。", f"Nothing will happen: {words}.")]
    goods = len(now.steps[step]["order_ids"])
    said = [Words(ja.format(name=name, goods=goods), en.format(name=name, goods=goods))]
    waiting = now.live.get("waits") if now.live else None
    if waits is not None and not (waiting and waiting.get("what") == waits and waiting.get("step") == step):
        said.append(Words("いまそこで待っておらず、断られます。", "It does not wait there now and will refuse."))
    return said


async def _release(asked: _Asked) -> Said:
    ja, en = "{name} で荷物 {goods} 個を今放します。", "It lets {goods} parcels go at {name} now."
    return await _at_drop(asked, ja, en, None)


async def _clear(asked: _Asked) -> Said:
    ja, en = "{name} に降下し、荷物 {goods} 個を放します。", "It comes down at {name} and releases {goods} parcels."
    return await _at_drop(asked, ja, en, WaitFor.DROP_CLEAR)


async def _skip(asked: _Asked) -> Said:
    ja = "{name} の荷物 {goods} 個は渡さず、積んだまま先へ進みます。"
    return await _at_drop(asked, ja, "It goes on with the {goods} parcels for {name} aboard.", None)


async def _unlock(asked: _Asked) -> Said:
    ja, en = "{name} の荷物 {goods} 個の荷室を開けます。", "It unlocks the {goods} parcels for {name}."
    return await _at_drop(asked, ja, en, WaitFor.UNLOCK)


async def _cross(asked: _Asked) -> Said:
    waiting = asked.now.live.get("waits") if asked.now.live else None
    if waiting and waiting.get("what") == WaitFor.CROSSING and waiting.get("node") == asked.params["node"]:
        return [Words("待っている縁石から道路を横断します。", "It crosses the road from the kerb at which it waits.")]
    return [Words("その縁石で待っておらず、断られます。", "It does not wait at that kerb and will refuse.")]


_SAYS: Mapping[str, Callable[[_Asked], Awaitable[Said]]] = {
    "emergency_stop": _emergency_stop,
    "hold": _hold,
    "cross": _cross,
    "clear": _clear,
    "resume": _resume,
    "return": _return,
    "land": _land,
    "divert": _divert,
    "speed": _speed,
    "altitude": _altitude,
    "release": _release,
    "skip": _skip,
    "unlock": _unlock,
    "abort": _abort,
}

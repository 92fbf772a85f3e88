"""The live view: snapshots that gateways publish on the bus, conflated for whoever looks."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

import orjson

from fleet.alarm_states import State
from fleet.alarm_table import TABLE
from fleet.alarms import Alarm
from fleet.conditions import ON_MISSION
from hardware.link import VehicleState

TOPIC_PREFIX = "todoke/live/"
INTERVAL_S = 0.2
"""Least wall seconds between two states of one vehicle: five a second are as many as an eye follows. A gateway sees
to it (``fleet.publisher``), and those who read hand on what they get."""
CONFIRM_S = 1.0
"""Wall seconds after which what has not changed is said again, so that its silence can be told from its calm."""
SILENT_S = 3.0
"""Wall seconds after which a vehicle of which no gateway speaks is shown as not connected."""
MAX_VEHICLES = 5000
"""Vehicles that a view keeps; at the bound new ones are not taken up: no fleet of one process is as large."""
MAX_PROCESSES = 256
"""Gateways that a view keeps; at the bound new ones are not taken up."""


def vehicle_snapshot(
    vehicle_id: str,
    state: VehicleState,
    mission: dict[str, Any] | None,
    *,
    gateway: str,
    alarms: Iterable[Alarm] = (),
    hold_left_s: float | None = None,
    predicted: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the live view of one vehicle, as the console receives it."""
    position = state.position
    trip = mission["trip"]["mission"]["steps"] if mission else []
    return {
        "vehicle_id": vehicle_id,
        "t": state.t,
        "connected": state.connected,
        "activity": state.activity.value,
        "mode": state.mode,
        "armed": state.armed,
        "on_ground": state.on_ground,
        "ready": state.ready,
        "lat": _rounded(position.lat, 7) if position else None,
        "lon": _rounded(position.lon, 7) if position else None,
        "alt_amsl_m": _rounded(position.alt_amsl_m, 2) if position else None,
        "heading_deg": _rounded(state.heading_deg, 1),
        "speed_mps": _rounded(state.speed_mps, 2),
        "battery_pct": _rounded(state.battery_pct, 1),
        "hold_left_s": None if hold_left_s is None else round(hold_left_s),
        "mission_id": mission["mission_id"] if mission else None,
        "mission_state": mission["state"] if mission else None,
        "step": state.progress.step if mission else None,
        "steps": len(trip) if mission else None,
        "faults": list(state.faults),
        "waits": None if state.waits is None else asdict(state.waits),
        "unconfirmed": state.unconfirmed,
        "predicted": predicted,
        "alarms": [asdict(alarm) for alarm in alarms],
        "gateway": gateway,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    """No more digits than a screen shows: every client gets them five times a second."""
    return None if value is None else round(value, digits)


def encode_snapshot(
    gateway: str, t: datetime, vehicles: list[dict[str, Any]], process: Mapping[str, Any] | None = None
) -> bytes:
    """Return a snapshot message for the bus: vehicles that have changed, and how the gateway itself is."""
    message: dict[str, Any] = {"gateway": gateway, "t": t, "vehicles": vehicles}
    if process is not None:
        message["process"] = process
    return orjson.dumps(message)


@dataclass(slots=True)
class _Seen:
    """One vehicle or process: what was said of it last, what is shown, and since which revision."""

    said: dict[str, Any]
    heard_s: float
    shown: dict[str, Any]
    encoded: bytes
    revision: int
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """What has changed since a revision: vehicles and processes, each already JSON."""

    revision: int
    vehicles: tuple[bytes, ...]
    processes: tuple[bytes, ...]


class LiveView:
    """The newest state of every vehicle and gateway, merged from what all gateways publish.

    Who is blind must not look alive: a vehicle of which nothing has come for ``SILENT_S`` is not connected, and
    ``heard`` tells whether anything comes at all. ``revision`` grows with every change; whoever has seen revision n
    asks ``since(n)`` for what has changed after it. ``on_news`` is called after each change.
    """

    def __init__(self) -> None:
        self.on_news: Callable[[], None] = lambda: None
        self._vehicles: OrderedDict[str, _Seen] = OrderedDict()
        self._processes: OrderedDict[str, _Seen] = OrderedDict()
        self._revision = 0
        self._heard_s = float("-inf")

    @property
    def revision(self) -> int:
        """Grows with every change of what is shown; silence is one, once ``look_for_silence`` has found it."""
        return self._revision

    @property
    def heard(self) -> bool:
        """Whether a gateway has said something lately: if not, an unchanged picture is not a true one."""
        return time.monotonic() - self._heard_s < 2.0 * CONFIRM_S

    def take(self, payload: bytes) -> None:
        """Merge one message from the bus; raises ``ValueError`` when it is malformed (nothing is changed)."""
        message = orjson.loads(payload)
        vehicles = message.get("vehicles") if isinstance(message, dict) else None
        if not isinstance(vehicles, list) or not all(
            isinstance(v, dict) and isinstance(v.get("vehicle_id"), str) for v in vehicles
        ):
            raise ValueError("a live snapshot without a list of vehicles")
        process = message.get("process")
        if process is not None and not (isinstance(process, dict) and isinstance(process.get("name"), str)):
            raise ValueError("a live snapshot of a process without a name")
        self._heard_s = now_s = time.monotonic()
        before = self._revision
        self._revision += 1
        changed = [self._merge(self._vehicles, v["vehicle_id"], v, now_s, MAX_VEHICLES) for v in vehicles]
        if process is not None:
            changed.append(self._merge(self._processes, process["name"], process, now_s, MAX_PROCESSES))
        if any(changed):
            self.on_news()
        else:
            self._revision = before

    def look_for_silence(self) -> None:
        """Find those that have fallen silent: what is shown of them changes although nothing comes."""
        before_s = time.monotonic() - SILENT_S
        for known, shown in ((self._vehicles, _silent_vehicle), (self._processes, _silent_process)):
            for key in [key for key, seen in known.items() if not seen.silent and seen.heard_s < before_s]:
                self._revision += 1
                known[key].silent = True
                self._show(known, key, shown(known[key].said))

    def since(self, revision: int) -> Picture:
        """Return what has changed after ``revision``; everything, by id, for -1."""
        return Picture(self._revision, _since(self._vehicles, revision), _since(self._processes, revision))

    def vehicles(self) -> list[dict[str, Any]]:
        """Return the newest state of all vehicles, by id."""
        self.look_for_silence()
        return [self._vehicles[vehicle_id].shown for vehicle_id in sorted(self._vehicles)]

    def processes(self) -> list[dict[str, Any]]:
        """Return the newest state of all gateways, by name."""
        self.look_for_silence()
        return [self._processes[name].shown for name in sorted(self._processes)]

    def get(self, vehicle_id: str) -> dict[str, Any] | None:
        """Return one vehicle's newest state, if it was ever seen, as ``look_for_silence`` has last found it."""
        seen = self._vehicles.get(vehicle_id)
        return seen.shown if seen else None

    def _merge(self, known: OrderedDict[str, _Seen], key: str, said: dict[str, Any], now_s: float, most: int) -> bool:
        """Take what was said of one; return whether anything has changed."""
        seen = known.get(key)
        if seen is None:
            if len(known) >= most:
                return False
            known[key] = _Seen(said, now_s, {}, b"", self._revision)
        else:
            seen.heard_s = now_s
            if not seen.silent and seen.said == said:
                return False
            seen.said, seen.silent = said, False
        self._show(known, key, said if known is self._vehicles else said | {"connected": True})
        return True

    def _show(self, known: OrderedDict[str, _Seen], key: str, shown: dict[str, Any]) -> None:
        seen = known[key]
        seen.shown, seen.encoded, seen.revision = shown, orjson.dumps(shown), self._revision
        known.move_to_end(key)


def _since(known: OrderedDict[str, _Seen], revision: int) -> tuple[bytes, ...]:
    # Those that changed last are at the end: as many are looked at as are found.
    if revision < 0:
        return tuple(known[key].encoded for key in sorted(known))
    return tuple(seen.encoded for seen in takewhile(lambda seen: seen.revision > revision, reversed(known.values())))


def _silent_vehicle(said: dict[str, Any]) -> dict[str, Any]:
    return said | {"connected": False, "ready": False, "alarms": unheard(said, said.get("t"))}


def _silent_process(said: dict[str, Any]) -> dict[str, Any]:
    return said | {"connected": False}


def unheard(vehicle: Mapping[str, Any], since: str | None) -> list[dict[str, Any]]:
    """Return the alarms of a live snapshot that no gateway renews any more: that nobody hears it comes first."""
    alarms = list(vehicle.get("alarms") or ())
    if vehicle.get("mission_state") not in ON_MISSION or any(alarm["code"] == "silent" for alarm in alarms):
        return alarms
    row = TABLE["silent"]
    text = row.text({})
    silent = {
        "code": row.code,
        "key": "",
        "urgency": row.urgency,
        "state": State.UNACKNOWLEDGED,
        "text_ja": text.ja,
        "text_en": text.en,
        "since": since,
        "alarm_id": None,
        "shelved_until": None,
    }
    return [silent, *alarms]

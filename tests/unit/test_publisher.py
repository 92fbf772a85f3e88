"""What a gateway publishes of its vehicles: how soon, how often, and what of it is left out."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from fleet import live
from fleet.publisher import BURST_S, TICK_S, Publisher
from hardware.errors import LinkDown
from hardware.link import Activity, VehicleState
from routing.geo import Position
from telemetry.clock import Clock
from tests.problems import START

CALM = VehicleState(t=START, connected=True, activity=Activity.MISSION, position=Position(35.7, 138.9, 700.0))


class Gateway:
    """A publisher in rounds of ``TICK_S``, its vehicles' states and what went out, with the second of each."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.states: dict[str, VehicleState] = {}
        self.alarms: dict[str, list[str]] = {}
        self.process: dict[str, Any] = {"name": "gateway-1", "alarms": [], "writer": {"waiting_samples": 0}}
        self.bus_away = False
        self.out: list[tuple[float, dict[str, Any]]] = []
        self.looks = 0
        self._publisher = Publisher(
            "gateway-1", Clock.real(), send=self._send, look=self._look, process=lambda: dict(self.process)
        )

    async def _send(self, message: bytes) -> None:
        if self.bus_away:
            raise LinkDown("the broker is away")
        self.out.append((self.now_s, orjson.loads(message)))

    def _look(self, vehicle_id: str, state: VehicleState) -> dict[str, Any]:
        self.looks += 1
        view = live.vehicle_snapshot(vehicle_id, state, None, gateway="gateway-1")
        return view | {"alarms": self.alarms.get(vehicle_id, [])}

    def runs(self, seconds: float) -> None:
        """Let wall time pass."""
        for _ in range(round(seconds / TICK_S)):
            self.now_s += TICK_S
            asyncio.run(self._publisher.round(list(self.states.items()), self.now_s))

    def moves(self, vehicle_id: str, north: float) -> None:
        """Let a vehicle have moved."""
        before = self.states.get(vehicle_id, CALM)
        t = (before.t or START) + timedelta(seconds=0.1)
        self.states[vehicle_id] = replace(before, t=t, position=Position(35.7 + north, 138.9, 700.0))

    def told(self, vehicle_id: str) -> list[tuple[float, dict[str, Any]]]:
        """When a vehicle was told of, and what."""
        return [(at, v) for at, message in self.out for v in message["vehicles"] if v["vehicle_id"] == vehicle_id]

    def processes(self) -> list[tuple[float, dict[str, Any]]]:
        """When the process told of itself, and what."""
        return [(at, message["process"]) for at, message in self.out if "process" in message]


def test_a_calm_vehicle_that_changes_is_told_of_in_the_next_round() -> None:
    gateway = Gateway()
    gateway.states["drone-1"] = CALM
    gateway.runs(0.6)

    gateway.moves("drone-1", 0.001)
    changed_s = gateway.now_s
    gateway.runs(0.2)

    (_, first), (at, second) = gateway.told("drone-1")
    assert (first["lat"], second["lat"]) == (35.7, 35.701)
    assert at - changed_s == pytest.approx(TICK_S)


def test_a_vehicle_that_changes_all_the_time_is_told_of_five_times_a_second_with_its_newest_state() -> None:
    gateway = Gateway()
    for n in range(80):
        gateway.moves("drone-1", n * 1e-5)
        gateway.runs(TICK_S)

    first, *rest = itertools.pairwise([at for at, _ in gateway.told("drone-1")])
    assert first[1] - first[0] == pytest.approx(live.INTERVAL_S - BURST_S)
    assert [after - before for before, after in rest] == pytest.approx([live.INTERVAL_S] * 9)
    assert [v["lat"] for _, v in gateway.told("drone-1")[1:]] == pytest.approx(
        [35.7 + 4e-5 + 8e-5 * n for n in range(10)]
    )


def test_a_vehicle_that_speaks_unevenly_five_times_a_second_does_not_wait() -> None:
    gateway = Gateway()
    gateway.states["drone-1"] = CALM
    gateway.runs(1.0)
    for n in range(40):
        gateway.moves("drone-1", (n + 1) * 1e-5)
        spoke_s = gateway.now_s
        gateway.runs(0.15 if n % 2 else 0.25)
        at, view = gateway.told("drone-1")[-1]
        assert (at - spoke_s, view["lat"]) == pytest.approx((TICK_S, 35.7 + (n + 1) * 1e-5))


def test_a_vehicle_that_speaks_and_says_nothing_new_is_confirmed_once_a_second() -> None:
    gateway = Gateway()
    for n in range(80):
        gateway.states["drone-1"] = replace(CALM, t=START + timedelta(milliseconds=100 * n))
        gateway.runs(TICK_S * 2)

    assert len(gateway.told("drone-1")) == 4


def test_an_alarm_is_looked_for_five_times_a_second_though_the_vehicle_says_nothing() -> None:
    gateway = Gateway()
    gateway.states["drone-1"] = CALM
    gateway.runs(0.5)
    looks = gateway.looks
    gateway.alarms["drone-1"] = ["silent"]
    raised_s = gateway.now_s
    gateway.runs(1.0)

    assert gateway.looks - looks == 5
    at, shown = next((at, v) for at, v in gateway.told("drone-1") if v["alarms"])
    assert shown["alarms"] == ["silent"]
    assert at - raised_s <= live.INTERVAL_S + TICK_S


def test_vehicles_that_speak_at_different_moments_do_not_wait_for_one_another() -> None:
    gateway = Gateway()
    for n in range(40):
        gateway.moves(f"drone-{n % 8}", n * 1e-5)
        spoke_s = gateway.now_s
        gateway.runs(TICK_S)
        assert gateway.told(f"drone-{n % 8}")[-1][0] - spoke_s == pytest.approx(TICK_S)


def test_after_the_bus_was_away_everything_is_told_anew() -> None:
    gateway = Gateway()
    gateway.states = {"drone-1": CALM, "drone-2": CALM}
    gateway.runs(0.5)
    gateway.bus_away = True
    gateway.moves("drone-1", 0.001)
    gateway.runs(3.0)
    gateway.bus_away = False
    gateway.out.clear()
    gateway.runs(live.INTERVAL_S)

    assert [v["lat"] for _, v in gateway.told("drone-1")] == [35.701]
    assert len(gateway.told("drone-2")) == 1
    assert len(gateway.processes()) == 1


def test_a_process_tells_its_figures_once_a_second_and_its_alarms_at_once() -> None:
    gateway = Gateway()
    for n in range(80):
        gateway.process["writer"] = {"waiting_samples": n}
        gateway.runs(TICK_S)
    assert len(gateway.processes()) == 2

    gateway.process["alarms"] = [{"code": "spool_filling"}]
    raised_s = gateway.now_s
    gateway.runs(1.0)
    at, process = next((at, p) for at, p in gateway.processes() if p["alarms"])
    assert process["alarms"] == [{"code": "spool_filling"}]
    assert at - raised_s <= live.INTERVAL_S + TICK_S


def test_a_vehicle_that_was_given_up_is_told_of_no_more_and_anew_when_it_comes_back() -> None:
    gateway = Gateway()
    gateway.states["drone-1"] = CALM
    gateway.runs(0.1)
    del gateway.states["drone-1"]
    gateway.runs(2.0)
    assert len(gateway.told("drone-1")) == 1

    gateway.states["drone-1"] = CALM
    gateway.runs(TICK_S)
    assert len(gateway.told("drone-1")) == 2

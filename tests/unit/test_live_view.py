"""The picture that an api process has of all vehicles: what has changed since when, and who has fallen silent."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fleet import live
from fleet.api.context import Context
from fleet.live import LiveView, encode_snapshot
from tests.problems import START


class Bus:
    """A view, the messages that it takes, and how often it said that something is new."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr("fleet.live.time.monotonic", lambda: self.now_s)
        self.view = LiveView()
        self.news = 0
        self.view.on_news = self._count

    def _count(self) -> None:
        self.news += 1

    def says(self, *vehicle_ids: str, gateway: str = "gateway-1", process: bool = False, **more: Any) -> None:
        """Take a message about these vehicles."""
        vehicles = [{"vehicle_id": vehicle_id, "connected": True, **more} for vehicle_id in vehicle_ids]
        about = {"name": gateway, "alarms": []} if process else None
        self.view.take(encode_snapshot(gateway, START, vehicles, about))

    def changed_since(self, revision: int) -> set[str]:
        """Which vehicles and processes have changed."""
        picture = self.view.since(revision)
        rows = [orjson.loads(row) for row in (*picture.vehicles, *picture.processes)]
        return {row.get("vehicle_id") or row["name"] for row in rows}


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    return Bus(monkeypatch)


def test_each_reader_gets_what_has_changed_since_it_last_looked(bus: Bus) -> None:
    bus.says("drone-1", "drone-2", lat=1)
    first = bus.view.revision
    bus.says("drone-2", lat=2)
    second = bus.view.revision
    bus.says("drone-3", lat=3)

    assert bus.changed_since(-1) == {"drone-1", "drone-2", "drone-3"}
    assert bus.changed_since(first) == {"drone-2", "drone-3"}
    assert bus.changed_since(second) == {"drone-3"}
    assert bus.changed_since(bus.view.revision) == set()


def test_what_is_said_again_is_no_news(bus: Bus) -> None:
    bus.says("drone-1", process=True, lat=1)
    revision = bus.view.revision
    bus.says("drone-1", process=True, lat=1)

    assert (bus.view.revision, bus.news) == (revision, 1)


def test_silence_is_a_change_and_so_is_its_end(bus: Bus) -> None:
    bus.says("drone-1", process=True)
    bus.says("drone-2", gateway="gateway-2", process=True)
    revision = bus.view.revision
    bus.now_s += live.SILENT_S - 0.1
    bus.says("drone-2", gateway="gateway-2", process=True)
    bus.now_s += 0.2
    bus.view.look_for_silence()

    assert bus.changed_since(revision) == {"drone-1", "gateway-1"}
    assert [v["connected"] for v in bus.view.vehicles()] == [False, True]
    assert [p["connected"] for p in bus.view.processes()] == [False, True]
    revision = bus.view.revision
    bus.view.look_for_silence()
    assert bus.view.revision == revision
    # The very same words as before: they are news now.
    bus.says("drone-1", process=True)
    assert bus.changed_since(revision) == {"drone-1", "gateway-1"}
    assert [v["connected"] for v in bus.view.vehicles()] == [True, True]


def test_a_picture_is_vouched_for_as_long_as_some_gateway_speaks(bus: Bus) -> None:
    assert not bus.view.heard
    bus.says(process=True)
    bus.now_s += live.CONFIRM_S
    assert bus.view.heard
    bus.now_s += 1.5 * live.CONFIRM_S
    assert not bus.view.heard


@pytest.mark.parametrize(
    "message",
    [
        *(b"", b"x", b"[]", b"{}", b'{"vehicles": {}}', b'{"vehicles": [1]}', b'{"vehicles": [{"vehicle_id": 1}]}'),
        *(b'{"vehicles": [], "process": 1}', b'{"vehicles": [], "process": {"name": null}}', b"\xff\xfe"),
    ],
)
def test_a_malformed_message_changes_nothing(bus: Bus, message: bytes) -> None:
    bus.says("drone-1")
    revision = bus.view.revision
    with pytest.raises(ValueError, match=r"\S"):
        bus.view.take(message)

    assert (bus.view.revision, bus.news) == (revision, 1)


def test_there_is_room_for_so_many(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_VEHICLES", 2)
    monkeypatch.setattr(live, "MAX_PROCESSES", 1)
    bus.says("drone-1", "drone-2", "drone-3", process=True)
    bus.says(gateway="gateway-2", process=True)
    bus.says("drone-2", lat=5)

    assert [(v["vehicle_id"], v.get("lat")) for v in bus.view.vehicles()] == [("drone-1", None), ("drone-2", 5)]
    assert [p["name"] for p in bus.view.processes()] == ["gateway-1"]


@pytest.mark.parametrize(("apis", "each"), [(1, 30), (2, 15), (16, 5)])
def test_processes_share_the_sign_ins_that_one_would_allow(apis: int, each: int) -> None:
    class Running:
        """As much of a runtime as is asked."""

    running: Any = Running()
    running.apis = apis
    nothing: Any = None

    assert Context(running, nothing, nothing, LiveView()).sign_in_limit.count == each

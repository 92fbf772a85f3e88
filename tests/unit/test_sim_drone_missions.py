"""The mission protocol of the simulated autopilot, message by message, in vehicle time."""

from __future__ import annotations

from typing import Any

import pytest
from pymavlink.dialects.v20 import common as m

from simulators.extended import Extended
from simulators.missions import FENCE, MISSION, RALLY, Item, MissionProtocol, MissionStore, as_read_back
from tests.drone_pilot import NAN, action, at, delivery, placed

US, OTHER = (245, 190), (255, 190)


class Wire:
    """A protocol with a ground station at its end; decodes what it sends."""

    def __init__(self) -> None:
        self.store = MissionStore()
        self.sent: list[Any] = []
        self.texts: list[str] = []
        self.stored: list[tuple[int, bool, int]] = []
        self._mav = m.MAVLink(None, srcSystem=1, srcComponent=1)
        self.protocol = MissionProtocol(
            self.store,
            send=self._take,
            text=lambda severity, text: self.texts.append(text),
            stored=lambda kind, changed, current: self.stored.append((kind, changed, current)),
            current_seq=lambda: 1,
        )

    def _take(self, message: Any) -> None:
        raw = message.pack(self._mav)
        self.sent.append(message.message if isinstance(message, Extended) else message)
        assert raw[0] == 0xFD

    def tell(self, message: Any, at_s: float = 0.0, partner: tuple[int, int] = US) -> list[Any]:
        """Hand over a message from a partner; returns what was sent for it."""
        message._header.srcSystem, message._header.srcComponent = partner
        before = len(self.sent)
        assert self.protocol.handle(message, at_s)
        return self.sent[before:]

    def item(self, seq: int, item: Item, kind: int = MISSION, **more: Any) -> list[Any]:
        head = (1, 1, seq, item.frame, item.command, 0, 1)
        return self.tell(m.MAVLink_mission_item_int_message(*head, *item.params, item.x, item.y, item.z, kind), **more)

    def upload(self, items: tuple[Item, ...], kind: int = MISSION) -> int:
        (answer,) = self.tell(m.MAVLink_mission_count_message(1, 1, len(items), kind))
        for seq, item in enumerate(items):
            if answer.get_type() == "MISSION_ACK":
                break
            assert answer.get_type() in ("MISSION_REQUEST_INT", "MISSION_REQUEST")
            assert answer.seq == seq
            (answer,) = self.item(seq, item, kind)
        return int(answer.type)


def test_an_upload_is_stored_and_comes_back() -> None:
    wire = Wire()
    assert wire.upload(delivery()) == 0
    assert wire.stored == [(MISSION, True, -1)]
    (count,) = wire.tell(m.MAVLink_mission_request_list_message(1, 1, MISSION))
    assert count.count == len(delivery())
    for seq, item in enumerate(delivery()):
        (back,) = wire.tell(m.MAVLink_mission_request_int_message(1, 1, seq, MISSION))
        assert (back.command, back.x, back.y) == (item.command, item.x, item.y)
        assert back.z == item.z


def test_the_same_upload_again_is_accepted_and_changes_nothing() -> None:
    wire = Wire()
    wire.upload(delivery())
    opaque_id = wire.store.ids[MISSION]
    assert wire.upload(delivery()) == 0
    assert wire.stored[-1] == (MISSION, False, -1)
    assert wire.store.ids[MISSION] == opaque_id != 0


def test_a_lost_item_is_asked_for_again_and_a_lost_acknowledgement_repeated() -> None:
    wire, items = Wire(), delivery()[:2]
    wire.tell(m.MAVLink_mission_count_message(1, 1, 2, MISSION))
    wire.protocol.tick(0.3)
    assert [r.seq for r in wire.sent] == [0, 0]
    assert wire.item(1, items[1], at_s=0.3) == [], "not the item asked for: ignored"
    wire.item(0, items[0], at_s=0.4)
    (ack,) = wire.item(1, items[1], at_s=0.5)
    assert ack.type == 0
    (again,) = wire.item(1, items[1], at_s=0.9)
    assert again.type == 0


def test_a_fresh_autopilot_asks_in_the_old_way_until_told_otherwise() -> None:
    wire = Wire()
    (old,) = wire.tell(m.MAVLink_mission_count_message(1, 1, 2, MISSION))
    (new,) = wire.tell(m.MAVLink_mission_ack_message(1, 1, m.MAV_MISSION_UNSUPPORTED, MISSION))
    assert (old.get_type(), new.get_type()) == ("MISSION_REQUEST", "MISSION_REQUEST_INT")


def test_the_older_item_is_taken_with_the_exactness_of_floats() -> None:
    wire = Wire()
    wire.tell(m.MAVLink_mission_count_message(1, 1, 1, MISSION))
    (ack,) = wire.tell(m.MAVLink_mission_item_message(1, 1, 0, 3, 16, 0, 1, 0, 0, 0, 0, 35.1, 135.1, 30.0, MISSION))
    assert ack.type == 0
    (item,) = wire.store.items[MISSION]
    assert (item.lat, item.lon) == pytest.approx((35.1, 135.1), abs=1e-5)


def test_a_sender_can_give_its_upload_up() -> None:
    wire = Wire()
    wire.tell(m.MAVLink_mission_count_message(1, 1, 2, MISSION))
    wire.tell(m.MAVLink_mission_ack_message(1, 1, m.MAV_MISSION_OPERATION_CANCELLED, MISSION))
    assert wire.upload(delivery()) == 0


def test_a_silent_transfer_is_given_up_after_five_seconds() -> None:
    wire = Wire()
    wire.tell(m.MAVLink_mission_count_message(1, 1, 2, MISSION), at_s=0.0)
    wire.protocol.tick(4.9)
    assert not wire.texts
    wire.protocol.tick(5.1)
    assert wire.texts == ["Operation timeout"]
    assert wire.upload(delivery()) == 0


def test_a_second_ground_station_is_refused_while_a_transfer_runs() -> None:
    wire = Wire()
    wire.tell(m.MAVLink_mission_count_message(1, 1, 2, MISSION))
    (ack,) = wire.tell(m.MAVLink_mission_count_message(1, 1, 1, MISSION), partner=OTHER)
    assert ack.type == m.MAV_MISSION_ERROR
    assert ack.target_system == OTHER[0]


@pytest.mark.parametrize(
    ("kind", "items", "result"),
    [
        (FENCE, (placed(5003, at(0, 0, 0), 50),) * 65, m.MAV_MISSION_NO_SPACE),
        (RALLY, (placed(5100, at(0, 0, 0), frame=0),) * 33, m.MAV_MISSION_NO_SPACE),
        (FENCE, (placed(5001, at(0, 0, 0), 2),) * 2, m.MAV_MISSION_ERROR),
        (MISSION, (placed(5001, at(0, 0, 0), 3),), m.MAV_MISSION_ERROR),
        (RALLY, (placed(5100, at(0, 0, 0), frame=5),), m.MAV_MISSION_ACCEPTED),
        (MISSION, (placed(16, at(0, 0, 0), frame=1),), m.MAV_MISSION_UNSUPPORTED_FRAME),
        (MISSION, (placed(31999, at(0, 0, 0)),), m.MAV_MISSION_UNSUPPORTED),
        (MISSION, (action(223),), m.MAV_MISSION_UNSUPPORTED),
        (9, (action(93),), m.MAV_MISSION_INVALID),
    ],
)
def test_limits_and_refusals_are_px4s(kind: int, items: tuple[Item, ...], result: int) -> None:
    wire = Wire()
    wire.upload(delivery())
    before = dict(wire.store.items)
    assert wire.upload(items, kind) == result
    if result:
        assert wire.store.items == before, "a refused upload changes nothing"


def test_an_unexpected_request_ends_a_download() -> None:
    wire = Wire()
    wire.upload(delivery())
    wire.tell(m.MAVLink_mission_request_list_message(1, 1, MISSION))
    (ack,) = wire.tell(m.MAVLink_mission_request_int_message(1, 1, 5, MISSION))
    assert ack.type == m.MAV_MISSION_ERROR


def test_clearing_and_an_empty_upload_forget() -> None:
    wire = Wire()
    wire.upload(delivery())
    assert wire.upload((placed(5003, at(0, 0, 0), 50),), FENCE) == 0
    (ack,) = wire.tell(m.MAVLink_mission_clear_all_message(1, 1, 255))
    assert ack.type == 0
    assert wire.store.items == {MISSION: (), FENCE: (), RALLY: ()}
    assert wire.store.ids[MISSION] == 0


def test_items_come_back_as_px4_gives_them() -> None:
    item = Item(3, 16, (2.0, 0.0, 9.0, -90.0), 1, 2, 30.0, True)
    back = as_read_back(item)
    assert back.frame == 6
    assert back.params == (2.0, 0.0, 0.0, 270.0)
    unset = as_read_back(Item(0, 22, (1.0, 1.0, 1.0, NAN), 1, 2, 30.0, True))
    assert unset.frame == 5
    assert unset.params[:3] == (0.0, 0.0, 0.0)
    assert unset.params[3] != unset.params[3]


def test_a_store_outlives_a_restart() -> None:
    wire = Wire()
    wire.upload(delivery())
    kept = MissionStore()
    kept.restore(wire.store.to_json())
    assert kept.items == wire.store.items
    assert kept.ids == wire.store.ids

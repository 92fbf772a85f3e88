"""Our frames and messages against pymavlink's, which shares no code with them."""

from __future__ import annotations

import struct
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common as m

from hardware.mavlink import frames, messages
from hardware.mavlink.events import event_id, words_of
from hardware.mavlink.frames import split_frames
from hardware.mavlink.messages import decode


def peer(*, version: int = 2) -> Any:
    mav = m.MAVLink(None, srcSystem=7, srcComponent=1)
    mav.seq = 41
    return mav, version == 1


def packed(message: Any, *, version: int = 2) -> bytes:
    mav, force_v1 = peer(version=version)
    data: bytes = message.pack(mav, force_mavlink1=force_v1)
    return data


def whole(bits: int, *, signed: bool = False) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


_U8, _U16, _U32, _U64 = whole(8), whole(16), whole(32), whole(64)
_I8, _I16, _I32 = whole(8, signed=True), whole(16, signed=True), whole(32, signed=True)
_FLOAT = st.floats(width=32, allow_nan=False)
_EIGHT = st.lists(_U8, min_size=8, max_size=8)

ANY_MESSAGE = st.one_of(
    st.builds(m.MAVLink_heartbeat_message, _U8, _U8, _U8, _U32, _U8, _U8),
    st.builds(m.MAVLink_sys_status_message, *[_U32] * 3, _U16, _U16, _I16, _I8, *[_U16] * 6),
    st.builds(m.MAVLink_gps_raw_int_message, _U64, _U8, *[_I32] * 3, *[_U16] * 4, _U8),
    st.builds(m.MAVLink_global_position_int_message, _U32, *[_I32] * 4, *[_I16] * 3, _U16),
    st.builds(m.MAVLink_mission_current_message, _U16, _U16),
    st.builds(m.MAVLink_mission_item_reached_message, _U16),
    st.builds(m.MAVLink_command_ack_message, _U16, _U8),
    st.builds(
        m.MAVLink_battery_status_message,
        *[_U8] * 3,
        _I16,
        st.lists(_U16, min_size=10, max_size=10),
        _I16,
        _I32,
        _I32,
        _I8,
    ),
    st.builds(
        m.MAVLink_autopilot_version_message,
        _U64,
        *[_U32] * 4,
        *[_EIGHT] * 3,
        _U16,
        _U16,
        _U64,
        st.lists(_U8, min_size=18, max_size=18),
    ),
    st.builds(
        m.MAVLink_home_position_message,
        *[_I32] * 3,
        *[_FLOAT] * 3,
        st.lists(_FLOAT, min_size=4, max_size=4),
        *[_FLOAT] * 3,
    ),
    st.builds(m.MAVLink_extended_sys_state_message, _U8, _U8),
    st.builds(m.MAVLink_statustext_message, _U8, st.binary(min_size=1, max_size=50), _U16, _U8),
)


def test_checksum_seeds_are_those_of_the_message_set() -> None:
    # EVENT is not in pymavlink's set; tests/sitl hears it from PX4.
    assert set(frames.CRC_EXTRA) - set(m.mavlink_map) == {frames.EVENT}
    for msg_id, extra in frames.CRC_EXTRA.items() - {(frames.EVENT, 160)}:
        assert m.mavlink_map[msg_id].crc_extra == extra


@given(ANY_MESSAGE, st.sampled_from([1, 2]))
def test_what_pymavlink_packs_is_found_whole_and_decoded(message: Any, version: int) -> None:
    data = packed(message, version=version)

    (frame,) = split_frames(data)

    assert (frame.msg_id, frame.system_id, frame.component_id) == (message.get_msgId(), 7, 1)
    assert (frame.raw, frame.sequence) == (data, 41)
    decode(frame)


@given(st.tuples(_U32, *[_I32] * 4, *[_I16] * 3, _U16))
def test_position_keeps_every_field(fields: tuple[int, ...]) -> None:
    message = m.MAVLink_global_position_int_message(*fields)

    decoded = decode(split_frames(packed(message))[0])

    heading = None if fields[8] == 65535 else fields[8]
    if abs(fields[1]) > 900_000_000 or abs(fields[2]) > 1_800_000_000:
        assert decoded is None, "there is no such place"
    else:
        assert isinstance(decoded, messages.GlobalPosition)
        assert decoded == (*fields[:8], heading)


@given(st.lists(ANY_MESSAGE, min_size=1, max_size=5), st.binary(max_size=40), st.binary(max_size=40))
def test_frames_are_found_behind_and_before_garbage(sent: list[Any], before: bytes, after: bytes) -> None:
    # Bytes that could begin a frame may swallow what follows, as on any link; they are tested below.
    before = before.translate(None, bytes((frames.MAGIC_V1, frames.MAGIC_V2)))
    data = [packed(message) for message in sent]

    found = split_frames(before + b"".join(data) + after)

    assert [frame.raw for frame in found][: len(data)] == data


@given(st.binary(max_size=600))
def test_garbage_never_raises(data: bytes) -> None:
    for frame in split_frames(data):
        decode(frame)


@given(st.binary(max_size=255), st.sampled_from(sorted(frames.CRC_EXTRA)))
def test_a_payload_of_any_length_decodes_without_an_error(payload: bytes, msg_id: int) -> None:
    (frame,) = split_frames(frames.build_frame(msg_id, payload, 0))

    # What cannot be is refused, whatever bytes it is made of; the rest is always understood.
    refusable = {frames.COMMAND_LONG, frames.ATTITUDE, frames.WIND_COV, frames.HOME_POSITION}
    assert msg_id in refusable | {frames.GLOBAL_POSITION_INT} or decode(frame) is not None


@given(ANY_MESSAGE, st.data())
def test_a_damaged_frame_is_dropped_and_the_next_one_found(message: Any, data: st.DataObject) -> None:
    good = packed(m.MAVLink_heartbeat_message(2, 12, 129, 0, 4, 3))
    bad = bytearray(packed(message))
    at = data.draw(st.integers(10, len(bad) - 1))
    bad[at] ^= data.draw(st.integers(1, 255))

    found = [frame.raw for frame in split_frames(bytes(bad) + good)]

    assert bytes(bad) not in found
    assert found[-1:] == [good]


def test_an_unknown_message_passes_and_one_cut_short_does_not() -> None:
    hud = packed(m.MAVLink_vfr_hud_message(1.0, 0.1, 2, 3, 0.3, 0.1))

    assert [frame.msg_id for frame in split_frames(hud + hud)] == [74, 74]
    assert split_frames(hud[:-1]) == []
    assert decode(split_frames(hud)[0]) is None


@given(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5))
def test_attitude_is_in_hundredths_of_degrees(roll: float, pitch: float) -> None:
    decoded = decode(split_frames(packed(m.MAVLink_attitude_message(77, roll, pitch, 0.3, 0, 0, 0)))[0])

    assert isinstance(decoded, messages.Attitude)
    assert decoded.time_boot_ms == 77
    assert decoded.roll_cdeg == pytest.approx(roll * 18_000 / 3.14159265, abs=0.6)
    assert decoded.pitch_cdeg == pytest.approx(pitch * 18_000 / 3.14159265, abs=0.6)


def test_wind_current_accuracy_radio_and_commander_are_read() -> None:
    def read(message: Any) -> Any:
        return decode(split_frames(packed(message))[0])

    wind = m.MAVLink_wind_cov_message(1, 3.25, -4.5, 0.1, 0.2, 0.2, 100.0, 0.1, 0.1)
    gps = m.MAVLink_gps_raw_int_message(1, 3, 0, 0, 0, 70, 110, 0, 0, 14, 0, 1200, 2100, 0, 0)
    radio = m.MAVLink_radio_status_message(200, 190, 100, 40, 255, 7, 2)
    battery = m.MAVLink_battery_status_message(0, 0, 1, 0, [4000] + [65535] * 9, 1234, 0, 0, 50)
    ack = m.MAVLink_command_ack_message(400, 0, 0, 0, 255, 190)

    assert read(wind) == messages.Wind(325, -450)
    assert read(gps) == messages.GpsRaw(3, 14, 1200, 2100)
    assert read(radio) == messages.RadioStatus(200, 190, 40, None, 7)
    assert read(battery).current_ca == 1234
    assert read(ack) == messages.CommandAck(400, 0, 255)


@pytest.mark.parametrize(
    "message",
    [
        m.MAVLink_attitude_message(1, float("nan"), 0, 0, 0, 0, 0),
        m.MAVLink_attitude_message(1, 0, float("inf"), 0, 0, 0, 0),
        m.MAVLink_wind_cov_message(1, float("nan"), 0, 0, 0, 0, 0, 0, 0),
        m.MAVLink_wind_cov_message(1, 1e30, 0, 0, 0, 0, 0, 0, 0),
        m.MAVLink_global_position_int_message(1, 2**31 - 1, 0, 0, 0, 0, 0, 0, 0),
        m.MAVLink_home_position_message(0, -(2**31), 0, 0, 0, 0, [1, 0, 0, 0], 0, 0, 0),
    ],
)
def test_what_cannot_be_is_not_decoded(message: Any) -> None:
    assert decode(split_frames(packed(message))[0]) is None


def test_what_is_no_frame_is_counted_by_its_reason() -> None:
    good = packed(m.MAVLink_heartbeat_message(2, 12, 129, 0, 4, 3))
    damaged = good[:-1] + bytes((good[-1] ^ 1,))
    demanding = good[:2] + b"\x02" + good[3:]
    dropped: Counter[str] = Counter()

    found = [split_frames(data, dropped) for data in (b"hello", damaged, good[:-3], demanding, bytes(9000), good)]

    assert [len(frames) for frames in found] == [0, 0, 0, 0, 0, 1]
    assert dropped == {"garbage": 1, "checksum": 1, "truncated": 1, "incompatible": 1, "oversized": 1}


def test_a_datagram_made_to_cost_time_is_given_up() -> None:
    dropped: Counter[str] = Counter()

    assert split_frames(bytes((frames.MAGIC_V2,)) * frames.MAX_DATAGRAM_BYTES, dropped) == []
    assert sum(dropped.values()) == frames.MAX_DAMAGED + 1


def test_a_frame_that_demands_what_we_do_not_know_is_dropped() -> None:
    data = bytearray(packed(m.MAVLink_heartbeat_message(2, 12, 129, 0, 4, 3)))
    data[2] = 0x02

    assert split_frames(bytes(data)) == []


def test_the_signature_of_a_signed_frame_belongs_to_it() -> None:
    mav = m.MAVLink(None, srcSystem=7, srcComponent=1)
    mav.signing.secret_key = b"k" * 32
    mav.signing.link_id = 1
    mav.signing.timestamp = 1
    mav.signing.sign_outgoing = True
    signed = bytes(m.MAVLink_heartbeat_message(2, 12, 129, 0, 4, 3).pack(mav))

    assert [len(frame.raw) for frame in split_frames(signed + signed)] == [len(signed)] * 2


def test_pymavlink_understands_our_heartbeat_and_our_question() -> None:
    parser = m.MAVLink(None)

    heartbeat, question = parser.parse_buffer(frames.ground_heartbeat(3) + frames.version_request(9, 4))

    assert heartbeat.type == m.MAV_TYPE_GCS
    assert (heartbeat.get_srcSystem(), heartbeat.get_srcComponent(), heartbeat.get_seq()) == (245, 190, 3)
    assert (question.command, question.param1, question.target_system) == (512, 148, 9)


@pytest.mark.parametrize(
    ("cells", "total_mv"),
    [
        ([4000, 4010, 65535, 65535], 8010),
        ([16000, 0, 0, 0], 16000),
        ([65534, 10000, 65535, 65535], 75534),
        ([65535, 65535, 65535, 65535], None),
    ],
)
def test_battery_voltage_adds_the_cells_in_use(cells: list[int], total_mv: int | None) -> None:
    message = m.MAVLink_battery_status_message(0, 0, 0, 0, cells + [65535] * 6, -1, -1, -1, -1)

    assert decode(split_frames(packed(message))[0]) == messages.BatteryStatus(0, total_mv, None)


def test_an_event_is_known_by_the_hash_of_its_name() -> None:
    """Number from the event metadata that PX4 1.16 ships (all_events.json): 12208749 for this name."""
    assert event_id("navigator_mis_takeoff_too_low") == 12208749 | 1 << 24
    assert words_of(12208749 | 1 << 24) == "Mission rejected: the take-off ends below home"
    assert words_of(1) is None


def test_hardware_is_known_by_either_id_in_any_case() -> None:
    uid2 = bytes(range(18))
    payload = struct.pack("<QQIIIIHH8s8s8s18s", 0, 0xABCDEF, 0, 0, 0, 0, 0, 0, b"", b"", b"", uid2)

    version = decode(split_frames(frames.build_frame(frames.AUTOPILOT_VERSION, payload, 0))[0])

    assert isinstance(version, messages.AutopilotVersion)
    assert version.is_hardware("0000000000ABCDEF")
    assert version.is_hardware(uid2.hex().upper())
    assert not version.is_hardware("0000000000abcdee")

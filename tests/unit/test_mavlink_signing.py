"""Signatures, checked against pymavlink, which is another implementation of the same guide."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common as m

from hardware.mavlink.frames import Frame, build_frame, ground_heartbeat, split_frames, version_request
from hardware.mavlink.signing import EPOCH_S, MAX_STREAMS, Signing, is_signed

KEY = bytes(range(32))
NOW_S = EPOCH_S + 360_000_000.5
NOW = 36_000_000_050_000
"""The same in the units of signatures."""
HEARTBEAT = m.MAVLink_heartbeat_message(2, 12, 0x81, 4 << 16, 4, 3)


def ours(wall_s: float = NOW_S) -> Signing:
    return Signing(KEY, wall_s=lambda: wall_s)


class Vehicle:
    """The other end, by pymavlink."""

    def __init__(self, key: bytes = KEY, stamp: int = NOW) -> None:
        self.mav = m.MAVLink(None, srcSystem=7, srcComponent=1)
        self.mav.robust_parsing = True
        self.mav.signing.secret_key = key
        self.mav.signing.sign_outgoing = True
        self.mav.signing.link_id = 3
        self.mav.signing.timestamp = stamp

    def says(self, message: Any = HEARTBEAT, *, signed: bool = True) -> Frame:
        self.mav.signing.sign_outgoing = signed
        (frame,) = split_frames(bytes(message.pack(self.mav)))
        return frame

    def understands(self, raw: bytes) -> bool:
        return [message.get_type() != "BAD_DATA" for message in self.mav.parse_buffer(raw)] == [True]


def test_pymavlink_accepts_what_we_sign() -> None:
    signing, vehicle = ours(), Vehicle()

    for raw in (ground_heartbeat(1), version_request(7, 2), build_frame(0, bytes(9), 3)):
        signed = signing.sign(raw)
        assert signed is not None
        assert vehicle.understands(signed)


@given(numbers=st.lists(st.integers(0, 255), min_size=6, max_size=6), text=st.binary(max_size=50))
def test_any_message_can_be_signed_without_knowing_it(numbers: list[int], text: bytes) -> None:
    """The checksum covers the flag that says "signed", and a seed that we do not have for every message."""
    plain = m.MAVLink(None, srcSystem=245, srcComponent=190)
    signing, vehicle = ours(), Vehicle()

    for message in (
        m.MAVLink_statustext_message(6, text),
        m.MAVLink_manual_control_message(*numbers),
        m.MAVLink_param_request_list_message(7, 1),
    ):
        signed = signing.sign(bytes(message.pack(plain)))
        assert signed is not None
        assert vehicle.understands(signed)


def test_a_wrong_key_or_a_changed_byte_is_refused_by_both_sides() -> None:
    signed = ours().sign(ground_heartbeat(1))
    assert signed is not None
    changed = bytes((*signed[:12], signed[12] ^ 1, *signed[13:]))

    assert not Vehicle(key=bytes(32)).understands(signed)
    assert not Vehicle().understands(changed)
    assert ours().refusal(Vehicle(key=bytes(32)).says()) == "forged"
    genuine = Vehicle().says()
    assert ours().refusal(genuine._replace(raw=genuine.raw[:12] + b"\0" + genuine.raw[13:])) == "forged"


def test_what_pymavlink_signs_is_accepted_once_and_comes_without_signature() -> None:
    signing, vehicle = ours(), Vehicle()
    frame = vehicle.says()

    assert signing.refusal(frame) is None
    taken = signing.accept(frame)

    assert is_signed(frame.raw)
    assert taken.raw == vehicle.says(signed=False).raw
    assert signing.refusal(frame) == "replayed"
    assert signing.refusal(vehicle.says()) is None


def test_each_component_and_link_has_timestamps_of_its_own() -> None:
    signing, first, second = ours(), Vehicle(), Vehicle()
    second.mav.signing.link_id = 4
    second.mav.signing.timestamp = NOW - 100
    signing.accept(first.says())

    assert signing.refusal(second.says()) is None
    second.mav.signing.link_id = 3
    second.mav.signing.timestamp = NOW - 100
    assert signing.refusal(second.says()) == "replayed"


@pytest.mark.parametrize(("behind_s", "refusal"), [(59, None), (61, "stale"), (-86_400, None)])
def test_a_first_timestamp_may_be_a_minute_behind_ours(behind_s: int, refusal: str | None) -> None:
    vehicle = Vehicle(stamp=NOW - behind_s * 100_000)

    assert ours().refusal(vehicle.says()) == refusal


def test_unsigned_is_refused_but_for_what_a_radio_says_of_itself() -> None:
    signing, vehicle = ours(), Vehicle()

    assert signing.refusal(vehicle.says(signed=False)) == "unsigned"
    assert signing.refusal(vehicle.says(m.MAVLink_radio_status_message(1, 2, 3, 4, 5, 6, 7), signed=False)) is None
    (old,) = split_frames(bytes(HEARTBEAT.pack(vehicle.mav, force_mavlink1=True)))
    assert signing.refusal(old) == "unsigned"


def test_timestamps_grow_by_wall_time_and_at_least_by_one() -> None:
    times = iter([NOW_S, NOW_S, NOW_S - 5.0, NOW_S + 2.0])
    signing = Signing(KEY, wall_s=lambda: next(times))

    signed = [signing.sign(ground_heartbeat(1)) for _ in range(4)]

    stamps = [int.from_bytes(raw[-12:-6], "little") for raw in signed if raw is not None]
    assert stamps == [NOW, NOW + 1, NOW + 2, NOW + 200_000]


def test_another_gateway_whose_clock_is_behind_is_understood_once_it_has_heard_the_vehicle() -> None:
    vehicle, before, after = Vehicle(), ours(), ours(NOW_S - 30)
    signed = before.sign(ground_heartbeat(1))
    assert signed is not None
    assert vehicle.understands(signed)
    too_early = after.sign(ground_heartbeat(1))
    assert too_early is not None
    assert not vehicle.understands(too_early)

    after.accept(vehicle.says())
    signed = after.sign(ground_heartbeat(2))

    assert signed is not None
    assert vehicle.understands(signed)


def test_the_timestamp_of_a_frame_with_a_wrong_signature_is_never_followed() -> None:
    signing = ours()
    assert signing.refusal(Vehicle(key=bytes(32), stamp=NOW + 10**9).says()) == "forged"

    signed = signing.sign(ground_heartbeat(1))

    assert signed is not None
    assert int.from_bytes(signed[-12:-6], "little") == NOW


def test_threads_that_sign_at_once_never_share_a_timestamp() -> None:
    signing = ours()
    with ThreadPoolExecutor(8) as pool:
        signed = list(pool.map(lambda number: signing.sign(ground_heartbeat(number)), range(500)))

    assert len({raw[-12:-6] for raw in signed if raw is not None}) == 500


def test_streams_are_bounded() -> None:
    signing, vehicle = ours(), Vehicle()
    for component in range(MAX_STREAMS):
        vehicle.mav.srcComponent = component + 1
        signing.accept(vehicle.says())

    vehicle.mav.srcComponent = 200
    assert signing.refusal(vehicle.says()) == "stale"


@pytest.mark.parametrize("raw", [b"", b"\xfd", ground_heartbeat(1)[:-1], ground_heartbeat(1) + b"x"])
def test_what_is_no_whole_frame_is_not_signed(raw: bytes) -> None:
    assert ours().sign(raw) is None


def test_what_is_signed_already_or_of_mavlink_1_is_not_signed() -> None:
    signing, vehicle = ours(), Vehicle()

    assert signing.sign(vehicle.says().raw) is None
    assert signing.sign(bytes(HEARTBEAT.pack(vehicle.mav, force_mavlink1=True))) is None


def test_a_key_has_32_bytes_and_shows_nowhere() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        Signing(KEY[:31])
    assert KEY.hex() not in repr(ours())
    assert str(KEY) not in repr(vars(ours()).keys())

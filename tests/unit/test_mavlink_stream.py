"""Frames out of a stream of bytes that comes in pieces of any length."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common as m

from hardware.mavlink.frames import MAX_FRAME_BYTES, FrameStream


def _packed(*messages: Any) -> list[bytes]:
    mav = m.MAVLink(None, srcSystem=7, srcComponent=1)
    found = []
    for message in messages:
        found.append(bytes(message.pack(mav)))
        mav.seq = (mav.seq + 1) % 256
    return found


FRAMES = _packed(
    m.MAVLink_heartbeat_message(2, 12, 0x81, 4 << 16, 4, 3),
    m.MAVLink_vfr_hud_message(1.0, 2.0, 3, 4, 5.0, 6.0),
    m.MAVLink_global_position_int_message(1, 350_000_000, 1_350_000_000, 1, 2, 3, 4, 5, 6),
    m.MAVLink_statustext_message(6, b"\xfd\xfe\xfd take-off"),
)
"""A message that is checked, one that is not, and bytes in a payload that look like beginnings."""


def _fed(stream: FrameStream, data: bytes, sizes: list[int]) -> list[bytes]:
    found, at = [], 0
    for size in [*sizes, len(data)]:
        found += [frame.raw for frame in stream.feed(data[at : at + size])]
        at += size
    return found


@given(order=st.lists(st.sampled_from(FRAMES), max_size=20), sizes=st.lists(st.integers(1, 60), max_size=60))
def test_frames_are_found_however_the_stream_is_cut(order: list[bytes], sizes: list[int]) -> None:
    dropped: Counter[str] = Counter()

    assert _fed(FrameStream(dropped), b"".join(order), sizes) == order
    assert not dropped


@settings(max_examples=200)
@given(noise=st.binary(max_size=400), sizes=st.lists(st.integers(1, 90), max_size=30))
def test_after_garbage_the_stream_is_found_again(noise: bytes, sizes: list[int]) -> None:
    """What seems to begin in the noise may take the frames that follow with it, but not more than its length."""
    stream = FrameStream(Counter())
    good = FRAMES[0] * 40

    found = _fed(stream, noise + good, sizes)

    lost = 40 - found.count(FRAMES[0])
    assert lost <= MAX_FRAME_BYTES // len(FRAMES[0]) + 1
    assert found[-1] == FRAMES[0]


def test_what_is_dropped_is_counted_by_reason() -> None:
    dropped: Counter[str] = Counter()
    stream = FrameStream(dropped)
    damaged = bytearray(FRAMES[2])
    damaged[15] ^= 0xFF

    found = stream.feed(b"hello" + FRAMES[0] + bytes(damaged) + FRAMES[0] * 20)

    assert {frame.msg_id for frame in found} == {0}
    assert dropped == {"garbage": 1, "checksum": 1}


def test_an_unchecked_message_counts_only_right_after_another_frame() -> None:
    """Behind noise nobody knows whether it is one."""
    stream = FrameStream(Counter())

    found = stream.feed(b"x" + FRAMES[1] + FRAMES[0] + FRAMES[1] + FRAMES[0])

    assert [frame.msg_id for frame in found] == [0, 74, 0]


@pytest.mark.parametrize("byte", [0x00, 0xFD, 0xFE])
def test_what_is_kept_never_grows(byte: int) -> None:
    stream = FrameStream(Counter())

    for _ in range(50):
        stream.feed(bytes((byte,)) * 1000)
        assert len(stream._kept) < MAX_FRAME_BYTES

"""Packets cut from a stream, whatever pieces it comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.mqtt_stream import MalformedStream, PacketStream
from tests.hostile import publish_packet

MAX = 5_000
SUBACK = b"\x90\x03\0\x01\0"
QOS_1 = b"\x32\x06\0\x01t\0\x07x"


class Taken:
    """A stream, and what it has given."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, bytes, bool]] = []
        self.packets: list[bytes] = []
        self.refused = 0
        self.stream = PacketStream(
            max_bytes=MAX,
            take_message=lambda *message: self.messages.append(message),
            take_packet=self.packets.append,
            refuse=self._refuse,
        )

    def _refuse(self) -> None:
        self.refused += 1


_MESSAGES = st.tuples(st.text(min_size=1, max_size=20), st.binary(max_size=300))


@given(st.lists(_MESSAGES, max_size=8), st.lists(st.integers(1, 400), min_size=1, max_size=40))
def test_messages_and_packets_come_out_as_they_went_in(messages: list[tuple[str, bytes]], sizes: list[int]) -> None:
    data = b"".join(publish_packet(topic, payload) + SUBACK for topic, payload in messages) + QOS_1
    taken, at = Taken(), 0
    while at < len(data):
        for size in sizes:
            taken.stream.take(data[at : at + size])
            at += size

    assert taken.messages == [(topic.encode(), payload, False) for topic, payload in messages]
    assert taken.packets == [SUBACK] * len(messages) + [QOS_1]


def test_a_retained_message_is_marked() -> None:
    taken = Taken()
    taken.stream.take(b"\x31\x04\0\x01tx")

    assert taken.messages == [(b"t", b"x", True)]


@given(st.integers(MAX + 1, 40_000), st.integers(1, 3_000))
def test_a_packet_that_is_too_long_is_skipped_as_it_comes_and_the_next_is_found(length: int, piece: int) -> None:
    data = publish_packet("t", b"x" * length) + publish_packet("t", b"after")
    taken = Taken()
    for at in range(0, len(data), piece):
        taken.stream.take(data[at : at + piece])
        assert len(taken.stream._rest) <= MAX + piece

    assert (taken.refused, taken.messages) == (1, [(b"t", b"after", False)])


@pytest.mark.parametrize("data", [b"\x30\x01x", b"\x30\x03\0\x05t", b"\x30\xff\xff\xff\xff\x01"])
def test_what_cannot_be_a_packet_is_an_error(data: bytes) -> None:
    with pytest.raises(MalformedStream):
        Taken().stream.take(data)


def test_a_new_connection_begins_anew() -> None:
    taken = Taken()
    taken.stream.take(publish_packet("t", b"x" * 100)[:50])
    taken.stream.reset()
    taken.stream.take(SUBACK)

    assert (taken.messages, taken.packets) == ([], [SUBACK])

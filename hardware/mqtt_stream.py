"""The received half of an MQTT 3.1.1 connection: packets are cut here, and what is simple is taken past paho.

paho reads each packet in four small reads and builds several objects for it, which costs more than all that is done
with the message. Here the socket is read in large pieces; a message of QoS 0 goes straight to its taker, and every
other packet goes to paho, which believes that it reads it from its socket. Format: MQTT 3.1.1, sections 2.2 and 3.3.
"""

from __future__ import annotations

from collections.abc import Callable

import paho.mqtt.client as paho

_PUBLISH_QOS_0 = 0x30
_RETAIN = 0x01


class MalformedStream(Exception):
    """The bytes are no MQTT; what follows cannot be told any more."""


class FedClient(paho.Client):
    """paho, given its bytes instead of reading them: its ``loop_read`` sees what is in ``fed``."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # paho's own, unchanged
        self.fed = bytearray()
        self.ended = False

    def _sock_recv(self, bufsize: int) -> bytes:
        if self.fed:
            data = bytes(self.fed[:bufsize])
            del self.fed[:bufsize]
            return data
        if self.ended:
            return b""
        raise BlockingIOError


class PacketStream:
    """Cuts a stream into packets.

    ``take_message`` is given topic, payload and whether it was retained, for each message of QoS 0; ``take_packet``
    every other packet whole; ``refuse`` is called for a packet beyond ``max_bytes``, which is skipped as it comes and
    never held. Raises ``MalformedStream`` from ``take``.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        take_message: Callable[[bytes, bytes, bool], None],
        take_packet: Callable[[bytes], None],
        refuse: Callable[[], None],
    ) -> None:
        self._max_bytes = max_bytes
        self._take_message, self._take_packet, self._refuse = take_message, take_packet, refuse
        self._rest = b""
        self._skip = 0

    def reset(self) -> None:
        """Begin a new connection."""
        self._rest, self._skip = b"", 0

    def take(self, data: bytes) -> None:
        """Take received bytes."""
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        while at + 2 <= size:
            length, head = data[at + 1], 2
            if length & 0x80:
                found = _length(data, at + 1, size)
                if found is None:
                    break
                length, head = found
            begin, end = at + head, at + head + length
            if length > self._max_bytes:
                self._refuse()
                self._skip = max(0, end - size)
                at = min(end, size)
                continue
            if end > size:
                break
            if data[at] & 0xFE == _PUBLISH_QOS_0:
                self._publish(data, at, begin, end)
            else:
                self._take_packet(data[at:end])
            at = end
        self._rest = data[at:]

    def _publish(self, data: bytes, at: int, begin: int, end: int) -> None:
        payload_at = begin + 2 + (data[begin] << 8 | data[begin + 1]) if end - begin >= 2 else end + 1
        if payload_at > end:
            raise MalformedStream("a message that is shorter than its topic")
        self._take_message(data[begin + 2 : payload_at], data[payload_at:end], bool(data[at] & _RETAIN))


def _length(data: bytes, at: int, size: int) -> tuple[int, int] | None:
    """Read the remaining length at a place; return it and the length of the fixed header, ``None`` when cut short."""
    length = 0
    for number in range(4):
        if at + number >= size:
            return None
        byte = data[at + number]
        length |= (byte & 0x7F) << 7 * number
        if not byte & 0x80:
            return length, number + 2
    raise MalformedStream("a length of more than four bytes")

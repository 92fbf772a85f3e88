"""Datagrams: one socket, to which any number of vehicles send."""

from __future__ import annotations

import asyncio
import socket

import structlog

from hardware.errors import LinkDown
from hardware.mavlink.address import Source
from hardware.mavlink.frames import split_frames
from hardware.mavlink.medium import Taker

log = structlog.get_logger(__name__)

DATAGRAMS_PER_WAKEUP = 64
"""Read at once; the rest waits in the socket's buffer, so that other work of the loop gets its turn."""
RECEIVE_BUFFER_BYTES = 1 << 20


class UdpSocket:
    """A bound socket (``medium.Carrier``). Raises ``LinkDown`` when the address cannot be had."""

    def __init__(self, bind: Source, taker: Taker, loop: asyncio.AbstractEventLoop) -> None:
        self._taker, self._loop = taker, loop
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._sock.setblocking(False)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            self._sock.bind(bind)
        except OSError as error:
            self._sock.close()
            raise LinkDown(f"cannot listen at {bind[0]}:{bind[1]}: {error.strerror}") from error
        host, port = self._sock.getsockname()
        self.local: Source = (host, port)
        loop.add_reader(self._sock.fileno(), self._read)

    def send(self, frame: bytes, to: Source) -> bool:
        """See ``Carrier``."""
        try:
            self._sock.sendto(frame, to)
        except OSError:
            # A full send buffer or an unreachable host: lost like any datagram; MAVSDK repeats it.
            return False
        return True

    def close(self) -> None:
        """See ``Carrier``."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _read(self) -> None:
        counts, receive = self._taker.counts, self._sock.recvfrom
        for _ in range(DATAGRAMS_PER_WAKEUP):
            try:
                data, source = receive(65535)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                log.warning("mavlink_receive_failed", port=self.local[1], error=str(error))
                return
            counts["datagrams"] += 1
            self._taker.take(split_frames(data, counts), source)

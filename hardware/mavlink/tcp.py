"""MAVLink over TCP: a connection that we make, or connections that vehicles make to us.

TCP keeps what it cannot deliver and delivers it late. A command that comes late is worse than one that is lost, so
a connection that does not acknowledge for ``UNACKNOWLEDGED_S``, or on which nothing comes for ``SILENT_S``, is reset:
what waits in it is thrown away.
"""

from __future__ import annotations

import asyncio
import socket
import struct

import structlog

from hardware.errors import LinkDown
from hardware.mavlink.address import Source
from hardware.mavlink.medium import Taker
from hardware.mavlink.stream import ByteStream, KeptStream

log = structlog.get_logger(__name__)

CONNECT_S = 3.0
SILENT_S = 5.0
"""Wall time without a byte after which a connection is reset: a vehicle sends its heartbeat each second."""
UNACKNOWLEDGED_S = 4.0
SEND_BUFFER_BYTES = 16 * 1024
MAX_CONNECTIONS = 64
"""Taken at one address; a further one is closed at once and counted as ``refused``."""


def connection_to(there: Source, taker: Taker, loop: asyncio.AbstractEventLoop) -> KeptStream:
    """Return a connection to a host and port that is made anew whenever it ends."""

    async def connect() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            _set_up(sock)
            async with asyncio.timeout(CONNECT_S):
                await loop.sock_connect(sock, there)
        except BaseException:
            sock.close()
            raise
        return sock

    return KeptStream(there, f"tcp://{there[0]}:{there[1]}", connect, taker, loop, silent_s=SILENT_S)


class TcpListener:
    """Connections that vehicles make (``medium.Carrier``). Raises ``LinkDown`` when the address cannot be had."""

    def __init__(self, bind: Source, taker: Taker, loop: asyncio.AbstractEventLoop) -> None:
        self._taker, self._loop = taker, loop
        self._streams: dict[Source, ByteStream] = {}
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._sock.setblocking(False)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._sock.bind(bind)
            self._sock.listen(MAX_CONNECTIONS)
        except OSError as error:
            self._sock.close()
            raise LinkDown(f"cannot listen at {bind[0]}:{bind[1]}: {error.strerror}") from error
        host, port = self._sock.getsockname()
        self.local: Source = (host, port)
        loop.add_reader(self._sock.fileno(), self._accept)

    def send(self, frame: bytes, to: Source) -> bool:
        """See ``Carrier``."""
        stream = self._streams.get(to)
        return stream is not None and stream.send(frame)

    def close(self) -> None:
        """See ``Carrier``."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
        for stream in list(self._streams.values()):
            stream.close()

    def _accept(self) -> None:
        try:
            sock, (host, port) = self._sock.accept()
        except OSError:
            # It has gone again, or the process has no descriptors left: then it waits to be accepted.
            return
        if len(self._streams) >= MAX_CONNECTIONS:
            self._taker.counts["refused"] += 1
            sock.close()
            return
        _set_up(sock)
        source: Source = (host, port)
        stream = ByteStream(sock, source, self._taker, self._loop, silent_s=SILENT_S)
        self._streams[source] = stream
        stream.ended.add_done_callback(lambda ended: self._forget(source, ended))

    def _forget(self, source: Source, ended: asyncio.Future[str]) -> None:
        self._streams.pop(source, None)
        if not ended.cancelled():
            log.info("mavlink_connection_ended", source=f"{source[0]}:{source[1]}", reason=ended.result())
        self._taker.gone(source)


def _set_up(sock: socket.socket) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    # Closing it resets it: what has not been sent is not sent any more.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNACKNOWLEDGED_S * 1000))

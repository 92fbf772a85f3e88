"""Vehicles at the other end of a stream: a TCP connection, accepted or made, or a serial line."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

from tests.mavlink_kit import Peer


class _Ends:
    """A file descriptor that looks like the peer's datagram socket."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def sendto(self, data: bytes, _to: tuple[str, int]) -> None:
        with suppress(OSError):
            os.write(self._descriptor, data)

    def recv(self, size: int) -> bytes:
        try:
            data = os.read(self._descriptor, size)
        except OSError as error:
            raise BlockingIOError from error
        if not data:
            raise BlockingIOError
        return data

    def close(self) -> None:
        os.close(self._descriptor)


def peer_on(descriptor: int, *, uid: int = 0xA1, system_id: int = 1) -> Peer:
    """Return a peer that speaks through a descriptor, which it closes at its end."""
    os.set_blocking(descriptor, False)
    peer = Peer(("127.0.0.1", 9), uid=uid, system_id=system_id, hz=20)
    peer._sock.close()
    peer._sock = _Ends(descriptor)  # type: ignore[assignment]  # all of a socket that a peer uses
    return peer


class Server:
    """Takes connections one after the other, as a vehicle's companion computer does."""

    def __init__(self) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(8)
        self.sock.setblocking(False)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.sock.getsockname()[1])

    async def accept(self) -> int:
        """Return the next connection's descriptor."""
        async with asyncio.timeout(20):
            sock, _ = await asyncio.get_running_loop().sock_accept(self.sock)
        return sock.detach()


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    """Listen on a free port."""
    listening = Server()
    try:
        yield listening
    finally:
        listening.sock.close()


def terminals() -> tuple[int, str]:
    """Return the vehicle's end of a serial line and the path of ours."""
    vehicle, ours = os.openpty()
    tty.setraw(vehicle)
    path = os.ttyname(ours)
    os.close(ours)
    return vehicle, path


class Bridge(asyncio.DatagramProtocol):
    """A vehicle that speaks UDP, as a TCP server, as a router on its companion computer makes it.

    What it says goes to all who are connected, and what any of them says goes to it.
    """

    def __init__(self) -> None:
        self._vehicle: tuple[str, int] | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.heard: list[tuple[float, int]] = []
        """When something came from a connection (monotonic), and its number in the order of their coming."""
        self._connections = 0
        self.udp_port = self.tcp_port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._vehicle = addr
        for writer in self._writers:
            writer.write(data)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection."""
        self._writers.add(writer)
        self._connections += 1
        number = self._connections
        try:
            while data := await reader.read(4096):
                self.heard.append((time.monotonic(), number))
                if self._vehicle is not None and self._transport is not None:
                    self._transport.sendto(data, self._vehicle)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@asynccontextmanager
async def bridge() -> AsyncIterator[Bridge]:
    """Run a bridge: the vehicle sends to ``udp_port``, gateways connect to ``tcp_port``."""
    made = Bridge()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: made, local_addr=("127.0.0.1", 0))
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.udp_port = transport.get_extra_info("sockname")[1]
    made.tcp_port = listening.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listening.close()
        transport.close()

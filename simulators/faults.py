"""A bad network between a vehicle and its gateway: ``python -m simulators.faults LISTEN TO [--loss 0.1 ...]``.

A proxy for UDP datagrams (MAVLink) and one for TCP streams (MQTT, MAVLink over TCP). What it does to traffic can be
changed at any time, each direction by itself, and is the same for the same seed as far as the traffic is.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from types import TracebackType
from typing import Self

Address = tuple[str, int]

BUFFER = 64 * 1024
OVERTAKEN_S = 0.05
"""How much later a reordered datagram comes, so that those sent meanwhile overtake it."""
MOST_UNDER_WAY = 10_000
"""Datagrams delayed at once; beyond it they are lost, as in a router whose queue is full."""


@dataclass(slots=True)
class Faults:
    """What happens to traffic of one direction.

    ``loss``, ``duplicate`` and ``reorder`` are the shares of datagrams that are lost, sent twice, and overtaken by
    those that follow within ``OVERTAKEN_S``. ``delay_s`` is waited by all, and up to ``jitter_s`` more by each.
    ``cut``: nothing gets through; a stream stays open all the same, as when a radio is out of reach. Streams know delay
    and cut only: TCP makes up for the rest.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    cut: bool = False

    def __post_init__(self) -> None:
        for share in (self.loss, self.duplicate, self.reorder):
            if not 0 <= share <= 1:
                raise ValueError(f"a share must be from 0 to 1, not {share}")
        if self.delay_s < 0 or self.jitter_s < 0:
            raise ValueError("delay_s and jitter_s must be at least 0")


@dataclass(slots=True)
class Counts:
    """Datagrams of one direction, by what became of them."""

    passed: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0


class _Way:
    """One direction of a datagram proxy."""

    def __init__(self, rng: random.Random) -> None:
        self.faults = Faults()
        self.counts = Counts()
        self._rng = rng
        self._under_way = 0

    def forward(self, data: bytes, transport: asyncio.DatagramTransport | None, to: Address | None) -> None:
        """Send a datagram on, as the faults have it."""
        faults, rng = self.faults, self._rng
        if faults.cut or transport is None or to is None or rng.random() < faults.loss:
            self.counts.lost += 1
            return
        late_s = 0.0
        if rng.random() < faults.reorder:
            self.counts.reordered += 1
            late_s = OVERTAKEN_S
        self._send(data, self._delay_s() + late_s, transport, to)
        if rng.random() < faults.duplicate:
            self.counts.duplicated += 1
            self._send(data, self._delay_s(), transport, to)

    def _delay_s(self) -> float:
        return self.faults.delay_s + self._rng.random() * self.faults.jitter_s

    def _send(self, data: bytes, delay_s: float, transport: asyncio.DatagramTransport, to: Address) -> None:
        if delay_s == 0:
            self._deliver(data, transport, to)
        elif self._under_way >= MOST_UNDER_WAY:
            self.counts.lost += 1
        else:
            self._under_way += 1
            asyncio.get_running_loop().call_later(delay_s, self._arrive, data, transport, to)

    def _arrive(self, data: bytes, transport: asyncio.DatagramTransport, to: Address) -> None:
        self._under_way -= 1
        # What was in the air when the link broke does not arrive any more.
        if self.faults.cut:
            self.counts.lost += 1
        else:
            self._deliver(data, transport, to)

    def _deliver(self, data: bytes, transport: asyncio.DatagramTransport, to: Address) -> None:
        if not transport.is_closing():
            self.counts.passed += 1
            transport.sendto(data, to)


class _Socket(asyncio.DatagramProtocol):
    """One of the two sockets of a proxy; what comes in is the proxy's to send on."""

    def __init__(self, take: _Taker) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Hand it over."""
        self._take(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens at the other end: for a datagram that is not known here."""


class _Taker:
    def __init__(self, proxy: UdpProxy, *, from_vehicle: bool) -> None:
        self._proxy, self._from_vehicle = proxy, from_vehicle

    def __call__(self, data: bytes, addr: Address) -> None:
        self._proxy.take(data, addr, from_vehicle=self._from_vehicle)


class UdpProxy:
    """Takes a vehicle's datagrams on ``listen`` and sends them to the gateway at ``to``, and the answers back.

    ``async with UdpProxy(...) as proxy``; ``proxy.up`` and ``proxy.down`` are the faults from and to the vehicle.
    """

    def __init__(self, listen: Address, to: Address, *, seed: int = 1) -> None:
        self._listen, self._to = listen, to
        rng = random.Random(seed)
        self._up, self._down = _Way(rng), _Way(rng)
        self._vehicle: Address | None = None
        self._near: asyncio.DatagramTransport | None = None
        self._far: asyncio.DatagramTransport | None = None

    @property
    def up(self) -> Faults:
        """Faults on the way from the vehicle to the gateway."""
        return self._up.faults

    @property
    def down(self) -> Faults:
        """Faults on the way from the gateway to the vehicle."""
        return self._down.faults

    @property
    def counts(self) -> tuple[Counts, Counts]:
        """What became of the datagrams from the vehicle, and to it."""
        return self._up.counts, self._down.counts

    @property
    def address(self) -> Address:
        """Where the vehicle sends to."""
        assert self._near is not None
        name: Address = self._near.get_extra_info("sockname")[:2]
        return name

    def set(self, **changes: float | bool) -> None:
        """Change faults of both directions, such as ``loss=0.2`` or ``cut=True``."""
        for faults in (self.up, self.down):
            for name, value in changes.items():
                setattr(faults, name, value)
            faults.__post_init__()

    async def __aenter__(self) -> Self:
        """Bind both sockets; raises ``OSError`` when the address is taken."""
        loop = asyncio.get_running_loop()
        self._near, _ = await loop.create_datagram_endpoint(
            lambda: _Socket(_Taker(self, from_vehicle=True)), local_addr=self._listen
        )
        self._far, _ = await loop.create_datagram_endpoint(
            lambda: _Socket(_Taker(self, from_vehicle=False)), local_addr=("127.0.0.1", 0)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close both sockets."""
        for transport in (self._near, self._far):
            if transport is not None:
                transport.close()

    def take(self, data: bytes, addr: Address, *, from_vehicle: bool) -> None:
        """Send on what one of the sockets has received."""
        if from_vehicle:
            self._vehicle = addr
            self._up.forward(data, self._far, self._to)
        elif addr[1] == self._to[1]:
            self._down.forward(data, self._near, self._vehicle)


@dataclass(slots=True)
class TcpProxy:
    """Takes connections on ``listen`` and makes one to ``to`` for each: ``async with TcpProxy(...) as proxy``.

    ``reset`` ends all connections at once; while ``cut`` of a direction is set, its bytes wait in the proxy: a
    half-open connection if only one is, which looks like a peer that has gone without a word.
    """

    listen: Address
    to: Address
    up: Faults = field(default_factory=Faults)
    down: Faults = field(default_factory=Faults)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def address(self) -> Address:
        """Where clients connect to."""
        assert self._server is not None
        name: Address = self._server.sockets[0].getsockname()[:2]
        return name

    async def __aenter__(self) -> Self:
        """Listen; raises ``OSError`` when the address is taken."""
        self._server = await asyncio.start_server(self._serve, *self.listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and end all connections."""
        assert self._server is not None
        self._server.close()
        self.reset()

    def reset(self) -> None:
        """End all connections as a router does that has forgotten them: with a reset, nothing is delivered after."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, near_reader: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        with self._known(near_writer):
            try:
                far_reader, far_writer = await asyncio.open_connection(*self.to)
            except OSError:
                near_writer.transport.abort()
                return
            with self._known(far_writer):
                ways = [
                    asyncio.create_task(_pump(near_reader, far_writer, self.up)),
                    asyncio.create_task(_pump(far_reader, near_writer, self.down)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.wait(ways)
                    for writer in (near_writer, far_writer):
                        writer.close()

    @contextlib.contextmanager
    def _known(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)


CUT_LOOK_S = 0.02


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Faults) -> None:
    """Carry one direction of a connection until it ends."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while True:
            if faults.cut:
                await asyncio.sleep(CUT_LOOK_S)
                continue
            writer.write(data)
            await writer.drain()
            data = await reader.read(BUFFER)
            if not data:
                return
            await asyncio.sleep(faults.delay_s)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: must be like 127.0.0.1:14550")
    return host, int(port)


async def _run(arguments: argparse.Namespace) -> None:
    shares = {item.name: getattr(arguments, item.name) for item in fields(Faults) if item.name != "cut"}
    if arguments.tcp:
        async with TcpProxy(arguments.listen, arguments.to, Faults(**shares), Faults(**shares)):
            await asyncio.Event().wait()
    async with UdpProxy(arguments.listen, arguments.to, seed=arguments.seed) as proxy:
        proxy.set(**shares)
        await asyncio.Event().wait()


def main() -> int:
    """Run a proxy until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m simulators.faults", description=__doc__)
    parser.add_argument("listen", type=_address, help="where the vehicle sends to")
    parser.add_argument("to", type=_address, help="where the gateway or broker listens")
    parser.add_argument("--tcp", action="store_true", help="for a stream, not datagrams")
    parser.add_argument("--seed", type=int, default=1)
    for item in fields(Faults):
        if item.name != "cut":
            parser.add_argument(f"--{item.name.replace('_', '-')}", dest=item.name, type=float, default=0.0)
    try:
        asyncio.run(_run(parser.parse_args()))
    except KeyboardInterrupt:
        return 0
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())

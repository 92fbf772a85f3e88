"""A device between a vehicle that cannot sign and its gateway, by pymavlink: signs what the vehicle says, and passes on
to it only what is signed with the same key."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from pymavlink.dialects.v20 import common as m


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._take(data, addr)


class Signer:
    """Its sockets, and ``counts`` of the gateway's messages: by type, and ``BAD_DATA`` for what it did not pass on."""

    def __init__(self, key: bytes, gateway: tuple[str, int]) -> None:
        self.counts: Counter[str] = Counter()
        self.port = 0
        self._gateway = gateway
        self._vehicle: tuple[str, int] | None = None
        self._inside: Any = None
        self._outside: Any = None
        self._signing = m.MAVLinkSigning()
        self._signing.secret_key, self._signing.sign_outgoing = key, True
        self._signing.timestamp = int((time.time() - 1_420_070_400) * 100_000)
        self._from_vehicle, self._from_gateway, self._plain = m.MAVLink(None), m.MAVLink(None), m.MAVLink(None)
        for parser in (self._from_vehicle, self._from_gateway):
            parser.robust_parsing = True
        self._from_gateway.signing = self._signing

    def say(self, data: bytes, addr: tuple[str, int]) -> None:
        """Sign what the vehicle says."""
        self._vehicle = addr
        for message in self._from_vehicle.parse_buffer(data) or []:
            self._outside.sendto(self._packed(message, self._signing), self._gateway)

    def hear(self, data: bytes, _addr: tuple[str, int]) -> None:
        """Pass on what the gateway says, if it is signed."""
        for message in self._from_gateway.parse_buffer(data) or []:
            self.counts[message.get_type()] += 1
            if message.get_type() != "BAD_DATA" and self._vehicle is not None:
                self._inside.sendto(self._packed(message, m.MAVLinkSigning()), self._vehicle)

    def _packed(self, message: Any, signing: Any) -> bytes:
        header = message.get_header()
        mav = m.MAVLink(None, srcSystem=header.srcSystem, srcComponent=header.srcComponent)
        mav.seq, mav.signing = header.seq, signing
        return bytes(message.pack(mav))


@asynccontextmanager
async def signer(key: bytes, gateway_port: int) -> AsyncIterator[Signer]:
    """Run one; the vehicle sends to its ``port``."""
    made = Signer(key, ("127.0.0.1", gateway_port))
    loop = asyncio.get_running_loop()
    made._inside, _ = await loop.create_datagram_endpoint(lambda: _Socket(made.say), local_addr=("127.0.0.1", 0))
    made._outside, _ = await loop.create_datagram_endpoint(lambda: _Socket(made.hear), local_addr=("127.0.0.1", 0))
    made.port = made._inside.get_extra_info("sockname")[1]
    try:
        yield made
    finally:
        made._inside.close()
        made._outside.close()

"""Where a vehicle is heard and how it is known from others."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from hardware.errors import NotSupported

Source = tuple[str, int]
"""Host (an IP address as text) and port from which datagrams come."""


@dataclass(frozen=True, slots=True)
class MavlinkAddress:
    """How one vehicle is reached over UDP.

    ``bind`` is the "host:port" at which we listen; links may share it. What else is given pins the link
    to one vehicle: ``peer``, the "host:port" from which it sends; ``system_id``, its MAVLink system;
    ``hardware_uid``, its AUTOPILOT_VERSION id in hexadecimal (16 digits for ``uid``, 36 for ``uid2``),
    without which nothing but that question is ever sent to it. Raises ``NotSupported`` naming the field
    when one is malformed.
    """

    bind: str
    peer: str | None = None
    system_id: int | None = None
    hardware_uid: str | None = None

    def __post_init__(self) -> None:
        parse_source(self.bind, "bind")
        if self.peer is not None and parse_source(self.peer, "peer")[1] == 0:
            raise NotSupported("MAVLink address: peer needs the port from which the vehicle sends")
        if self.system_id is not None and not 1 <= self.system_id <= 255:
            raise NotSupported(f"MAVLink address: system_id is 1 to 255, not {self.system_id}")
        if self.hardware_uid is not None and not re.fullmatch(r"[0-9a-fA-F]{16}|[0-9a-fA-F]{36}", self.hardware_uid):
            raise NotSupported(
                f"MAVLink address: hardware_uid is 16 or 36 hexadecimal digits, not {self.hardware_uid!r}"
            )

    @property
    def bind_source(self) -> Source:
        """Host and port to listen at; port 0 lets the system choose one, which is then not shared."""
        return parse_source(self.bind, "bind")

    @property
    def peer_source(self) -> Source | None:
        """Host and port from which the vehicle must send, when pinned."""
        return None if self.peer is None else parse_source(self.peer, "peer")

    @property
    def is_loopback(self) -> bool:
        """Whether all of it stays on this machine."""
        hosts = [self.bind_source[0]] + ([self.peer_source[0]] if self.peer_source else [])
        return all(ipaddress.ip_address(host).is_loopback for host in hosts)

    @property
    def pins(self) -> int:
        """How narrowly the vehicle is pinned; the narrowest link takes a vehicle that several would."""
        given = (self.system_id is not None, self.peer is not None, self.hardware_uid is not None)
        return sum(2**weight for weight, pinned in enumerate(given) if pinned)

    def matches(self, source: Source, system_id: int) -> bool:
        """Return whether a vehicle at this source with this system id can be the one (its uid aside)."""
        if self.peer_source not in (None, source):
            return False
        return self.system_id in (None, system_id)


def parse_source(text: str, field: str) -> Source:
    """Split "host:port" of an IPv4 address; raises ``NotSupported`` naming the field."""
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        ipaddress.IPv4Address(host)
        number = int(port)
    except ValueError:
        raise NotSupported(f"MAVLink address: {field} is an IPv4 host:port, not {text!r}") from None
    if not 0 <= number <= 65535:
        raise NotSupported(f"MAVLink address: {field} has no such port: {text!r}")
    return host, number

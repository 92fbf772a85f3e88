"""Where a vehicle is heard and how it is known from others."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum

from hardware.errors import NotSupported

Source = tuple[str, int]
"""Where bytes come from: host (an IP address as text) and port; of a serial device its path and bit rate."""

DEFAULT_BAUD = 57_600
"""What telemetry radios and PX4's TELEM ports are set to unless somebody changes it."""

_SCHEMES = re.compile(r"(udp|tcp|tcp-listen)://(.*)|(serial):(.*)", re.DOTALL)
_DEVICE = re.compile(r"(/dev/[A-Za-z0-9._/-]{1,120})(?::(\d{1,7}))?")


class Medium(StrEnum):
    """By what bytes come and go."""

    UDP = "udp"
    """A socket of ours, to which vehicles send datagrams."""
    TCP = "tcp"
    """A connection that we make, as to a vehicle's companion computer or a serial server."""
    TCP_LISTEN = "tcp-listen"
    """Connections that vehicles make to us."""
    SERIAL = "serial"
    """A serial device, as of a telemetry radio."""


@dataclass(frozen=True, slots=True)
class Place:
    """One medium at one place: ``source`` is what we bind or connect to, or a device's path and its bit rate."""

    medium: Medium
    source: Source

    def __str__(self) -> str:
        """Return it as it is written in an address."""
        name, number = self.source
        if self.medium is Medium.UDP:
            return f"{name}:{number}"
        return f"{self.medium}{':' if self.medium is Medium.SERIAL else '://'}{name}:{number}"


@dataclass(frozen=True, slots=True)
class MavlinkAddress:
    """How one vehicle is reached.

    ``bind`` is where: "host:port" or "udp://host:port" at which we listen for datagrams, "tcp://host:port" to which
    we connect, "tcp-listen://host:port" at which vehicles connect to us, "serial:/dev/ttyUSB0" or
    "serial:/dev/ttyUSB0:57600" with the bit rate. Links may share it. What else is given pins the link
    to one vehicle: ``peer``, the "host:port" from which it sends its datagrams; ``system_id``, its MAVLink system;
    ``hardware_uid``, its AUTOPILOT_VERSION id in hexadecimal (16 digits for ``uid``, 36 for ``uid2``),
    without which nothing but that question is ever sent to it. Raises ``NotSupported`` naming the field
    when one is malformed.
    """

    bind: str
    peer: str | None = None
    system_id: int | None = None
    hardware_uid: str | None = None

    def __post_init__(self) -> None:
        place = parse_place(self.bind)
        if self.peer is not None and place.medium is not Medium.UDP:
            raise NotSupported(f"MAVLink address: peer goes with UDP only, not with {place.medium}")
        if self.peer is not None and parse_source(self.peer, "peer")[1] == 0:
            raise NotSupported("MAVLink address: peer needs the port from which the vehicle sends")
        if self.system_id is not None and not 1 <= self.system_id <= 255:
            raise NotSupported(f"MAVLink address: system_id is 1 to 255, not {self.system_id}")
        if self.hardware_uid is not None and not re.fullmatch(r"[0-9a-fA-F]{16}|[0-9a-fA-F]{36}", self.hardware_uid):
            raise NotSupported(
                f"MAVLink address: hardware_uid is 16 or 36 hexadecimal digits, not {self.hardware_uid!r}"
            )

    @property
    def place(self) -> Place:
        """Where it is reached; port 0 lets the system choose one to listen at, which is then not shared."""
        return parse_place(self.bind)

    @property
    def peer_source(self) -> Source | None:
        """Host and port from which the vehicle must send, when pinned."""
        return None if self.peer is None else parse_source(self.peer, "peer")

    @property
    def is_loopback(self) -> bool:
        """Whether all of it stays on this machine. A serial device never counts: nobody knows what is at its end."""
        if self.place.medium is Medium.SERIAL:
            return False
        hosts = [self.place.source[0]] + ([self.peer_source[0]] if self.peer_source else [])
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


def parse_place(text: str) -> Place:
    """Read ``MavlinkAddress.bind``; raises ``NotSupported`` that shows the forms there are."""
    found = _SCHEMES.fullmatch(text)
    if found is None:
        return Place(Medium.UDP, parse_source(text, "bind"))
    if found[3]:
        return _parse_device(found[4])
    place = Place(Medium(found[1]), parse_source(found[2], "bind"))
    if place.medium is Medium.TCP and place.source[1] == 0:
        raise NotSupported(f"MAVLink address: bind needs the port to connect to: {text!r}")
    return place


def _parse_device(text: str) -> Place:
    found = _DEVICE.fullmatch(text)
    if found is None or ".." in found[1]:
        raise NotSupported(f"MAVLink address: bind is like serial:/dev/ttyUSB0:{DEFAULT_BAUD}, not serial:{text!r}")
    return Place(Medium.SERIAL, (found[1], int(found[2] or DEFAULT_BAUD)))


def parse_source(text: str, field: str) -> Source:
    """Split "host:port" of an IPv4 address; raises ``NotSupported`` naming the field."""
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        ipaddress.IPv4Address(host)
        number = int(port)
    except ValueError:
        forms = ", or begins with udp://, tcp://, tcp-listen:// or serial:" if field == "bind" else ""
        raise NotSupported(f"MAVLink address: {field} is an IPv4 host:port{forms}, not {text!r}") from None
    if not 0 <= number <= 65535:
        raise NotSupported(f"MAVLink address: {field} has no such port: {text!r}")
    return host, number

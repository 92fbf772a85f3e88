"""One vehicle's place on a UDP port: where it is, and the gate for everything that is sent to it."""

from __future__ import annotations

import socket
import time
from typing import Protocol

from hardware.link import LeaseGuard
from hardware.mavlink.address import MavlinkAddress, Source
from hardware.mavlink.frames import HEARTBEAT, Frame, ground_heartbeat, message_id
from hardware.mavlink.messages import AutopilotVersion, RadioStatus

SILENT_S = 3.0
"""A vehicle unheard for this long (wall time) may come back from another source."""


class Listener(Protocol):
    """Who is told what a vehicle sends. Called on the event loop; must not block."""

    def on_bound(self, system_id: int) -> None:
        """The vehicle has been found, and its hardware id is right if one is pinned."""

    def on_frame(self, frame: Frame) -> None:
        """A frame of the vehicle has come."""

    def on_wrong_hardware(self, found: AutopilotVersion) -> None:
        """What answers in the vehicle's place is other hardware; it is left alone."""

    def on_rival(self, source: Source) -> None:
        """Another source speaks under the vehicle's system id while the vehicle is heard."""

    def on_station(self, system_id: int) -> None:
        """Another ground station's heartbeat came by the vehicle's way."""

    def on_radio(self, status: RadioStatus) -> None:
        """A telemetry radio on the way to the vehicle tells how it hears."""


class Endpoint:
    """A vehicle as the port knows it.

    ``send`` is the one way out, for any thread. It asks the lease at the moment of sending and lets
    nothing through before the vehicle is bound, after ``close``, or without the lease. MAVSDK's own
    heartbeats never pass, since it sends them whatever our loop does.
    """

    def __init__(self, *, address: MavlinkAddress, lease: LeaseGuard, listener: Listener, sock: socket.socket) -> None:
        self.address = address
        self.listener = listener
        self.source: Source | None = None
        self.system_id: int | None = None
        self.heard_at = 0.0
        self.sent = 0
        self.withheld = 0
        self._lease = lease
        self._sock = sock
        self._closed = False
        self._heartbeats = 0

    @property
    def alive(self) -> bool:
        """Whether the vehicle is bound and was heard within ``SILENT_S``."""
        return self.source is not None and time.monotonic() - self.heard_at < SILENT_S

    def may_speak(self) -> bool:
        """Return whether anything may be sent for this vehicle now."""
        return not self._closed and self._lease.held()

    def bind(self, source: Source, system_id: int) -> None:
        """Take a source as the vehicle's."""
        self.source, self.system_id = source, system_id
        self.heard_at = time.monotonic()
        self.listener.on_bound(system_id)

    def unbind(self) -> None:
        """Forget the source; the system id stays, since a vehicle does not change it in a session."""
        self.source = None

    def deliver(self, frame: Frame) -> None:
        """Pass a frame of the vehicle on."""
        if frame.msg_id == HEARTBEAT:
            self.heard_at = time.monotonic()
        self.listener.on_frame(frame)

    def send(self, datagram: bytes) -> bool:
        """Send what MAVSDK wants to send, if it may be; return whether it went out. Any thread."""
        if message_id(datagram) in (None, HEARTBEAT):
            return False
        return self._send(datagram, self.source)

    def send_heartbeat(self) -> bool:
        """Send our heartbeat, to a pinned peer even before it is heard: some vehicles wait for it."""
        self._heartbeats += 1
        return self._send(ground_heartbeat(self._heartbeats), self.source or self.address.peer_source)

    def close(self) -> None:
        """Let nothing through from now on."""
        self._closed = True
        self.source = None

    def _send(self, datagram: bytes, target: Source | None) -> bool:
        if target is None or not self.may_speak():
            self.withheld += 1
            return False
        try:
            self._sock.sendto(datagram, target)
        except OSError:
            # A full send buffer or an unreachable host: lost like any datagram; MAVSDK repeats it.
            self.withheld += 1
            return False
        self.sent += 1
        return True

"""One vehicle's place on a port: where it is, and the gate for everything that is sent to it."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from hardware.link import LeaseGuard
from hardware.mavlink.address import MavlinkAddress, Source
from hardware.mavlink.contact import Contact
from hardware.mavlink.frames import (
    AUTOPILOT_VERSION,
    COMMAND_ACK,
    GROUND_SYSTEM_ID,
    HEARTBEAT,
    Frame,
    ground_heartbeat,
    message_id,
    version_request,
)
from hardware.mavlink.medium import Carrier
from hardware.mavlink.messages import AutopilotVersion, RadioStatus
from hardware.mavlink.signing import Signing

SILENT_S = 3.0
"""A vehicle unheard for this long (wall time) may come back from another source."""

_ACK_TARGET = 8
"""Where COMMAND_ACK says whose command it answers; cut off where that is 0, not said."""


class Listener(Protocol):
    """Who is told what a vehicle sends. Called on the event loop; must not block."""

    def on_bound(self, system_id: int) -> None:
        """The vehicle has been found, and its hardware id is right if one is pinned."""

    def on_frame(self, frame: Frame) -> None:
        """A frame of the vehicle has come; while it is not ``Endpoint.identified``, of what speaks in its place."""

    def on_wrong_hardware(self, found: AutopilotVersion) -> None:
        """What answers in the vehicle's place is other hardware; it is left alone."""

    def on_unanswered(self, source: Source) -> None:
        """What can only be the vehicle is heard from a source and does not answer the question for its hardware."""

    def on_unsigned(self, reason: str) -> None:
        """A frame in the vehicle's place was dropped because of its signature (``signing.REASONS``)."""

    def on_rival(self, source: Source) -> None:
        """Another source speaks under the vehicle's system id while the vehicle is heard."""

    def on_station(self, system_id: int) -> None:
        """Another ground station's heartbeat came by the vehicle's way."""

    def on_radio(self, status: RadioStatus) -> None:
        """A telemetry radio on the way to the vehicle tells how it hears."""


class Endpoint:
    """A vehicle as the port knows it.

    ``send`` is the one way out, for any thread. It asks the lease at the moment of sending and lets
    nothing through before the vehicle is bound, after ``close``, without the lease, or while it must show its
    hardware id again. MAVSDK's own heartbeats never pass, since it sends them whatever our loop does. With ``signing``
    everything that goes out is signed.
    """

    def __init__(
        self,
        *,
        address: MavlinkAddress,
        lease: LeaseGuard,
        listener: Listener,
        carrier: Carrier,
        signing: Signing | None = None,
    ) -> None:
        self.address = address
        self.listener = listener
        self.signing = signing
        self.source: Source | None = None
        self.system_id: int | None = None
        self.identified = False
        self.heard_at = 0.0
        self.contact = Contact()
        self.sent = 0
        self.withheld = 0
        self._lease = lease
        self._carrier = carrier
        self._closed = False
        self._heartbeats = self._questions = 0
        self._sending = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether the vehicle is bound and was heard within ``SILENT_S``."""
        return self.source is not None and time.monotonic() - self.heard_at < SILENT_S

    @property
    def can_be_spoken_to(self) -> bool:
        """Whether the vehicle is bound, and is surely the one that it should be."""
        return self.source is not None and self.identified

    def may_speak(self) -> bool:
        """Return whether anything may be sent for this vehicle now."""
        return not self._closed and self._lease.held()

    def bind(self, source: Source, system_id: int) -> None:
        """Take a source as the vehicle's."""
        self.source, self.system_id = source, system_id
        self.heard_at = time.monotonic()
        self.identified = True
        self.contact.begin(self.heard_at)
        self.listener.on_bound(system_id)

    def doubt(self) -> None:
        """Send nothing to the source any more but the question for its hardware id; go on listening to it."""
        self.identified = False
        self.contact.begin(time.monotonic(), at_once=True)

    def unbind(self) -> None:
        """Forget the source; the system id stays, since a vehicle does not change it in a session."""
        self.source = None
        self.identified = False

    def deliver(self, frame: Frame) -> None:
        """Pass a frame of the vehicle on."""
        msg_id = frame.msg_id
        if msg_id == HEARTBEAT:
            self.heard_at = time.monotonic()
        elif msg_id == AUTOPILOT_VERSION or (msg_id == COMMAND_ACK and _answers_us(frame.payload)):
            self.contact.answered(time.monotonic())
        self.listener.on_frame(frame)

    def ask_if_quiet(self) -> None:
        """Ask the bound vehicle for its version if it is time to; to be called several times a second."""
        if self.source is None or self.system_id is None or not self.alive:
            return
        now = time.monotonic()
        if not self.may_speak():
            # Whoever holds the lease asks.
            self.contact.begin(now, at_once=not self.identified)
        elif self.contact.due(now):
            self.ask(self.source, self.system_id)

    def ask(self, source: Source, system_id: int) -> bool:
        """Put the question for its hardware id to what may be the vehicle: the one thing sent to who is not known."""
        self._questions += 1
        return self._send(version_request(system_id, self._questions), source)

    def send(self, datagram: bytes) -> bool:
        """Send what MAVSDK wants to send, if it may be; return whether it went out. Any thread."""
        if message_id(datagram) in (None, HEARTBEAT):
            return False
        return self._send(datagram, self.source if self.identified else None)

    def send_heartbeat(self) -> bool:
        """Send our heartbeat, to a pinned peer even before it is heard: some vehicles wait for it."""
        self._heartbeats += 1
        source = self.source if self.identified else None
        return self._send(ground_heartbeat(self._heartbeats), source or self.address.peer_source)

    def close(self) -> None:
        """Let nothing through from now on."""
        self._closed = True
        self.source = None

    def _send(self, datagram: bytes, target: Source | None) -> bool:
        with self._sending:
            if target is None or not self.may_speak():
                self.withheld += 1
                return False
            frame = datagram if self.signing is None else self.signing.sign(datagram)
            if frame is None or not self._carrier.send(frame, target):
                self.withheld += 1
                return False
            self.sent += 1
            return True


def _answers_us(acknowledgement: bytes) -> bool:
    return len(acknowledgement) <= _ACK_TARGET or acknowledgement[_ACK_TARGET] in (0, GROUND_SYSTEM_ID)

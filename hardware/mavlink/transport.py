"""Ports on which vehicles are heard, shared by the links that listen there; who is who on them."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import structlog

from hardware.errors import NotSupported
from hardware.link import LeaseGuard
from hardware.mavlink.address import MavlinkAddress, Medium, Place, Source
from hardware.mavlink.endpoint import Endpoint, Listener
from hardware.mavlink.frames import AUTOPILOT_VERSION, GROUND_SYSTEM_ID, HEARTBEAT, RADIO_STATUS, Frame
from hardware.mavlink.medium import Carrier, Taker
from hardware.mavlink.messages import AutopilotVersion, Heartbeat, RadioStatus, decode
from hardware.mavlink.serial_line import serial_line
from hardware.mavlink.signing import Signing
from hardware.mavlink.tcp import TcpListener, connection_to
from hardware.mavlink.udp import UdpSocket

log = structlog.get_logger(__name__)

MAX_STRANGERS = 64
"""Sources without a link that are remembered; beyond it the oldest is forgotten (and logged anew)."""
ASK_FIRST_S = 0.5
ASK_AT_MOST_EVERY_S = 30.0
"""The question for a hardware id is repeated at growing intervals between these (wall time)."""

RIVAL_AFTER_S = 1.0
"""Another source under a vehicle's system id is a rival when the vehicle was heard so long after it appeared: one that
came back from another port is not."""
ASKED_ENOUGH = 3
"""A source that may be an absent vehicle, and has not answered so many questions for its hardware id, is not."""
UNANSWERED = 4
"""Questions that a source has not answered which can only be one vehicle: it is heard, and does not hear us."""
COMPLAIN_EVERY_S = 5.0
LOG_STRANGERS_EVERY_S = 0.2

_AUTOPILOT_COMPONENT = 1
_NO_AUTOPILOT = 8
_GROUND_STATION_TYPE = 6

Identity = tuple[Source, int]
"""Source address and system id: two vehicles may have the same id."""

_MEDIA: dict[Medium, Callable[[Source, Taker, asyncio.AbstractEventLoop], Carrier]] = {
    Medium.UDP: UdpSocket,
    Medium.TCP: connection_to,
    Medium.TCP_LISTEN: TcpListener,
    Medium.SERIAL: serial_line,
}


@dataclass(slots=True)
class Stranger:
    """A vehicle heard that no link has taken: when it was asked for its hardware id, and whom it rivals.

    ``rivals`` are links whose vehicle was heard elsewhere while this one was heard here: it cannot be
    theirs, so it never takes their place, however silent that becomes.
    """

    first_at: float = field(default_factory=time.monotonic)
    asked: int = 0
    ask_next_at: float = 0.0
    rivals: set[int] = field(default_factory=set)


class MavlinkPort:
    """One medium at one place and the vehicles on it, told apart by source address and system id.

    ``counts`` counts datagrams, frames, and what was dropped by reason: those of ``frames.REASONS`` and of
    ``signing.REASONS``; ``stranger``, a frame of a source that is no link's; ``failed``, a message over which a link
    stumbled; ``congested``, a frame for which a stream had no room; ``refused``, a connection too many.
    A source that belongs to no link is never answered. The one exception is the question for its hardware
    id, put to a source that can be the vehicle of a link pinned by it, while that link's lease is held.

    A vehicle with a pinned hardware id that was long silent or has booted again is asked anew. Until it answers it is
    listened to in its place, and nothing else is sent to it; another source may be asked, and be it instead.
    """

    _open: ClassVar[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Place, MavlinkPort]]] = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self, place: Place, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._endpoints: list[Endpoint] = []
        self._bound: dict[Identity, Endpoint] = {}
        self._strangers: OrderedDict[Identity, Stranger] = OrderedDict()
        self.counts: Counter[str] = Counter()
        self._complain_at = self._introduce_at = 0.0
        self._carrier = _MEDIA[place.medium](place.source, self, loop)
        self.local = self._carrier.local
        self.place = Place(place.medium, self.local)

    @classmethod
    def register(
        cls, address: MavlinkAddress, lease: LeaseGuard, listener: Listener, signing: Signing | None = None
    ) -> MavlinkRegistration:
        """Listen for a vehicle; ports are shared within an event loop.

        Raises ``LinkDown`` when the port cannot be had, ``NotSupported`` when another link on it is
        pinned to the same vehicle or the bit rate is none.
        """
        loop = asyncio.get_running_loop()
        ports = cls._open.setdefault(loop, {})
        port = ports.get(address.place)
        if port is None:
            if any(other.medium is Medium.SERIAL and other.source[0] == address.place.source[0] for other in ports):
                raise NotSupported(f"{address.bind}: the device is open with another bit rate")
            port = cls(address.place, loop)
            ports[port.place] = port
        if any(_same_pins(other.address, address) for other in port._endpoints):
            raise NotSupported(f"two links on {address.bind} cannot be told apart; pin them by peer, system_id or uid")
        endpoint = Endpoint(address=address, lease=lease, listener=listener, carrier=port._carrier, signing=signing)
        port._endpoints.append(endpoint)
        return MavlinkRegistration(port, endpoint)

    @classmethod
    def totals(cls) -> Counter[str]:
        """Return the sum of ``counts`` of the ports that are open in this event loop."""
        ports = cls._open.get(asyncio.get_running_loop(), {})
        return sum((port.counts for port in ports.values()), Counter())

    def unregister(self, endpoint: Endpoint) -> None:
        """Give a vehicle up; the socket closes with its last link."""
        endpoint.close()
        self._bound = {key: other for key, other in self._bound.items() if other is not endpoint}
        self._endpoints = [other for other in self._endpoints if other is not endpoint]
        if not self._endpoints:
            self._carrier.close()
            type(self)._open.get(self._loop, {}).pop(self.place, None)

    def identify_again(self, endpoint: Endpoint) -> None:
        """Ask a vehicle for its hardware id anew (it rebooted or was long silent), if one is pinned."""
        if endpoint.address.hardware_uid is None or endpoint.source is None:
            return
        endpoint.doubt()

    def take(self, frames: Sequence[Frame], source: Source) -> None:
        """Frames have come (``medium.Taker``)."""
        self.counts["frames"] += len(frames)
        for frame in frames:
            identity = (source, frame.system_id)
            endpoint = self._bound.get(identity)
            try:
                if endpoint is None:
                    endpoint = self._introduce(identity, frame)
                if endpoint is not None:
                    self._deliver(endpoint, identity, frame)
            except Exception:
                # One vehicle's message must not silence the others on this port.
                self._failed(source)

    def gone(self, source: Source) -> None:
        """A source has ended (``medium.Taker``): its vehicles may come back from another at once."""
        for identity in [identity for identity in self._bound if identity[0] == source]:
            self._bound.pop(identity).unbind()
        for identity in [identity for identity in self._strangers if identity[0] == source]:
            del self._strangers[identity]

    def _deliver(self, endpoint: Endpoint, identity: Identity, frame: Frame) -> None:
        if endpoint.signing is not None:
            if (refusal := endpoint.signing.refusal(frame)) is not None:
                self.counts[refusal] += 1
                endpoint.listener.on_unsigned(refusal)
                return
            frame = endpoint.signing.accept(frame)
        says_version = frame.msg_id == AUTOPILOT_VERSION and frame.component_id == _AUTOPILOT_COMPONENT
        if not says_version or self._is_still(endpoint, identity, decode(frame)):
            endpoint.deliver(frame)

    def _is_still(self, endpoint: Endpoint, identity: Identity, version: object) -> bool:
        """Whether what a bound vehicle says of its hardware is right; other hardware is left alone."""
        pinned = endpoint.address.hardware_uid
        if pinned is None or not isinstance(version, AutopilotVersion):
            return True
        if version.is_hardware(pinned):
            if not endpoint.identified:
                self._bind(endpoint, identity)
            return True
        self._bound.pop(identity, None)
        endpoint.unbind()
        endpoint.listener.on_wrong_hardware(version)
        return False

    def _failed(self, source: Source) -> None:
        self.counts["failed"] += 1
        if time.monotonic() >= self._complain_at:
            self._complain_at = time.monotonic() + COMPLAIN_EVERY_S
            log.exception("mavlink_frame_failed", source=f"{source[0]}:{source[1]}", failed=self.counts["failed"])

    def _introduce(self, identity: Identity, frame: Frame) -> Endpoint | None:
        """Find the link of a source that has none, by its heartbeat or by its answer to our question."""
        endpoint = self._found(identity, frame)
        if endpoint is None:
            self.counts["stranger"] += 1
        return endpoint

    def _found(self, identity: Identity, frame: Frame) -> Endpoint | None:
        if frame.msg_id not in (HEARTBEAT, AUTOPILOT_VERSION, RADIO_STATUS):
            return None
        message = decode(frame)
        if isinstance(message, RadioStatus) or (
            isinstance(message, Heartbeat) and message.vehicle_type == _GROUND_STATION_TYPE
        ):
            self._beside(identity, message)
            return None
        if frame.component_id != _AUTOPILOT_COMPONENT:
            return None
        stranger = self._stranger(identity)
        candidates = self._candidates(identity, stranger, frame)
        if isinstance(message, AutopilotVersion):
            return self._by_hardware(identity, message, candidates)
        if not isinstance(message, Heartbeat) or not _is_vehicle(message):
            return None
        if candidates and candidates[0].address.hardware_uid is None:
            return self._bind(candidates[0], identity)
        if not candidates or stranger.asked >= ASKED_ENOUGH:
            self._tell_rivals(identity, stranger)
        self._ask(identity, stranger, candidates)
        return None

    def _beside(self, identity: Identity, message: RadioStatus | Heartbeat) -> None:
        """Tell the vehicles at a source of what else speaks from there: a radio, another ground station."""
        source, system_id = identity
        there = [endpoint for (place, _), endpoint in self._bound.items() if place == source]
        if isinstance(message, Heartbeat):
            for endpoint in there:
                if system_id != GROUND_SYSTEM_ID:
                    endpoint.listener.on_station(system_id)
        elif len(there) == 1:
            there[0].listener.on_radio(message)

    def _tell_rivals(self, identity: Identity, stranger: Stranger) -> None:
        source, system_id = identity
        for endpoint in self._endpoints:
            both = endpoint.alive and endpoint.heard_at > stranger.first_at + RIVAL_AFTER_S
            if both and id(endpoint) in stranger.rivals and endpoint.system_id == system_id:
                endpoint.listener.on_rival(source)

    def _stranger(self, identity: Identity) -> Stranger:
        stranger = self._strangers.get(identity)
        if stranger is None:
            stranger = self._strangers[identity] = Stranger()
            (host, port), system_id = identity
            # Somebody may make up a new one with each datagram.
            if time.monotonic() >= self._introduce_at:
                self._introduce_at = time.monotonic() + LOG_STRANGERS_EVERY_S
                log.info("mavlink_source_heard", source=f"{host}:{port}", system_id=system_id, at=self.local[1])
            while len(self._strangers) > MAX_STRANGERS:
                self._strangers.popitem(last=False)
        return stranger

    def _candidates(self, identity: Identity, stranger: Stranger, frame: Frame) -> list[Endpoint]:
        """Return the links whose vehicle this can be, the most narrowly pinned first."""
        source, system_id = identity
        fitting = [e for e in self._endpoints if e.address.matches(source, system_id)]
        stranger.rivals.update(id(e) for e in fitting if e.alive)
        free = [
            e
            for e in fitting
            if not (e.alive and e.identified)
            and e.system_id in (None, system_id)
            and (e.address.hardware_uid is not None or id(e) not in stranger.rivals)
        ]
        return sorted(self._genuine(free, frame), key=lambda e: e.address.pins, reverse=True)

    def _genuine(self, endpoints: list[Endpoint], frame: Frame) -> list[Endpoint]:
        """Leave out the links with whose key a frame is not signed; one that is signed is nobody else's."""
        if all(e.signing is None for e in endpoints):
            return endpoints
        refusals = [(e, e.signing.refusal(frame)) for e in endpoints if e.signing is not None]
        signed = [endpoint for endpoint, refusal in refusals if refusal is None]
        if signed:
            for endpoint in signed:
                if endpoint.signing is not None:
                    endpoint.signing.keep_up(frame)
            return signed
        for endpoint, refusal in refusals:
            assert refusal is not None
            self.counts[refusal] += 1
            if self._expected_here(endpoint):
                endpoint.listener.on_unsigned(refusal)
        return [e for e in endpoints if e.signing is None]

    def _expected_here(self, endpoint: Endpoint) -> bool:
        """Whether a link is pinned to a place or system id, or alone on the port."""
        return len(self._endpoints) == 1 or endpoint.address.pins not in (0, 4)

    def _ask(self, identity: Identity, stranger: Stranger, candidates: Sequence[Endpoint]) -> None:
        now = time.monotonic()
        speaker = next((e for e in candidates if e.may_speak()), None)
        if speaker is None:
            return
        if stranger.asked >= UNANSWERED:
            for endpoint in candidates:
                if self._expected_here(endpoint) and not endpoint.alive:
                    endpoint.listener.on_unanswered(identity[0])
        if now < stranger.ask_next_at:
            return
        stranger.ask_next_at = now + min(ASK_FIRST_S * 2**stranger.asked, ASK_AT_MOST_EVERY_S)
        stranger.asked = min(stranger.asked + 1, 10)
        speaker.ask(*identity)

    def _by_hardware(
        self, identity: Identity, version: AutopilotVersion, candidates: list[Endpoint]
    ) -> Endpoint | None:
        for endpoint in candidates:
            pinned = endpoint.address.hardware_uid
            if pinned is not None and version.is_hardware(pinned):
                return self._bind(endpoint, identity)
        for endpoint in candidates:
            if endpoint.address.hardware_uid is not None and self._expected_here(endpoint):
                endpoint.listener.on_wrong_hardware(version)
        return None

    def _bind(self, endpoint: Endpoint, identity: Identity) -> Endpoint:
        self._bound = {key: other for key, other in self._bound.items() if other is not endpoint}
        self._strangers.pop(identity, None)
        self._bound[identity] = endpoint
        endpoint.bind(*identity)
        return endpoint


@dataclass(frozen=True, slots=True)
class MavlinkRegistration:
    """A vehicle's endpoint and the port that it is on."""

    port: MavlinkPort
    endpoint: Endpoint

    def identify_again(self) -> None:
        """See ``MavlinkPort.identify_again``."""
        self.port.identify_again(self.endpoint)

    def close(self) -> None:
        """Give the vehicle up."""
        self.port.unregister(self.endpoint)


def _is_vehicle(heartbeat: Heartbeat) -> bool:
    return heartbeat.autopilot != _NO_AUTOPILOT and heartbeat.vehicle_type != _GROUND_STATION_TYPE


def _same_pins(a: MavlinkAddress, b: MavlinkAddress) -> bool:
    uid = [None if x.hardware_uid is None else x.hardware_uid.lower() for x in (a, b)]
    return (a.peer_source, a.system_id, uid[0]) == (b.peer_source, b.system_id, uid[1])

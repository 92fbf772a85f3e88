"""UDP ports on which vehicles are heard, shared by the links that listen there."""

from __future__ import annotations

import asyncio
import socket
import time
import weakref
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import structlog

from hardware.errors import LinkDown, NotSupported
from hardware.link import LeaseGuard
from hardware.mavlink.address import MavlinkAddress, Source
from hardware.mavlink.endpoint import Endpoint, Listener
from hardware.mavlink.frames import (
    AUTOPILOT_VERSION,
    GROUND_SYSTEM_ID,
    HEARTBEAT,
    RADIO_STATUS,
    Frame,
    split_frames,
    version_request,
)
from hardware.mavlink.messages import AutopilotVersion, Heartbeat, RadioStatus, decode

log = structlog.get_logger(__name__)

MAX_STRANGERS = 64
"""Sources without a link that are remembered; beyond it the oldest is forgotten (and logged anew)."""
DATAGRAMS_PER_WAKEUP = 64
"""Read at once; the rest waits in the socket's buffer, so that other work of the loop gets its turn."""
RECEIVE_BUFFER_BYTES = 1 << 20
ASK_FIRST_S = 0.5
ASK_AT_MOST_EVERY_S = 30.0
"""The question for a hardware id is repeated at growing intervals between these (wall time)."""

RIVAL_AFTER_S = 1.0
"""Another source under a vehicle's system id is a rival when the vehicle was heard so long after it appeared: one that
came back from another port is not."""
ASKED_ENOUGH = 3
"""A source that may be an absent vehicle, and has not answered so many questions for its hardware id, is not."""
COMPLAIN_EVERY_S = 5.0
LOG_STRANGERS_EVERY_S = 0.2

_AUTOPILOT_COMPONENT = 1
_NO_AUTOPILOT = 8
_GROUND_STATION_TYPE = 6

Identity = tuple[Source, int]
"""Source address and system id: two vehicles may have the same id."""


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
    """One UDP socket and the vehicles on it, told apart by source address and system id.

    ``counts`` counts datagrams, frames, and what was dropped by reason: those of ``frames.REASONS``; ``stranger``, a
    frame of a source that is no link's; ``failed``, a message over which a link stumbled.
    A source that belongs to no link is never answered. The one exception is the question for its hardware
    id, put to a source that can be the vehicle of a link pinned by it, while that link's lease is held.
    """

    _open: ClassVar[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Source, MavlinkPort]]] = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self, bind: Source, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._endpoints: list[Endpoint] = []
        self._bound: dict[Identity, Endpoint] = {}
        self._strangers: OrderedDict[Identity, Stranger] = OrderedDict()
        self._questions = 0
        self.counts: Counter[str] = Counter()
        self._complain_at = self._introduce_at = 0.0
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

    @classmethod
    def register(cls, address: MavlinkAddress, lease: LeaseGuard, listener: Listener) -> MavlinkRegistration:
        """Listen for a vehicle; ports are shared within an event loop.

        Raises ``LinkDown`` when the port cannot be had, ``NotSupported`` when another link on it is
        pinned to the same vehicle.
        """
        loop = asyncio.get_running_loop()
        ports = cls._open.setdefault(loop, {})
        bind = address.bind_source
        port = ports.get(bind)
        if port is None:
            port = cls(bind, loop)
            ports[port.local] = port
        if any(_same_pins(other.address, address) for other in port._endpoints):
            raise NotSupported(f"two links on {address.bind} cannot be told apart; pin them by peer, system_id or uid")
        endpoint = Endpoint(address=address, lease=lease, listener=listener, sock=port._sock)
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
        if not self._endpoints and self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
            type(self)._open.get(self._loop, {}).pop(self.local, None)

    def identify_again(self, endpoint: Endpoint) -> None:
        """Ask a vehicle for its hardware id anew (it rebooted or was long silent), if one is pinned."""
        if endpoint.address.hardware_uid is None or endpoint.source is None or endpoint.system_id is None:
            return
        identity = (endpoint.source, endpoint.system_id)
        self._bound.pop(identity, None)
        self._strangers.pop(identity, None)
        endpoint.unbind()

    def _read(self) -> None:
        counts, receive = self.counts, self._sock.recvfrom
        for _ in range(DATAGRAMS_PER_WAKEUP):
            try:
                data, source = receive(65535)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                log.warning("mavlink_receive_failed", port=self.local[1], error=str(error))
                return
            frames = split_frames(data, counts)
            counts["datagrams"] += 1
            counts["frames"] += len(frames)
            for frame in frames:
                identity = (source, frame.system_id)
                endpoint = self._bound.get(identity)
                try:
                    if endpoint is None:
                        endpoint = self._introduce(identity, frame)
                    if endpoint is not None:
                        endpoint.deliver(frame)
                except Exception:
                    # One vehicle's message must not silence the others on this socket.
                    self._failed(source)

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
        candidates = self._candidates(identity, stranger)
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

    def _candidates(self, identity: Identity, stranger: Stranger) -> list[Endpoint]:
        """Return the links whose vehicle this can be, the most narrowly pinned first."""
        source, system_id = identity
        fitting = [e for e in self._endpoints if e.address.matches(source, system_id)]
        stranger.rivals.update(id(e) for e in fitting if e.alive)
        free = (
            e
            for e in fitting
            if not e.alive
            and e.system_id in (None, system_id)
            and (e.address.hardware_uid is not None or id(e) not in stranger.rivals)
        )
        return sorted(free, key=lambda e: e.address.pins, reverse=True)

    def _ask(self, identity: Identity, stranger: Stranger, candidates: Iterable[Endpoint]) -> None:
        now = time.monotonic()
        if now < stranger.ask_next_at or not any(e.may_speak() for e in candidates):
            return
        stranger.ask_next_at = now + min(ASK_FIRST_S * 2**stranger.asked, ASK_AT_MOST_EVERY_S)
        stranger.asked = min(stranger.asked + 1, 10)
        self._questions += 1
        source, system_id = identity
        try:
            self._sock.sendto(version_request(system_id, self._questions), source)
        except OSError as error:
            log.warning("mavlink_ask_failed", source=f"{source[0]}:{source[1]}", error=str(error))

    def _by_hardware(
        self, identity: Identity, version: AutopilotVersion, candidates: list[Endpoint]
    ) -> Endpoint | None:
        for endpoint in candidates:
            pinned = endpoint.address.hardware_uid
            if pinned is not None and version.is_hardware(pinned):
                return self._bind(endpoint, identity)
        for endpoint in candidates:
            # A link pinned to this place, or alone on the port, expected its vehicle here.
            if len(self._endpoints) == 1 or endpoint.address.pins > 4:
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

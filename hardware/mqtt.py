"""A small asyncio MQTT 3.1.1 client over paho-mqtt, for robots and for the bus of live snapshots.

paho runs without a thread of its own: the event loop watches its socket, so that a message costs no
switch between threads and a hung loop sends nothing, not even a keep-alive. Only the blocking connect
runs in a thread. Sessions are clean and nothing is queued while the broker is away: what could not be
sent when it was meant is lost, and ``publish`` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from hardware.errors import LinkDown, NotSupported
from hardware.mqtt_stream import FedClient, PacketStream
from hardware.mqtt_subscription import Message, Subscription

__all__ = ["Message", "MqttClient", "Subscription", "Will"]

KEEP_ALIVE_S = 5
"""A broker that says nothing is given up after at most twice this."""
CONNECT_TIMEOUT_S = 5.0
BACK_OFF_S = (0.1, 5.0)
"""First and longest wait between attempts to connect; doubled each time, with jitter."""
UNACKNOWLEDGED_LIMIT = 1000
"""QoS 1 messages without their acknowledgement; at the bound ``publish`` raises ``LinkDown``."""
MAX_PAYLOAD_BYTES = 4_000_000
"""A longer message is dropped: nobody here takes one, and queues count messages, not bytes."""
READ_BYTES = 65_536
"""Read at once; the rest waits in the socket's buffer, so that other work of the loop gets its turn."""
ROUTE_CACHE_LIMIT = 4096
"""Topics whose subscribers are remembered; at the bound the memory starts anew."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes for us when our connection breaks."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True


class MqttClient:
    """One connection to a broker, kept up for as long as the ``async with`` block lasts.

    Entering the block starts connecting and returns at once; ``wait_connected`` waits for it. After a
    break it connects again with back-off and renews its subscriptions. All methods belong to the event
    loop in which the block was entered.

    ``counts`` counts messages ``received``, and those dropped by reason: ``bad_topic`` (no text), ``oversized``,
    ``unwanted`` (no subscription). ``malformed`` counts connections given up because the broker sent what is no MQTT,
    ``lost`` all that broke. What a full subscription dropped is in ``dropped``.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        client_id: str,
        username: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        will: Will | None = None,
    ) -> None:
        self.broker = f"{host}:{port}"
        self.last_error = "not connected yet"
        self.counts: Counter[str] = Counter()
        self._host, self._port = host, port
        client = FedClient(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=True,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
        )
        if username is not None:
            client.username_pw_set(username, password)
        if tls is not None:
            client.tls_set_context(tls)
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_socket_close = self._on_socket_close
        self._client = client
        self._stream = PacketStream(
            max_bytes=MAX_PAYLOAD_BYTES,
            take_message=self._take_message,
            take_packet=self._take_packet,
            refuse=self._refuse_packet,
        )
        self._socket: Any = None
        self._connected = asyncio.Event()
        self._lost = asyncio.Event()
        self._was_connected = False
        self._subscriptions: list[Subscription] = []
        self._routes: dict[bytes, tuple[str, tuple[Subscription, ...]]] = {}
        self._subscribing: dict[int, Subscription] = {}
        self._unacknowledged: dict[int, asyncio.Future[None]] = {}
        self._hooks: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and the connection has not been seen to break."""
        return self._connected.is_set()

    @property
    def dropped(self) -> int:
        """Messages that found the queue of an open subscription full."""
        return sum(subscription.dropped for subscription in self._subscriptions)

    async def wait_connected(self, timeout_s: float = 10.0) -> None:
        """Wait for the connection; raises ``LinkDown`` with the last reason when the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._connected.wait()
        except TimeoutError:
            raise LinkDown(f"broker {self.broker}: {self.last_error}") from None

    def on_reconnect(self, hook: Callable[[], None]) -> Callable[[], None]:
        """Call ``hook`` after each connection but the first, subscriptions renewed; returns its undoing."""
        self._hooks.append(hook)
        return lambda: self._hooks.remove(hook) if hook in self._hooks else None

    async def __aenter__(self) -> Self:
        if self._task is not None:
            raise NotSupported("an MqttClient is entered once")
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name=f"mqtt {self.broker}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CONNECT_TIMEOUT_S * 3)
        for subscription in self._subscriptions:
            subscription.end()
        self._subscriptions.clear()
        self._routes.clear()

    async def publish(
        self,
        topic: str,
        payload: bytes | str,
        qos: int = 0,
        retain: bool = False,
        timeout_s: float = 5.0,
    ) -> None:
        """Send a message: QoS 0 until the socket has it, QoS 1 until the broker has acknowledged it.

        Raises ``LinkDown`` when not connected, when the connection breaks first, and when the broker
        takes no data for ``timeout_s``; then the connection is given up, so that what was reported as
        not sent is not sent later.
        """
        if not self.connected:
            raise LinkDown(f"broker {self.broker}: {self.last_error}")
        if len(self._unacknowledged) >= UNACKNOWLEDGED_LIMIT:
            raise LinkDown(f"broker {self.broker} is behind by {UNACKNOWLEDGED_LIMIT} acknowledgements")
        info = self._client.publish(topic, payload, qos, retain)
        self._watch_writing()
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise LinkDown(f"broker {self.broker}: {paho.error_string(info.rc)}")
        if qos == 0 and info.is_published():
            if not self.connected:
                raise LinkDown(f"broker {self.broker}: {self.last_error}")
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unacknowledged[info.mid] = done
        try:
            async with asyncio.timeout(timeout_s):
                await done
        except TimeoutError:
            self._give_up(f"took no data for {timeout_s:g} s")
            raise LinkDown(f"broker {self.broker}: {self.last_error}") from None
        finally:
            self._unacknowledged.pop(info.mid, None)

    def subscribe(
        self,
        topic_filter: str | tuple[str, ...],
        qos: int = 0,
        *,
        limit: int = 1000,
        take: Callable[[Message], None] | None = None,
    ) -> Subscription:
        """Subscribe to a filter or several; lasts over reconnects. ``limit``, ``take``: see ``Subscription``."""
        filters = (topic_filter,) if isinstance(topic_filter, str) else topic_filter
        subscription = Subscription(filters, qos, limit, self._forget, take)
        self._subscriptions.append(subscription)
        self._routes.clear()
        if self.connected:
            self._send_subscribe(subscription)
            self._watch_writing()
        return subscription

    def _forget(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)
        self._routes.clear()
        kept = {name for other in self._subscriptions for name in other.filters}
        gone = [name for name in subscription.filters if name not in kept]
        if gone and self.connected:
            self._client.unsubscribe(gone)
            self._watch_writing()

    def _send_subscribe(self, subscription: Subscription) -> None:
        wanted = [(name, subscription.qos) for name in subscription.filters]
        _, mid = self._client.subscribe(wanted)
        if mid is not None:
            self._subscribing[mid] = subscription

    async def _run(self) -> None:
        wait_s = BACK_OFF_S[0]
        try:
            while True:
                self._lost.clear()
                if await self._connect():
                    wait_s = BACK_OFF_S[0]
                    await self._serve()
                _log.warning("broker %s: %s; connecting again", self.broker, self.last_error)
                await asyncio.sleep(wait_s * random.uniform(0.7, 1.3))  # noqa: S311 - spreads reconnects
                wait_s = min(wait_s * 2, BACK_OFF_S[1])
        finally:
            self._client.disconnect()
            self._drop_socket()
            self._fail_waiting()

    async def _connect(self) -> bool:
        """Connect and wait for the broker's acceptance; returns whether it came."""
        # Nothing of the last session may go out in the next one, or be taken for a part of it.
        self._client.drop_out_messages()
        self._client.fed.clear()
        self._client.ended = False
        self._stream.reset()
        self._client.connect_async(self._host, self._port, keepalive=KEEP_ALIVE_S)
        # A thread of its own: a name server that hangs must not fill the loop's shared executor.
        executor = ThreadPoolExecutor(1, thread_name_prefix="mqtt-connect")
        attempt = asyncio.get_running_loop().run_in_executor(executor, self._client.reconnect)
        try:
            await asyncio.shield(attempt)
        except asyncio.CancelledError:
            await asyncio.wait([attempt], timeout=CONNECT_TIMEOUT_S * 2)
            raise
        except (OSError, ValueError) as error:
            self.last_error = f"cannot connect: {error}"
            return False
        finally:
            executor.shutdown(wait=False)
        return await self._accepted()

    async def _accepted(self) -> bool:
        self._socket = self._client.socket()
        if self._socket is None:
            self.last_error = "connection lost while connecting"
            return False
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._on_readable)
        self._watch_writing()
        outcome = [asyncio.ensure_future(event.wait()) for event in (self._connected, self._lost)]
        try:
            done, _ = await asyncio.wait(outcome, timeout=CONNECT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in outcome:
                task.cancel()
        if not done:
            self._give_up("no answer to CONNECT")
        return self.connected

    async def _serve(self) -> None:
        """Keep the connection alive until it is lost."""
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KEEP_ALIVE_S / 5):
                    await self._lost.wait()
                return
            self._client.loop_misc()
            self._watch_writing()

    def _on_readable(self) -> None:
        stream = self._socket
        try:
            while stream is not None:
                data = stream.recv(READ_BYTES)
                if not data:
                    self._client.ended = True
                    self._client.loop_read()
                    break
                self._stream.take(data)
                # TLS may hold decrypted data of which the socket's readiness says nothing.
                if not getattr(stream, "pending", int)():
                    break
                stream = self._socket
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            self._give_up(f"connection lost: {error}")
        except Exception as error:
            # Neither is all checked by paho; whatever it stumbles over, the stream is out of step.
            self.counts["malformed"] += 1
            self._give_up(f"malformed data ({error!r})")
        self._watch_writing()

    def _take_packet(self, packet: bytes) -> None:
        """Let paho read a packet."""
        fed = self._client.fed
        fed += packet
        while fed and self._socket is not None:
            if self._client.loop_read() != paho.MQTT_ERR_SUCCESS:
                fed.clear()

    def _refuse_packet(self) -> None:
        self.counts["oversized"] += 1

    def _on_writable(self) -> None:
        self._client.loop_write()
        if self._socket is not None and self._loop is not None and not self._client.want_write():
            self._loop.remove_writer(self._socket.fileno())

    def _watch_writing(self) -> None:
        if self._socket is not None and self._loop is not None and self._client.want_write():
            self._loop.add_writer(self._socket.fileno(), self._on_writable)

    def _on_connect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self.last_error = f"refused the connection: {reason}"
            return
        self._connected.set()
        self._subscribing.clear()
        for subscription in self._subscriptions:
            self._send_subscribe(subscription)
        if self._was_connected:
            for hook in tuple(self._hooks):
                asyncio.get_running_loop().call_soon(hook)
        self._was_connected = True

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if self.connected:
            self.last_error = f"connection lost: {reason}"
        self._mark_lost()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        """Take a message of QoS 1, which paho has acknowledged."""
        self._take_message(message._topic, bytes(message.payload), message.retain)

    def _take_message(self, topic: bytes, payload: bytes, retain: bool) -> None:
        self.counts["received"] += 1
        route = self._routes.get(topic) or self._route(topic)
        if not route[1]:
            self.counts["unwanted" if route[0] else "bad_topic"] += 1
            return
        received = Message(route[0], payload, retain)
        for subscription in route[1]:
            subscription.put(received)

    def _route(self, topic: bytes) -> tuple[str, tuple[Subscription, ...]]:
        """Find who subscribes to a topic; nobody does to one that is no text."""
        if len(self._routes) >= ROUTE_CACHE_LIMIT:
            self._routes.clear()
        try:
            name = topic.decode()
        except UnicodeDecodeError:
            return "", ()
        targets = (
            subscription
            for subscription in self._subscriptions
            if any(paho.topic_matches_sub(each, name) for each in subscription.filters)
        )
        self._routes[topic] = route = name, tuple(targets)
        return route

    def _on_publish(self, _client: paho.Client, _data: object, mid: int, _reason: object, _properties: object) -> None:
        done = self._unacknowledged.get(mid)
        if done is not None and not done.done():
            done.set_result(None)

    def _on_subscribe(
        self, _client: paho.Client, _data: object, mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        subscription = self._subscribing.pop(mid, None)
        if subscription is None:
            return
        refused = [name for name, reason in zip(subscription.filters, reasons, strict=False) if reason.is_failure]
        text = f"broker {self.broker} refuses the subscription of {', '.join(refused)}" if refused else None
        if text is not None:
            _log.error(text)
        subscription.answer(text)

    def _on_socket_close(self, _client: paho.Client, _data: object, _socket: object) -> None:
        self._unwatch()

    def _unwatch(self) -> None:
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket = None

    def _give_up(self, why: str) -> None:
        """Drop the connection without a farewell, so that the broker publishes our will."""
        self.last_error = why
        self._drop_socket()
        self._mark_lost()

    def _drop_socket(self) -> None:
        stream = self._socket
        self._unwatch()
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()

    def _mark_lost(self) -> None:
        if self._connected.is_set():
            self.counts["lost"] += 1
        self._connected.clear()
        self._lost.set()
        self._fail_waiting()

    def _fail_waiting(self) -> None:
        for done in self._unacknowledged.values():
            if not done.done():
                done.set_exception(LinkDown(f"broker {self.broker}: {self.last_error}"))

"""A simulated robot's connection to its broker."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from simulators.robot_config import BrokerConfig
from simulators.robot_report import Outgoing

KEEPALIVE_S = 15
"""Section 6.14: "around 15 seconds". A broker that says nothing for longer is left and called again."""
RECONNECT_MIN_S, RECONNECT_MAX_S = 1, 10
MAX_INBOX = 1_000
"""Messages waiting for the robot; further ones are dropped until it has read some, as QoS 0 allows."""

logger = logging.getLogger(__name__)


class BrokerConnection:
    """Connects, reconnects with a bounded back-off, and hands messages over.

    paho runs a thread for each connection; that thread only fills the inbox. While the broker is away
    messages are not queued: a robot's next state replaces the one that was missed.
    """

    def __init__(
        self,
        broker: BrokerConfig,
        *,
        manufacturer: str,
        serial: str,
        client_id: str,
        last_will: Callable[[], Outgoing],
    ) -> None:
        self._broker = broker
        self._prefix = f"uagv/v2/{manufacturer}/{serial}"
        self._last_will = last_will
        self._inbox: deque[tuple[str, bytes]] = deque()
        self._connections = 0
        self._online = False
        self.name = f"{manufacturer}/{serial}"
        client = Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        client.reconnect_delay_set(RECONNECT_MIN_S, RECONNECT_MAX_S)
        client.connect_timeout = 5.0
        client.max_queued_messages_set(20)
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password)
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        self._client = client

    @property
    def online(self) -> bool:
        """Whether the broker has accepted the connection and it has not broken since."""
        return self._online

    @property
    def connections(self) -> int:
        """How often a connection was made; a change means that the robot has come online again."""
        return self._connections

    def open(self) -> None:
        """Begin to connect and return at once; goes on trying while the broker is not there."""
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S)
        self._client.loop_start()

    def messages(self) -> list[tuple[str, bytes]]:
        """Take the messages that have come: the last level of their topic, and their payload."""
        return [self._inbox.popleft() for _ in range(len(self._inbox))]

    def publish(self, message: Outgoing) -> MQTTMessageInfo | None:
        """Hand a message to the network; ``None`` when there is no connection to send it on."""
        if not self._online:
            return None
        topic = f"{self._prefix}/{message.topic}"
        info = self._client.publish(topic, message.payload, qos=message.qos, retain=message.retain)
        return info if info.rc is MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def close(self, *, answered: bool) -> None:
        """Disconnect in the graceful way, so that the broker does not send the last will.

        Unless the broker has ``answered`` the farewell, the connection's thread is left to end with the
        process: one that hangs or is away must not hold it up.
        """
        self._client.disconnect()
        if answered:
            self._client.loop_stop()

    def _on_pre_connect(self, client: Client, _userdata: Any) -> None:
        will = self._last_will()
        client.will_set(f"{self._prefix}/{will.topic}", will.payload, qos=will.qos, retain=will.retain)

    def _on_connect(
        self,
        client: Client,
        _userdata: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            logger.error("%s: the broker refuses the connection: %s", self.name, reason)
            return
        # Before ONLINE is published: who sees it may send an order at once.
        client.subscribe([(f"{self._prefix}/order", 0), (f"{self._prefix}/instantActions", 0)])
        self._connections += 1
        self._online = True

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._online = False
        if reason.is_failure:
            logger.warning("%s: connection lost: %s", self.name, reason)

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if len(self._inbox) >= MAX_INBOX:
            logger.warning("%s: inbox full, a message on %s is dropped", self.name, message.topic)
            return
        self._inbox.append((message.topic.removeprefix(f"{self._prefix}/"), bytes(message.payload)))

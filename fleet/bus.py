"""The bus: the MQTT connection of one of the service's processes."""

from __future__ import annotations

import ssl

from fleet.ids import new_id
from fleet.runtime import Runtime
from hardware.mqtt import MqttClient


def connect(runtime: Runtime) -> MqttClient:
    """Return a client of the service's broker, to be entered with ``async with``."""
    tls = None
    if runtime.broker_tls:
        tls = ssl.create_default_context(cafile=str(runtime.broker_ca) if runtime.broker_ca else None)
    return MqttClient(
        host=runtime.broker_host,
        port=runtime.broker_port,
        client_id=f"todoke-{runtime.name}-{new_id('c')}",
        username=runtime.broker_username,
        password=runtime.broker_password,
        tls=tls,
    )

"""Which robots are spoken to at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hardware.errors import NotSupported
from hardware.mqtt import MqttClient
from tests.broker import Broker
from tests.robots import clock_at
from tests.scripted_robot import ScriptedRobot, scripted_robot
from tests.vda5050_kit import gateway, make_link, until

pytestmark = pytest.mark.alone


async def test_a_real_robot_is_not_opened_in_simulated_time(broker: Broker) -> None:
    async with MqttClient(host=broker.host, port=broker.port, client_id="g") as client:
        link = make_link(client, simulated=False, allow_real=True, clock=clock_at(5.0))
        with pytest.raises(NotSupported, match="time is simulated"):
            await link.open()


async def test_a_real_robot_is_opened_only_where_real_ones_are_allowed(broker: Broker, robot: ScriptedRobot) -> None:
    async with MqttClient(host=broker.host, port=broker.port, client_id="g") as client:
        await client.wait_connected()
        with pytest.raises(NotSupported, match="not allowed"):
            await make_link(client, simulated=False).open()

        allowed = make_link(client, simulated=False, allow_real=True)
        await allowed.open()
        await allowed.recognise()
        assert allowed.state().connected
        await allowed.close()


async def test_a_serial_number_that_would_widen_a_topic_is_not_accepted(broker: Broker) -> None:
    client = MqttClient(host=broker.host, port=broker.port, client_id="g")
    for serial in ("+", "a/b", "#", ""):
        with pytest.raises(NotSupported, match="MQTT topic"):
            make_link(client, serial=serial)


async def test_a_robot_of_another_version_is_spoken_to_in_that_from_the_first_message_on(broker: Broker) -> None:
    def old(robot: ScriptedRobot) -> None:
        robot.version = "2.0.0"

    heard: list[dict[str, Any]] = []
    async with (
        MqttClient(host=broker.host, port=broker.port, client_id="listener") as client,
        scripted_robot(broker, "1", old) as robot,
    ):
        await client.wait_connected()
        topic = "uagv/v2/maker/1/instantActions"
        listening = client.subscribe((topic,), 0, take=lambda message: heard.append(json.loads(message.payload)))
        await listening.ready()
        await robot.announce()

        async with gateway(broker):
            await until(lambda: bool(heard))

    assert heard[0]["version"] == "2.0.0"
    assert heard[0]["actions"] == heard[0]["instantActions"]

"""The MQTT client against a real broker that stops, freezes and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hardware import mqtt
from hardware.errors import LinkDown, NotSupported
from hardware.mqtt import MqttClient, Subscription, Will
from tests.broker import Broker, free_port, running_broker


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with running_broker(tmp_path) as running:
        yield running


def client(broker: Broker, client_id: str, *, will: Will | None = None) -> MqttClient:
    return MqttClient(host=broker.host, port=broker.port, client_id=client_id, will=will)


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def next_payload(subscription: Subscription, timeout_s: float = 10.0) -> bytes:
    return (await asyncio.wait_for(anext(subscription), timeout_s)).payload


async def test_messages_arrive_in_order_with_their_topic(broker: Broker) -> None:
    async with client(broker, "a") as sender, client(broker, "b") as receiver:
        inbox = receiver.subscribe("live/+")
        await inbox.ready()
        await sender.wait_connected()

        for number in range(50):
            await sender.publish(f"live/{number % 2}", str(number))

        received = [await asyncio.wait_for(anext(inbox), 5) for _ in range(50)]
        assert [message.payload for message in received] == [str(number).encode() for number in range(50)]
        assert {message.topic for message in received} == {"live/0", "live/1"}
        assert not any(message.retain for message in received)


async def test_several_subscriptions_each_get_what_matches(broker: Broker) -> None:
    async with client(broker, "a") as both:
        wide = both.subscribe("r/#", limit=10)
        narrow = both.subscribe(("r/1/state", "r/1/connection"), 1)
        await wide.ready()
        await narrow.ready()

        await both.publish("r/2/state", b"two", qos=1)
        await both.publish("r/1/state", b"one", qos=1)

        assert await next_payload(wide) == b"two"
        assert await next_payload(wide) == b"one"
        assert await next_payload(narrow) == b"one"


async def test_a_retained_message_is_told_from_a_live_one(broker: Broker) -> None:
    async with client(broker, "a") as sender:
        await sender.wait_connected()
        await sender.publish("kept", b"old", qos=1, retain=True)
        inbox = sender.subscribe("kept")
        first = await asyncio.wait_for(anext(inbox), 5)
        await sender.publish("kept", b"new", qos=1, retain=True)
        second = await asyncio.wait_for(anext(inbox), 5)

    assert (first.payload, first.retain) == (b"old", True)
    assert (second.payload, second.retain) == (b"new", False)


async def test_at_its_bound_a_queue_drops_the_oldest_and_counts(broker: Broker) -> None:
    async with client(broker, "a") as both:
        small = both.subscribe("n", limit=3)
        witness = both.subscribe("n")
        await small.ready()
        await witness.ready()
        for number in range(10):
            await both.publish("n", str(number))
        for _ in range(10):
            await next_payload(witness)

        assert small.dropped == 7
        assert [await next_payload(small) for _ in range(3)] == [b"7", b"8", b"9"]


async def test_after_a_break_it_connects_again_and_renews_its_subscriptions(broker: Broker) -> None:
    async with client(broker, "a") as sender, client(broker, "b") as receiver:
        inbox = receiver.subscribe("x")
        await inbox.ready()
        await sender.wait_connected()
        reconnects: list[bool] = []
        receiver.on_reconnect(lambda: reconnects.append(receiver.connected))

        await broker.stop()
        await until(lambda: not sender.connected and not receiver.connected)
        await broker.start()
        await until(lambda: sender.connected and reconnects == [True])

        again = receiver.subscribe("y")
        await again.ready()  # the broker answers in order: the renewed subscription stands too
        await sender.publish("x", b"after", qos=1)
        assert await next_payload(inbox) == b"after"


async def test_nothing_is_sent_while_disconnected_and_nothing_is_replayed(broker: Broker) -> None:
    async with client(broker, "a") as sender, client(broker, "b") as receiver:
        inbox = receiver.subscribe("command")
        await inbox.ready()
        await sender.wait_connected()
        await broker.stop()
        await until(lambda: not sender.connected)

        for qos in (0, 1):
            with pytest.raises(LinkDown, match=f"{broker.port}"):
                await sender.publish("command", b"stale", qos=qos)

        await broker.start()
        await sender.wait_connected()
        await receiver.wait_connected()
        again = receiver.subscribe("renewed")
        await again.ready()
        await sender.publish("command", b"fresh", qos=1)
        assert await next_payload(inbox) == b"fresh"


async def test_an_unacknowledged_message_is_reported_lost_and_not_sent_again(broker: Broker) -> None:
    async with client(broker, "a") as sender:
        await sender.wait_connected()
        assert broker.process is not None
        broker.process.send_signal(signal.SIGSTOP)

        with pytest.raises(LinkDown, match="took no data"):
            await sender.publish("command", b"lost", qos=1, timeout_s=0.5)

        assert not sender.connected
        await broker.stop()
        await broker.start()
        inbox = sender.subscribe("command")
        await inbox.ready()
        await sender.publish("command", b"next", qos=1)
        assert await next_payload(inbox) == b"next"


async def test_a_broker_that_hangs_is_given_up(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "KEEP_ALIVE_S", 1)
    async with client(broker, "a") as listener:
        await listener.wait_connected()
        assert broker.process is not None
        broker.process.send_signal(signal.SIGSTOP)

        await until(lambda: not listener.connected, 10)

        broker.process.send_signal(signal.SIGCONT)
        await listener.wait_connected()


HANGS = """
import asyncio, sys, time
from hardware import mqtt

mqtt.KEEP_ALIVE_S = 1

async def main():
    will = mqtt.Will("gone", b"it hangs", retain=False)
    async with mqtt.MqttClient(host="127.0.0.1", port=int(sys.argv[1]), client_id="h", will=will) as client:
        await client.wait_connected()
        time.sleep(60)

asyncio.run(main())
"""


async def test_a_hung_loop_lets_the_broker_publish_the_will(broker: Broker) -> None:
    async with client(broker, "watcher") as watcher:
        inbox = watcher.subscribe("gone")
        await inbox.ready()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", HANGS, str(broker.port))
        try:
            assert await next_payload(inbox, 20) == b"it hangs"
            assert process.returncode is None
        finally:
            process.kill()
            await process.wait()


async def test_leaving_says_farewell_and_no_will_is_published(broker: Broker) -> None:
    async with client(broker, "watcher") as watcher:
        inbox = watcher.subscribe(("gone", "marker"), 1)
        await inbox.ready()
        async with client(broker, "a", will=Will("gone", b"a is gone")) as leaver:
            await leaver.wait_connected()
        await watcher.publish("marker", b"left", qos=1)

        assert await next_payload(inbox) == b"left"


async def test_a_wrong_password_is_reported_with_the_broker(tmp_path: Path) -> None:
    async with running_broker(tmp_path, password="right") as guarded:
        wrong = MqttClient(host=guarded.host, port=guarded.port, client_id="a", username="tester", password="wrong")
        async with wrong:
            with pytest.raises(LinkDown, match="refused the connection"):
                await wrong.wait_connected(1.0)
        right = MqttClient(host=guarded.host, port=guarded.port, client_id="a", username="tester", password="right")
        async with right:
            await right.wait_connected()


async def test_without_a_broker_entering_returns_at_once_and_waiting_tells_why() -> None:
    lonely = MqttClient(host="127.0.0.1", port=free_port(), client_id="a")
    began = time.monotonic()
    async with lonely:
        assert time.monotonic() - began < 1.0
        with pytest.raises(LinkDown, match="cannot connect"):
            await lonely.wait_connected(0.5)


async def test_a_peer_that_is_no_broker_is_left_and_tried_again() -> None:
    greeted = asyncio.Semaphore(0)

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted.release()
        writer.write(b"\x20\xff\xff\xff\xff\xffHTTP/1.1 400 Bad Request\r\n\r\n" * 20)
        with contextlib.suppress(ConnectionError):
            await writer.drain()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, MqttClient(host="127.0.0.1", port=port, client_id="a") as puzzled:
        for _ in range(2):
            await asyncio.wait_for(greeted.acquire(), 10)
        assert not puzzled.connected


async def test_leaving_ends_the_iteration_of_a_subscription(broker: Broker) -> None:
    async with client(broker, "a") as both:
        inbox = both.subscribe("x")
        await inbox.ready()
        reader = asyncio.create_task(_drain(inbox))

    assert await asyncio.wait_for(reader, 5) == 0


async def _drain(inbox: Subscription) -> int:
    return len([message async for message in inbox])


async def test_a_closed_subscription_gets_nothing_while_another_of_the_same_filter_does(
    broker: Broker,
) -> None:
    async with client(broker, "a") as both:
        closed, open_one = both.subscribe("x"), both.subscribe("x")
        await closed.ready()
        await open_one.ready()
        closed.close()

        await both.publish("x", b"1", qos=1)

        assert await next_payload(open_one) == b"1"
        with pytest.raises(StopAsyncIteration):
            await anext(closed)


async def test_a_client_is_entered_once(broker: Broker) -> None:
    async with client(broker, "a") as once:
        with pytest.raises(NotSupported):
            await once.__aenter__()


async def test_what_nobody_takes_is_counted_by_its_reason(broker: Broker) -> None:
    async with client(broker, "a") as sender, client(broker, "b") as receiver:
        inbox, closed = receiver.subscribe("kept"), receiver.subscribe("left")
        await inbox.ready()
        await closed.ready()
        await sender.wait_connected()
        # Known to the broker for a moment longer than to us.
        receiver._subscriptions.remove(closed)
        await sender.publish("left", b"x")
        await sender.publish("kept", bytes(mqtt.MAX_PAYLOAD_BYTES + 1), qos=1)
        await sender.publish("kept", b"y")

        assert await next_payload(inbox) == b"y"
        counts = dict(receiver.counts)

    assert (counts["unwanted"], counts["oversized"]) == (1, 1)
    assert counts["received"] == 2


async def test_a_taker_gets_messages_at_once_and_what_it_fails_at_stops_nothing(broker: Broker) -> None:
    seen: list[bytes] = []

    def take(message: mqtt.Message) -> None:
        if message.payload == b"bad":
            raise ValueError("no")
        seen.append(message.payload)

    async with client(broker, "a") as both:
        subscription = both.subscribe("t", take=take)
        await subscription.ready()
        for payload in (b"1", b"bad", b"2"):
            await both.publish("t", payload)
        await until(lambda: seen == [b"1", b"2"])

    assert subscription.failed == 1

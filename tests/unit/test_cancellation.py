"""Who is told to end while what he waits for arrives, ends: Python 3.11's ``wait_for`` would go on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from hardware.mqtt import MqttClient
from hardware.mqtt_subscription import Subscription

ROOT = Path(__file__).parents[2]
Waiting = tuple[Coroutine[Any, Any, object], Callable[[], object]]


def _granted() -> Waiting:
    subscription = Subscription(("a/#",), 0, 10, lambda gone: None)
    return subscription.ready(), lambda: subscription.answer(None)


def _connected() -> Waiting:
    client = MqttClient(host="127.0.0.1", port=1, client_id="test")
    return client.wait_connected(), client._connected.set


@pytest.mark.parametrize("waits", [_granted, _connected])
async def test_a_cancellation_that_meets_the_news_is_heeded(waits: Callable[[], Waiting]) -> None:
    waiting, arrives = waits()
    task = asyncio.create_task(waiting)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    arrives()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


def test_nothing_of_ours_waits_in_the_way_that_swallows_cancellations() -> None:
    files = [file for part in ("fleet", "hardware", "telemetry", "routing") for file in (ROOT / part).rglob("*.py")]

    assert len(files) > 100
    assert [str(file) for file in files if re.search(r"asyncio\.wait_for\(", file.read_text(encoding="utf-8"))] == []

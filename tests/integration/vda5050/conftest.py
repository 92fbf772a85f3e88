"""A broker, a robot that does what a test tells it, and a gateway that has heard it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hardware.vda5050 import dialogue
from tests.broker import Broker, running_broker
from tests.scripted_robot import ScriptedRobot, scripted_robot
from tests.vda5050_kit import Gateway, gateway


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with running_broker(tmp_path) as running:
        yield running


@pytest.fixture
async def robot(broker: Broker) -> AsyncIterator[ScriptedRobot]:
    """A robot that nobody may have asked for anything that breaks a rule by the end of the test."""
    async with scripted_robot(broker, "1") as scripted:
        yield scripted
        assert scripted.breaches == []


@pytest.fixture
async def here(broker: Broker, robot: ScriptedRobot) -> AsyncIterator[Gateway]:
    async with gateway(broker) as running:
        await running.until(lambda state: state.connected)
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs short enough to be waited for."""
    monkeypatch.setattr(dialogue, "RESEND_S", 0.2)
    monkeypatch.setattr(dialogue, "ANSWER_S", 1.0)
    monkeypatch.setattr(dialogue, "FACTSHEET_S", 0.05)

"""A socket on which a test lets faults happen to simulated drones while they fly.

Each datagram is one JSON object: ``{"vehicle_id": "d1", "fault": "gust", "value": 12}`` (``faults_aboard.Fault``). It
is answered with ``ok`` or with what is wrong with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from simulators.faults_aboard import Fault

Apply = Callable[[Fault, float], None]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    vehicle_id: str
    fault: Fault
    value: float


class Control(asyncio.DatagramProtocol):
    """Passes orders on; ``apply_to`` has a function for each vehicle."""

    def __init__(self, apply_to: Mapping[str, Apply]) -> None:
        self._apply_to = apply_to
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the socket is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """asyncio: take an order and answer it."""
        if self._transport is not None:
            self._transport.sendto(self._carry_out(data).encode(), addr)

    def _carry_out(self, data: bytes) -> str:
        try:
            order = _Order.model_validate_json(data)
        except ValidationError as error:
            return f"refused: {error.errors()[0]['msg']}"
        apply = self._apply_to.get(order.vehicle_id)
        if apply is None:
            return f"refused: no vehicle {order.vehicle_id}"
        apply(order.fault, order.value)
        return "ok"

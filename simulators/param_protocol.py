"""The parameter protocol of the simulated autopilot (MAVLink parameter microservice, as PX4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymavlink.dialects.v20 import common as m

from simulators.params import Parameters

_PER_STEP = 4


class ParameterProtocol:
    """Answers reads, sets and lists; a name that does not exist gets no answer, as with PX4."""

    def __init__(self, params: Parameters, *, send: Callable[[Any], None], log: Callable[..., None]) -> None:
        self._params = params
        self._send = send
        self._log = log
        self._left: list[str] = []

    def handle(self, message: Any) -> None:
        """Take a PARAM message; others than the three requests are ignored."""
        kind = message.get_type()
        if kind == "PARAM_REQUEST_LIST":
            self._left = list(self._params.names)
        elif kind == "PARAM_REQUEST_READ":
            name = self._named(message)
            if name is not None:
                self._tell(name)
        elif kind == "PARAM_SET":
            self._set(message)

    def tick(self) -> None:
        """Send a few parameters of a list asked for; called at every step of vehicle time."""
        if self._left:
            for name in self._left[:_PER_STEP]:
                self._tell(name)
            del self._left[:_PER_STEP]

    def _named(self, message: Any) -> str | None:
        names = self._params.names
        if message.param_index >= 0:
            return names[message.param_index] if message.param_index < len(names) else None
        name = str(message.param_id).rstrip("\0")
        return name if name in self._params else None

    def _set(self, message: Any) -> None:
        name = str(message.param_id).rstrip("\0")
        if name not in self._params:
            return
        value = self._params.from_wire(name, message.param_value, int(message.param_type))
        if value is not None:
            self._params.set(name, value)
            self._log("param", name=name, value=value)
        self._tell(name)

    def _tell(self, name: str) -> None:
        params = self._params
        count, index = len(params.names), params.names.index(name)
        self._send(m.MAVLink_param_value_message(name.encode(), params.to_wire(name), params.kind(name), count, index))

"""A simulated vehicle's own log: what it did and said, as JSON lines, apart from what the service stored."""

from __future__ import annotations

import json
from pathlib import Path


class VehicleLog:
    """An append-only log of one vehicle.

    One JSON object a line with ``event`` and ``vehicle_ms`` (the vehicle's own clock) first. Every line
    is handed to the operating system when it is written, so that it outlives a killed process; a second
    run appends, and its ``boot`` event marks where the vehicle's clock began again.
    """

    def __init__(self, path: Path) -> None:
        """Open ``path`` for appending, with its folders; raises ``OSError`` when that is not possible."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def write(self, event: str, vehicle_ms: int, **fields: object) -> None:
        """Append one event; a log that cannot be written raises, since tests judge by it."""
        record = {"event": event, "vehicle_ms": vehicle_ms, **fields}
        self._file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Close the file; a closed log takes no more events."""
        self._file.close()

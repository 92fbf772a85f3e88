"""What a process knows of the service it belongs to."""

from __future__ import annotations

from pathlib import Path

from fleet.runtime import FILE_NAME, with_pids
from telemetry.clock import Clock
from tests.api_kit import _runtime


def test_a_process_knows_which_others_run_now_and_keeps_what_it_knew_where_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    at_start = with_pids(_runtime(tmp_path, "", Clock.real()), {"planner": 1})
    with_pids(at_start, {"planner": 1, "gateway-1": 2}).save()
    assert at_start.running() == {"planner", "gateway-1"}

    (tmp_path / "run" / FILE_NAME).write_text("{")
    assert at_start.running() == {"planner"}

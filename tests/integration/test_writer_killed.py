"""The writer's process killed with kill -9 while 200 vehicles send: what it loses is the last moment, told exactly."""

from __future__ import annotations

from pathlib import Path

from telemetry.writer import SampleWriter
from tests.killed_sender import VEHICLES, send_until_killed
from tests.postgres import TestServer
from tests.writer_kit import QUICK, numbers, rows, spool_files

NOT_YET_SYNCED_S = 0.2
SLACK_S = 1.3
"""For a machine whose disk and processors others use; ``make bench ONLY=outage`` holds to the 0.2 s themselves."""


async def _seqs_of_each_vehicle(dsn: str) -> list[list[int]]:
    """The numbers stored of each vehicle, in the order in which they were written."""
    found = await rows(
        dsn,
        """SELECT array_agg(seq ORDER BY xmin::text::bigint, seq) AS seqs
           FROM sample GROUP BY vehicle_id ORDER BY vehicle_id""",
    )
    return [row["seqs"] for row in found]


async def test_a_process_killed_in_an_outage_loses_the_last_moment_and_the_next_one_delivers_the_rest(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    crashing_server.crash()
    lines, killed_at = await send_until_killed(crashing_server.dsn, tmp_path, 0, ticks=30)
    assert lines[-1].spooled_batches > 3
    crashing_server.start()

    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1") as writer:
        await writer.flush(timeout_s=60)

    every_vehicle = await _seqs_of_each_vehicle(crashing_server.dsn)
    assert len(every_vehicle) == VEHICLES
    for seqs in every_vehicle:
        assert seqs == list(range(len(seqs))), "something is missing, double or out of order"
    lost = [line for line in lines if line.number >= min(map(len, every_vehicle))]
    assert all(killed_at - line.at < NOT_YET_SYNCED_S + SLACK_S for line in lost)


async def test_a_process_killed_with_a_full_spool_has_told_of_what_it_dropped(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    crashing_server.crash()
    lines, killed_at = await send_until_killed(
        crashing_server.dsn, tmp_path, 0, ticks=10, spool_bytes=400_000, until_dropped=True
    )
    crashing_server.start()

    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1") as writer:
        await writer.flush(timeout_s=60)

    every_vehicle = await _seqs_of_each_vehicle(crashing_server.dsn)
    assert len(every_vehicle) == VEHICLES
    for seqs in every_vehicle:
        assert seqs == list(range(len(seqs))), "the oldest are kept, in order and once"
    gaps = await rows(crashing_server.dsn, "SELECT samples, cause FROM telemetry_gap")
    assert {gap["cause"] for gap in gaps} <= {"dropped"}
    accounted = sum(map(len, every_vehicle)) + sum(gap["samples"] for gap in gaps)
    safe = sum(VEHICLES for line in lines if killed_at - line.at >= NOT_YET_SYNCED_S + SLACK_S)
    assert safe <= accounted <= VEHICLES * len(lines)


async def test_processes_killed_one_after_another_before_in_and_after_an_outage_lose_nothing_between(
    crashing_server: TestServer, tmp_path: Path
) -> None:
    runs = [await send_until_killed(crashing_server.dsn, tmp_path, 0, ticks=10)]
    crashing_server.crash()
    runs.append(await send_until_killed(crashing_server.dsn, tmp_path, 1000, ticks=15))
    runs.append(await send_until_killed(crashing_server.dsn, tmp_path, 2000, ticks=15))
    torn = max(spool_files(tmp_path))
    with torn.open("ab") as end:
        end.write(b"\x40\x00\x00\x00torn")  # what a crash in the middle of a write leaves
    crashing_server.start()
    runs.append(await send_until_killed(crashing_server.dsn, tmp_path, 3000, ticks=10))

    async with SampleWriter(crashing_server.dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        await writer.flush(timeout_s=60)

    for seqs in await _seqs_of_each_vehicle(crashing_server.dsn):
        assert seqs == sorted(set(seqs)), "something is double or out of order"
    stored = set(await numbers(crashing_server.dsn))
    for lines, killed_at in runs:
        assert {line.number for line in lines if killed_at - line.at >= NOT_YET_SYNCED_S + SLACK_S} <= stored

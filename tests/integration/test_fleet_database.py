"""The pool under cancellation: who is told to end ends, whatever the moment."""

from __future__ import annotations

import asyncio

from fleet.db.database import Database


async def test_a_loop_that_is_cancelled_ends_at_any_moment(shared_dsn: str) -> None:
    async with Database.open(shared_dsn, max_size=1) as database:

        async def forever() -> None:
            while True:
                async with database.transaction() as conn:
                    await conn.execute("SELECT 1")

        for turns in range(150):
            loops = [asyncio.create_task(forever()) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            loops[turns % 3].cancel()
            done, _ = await asyncio.wait([loops[turns % 3]], timeout=2)
            for task in loops:
                task.cancel()
            await asyncio.wait(loops, timeout=2)
            assert done, f"cancelled after {turns} turns of the event loop"

"""Keeps an alarm book and the database together: what the book saw is stored, what people did comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import islice

import psycopg
import structlog

from fleet import alarm_store
from fleet.alarms import AlarmBook, Change, Source
from fleet.db.database import Connection, Database

_LOG = structlog.get_logger()

BATCH = 200
"""Changes in one transaction."""
RETRY_S = 1.0
"""Wall seconds between two attempts while the database is away."""
LOOK_S = 10.0
"""Wall seconds after which what is stored is looked at although nothing told of a change."""
FINISH_S = 2.0
"""Wall seconds that the last changes have to be stored when the process ends."""


class AlarmKeeper:
    """A task beside the loop that looks: that one never waits for the database.

    ``actor`` is the process as the journal names it. While the database is away changes wait in the book, with
    their times. ``own`` are sources that the book looks at from its beginning: their alarms are taken over first.
    """

    def __init__(self, book: AlarmBook, database: Database, *, actor: str, own: Sequence[Source] = ()) -> None:
        self.book = book
        book.on_change = self.wake
        self._database = database
        self._actor = actor
        self._woken = asyncio.Event()
        self._own = list(own)
        self._batch = BATCH
        self._away = False
        self._again_s = float("-inf")

    def wake(self) -> None:
        """Say that there is something to store, or that alarms have changed in the database."""
        self._woken.set()

    async def adopt(self, conn: Connection, source_kind: str, source_id: str) -> None:
        """Take over the open alarms of a source that the book looks at from now on."""
        self.book.adopt(await alarm_store.open_of_source(conn, source_kind, source_id))

    async def run(self) -> None:
        """Keep both together until cancelled."""
        while True:
            self._woken.clear()
            try:
                await self.once()
                self._away = False
            except psycopg.Error as error:
                # Of any kind: what no database can take is dropped in ``_store``, and all else may pass.
                if not self._away:
                    _LOG.warning("alarms wait: the database does not take them", error=str(error).strip())
                self._away = True
                await asyncio.sleep(RETRY_S)
                continue
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def finish(self) -> None:
        """Store what waits before the process ends, as far as ``FINISH_S`` allows."""
        try:
            async with asyncio.timeout(FINISH_S):
                await self.once()
        except (psycopg.Error, TimeoutError) as error:
            _LOG.warning("changes of alarms are lost", changes=len(self.book.changes), error=repr(error))

    async def once(self) -> None:
        """Store all that waits, then take what is stored. Raises one of ``DATABASE_ERRORS``."""
        while self._own:
            async with self._database.transaction() as conn:
                await self.adopt(conn, *self._own[0])
            del self._own[0]
        if time.monotonic() - self._again_s >= LOOK_S:
            # Not more often: one that cannot be stored by nature would be tried without end.
            self._again_s = time.monotonic()
            self.book.note_lost()
        while self.book.changes:
            await self._store(list(islice(self.book.changes, self._batch)))
        await self._heed()

    async def _store(self, changes: list[Change]) -> None:
        try:
            async with self._database.transaction() as conn:
                ids = await alarm_store.apply(conn, changes, actor=self._actor)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            # One that cannot be stored by nature must not keep the others waiting: they are tried one by one.
            self._batch = 1
            if len(changes) == 1:
                _LOG.error("a change of an alarm cannot be stored", code=changes[0].alarm.code, error=str(error))
                self.book.done({changes[0].change_id})
            return
        self._batch = BATCH
        self.book.done({change.change_id for change in changes})
        for alarm_id, as_id in ids.items():
            self.book.stored(alarm_id, as_id)

    async def _heed(self) -> None:
        known = [alarm.alarm_id for alarm in self.book.open() if alarm.stored]
        if not known:
            return
        async with self._database.transaction() as conn:
            stored = await alarm_store.of_ids(conn, known)
        # What has changed here meanwhile is newer than what was read, and will be stored and read again.
        waiting = {change.alarm.alarm_id for change in self.book.changes}
        for alarm_id in known:
            if alarm_id not in waiting:
                self.book.heed(alarm_id, stored.get(alarm_id))

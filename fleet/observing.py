"""Keeps the metrics of this process up to date: once a second it copies what its parts count of themselves."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from fleet import metrics
from fleet.alarm_table import Urgency
from fleet.alarms import AlarmBook
from hardware.link import VehicleLink
from hardware.mqtt import MqttClient
from telemetry.intake import Intake
from telemetry.writer import SampleWriter

if TYPE_CHECKING:
    from fleet.api.live import Hub

_LOG = structlog.get_logger()

INTERVAL_S = 1.0
LAG_INTERVAL_S = 0.1
"""Wall seconds between two looks at whether the event loop is punctual."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_KINDS = ("drone", "robot")
_BUS_DROPS = ("bad_topic", "oversized", "unwanted")
_ODD = ("late", "out_of_order", "clock_jump", "wrong_clock")
_REFUSED = ("duplicate", "flooded", "events_dropped")


class Held(Protocol):
    """A vehicle that a gateway runs."""

    @property
    def vehicle(self) -> Mapping[str, Any]:
        """Its row; ``kind`` is ``drone`` or ``robot``."""

    @property
    def link(self) -> VehicleLink:
        """The connection to it."""


async def watch_process() -> None:
    """Measure this process until cancelled: processor time, memory, and how late its event loop is."""
    metrics.begin(time.time())
    looked_at = 0.0
    while True:
        due_at = time.monotonic() + LAG_INTERVAL_S
        await asyncio.sleep(LAG_INTERVAL_S)
        now = time.monotonic()
        metrics.LOOP_LAG.observe(max(0.0, now - due_at))
        if now - looked_at >= INTERVAL_S:
            looked_at = now
            _measure_process()


def _measure_process() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    metrics.CPU.follow(used.ru_utime + used.ru_stime)
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            metrics.MEMORY.set(int(file.read().split()[1]) * _PAGE_BYTES)
    except (OSError, ValueError, IndexError):
        return  # not Linux


async def every_second(copy: Callable[[], None]) -> None:
    """Call ``copy`` once a second until cancelled. What fails at it is logged once, and stops nothing else."""
    failed = False
    while True:
        try:
            copy()
        except Exception as error:
            if not failed:
                _LOG.exception("metrics are not copied", error=repr(error))
            failed = True
        await asyncio.sleep(INTERVAL_S)


def follow_bus(bus: MqttClient) -> Callable[[], None]:
    """Return what copies the state of a bus; reconnects are counted from now on."""
    bus.on_reconnect(metrics.BUS_RECONNECTS.inc)
    metrics.BUS_RECONNECTS.inc(by=0)

    def copy() -> None:
        metrics.BUS_CONNECTED.set(bus.connected)
        metrics.BUS_RECEIVED.follow(bus.counts["received"])
        metrics.BUS_MALFORMED.follow(bus.counts["malformed"])
        for reason in _BUS_DROPS:
            metrics.BUS_DROPPED.follow(bus.counts[reason], reason)
        metrics.BUS_DROPPED.follow(bus.dropped, "overflow")

    return copy


def follow_writer(writer: SampleWriter) -> Callable[[], None]:
    """Return what copies the counts and the health of a writer of samples; its writes are measured from now on."""
    writer.on_write = metrics.WRITE_DURATION.observe

    def copy() -> None:
        counts, health = writer.counts, writer.health
        metrics.SAMPLES_RECEIVED.follow(counts.received)
        metrics.SAMPLES_STORED.follow(counts.stored)
        metrics.SAMPLES_SPOOLED.follow(counts.spooled)
        metrics.SAMPLES_DROPPED.follow(counts.dropped)
        metrics.SAMPLES_REJECTED.follow(counts.rejected)
        metrics.SAMPLES_WAITING.set(health.waiting_samples)
        metrics.OLDEST_UNSAVED.set(health.oldest_unsaved_s)
        metrics.SPOOL_BATCHES.set(health.spool_batches)
        metrics.SPOOL_BYTES.set(health.spool_bytes)
        metrics.SPOOL_LIMIT.set(health.spool_max_bytes)
        metrics.DATABASE_DOWN.set(health.database_down)

    return copy


def follow_intake(intake: Intake) -> Callable[[], None]:
    """Return what copies what the intake has found, of all vehicles together."""

    def copy() -> None:
        total = intake.counts().total
        metrics.INTAKE_ACCEPTED.follow(total["accepted"])
        metrics.EVENTS_RECEIVED.follow(total["events"])
        for reason in _ODD:
            metrics.INTAKE_ODD.follow(total[reason], reason)
        for reason in _REFUSED:
            metrics.INTAKE_REFUSED.follow(total[reason], reason)

    return copy


def follow_alarms(book: AlarmBook) -> Callable[[], None]:
    """Return what counts the alarms that stand, as their gateway knows them, and the conditions not followed."""

    def copy() -> None:
        standing = Counter(alarm.urgency for alarm in book.open() if alarm.standing)
        for urgency in Urgency:
            metrics.ALARMS_STANDING.set(standing[urgency], urgency.value)
        metrics.ALARMS_REFUSED.follow(book.refused)

    return copy


def follow_hub(hub: Hub) -> Callable[[], None]:
    """Return what copies what the live view's browsers get."""

    def copy() -> None:
        metrics.LIVE_CLIENTS.set(len(hub.clients))
        metrics.LIVE_SENT.follow(hub.sent)
        metrics.LIVE_CONFLATED.follow(hub.conflated)

    return copy


def follow_vehicles(leases: Mapping[str, object], held: Mapping[str, Held]) -> Callable[[], None]:
    """Return what copies how many vehicles a gateway holds and hears, and what their links have not used."""

    def copy() -> None:
        metrics.VEHICLES_HELD.set(len(leases))
        heard = Counter(each.vehicle["kind"] for each in held.values() if each.link.state().connected)
        for kind in _KINDS:
            metrics.VEHICLES_CONNECTED.set(heard[kind], kind)
        # A link that has gone takes its counts along; the counter never goes down.
        unused: Counter[str] = Counter()
        for each in held.values():
            unused.update(getattr(each.link, "counts", {}))
        for reason, count in unused.items():
            metrics.LINK_UNUSED.follow(count, reason)

    return copy


@contextmanager
def timed(durations: metrics.Durations, *labels: str) -> Iterator[None]:
    """Measure what is done inside; what fails counts too."""
    began = time.monotonic()
    try:
        yield
    finally:
        durations.observe(time.monotonic() - began, *labels)

"""What the service counts and measures of itself, for Prometheus.

Each process counts for itself, with its name as the label ``process``; what is read from the database is of the
whole service and has no such label. Names follow https://prometheus.io/docs/practices/naming/: base units,
``_total`` for what only grows. Nothing is labelled with a vehicle, an order or a user: the number of series is
bounded by the number of processes, routes and states. ``fleet.metrics_share.share`` goes before this is imported.
"""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from fleet.metrics_share import SharedMetrics, is_shared, own_name
from fleet.version import VERSION

REGISTRY = CollectorRegistry()
"""The metrics of this process alone: what is shown of a process that does not share."""

_PROCESS = own_name()
_LAG_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_WRITE_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
_PLAN_S = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Counts:
    """A counter of this process. It may also follow a count that is kept elsewhere."""

    def __init__(self, name: str, text: str, labels: tuple[str, ...] = ()) -> None:
        self._counter = Counter(name, text, ("process", *labels), registry=REGISTRY)
        self._seen: dict[tuple[str, ...], float] = {}

    def inc(self, *labels: str, by: float = 1.0) -> None:
        """Count one more, or ``by`` more."""
        self._counter.labels(_PROCESS, *labels).inc(by)

    def follow(self, count: float, *labels: str) -> None:
        """Bring the counter up to a count that began at 0 with the process."""
        more = count - self._seen.get(labels, 0.0)
        self._seen[labels] = count
        self.inc(*labels, by=max(0.0, more))


class Level:
    """A gauge of this process, gone with it."""

    def __init__(self, name: str, text: str, labels: tuple[str, ...] = ()) -> None:
        self._gauge = Gauge(name, text, ("process", *labels), registry=REGISTRY, multiprocess_mode="livesum")

    def set(self, value: float, *labels: str) -> None:
        """Set it."""
        self._gauge.labels(_PROCESS, *labels).set(value)


class Durations:
    """Durations in seconds, of this process."""

    def __init__(self, name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> None:
        self._histogram = Histogram(name, text, ("process", *labels), registry=REGISTRY, buckets=buckets)

    def observe(self, seconds: float, *labels: str) -> None:
        """Add one."""
        self._histogram.labels(_PROCESS, *labels).observe(seconds)


def _of_service(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
    return Gauge(name, text, labels, registry=REGISTRY, multiprocess_mode="livesum")


# Every process.
BUILD = Level("todoke_build_info", "1, with the version of the code that a process runs", ("version",))
STARTED = Level("todoke_process_started_timestamp_seconds", "When a process began, as Unix time")
CPU = Counts("todoke_process_cpu_seconds_total", "Processor time that a process has used")
MEMORY = Level("todoke_process_resident_memory_bytes", "Memory that a process holds")
LOOP_LAG = Durations("todoke_loop_lag_seconds", "How late a process's event loop comes to what is due", _LAG_S)
BUS_CONNECTED = Level("todoke_bus_connected", "1 while a process is connected to the MQTT broker")
BUS_RECONNECTS = Counts("todoke_bus_reconnects_total", "Connections to the MQTT broker after the first one")
BUS_RECEIVED = Counts("todoke_bus_messages_received_total", "Messages that have come from the MQTT broker")
BUS_DROPPED = Counts("todoke_bus_messages_dropped_total", "Messages from the bus that nobody got", ("reason",))
BUS_MALFORMED = Counts("todoke_bus_malformed_total", "Messages from the bus that could not be read")

# Gateways: what vehicles say, on its way into the store.
SAMPLES_RECEIVED = Counts("todoke_samples_received_total", "Samples and events given to a gateway's writer")
SAMPLES_STORED = Counts("todoke_samples_stored_total", "Samples and events written to the database")
SAMPLES_SPOOLED = Counts("todoke_samples_spooled_total", "Samples that had to wait on disk")
SAMPLES_DROPPED = Counts("todoke_samples_dropped_total", "Samples lost: memory and spool were full")
SAMPLES_REJECTED = Counts("todoke_samples_rejected_total", "Samples that cannot be stored by nature")
EVENTS_RECEIVED = Counts("todoke_vehicle_events_received_total", "Events that the intake has taken")
INTAKE_ACCEPTED = Counts("todoke_intake_accepted_total", "Samples that the intake has taken")
INTAKE_ODD = Counts("todoke_intake_odd_total", "Samples taken of which something was odd", ("reason",))
INTAKE_REFUSED = Counts("todoke_intake_refused_total", "Samples and messages not taken", ("reason",))
LINK_UNUSED = Counts("todoke_link_messages_unused_total", "Messages of vehicles that a link has not used", ("reason",))
SAMPLES_WAITING = Level("todoke_samples_waiting", "Back-pressure: samples that wait in memory for the database")
OLDEST_UNSAVED = Level("todoke_samples_oldest_unsaved_seconds", "Age of the oldest sample neither stored nor on disk")
WRITE_DURATION = Durations("todoke_sample_write_duration_seconds", "Time to write a batch of samples", _WRITE_S)
SPOOL_BATCHES = Level("todoke_spool_batches", "Batches that wait on disk")
SPOOL_BYTES = Level("todoke_spool_bytes", "Bytes that wait on disk")
SPOOL_LIMIT = Level("todoke_spool_limit_bytes", "Bytes that the spool may take")
DATABASE_DOWN = Level("todoke_database_down", "1 while a gateway's writer cannot reach the database")
VEHICLES_HELD = Level("todoke_vehicles_held", "Vehicles whose lease a gateway holds")
VEHICLES_CONNECTED = Level("todoke_vehicles_connected", "Vehicles that a gateway hears", ("kind",))
TICK_DURATION = Durations("todoke_gateway_tick_duration_seconds", "Time of one round of a gateway's loop", _LAG_S)
COMMANDS = Counts("todoke_commands_total", "Commands to vehicles by what became of them", ("kind", "outcome"))
ALARMS_REFUSED = Counts(
    "todoke_alarm_conditions_refused_total", "Looks at conditions beyond what is followed of one source"
)
ALARMS_STANDING = Level("todoke_alarms_standing", "Alarms that stand, as a gateway knows them", ("urgency",))

# The process that asks a receiver of manned aircraft, where there is one.
AIRCRAFT = Level("todoke_manned_aircraft_near", "Manned aircraft near the regions, as the receiver sees them")
AIRCRAFT_UNUSED = Counts("todoke_manned_aircraft_unused_total", "Entries of the receiver that say too little")
AIRCRAFT_POLLS = Counts("todoke_manned_aircraft_polls_total", "Questions to the receiver", ("outcome",))
AIRCRAFT_SILENT = Level("todoke_manned_aircraft_silent_seconds", "Time since the receiver's last new word")

# The api.
REQUESTS = Counts("todoke_http_requests_total", "Requests answered", ("method", "route", "status"))
REQUEST_DURATION = Durations(
    "todoke_http_request_duration_seconds", "Time to answer a request", _REQUEST_S, ("method", "route")
)
LIVE_CLIENTS = Level("todoke_live_clients", "Browsers that follow the live view")
LIVE_SENT = Counts("todoke_live_messages_sent_total", "Messages sent to browsers")
LIVE_CONFLATED = Counts("todoke_live_changes_conflated_total", "Changes that a browser got only with a later one")

# The planner.
PLANNING_RUNS = Counts("todoke_planning_runs_total", "Planning runs by how they ended", ("outcome",))
PLANNING_DURATION = Durations("todoke_planning_duration_seconds", "Time of one planning run", _PLAN_S)

# Of the whole service, read from the database by one process.
BOOKS_READ = _of_service("todoke_books_read_timestamp_seconds", "When the database was last counted, as Unix time")
PLANNING_QUEUE = _of_service("todoke_planning_queue_length", "Planning runs that wait for a planner")
ORDERS = _of_service("todoke_orders", "Orders by state; of those that are over, of the last day", ("state",))
MISSIONS = _of_service("todoke_missions", "Missions by state; of those that are over, of the last day", ("state",))
ALARMS_OPEN = _of_service("todoke_alarms_open", "Alarms in the books that are not over, by urgency", ("urgency",))
VEHICLES_REGISTERED = _of_service("todoke_vehicles_registered", "Vehicles of the fleet that are not retired")
LEASES_HELD = _of_service("todoke_leases_held", "Vehicles that some gateway holds by a lease")


def begin(started_at: float) -> None:
    """Say what this process is; ``started_at`` is Unix time."""
    BUILD.set(1, VERSION)
    STARTED.set(started_at)


def exposition(home: Path) -> bytes:
    """Return the metrics of all processes of ``home`` as text; of this one alone when it does not share."""
    if not is_shared():
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    registry.register(SharedMetrics(home))
    return generate_latest(registry)

"""What it costs to watch the vehicles of a full gateway: every monitor, five looks a second each."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from fleet.gateway import MAX_VEHICLES
from fleet.watched import APART, Surroundings, WatchedVehicle, course_of, under_way
from hardware.link import VehicleState
from telemetry.monitors.monitor import place_of
from telemetry.monitors.traffic import Flying, too_close
from telemetry.monitors.zones import ZoneBreach
from tests.benchmarks.figures import Figure
from tests.flown import Flown, flown, many_zones, state_of
from tests.problems import DRONE

LOOKS_HZ = 5
ROUNDS = 3
SECONDS = 40
VEHICLES = 300
"""Vehicles in the air around, those of other gateways among them."""


def _watch_s(flight: Flown, surroundings: Surroundings) -> float:
    """CPU seconds for each second of a full gateway in flight, without the traffic."""
    samples = flight.airborne()[200 : 200 + SECONDS * LOOKS_HZ]
    states: list[VehicleState] = [state_of(sample) for sample in samples]
    row, home = flight.row, flight.region.site("hub-1")
    fleet = []
    for number in range(MAX_VEHICLES):
        vehicle = WatchedVehicle(DRONE, home.position, surroundings)
        vehicle.course = course_of(row, DRONE, frame=flight.frame, site=home.name_ja, temperature_c=20.0)
        fleet.append((vehicle, [replace(sample, vehicle_id=f"drone-{number}") for sample in samples]))
    began_s = time.process_time()
    for number, state in enumerate(states):
        for vehicle, theirs in fleet:
            sample = theirs[number]
            vehicle.take(sample)
            vehicle.feed(state.activity, now=sample.t, watches=under_way(row, state, DRONE))
            vehicle.look(state, row, None, sample.t)
    return (time.process_time() - began_s) / SECONDS


def _traffic_s() -> float:
    """CPU seconds for each second of comparing a gateway's vehicles with all others."""
    rng = np.random.default_rng(2)
    places = np.column_stack((rng.uniform(0.0, 10_000.0, (VEHICLES, 2)), rng.uniform(100.0, 150.0, VEHICLES)))
    around = [
        Flying(f"drone-{i}", 0.0, (east, north, alt_m), (5.0, 5.0, 0.0))
        for i, (east, north, alt_m) in enumerate(places.tolist())
    ]
    began_s = time.process_time()
    for _ in range(SECONDS * LOOKS_HZ):
        too_close(around[:MAX_VEHICLES], around, now_s=0.0, apart=APART)
    return (time.process_time() - began_s) / SECONDS


def _zone_s(flight: Flown, surroundings: Surroundings) -> float:
    """Seconds for a sample among many zones."""
    monitor = ZoneBreach(surroundings.closed, DRONE)
    samples = [sample for sample in flight.airborne() if place_of(sample, flight.frame) is not None]
    began_s = time.process_time()
    for sample in samples:
        monitor.take(sample)
    return (time.process_time() - began_s) / len(samples)


def measure() -> list[Figure]:
    """Measure in turn; the best of the rounds counts, since others use the machine too."""
    flight = flown()
    region = replace(flight.region, zones=(*flight.region.zones, *many_zones(flight.region)))
    began_s = time.perf_counter()
    surroundings = Surroundings.of(region)
    prepared_s = time.perf_counter() - began_s
    watch_s = min(_watch_s(flight, surroundings) for _ in range(ROUNDS))
    traffic_s = min(_traffic_s() for _ in range(ROUNDS))
    zone_s = min(_zone_s(flight, surroundings) for _ in range(ROUNDS))
    return [
        Figure("watching a full gateway", 100.0 * (watch_s + traffic_s), "% of a core", aim="<= 10"),
        Figure("watching traffic of 300", 100.0 * traffic_s, "% of a core", aim="<= 5"),
        Figure("watching 500 zones", 1e6 * zone_s, "us/sample", aim="<= 100"),
        Figure("watching prepares 500 zones", 1e3 * prepared_s, "ms"),
    ]

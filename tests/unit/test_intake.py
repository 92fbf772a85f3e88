"""What the intake makes of samples: kept, put in their place, counted, thinned."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.clock import Clock
from telemetry.event import VehicleEvent
from telemetry.intake import REASONS, Intake, IntakeLimits
from telemetry.sample import Sample

T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
T_MS = int(T.timestamp() * 1000)


class Stored:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.events: list[VehicleEvent] = []

    def put(self, sample: Sample) -> None:
        self.samples.append(sample)

    def put_event(self, event: VehicleEvent) -> None:
        self.events.append(event)


class World:
    """An intake whose wall clock the test moves; ``say`` puts a sample at the wall time of now."""

    def __init__(self, speed: float = 1.0, limits: IntakeLimits | None = None) -> None:
        self.wall_s = 1000.0
        self.speed = speed
        self.stored = Stored()
        self.heard: list[Sample] = []
        self.intake = Intake(
            self.stored,
            Clock(T, T, speed),
            listeners=[self.heard.append],
            limits=limits,
            monotonic=lambda: self.wall_s,
        )

    @property
    def now(self) -> datetime:
        return T + timedelta(seconds=(self.wall_s - 1000.0) * self.speed)

    def say(self, vehicle_ms: int, *, lat_e7: int | None = None, vehicle_id: str = "d1") -> Sample:
        place = vehicle_ms if lat_e7 is None else lat_e7
        sample = Sample(vehicle_id, self.now, 1, vehicle_ms, lat_e7=place % 2**31)
        self.intake.put(sample)
        return sample

    def flow(self, seconds: float, *, first_ms: int, hz: float = 5.0, vehicle_id: str = "d1") -> int:
        """Let a vehicle send for a while; return its clock at the end."""
        ms = first_ms
        for _ in range(round(seconds * hz)):
            self.wall_s += 1 / hz
            ms += round(1000 * self.speed / hz)
            self.say(ms, vehicle_id=vehicle_id)
        return ms

    def count(self, reason: str, vehicle_id: str = "d1") -> int:
        return self.intake.counts().vehicles[vehicle_id].counts[reason]


@pytest.fixture
def world() -> World:
    return World()


def test_what_comes_in_order_is_stored_and_told_as_it_is(world: World) -> None:
    world.flow(10, first_ms=0)

    assert len(world.stored.samples) == 50
    assert world.heard == world.stored.samples
    counts = world.intake.counts().vehicles["d1"]
    assert counts.counts["accepted"] == 50
    assert sum(counts.counts.values()) == 50
    assert counts.rate_hz == pytest.approx(5.0, rel=0.3)
    assert (counts.clock_off_s, counts.flooding) == (None, False)


def test_the_same_datagram_twice_is_stored_once(world: World) -> None:
    ms = world.flow(1, first_ms=0)
    world.say(ms)
    world.say(ms - 200)

    assert (len(world.stored.samples), world.count("duplicate")) == (5, 2)


def test_another_content_at_the_same_time_of_the_vehicle_is_kept(world: World) -> None:
    ms = world.flow(1, first_ms=0)
    world.say(ms, lat_e7=7)

    assert (len(world.stored.samples), world.count("duplicate")) == (6, 0)


def test_an_overtaken_sample_is_stored_in_its_place_and_told_to_nobody(world: World) -> None:
    ms = world.flow(1, first_ms=0)
    newest = world.stored.samples[-1]
    world.wall_s += 0.1
    world.say(ms - 100)

    placed = world.stored.samples[-1]
    assert newest.t - placed.t == timedelta(milliseconds=100)
    assert world.heard[-1] == newest
    assert (world.count("out_of_order"), world.count("accepted")) == (1, 6)


def test_what_was_held_up_on_the_way_is_late_and_stored_as_received(world: World) -> None:
    ms = world.flow(5, first_ms=0)
    world.wall_s += 8.0
    for number in range(1, 41):
        world.say(ms + 200 * number)

    assert len(world.stored.samples) == 65
    assert world.stored.samples[-1].t == world.now
    # The last ten of the backlog were under way for less than the bound.
    assert 25 <= world.count("late") <= 35
    assert (world.count("clock_jump"), world.count("out_of_order")) == (0, 0)


@pytest.mark.parametrize("by_ms", [60_000, 3_600_000, -5_000, -3_600_000])
def test_a_clock_of_dates_that_jumps_is_counted_and_said_once(world: World, by_ms: int) -> None:
    ms = world.flow(5, first_ms=T_MS)
    world.flow(5, first_ms=ms + by_ms)

    assert (len(world.stored.samples), world.count("clock_jump")) == (50, 1)
    (event,) = world.stored.events
    assert (event.kind, event.severity) == ("clock", 4)
    assert f"{by_ms / 1000:+.1f} s" in event.text


def test_an_autopilot_that_boots_begins_at_nothing_and_goes_on(world: World) -> None:
    world.flow(5, first_ms=500_000)
    world.flow(5, first_ms=0)

    assert (len(world.stored.samples), world.count("clock_jump")) == (50, 1)
    assert world.stored.events == [], "the link says that it booted"


def test_two_clocks_that_alternate_are_counted_and_said_rarely(world: World) -> None:
    for number in range(100):
        world.wall_s += 0.1
        world.say(T_MS + 100 * number + (500_000 if number % 2 else 0))

    assert world.count("clock_jump") >= 90
    assert len(world.stored.events) == 1


def test_a_robot_whose_clock_is_wrong_is_counted_and_its_error_known(world: World) -> None:
    world.flow(5, first_ms=T_MS + 30_000)
    world.flow(5, first_ms=T_MS + 5_000, vehicle_id="r2")

    vehicles = world.intake.counts().vehicles
    assert vehicles["d1"].clock_off_s == pytest.approx(30.0)
    assert vehicles["d1"].counts["wrong_clock"] == 25
    assert vehicles["r2"].clock_off_s == pytest.approx(0.0, abs=0.01)
    assert vehicles["r2"].counts["wrong_clock"] == 0


def test_a_slow_lockstep_simulation_is_neither_late_nor_jumping() -> None:
    world = World(speed=10.0)
    ms = 0
    for _ in range(500):
        world.wall_s += 0.02
        ms += 130  # instead of 200
        world.say(ms)

    assert world.count("accepted") == 500
    assert (world.count("late"), world.count("clock_jump")) == (0, 0)


def test_one_that_floods_is_thinned_to_its_share_and_the_others_lose_nothing(world: World) -> None:
    for ms in range(10_000):
        world.wall_s += 0.001
        world.say(ms, vehicle_id="mad")
        if ms % 100 == 0:
            world.say(ms, vehicle_id="d1")

    counts = world.intake.counts().vehicles
    assert counts["d1"].counts["accepted"] == 100
    assert counts["mad"].counts["accepted"] == pytest.approx(100 * 10 + 200, rel=0.02)
    assert counts["mad"].counts["flooded"] + counts["mad"].counts["accepted"] == 10_000
    assert (counts["mad"].flooding, counts["d1"].flooding) == (True, False)
    assert counts["mad"].rate_hz == pytest.approx(1000, rel=0.05)


def test_a_share_grows_with_the_speed_of_the_clock() -> None:
    world = World(speed=10.0)

    world.flow(10, first_ms=0, hz=500)

    assert (world.count("flooded"), len(world.stored.samples)) == (0, 5000)


def test_a_flood_that_is_over_is_no_flood(world: World) -> None:
    ms = world.flow(3, first_ms=0, hz=1000)
    assert world.intake.counts().vehicles["d1"].flooding
    world.flow(5, first_ms=ms, hz=5)

    assert not world.intake.counts().vehicles["d1"].flooding


def test_a_silent_vehicle_has_no_rate(world: World) -> None:
    world.flow(5, first_ms=0)
    world.wall_s += 100

    assert world.intake.counts().vehicles["d1"].rate_hz < 0.1


def test_a_talkative_vehicle_does_not_hide_that_it_was_lost(world: World) -> None:
    for number in range(1000):
        world.intake.put_event(VehicleEvent("d1", T, 6, f"text {number}"))
    lost = VehicleEvent("d1", T, 4, "not heard", "lost")
    world.intake.put_event(lost)

    assert world.stored.events[-1] == lost
    assert len(world.stored.events) <= 53
    assert world.count("events") + world.count("events_dropped") == 1001


def test_what_is_forgotten_stays_in_the_totals_and_takes_no_memory(world: World) -> None:
    for number in range(1000):
        world.flow(1, first_ms=0, vehicle_id=f"d{number}")
        world.intake.forget(f"d{number}")
    world.intake.forget("never heard of")

    counts = world.intake.counts()
    assert counts.vehicles == {}
    assert counts.total["accepted"] == 5000


@given(
    st.lists(
        st.tuples(st.integers(0, 2000), st.integers(-(2**40), 2**42) | st.integers(0, 5000), st.integers(0, 3)),
        max_size=80,
    )
)
def test_whatever_comes_each_sample_is_stored_or_counted_as_dropped(said: list[tuple[int, int, int]]) -> None:
    world = World(limits=IntakeLimits(samples_hz=5.0, burst=10))
    for wait_ms, vehicle_ms, content in said:
        world.wall_s += wait_ms / 1000
        world.say(vehicle_ms, lat_e7=content)

    total = world.intake.counts().total
    assert total["accepted"] == len(world.stored.samples)
    assert total["accepted"] + total["duplicate"] + total["flooded"] == len(said)
    assert set(REASONS) <= set(total)
    # The newest that listeners know is the newest in the store: nothing old replaces it.
    if world.heard:
        newest = max(world.stored.samples, key=lambda sample: sample.t)
        assert newest.t == world.heard[-1].t
    assert world.heard == [replace(sample) for sample in world.stored.samples if sample in world.heard]

"""What a vehicle says, as one state and as samples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hardware.link import Activity
from hardware.mavlink import messages as msg
from hardware.mavlink.messages import Message
from hardware.mavlink.observer import MAX_FAULTS, Observer
from telemetry.sample import Sample

NOW = datetime(2026, 4, 1, tzinfo=UTC)
ARM_READY = 0x1000_0000


def heartbeat(main: int, sub: int = 0, *, armed: bool = True, status: int = 4) -> msg.Heartbeat:
    return msg.Heartbeat(main << 16 | sub << 24, 2, 12, armed, status)


def position(ms: int = 1000, *, heading: int | None = 9000) -> msg.GlobalPosition:
    return msg.GlobalPosition(ms, 350_000_001, 1_350_000_002, 123_456, 23_456, 300, -400, 5, heading)


def text(words: str, *, severity: int = 3, text_id: int = 0, chunk: int = 0, ends: bool = True) -> msg.StatusText:
    return msg.StatusText(severity, words, text_id, chunk, ends)


def told(*said: Message) -> Observer:
    observer = Observer("d1")
    for message in said:
        observer.take(message, NOW)
    return observer


@pytest.mark.parametrize(
    ("said", "landed", "activity", "mode"),
    [
        (heartbeat(4, 4), 2, Activity.MISSION, "AUTO.MISSION"),
        (heartbeat(4, 2), 3, Activity.TAKEOFF, "AUTO.TAKEOFF"),
        (heartbeat(4, 3), 2, Activity.HOLD, "AUTO.LOITER"),
        (heartbeat(4, 5), 2, Activity.RETURN, "AUTO.RTL"),
        (heartbeat(4, 6), 4, Activity.LAND, "AUTO.LAND"),
        (heartbeat(4, 9), 4, Activity.LAND, "AUTO.PRECLAND"),
        (heartbeat(3), 2, Activity.MANUAL, "POSCTL"),
        (heartbeat(6), 2, Activity.MANUAL, "OFFBOARD"),
        (heartbeat(4, 77), 2, Activity.UNKNOWN, "AUTO.77"),
        (heartbeat(99), 2, Activity.MANUAL, "MODE99"),
        (heartbeat(4, 4, armed=False), 1, Activity.IDLE, "AUTO.MISSION"),
        (heartbeat(4, 4, armed=False), 2, Activity.FAULT, "AUTO.MISSION"),
        (heartbeat(4, 4, status=8), 2, Activity.FAULT, "AUTO.MISSION"),
    ],
)
def test_activity_follows_the_mode_and_whether_it_flies(
    said: msg.Heartbeat, landed: int, activity: Activity, mode: str
) -> None:
    state = told(said, msg.ExtendedSysState(landed)).state()

    assert (state.activity, state.mode) == (activity, mode)


def test_nothing_heard_is_nothing_claimed() -> None:
    state = Observer("d1").state()

    assert (state.connected, state.activity, state.ready, state.position) == (False, Activity.UNKNOWN, False, None)
    assert state.battery_pct is None


def test_each_position_makes_one_sample_with_the_latest_of_the_rest() -> None:
    observer = told(
        heartbeat(4, 4),
        msg.ExtendedSysState(2),
        msg.BatteryStatus(0, 22_200, 81, 1_530),
        msg.SysStatus(0, 0, ARM_READY, 22_000, 70),
        msg.GpsRaw(6, 17, 900, 1_500),
        msg.Attitude(990, 120, -340),
        msg.Wind(250, -130),
    )

    first = observer.take(position(1000), NOW)
    second = observer.take(position(1200, heading=None), NOW + timedelta(seconds=0.2))

    assert first == Sample(
        vehicle_id="d1",
        t=NOW,
        seq=1,
        vehicle_ms=1000,
        lat_e7=350_000_001,
        lon_e7=1_350_000_002,
        alt_amsl_cm=12_346,
        alt_home_cm=2_346,
        vel_n_cms=300,
        vel_e_cms=-400,
        vel_d_cms=5,
        heading_cdeg=9000,
        battery_pct_x10=810,
        voltage_mv=22_200,
        current_ca=1_530,
        roll_cdeg=120,
        pitch_cdeg=-340,
        wind_n_cms=250,
        wind_e_cms=-130,
        mode="AUTO.MISSION",
        armed=True,
        on_ground=False,
        extra={"gps_fix": 6, "satellites": 17, "gps_accuracy_mm": 900, "gps_alt_accuracy_mm": 1_500},
    )
    assert second is not None
    assert (second.seq, second.vehicle_ms, second.heading_cdeg) == (2, 1200, None)


def test_a_sample_says_nothing_that_the_vehicle_has_not_said() -> None:
    sample = told().take(position(), NOW)

    assert sample is not None
    assert (sample.battery_pct_x10, sample.voltage_mv, sample.mode, sample.armed) == (None, None, None, None)
    assert (sample.on_ground, sample.step, sample.extra) == (None, None, {})


def test_the_state_is_in_the_units_that_it_names() -> None:
    state = told(position()).state()

    assert state.position is not None
    assert (state.position.lat, state.position.lon, state.position.alt_amsl_m) == (35.0000001, 135.0000002, 123.456)
    assert (state.heading_deg, state.speed_mps) == (90.0, 5.0)


def test_battery_status_counts_before_sys_status_while_it_comes() -> None:
    system = msg.SysStatus(0, 0, 0, 22_000, 70)
    observer = told(position(1000), msg.BatteryStatus(0, 22_200, 81), msg.BatteryStatus(1, 5_000, 10), system)
    assert observer.state().battery_pct == 81

    observer.take(position(60_000), NOW)

    assert observer.state().battery_pct == 70


def test_ready_is_the_prearm_bit_of_a_connected_vehicle() -> None:
    observer = told(msg.SysStatus(0, 0, ARM_READY, None, None))
    assert not observer.state().ready

    observer.connected = True

    assert observer.state().ready


def test_on_the_ground_is_guessed_from_arming_only_until_it_is_said() -> None:
    assert told(heartbeat(4, 3, armed=False)).state().on_ground
    assert not told(heartbeat(4, 3, armed=True)).state().on_ground
    assert told(heartbeat(4, 3, armed=True), msg.ExtendedSysState(1)).state().on_ground


def test_warnings_and_worse_are_faults_in_the_vehicles_words_newest_last() -> None:
    state = told(text("low battery", severity=4), text("chatter", severity=6), text("motor 3", severity=0)).state()

    assert state.faults == ("low battery", "motor 3")


def test_a_text_in_pieces_is_one_fault_whatever_their_order() -> None:
    observer = told(
        text("Arming denied: Resolve system health failures", text_id=5, ends=False),
        text("other", text_id=6, chunk=0, ends=False),
        text(" first", text_id=5, chunk=1),
    )

    assert observer.state().faults == ("Arming denied: Resolve system health failures first",)


def test_texts_that_never_end_and_repetitions_are_bounded() -> None:
    observer = Observer("d1")
    for number in range(1000):
        observer.take(text(f"part {number}", text_id=number + 1, ends=False), NOW)
        observer.take(text("again"), NOW)
        observer.take(text(f"fault {number}") if number % 100 == 0 else text("again"), NOW)

    assert len(observer.state().faults) == MAX_FAULTS
    assert len(observer._open_texts) <= 8


def test_faults_since_a_moment_are_only_the_newer_ones() -> None:
    observer = told(text("old"))
    moment = observer.texts
    observer.take(text("new"), NOW)

    assert observer.faults_since(moment) == ("new",)


def test_a_fault_said_again_is_one_fault_and_counts_as_said_since() -> None:
    observer = told(text("same"))
    moment = observer.texts
    observer.take(text("same"), NOW)

    assert observer.state().faults == ("same",)
    assert observer.faults_since(moment) == ("same",)


def test_an_autopilot_that_starts_again_is_noticed_and_its_past_is_forgotten() -> None:
    observer = told(
        position(500_000), msg.ExtendedSysState(2), msg.HomePosition(1, 2, 3), msg.SysStatus(0, 0, ARM_READY, 1, 1)
    )

    observer.take(position(499_900), NOW)
    assert observer.boots == 0, "one datagram overtaken by another is no reboot"
    observer.take(position(2_000), NOW)

    assert observer.boots == 1
    assert (observer.home, observer.landed_known, observer.ready) == (None, False, False)
    assert observer.state().faults == ("the autopilot started again",)


def test_what_is_old_is_not_said_again() -> None:
    observer = told(position(1000), msg.Attitude(1000, 1, 2), msg.Wind(3, 4), msg.BatteryStatus(0, 22_200, 81, 90))

    soon = observer.take(position(2000), NOW)
    later = observer.take(position(60_000), NOW)

    assert soon is not None
    assert later is not None
    assert (soon.roll_cdeg, soon.wind_n_cms, soon.current_ca) == (1, 3, 90)
    assert (later.roll_cdeg, later.wind_n_cms, later.current_ca, later.battery_pct_x10) == (None,) * 4


Told = tuple[int, str, str]


def telling() -> tuple[Observer, list[Told]]:
    said: list[Told] = []
    return Observer("d1", tell=lambda _at, severity, kind, text: said.append((severity, kind, text))), said


def test_changes_are_told_once_and_what_was_before_the_first_word_is_no_change() -> None:
    observer, said = telling()
    for message in (
        heartbeat(4, 3, armed=False), msg.ExtendedSysState(1), heartbeat(4, 3, armed=False),
        heartbeat(4, 4, armed=True), heartbeat(4, 4, armed=True), msg.ExtendedSysState(3), msg.ExtendedSysState(2),
        msg.ExtendedSysState(4), msg.ExtendedSysState(1), heartbeat(4, 4, armed=False),
    ):  # fmt: skip
        observer.take(message, NOW)

    assert said == [
        (6, "mode", "AUTO.LOITER -> AUTO.MISSION"),
        (5, "armed", "armed"),
        (5, "landed", "in the air"),
        (5, "landed", "landed"),
        (5, "armed", "disarmed"),
    ]


def test_status_texts_of_all_severities_are_told_and_no_position_is() -> None:
    observer, said = telling()
    for severity in range(8):
        observer.take(text(f"s{severity}", severity=severity), NOW)
    observer.take(text("x" * 50, severity=255), NOW)
    for number in range(100):
        observer.take(position(1000 + 200 * number), NOW)

    assert said == [(severity, "status", f"s{severity}") for severity in range(8)] + [(7, "status", "x" * 50)]


def test_a_reboot_is_told() -> None:
    observer, said = telling()
    observer.take(position(500_000), NOW)
    observer.take(position(2_000), NOW)

    assert said == [(4, "restarted", "the autopilot started again")]


def test_what_only_this_process_gave_is_no_second_station() -> None:
    observer = told()
    for target in (0, 245, 7):
        observer.see_ack(msg.CommandAck(400, 0, target), 7)
    assert observer.state().conditions == {}

    observer.see_ack(msg.CommandAck(400, 0, 255), 7)

    assert set(observer.state().conditions) == {"second_station"}

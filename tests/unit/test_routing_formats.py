"""Problems and plans as JSON, and orders from CSV."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.errors import BadInput
from routing.formats.json import (
    plan_from_json,
    plan_to_json,
    problem_from_json,
    problem_hash,
    problem_to_json,
    trip_from_json,
    trip_to_json,
)
from routing.formats.orders_csv import MAX_BYTES, MAX_PROBLEMS, MAX_ROWS, BadRows, OrderRow, RowProblem, read_orders
from routing.geo import Position
from routing.plan import Plan, Unserved
from routing.problem import (
    AirborneLimit,
    Category,
    GivenTrip,
    Intent,
    Pack,
    Permit,
    Policy,
    Problem,
    Separation,
    Station,
    Stay,
    TimedPosition,
)
from routing.region.model import AltitudeReference, Period, Restriction, Zone
from routing.solve import solve
from routing.vehicle_type import Airframe
from routing.wind import Wind
from tests.problems import START, drone, minutes, order, problem, random_problem, village

JST = timezone(timedelta(hours=9))
DAY = date(2026, 4, 1)
HEADER = "ref,pickup,dropoff,recipient,goods,mass_kg,volume_l,earliest,latest,priority\n"
GOOD = "A-1,hub-1,drop-5,山田 花子,薬,0.5,2,09:00,11:30,2\n"


def _through_text(data: Any) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


def test_a_problem_comes_back_exactly() -> None:
    made = random_problem(6, seed=1)
    again = problem_from_json(_through_text(problem_to_json(made)), made.region)
    assert again == made
    assert problem_hash(again) == problem_hash(made)


def test_a_plan_and_its_trips_come_back_exactly() -> None:
    plan = solve(problem([order("a"), order("b", "drop-1", mass_kg=4.0), order("c", mass_kg=9.0)]))
    assert len(plan.routes) == 2
    assert plan.unserved[0].final
    assert plan_from_json(_through_text(plan_to_json(plan))) == plan
    trip = plan.routes[0].trips[0]
    assert trip_from_json(_through_text(trip_to_json(trip))) == trip


def test_the_hash_sees_every_part_and_no_time_zone_or_kind_of_number() -> None:
    made = problem([order("a", mass_kg=1.0)])
    same = problem([replace(made.orders[0], mass_kg=1, earliest=START.astimezone(JST))])
    assert problem_hash(same) == problem_hash(made)
    others = [
        replace(made, seed=1),
        replace(made, start=START + timedelta(seconds=1)),
        replace(made, region=village(2)),
        problem([order("a", mass_kg=1.001)]),
        replace(made, vehicles=made.vehicles[:1]),
        replace(made, vehicles=(replace(made.vehicles[0], pad=1), made.vehicles[1])),
        replace(made, wind=Wind(1.0, 0.0)),
        replace(made, separation=Separation(horizontal_m=60.0)),
        replace(made, given=_GIVEN),
    ]
    assert len({problem_hash(other) for other in [made, *others]}) == 10


def test_wind_separation_pads_and_given_trips_come_back_as_they_were() -> None:
    made = replace(
        problem([order("a")], [drone(pad=2)]),
        wind=Wind(1.5, -2.25, 6.0),
        separation=Separation(40.0, 25.0, 10.0, 0.03),
        given=_GIVEN,
    )
    assert problem_from_json(_through_text(problem_to_json(made)), made.region) == made


_GIVEN = (
    GivenTrip(
        "m-1",
        "drone-7",
        (TimedPosition(START, Position(35.5, 138.4, 500.0)), TimedPosition(minutes(1), Position(35.51, 138.4, 510.0))),
        (Stay("drop-5", minutes(2), minutes(3)),),
    ),
    GivenTrip("m-2", "robot-7"),
)


def _full() -> Problem:
    """A problem with something in each of its fields."""
    ring = ((35.5, 138.4), (35.5, 138.5), (35.6, 138.4))
    cold = replace(drone().type, airframe=Airframe.VTOL, capacity_at_c=((-10.0, 0.7), (20.0, 1.0)), compartments=2)
    zone = Zone(
        "z", "event", "祭り", "Fair", ring, 10.0, AltitudeReference.AGL, 900.0, AltitudeReference.AMSL,
        Restriction.CONDITIONAL, ("lane",), (Period(START, None, (5, 6), 540, 1_020),), 35.0,
    )  # fmt: skip
    return replace(
        problem(
            [
                replace(
                    order("a"), release=START, due=minutes(30), late_cost=2.5, service_s=20.0, pickup_s=90.0,
                    temperature="chilled", unserved_cost=1e5,
                )
            ],
            [
                replace(
                    drone(kind=cold), pad=None, shift_end=minutes(300), battery_health=0.9, category=Category.LEVEL_3_5
                )
            ],
        ),
        intents=(Intent("i", ring, 500.0, 600.0, START, minutes(10)),),
        zones=(zone,),
        permits=(Permit("p", ring, 120.0, START, None, 480, 1_080, 540, True, ("t",), ("v",), ("x",), ("z",)),),
        stations=(Station("hub-1", cold.type_id, (Pack("k", 0.8, minutes(5)),), 2),),
        airborne=(AirborneLimit(Category.LEVEL_4, 1),),
        policy=Policy(0.3, True, False, True, 5, False),
        temperature_c=-3.5,
        given=_GIVEN,
    )  # fmt: skip


def test_every_field_of_a_problem_comes_back_as_it_was() -> None:
    made = _full()
    again = problem_from_json(_through_text(problem_to_json(made)), made.region)
    assert again == made
    plain = Problem(made.region, made.orders, made.vehicles, made.start)
    same = {field.name for field in fields(made) if getattr(made, field.name) == getattr(plain, field.name)}
    # What is not different here would not be missed if it were lost.
    assert same <= {"region", "orders", "vehicles", "start", "seed", "max_trips_per_vehicle", "wind", "separation",
                    "pad_times"}  # fmt: skip


def test_a_problem_from_before_there_were_these_fields_has_their_defaults() -> None:
    made = problem([order("a")], [drone()])
    data = _through_text(problem_to_json(made))
    old = {"region_hash", "orders", "vehicles", "start", "seed", "max_trips_per_vehicle", "wind", "separation", "given"}
    data = {name: value for name, value in data.items() if name in old}
    of_order = {"order_id", "pickup_site", "dropoff_site", "mass_kg", "volume_l", "earliest", "latest", "priority"}
    data["orders"] = [{name: value for name, value in each.items() if name in of_order} for each in data["orders"]]
    of_vehicle = {"vehicle_id", "type", "home_site", "available_from", "pad"}
    data["vehicles"] = [{name: v for name, v in each.items() if name in of_vehicle} for each in data["vehicles"]]
    assert problem_from_json(data, made.region) == made


def test_a_trip_with_pads_and_a_pack_comes_back_and_one_without_them_is_read() -> None:
    plan = solve(problem([order("a")], [drone()]))
    trip = replace(plan.routes[0].trips[0], pad=1, landing_pad=2, pack_id="k", return_alt_amsl_m=700.5)
    data = _through_text(trip_to_json(trip))
    assert trip_from_json(data) == trip
    assert trip_from_json({name: data[name] for name in ("trip_id", "legs")}) == plan.routes[0].trips[0]


def _changed(path: tuple[str | int, ...], value: object) -> Any:
    data = problem_to_json(problem([order("a")]))
    spot: Any = data
    for key in path[:-1]:
        spot = spot[key]
    if value is ...:
        del spot[path[-1]]
    else:
        spot[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("orders", 0, "mass_kg"), ..., r"problem\.orders\[0\]\.mass_kg: missing"),
        (("orders", 0, "mass_kg"), "1", r"problem\.orders\[0\]\.mass_kg: must be a number, not text"),
        (("orders", 0, "mass_kg"), True, "must be a number, not true or false"),
        (("orders", 0, "mass_kg"), float("nan"), "must be a finite number"),
        (("orders", 0, "mass_kg"), 10**400, "must be a finite number"),
        (("orders", 0, "earliest"), "2026-04-01T00:00:00", "must be an ISO 8601 time with its zone"),
        (("orders", 0, "earliest"), "0001-01-01T00:00:00+09:00", "must be an ISO 8601 time with its zone"),
        (("orders", 0, "priority"), 1.5, "priority: must be a whole number"),
        (("orders", 0), None, r"problem\.orders\[0\]: must be an object, not null"),
        (("orders",), {}, r"problem\.orders: must be a list, not an object"),
        (("vehicles", 0, "type", "kind"), "boat", r"problem\.vehicles\[0\]\.type\.kind: 'boat' is not known"),
        (("vehicles", 0, "type", "battery_wh"), None, r"problem\.vehicles\[0\]\.type\.battery_wh"),
        (("vehicles", 0, "pad"), 0.5, r"problem\.vehicles\[0\]\.pad: must be a whole number"),
        (("wind",), None, r"problem\.wind: must be an object, not null"),
        (("wind", "east_mps"), "W", r"problem\.wind\.east_mps: must be a number, not text"),
        (("separation", "late"), 1.0, r"problem\.separation\.late: is not known; known are horizontal_m, "),
        (("zones",), [{"zone_id": "z"}], r"problem\.zones\[0\]\.kind: missing"),
        (("permits",), [{"permit_id": "p", "ring": [[1.0]]}], r"problem\.permits\[0\]\.ring\[0\]: must be a list of 2"),
        (("given",), [{}], r"problem\.given\[0\]\.trip_id: missing"),
        (
            ("given",),
            [{"trip_id": "m", "vehicle_id": "d", "track": [{"at": 1}], "stays": []}],
            r"problem\.given\[0\]\.track\[0\]\.lat: missing",
        ),
        (("region_hash",), ..., r"problem\.region_hash: missing"),
        (("region_hash",), "0" * 64, "'000000000000' is not region 'sugigase' as given"),
    ],
)
def test_a_malformed_problem_is_named_by_its_place(path: tuple[str | int, ...], value: object, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        problem_from_json(_changed(path, value), village(1))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON)
def test_anything_else_is_refused_and_never_crashes(data: Any) -> None:
    for read in (plan_from_json, trip_from_json):
        with pytest.raises(BadInput):
            read(data)
    with pytest.raises(BadInput):
        problem_from_json(data, village(1))


@given(_JSON, st.sampled_from(["routes", "unserved", "cost"]))
def test_a_plan_with_one_part_replaced_is_read_or_refused(value: Any, key: str) -> None:
    data = plan_to_json(Plan((), (Unserved("a", "b"),), 1.0)) | {key: value}
    try:
        plan = plan_from_json(data)
    except BadInput:
        return
    assert plan_from_json(plan_to_json(plan)) == plan


def _read(text: str | bytes) -> list[OrderRow]:
    return read_orders(text, village(1), day=DAY, tz=JST)


def _problems(text: str | bytes) -> list[tuple[int, str]]:
    with pytest.raises(BadRows) as caught:
        _read(text)
    return [(found.line, found.column) for found in caught.value.problems]


def test_a_row_becomes_an_order_in_utc() -> None:
    assert _read(HEADER + GOOD) == [
        OrderRow(
            ref="A-1",
            pickup="hub-1",
            dropoff="drop-5",
            recipient="山田 花子",
            goods="薬",
            mass_kg=0.5,
            volume_l=2.0,
            earliest=datetime(2026, 4, 1, 0, 0, tzinfo=UTC),
            latest=datetime(2026, 4, 1, 2, 30, tzinfo=UTC),
            priority=2,
            line=2,
        )
    ]


JAPANESE = (
    "受付番号,集荷,届け先,受取人,品物,重さkg,容積L,から,まで,優先度\r\n"
    "Ａ－１,道の駅　杉ヶ瀬,上ノ沢,髙橋 一郎,米①,０．５,２,９：００,１１：３０,\r\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_a_japanese_spreadsheet_is_understood_in_each_encoding(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(JAPANESE.encode(encoding))
    for source in (file, file.read_bytes()):
        (row,) = read_orders(source, village(1), day=DAY, tz=JST)
        assert (row.pickup, row.dropoff, row.recipient, row.goods) == ("hub-1", "drop-5", "髙橋 一郎", "米①")
        assert (row.mass_kg, row.volume_l, row.priority) == (0.5, 2.0, 0)
        assert row.earliest == datetime(2026, 4, 1, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-04-01T09:00:00+09:00", "2026-04-01T00:00Z", "2026/4/1 9:00", "2026-04-01 09:00:00", "2026-04-01T09:00"],
)
def test_times_may_bring_their_date(text: str) -> None:
    (row,) = read_orders(HEADER + GOOD.replace("09:00", text), village(1), day=DAY, tz=JST)
    assert row.earliest == datetime(2026, 4, 1, 0, 0, tzinfo=UTC)


def test_a_time_of_day_falls_on_the_local_day_of_now() -> None:
    late = datetime(2026, 4, 1, 20, 0, tzinfo=UTC)
    (row,) = read_orders(HEADER + GOOD, village(1), now=late)
    assert row.earliest == datetime(2026, 4, 2, 0, 0, tzinfo=UTC)


def test_a_time_of_day_without_a_day_is_a_problem() -> None:
    with pytest.raises(BadRows, match=r"line 2, earliest: needs a date too"):
        read_orders(HEADER + GOOD, village(1))


def test_columns_come_in_any_sequence_and_optional_ones_may_be_missing() -> None:
    text = "latest,earliest,volume_l,mass_kg,recipient,dropoff,pickup,ref\n11:30,09:00,2,0.5,x,drop-5,hub-1,A-1\n"
    (row,) = _read(text)
    assert (row.goods, row.priority, row.dropoff) == ("", 0, "drop-5")


def test_every_bad_cell_of_every_row_is_reported_at_once() -> None:
    text = HEADER + (
        ",hub-1,drop-5,x,,0.5,2,09:00,11:00,\n"
        "A-2,moon,drop-5,x,,heavy,2,09:00,11:00,\n"
        "A-3,hub-1,drop-5,,,0.5,-2,9 am,11:00,\n"
        "A-4,hub-1,hub-1,x,,0.5,2,09:00,08:00,high\n" + GOOD + GOOD
    )
    assert _problems(text) == [
        (2, "ref"),
        (3, "pickup"),
        (3, "mass_kg"),
        (4, "recipient"),
        (4, "volume_l"),
        (4, "earliest"),
        (5, "priority"),
        (5, "latest"),
        (5, "dropoff"),
        (7, "ref"),
    ]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("0.5", "nan"), ("0.5", "inf"), ("0.5", "0"), ("0.5", "1e9"), ("0.5", "1_0"), ("09:00", "25:00"),
        ("09:00", "2026-02-30 09:00"), ("09:00", "0001-01-01T00:00"), ("09:00", "2026-04-01"),
        ("A-1", "x" * 65), ("山田 花子", "x" * 101), ("薬", "x" * 201), ("山田 花子", '"two\nlines"'),
        (",2\n", ",10\n"),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_is_refused(column: str, value: str) -> None:
    assert len(_problems(HEADER + GOOD.replace(column, value, 1))) == 1


def test_line_numbers_count_lines_of_the_file_not_rows() -> None:
    text = HEADER + '\nA-1,hub-1,drop-5,x,"a\nb",0.5,2,09:00,11:00,\nA-2,moon,drop-5,x,,0.5,2,09:00,11:00,\n'
    assert _problems(text) == [(3, "goods"), (5, "pickup")]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [(0, "ref")]),
        (HEADER, [(0, "")]),
        ("ref,ref\n", [(1, "ref")]),
        (HEADER.replace("goods", "colour") + GOOD, [(1, "colour")]),
        (HEADER + 'A-1,"hub-1"x,drop-5\n', [(2, "")]),
        (HEADER + GOOD.replace("\n", ",surplus\n"), [(2, "")]),
        (b"PK\x03\x04\0\0" * 4, [(0, "")]),
        (b"\xff\xfe\x81\x00" * 4, [(0, "")]),
        ("\0", [(0, "")]),
    ],
)
def test_a_file_that_is_none_is_refused_whole(text: str | bytes, problems: list[tuple[int, str]]) -> None:
    assert _problems(text)[: len(problems)] == problems


def test_one_bad_row_among_good_ones_takes_nothing() -> None:
    rows = "".join(GOOD.replace("A-1", f"A-{i}") for i in range(50))
    assert len(_read(HEADER + rows)) == 50
    assert _problems(HEADER + rows + GOOD.replace("drop-5", "moon")) == [(52, "dropoff"), (52, "ref")]


def test_sizes_and_reports_are_bounded() -> None:
    assert _problems(b"x" * (MAX_BYTES + 1)) == [(0, "")]
    rows = "".join(GOOD.replace("A-1", f"A-{i}") for i in range(MAX_ROWS + 1))
    assert _problems(HEADER + rows) == [(MAX_ROWS + 2, "")]
    bad = "".join(f"A-{i},moon,moon,x,,0,0,1,1,\n" for i in range(1000))
    assert len(_problems(HEADER + bad)) == MAX_PROBLEMS


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRows, match=r"gone\.csv cannot be read"):
        read_orders(tmp_path / "gone.csv", village(1))


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(content: bytes) -> None:
    for source in (content, HEADER.encode() + content):
        rows: list[OrderRow] = []
        problems: tuple[RowProblem, ...] = ()
        try:
            rows = _read(source)
        except BadRows as error:
            problems = error.problems
        assert bool(rows) != bool(problems)

"""Classic benchmark files: what is read from them, and what is said about broken ones."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.errors import BadInput
from routing.formats.vrp.instance import build_instance
from routing.formats.vrp.load import find_instances, load_instance, read_data
from routing.formats.vrp.rules import Objective, Rounding
from routing.formats.vrp.solution import read_solution, solution_text
from routing.search.model import AT_START, SearchRoute
from routing.validate.routes import judge_routes
from tests.shared_data import SHARED, needs

VRP = SHARED / "vrp"

REAL = [
    "cvrp_x/X-n120-k6.vrp",
    "hfvrp/X115-HVRP.vrp",
    "hfvrp/X153-FSMFD.vrp",
    "hfvrp/X266-HD.vrp",
    "mdvrptw/PR11A.vrp",
    "mtvrptwr/C201R0.25.vrp",
    "mtvrptwr/RC2_2_06R0.25.vrp",
    "solomon/C101.txt",
    "homberger_200/c1_2_1.txt",
    "lilim_100/lc101.txt",
    "lilim_100/lc103.txt",
    "lilim_100/lc105.txt",
]
"""One of each kind and each quirk: costs in three units, routes numbered with gaps, a speed of 0, empty reloads."""

HFVRP = """NAME: tiny
COMMENT : anything
TYPE: HFVRP
DIMENSION: 4
VEHICLES: 3
EDGE_WEIGHT_TYPE: EUC_2D
NODE_COORD_SECTION
1 0 0
2 3 4
3 6 8
4 0 1.5
DEMAND_SECTION
1 0
2 5
3 5
4 2
CAPACITY_SECTION
1 10
2 4
3 10
VEHICLES_FIXED_COST_SECTION
1 7
2 3
3 7
VEHICLES_UNIT_DISTANCE_COST_SECTION
1 2
2 1
3 2
DEPOT_SECTION
1
-1
EOF
"""

SOLOMON = """tiny

VEHICLE
NUMBER     CAPACITY
  2         20

CUSTOMER
CUST NO.  XCOORD.   YCOORD.    DEMAND   READY TIME  DUE DATE   SERVICE   TIME

    0      0         0          0          0       100          0
    1      3         4         10          0        50          9
    2      1         1         10         20        50          9
"""

LI_LIM = "2 20 1\n0 0 0 0 0 100 0 0 0\n1 3 4 10 0 50 9 0 2\n2 1 1 -10 0 50 9 1 0\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@needs(*(VRP / name for name in REAL))
@pytest.mark.parametrize("name", REAL)
def test_the_best_known_routes_beside_a_file_are_feasible_and_cost_what_they_say(name: str) -> None:
    instance, reference = load_instance(VRP / name)

    assert reference is not None
    assert reference.confirmed
    report = judge_routes(instance.model, reference.routes)
    assert not report.violations
    # Three HFVRP costs are sums of unrounded distances, in the sixth digit beside sums of thousandths.
    assert instance.printed(report.cost, report.vehicles) == pytest.approx(reference.cost, rel=1e-6)


@needs(*(VRP / name for name in REAL))
@pytest.mark.parametrize("name", REAL)
def test_routes_written_as_a_solution_are_read_back_the_same(name: str, tmp_path: Path) -> None:
    instance, reference = load_instance(VRP / name)
    assert reference is not None

    text = solution_text(instance, reference.routes, reference.cost)
    again = read_solution(write(tmp_path, "again.sol", text))

    assert sorted(instance.routes(again.routes), key=lambda route: route.trips) == sorted(
        reference.routes, key=lambda route: route.trips
    )
    assert again.cost == pytest.approx(reference.cost)


@needs(VRP / "homberger_200/c1_2_1.txt", VRP / "solomon/C101.txt")
def test_the_solution_beside_a_file_tells_what_is_minimised() -> None:
    homberger, best = load_instance(VRP / "homberger_200/c1_2_1.txt")
    solomon, _ = load_instance(VRP / "solomon/C101.txt")

    assert (homberger.rounding, homberger.objective) == (Rounding.NONE, Objective.VEHICLES)
    assert best is not None
    assert best.vehicles == 20
    assert best.cost == pytest.approx(2704.57, abs=0.01)
    assert (solomon.rounding, solomon.objective) == (Rounding.DIMACS, Objective.DISTANCE)


def test_vehicles_that_differ_become_classes_with_their_own_costs(tmp_path: Path) -> None:
    instance = build_instance(read_data(write(tmp_path, "tiny.vrp", HFVRP)))

    model = instance.model
    assert instance.vehicle_class == (0, 1, 0)
    assert model.count.tolist() == [2, 1]
    assert model.capacity[:, 0].tolist() == [10, 4]
    assert model.distance_cost.tolist() == [2, 1]
    assert model.fixed_cost.tolist() == [7_000, 3_000]
    assert model.distance[0, 0, 1] == 5_000
    assert model.pickup.tolist() == [AT_START] * 3
    assert model.max_trips.tolist() == [1, 1]


def test_routes_keep_the_vehicle_that_drives_them_in_a_solution(tmp_path: Path) -> None:
    instance = build_instance(read_data(write(tmp_path, "tiny.vrp", HFVRP)))
    routes = (SearchRoute(1, ((5,),)), SearchRoute(0, ((1, 3),)))

    text = solution_text(instance, routes, 12.5)

    assert text == "Route #1: 1 2\nRoute #2: 3\nRoute #3:\nCost: 12.5\n"


def test_a_solomon_file_counts_in_tenths_and_prints_whole_units(tmp_path: Path) -> None:
    instance = build_instance(read_data(write(tmp_path, "tiny.txt", SOLOMON)))
    routes = instance.routes([(1, 2)])

    report = judge_routes(instance.model, routes)

    # 5.0 + 3.6 + 1.4, each cut to one decimal.
    assert instance.printed(report.cost, report.vehicles) == 10.0
    assert not report.violations


def test_vehicles_first_weighs_a_vehicle_more_than_any_distance(tmp_path: Path) -> None:
    instance = build_instance(read_data(write(tmp_path, "tiny.txt", SOLOMON)), objective=Objective.VEHICLES)
    one = judge_routes(instance.model, instance.routes([(2, 1)]))
    two = judge_routes(instance.model, instance.routes([(1,), (2,)]))

    assert one.cost < two.cost
    assert instance.printed(one.cost, 1) == pytest.approx(10.0)


def test_li_lim_tasks_become_requests_with_both_ends(tmp_path: Path) -> None:
    instance = build_instance(read_data(write(tmp_path, "tiny.txt", LI_LIM)))

    model = instance.model
    assert (model.pickup.tolist(), model.dropoff.tolist()) == ([1], [2])
    assert model.load.tolist() == [[10]]
    assert model.pickup_service.tolist() == [9]
    assert instance.routes([(1, 2)]) == (SearchRoute(0, ((0, 1),)),)


@pytest.mark.parametrize(
    ("shape", "numbers"),
    [
        ("FULL_MATRIX", "0 1 2  1 0 3  2 3 0"),
        ("LOWER_ROW", "1 2 3"),
        ("UPPER_ROW", "1 2 3"),
        ("LOWER_DIAG_ROW", "0 1 0 2 3 0"),
        ("UPPER_DIAG_ROW", "0 1 2 0 3 0"),
        ("LOWER_COL", "1 2 3"),
    ],
)
def test_explicit_distances_in_every_shape(shape: str, numbers: str, tmp_path: Path) -> None:
    text = (
        f"DIMENSION: 3\nCAPACITY: 9\nEDGE_WEIGHT_TYPE: EXPLICIT\nEDGE_WEIGHT_FORMAT: {shape}\n"
        f"EDGE_WEIGHT_SECTION\n{numbers}\nDEMAND_SECTION\n1 0\n2 1\n3 1\nDEPOT_SECTION\n1\n-1\nEOF\n"
    )

    data = read_data(write(tmp_path, "matrix.vrp", text))

    assert data.distance.tolist() == [[0, 1, 2], [1, 0, 3], [2, 3, 0]]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("DIMENSION: 4", "DIMENSION: 5", "NODE_COORD_SECTION: 4 rows of 5; 5 is missing"),
        ("DIMENSION: 4", "DIMENSION: 3", "line 11: NODE_COORD_SECTION: index: 4 must be a whole number from 1 to 3"),
        ("DIMENSION: 4", "DIMENSION: 4.5", "line 4: DIMENSION"),
        ("DIMENSION: 4", "DIMENSION: 99999999", "line 4: DIMENSION"),
        ("DIMENSION: 4\n", "", "DIMENSION is missing"),
        ("2 3 4", "2 nan 4", "line 9: NODE_COORD_SECTION: nan is out of range"),
        ("2 3 4", "2 3", "line 9: NODE_COORD_SECTION: an index and 2 numbers"),
        ("2 3 4", "2 1e300 4", "line 9"),
        ("2 3 4", "1 3 4", "line 9: NODE_COORD_SECTION: 1 comes twice"),
        ("2 5\n", "2 -5\n", "line 14: DEMAND_SECTION: -5 is out of range"),
        ("2 5\n", "2 50\n", "place 2: a demand of 50 is more than any vehicle holds (10)"),
        ("2 5\n", "2 x\n", "line 14: DEMAND_SECTION: 'x' is not a number"),
        ("DEPOT_SECTION\n1", "DEPOT_SECTION\n2", "DEPOT_SECTION: the depots must be the first places"),
        ("CAPACITY_SECTION", "BACKHAUL_SECTION", "line 17: BACKHAUL_SECTION is not supported"),
        ("DEPOT_SECTION\n1\n-1\nEOF\n", "", "cut short"),
        ("EUC_2D", "GEO", "EDGE_WEIGHT_TYPE GEO is not supported"),
        ("TYPE: HFVRP\n", "TYPE: HFVRP\nTYPE: CVRP\n", "line 4: TYPE comes twice"),
        ("NODE_COORD_SECTION", "TIME_WINDOW_SECTION\n1 9 1\n2 0 1\n3 0 1\n4 0 1\nNODE_COORD_SECTION", "place 1: its"),
    ],
)
def test_a_broken_vrplib_file_is_refused_by_file_and_place(old: str, new: str, told: str, tmp_path: Path) -> None:
    path = write(tmp_path, "broken.vrp", HFVRP.replace(old, new, 1))

    with pytest.raises(BadInput) as refused:
        read_data(path)

    assert "broken.vrp" in str(refused.value)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SOLOMON.replace("    2      1 ", "    3      1 "), "line 12: number 3 where 2 is due"),
        (SOLOMON.replace("20        50          9", "20        50"), "line 12: 6 numbers; 7 are needed"),
        (SOLOMON.replace("20        50", "60        50"), "place 3: its time window ends before it begins"),
        (SOLOMON.replace("  2         20", "  2         5"), "more than any vehicle holds"),
        (SOLOMON[: SOLOMON.index("CUST NO.")], "VEHICLE with its numbers and CUSTOMER"),
        (LI_LIM.replace(" 1 0\n", " 0 1\n"), "tasks 1 and 2 are not a pickup and its delivery"),
        (LI_LIM.replace("-10", "-9"), "tasks 1 and 2 are not a pickup and its delivery"),
        (LI_LIM.replace("0 2\n", "0 7\n"), "task 1: it must name"),
        ("2 20 1\n", "no customers"),
        ("hello\n", "neither a VRPLIB, a Solomon nor a Li-Lim file"),
        ("", "neither"),
    ],
)
def test_a_broken_table_is_refused_by_file_and_place(text: str, told: str, tmp_path: Path) -> None:
    path = write(tmp_path, "broken.txt", text)

    with pytest.raises(BadInput) as refused:
        read_data(path)

    assert "broken.txt" in str(refused.value)
    assert told in str(refused.value)


@settings(deadline=None)
@given(cut=st.integers(0, len(HFVRP) - 1), junk=st.sampled_from(["", "\x00", "9", "-", "é", "inf", ":", "\n1"]))
def test_no_cut_and_no_junk_makes_reading_crash(cut: int, junk: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cut", numbered=True)
    for text in (HFVRP, SOLOMON, LI_LIM):
        at = cut % len(text)
        for broken in (text[:at] + junk, text[:at] + junk + text[at:]):
            with suppress(BadInput):
                assert build_instance(read_data(write(folder, "cut.txt", broken))).customers >= 1


def test_a_solution_of_another_instance_is_refused_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, "tiny.vrp", HFVRP)
    write(tmp_path, "tiny.sol", "Route #1: 1 2 77\nCost 10\n")

    with pytest.raises(BadInput, match=r"tiny\.sol: route 1: there is no place 77"):
        load_instance(path)


def test_a_solution_whose_cost_no_rule_gives_is_not_confirmed(tmp_path: Path) -> None:
    path = write(tmp_path, "tiny.vrp", HFVRP)
    write(tmp_path, "tiny.sol", "Route #1: 1 2\nRoute #2: 3\nCost 10\n")

    instance, reference = load_instance(path)

    assert reference is not None
    assert not reference.confirmed
    assert reference.cost == 10
    assert instance.rounding is Rounding.EXACT


def test_under_another_rule_the_best_known_routes_cost_what_they_cost_under_it(tmp_path: Path) -> None:
    path = write(tmp_path, "tiny.txt", SOLOMON)
    write(tmp_path, "tiny.sol", "Route #1: 1 2\nCost 10\n")

    _, published = load_instance(path)
    _, exact = load_instance(path, rounding=Rounding.NONE)

    assert published is not None
    assert exact is not None
    assert (published.cost, published.confirmed) == (10.0, True)
    assert exact.cost == pytest.approx(5.0 + math.sqrt(13) + math.sqrt(2))
    assert exact.confirmed


def test_a_solution_without_a_cost_is_one_with_the_fewest_vehicles(tmp_path: Path) -> None:
    path = write(tmp_path, "tiny.txt", SOLOMON)
    write(tmp_path, "tiny.sol", "Instance name : tiny\nSolution\nRoute 1 : 1 2\n")

    instance, reference = load_instance(path)

    assert (instance.rounding, instance.objective) == (Rounding.NONE, Objective.VEHICLES)
    assert reference is not None
    assert (reference.vehicles, reference.confirmed) == (1, True)


def test_folders_hold_instances_and_not_their_solutions(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    files = [write(tmp_path, "b.vrp", HFVRP), write(tmp_path / "deep", "a.txt", LI_LIM)]
    write(tmp_path, "b.sol", "Route #1: 1\n")

    assert sorted(find_instances([tmp_path, files[0]])) == sorted(files)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=5))
def test_rounding_rules_round_as_their_names_say(values: list[float]) -> None:
    for value in values:
        assert Rounding.ROUND.apply([value])[0] == round(value)
        assert Rounding.DIMACS.apply([value])[0] == math.floor(value * 10)
        assert Rounding.EXACT.apply([value])[0] == round(value * 1_000)
        assert Rounding.NONE.apply([value])[0] == value

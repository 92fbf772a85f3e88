"""``todoke bench vrp``: what is written for each file, and that one bad file does not stop the others."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fleet.cli_bench import bench_app
from fleet.errors import BadRequest
from routing.formats.vrp.instance import build_instance
from routing.formats.vrp.load import read_data
from routing.formats.vrp.solution import read_solution
from routing.validate.routes import judge_routes

# Two customers that fit one vehicle together, and one window that makes the way round matter.
SMALL = """small

VEHICLE
NUMBER     CAPACITY
  3         20

CUSTOMER
CUST NO.  XCOORD.   YCOORD.    DEMAND   READY TIME  DUE DATE   SERVICE   TIME

    0      0         0          0          0       100          0
    1      3         4         10          0        50          9
    2      1         1         10         20        50          9
    3     -6        -8         10          0        50          9
"""

PAIRS = "2 20 1\n0 0 0 0 0 100 0 0 0\n1 3 4 10 0 50 9 0 2\n2 1 1 -10 0 50 9 1 0\n"

TRIPS = """NAME: trips
TYPE: MTVRPTWR
DIMENSION: 4
VEHICLES: 1
CAPACITY: 10
EDGE_WEIGHT_TYPE: EUC_2D
NODE_COORD_SECTION
1 0 0
2 3 4
3 6 8
4 0 1.5
DEMAND_SECTION
1 0
2 6
3 4
4 6
RELEASE_TIME_SECTION
1 0
2 0
3 0
4 30
VEHICLES_RELOAD_DEPOT_SECTION
1 1
DEPOT_SECTION
1
EOF
"""


def bench(folder: Path, *options: str) -> tuple[Result, list[dict[str, Any]]]:
    out = folder / "out.json"
    asked = ["vrp", *options, "--iterations", "2000", "--seconds", "1", "--workers", "1", "--json", str(out)]
    result = CliRunner().invoke(bench_app, asked)
    return result, json.loads(out.read_text()) if out.exists() else []


def files(folder: Path, **texts: str) -> Path:
    made = folder / "instances"
    made.mkdir()
    for name, text in texts.items():
        (made / name.replace("__", ".")).write_text(text)
    return made


def test_costs_gaps_and_routes_are_written_that_anyone_can_recompute(tmp_path: Path) -> None:
    made = files(
        tmp_path,
        small__txt=SMALL,
        small__sol="Route #1: 1 2\nRoute #2: 3\nCost 30\n",
        trips__vrp=TRIPS,
        pairs__txt=PAIRS,
    )

    result, written = bench(tmp_path, str(made), "--sol", str(tmp_path / "sol"))

    assert result.exit_code == 0, result.output
    assert [(row["name"], row["kind"], row["feasible"]) for row in written] == [
        ("pairs", "PDPTW", True),
        ("small", "VRPTW", True),
        ("trips", "MTVRPTWR", True),
    ]
    small = written[1]
    assert (small["cost"], small["best_known"], small["gap_pct"]) == (30.0, 30.0, 0.0)
    assert written[2]["cost"] == 230.0
    for row in written:
        instance = build_instance(read_data(Path(row["file"])))
        solution = read_solution(tmp_path / "sol" / f"{Path(row['file']).stem}.sol")
        report = judge_routes(instance.model, instance.routes(solution.routes))
        assert not report.violations
        assert instance.printed(report.cost, report.vehicles) == pytest.approx(row["cost"], abs=1e-4)
        assert solution.cost == pytest.approx(row["cost"])


def test_one_bad_file_is_named_and_the_others_are_solved(tmp_path: Path) -> None:
    made = files(tmp_path, bad__vrp="NAME: bad\nDIMENSION: x\n", small__txt=SMALL)

    result, written = bench(tmp_path, str(made), str(tmp_path / "nowhere.vrp"))

    assert result.exit_code == 1
    assert [row["name"] for row in written if row["error"]] == ["bad", "nowhere"]
    assert "bad.vrp: cut short" in written[0]["error"]
    assert [row["name"] for row in written if row["feasible"]] == ["small"]


def test_what_cannot_be_served_is_no_solution(tmp_path: Path) -> None:
    made = files(tmp_path, late__txt=SMALL.replace("10          0        50          9\n    2", "10  0  4  9\n    2"))

    result, written = bench(tmp_path, str(made), "--sol", str(tmp_path / "sol"))

    assert result.exit_code == 1
    assert (written[0]["feasible"], written[0]["cost"]) == (False, None)
    assert "no routes for all customers" in written[0]["error"]
    assert not list((tmp_path / "sol").iterdir())


def test_rule_and_objective_can_be_asked_for(tmp_path: Path) -> None:
    made = files(tmp_path, small__txt=SMALL)

    _, rounded = bench(tmp_path, str(made), "--rounding", "round")
    _, fewest = bench(tmp_path, str(made), "--objective", "vehicles", "--rounding", "none")

    # 5 + 4 + 1 and twice 10.
    assert (rounded[0]["rounding"], rounded[0]["cost"]) == ("round", 30.0)
    assert (fewest[0]["objective"], fewest[0]["vehicles"]) == ("vehicles", 2)
    assert fewest[0]["cost"] == pytest.approx(30.0198, abs=1e-3)


def test_the_peer_is_measured_by_the_same_rule(tmp_path: Path) -> None:
    pytest.importorskip("pyvrp")
    made = files(tmp_path, small__txt=SMALL, trips__vrp=TRIPS, pairs__txt=PAIRS)

    result, written = bench(tmp_path, str(made), "--peer", "pyvrp")

    assert result.exit_code == 0, result.output
    assert [row["peer_cost"] for row in written] == [row["cost"] for row in written]


def test_a_peer_that_is_not_installed_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvrp", None)

    result, _ = bench(tmp_path, str(files(tmp_path, small__txt=SMALL)), "--peer", "pyvrp")

    assert isinstance(result.exception, BadRequest)
    assert "PyVRP is not installed" in str(result.exception)


def test_a_model_that_the_peer_cannot_express_is_solved_without_it(tmp_path: Path) -> None:
    pytest.importorskip("pyvrp")
    slow = SMALL.replace("0       100          0\n", "0       100          5\n")

    result, written = bench(tmp_path, str(files(tmp_path, slow__txt=slow)), "--peer", "pyvrp")

    assert result.exit_code == 0, result.output
    assert (written[0]["feasible"], written[0]["peer_cost"]) == (True, None)
    assert "no loading times" in written[0]["peer_error"]


@pytest.mark.parametrize("options", [("--peer", "other"), ("--sol", "/dev/null/x"), ()])
def test_options_that_make_no_sense_are_refused(options: tuple[str, ...], tmp_path: Path) -> None:
    made = files(tmp_path, small__txt=SMALL) if options else tmp_path

    result, _ = bench(tmp_path, str(made), *options)

    assert isinstance(result.exception, BadRequest)

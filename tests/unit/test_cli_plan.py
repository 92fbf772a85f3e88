"""``todoke plan``, ``validate`` and ``replan`` from files: what is written passes, and what is wrong is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fleet.cli import app
from fleet.errors import BadRequest
from routing.region.bundle import save_bundle
from tests.problems import village

RUNNER = CliRunner()

START = "2026-04-01T09:00+09:00"
FLEET = """
[[vehicle]]
id = "d"
type = "multirotor_1kg"
home = "hub-1"
count = 2

[[vehicle]]
id = "r"
type = "sidewalk_robot"
home = "hub-1"
"""
ORDERS = """ref,pickup,dropoff,recipient,goods,mass_kg,volume_l,earliest,latest
A1,hub-1,drop-5,佐藤,薬,0.3,1,09:00,11:00
A2,hub-1,drop-5,鈴木,米,0.9,2,09:00,11:00
A3,hub-1,drop-5,高橋,石,99,2,09:00,11:00
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file beside the region, and return its path."""
    save_bundle(village(), tmp_path / "regions" / village().region_id)

    def work(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    work("fleet.toml", FLEET)
    work("orders.csv", ORDERS)
    return work


def _plan(folder: Path, *more: str, fleet: str = "fleet.toml", orders: str = "orders.csv") -> Result:
    files = ["--region", village().region_id, "--fleet", str(folder / fleet), "--orders", str(folder / orders)]
    out = ["--start", START, "--seconds", "1", "--out", str(folder / "plan.json"), "--home", str(folder)]
    return RUNNER.invoke(app, ["plan", *files, *out, *more])


def _refused(result: Result) -> str:
    assert isinstance(result.exception, BadRequest), result.output
    return str(result.exception)


def test_a_plan_is_written_drawn_explained_and_passes(write: Write, tmp_path: Path) -> None:
    maps = [tmp_path / f"plan.{kind}" for kind in ("html", "png", "geojson")]
    why = tmp_path / "why.json"

    made = _plan(tmp_path, *(f"--map={file}" for file in maps), f"--explain={why}")
    checked = RUNNER.invoke(app, ["validate", str(tmp_path / "plan.json"), "--home", str(tmp_path)])

    assert made.exit_code == checked.exit_code == 0, (made.output, made.exception)
    assert "Served 2 of 3 orders" in " ".join(made.output.split())
    assert "A3: 99 kg is too heavy" in made.output
    assert "Valid" in checked.output
    assert [entry["order_id"] for entry in json.loads(why.read_text())["orders"]] == ["A3"]
    assert all(file.stat().st_size > 1000 for file in maps)


def test_a_plan_that_breaks_a_rule_is_shown_with_what_it_breaks(write: Write, tmp_path: Path) -> None:
    _plan(tmp_path)
    plan = json.loads((tmp_path / "plan.json").read_text())
    for trip in (trip for route in plan["plan"]["routes"] for trip in route["trips"]):
        for leg in trip["legs"]:
            leg["energy_wh"] = 0.0
    write("plan.json", json.dumps(plan))

    checked = RUNNER.invoke(app, ["validate", str(tmp_path / "plan.json"), "--json", str(tmp_path / "v.json"),
                                  "--home", str(tmp_path)])  # fmt: skip

    assert checked.exit_code == 1
    assert {one["rule"].split(".")[0] for one in json.loads((tmp_path / "v.json").read_text())} == {"energy"}


def test_a_new_plan_serves_a_new_order_and_leaves_a_cancelled_one_out(write: Write, tmp_path: Path) -> None:
    _plan(tmp_path)
    new = write("new.csv", ORDERS.splitlines()[0] + "\nB1,hub-1,drop-5,田中,水,0.5,1,09:00,11:30\n")

    done = RUNNER.invoke(
        app,
        ["replan", str(tmp_path / "plan.json"), "--now=2026-04-01T08:59+09:00", f"--orders={new}",
         "--cancel=A2", "--lost=d-2", "--wind=270,1", f"--out={tmp_path / 'again.json'}", "--seconds=1",
         f"--home={tmp_path}"],
    )  # fmt: skip

    assert done.exit_code == 0, (done.output, done.exception)
    again = json.loads((tmp_path / "again.json").read_text())["plan"]
    served = {
        o for route in again["routes"] for trip in route["trips"] for leg in trip["legs"] for o in leg["order_ids"]
    }
    assert served == {"A1", "B1"}
    assert "d-2" not in {route["vehicle_id"] for route in again["routes"]}
    assert "Moved B1" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "vehicle: Field required"),
        ("[[vehicle]", "not TOML"),
        (FLEET.replace("multirotor_1kg", "zeppelin"), "vehicle type 'zeppelin' is not known"),
        (FLEET.replace('"hub-1"', '"hub-x"', 1), "site 'hub-x' is not in region"),
        (FLEET.replace("count = 2", "count = 0"), "vehicle.0.count"),
        (FLEET.replace("count = 2", "wings = 2"), "vehicle.0.wings"),
        (FLEET + '\n[[station]]\nsite = "hub-1"\ntype = "multirotor_1kg"\npacks = 2\n', "station.0.chargers"),
        (FLEET + "\n[wind]\neast_mps = 'strong'\n", "wind.east_mps"),
    ],
)
def test_a_fleet_file_that_makes_no_sense_is_refused_by_place(
    write: Write, tmp_path: Path, text: str, said: str
) -> None:
    write("bad.toml", text)

    assert said in _refused(_plan(tmp_path, fleet="bad.toml"))
    assert not (tmp_path / "plan.json").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bad.csv", ORDERS.replace("0.3", "heavy"), "mass_kg"),
        ("bad.json", '[{"order_id": "A1"}]', "0.pickup_site"),
        ("bad.json", "{", "Invalid JSON"),
        ("none.csv", ORDERS.splitlines()[0], "there are no"),
    ],
)
def test_orders_that_make_no_sense_are_refused_by_place(
    write: Write, tmp_path: Path, name: str, text: str, said: str
) -> None:
    write(name, text)

    assert said in _refused(_plan(tmp_path, orders=name))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "not a plan file"),
        ('{"format": "todoke-plan/1", "region": "x"}', "plan, problem missing"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(write: Write, tmp_path: Path, text: str, said: str) -> None:
    file = write("plan.json", text)

    assert said in _refused(RUNNER.invoke(app, ["validate", str(file), "--home", str(tmp_path)]))


def test_an_unknown_kind_of_map_is_refused_before_anything_is_written(write: Write, tmp_path: Path) -> None:
    assert "must end with" in _refused(_plan(tmp_path, "--map=plan.bmp"))
    assert not (tmp_path / "plan.json").exists()

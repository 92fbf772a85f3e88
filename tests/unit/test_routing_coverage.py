"""Whom a fleet can serve from its hubs: in time, on one battery, by mode, age and municipality."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fleet.cli import main
from routing.coverage import ALL, ANY, ELSEWHERE, Budget, Coverage, coverage
from routing.coverage_picture import draw_coverage
from routing.errors import BadInput
from routing.geo import LocalFrame, Position
from routing.problem import FleetVehicle, Policy
from routing.region.bundle import save_bundle
from routing.region.model import (
    Feature,
    GroundEdge,
    GroundNode,
    Population,
    Region,
    Site,
    SiteKind,
    Terrain,
    WayKind,
    Zone,
)
from routing.vehicle_type import VehicleType
from tests.problems import DRONE, ROAD_ROBOT, ROBOT, START

ORIGIN = Position(35.0, 138.0, 100.0)
FRAME = LocalFrame(ORIGIN)
HALF_M, STEP_M = 4_000.0, 250.0

# Persons and how many of them are 65 or older, by the middle of their cell. Streets run 2.5 km east and 1 km west.
BY_THE_STREET, DOWN_THE_STREET, ON_THE_HILL = (625.0, 125.0), (2_125.0, 125.0), (625.0, 1_625.0)
AT_SCHOOL, IN_THE_WEST = (-375.0, -1_125.0), (-875.0, 125.0)
PERSONS = {
    BY_THE_STREET: (100, 20),
    DOWN_THE_STREET: (60, 30),
    ON_THE_HILL: (30, 25),
    AT_SCHOOL: (10, 0),
    IN_THE_WEST: (50, 5),
}
EVERYBODY = 250


def _ring(west: float, south: float, east: float, north: float) -> tuple[tuple[float, float], ...]:
    corners = [FRAME.to_global(*at) for at in ((west, south), (east, south), (east, north), (west, north))]
    return tuple((corner.lat, corner.lon) for corner in corners)


def _cell(at: tuple[float, float]) -> tuple[int, int]:
    return int((at[1] + HALF_M) // STEP_M), int((at[0] + HALF_M) // STEP_M)


def _region(**changes: object) -> Region:
    size = int(2 * HALF_M / STEP_M)
    persons, older = np.zeros((size, size)), np.zeros((size, size))
    for at, (count, of_age) in PERSONS.items():
        persons[_cell(at)], older[_cell(at)] = count, of_age
    east_m = np.arange(-1_000.0, 2_501.0, 50.0)
    nodes = tuple(GroundNode(f"n{east:.0f}", FRAME.to_global(east, 125.0, 100.0)) for east in east_m.tolist())
    edges = tuple(
        GroundEdge(a.node_id, b.node_id, 50.0, WayKind.RESIDENTIAL, road=True) for a, b in itertools.pairwise(nodes)
    )
    pad = FRAME.to_global(0.0, 140.0, 100.0)
    hubs = (
        Site("hub", SiteKind.HUB, "店", "Shop", FRAME.to_global(0.0, 125.0, 100.0), "n0", True, True, (pad,)),
        Site("depot", SiteKind.HUB, "", "Depot", FRAME.to_global(2_500.0, 125.0, 100.0), "n2500", False, True),
    )
    grid = Terrain(-HALF_M, -HALF_M, 100.0, np.full((81, 81), 100.0, dtype=np.float32), "test", 0.0)
    population = Population(-HALF_M, -HALF_M, STEP_M, persons, (("65+", older),), "test")
    zone = Zone("school", "school", "", "School", _ring(-500.0, -1_250.0, -250.0, -1_000.0))
    made = Region("town", "町", "Town", ORIGIN, grid, hubs, nodes, edges, (zone,), population=population)
    return replace(made, **changes)  # type: ignore[arg-type]  # any field


def _fleet(*kinds: VehicleType, hub: str = "hub") -> list[FleetVehicle]:
    return [FleetVehicle(f"{hub}-{kind.type_id}", kind, hub, START) for kind in kinds]


def _reached(found: Coverage, *, hub: str = ALL, mode: str = ANY) -> set[tuple[float, float]]:
    served = found.served(hub=hub, mode=mode)
    assert not served[found.population.persons == 0].any()
    return {at for at in PERSONS if served[_cell(at)]}


def _share(found: Coverage, *, municipality: str = ALL, hub: str = ALL, mode: str = ANY, band: str = ALL) -> float:
    rows = found.rows()
    (row,) = [r for r in rows if (r.municipality, r.hub, r.mode, r.band) == (municipality, hub, mode, band)]
    return row.share


def test_drones_reach_the_hill_and_robots_what_lies_along_the_street() -> None:
    found = coverage(_region(), _fleet(DRONE, ROBOT), Budget(minutes=12))
    assert _reached(found, mode="drone") == {BY_THE_STREET, DOWN_THE_STREET, ON_THE_HILL, IN_THE_WEST}
    assert _reached(found, mode="robot") == {BY_THE_STREET, IN_THE_WEST}
    assert _share(found, mode="drone") == pytest.approx(240 / EVERYBODY)
    assert _share(found, mode="robot") == pytest.approx(150 / EVERYBODY)
    assert _share(found) == pytest.approx(240 / EVERYBODY)
    assert _share(found, band="65+") == 1.0
    assert _share(found, band="65+", mode="robot") == pytest.approx(25 / 80)


def test_minutes_are_those_of_the_way_and_the_handover() -> None:
    found = coverage(_region(), _fleet(ROBOT), Budget(minutes=60))
    wanted = (625.0 / ROBOT.cruise_speed_mps + ROBOT.service_s) / 60
    assert found.minutes()[_cell(BY_THE_STREET)] == pytest.approx(wanted, abs=0.5)
    assert np.isinf(found.minutes()[_cell(ON_THE_HILL)])
    faster = coverage(_region(), _fleet(ROAD_ROBOT), Budget(minutes=60))
    assert faster.minutes()[_cell(DOWN_THE_STREET)] < 0.6 * found.minutes()[_cell(DOWN_THE_STREET)]


def test_less_time_or_energy_serves_fewer() -> None:
    region, fleet = _region(), _fleet(DRONE, ROBOT)
    shares = [_share(coverage(region, fleet, Budget(minutes=minutes))) for minutes in (1, 3, 8, 40)]
    assert shares == sorted(shares)
    assert shares[0] < shares[1] < shares[-1]
    shares = [_share(coverage(region, fleet, Budget(60, share))) for share in (0.001, 0.05, 0.2, 1.0)]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == pytest.approx(240 / EVERYBODY)


def test_nobody_carries_more_than_the_type_can() -> None:
    region, fleet = _region(), _fleet(DRONE, ROBOT)
    found = coverage(region, fleet, Budget(minutes=12, payload_kg=5.0))
    assert _reached(found) == _reached(found, mode="robot") == {BY_THE_STREET, IN_THE_WEST}


def test_each_hub_has_its_own_figures() -> None:
    fleet = [*_fleet(ROBOT), *_fleet(ROBOT, DRONE, hub="depot")]
    found = coverage(_region(), fleet, Budget(minutes=12))
    assert found.hubs == ("hub", "depot")
    assert _reached(found, hub="hub") == {BY_THE_STREET, IN_THE_WEST}
    # No pad, no drone.
    assert _reached(found, hub="depot") == {DOWN_THE_STREET}
    assert _share(found) == pytest.approx(210 / EVERYBODY)


def test_a_weak_battery_is_not_what_counts_beside_a_good_one() -> None:
    region, (robot,) = _region(), _fleet(ROBOT)
    weak = replace(robot, vehicle_id="weak", battery_health=0.001)
    assert _share(coverage(region, [weak], Budget(60))) == 0.0
    assert _share(coverage(region, [weak, robot], Budget(60))) == _share(coverage(region, [robot], Budget(60))) > 0.0


def test_figures_are_summed_by_municipality() -> None:
    east = Feature("municipality", "東町", _ring(0.0, -4_000.0, 4_000.0, 1_000.0), closed=True)
    west = Feature("municipality", "西村", _ring(-4_000.0, -4_000.0, 0.0, 4_000.0), closed=True)
    found = coverage(_region(features=(east, west)), _fleet(DRONE), Budget(minutes=12))
    assert found.municipalities == ("東町", "西村", ELSEWHERE)
    assert _share(found, municipality="東町") == 1.0
    assert _share(found, municipality="西村") == pytest.approx(50 / 60)
    rows = [row for row in found.rows() if (row.hub, row.mode, row.band) == (ALL, ANY, ALL)]
    persons = {row.municipality: row.persons for row in rows}
    assert persons == {ALL: 250, "東町": 160, "西村": 60, ELSEWHERE: 30}


def test_a_map_without_boundaries_is_one_municipality() -> None:
    found = coverage(_region(), _fleet(DRONE), Budget(minutes=12))
    assert found.municipalities == ("Town",)
    assert _share(found, municipality="Town") == _share(found)


def test_what_the_operator_demands_binds() -> None:
    region, fleet = _region(), _fleet(DRONE, ROBOT)
    found = coverage(region, fleet, Budget(12), policy=Policy(permit_required=True))
    assert _reached(found) == {BY_THE_STREET, IN_THE_WEST}
    careful = coverage(region, fleet, Budget(60), policy=Policy(reserve_fraction=0.999))
    assert _share(careful) == 0.0


@pytest.mark.parametrize(
    "budget",
    [{"minutes": 0}, {"minutes": -5}, {"minutes": float("nan")}, {"minutes": 2_000}, {"energy_share": 0},
     {"energy_share": 1.5}, {"payload_kg": -1.0}, {"payload_kg": float("inf")}],
    ids=str,
)  # fmt: skip
def test_a_budget_that_makes_no_sense_is_refused(budget: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=f"coverage: {next(iter(budget))}"):
        Budget(**budget)


def test_without_people_or_vehicles_there_is_no_coverage() -> None:
    with pytest.raises(BadInput, match="region 'town' has no population"):
        coverage(_region(population=None), _fleet(DRONE))
    with pytest.raises(BadInput, match="the fleet has no vehicles"):
        coverage(_region(), [])
    with pytest.raises(BadInput, match="site 'moon'"):
        coverage(_region(), _fleet(DRONE, hub="moon"))


def test_the_picture_shows_who_is_not_served(tmp_path: Path) -> None:
    from matplotlib.image import imread

    found = coverage(_region(), _fleet(ROBOT), Budget(minutes=12))
    draw_coverage(found, tmp_path / "map.png")
    picture = imread(tmp_path / "map.png")
    red = (picture[..., 0] > 0.6) & (picture[..., 1] < 0.4) & (picture[..., 2] < 0.55)
    assert red.sum() > 1_000


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    save_bundle(_region(), tmp_path / "town")
    return tmp_path / "town"


def _todoke(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["todoke", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def _line(shown: str, first: str) -> str:
    return next(line for line in shown.splitlines() if line.startswith(f"│ {first} "))


def test_the_command_shows_and_writes_the_figures(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(
        '[[vehicle]]\nid = "d"\ntype = "multirotor_1kg"\nhome = "hub"\n[[vehicle]]\nid = "r"\n'
        'type = "sidewalk_robot"\nhome = "depot"\n'
    )
    out, png = tmp_path / "coverage.json", tmp_path / "coverage.png"
    arguments = ("--region", bundle, "--fleet", fleet, "--minutes", 12, "--json", out, "--png", png)
    assert _todoke(monkeypatch, "coverage", "--home", tmp_path, *arguments) == 0
    shown = capsys.readouterr().out
    assert [cell.strip() for cell in _line(shown, "all").split("│")[2:-1]] == [
        "250",
        "96.0 %",
        "24.0 %",
        "96.0 %",
        "100.0 %",
        "240",
    ]
    assert [cell.strip() for cell in _line(shown, "depot").split("│")[3:-1]] == [
        "0.0 %",
        "24.0 %",
        "24.0 %",
        "37.5 %",
        "60",
    ]
    data = json.loads(out.read_text(encoding="utf-8"))
    wanted = {"municipality": "all", "hub": "depot", "mode": "robot", "band": "65+"}
    (row,) = [row for row in data["rows"] if wanted.items() <= row.items()]
    assert (row["persons"], row["served"], row["share"]) == (80, 30, 0.375)
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--minutes", 0), "minutes must be more than 0"),
        (("--type", "rocket"), "vehicle type 'rocket' is not known"),
        (("--hub", "moon"), "site 'moon' is not in region"),
        (("--fleet", "nowhere.toml"), "nowhere.toml"),
        (("--type", "sidewalk_robot", "--png", "no/such/folder.png"), "--png"),
    ],
    ids=str,
)
def test_the_command_explains_mistakes_in_one_line(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[object, ...],
    reason: str,
) -> None:
    assert _todoke(monkeypatch, "coverage", "--home", tmp_path, "--region", bundle, *arguments) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert "Traceback" not in error

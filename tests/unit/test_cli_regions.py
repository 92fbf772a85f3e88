"""``todoke region``: what it writes, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from fleet.cli import app
from fleet.errors import Conflict, NotFound
from routing.errors import BadInput
from routing.region.bundle import load_bundle, save_bundle
from routing.region.sample import sample_region, village_region

RUNNER = CliRunner()


def _region(home: Path, *arguments: str) -> Result:
    return RUNNER.invoke(app, ["region", *arguments, "--home", str(home)])


def _said(result: Result) -> str:
    assert result.exit_code == 0, result.exception
    return " ".join(result.output.split())


def _refused(result: Result, kind: type[Exception]) -> str:
    assert isinstance(result.exception, kind), result.output
    return str(result.exception)


def test_a_sample_is_written_where_the_service_finds_it(tmp_path: Path) -> None:
    region = sample_region(3)
    for _ in range(2):
        said = _said(_region(tmp_path, "sample", "--seed", "3"))
    assert region.region_id in said
    assert "3 hub, 30 drop point, 6 drone port" in said
    assert "'todoke serve' takes it up" in said
    assert load_bundle(tmp_path / "regions" / region.region_id) == region


def test_a_scale_that_cannot_be_is_refused(tmp_path: Path) -> None:
    assert "scale" in _refused(_region(tmp_path, "sample", "--scale", "9"), BadInput)
    assert not (tmp_path / "regions").exists()


def test_a_sample_does_not_replace_another_region_of_its_name(tmp_path: Path) -> None:
    save_bundle(village_region(1), tmp_path / "regions" / sample_region(1).region_id)
    assert "holds another region of that name" in _refused(_region(tmp_path, "sample"), Conflict)


def test_all_regions_are_listed_the_damaged_too(tmp_path: Path) -> None:
    assert "There is no region yet" in _said(_region(tmp_path, "list"))
    for seed in (1, 2):
        _region(tmp_path, "sample", "--seed", str(seed))
    (tmp_path / "regions" / sample_region(2).region_id / "rasters.npz").unlink()
    said = _said(_region(tmp_path, "list"))
    assert "Hinokigase" in said
    assert "15.0 x 10.0 km" in said
    assert "damaged" in said


@pytest.mark.parametrize("by_path", [False, True])
def test_a_region_is_shown_and_drawn(by_path: bool, tmp_path: Path) -> None:
    _region(tmp_path, "sample")
    name = sample_region(1).region_id
    where = str(tmp_path / "regions" / name) if by_path else name
    said = _said(_region(tmp_path, "show", where, "--png", str(tmp_path / "map.png")))
    assert "Persons 6,000" in said
    assert Image.open(tmp_path / "map.png").size[0] > 1500


def test_a_region_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    _region(tmp_path, "sample")
    assert f"known: {sample_region(1).region_id}" in _refused(_region(tmp_path, "show", "atlantis"), NotFound)

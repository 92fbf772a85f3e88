"""Regions in the service: stored whole, found again after a restart, and drawn."""

from __future__ import annotations

import io
import itertools
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fleet import regions
from fleet.db.database import Database
from fleet.errors import BadRequest, Conflict, NotFound
from routing.geo import Position
from routing.region.bundle import load_region
from routing.region.model import Region
from routing.region.sample import sample_region
from tests.api_kit import Api
from tests.fleet_kit import World
from tests.problems import START, village

town = cache(sample_region)


async def _store(database: Database, region: Region) -> None:
    async with database.transaction() as conn:
        await regions.store(conn, region, at=START)


async def _load(database: Database, region_id: str) -> Region:
    async with database.transaction() as conn:
        return await regions.load(conn, region_id)


async def _stored(database: Database) -> set[str]:
    async with database.transaction() as conn:
        return {row["region_id"] for row in await regions.listing(conn)}


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> None:
    regions._read.clear()


async def test_a_region_comes_back_from_the_database_exactly(database: Database) -> None:
    await _store(database, town(1))
    found = await _load(database, town(1).region_id)
    assert found == town(1)
    assert found is not town(1)
    assert await _load(database, town(1).region_id) is found


async def test_a_region_never_changes(database: Database) -> None:
    await _store(database, village(1))
    await _store(database, village(1))
    with pytest.raises(Conflict, match="exists with other content"):
        await _store(database, village(2))
    assert await _load(database, "sugigase") == village(1)


async def test_a_region_that_is_not_there_names_those_that_are(database: Database) -> None:
    await _store(database, village(1))
    with pytest.raises(NotFound, match="no region 'atlantis'; known: sugigase"):
        await _load(database, "atlantis")


async def test_bundles_of_the_home_are_stored_and_damaged_ones_left_out(database: Database, tmp_path: Path) -> None:
    for region in (village(1), town(1), town(2)):
        regions.keep(tmp_path, region)
    (regions.bundle_folder(tmp_path, town(2).region_id) / "rasters.npz").write_bytes(b"nothing")
    for _ in range(2):
        async with database.transaction() as conn:
            (problem,) = await regions.store_kept(conn, tmp_path, at=START)
        assert "rasters.npz: damaged" in problem
        assert await _stored(database) == {"sugigase", town(1).region_id}


async def test_a_bundle_of_other_content_is_left_out_and_named(database: Database, tmp_path: Path) -> None:
    await _store(database, village(1))
    regions.keep(tmp_path, village(2))
    async with database.transaction() as conn:
        (problem,) = await regions.store_kept(conn, tmp_path, at=START)
    assert "'sugigase' exists with other content" in problem
    assert await _load(database, "sugigase") == village(1)


def test_a_home_keeps_a_region_once(tmp_path: Path) -> None:
    folder = regions.keep(tmp_path, village(1))
    assert regions.keep(tmp_path, village(1)) == folder
    with pytest.raises(Conflict, match="holds another region of that name"):
        regions.keep(tmp_path, village(2))
    assert regions.find(tmp_path, "sugigase") == village(1)
    assert regions.find(tmp_path, str(folder)) == village(1)
    with pytest.raises(NotFound, match="known: sugigase"):
        regions.find(tmp_path, "atlantis")


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc", "a\0b", ".hidden", "x" * 64, "村"])
def test_a_name_cannot_leave_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="a name of letters"):
        regions.bundle_folder(tmp_path, name)


def test_the_packed_file_for_the_solver_is_made_once(tmp_path: Path) -> None:
    path = regions.packed_file(tmp_path, village(1))
    made_at = path.stat().st_mtime_ns
    assert load_region(path) == village(1)
    assert regions.packed_file(tmp_path, village(1)) == path
    assert path.stat().st_mtime_ns == made_at
    assert regions.packed_file(tmp_path, village(2)) != path


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    """The API of a service that serves the sample municipality."""
    world = World(database, region=town(1))
    await _store(database, world.region)
    async with Api.on(world, tmp_path) as running:
        yield running


async def test_the_drawing_shows_what_a_map_needs(api: Api) -> None:
    drawing = (await (await api.as_("viewer")).get("/api/region")).json()
    region = town(1)
    assert {o["kind"] for o in drawing["obstacles"]} == {"power_line", "mast"}
    assert len(drawing["obstacles"][0]["line"]) == len(region.obstacles[0].line)
    assert {f["kind"] for f in drawing["features"]} == {"river", "building"}
    assert {z["kind"] for z in drawing["zones"]} == {"school", "clinic", "helipad", "sport", "infrastructure"}
    assert [len(s["pads"]) for s in drawing["sites"]] == [len(s.pads) for s in region.sites]
    (sport,) = [zone for zone in drawing["zones"] if zone["kind"] == "sport"]
    (known,) = [zone for zone in region.zones if zone.kind == "sport"]
    assert (sport["floor_m"], sport["floor_reference"], sport["ceiling_m"]) == (known.floor_m, "agl", None)
    assert sport["restriction"] == known.restriction.value
    assert sport["margin_m"] > 0
    (period,) = sport["schedule"]
    assert period == {"begins": None, "ends": None, "weekdays": [5, 6], "from_minute": 60, "to_minute": 480}
    assert [(lane["section_id"], len(lane["line"][0])) for lane in drawing["lanes"]] == [
        (lane.section_id, 3) for lane in region.lanes
    ]
    assert len(drawing["lanes"]) > 0
    # Every edge is in one of the lines, once.
    drawn = [
        frozenset((tuple(a), tuple(b)))
        for lines in (drawing["ways"], drawing["other_ways"])
        for line in lines
        for a, b in itertools.pairwise(line)
    ]
    at = {node.node_id: (node.position.lat, node.position.lon) for node in region.nodes}
    assert len(drawn) == len(region.edges)
    assert set(drawn) == {frozenset((at[edge.a], at[edge.b])) for edge in region.edges}
    assert len(drawing["ways"]) < len(region.edges) / 5


async def test_the_hillshade_fits_its_bounds_and_is_kept(api: Api) -> None:
    client = await api.as_("viewer")
    shade = (await client.get("/api/region")).json()["hillshade"]
    answer = await client.get(shade["url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    picture = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert picture.shape[2] == 3
    assert max(picture.shape) <= 1500
    box, frame = shade["bounds"], town(1).frame
    corners = [frame.to_local(Position(box[y], box[x])) for y, x in (("south", "west"), ("north", "east"))]
    assert corners == [pytest.approx((-7_500.0, -5_000.0)), pytest.approx((7_500.0, 5_000.0))]
    assert picture.shape[1] / picture.shape[0] == pytest.approx(1.5, rel=0.01)
    again = await client.get(shade["url"], headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "immutable" in answer.headers["cache-control"]
    assert len(list((api.context.runtime.home / "cache" / "regions").glob("*.png"))) == 1
    assert (await client.get(shade["url"])).content == answer.content


async def test_the_hillshade_is_for_those_signed_in(api: Api) -> None:
    assert (await api.client().get("/api/region/hillshade.png")).status_code == 401

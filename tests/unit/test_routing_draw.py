"""The picture of a region and a plan."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from routing.draw import draw
from routing.solve import solve
from tests.problems import order, problem, village

SVG = "{http://www.w3.org/2000/svg}"


def test_a_picture_shows_the_network_the_zone_the_sites_and_every_leg() -> None:
    made = problem([order("a", "drop-6"), order("b", "drop-1", mass_kg=4.0)])
    bare = ElementTree.fromstring(draw(made.region))
    drawn = ElementTree.fromstring(draw(made.region, solve(made)))
    assert len(bare.findall(f"{SVG}polyline[@class='way']")) == len(made.region.edges)
    assert not bare.findall(f"{SVG}polyline[@class='leg']")
    assert len(drawn.findall(f"{SVG}polyline[@class='leg']")) == 4
    assert len(drawn.findall(f"{SVG}polygon")) == 1
    words = [text.text for text in drawn.findall(f"{SVG}text")]
    assert {"drone-1", "robot-1", "道の駅 杉ヶ瀬 hub-1"} <= set(words)


def test_names_cannot_break_out_of_the_picture() -> None:
    region = village(1)
    sites = (replace(region.sites[0], name_ja="<script>&"), *region.sites[1:])
    assert ElementTree.fromstring(draw(replace(region, sites=sites))).find(f"{SVG}script") is None

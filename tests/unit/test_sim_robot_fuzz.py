"""Whatever is sent to the simulated robot, it goes on, and what it says stays sound."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.robot_kit import Bench, action, instant, order, schema

A, B, C = ("a", 0.0, 0.0), ("b", 4.0, 0.0), ("c", 4.0, 4.0)
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["a", "b", "o1", "NONE", "HARD", "drop", "wait", "cancelOrder", "startPause", ""]),
)
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


def _places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to every value of a message."""
    found = [path] if path else []
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        found += _places(value, (*path, key))
    return found


@st.composite
def _damaged(draw: st.DrawFn, message: dict[str, Any]) -> dict[str, Any]:
    """Return a message in which some values are replaced, removed or doubled."""
    damaged = copy.deepcopy(message)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(_places(damaged)))
        parent = damaged
        for key in path[:-1]:
            parent = parent[key]
        how = draw(st.sampled_from(["replace", "remove", "double"]))
        if how == "double" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[path[-1]]))
        elif how == "remove":
            del parent[path[-1]]
        else:
            parent[path[-1]] = draw(_values)
        if not _places(damaged):
            break
    return damaged


@st.composite
def _talk(draw: st.DrawFn) -> list[tuple[str, dict[str, Any], int]]:
    """Return messages with their topic and the steps of time that pass after each."""
    waits = {"a": [action("x", "wait", "SOFT", duration=1)], "b": [action("d", dwell=1, loadId="p")]}
    edges = {"a-b": [action("e", "wait", "NONE", duration=2)]}
    kinds = {
        "order": order([A, B, C], released=2, node_actions=waits, edge_actions=edges),
        "update": order([B, C], first=2, update_id=1, node_actions={"c": [action("p", "pick", weight=3)]}),
        "next": order([A, B], order_id="o2", node_actions={"b": [action("y", dwell=1)]}),
        "pause": instant(action("i1", "startPause")),
        "go": instant(action("i2", "stopPause")),
        "cancel": instant(action("i3", "cancelOrder")),
    }
    talk = []
    for name in draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=6)):
        topic = "order" if "nodes" in kinds[name] else "instantActions"
        talk.append((topic, draw(_damaged(kinds[name])), draw(st.integers(0, 60))))
    return talk


@settings(max_examples=200, deadline=None)
@given(_talk())
def test_it_survives_any_talk_and_its_states_stay_sound(talk: list[tuple[str, dict[str, Any], int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for topic, message, steps in talk:
            bench.send(json.dumps(message).encode(), topic=topic)
            bench.run(steps / 10)
        bench.run(30.0)
        bench.log.close()

        validator = jsonschema.Draft202012Validator(schema("state"))
        for state in bench.sent["state"]:
            validator.validate(state)
            assert len(state["edgeStates"]) in (len(state["nodeStates"]), len(state["nodeStates"]) - 1, 0)
            released = [node["released"] for node in state["nodeStates"]]
            assert released == sorted(released, reverse=True), "base first, then horizon"
            ids = [each["actionId"] for each in state["actionStates"]]
            assert len(ids) == len(set(ids))
        dropped = [event["action_id"] for event in bench.events("released")]
        orders = [event["order_id"] for event in bench.events("released")]
        pairs = list(zip(orders, dropped, strict=True))
        assert len(pairs) == len(set(pairs)), "nothing is released twice"

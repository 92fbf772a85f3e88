"""Makers' quirks come from a table, and change what goes out and nothing else."""

from __future__ import annotations

import json
import tomllib
from importlib import resources
from typing import Any

import pytest

from hardware.vda5050.makers import BadMakers, Quirks, quirks_of, read_makers
from hardware.vda5050.messages import Action, HeaderSource, InstantActions, write
from hardware.vda5050.orders import Features, order_of
from telemetry.clock import Clock
from tests.unit.test_vda5050_orders import route_along
from tests.vda5050_schemas import needs_schemas, schema_errors

STANDARD: dict[str, Any] = {
    "source": "the text",
    "wire_version": "2.1.0",
    "instant_key": "actions",
    "connection_qos": 1,
    "deviation_key": "allowedDeviationXY",
    "state_request": "listed",
    "factsheet_request": True,
    "stitch_actions": True,
    "shows_added_actions": True,
    "emergency_stop": "",
    "unlock": "",
}


def instant_actions(quirks: Quirks) -> dict[str, Any]:
    header = HeaderSource(manufacturer="m", serial="1", clock=Clock.real()).next("instantActions", quirks.wire_version)
    action = Action(action_type="startPause", action_id="instant-1", blocking_type="NONE")
    message: dict[str, Any] = json.loads(write(InstantActions(**header, actions=(action,)), quirks))
    return message


def order(quirks: Quirks, *, update_id: int = 0, first: int = 0) -> dict[str, Any]:
    header = HeaderSource(manufacturer="m", serial="1", clock=Clock.real()).next("order", quirks.wire_version)
    features = Features(deviation=True, stitch_actions=quirks.stitch_actions)
    route = route_along([20.0, 20.0], {1})
    built = order_of(route, header, update_id=update_id, first=first, released=2, features=features)
    message: dict[str, Any] = json.loads(write(built, quirks))
    return message


def test_every_row_says_where_it_is_known_from() -> None:
    text = (resources.files("hardware.vda5050") / "makers.toml").read_text(encoding="utf-8")

    for row in tomllib.loads(text)["maker"]:
        assert len(row["source"]) > 10, row


def test_a_maker_that_nobody_knows_is_spoken_to_by_the_standard() -> None:
    quirks = quirks_of("a new one", "2.1.0")

    assert (quirks.wire_version, quirks.instant_key, quirks.emergency_stop, quirks.unlock) == (
        "2.1.0",
        "actions",
        "",
        "",
    )
    assert quirks_of("a new one") == quirks, "nor is it otherwise before its version is known"


@pytest.mark.parametrize(("version", "keys"), [("2.1.0", {"actions"}), ("2.0.0", {"actions", "instantActions"})])
def test_instant_actions_go_under_the_key_of_the_version_that_a_robot_writes(version: str, keys: set[str]) -> None:
    message = instant_actions(quirks_of("maker", version))

    assert {"actions", "instantActions"} & set(message) == keys
    assert message["version"] == version
    assert all(message[key][0]["actionType"] == "startPause" for key in keys)


def test_the_client_from_npm_is_spoken_to_as_it_reads() -> None:
    quirks = quirks_of("vda-5050-lib", "2.0.0")

    message = instant_actions(quirks)
    assert (message["version"], "actions" in message, len(message["instantActions"])) == ("2.0.0", False, 1)
    position = order(quirks)["nodes"][0]["nodePosition"]
    assert "allowedDeviationXy" in position
    assert "allowedDeviationXY" not in position
    update = order(quirks, update_id=1, first=1)
    assert update["nodes"][0]["actions"] == [], "it would do them twice"


@needs_schemas
def test_by_the_standard_an_update_repeats_its_first_node_unchanged() -> None:
    quirks = quirks_of("maker", "2.1.0")

    first, update = order(quirks), order(quirks, update_id=1, first=1)

    assert update["nodes"][0] == first["nodes"][1]
    assert [schema_errors("order", message) for message in (first, update)] == [[], []]
    assert schema_errors("instantActions", instant_actions(quirks)) == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "its last row"),
        ([{**STANDARD, "manufacturer": "x"}], "must fit every robot"),
        ([{**STANDARD, "colour": "red"}], "row 1: colour is no key"),
        ([{**STANDARD, "connection_qos": "1"}], "row 1: connection_qos must be a int"),
        ([{**STANDARD, "connection_qos": 2}], "row 1: connection_qos must be one of"),
        ([{"manufacturer": "x", "instant_key": "both"}, STANDARD], "row 1: source is missing"),
        ([{"manufacturer": "x", "source": "y", "state_request": "perhaps"}, STANDARD], "state_request must be one of"),
        ([{key: value for key, value in STANDARD.items() if key != "unlock"}], "unlock is missing"),
    ],
)
def test_a_table_that_is_wrong_is_named_by_row_and_key(rows: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(BadMakers, match=words):
        read_makers({"maker": rows})

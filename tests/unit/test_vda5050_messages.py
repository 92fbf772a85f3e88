"""VDA 5050 messages are read leniently and written strictly."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.vda5050.factsheet import Factsheet
from hardware.vda5050.messages import (
    Action,
    ActionParameter,
    Connection,
    HeaderSource,
    InstantActions,
    MalformedMessage,
    Order,
    State,
    Visualization,
    read,
    write,
)
from telemetry.clock import Clock
from tests.vda5050_schemas import needs_schemas, schema_errors

STATE: dict[str, Any] = {
    "headerId": 7,
    "timestamp": "2026-04-01T00:00:03.12Z",
    "version": "2.1.0",
    "manufacturer": "maker",
    "serialNumber": "1",
    "orderId": "m1",
    "orderUpdateId": 2,
    "lastNodeId": "B",
    "lastNodeSequenceId": 2,
    "nodeStates": [{"nodeId": "C", "sequenceId": 4, "released": True}],
    "edgeStates": [{"edgeId": "B-C", "sequenceId": 3, "released": True}],
    "driving": True,
    "actionStates": [{"actionId": "m1:2", "actionStatus": "WAITING"}],
    "batteryState": {"batteryCharge": 80.5, "charging": False},
    "operatingMode": "AUTOMATIC",
    "errors": [],
    "safetyState": {"eStop": "NONE", "fieldViolation": False},
}


def state(**changes: Any) -> State:
    return read(State, json.dumps({**STATE, **changes}).encode())


def headers() -> HeaderSource:
    return HeaderSource(manufacturer="maker", serial="1", clock=Clock.real())


def test_a_state_is_read_with_its_time_in_utc() -> None:
    read_state = state()

    assert read_state.timestamp == datetime(2026, 4, 1, 0, 0, 3, 120_000, tzinfo=UTC)
    assert read_state.vehicle_ms == 1_775_001_603_120
    assert read_state.node_states[0].node_id == "C"


def test_a_time_without_its_zone_is_utc() -> None:
    assert state(timestamp="2026-04-01T00:00:03.12").vehicle_ms == 1_775_001_603_120


def test_null_is_the_same_as_absent_at_every_depth() -> None:
    optional = ("agvPosition", "velocity", "paused", "newBaseRequest", "loads", "information", "maps")
    node = {"nodeId": "C", "sequenceId": 4, "released": True, "nodeDescription": None, "nodePosition": None}
    error = {"errorType": "x", "errorLevel": "WARNING", "errorReferences": None, "errorDescription": None}

    with_nulls = state(**dict.fromkeys(optional), nodeStates=[node], errors=[error])

    assert with_nulls.agv_position is None
    assert with_nulls.paused is False
    assert with_nulls.errors[0].error_references == ()


def test_unknown_fields_and_unknown_words_are_let_be() -> None:
    read_state = state(weather="rain", actionStates=[{"actionId": "a", "actionStatus": "RETRIABLE", "colour": "red"}])

    assert not read_state.action_states[0].over


def test_paused_is_an_action_status_though_the_schema_forgets_it() -> None:
    assert state(actionStates=[{"actionId": "a", "actionStatus": "PAUSED"}]).order_active


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("orderId", None),
        ("headerId", -1),
        ("headerId", 2**32),
        ("timestamp", "yesterday"),
        ("nodeStates", None),
        ("driving", "perhaps"),
        ("operatingMode", 3),
    ],
)
def test_a_malformed_state_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(MalformedMessage, match=f"^state: {field}: "):
        state(**{field: value})


def test_a_malformed_field_inside_a_list_is_named_by_its_path() -> None:
    with pytest.raises(MalformedMessage, match=r"nodeStates\.0\.sequenceId"):
        state(nodeStates=[{"nodeId": "C", "released": True}])


@pytest.mark.parametrize("far", [1e6, -1e300])
def test_a_position_beyond_any_region_is_not_believed(far: float) -> None:
    with pytest.raises(MalformedMessage, match=r"agvPosition\.x"):
        state(agvPosition={"x": far, "y": 0, "theta": 0, "mapId": "m", "positionInitialized": True})


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"null", b"17", b'"x"', b"\xff\xfe", b"[" * 5000, b'{"headerId": NaN}']
)
def test_what_is_no_message_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read(State, payload)


def test_an_oversized_message_is_refused_unread() -> None:
    with pytest.raises(MalformedMessage, match="bytes"):
        read(State, b" " * 1_000_001)


def test_a_text_with_a_nul_character_is_refused() -> None:
    with pytest.raises(MalformedMessage, match=r"U\+0000"):
        read(State, json.dumps({**STATE, "orderId": "a\0b"}).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(STATE)), JSON)
def test_whatever_stands_in_a_field_a_state_is_read_or_malformed(field: str, value: Any) -> None:
    try:
        read_state = state(**{field: value})
    except MalformedMessage:
        return
    assert isinstance(read_state.order_active, bool)
    assert read_state.timestamp.utcoffset() is not None


def test_all_of_a_visualization_is_optional() -> None:
    assert read(Visualization, b"{}").agv_position is None


def test_a_connection_without_its_state_is_malformed() -> None:
    header = {key: STATE[key] for key in ("headerId", "timestamp", "version", "manufacturer", "serialNumber")}
    with pytest.raises(MalformedMessage, match="connection: connectionState"):
        read(Connection, json.dumps(header).encode())


def test_an_instant_action_under_way_does_not_make_an_order() -> None:
    idle: dict[str, Any] = {"nodeStates": [], "edgeStates": []}
    by_type = {"actionId": "x", "actionStatus": "RUNNING", "actionType": "startPause"}
    by_id = {"actionId": "instant-startPause-1", "actionStatus": "RUNNING"}

    assert not state(**idle, actionStates=[by_type, by_id]).order_active
    assert state(**idle, actionStates=[{"actionId": "m1:2", "actionStatus": "RUNNING"}]).order_active


def test_a_factsheet_of_a_header_only_supports_nothing() -> None:
    factsheet = read(Factsheet, b'{"version": "2.1.0"}')

    assert not factsheet.supports("maxSpeed")
    assert factsheet.most_nodes is None


def test_a_factsheet_lists_optional_fields_by_their_full_name() -> None:
    factsheet = read(
        Factsheet,
        json.dumps(
            {
                "protocolFeatures": {
                    "optionalParameters": [{"parameter": "order.edges.maxSpeed", "support": "SUPPORTED"}],
                    "agvActions": None,
                },
                "protocolLimits": {"maxArrayLens": {"order.nodes": 50, "order.edges": None}},
            }
        ).encode(),
    )

    assert factsheet.supports("maxSpeed")
    assert not factsheet.supports("allowedDeviationXY")
    assert factsheet.most_nodes == 50


def test_header_ids_are_counted_per_topic() -> None:
    source = headers()

    ids = [(topic, source.next(topic)["header_id"]) for topic in ("order", "order", "instantActions", "order")]

    assert ids == [("order", 0), ("order", 1), ("instantActions", 0), ("order", 2)]


def test_what_is_written_has_a_time_with_milliseconds_and_z_and_no_nulls() -> None:
    action = Action(action_type="startPause", action_id="instant-1", blocking_type="NONE")
    message = InstantActions(**headers().next("instantActions"), actions=(action,))

    written = json.loads(write(message))

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", written["timestamp"])
    assert written["actions"] == [{"actionType": "startPause", "actionId": "instant-1", "blockingType": "NONE"}]
    assert written["version"] == "2.1.0"


@needs_schemas
def test_instant_actions_satisfy_the_official_schema() -> None:
    parameter = ActionParameter(key="reason", value="test")
    action = Action(
        action_type="logReport", action_id="instant-1", blocking_type="NONE", action_parameters=(parameter,)
    )
    message = InstantActions(**headers().next("instantActions"), actions=(action,))

    assert schema_errors("instantActions", json.loads(write(message))) == []


def test_an_order_has_at_least_one_node() -> None:
    with pytest.raises(ValueError, match="nodes"):
        Order(**headers().next("order"), order_id="m", order_update_id=0, nodes=(), edges=())

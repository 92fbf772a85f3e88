"""Anything at all sent to any route: the answer is never a defect of ours."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.db.database import Database
from tests.api_kit import Api
from tests.fleet_kit import DRONE_LINK, World
from tests.integration.test_api_orders import ORDER

text = st.text(max_size=30) | st.sampled_from(["", "\0", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")])
numbers = st.integers() | st.floats() | st.sampled_from([10**400, -1, 0, 2**63])
scalars = st.none() | st.booleans() | numbers | text
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=10
)
BODIES: list[dict[str, Any]] = [
    ORDER,
    {"seconds": 1.0, "seed": 1},
    {"kind": "hold", "idempotency_key": "k"},
    {"vehicle_id": "drone-9", "type_id": "multirotor_1kg", "home_site": "hub-1", "link": DRONE_LINK, "simulated": True},
    {"user_id": "kato", "password": "x"},
    {"token": "x"},
    {"check": "battery", "ok": True, "note": None},
    {"class": "camera", "unlock": True, "note": "x"},
    {"to": {"kind": "shelf", "id": "hub-1"}, "note": "x"},
    {"clear": True},
    {"code": "123456"},
    {"revision": 0, "reason": "x", "changes": {"safety": "x"}},
    {"scope_kind": "vehicle", "scope_id": "drone-1", "idempotency_key": "k", "classes": []},
]


@st.composite
def bodies(draw: st.DrawFn) -> Any:
    """A sound body with some of its values replaced, or anything."""
    if draw(st.integers(0, 4)) == 0:
        return draw(anything)
    body = dict(draw(st.sampled_from(BODIES)))
    for name in draw(st.lists(st.sampled_from(sorted(body)), max_size=2)):
        body[name] = draw(anything)
    return body | draw(st.dictionaries(text, scalars, max_size=1))


def _routes(api: Api) -> list[tuple[str, str]]:
    paths = api.app.openapi()["paths"]
    # That one answers 503 where no gateway and no broker runs.
    return sorted((m.upper(), path) for path, methods in paths.items() for m in methods if path != "/api/ready")


def test_nothing_that_is_sent_is_answered_by_a_defect(shared_dsn: str, tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    opened = Database.open(shared_dsn, max_size=2)
    try:
        world = World(loop.run_until_complete(opened.__aenter__()))
        loop.run_until_complete(world.empty())
        serving = Api.on(world, tmp_path)
        api = loop.run_until_complete(serving.__aenter__())
        for limit in (api.context.sign_in_limit, api.context.recipient_limit, api.context.stranger_limit):
            limit.count = 10**6
        loop.run_until_complete(world.drone())
        roles = ("dispatcher", "pilot", "administrator", "ground_crew")
        clients = [loop.run_until_complete(api.as_(role)) for role in roles]
        routes = _routes(api)

        @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(
            route=st.sampled_from(routes),
            client=st.sampled_from(clients),
            name=text | st.sampled_from(["drone-1", "none", "..", "%"]),
            query=st.dictionaries(
                st.sampled_from(["state", "start", "end", "max_points", "vehicle_id", "subject_id"]) | text,
                text | st.sampled_from(["received", "2026-04-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "5"]),
                max_size=4,
            ),
            body=bodies() | st.binary(max_size=60),
        )
        def send(route: tuple[str, str], client: Any, name: str, query: dict[str, str], body: Any) -> None:
            method, path = route
            path = re.sub(r"\{\w+\}", quote(name.encode("utf-8", "replace"), safe="") or "x", path)
            content: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"content": _json(body)}
            headers = {"Content-Type": "application/json"}
            response = loop.run_until_complete(client.request(method, path, params=query, headers=headers, **content))

            assert response.status_code < 500, (route, name, query, body, response.text)
            if response.status_code >= 400:
                assert response.headers["content-type"] == "application/problem+json"

        send()
        loop.run_until_complete(serving.__aexit__(None, None, None))
    finally:
        loop.run_until_complete(opened.__aexit__(None, None, None))
        loop.close()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "replace")

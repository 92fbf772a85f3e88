"""What a recipient sees and may say over a link, without an account."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from fleet import drop_gate, live, missions
from fleet.api.problems import _told
from fleet.recipient import EARLY, KEPT_FOR, LATE
from fleet.recipient_words import language
from hardware.link import WaitFor
from tests.api_kit import Api, assert_problem
from tests.delivery_kit import Errand, errand


@pytest.fixture(autouse=True)
def _heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a gateway has said once holds for the whole test, on a slow machine too."""
    monkeypatch.setattr(live, "SILENT_S", 600.0)


@pytest.fixture
async def drone(api: Api) -> Errand:
    """A drone on its way to a drop point that its recipient looks at."""
    return await errand(api, robot=False)


async def _near(errand: Errand) -> None:
    """Have the planned arrival be in two minutes."""
    soon = errand.api.context.clock.now() + timedelta(minutes=2)
    row = await errand.world.mission(errand.mission_id)
    number = next(i for i, stop in enumerate(row["trip"]["stops"]) if stop["order_ids"])
    await errand.world.write(
        "UPDATE mission SET trip = jsonb_set(trip, %(path)s, to_jsonb(%(soon)s::text)), planned_depart = started_at "
        "WHERE mission_id = %(id)s",
        path=["stops", str(number), "arrive"],
        soon=soon.isoformat(),
        id=errand.mission_id,
    )


async def _said(errand: Errand) -> list[bool]:
    rows = await errand.world.rows("SELECT clear FROM drop_confirmation ORDER BY confirmation_id")
    return [row["clear"] for row in rows]


async def _confirm(errand: Errand) -> str:
    """Deliver the order as its vehicle does; return its state."""
    await errand.world.deliver(errand.mission_id, errand.step)
    return await errand.world.order_state(errand.order_id)


# -- the link --------------------------------------------------------------------------------------


async def test_a_link_shows_what_comes_when_and_nothing_about_a_person(drone: Errand) -> None:
    answer = await drone.get("ja,en;q=0.5")

    body = answer.json()
    assert (body["state"], body["goods"], body["vehicle"], body["language"]) == ("underway", "bread", "drone", "ja")
    expected = datetime.fromisoformat(body["eta"]["expected"])
    assert datetime.fromisoformat(body["eta"]["from"]) == expected - EARLY
    assert datetime.fromisoformat(body["eta"]["to"]) == expected + LATE
    assert answer.headers["content-language"] == "ja"
    assert answer.headers["cache-control"] == "no-store"
    # The name of the recipient, places, the vehicle and the staff are nobody's business who holds a link.
    for secret in ("Sato", "drop-5", "hub-1", "drone-1", drone.mission_id, drone.order_id, "dispatcher"):
        assert secret not in answer.text


async def test_the_token_is_long_random_and_not_kept(drone: Errand) -> None:
    token = drone.path.rpartition("/")[2]

    assert len(token) >= 22  # 128 bits in base 64
    rows = await drone.world.rows("SELECT * FROM recipient_link")
    assert token not in str(rows)
    assert await drone.world.rows("SELECT 1 FROM audit WHERE action = 'order.recipient_link'")


async def test_a_new_link_ends_the_one_before(drone: Errand) -> None:
    old = drone.path
    await drone.link()

    assert_problem(await drone.api.client().get(old), 404)
    assert (await drone.get()).status_code == 200


async def test_a_link_ends_a_day_after_the_window(drone: Errand) -> None:
    row = await drone.world.one("SELECT expires_at FROM recipient_link")
    order = await drone.world.one("SELECT latest FROM delivery_order")
    assert row["expires_at"] == order["latest"] + KEPT_FOR

    await drone.world.write("UPDATE recipient_link SET expires_at = %(now)s", now=drone.api.context.clock.now())
    assert_problem(await drone.get(), 404)
    await drone.world.write("UPDATE delivery_order SET latest = latest - interval '3 days', "
                            "earliest = earliest - interval '3 days'")  # fmt: skip
    late = await (await drone.api.as_("dispatcher")).post(f"/api/orders/{drone.order_id}/recipient-link")
    assert_problem(late, 409)


@pytest.mark.parametrize("name", ["", "/clear", "/code", "/unlock", "/received"])
async def test_without_a_right_token_there_is_nothing(drone: Errand, name: str) -> None:
    client, path = drone.api.client(), f"/api/recipient/wrong{name}"
    body = {"/clear": {"clear": True}, "/unlock": {"code": "123456"}}.get(name, {})
    answer = await (client.post(path, json=body) if name else client.get(path))
    assert_problem(answer, 404)
    assert await _said(drone) == []


async def test_who_tries_links_has_to_wait_and_so_has_who_looks_too_often(api: Api, drone: Errand) -> None:
    api.context.stranger_limit.count = 5
    api.context.recipient_limit.count = 7
    guesser = api.client(host="192.0.2.1")
    for number in range(5):
        assert_problem(await guesser.get(f"/api/recipient/guess-{number}"), 404)
    assert_problem(await guesser.get("/api/recipient/guess-6"), 429)
    # Others share the address of who guesses.
    assert (await guesser.get(drone.path)).status_code == 200

    answers = [(await drone.get()).status_code for _ in range(8)]
    assert answers == [200] * 6 + [429] * 2


def test_a_log_does_not_have_the_token() -> None:
    with capture_logs():
        assert _told("/api/recipient/abcDEF_-123/clear") == "/api/recipient/.../clear"
        assert _told("/api/orders/o-1") == "/api/orders/o-1"


# -- the drop point --------------------------------------------------------------------------------


async def test_the_recipient_is_asked_when_the_drone_is_near_and_not_before(drone: Errand) -> None:
    await drone.world.write(
        "UPDATE mission SET started_at = started_at + interval '1 hour' WHERE mission_id = %(id)s", id=drone.mission_id
    )
    assert await drone.asks() == []
    early = await drone.post("clear", {"clear": True}, language="ja")
    assert assert_problem(early, 409)["refusal"] == "too_early"
    assert "まだ近くにいません" in early.json()["detail"]

    await drone.show(WaitFor.DROP_CLEAR)
    assert await drone.asks() == ["clear"]
    assert (await drone.get()).json()["state"] == "arrived"
    assert (await drone.post("clear", {"clear": True})).status_code == 200
    assert await _said(drone) == [True]


async def test_what_the_recipient_says_decides_at_the_gate(drone: Errand) -> None:
    await _near(drone)
    assert await drone.asks() == ["clear"]

    await drone.post("clear", {"clear": True})
    assert await drone.asks() == []  # answered, and good for longer than it takes to come
    async with drone.world.database.transaction() as conn:
        mission = await missions.get(conn, drone.mission_id)
        found = await drop_gate.decide(conn, mission, drone.step, at=drone.api.context.clock.now())
    assert found is not None
    assert (found.clear, found.said_by) == (True, "recipient of order A1")

    await drone.post("clear", {"clear": False})
    async with drone.world.database.transaction() as conn:
        found = await drop_gate.decide(conn, mission, drone.step, at=drone.api.context.clock.now())
    assert found is not None
    assert not found.clear
    notes = [cause for _, cause in await drone.world.causes(drone.mission_id) if "drop point" in cause]
    assert notes == [
        f"drop point of step {drone.step} is clear: recipient of order A1",
        f"drop point of step {drone.step} is not clear: recipient of order A1",
    ]


async def test_nobody_is_asked_for_a_fenced_pad_or_one_that_the_pilot_looks_at(api: Api) -> None:
    camera = await errand(api, robot=False, kind="camera")
    await camera.show(WaitFor.DROP_CLEAR)

    assert await camera.asks() == []
    answer = await camera.post("clear", {"clear": True})
    assert assert_problem(answer, 409)["refusal"] == "nothing_asked"
    assert await _said(camera) == []


async def test_who_is_asked_before_the_drone_has_left_or_after_it_has_gone_is_told_so(api: Api) -> None:
    waiting = await errand(api, robot=False, underway=False)
    assert assert_problem(await waiting.post("clear", {"clear": True}), 409)["refusal"] == "not_on_its_way"
    await api.world.fly(waiting.mission_id)
    await api.world.write("UPDATE mission SET step = %(step)s", step=waiting.step + 1)
    assert assert_problem(await waiting.post("clear", {"clear": True}), 409)["refusal"] == "gone"


# -- the receipt -----------------------------------------------------------------------------------


async def test_a_receipt_is_evidence_by_a_person_on_top_of_what_the_vehicle_said(drone: Errand) -> None:
    assert await _confirm(drone) == "delivered"
    assert await drone.asks() == ["received"]

    answer = await drone.post("received", {"note": "thank you"})

    assert answer.json()["asks"] == []
    shown = (await (await drone.api.as_("viewer")).get(f"/api/orders/{drone.order_id}")).json()
    assert [row["evidence"] for row in shown["evidence"]] == ["sensor", "person"]
    assert (shown["delivery_class"], shown["findings"]) == ("person", [])
    assert await drone.world.holders(drone.order_id) == ["shelf:hub-1", "vehicle:drone-1", "recipient:drop"]


async def test_a_parcel_that_has_not_come_is_a_finding_and_changes_nothing_else(drone: Errand) -> None:
    await _confirm(drone)

    await drone.post("received", {"received": False, "note": "nothing here"})

    shown = (await (await drone.api.as_("viewer")).get(f"/api/orders/{drone.order_id}")).json()
    assert (shown["state"], shown["delivery_class"], shown["findings"]) == ("delivered", "sensor", ["not_received"])
    assert "nothing here" in shown["events"][-1]["cause"]


async def test_nothing_is_received_before_the_vehicle_is_there(drone: Errand) -> None:
    answer = await drone.post("received")
    assert assert_problem(answer, 409)["refusal"] == "nothing_yet"
    assert await drone.world.order_state(drone.order_id) == "underway"


async def test_nothing_is_received_from_a_drone_that_was_not_let_down(drone: Errand) -> None:
    await drone.show(WaitFor.DROP_CLEAR)
    await drone.post("clear", {"clear": True})

    hovering = await drone.post("received")
    await drone.world.write("UPDATE mission SET step = %(step)s", step=drone.step + 1)
    gone_on = await drone.post("received")

    for answer in (hovering, gone_on):
        assert assert_problem(answer, 409)["refusal"] == "nothing_yet"
    assert await drone.world.order_state(drone.order_id) == "underway"
    assert await drone.world.holders(drone.order_id) == ["shelf:hub-1", "vehicle:drone-1"]


async def test_who_has_the_parcel_of_a_vehicle_that_was_let_down_and_is_silent_may_say_so(drone: Errand) -> None:
    await drone.show(WaitFor.DROP_CLEAR)
    await drone.post("clear", {"clear": True})
    await drone.world.write("UPDATE drop_confirmation SET used_at = %(at)s", at=drone.api.context.clock.now())
    await drone.show(WaitFor.DROP_CLEAR, connected=False)

    await drone.post("received")
    await drone.world.deliver(drone.mission_id, drone.step)  # the vehicle is heard again

    assert await drone.world.order_state(drone.order_id) == "delivered"
    assert (await drone.world.holders(drone.order_id))[-1] == "recipient:drop-5"
    rows = await drone.world.rows("SELECT evidence FROM delivery_evidence ORDER BY evidence_id")
    assert [row["evidence"] for row in rows] == ["person", "sensor"]
    assert len(await drone.world.rows("SELECT 1 FROM custody WHERE holder_kind = 'recipient'")) == 1


async def test_the_recipients_word_resolves_an_unconfirmed_delivery(drone: Errand) -> None:
    await drone.world.move(drone.mission_id, "aborted", reason="test")
    await drone.world.unload(drone.mission_id, missing=[drone.order_id])
    assert (await drone.get()).json()["state"] == "unconfirmed"
    assert await drone.asks() == ["received"]

    await drone.post("received")

    assert await drone.world.order_state(drone.order_id) == "delivered"
    assert await drone.asks() == []


# -- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, "ja"),
        ("", "ja"),
        ("en", "en"),
        ("en-GB,en;q=0.9,ja;q=0.8", "en"),
        ("ja-JP, en;q=0.9", "ja"),
        ("en;q=0.3, ja;q=0.7", "ja"),
        ("fr, en;q=0.1", "en"),
        ("fr, de", "ja"),
        ("en;q=0, ja;q=0.1", "ja"),
        ("en;q=x", "ja"),
        ("*" * 5000, "ja"),
    ],
)
def test_the_language_is_the_one_that_the_browser_asks_for(header: str | None, wanted: str) -> None:
    assert language(header, "ja") == wanted


async def test_english_is_told_in_english(drone: Errand) -> None:
    body = (await drone.get("en-US")).json()
    assert (body["language"], body["text"]) == ("en", "Your parcel is on its way.")

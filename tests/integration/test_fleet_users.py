"""Users: links that work once, passwords that are not kept, sessions that end."""

from __future__ import annotations

import asyncio

import pytest

from fleet import users
from fleet.db.database import Database
from fleet.errors import BadRequest, Forbidden, NotFound, NotSignedIn
from fleet.users import GRANTS, ROLES, User
from tests.fleet_kit import World


async def _link(world: World, user_id: str = "kato") -> str:
    async with world.database.transaction() as conn:
        return await users.new_link(conn, user_id)


async def _use(world: World, token: str) -> users.Session:
    async with world.database.transaction() as conn:
        return await users.sign_in_by_link(conn, token)


async def _whose(world: World, token: str) -> User:
    async with world.database.transaction() as conn:
        return (await users.of_session(conn, token))[0]


async def _set_password(world: World, password: str, user_id: str = "kato") -> None:
    async with world.database.transaction() as conn:
        await users.set_password(conn, user_id, password, at=world.at, actor="admin")


async def test_a_link_signs_in_once(world: World) -> None:
    await world.user("kato", "pilot")
    token = await _link(world)

    session = await _use(world, token)

    assert session.user == User("kato", "Kato", "pilot")
    assert await _whose(world, session.token) == session.user
    with pytest.raises(NotSignedIn, match="wrong, used or too old"):
        await _use(world, token)


async def test_of_many_that_use_a_link_at_once_one_is_signed_in(world: World) -> None:
    await world.user("kato", "pilot")
    token = await _link(world)

    outcomes = await asyncio.gather(*(_use(world, token) for _ in range(5)), return_exceptions=True)

    assert sum(isinstance(outcome, users.Session) for outcome in outcomes) == 1


@pytest.mark.parametrize("token", ["", "x", "x" * 10_000, "\N{SNOWMAN}"])
async def test_a_wrong_link_signs_nobody_in(world: World, token: str) -> None:
    with pytest.raises(NotSignedIn):
        await _use(world, token)


async def test_a_link_that_is_too_old_signs_nobody_in(world: World) -> None:
    await world.user("kato", "pilot")
    token = await _link(world)
    await world.write("UPDATE sign_in_link SET expires_wall = clock_timestamp() - interval '1 s'")

    with pytest.raises(NotSignedIn):
        await _use(world, token)


async def test_neither_link_nor_session_is_stored_readably(world: World) -> None:
    await world.user("kato", "pilot")
    link = await _link(world)
    session = await _use(world, link)

    stored = str(await world.rows("SELECT l::text AS l, s::text AS s FROM sign_in_link l, session s"))

    assert link not in stored
    assert session.token not in stored


async def test_a_disabled_user_is_let_in_by_nothing(world: World) -> None:
    await world.user("kato", "pilot")
    session, second = await _use(world, await _link(world)), await _link(world)
    await _set_password(world, "correct horse")
    await world.write("UPDATE app_user SET disabled = true")

    with pytest.raises(NotSignedIn):
        await _whose(world, session.token)
    with pytest.raises(NotSignedIn):
        await _use(world, second)
    with pytest.raises(NotSignedIn):
        await users.sign_in(world.database, "kato", "correct horse")


async def test_whoever_is_disabled_is_out_at_once_until_let_in_again(world: World) -> None:
    await world.user("kato", "pilot")
    session = await _use(world, await _link(world))

    async with world.database.transaction() as conn:
        await users.disable(conn, "kato", at=world.at, actor="admin")
    with pytest.raises(NotSignedIn):
        await _whose(world, session.token)
    await world.user("kato", "pilot")

    with pytest.raises(NotSignedIn):
        await _whose(world, session.token)
    assert (await _use(world, await _link(world))).user.user_id == "kato"
    async with world.refused(NotFound, "nobody"), world.database.transaction() as conn:
        await users.disable(conn, "nobody", at=world.at, actor="admin")


async def test_every_change_of_a_user_is_in_the_audit_trail(world: World) -> None:
    async def put(role: str, name: str = "加藤") -> None:
        async with world.database.transaction() as conn:
            await users.put(conn, user_id="kato", display_name=name, role=role, at=world.at, actor="admin")

    await put("viewer")
    await put("viewer")
    await put("pilot")
    await put("pilot", "加藤一")
    await _set_password(world, "correct horse")
    async with world.database.transaction() as conn:
        await users.disable(conn, "kato", at=world.at, actor="admin")
    await put("pilot", "加藤一")

    trail = await world.rows("SELECT * FROM audit ORDER BY audit_id")
    assert [(row["action"], row["detail"]) for row in trail] == [
        ("user.create", {"role": "viewer"}),
        ("user.change", {"role": ["viewer", "pilot"]}),
        ("user.change", {"display_name": ["加藤", "加藤一"]}),
        ("user.password", {}),
        ("user.disable", {}),
        ("user.change", {"disabled": [True, False]}),
    ]
    assert {(row["actor"], row["subject_kind"], row["subject_id"]) for row in trail} == {("admin", "user", "kato")}
    assert "correct horse" not in str(trail)


async def test_a_session_ends_with_its_time(world: World) -> None:
    await world.user("kato", "pilot")
    session = await _use(world, await _link(world))
    await world.write("UPDATE session SET expires_wall = clock_timestamp() - interval '1 s'")

    with pytest.raises(NotSignedIn, match="the session has ended"):
        await _whose(world, session.token)


async def test_a_session_ends_by_signing_out(world: World) -> None:
    await world.user("kato", "pilot")
    session, other = await _use(world, await _link(world)), await _use(world, await _link(world))

    async with world.database.transaction() as conn:
        await users.sign_out(conn, session.token)

    with pytest.raises(NotSignedIn):
        await _whose(world, session.token)
    assert (await _whose(world, other.token)).user_id == "kato"


async def test_a_change_of_role_counts_for_sessions_that_are_open(world: World) -> None:
    await world.user("kato", "pilot")
    session = await _use(world, await _link(world))

    await world.user("kato", "viewer")

    assert (await _whose(world, session.token)).role == "viewer"


async def test_what_has_run_out_is_forgotten(world: World) -> None:
    await world.user("kato", "pilot")
    await _use(world, await _link(world))
    await world.write("UPDATE session SET expires_wall = clock_timestamp() - interval '1 s'")
    await world.write("UPDATE sign_in_link SET expires_wall = clock_timestamp() - interval '1 s'")
    kept = await _use(world, await _link(world))

    async with world.database.transaction() as conn:
        await users.forget_expired(conn)

    assert (await _whose(world, kept.token)).user_id == "kato"
    assert len(await world.rows("SELECT * FROM session")) == 1
    assert len(await world.rows("SELECT * FROM sign_in_link")) == 1


async def test_a_password_signs_in_and_is_kept_as_a_salted_hash(world: World) -> None:
    await world.user("kato", "pilot")
    await _set_password(world, "correct horse")

    session = await users.sign_in(world.database, "kato", "correct horse")

    assert (await _whose(world, session.token)).user_id == "kato"
    row = await world.one("SELECT password_hash FROM app_user")
    assert row["password_hash"].startswith("scrypt$")
    assert "correct horse" not in row["password_hash"]


@pytest.mark.parametrize(
    ("user_id", "password"),
    [
        ("kato", "wrong horse"),
        ("kato", ""),
        ("nobody", "correct horse"),
        ("", "x"),
        ("ka\0to", "x"),
        ("kato", "x" * 5000),
    ],
)
async def test_a_wrong_password_and_a_wrong_user_look_alike(world: World, user_id: str, password: str) -> None:
    await world.user("kato", "pilot")
    await _set_password(world, "correct horse")

    with pytest.raises(NotSignedIn, match=r"^user or password is wrong$"):
        await users.sign_in(world.database, user_id, password)


async def test_a_user_without_a_password_cannot_sign_in_with_one(world: World) -> None:
    await world.user("kato", "pilot")

    with pytest.raises(NotSignedIn):
        await users.sign_in(world.database, "kato", "")


async def test_a_password_that_is_checked_holds_no_connection(world: World) -> None:
    await world.user("kato", "pilot")
    await _set_password(world, "correct horse")
    async with Database.open(world.database.dsn, max_size=1, timeout_s=0.1) as narrow:
        checks = [asyncio.create_task(users.sign_in(narrow, "kato", "wrong horse")) for _ in range(3)]
        _, pending = await asyncio.wait(checks, timeout=0.05)
        assert pending
        async with narrow.transaction() as conn:
            await conn.execute("SELECT 1")
        outcomes = await asyncio.gather(*checks, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {NotSignedIn}


async def test_equal_passwords_have_different_hashes() -> None:
    first, second = users.hash_password("correct horse"), users.hash_password("correct horse")

    assert first != second
    assert users.password_matches("correct horse", first)
    assert users.password_matches("correct horse", second)
    assert not users.password_matches("correct horsf", first)


@pytest.mark.parametrize("password", ["short", "x" * 1025])
async def test_a_password_has_a_sensible_length(world: World, password: str) -> None:
    await world.user("kato", "pilot")

    async with world.refused(BadRequest, "password:"):
        await _set_password(world, password)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"user_id": "Kato San"}, "user_id:"),
        ({"user_id": ""}, "user_id:"),
        ({"user_id": "kato\n"}, "user_id:"),
        ({"user_id": "x" * 64}, "user_id:"),
        ({"role": "king"}, "role:"),
        ({"display_name": ""}, "display_name:"),
        ({"display_name": "a\0b"}, "display_name:"),
    ],
)
async def test_a_malformed_user_is_refused_by_name(world: World, change: dict[str, str], match: str) -> None:
    values = {"user_id": "kato", "display_name": "加藤", "role": "pilot"} | change

    async with world.refused(BadRequest, match), world.database.transaction() as conn:
        await users.put(conn, at=world.at, actor="admin", **values)


async def test_unknown_users_get_neither_link_nor_password(world: World) -> None:
    async with world.refused(NotFound, "nobody"):
        await _link(world, "nobody")
    async with world.refused(NotFound, "nobody"):
        await _set_password(world, "correct horse", "nobody")


def test_nobody_may_do_everything_and_who_sets_up_does_not_fly() -> None:
    assert "pilot" not in GRANTS["administrator"]
    assert {role for role in ROLES if "administrator" in GRANTS[role]} == {"administrator"}
    assert {role for role in ROLES if "ground_crew" in GRANTS[role]} == {"ground_crew", "administrator"}
    assert all("viewer" in GRANTS[role] for role in ROLES)
    with pytest.raises(Forbidden, match="this takes a pilot"):
        User("admin", "Admin", "administrator").require("pilot")

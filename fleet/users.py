"""Users, their roles, and how they sign in: by password, or once by a link."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import ForeignKeyViolation

from fleet import audit
from fleet.db.database import Connection, Database
from fleet.errors import BadRequest, Forbidden, NotFound, NotSignedIn
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "users.sql")

ROLES = ("viewer", "ground_crew", "dispatcher", "pilot", "administrator")
GRANTS: dict[str, frozenset[str]] = {
    "viewer": frozenset({"viewer"}),
    "ground_crew": frozenset({"viewer", "ground_crew"}),
    "dispatcher": frozenset({"viewer", "dispatcher"}),
    "pilot": frozenset({"viewer", "dispatcher", "pilot"}),
    "administrator": frozenset({"viewer", "ground_crew", "dispatcher", "administrator"}),
}
"""What each role may do. An administrator sets things up but flies nothing: that takes a named pilot."""

_USER_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
MAX_NAME = 200
MIN_PASSWORD = 8
MAX_PASSWORD = 1024
SESSION_TTL_S = 12 * 3600.0
LINK_TTL_S = 24 * 3600.0
# scrypt parameters: OWASP password storage cheat sheet (N=2^15, r=8, p=3: 32 MiB, about 0.2 s).
_SCRYPT = {"n": 2**15, "r": 8, "p": 3, "maxmem": 64 * 2**20}


@dataclass(frozen=True, slots=True)
class User:
    """Who is signed in."""

    user_id: str
    display_name: str
    role: str

    def require(self, role: str) -> None:
        """Raise ``Forbidden`` unless this user may act as ``role``."""
        if role not in GRANTS[self.role]:
            raise Forbidden(f"{self.display_name} is signed in as {self.role}; this takes a {role}")


@dataclass(frozen=True, slots=True)
class Session:
    """A session just begun; ``token`` is shown once and stored only as a hash."""

    user: User
    token: str
    csrf_token: str


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def hash_password(password: str) -> str:
    """Return ``scrypt$salt$hash`` in hex; takes about 0.2 s on purpose."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT).hex()}"


def password_matches(password: str, stored: str | None) -> bool:
    """Check a password in constant time, also when there is none stored."""
    _, salt, expected = (stored or f"scrypt${'00' * 16}${'00' * 64}").split("$")
    found = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), **_SCRYPT)
    return hmac.compare_digest(found, bytes.fromhex(expected)) and stored is not None


async def put(conn: Connection, *, user_id: str, display_name: str, role: str, at: datetime, actor: str) -> None:
    """Create a user, or change name and role; raises ``BadRequest`` naming the field that is malformed."""
    if not _USER_ID.fullmatch(user_id):
        raise BadRequest(
            f"user_id: {user_id!r} must be 1 to 63 of a-z, 0-9 and . _ -, beginning with a letter or digit"
        )
    if not 1 <= len(display_name) <= MAX_NAME or not display_name.isprintable():
        raise BadRequest(f"display_name: 1 to {MAX_NAME} printable characters are needed")
    if role not in ROLES:
        raise BadRequest(f"role: {role!r} is not a role; known: {', '.join(ROLES)}")
    now = {"display_name": display_name, "role": role, "disabled": False}
    before = await (await conn.execute(_SQL["get"], {"user_id": user_id})).fetchone()
    await conn.execute(_SQL["upsert"], {"user_id": user_id, "display_name": display_name, "role": role, "at": at})
    changed = {name: [before[name], value] for name, value in now.items() if before and before[name] != value}
    if before is None or changed:
        action, detail = ("user.change", changed) if before else ("user.create", {"role": role})
        await audit.record(conn, at=at, actor=actor, action=action, subject=("user", user_id), detail=detail)


async def disable(conn: Connection, user_id: str, *, at: datetime, actor: str) -> None:
    """Let a user in no more, and end what sessions there are; ``put`` lets in again. Raises ``NotFound``."""
    cursor = await conn.execute(_SQL["disable"], {"user_id": user_id})
    if await cursor.fetchone() is None:
        raise NotFound(f"there is no user {user_id!r}")
    await conn.execute(_SQL["end_sessions"], {"user_id": user_id})
    await audit.record(conn, at=at, actor=actor, action="user.disable", subject=("user", user_id))


async def set_password(conn: Connection, user_id: str, password: str, *, at: datetime, actor: str) -> None:
    """Set a user's password; raises ``NotFound`` or ``BadRequest``."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise BadRequest(f"password: {MIN_PASSWORD} to {MAX_PASSWORD} characters are needed")
    hashed = await asyncio.to_thread(hash_password, password)
    cursor = await conn.execute(_SQL["set_password"], {"user_id": user_id, "password_hash": hashed})
    if await cursor.fetchone() is None:
        raise NotFound(f"there is no user {user_id!r}")
    await audit.record(conn, at=at, actor=actor, action="user.password", subject=("user", user_id))


async def new_link(conn: Connection, user_id: str) -> str:
    """Return a token that signs ``user_id`` in once within a day; raises ``NotFound``."""
    token = secrets.token_urlsafe(24)
    values = {"token_hash": _digest(token), "user_id": user_id, "ttl_s": LINK_TTL_S}
    try:
        await conn.execute(_SQL["insert_link"], values)
    except ForeignKeyViolation:
        raise NotFound(f"there is no user {user_id!r}") from None
    return token


async def sign_in_by_link(conn: Connection, token: str) -> Session:
    """Use a link; raises ``NotSignedIn`` when it is wrong, used or too old."""
    row = await (await conn.execute(_SQL["use_link"], {"token_hash": _digest(token)})).fetchone()
    if row is None:
        raise NotSignedIn("this sign-in link is wrong, used or too old; ask for a new one")
    return await _begin(conn, row["user_id"])


async def sign_in(database: Database, user_id: str, password: str) -> Session:
    """Sign in by password; raises ``NotSignedIn``, without telling which of the two was wrong.

    No connection is held while the password is checked: it takes long on purpose, and connections are few.
    """
    # Nothing else is an id, and PostgreSQL takes no NUL.
    known = user_id if _USER_ID.fullmatch(user_id) else ""
    async with database.transaction() as conn:
        row = await (await conn.execute(_SQL["get"], {"user_id": known})).fetchone()
    stored = row["password_hash"] if row and not row["disabled"] else None
    if not await asyncio.to_thread(password_matches, password[:MAX_PASSWORD], stored):
        raise NotSignedIn("user or password is wrong")
    async with database.transaction() as conn:
        return await _begin(conn, known)


async def _begin(conn: Connection, user_id: str) -> Session:
    row = await (await conn.execute(_SQL["get"], {"user_id": user_id})).fetchone()
    if row is None or row["disabled"]:
        raise NotSignedIn("this user is disabled")
    token, csrf_token = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    values = {
        "token_hash": _digest(token),
        "user_id": user_id,
        "csrf_token": csrf_token,
        "ttl_s": SESSION_TTL_S,
    }
    await conn.execute(_SQL["insert_session"], values)
    return Session(User(user_id, row["display_name"], row["role"]), token, csrf_token)


async def of_session(conn: Connection, token: str) -> tuple[User, str]:
    """Return the user of a session and its CSRF token; raises ``NotSignedIn``."""
    row = await (await conn.execute(_SQL["session_user"], {"token_hash": _digest(token)})).fetchone()
    if row is None:
        raise NotSignedIn("the session has ended; sign in again")
    return User(row["user_id"], row["display_name"], row["role"]), row["csrf_token"]


async def pilots_signed_in(conn: Connection) -> int:
    """Return how many pilots are signed in now."""
    row = await (await conn.execute(_SQL["pilots_signed_in"])).fetchone()
    return int(row["pilots"]) if row else 0


async def is_pilot(conn: Connection, user_id: str) -> bool:
    """Whether there is a pilot of this name who may sign in."""
    # PostgreSQL takes no NUL, and nothing else is an id.
    known = user_id if _USER_ID.fullmatch(user_id) else ""
    return await (await conn.execute(_SQL["is_pilot"], {"user_id": known})).fetchone() is not None


async def sign_out(conn: Connection, token: str) -> None:
    """End a session."""
    await conn.execute(_SQL["delete_session"], {"token_hash": _digest(token)})


async def forget_expired(conn: Connection) -> None:
    """Delete the sessions and links whose time is over."""
    await conn.execute(_SQL["delete_expired"])
    await conn.execute(_SQL["delete_expired_links"])

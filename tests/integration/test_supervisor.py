"""The supervisor with its real database and broker, and roles that only live."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

import fleet.keeper
from fleet.config import load
from fleet.embedded import EmbeddedPostgres
from fleet.embedded_broker import ACCEPTED, hash_password, sign_in
from fleet.errors import ConfigError, NotFound, StartFailed
from fleet.places import free_port
from fleet.runtime import load_runtime
from fleet.supervisor import Supervisor, default_roles
from tests.homes import processes_of, ready_process, service_home, small_roles, until

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
BROKER_FOLDER = Path(fleet.keeper.__file__).with_name("broker")
ROLES = ("gateway-1", "planner", "api")

# A supervisor in a process of its own, so that it can be killed.
SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from fleet.config import load
from fleet.supervisor import Supervisor
from tests.homes import small_roles

async def main():
    home = Path(sys.argv[1])
    async with Supervisor(load({"home": home, "api_port": 0}), roles=small_roles(home, *sys.argv[2:])):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with service_home() as folder:
        yield folder
        assert processes_of(folder) == []


def supervisor(home: Path, *roles: str, **settings: object) -> Supervisor:
    chosen = {"home": home, "api_port": 0, **settings}
    return Supervisor(load(chosen, environ={}), roles=small_roles(home, *(roles or ROLES)), for_tests=True)


@asynccontextmanager
async def supervisor_process(home: Path, *, user: int | None = None) -> AsyncIterator[Process]:
    process = await ready_process(home, SUPERVISOR, *ROLES, user=user)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.wait_for(process.wait(), 10)


def running_pid(service: Supervisor, name: str) -> int:
    try:
        return service.pid_of(name)
    except NotFound:
        return 0


async def test_the_service_is_healthy_inside_and_gone_after(home: Path) -> None:
    async with supervisor(home) as service:
        runtime = service.runtime
        assert await sign_in(runtime.broker_host, runtime.broker_port, "todoke", runtime.broker_password) == ACCEPTED
        with psycopg.connect(runtime.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM service_clock").fetchone()
        assert row == (1,)
        assert all(psutil.pid_exists(service.pid_of(name)) for name in (*ROLES, "database", "broker"))
        assert len(processes_of(home)) >= 5

    assert processes_of(home) == []


def test_one_api_process_is_called_api_and_several_are_counted(home: Path) -> None:
    def names(apis: int) -> list[str]:
        return list(default_roles(load({"home": home, "apis": apis}, environ={})))

    assert names(1) == ["gateway-1", "planner", "api"]
    assert names(3) == ["gateway-1", "planner", "api-1", "api-2", "api-3"]


async def test_gateways_are_stopped_last(home: Path) -> None:
    async with supervisor(home, "gateway-1", "planner", "api"):
        pass

    assert (home / "stopped").read_text().split() == ["api", "planner", "gateway-1"]


async def test_the_processes_learn_everything_from_a_file_that_only_their_user_reads(home: Path) -> None:
    async with supervisor(home, speed=10.0) as service:
        read = load_runtime(home, "gateway-1")

        assert (home / "run" / "runtime.json").stat().st_mode & 0o777 == 0o600
        assert read.name == "gateway-1"
        assert (read.dsn, read.clock, read.api_port) == (
            service.runtime.dsn,
            service.runtime.clock,
            service.runtime.api_port,
        )
        assert read.clock.speed == 10.0
        assert read.pids["planner"] == service.pid_of("planner")
        assert read.broker_password not in repr(read)


@pytest.mark.parametrize("name", ["gateway-1", "broker", "database"])
async def test_a_killed_child_is_started_again(home: Path, name: str) -> None:
    async with supervisor(home) as service:
        runtime = service.runtime
        with psycopg.connect(runtime.dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        before = service.pid_of(name)

        os.kill(before, signal.SIGKILL)

        await until(lambda: service.runtime.pids.get(name) not in (None, before))
        assert running_pid(service, name) != before
        assert load_runtime(home).pids[name] == service.pid_of(name)
        assert await sign_in(runtime.broker_host, runtime.broker_port, "todoke", runtime.broker_password) == ACCEPTED
        with psycopg.connect(runtime.dsn) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


async def test_a_hung_child_is_killed_and_started_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet.keeper, "HUNG_CHECKS", 3)
    monkeypatch.setattr(fleet.keeper, "STOP_S", 0.5)
    async with supervisor(home) as service:
        before = service.pid_of("gateway-1")

        os.kill(before, signal.SIGSTOP)

        await until(lambda: running_pid(service, "gateway-1") not in (0, before))
        assert not psutil.pid_exists(before)


async def test_nothing_is_left_when_the_supervisor_is_killed_and_its_data_are_kept(home: Path) -> None:
    async with supervisor_process(home) as process:
        with psycopg.connect(load_runtime(home).dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        process.kill()
        await until(lambda: processes_of(home) == [])

    async with supervisor(home) as service:
        with psycopg.connect(service.runtime.dsn) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


async def test_a_start_right_after_a_kill_waits_for_the_database_that_is_still_ending(home: Path) -> None:
    async with supervisor_process(home) as process:
        before = load_runtime(home)
        process.kill()
        await asyncio.wait_for(process.wait(), 10)

        async with supervisor(home) as service:
            assert service.runtime.clock == before.clock


async def test_a_second_supervisor_of_a_home_is_refused_by_the_first_one_s_pid(home: Path) -> None:
    async with supervisor(home) as service:
        pid = service.pid_of("database")

        with pytest.raises(StartFailed, match=f"in use by process {os.getpid()}"):
            await supervisor(home).__aenter__()

        assert service.pid_of("database") == pid


async def test_another_speed_is_refused_for_a_home_that_has_one(home: Path) -> None:
    async with supervisor(home, speed=10.0):
        pass

    with pytest.raises(ConfigError, match="begun with speed 10, and 2 is asked for"):
        await supervisor(home, speed=2.0).__aenter__()
    async with supervisor(home) as service:  # not asked for: the database's own
        assert service.runtime.clock.speed == 10.0


async def test_real_vehicles_are_refused_on_a_simulated_clock(home: Path) -> None:
    async with supervisor(home, speed=10.0):
        pass

    with pytest.raises(ConfigError, match="allow_real"):
        await supervisor(home, allow_real=True).__aenter__()


async def test_a_role_that_does_not_start_is_named_with_its_last_words_and_leaves_nothing(home: Path) -> None:
    broken = {"planner": [sys.executable, "-c", "import sys; sys.exit('no solver here')"]}
    service = Supervisor(
        load({"home": home, "api_port": 0}, environ={}), roles=small_roles(home, "api") | broken, for_tests=True
    )

    with pytest.raises(StartFailed, match=r"planner did not start: ended with status 1\s+no solver here"):
        await service.__aenter__()

    assert processes_of(home) == []


async def test_a_taken_port_is_said_before_anything_starts(home: Path) -> None:
    listener = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]

    with pytest.raises(StartFailed, match=f"port {port} on 127.0.0.1 is taken"):
        await supervisor(home, api_port=port).__aenter__()

    listener.close()
    assert not (home / "postgres").exists()


@pytest.mark.skipif(not MOSQUITTO or not shutil.which("openssl"), reason="needs mosquitto and openssl")
async def test_it_uses_a_database_and_a_tls_broker_that_are_not_its_own(home: Path) -> None:
    async with EmbeddedPostgres(home / "theirs", for_tests=True) as server, production_broker(home) as port:
        theirs = {
            "database_url": server.dsn,
            "broker_url": f"mqtts://todoke:pw@localhost:{port}",
            "broker_ca": home / "server.crt",
        }
        async with supervisor(home, **theirs) as service:
            assert service.names == list(ROLES)
            assert service.runtime.broker_tls
            assert service.runtime.dsn == server.dsn

        with pytest.raises(ConfigError, match="refused the user name or password"):
            await supervisor(home, **theirs | {"broker_url": f"mqtts://todoke:no@localhost:{port}"}).__aenter__()


@asynccontextmanager
async def production_broker(folder: Path) -> AsyncIterator[int]:
    """Run mosquitto with the configuration that compose.yaml gives it."""
    port = free_port()
    certificate = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "server.key", "-out", folder / "server.crt"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await asyncio.wait_for(certificate.wait(), 60) == 0
    (folder / "passwords").write_text(f"todoke:{hash_password('pw')}\n")
    text = (BROKER_FOLDER / "mosquitto.conf").read_text()
    text = text.replace("/mosquitto/private", str(folder)).replace("/mosquitto/config", str(BROKER_FOLDER))
    text = text.replace("listener 8883", f"user {getpass.getuser()}\nlistener {port} 127.0.0.1")
    (folder / "mosquitto.conf").write_text(text)
    process = await asyncio.create_subprocess_exec(MOSQUITTO or "", "-c", folder / "mosquitto.conf")
    try:
        yield port
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 10)


async def test_children_s_lines_are_kept_in_a_log_each(home: Path) -> None:
    talker = {"talker-1": [sys.executable, "-c", "print('x' * 200_000); import sys; sys.exit('the end')"]}
    service = Supervisor(load({"home": home, "api_port": 0}, environ={}), roles=talker, for_tests=True)

    with pytest.raises(StartFailed):
        await service.__aenter__()

    log = (home / "logs" / "talker-1.log").read_text()
    assert log.count("x") == 200_000
    assert log.endswith("the end\n")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, and setpriv of util-linux")
async def test_it_runs_without_root(home: Path) -> None:
    os.chown(home, 65534, 65534)

    async with supervisor_process(home, user=65534) as process:
        owners = {psutil.Process(pid).uids().real for pid in load_runtime_pids(home)}
        process.send_signal(signal.SIGKILL)
        await until(lambda: processes_of(home) == [])

    assert owners == {65534}


def load_runtime_pids(home: Path) -> list[int]:
    return list(load_runtime(home).pids.values())

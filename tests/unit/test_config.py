"""Settings: where they come from, which one wins, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.config import Broker, default_home, load
from fleet.errors import ConfigError
from telemetry.keeping import Limits


def write(home: Path, text: str) -> dict[str, str]:
    (home / "todoke.toml").write_text(text, encoding="utf-8")
    return {"TODOKE_HOME": str(home)}


def test_defaults_are_safe(tmp_path: Path) -> None:
    settings = load(environ={"TODOKE_HOME": str(tmp_path)})

    assert (settings.home, settings.api_host, settings.api_port) == (tmp_path, "127.0.0.1", 8600)
    assert (settings.allow_real, settings.speed, settings.speed_is_given) == (False, 1.0, False)
    assert (settings.database_url, settings.broker_url, settings.gateways) == ("", "", 1)


def test_home_is_in_the_user_s_data_folder_unless_named() -> None:
    assert default_home({"XDG_DATA_HOME": "/data"}) == Path("/data/todoke")
    assert default_home({}) == Path.home() / ".local/share/todoke"


def test_command_line_wins_over_environment_and_that_over_the_file(tmp_path: Path) -> None:
    environ = write(tmp_path, "api_port = 1001\ngateways = 2\nlanguage = 'en'\n")
    environ |= {"TODOKE_API_PORT": "1002", "TODOKE_GATEWAYS": "3"}

    settings = load({"api_port": 1003, "gateways": None}, environ=environ)

    assert (settings.api_port, settings.gateways, settings.language) == (1003, 3, "en")


def test_the_home_of_the_command_line_is_where_the_file_is_read(tmp_path: Path) -> None:
    write(tmp_path, "gateways = 5")

    settings = load({"home": tmp_path}, environ={"TODOKE_HOME": "/elsewhere"})

    assert (settings.home, settings.gateways) == (tmp_path, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("api_prot = 1", "unknown setting 'api_prot'; did you mean 'api_port'?"),
        ("zzz = 1", "unknown setting 'zzz'; allowed: adsb_url, allow_real"),
        ("home = '/x'", "use TODOKE_HOME"),
        ("api_port = ", "not TOML"),
        ("api_port = 70000", r"api_port \(from .*todoke.toml\): 70000 .*65535"),
        ("language = 'fr'", "language .*'fr' .*'ja' or 'en'"),
        ("gateways = 0", "gateways .*greater than or equal to 1"),
        ("apis = 17", "apis .*less than or equal to 16"),
        ("speed = nan", "speed .*finite"),
        ("database_url = 'mysql://x'", "must be empty or like postgresql://"),
        ("retention_samples_days = 0", "retention_samples_days .*greater than or equal to 1"),
        ("retention_events_days = 40000", "retention_events_days .*less than or equal to 36500"),
        ("retention_samples_days = 400", r"retention_1s_days .* must be in rising order, not 400, 365 and 1825"),
    ],
)
def test_a_wrong_file_is_named_with_the_setting_and_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    environ = write(tmp_path, text)

    with pytest.raises(ConfigError, match=said) as raised:
        load(environ=environ)

    assert "todoke.toml" in str(raised.value)


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"api_port \(from TODOKE_API_PORT\): 'many'"):
        load(environ={"TODOKE_HOME": str(tmp_path), "TODOKE_API_PORT": "many"})


def test_a_variable_that_looks_like_a_slip_is_refused_and_one_of_the_tests_is_not(tmp_path: Path) -> None:
    home = {"TODOKE_HOME": str(tmp_path)}

    with pytest.raises(ConfigError, match=r"TODOKE_GATEWAY: .* TODOKE_GATEWAYS\?"):
        load(environ=home | {"TODOKE_GATEWAY": "2"})
    load(environ=home | {"TODOKE_PX4_DIR": "/px4", "TODOKE_TEST_DATABASE_URL": "postgresql://x"})


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    environ = write(tmp_path, "gateways = 0\napi_port = -1")

    with pytest.raises(ConfigError, match=r"(?s)api_port.*gateways"):
        load(environ=environ)


def test_real_vehicles_do_not_meet_simulated_time(tmp_path: Path) -> None:
    environ = write(tmp_path, "allow_real = true") | {"TODOKE_SPEED": "10"}

    with pytest.raises(ConfigError, match=r"need speed 1.0 .*allow_real from .*speed from TODOKE_SPEED"):
        load(environ=environ)


def test_passwords_are_not_shown_in_errors(tmp_path: Path) -> None:
    environ = {"TODOKE_HOME": str(tmp_path), "TODOKE_BROKER_URL": "http://me:secret@host"}

    with pytest.raises(ConfigError, match="broker_url") as raised:
        load(environ=environ)

    assert "secret" not in str(raised.value)


def test_the_address_of_a_broker_has_its_parts() -> None:
    assert Broker.parse("mqtts://us%40er:p%2Fw@host") == Broker(
        host="host", port=8883, username="us@er", password="p/w", tls=True
    )
    assert Broker.parse("mqtt://host:1999").port == 1999


@pytest.mark.parametrize("url", ["mqtt://", "mqtt://host:99999", "host:1883", "http://host"])
def test_what_is_no_address_of_a_broker_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="mqtts://user:password@host:8883"):
        Broker.parse(url)


@pytest.mark.parametrize(
    "token", ["short", "with a space in the middle", "日本語日本語日本語日本語日本語日本語", "x" * 300]
)
def test_a_metrics_token_that_could_be_guessed_or_not_sent_is_refused_and_not_told(tmp_path: Path, token: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({"home": tmp_path}, environ={"TODOKE_METRICS_TOKEN": token})

    assert "metrics_token (from TODOKE_METRICS_TOKEN)" in str(refused.value)
    assert token not in str(refused.value)


def test_the_metrics_token_is_told_to_the_processes_and_to_nobody_else(tmp_path: Path) -> None:
    settings = load({"home": tmp_path}, environ={"TODOKE_METRICS_TOKEN": "a-long-enough-token"})

    assert settings.metrics_token == "a-long-enough-token"
    assert "a-long-enough-token" not in repr(settings)


def test_how_long_telemetry_is_kept_can_be_set_by_class(tmp_path: Path) -> None:
    environ = {"TODOKE_RETENTION_SAMPLES_DAYS": "30", "TODOKE_RETENTION_1M_DAYS": "400"}

    settings = load({"home": tmp_path, "retention_events_days": 10}, environ=environ)

    assert settings.retention == Limits(samples_days=30, rollups_1s_days=365, rollups_1m_days=400, events_days=10)
    assert load({"home": tmp_path}, environ={}).retention == Limits()

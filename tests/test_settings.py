"""Settings: a flag beats a variable beats the file beats the default, and every mistake names its place."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from exporter.common_settings import host_and_port
from exporter.config import Config
from exporter.settings import SettingsError, add_flags, load, secret, settings


def loaded(flags: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Config:
    parser = argparse.ArgumentParser()
    add_flags(parser, Config)
    return load(Config, parser.parse_args(list(flags)), environ or {})


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "exporter.yml"
    path.write_text("fleet: {servers: 7, seed: 3}\nlog: {level: debug}\n")
    return path


def test_the_defaults_stand_alone() -> None:
    assert loaded() == Config()


def test_a_flag_beats_a_variable_beats_the_file(config_file: Path) -> None:
    environ = {"OPENMANAGER_CONFIG_FILE": str(config_file), "OPENMANAGER_FLEET_SEED": "5"}
    config = loaded(["--fleet.servers", "9"], environ)
    assert (config.fleet.servers, config.fleet.seed, config.log.level) == (9, 5, "debug")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("fleet: {serverz: 1}", "fleet: Object contains unknown field `serverz`"),
        ('fleet: {servers: "many"}', "fleet.servers: Expected `int`, got `str`"),
        ("fleet: {servers: 0}", "fleet.servers: Expected `int` >= 1"),
        ("fleet: {interval: 5 min}", 'fleet: not a valid duration string: "5 min"'),
        ("fleet: {interval: 1ms}", "fleet: interval '1ms': must be between 1s and 1h"),
        ("fleet: 3", "fleet: Expected `object`, got `int`"),
        ("[1]", "Expected `object`, got `array`"),
        ("storage: {url: 'mysql://u:hunter2@h/d'}", "storage: URL 'h/d': must start with sqlite:/// or redis://"),
        ("web: {listen_address: here}", "web: listen address 'here': must be HOST:PORT"),
    ],
)
def test_a_mistake_in_the_file_names_place_value_and_rule(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(content)
    with pytest.raises(SettingsError) as caught:
        loaded(["--config.file", str(path)])
    text = str(caught.value)
    assert text.startswith(f"{path}: {message}")
    assert "\n" not in text
    assert "hunter2" not in text


@pytest.mark.parametrize(("content", "place"), [("fleet: [", ":1:"), ("a: b: c", ":1:5: ")])
def test_a_file_that_is_no_yaml_is_named_with_line_and_column(tmp_path: Path, content: str, place: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(content)
    with pytest.raises(SettingsError) as caught:
        loaded(["--config.file", str(path)])
    assert str(caught.value).startswith(f"{path}{place}")


@pytest.mark.parametrize(
    ("flags", "environ", "message"),
    [
        (["--fleet.servers", "x"], {}, "--fleet.servers: 'x': Expected `int`"),
        (["--fleet.servers", "0"], {}, "--fleet.servers: '0': Expected `int` >= 1"),
        ([], {"OPENMANAGER_SOURCE": "hosts"}, "OPENMANAGER_SOURCE: 'hosts': Invalid enum value"),
        (["--fleet.interval", "0s"], {}, "--fleet.interval: interval '0s': must be between"),
        (["--config.file", "/nowhere/x.yml"], {}, "/nowhere/x.yml: No such file or directory"),
    ],
)
def test_a_mistake_elsewhere_names_the_flag_or_variable(
    flags: Sequence[str], environ: Mapping[str, str], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(flags, environ)
    assert str(caught.value).startswith(message)


def test_every_setting_has_help_and_those_for_the_file_only_have_no_flag() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, Config)
    shown = parser.format_help()
    for setting in settings(Config):
        assert setting.help
        assert (setting.flag in shown) is not setting.file_only


def test_a_secret_comes_from_its_variable_or_from_the_file_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(" s3cret \n")
    assert secret("KEY", {"KEY": "plain"}) == "plain"
    assert secret("KEY", {"KEY_FILE": str(path)}) == "s3cret"
    assert secret("KEY", {}) is None


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"\xff\xfe", "not UTF-8"), (b"\n", "empty")])
def test_a_secret_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=rf"KEY_FILE: {path}: .*{reason}"):
        secret("KEY", {"KEY_FILE": str(path)})


@pytest.mark.parametrize(
    ("address", "parts"),
    [("127.0.0.1:3001", ("127.0.0.1", 3001)), (":80", ("0.0.0.0", 80)), ("[::1]:9", ("::1", 9))],
)
def test_a_listen_address_has_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    assert host_and_port(address) == parts

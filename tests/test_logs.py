"""Log lines: one line each, and never a secret."""

from __future__ import annotations

import json
import logging

import pytest

from exporter import logs
from exporter.common_settings import passwords_in


@pytest.mark.parametrize("form", logs.FORMATS)
def test_no_secret_is_in_a_line_wherever_it_comes_from(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", form, passwords_in("redis://me:hunter2@host/0", "http://host/"))
    try:
        raise ValueError("cannot connect to redis://me:hunter2@host/0")
    except ValueError:
        logging.getLogger("x").exception("failed url=%s", "redis://me:hunter2@host/0")
    written = capsys.readouterr().err
    assert "hunter2" not in written
    assert "<secret>" in written
    assert len(written.splitlines()) == 1


def test_json_lines_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    logging.getLogger("서버").warning('tick "late" lag_s=%d', 3)
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["logger"], line["msg"]) == ("warning", "서버", 'tick "late" lag_s=3')


def test_logfmt_quotes_what_needs_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "logfmt")
    logging.getLogger("x").warning("a=b c")
    logging.getLogger("x").debug("not shown")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith('level=warning logger=x msg="a=b c"')


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        ("redis://:p@h:1/0", ("p",)),
        ("postgresql://u:p@ss@h/d", ("p@ss",)),
        ("redis://h/0", ()),
        ("sqlite:///a@b:c", ()),
    ],
)
def test_the_password_of_a_url_is_found(url: str, passwords: tuple[str, ...]) -> None:
    assert passwords_in(url) == passwords

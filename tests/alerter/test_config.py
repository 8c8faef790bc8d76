"""The alerter's settings."""

from __future__ import annotations

import msgspec
import pytest

from alerter.config import Config, State, Web


@pytest.mark.parametrize(
    ("address", "external", "link"),
    [
        ("127.0.0.1:3002", "", "http://127.0.0.1:3002"),
        (":3002", "", "http://localhost:3002"),
        ("[::1]:3002", "", "http://[::1]:3002"),
        ("127.0.0.1:3002", "https://alerts.example/om/", "https://alerts.example/om"),
    ],
)
def test_links_lead_where_people_reach_it(address: str, external: str, link: str) -> None:
    assert Web(listen_address=address, external_url=external).link == link


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"web": {"listen_address": "x"}}, "must be HOST:PORT"),
        ({"evaluation": {"interval": "0"}}, "must be at least 1 ms"),
        ({"evaluation": {"grace": "soon"}}, "grace 'soon': not a valid duration"),
        ({"datadog": {"interval": "10ms"}}, "must be at least 1000 ms"),
        ({"delivery": {"group_by": "server"}}, "Expected `array`"),
        ({"slack": {"webhook": "x"}}, "unknown field `webhook`"),
        ({"datasource": {"url": "ftp://me:secret@x"}}, "'x': must start with http"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_its_name_and_rule(tree: object, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(tree, Config)
    assert said in str(error.value)
    assert "secret" not in str(error.value)


def test_passwords_in_urls_are_known_as_secrets() -> None:
    config = msgspec.structs.replace(Config(), state=State(url="redis://me:se:cr@et@host:6379/0"))
    assert config.passwords() == ("se:cr@et",)
    assert Config().passwords() == ()

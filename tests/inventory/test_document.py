"""A server as JSON: it reads back as it was, and every mistake is named with its place, value and rule."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.inventory.document import read_server, written
from tests.inventory.test_inventory import WEB

WEB_JSON = {"id": "web-01", "role": "web"}


def test_json_reads_back_as_it_was() -> None:
    assert read_server(written(WEB)) == WEB


def test_moments_are_rfc_3339_or_unix_seconds() -> None:
    windows = [
        {"start": "2026-11-24T22:00:00+09:00", "end": 1_795_525_201.5},
        {"start": 0, "end": "9999-12-31T23:59:59Z", "reason": "디스크"},
    ]
    assert written(read_server({**WEB_JSON, "maintenance": windows}))["maintenance"] == [
        {"start": "2026-11-24T13:00:00Z", "end": "2026-11-24T13:00:01.500Z", "reason": ""},
        {"start": "1970-01-01T00:00:00Z", "end": "9999-12-31T23:59:59Z", "reason": "디스크"},
    ]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a loaded machine is no finding
@given(
    st.dictionaries(
        st.sampled_from(["id", "role", "cores", "labels", "thresholds", "maintenance", "mount", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda deeper: st.lists(deeper) | st.dictionaries(st.text() | st.just("cpu"), deeper),
        ),
    )
)
def test_any_json_object_is_a_server_or_refused_in_one_line(tree: dict[str, object]) -> None:
    try:
        server = read_server({**WEB_JSON, **tree})
    except ValueError as err:
        assert len(str(err).splitlines()) == 1
    else:
        assert read_server(written(server)) == server


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"role": 3}, "role: 3: Expected `str`, got `int`"),
        ({"id": "web/01"}, "id: 'web/01': Expected `str` matching regex"),
        ({"id": "web-01\n"}, "id: 'web-01\\n': Expected `str` matching regex"),
        ({"id": "서버"}, "id: '서버': Expected `str` matching regex"),
        ({"id": "a" * 129}, "id: 'aaa"),
        ({"cores": 0}, "cores: 0: Expected `int` >= 1"),
        ({"cores": 2.5}, "cores: 2.5: Expected `int`, got `float`"),
        ({"memory_bytes": 1 << 60}, "memory_bytes: 1152921504606846976: Expected `int` <= "),
        ({"core": 1}, "Object contains unknown field `core`"),
        ({"mount": "data"}, "mount: 'data': Expected `str` matching regex"),
        ({"notes": "a\0b"}, "notes: 'a\\x00b': Expected `str` matching regex"),
        ({"services": ["nginx", "nginx"]}, "services: each may be named once"),
        ({"labels": {"server": "x"}}, "labels.server: is a label that is set already"),
        ({"labels": {"__address__": "x"}}, "labels.__address__: is a label that is set already"),
        ({"labels": {"9": "x"}}, "labels: a name in it: Expected `str` matching regex"),
        ({"thresholds": {"cpu": {"warning": 101}}}, "thresholds.cpu.warning: 101: Expected `float` <= 100"),
        ({"thresholds": {"cpu": 80}}, "thresholds.cpu: 80: Expected `object`, got `int`"),
        ({"thresholds": {"gpu": {}}}, "thresholds: Object contains unknown field `gpu`"),
        ({"thresholds": {"cpu": {"warning": 90, "critical": 80}}}, "thresholds.cpu: warning 90 must not be above 80"),
        ({"maintenance": [{"start": 5, "end": 5}]}, "maintenance[0]: end 1970-01-01T00:00:05Z must be after start"),
        ({"maintenance": [{"start": 1, "end": "tomorrow"}]}, "maintenance[0].end: 'tomorrow': Invalid RFC3339"),
        ({"maintenance": [{"start": 1, "end": "2026-01-01T00:00:00"}]}, "maintenance[0].end: '2026-01-01T00:00:00'"),
        ({"maintenance": [{"start": 1, "end": "9999-12-31T23:59:59-12:00"}]}, "must be in the years 1970 to 9999"),
    ],
)
def test_a_mistake_names_its_place_value_and_rule(tree: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as error:
        read_server({**WEB_JSON, **tree})
    assert message in str(error.value)
    assert len(str(error.value)) < 400

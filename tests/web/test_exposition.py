"""A snapshot as a page for scrapers."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.samples import Sample

from exporter.model import Column, Family, MetricType, SeriesIndex, Snapshot, format_value
from exporter.web.exposition import END, Exposition, Format
from tests.servers import binary
from tests.web.fleet import FleetMaker, fleet

PARSERS: dict[Format, Callable[[str], Iterable[Metric]]] = {
    Format.TEXT: text_parser.text_string_to_metric_families,
    Format.OPENMETRICS: openmetrics_parser.text_string_to_metric_families,
}


def parsed(text: str, format_: Format) -> list[Sample]:
    """The samples that the client library reads from a page."""
    return [sample for family in PARSERS[format_](text) for sample in family.samples]


def page(snapshot: Snapshot, format_: Format) -> str:
    return (Exposition().render(snapshot, format_) + END[format_]).decode()


def samples(snapshot: Snapshot) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What must be on the page."""
    return {
        (column.index.metric, frozenset(pair for pair in column.index.labels(i) if pair[0] != "__name__")): value
        for column in snapshot.columns
        for i, value in enumerate(column.values.tolist())
    }


@pytest.mark.parametrize("format_", Format)
def test_the_client_librarys_parser_reads_back_every_sample(format_: Format) -> None:
    snapshot = fleet()
    read = parsed(page(snapshot, format_), format_)
    assert {(s.name, frozenset(s.labels.items())): s.value for s in read} == samples(snapshot)


def test_promtool_finds_nothing_that_the_names_do_not_force() -> None:
    text = page(fleet(), Format.TEXT)
    ran = subprocess.run([binary("promtool"), "check", "metrics"], input=text, capture_output=True, text=True)
    complaints = [line for line in (ran.stdout + ran.stderr).splitlines() if line]
    assert [line for line in complaints if "percent" not in line] == []


def test_labels_stand_in_the_order_of_the_index() -> None:
    assert 'openmanager_cpu_usage_percent{server="api-01",core="0"} 40\n' in page(fleet(), Format.TEXT)


def test_headers_name_a_counter_as_each_format_does() -> None:
    text, openmetrics = (page(fleet(), format_) for format_ in Format)
    assert "# TYPE openmanager_network_receive_bytes_total counter\n" in text
    assert "# TYPE openmanager_network_receive_bytes counter\n" in openmetrics
    assert "# UNIT openmanager_network_receive_bytes bytes\n" in openmetrics
    assert "# UNIT" not in text
    assert openmetrics.endswith("\n# EOF\n")


def test_an_info_family_is_a_gauge_in_the_text_format() -> None:
    text, openmetrics = (page(fleet(), format_) for format_ in Format)
    assert "# TYPE openmanager_server_info gauge\n" in text
    assert "# TYPE openmanager_server info\n" in openmetrics


def test_a_family_of_no_known_type_is_untyped() -> None:
    index = SeriesIndex(Family("x", MetricType.UNKNOWN, "X."), "x", (), ((),))
    text, openmetrics = (page(Snapshot(0, (Column(index, np.array([1.5])),)), format_) for format_ in Format)
    assert text == "# HELP x X.\n# TYPE x untyped\nx 1.5\n"
    assert openmetrics == "# HELP x X.\n# TYPE x unknown\nx 1.5\n# EOF\n"


def test_a_histograms_lines_stand_together_per_series() -> None:
    lines = [line for line in page(fleet("a", "b"), Format.OPENMETRICS).splitlines() if "latency_seconds_" in line]
    assert [line.partition("{")[0].rpartition("_")[2] for line in lines] == ["bucket"] * 3 + ["sum", "count"] + [
        "bucket"
    ] * 3 + ["sum", "count"]


def test_exemplars_are_in_openmetrics_only() -> None:
    text, openmetrics = (page(fleet(), format_) for format_ in Format)
    assert ' 6 # {trace_id="abc"} 0.067 1748685600\n' in openmetrics
    assert "trace_id" not in text


def test_only_the_asked_servers_and_families_are_on_the_page() -> None:
    exposition, snapshot = Exposition(), fleet("a", "b", "c")
    some = exposition.render(snapshot, Format.TEXT, ["c", "a"]).decode()
    assert 'server="b"' not in some
    assert some.index('server="a"') < some.index('server="c"')
    assert some.count("latency_seconds_bucket") == 6
    one = exposition.render(snapshot, Format.TEXT, None, lambda family: family.name == "openmanager_service_up")
    assert one.count(b"\n") == 5
    assert exposition.servers(snapshot) == {"a", "b", "c"}


def test_a_family_without_any_line_has_no_header() -> None:
    empty = Snapshot(0, (Column(SeriesIndex(Family("x", MetricType.GAUGE, "X."), "x", (), ()), np.array([])),))
    assert page(empty, Format.TEXT) == ""


label_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(
    rows=st.lists(st.tuples(label_text, label_text), min_size=1, max_size=5, unique=True),
    help_=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip),
    value=st.floats(allow_nan=False),
)
@settings(max_examples=60)
def test_any_label_value_survives_both_formats(rows: list[tuple[str, str]], help_: str, value: float) -> None:
    index = SeriesIndex(Family("m", MetricType.GAUGE, help_), "m", ("a", "b"), tuple(rows))
    snapshot = Snapshot(0, (Column(index, np.full(len(rows), value)),))
    for format_ in Format:
        read = parsed(page(snapshot, format_), format_)
        assert {(s.labels["a"], s.labels["b"]): float(s.value) for s in read} == dict.fromkeys(rows, value)


def test_what_was_prepared_for_an_index_goes_with_it() -> None:
    exposition, maker = Exposition(), FleetMaker()
    exposition.render(maker.at(1), Format.TEXT)
    assert len(exposition._layouts) == 9
    del maker
    gc.collect()
    assert len(exposition._layouts) == 0


def test_a_histogram_with_one_new_index_is_laid_out_anew() -> None:
    exposition, snapshot = Exposition(), fleet("a")
    exposition.render(snapshot, Format.TEXT)
    *columns, count = snapshot.columns
    renamed = replace(count.index, rows=(("b", "GET"),))
    changed = Snapshot(0, (*columns, Column(renamed, count.values)))
    assert (
        f'latency_seconds_count{{server="b",method="GET"}} {format_value(9.0)}'
        in exposition.render(changed, Format.TEXT).decode()
    )


def test_a_family_of_many_lines_has_the_same_text_packed() -> None:
    names = [f"s{number}" for number in range(10_001)]
    family = Family("many", MetricType.GAUGE, "ü")
    odd = ('a"\\\n\x00ü',)
    few, many = (SeriesIndex(family, "many", ("x",), (odd, *((name,) for name in names[:n]))) for n in (5, 10_001))
    pages = [
        Exposition().render(Snapshot(1, (Column(each, np.arange(len(each.rows), dtype=float)),)), Format.TEXT)
        for each in (few, many)
    ]
    assert pages[1].startswith(pages[0].rstrip(b"\n"))
    assert pages[1].count(b"\n") == 2 + 10_002
    assert pages[1].endswith(b'many{x="s10000"} 10001\n')

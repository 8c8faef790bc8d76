"""History as OpenMetrics text."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import Family, Labels, MetricType, make_labels
from exporter.openmetrics import END, OpenMetricsError, header, lines, metrics_of, read
from tests.servers import binary

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
LABEL_SETS = st.dictionaries(
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]*", fullmatch=True) | TEXT.filter(bool), TEXT, max_size=3
)


def series_of(text: str) -> dict[Labels, list[tuple[int, float]]]:
    found: dict[Labels, list[tuple[int, float]]] = {}
    for batch in read(io.BytesIO(text.encode())):
        for block in batch.series:
            found.setdefault(block.labels[0], []).extend(
                zip(block.t_ms.tolist(), block.values[0].tolist(), strict=True)
            )
    return found


@given(
    TEXT.filter(bool),
    LABEL_SETS,
    st.lists(st.integers(0, 2**41), unique=True, min_size=1).map(sorted),
    st.data(),
)
def test_what_is_written_reads_back(name: str, pairs: dict[str, str], times: list[int], data: st.DataObject) -> None:
    labels = make_labels({**pairs, "__name__": name})
    values = data.draw(st.lists(st.floats(allow_nan=False), min_size=len(times), max_size=len(times)))
    text = lines(labels, np.array(times), np.array(values, dtype=np.float64)) + END
    assert series_of(text) == {labels: list(zip(times, values, strict=True))}


def test_families_are_kept_under_the_name_of_their_samples() -> None:
    text = "# TYPE a counter\n# HELP a All.\n# UNIT a bytes\na_total 1 2\n# TYPE b gauge\nb 1 2\n# EOF\n"
    (batch,) = read(io.BytesIO(text.encode()))
    assert batch.families["a_total"] == Family("a_total", MetricType.COUNTER, "All.", "bytes")
    assert batch.families["b"].type is MetricType.GAUGE


def test_a_counters_header_leaves_out_total() -> None:
    assert header(Family("a_total", MetricType.COUNTER, 'A "b"\n')) == '# TYPE a counter\n# HELP a A \\"b\\"\\n\n'


def test_a_histogram_has_three_metrics() -> None:
    assert metrics_of(Family("h", MetricType.HISTOGRAM, "")) == ("h_bucket", "h_count", "h_sum")


def test_long_text_comes_in_batches() -> None:
    text = "".join(f"a {i} {i}\n" for i in range(1, 11)) + END
    batches = list(read(io.BytesIO(text.encode()), batch_samples=4))
    assert [batch.samples for batch in batches] == [4, 4, 2]


def test_exemplars_are_passed_over() -> None:
    assert series_of('h_bucket{le="1"} 3 7 # {trace_id="x"} 0.5 6.9\n# EOF\n') == {
        make_labels({"__name__": "h_bucket", "le": "1"}): [(7000, 3.0)]
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a 1 1\n", "line 1: the text does not end with # EOF"),
        ("a 1\n# EOF\n", "line 1: a sample needs a value and a timestamp"),
        ("# TYPE a histogramm\n# EOF\n", "line 1: unknown type 'histogramm'"),
        ('a{b="1" 1\n# EOF\n', "line 1: a sample needs"),
        ('a{b="1",b="2"} 1 1\n# EOF\n', "line 1: label b occurs twice"),
        ("a{b} 1 1\n# EOF\n", "line 1: label b of a{b} has no value"),
        ("1a 1 1\n# EOF\n", "line 1: 1a has no valid metric name"),
        ("a 1 1\na one 2\n# EOF\n", "line 2: 'one' is not a number"),
        ("a 1 1\na 1 now\n# EOF\n", "line 2: 'now' is not a number"),
        ("a 1 1\na 1 NaN\n# EOF\n", "line 2: 'NaN' is not a time"),
        ("a 1 1\na 1 1e300\n# EOF\n", "line 2: '1e300' is not a time"),
        ("a 1 2\nb 1 1\na 1 1\n# EOF\n", "line 3: timestamps of a do not increase"),
        ("# EOF\na 1 1\n", "line 2: text after # EOF"),
    ],
)
def test_a_mistake_names_its_line(text: str, reason: str) -> None:
    with pytest.raises(OpenMetricsError, match=f"^{reason}"):
        series_of(text)


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_read_or_refused(text: list[bytes]) -> None:
    try:
        list(read([line + b"\n" for line in text]))
    except OpenMetricsError:
        return


def test_promtool_makes_blocks_of_what_is_written(tmp_path: Path) -> None:
    family = Family("reads_total", MetricType.COUNTER, "Reads.")
    labels = make_labels({"__name__": "reads_total", "server": 'a"\\b'})
    times = np.arange(1_700_000_000_000, 1_700_000_600_000, 15_000)
    text = header(family) + lines(labels, times, np.arange(float(len(times)))) + END
    (tmp_path / "history.om").write_text(text)
    made = subprocess.run(
        [binary("promtool"), "tsdb", "create-blocks-from", "openmetrics", "history.om", "blocks"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    (tmp_path / "blocks" / "wal").mkdir()  # dump wants a whole database
    dumped = subprocess.run(
        [binary("promtool"), "tsdb", "dump", "blocks"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert len(dumped.stdout.splitlines()) == len(times)


def test_a_sample_that_steps_back_is_refused_wherever_a_batch_ends() -> None:
    text = [b"a 1 1\n", b"a 1 2\n", b"a 1 2\n", b"# EOF\n"]
    for size in range(1, len(text)):
        with pytest.raises(OpenMetricsError, match="line 3: timestamps of a do not increase"):
            list(read(text, batch_samples=size))

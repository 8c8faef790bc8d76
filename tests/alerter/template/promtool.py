"""Asks promtool what Prometheus makes of templates: all of them in one alert's annotations, in one run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from alerter.template.quoting import unquote
from tests.servers import binary

ANNOTATION = re.compile(r'(a\d{4})=("(?:[^"\\]|\\.)*")')
PARSE_ERROR = re.compile(r'annotation "(a\d{4})": (template: .*)')
EXTERNAL_URL = "http://prom.example:9090/p"
EXTERNAL_LABELS = {"region": "kr-1", "cluster": 'c"1'}
SERIES: dict[str, list[tuple[dict[str, str], float]]] = {
    "sort_desc(cpu)": [
        ({"__name__": "cpu", "instance": "web-01.example.com:9100", "kind": "vm", "server": "web-01"}, 85.5),
        ({"__name__": "cpu", "instance": "10.0.0.7:9100", "server": "db-01"}, 50.0),
    ],
    "cpu > 80": [({"__name__": "cpu", "instance": "web-01.example.com:9100", "kind": "vm", "server": "web-01"}, 85.5)],
    "sum(cpu)": [({}, 135.5)],
    "nothing": [],
}


def rendered(texts: Sequence[str], folder: Path, value: str = "") -> list[str]:
    """Each text as Prometheus renders it, at the time 0, for the one element of `cpu > 80`.

    Given a value, as a series' value is written, for the one element `one{server="web-01"}` of that value.
    """
    folder.mkdir(exist_ok=True)
    (folder / "rules.yml").write_text(_rules(texts, "one" if value else "cpu > 80"))
    (folder / "test.yml").write_text(yaml.safe_dump(_test(value or "1")))
    command = [binary("promtool"), "test", "rules", str(folder / "test.yml")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    got = run.stderr.split("got:", 1)[-1] + run.stdout.split("got:", 1)[-1]
    found = {name: unquote(value) or "" for name, value in ANNOTATION.findall(got)}
    assert found, run.stderr + run.stdout
    return [found.get(f"a{i:04d}", "") for i in range(len(texts))]


def parse_errors(texts: Sequence[str], folder: Path) -> list[str]:
    """What Prometheus says of each text when it loads the rule file; "" for one that it accepts."""
    folder.mkdir(exist_ok=True)
    (folder / "bad.yml").write_text(_rules(texts))
    run = subprocess.run(
        [binary("promtool"), "check", "rules", str(folder / "bad.yml")], capture_output=True, text=True, check=False
    )
    found = dict(PARSE_ERROR.findall(run.stderr + run.stdout))
    return [found.get(f"a{i:04d}", "") for i in range(len(texts))]


def _rules(texts: Sequence[str], expression: str = "cpu > 80") -> str:
    annotations = {f"a{i:04d}": text for i, text in enumerate(texts)}
    rule = {"alert": "T", "expr": expression, "annotations": annotations}
    return yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}, allow_unicode=True, width=10_000)


def _test(value: str) -> dict[str, object]:
    series = [
        {"series": f"cpu{{{', '.join(f'{k}={v!r}' for k, v in labels.items() if k != '__name__')}}}", "values": value}
        for labels, value in SERIES["sort_desc(cpu)"]
    ]
    return {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "external_labels": EXTERNAL_LABELS,
                "external_url": EXTERNAL_URL,
                "input_series": [
                    *({**entry, "values": str(entry["values"])} for entry in series),
                    {"series": 'one{server="web-01"}', "values": value},
                ],
                "alert_rule_test": [{"eval_time": "0s", "alertname": "T", "exp_alerts": [{"exp_labels": {"no": "x"}}]}],
            }
        ],
    }

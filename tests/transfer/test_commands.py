"""The commands as a person starts them, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

from exporter.storage.holding import StoreHeld, held
from tests.servers import Running, Servers, answers, binary, free_port

EXPORTER = (sys.executable, "-m", "exporter")


def run(folder: Path, command: str, *flags: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """A command with the default paths, in a folder of its own."""
    arguments = [*EXPORTER, command, *flags]
    if "--fleet.servers" not in flags:
        arguments += ["--fleet.servers", "2"]
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.run(
        arguments, cwd=folder, input=stdin, capture_output=True, env={"PYTHONPATH": root}, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "missing.om"], "missing.om: No such file or directory"),
        (["import", "."], ".: Is a directory"),
        (["import", "-"], "-: line 2: 'one' is not a number"),
        (["export", "--match", "{"], "--match: '{': 1:2: parse error: unexpected end of input inside braces"),
        (["export", "--start", "today"], "--start: 'today': must be RFC 3339"),
        (["export", "--end", "1e99"], "--end: '1e99': must be a time between 1970 and 9999"),
        (["export", "--start", "2000000000", "--end", "1000000000"], "--end: '1000000000': must not be before --start"),
        (["export", "--output", "no/where"], "--output: no/where: No such file or directory"),
        (["import", "-", "--storage.url", "memory:"], "storage.url: 'memory:': what is written there ends with this"),
        (["backfill", "--for", "24 hours"], '--for: not a valid duration string: "24 hours"'),
        (["backfill", "--for", "0"], "--for: '0': must be more than nothing"),
        (["backfill", "--for", "2y"], "--for: '2y': must be more than nothing and begin within the retention of 1y"),
        (["backfill", "--for", "1h", "--until", "4000000000"], "--until: '4000000000': must not be in the future"),
        (["backfill", "--for", "1h", "--source", "host"], "source: 'host': only the past of a simulated fleet"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = run(tmp_path, *arguments, stdin=b"a 1 1\na one 2\n# EOF\n")
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"openmanager-exporter: {message}")
    assert done.stderr.count(b"\n") == 1


def test_a_store_that_is_away_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "import", "-", "--storage.url", "redis://127.0.0.1:1", stdin=b"# EOF\n")
    assert done.returncode == 2
    assert done.stderr.endswith(b"openmanager-exporter: storage.url: the store cannot be reached\n")


def test_a_held_store_is_refused_and_let_go_of_when_its_process_dies(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a%20b/samples.db"
    holder = (
        "import time\nfrom exporter.storage.holding import held\n"
        f"with held({url!r}):\n    print(1, flush=True)\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StoreHeld, match=r"a b/samples.db: another process writes to it"), held(url):
            pass
        process.kill()
    with held(url):
        pass


def test_beside_a_running_exporter_export_works_and_import_is_refused(tmp_path: Path, servers: Servers) -> None:
    port = free_port()
    folder = tmp_path / "here"
    folder.mkdir()
    root = str(Path(__file__).resolve().parents[2])
    command = [*EXPORTER, "--web.listen-address", f"127.0.0.1:{port}", "--fleet.servers", "2"]
    url = f"http://127.0.0.1:{port}/api/prometheus/metrics"
    servers.start(command, port, lambda: answers(url), cwd=folder, env={"PYTHONPATH": root})
    for command_line in (["import", "-"], ["backfill", "--for", "1h"]):
        done = run(folder, *command_line, stdin=b"# EOF\n")
        assert done.returncode == 2
        expected = b"storage.url: data/samples.db: another process writes to it; stop the exporter first\n"
        assert done.stderr == b"openmanager-exporter: " + expected
    done = run(folder, "export", "--match", "openmanager_cpu_usage_percent")
    assert done.returncode == 0
    assert done.stdout.count(b"openmanager_cpu_usage_percent{") > 0
    assert done.stdout.endswith(b"# EOF\n")


def test_a_redis_is_refused_while_its_last_tick_is_young(tmp_path: Path, redis_server: Running) -> None:
    flags = ["--storage.url", f"{redis_server.url}?prefix={uuid.uuid4().hex}:"]
    assert run(tmp_path, "backfill", "--for", "5m", "--until", str(int(time.time()) - 60), *flags).returncode == 0
    assert run(tmp_path, "backfill", "--for", "10m", *flags, "--fleet.interval", "15s").returncode == 0
    done = run(tmp_path, "import", "-", *flags, "--fleet.interval", "10m", stdin=b"# EOF\n")
    assert done.returncode == 2
    assert done.stderr.startswith(
        b"openmanager-exporter: storage.url: an exporter was writing to it within the last 20m;"
    )


def test_a_backfill_into_a_store_with_ticks_ends_before_the_first_of_them(tmp_path: Path) -> None:
    until = int(time.time()) // 15 * 15 - 600
    assert b"20 ticks" in run(tmp_path, "backfill", "--for", "5m", "--until", str(until)).stderr
    assert b"20 ticks" in run(tmp_path, "backfill", "--for", "10m", "--until", str(until)).stderr
    assert b"0 ticks" in run(tmp_path, "backfill", "--for", "10m", "--until", str(until)).stderr
    out = run(tmp_path, "export", "--match", 'openmanager_cpu_usage_percent{server="web-01"}').stdout.decode()
    times = [int(line.split(" ")[-1]) for line in out.splitlines() if line.startswith("openmanager_cpu")]
    assert sorted(set(times)) == list(range(until - 600 + 15, until + 1, 15))
    assert len(times) % len(set(times)) == 0


def test_a_backfill_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    until = int(time.time()) // 15 * 15 - 600
    flags = ("--for", "24h", "--until", str(until), "--fleet.servers", "2")
    root = str(Path(__file__).resolve().parents[2])
    command = [*EXPORTER, "backfill", *flags]
    with subprocess.Popen(command, cwd=tmp_path, env={"PYTHONPATH": root}, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not blocks_in(tmp_path / "data/samples.db"):
            pass
        process.kill()
    kept = times_of(tmp_path)
    assert kept == list(range(until - 24 * 3600 + 15, kept[-1] + 1, 15))
    assert kept[-1] < until
    done = run(tmp_path, "backfill", *flags)
    assert done.returncode == 0
    assert done.stderr.startswith(f"{5760 - len(kept):,} ticks".encode())
    assert times_of(tmp_path) == list(range(until - 24 * 3600 + 15, until + 1, 15))


def blocks_in(path: Path) -> int:
    """How many blocks a store has; none while it is being made."""
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path)) as connection, contextlib.suppress(sqlite3.OperationalError):
        return int(connection.execute("SELECT count(*) FROM blocks").fetchone()[0])
    return 0


def times_of(folder: Path) -> list[int]:
    """The ticks that a store has, Unix seconds."""
    out = run(folder, "export", "--match", 'openmanager_cpu_usage_percent{server="web-01",core="0"}').stdout.decode()
    lines = [line for line in out.splitlines() if line.startswith("openmanager_cpu")]
    return [int(line.split(" ")[-1]) for line in lines]


def test_progress_is_for_terminals_only(tmp_path: Path) -> None:
    done = run(tmp_path, "backfill", "--for", "5m")
    assert done.returncode == 0
    assert done.stderr.startswith(b"20 ticks with ")
    assert done.stderr.count(b"\n") == 1


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Text of two hours of two servers, until a time (Unix seconds) that is off the grid."""
    folder = tmp_path_factory.mktemp("history")
    until = int(time.time()) // 15 * 15 - 8
    done = run(folder, "backfill", "--for", "2h", "--until", str(until))
    assert done.returncode == 0, done.stderr
    done = run(folder, "export", "--output", "history.om")
    assert done.returncode == 0, done.stderr
    return folder / "history.om", until


QUERIES = (
    "openmanager_cpu_usage_percent",
    "sum by (server) (rate(openmanager_network_transmit_bytes_total[5m]))",
    "openmanager_memory_usage_percent offset 30m",
    '{__name__=~"openmanager_.*_bucket"}',
)


def prometheus_on(blocks: Path, servers: Servers) -> Running:
    """A Prometheus that has these blocks and scrapes nothing."""
    config = blocks.parent / "prometheus.yml"
    config.write_text("")
    port = free_port()
    command = [
        binary("prometheus"),
        *(f"--config.file={config}", f"--storage.tsdb.path={blocks}", f"--web.listen-address=127.0.0.1:{port}"),
    ]
    return servers.start(command, port, lambda: answers(f"http://127.0.0.1:{port}/-/ready"))


def asked(url: str, query: str, until: int) -> dict[str, Any]:
    parameters = urllib.parse.urlencode({"query": query, "start": until - 6000, "end": until, "step": 60})
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{parameters}", timeout=30) as response:
        rows = json.load(response)["data"]["result"]
    return {json.dumps(row["metric"], sort_keys=True): row["values"] for row in rows}


def test_promtool_makes_blocks_of_it_and_prometheus_answers_alike(
    history: tuple[Path, int], tmp_path: Path, servers: Servers
) -> None:
    text, until = history
    blocks = tmp_path / "blocks"
    promtool = [binary("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks)]
    subprocess.run(promtool, check=True, capture_output=True)
    prometheus = prometheus_on(blocks, servers)
    folder = tmp_path / "there"
    folder.mkdir()
    done = run(folder, "import", str(text))
    assert done.returncode == 0, done.stderr
    port = free_port()
    root = str(Path(__file__).resolve().parents[2])
    command = [*EXPORTER, "--web.listen-address", f"127.0.0.1:{port}", "--fleet.servers", "2"]
    base = f"http://127.0.0.1:{port}/api/prometheus"
    servers.start(command, port, lambda: answers(f"{base}/metrics"), cwd=folder, env={"PYTHONPATH": root})
    for query in QUERIES:
        theirs, ours = asked(prometheus.url, query, until), asked(base, query, until)
        assert theirs, query
        assert ours.keys() == theirs.keys(), query
        for name, values in theirs.items():
            assert [t for t, _ in ours[name]] == [t for t, _ in values], (query, name)
            assert [float(v) for _, v in ours[name]] == pytest.approx([float(v) for _, v in values], rel=1e-9), query

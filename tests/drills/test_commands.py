"""The commands for who breaks the fleet on purpose, as a person runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from tests.process.house import House, fetch, scratch, scratch_env
from tests.servers import Servers, free_port

BAD = Path(__file__).resolve().parents[1] / "simulation" / "bad_scenarios"
GOOD = """
name: tried
phases: [{name: onset, duration: 1m, level: 1}, {name: recovery, duration: 1m, level: 0}]
root: {role: web, fault: cpu_spike}
"""


def ran(*arguments: str, status: int = 0, **more: str) -> tuple[str, str]:
    """Standard output and error of a command, whose exit code must be this."""
    command = [sys.executable, "-m", "exporter", *arguments]
    env = {**scratch_env(), **more}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def test_a_failure_is_listed_injected_seen_and_cleared_from_the_command_line(servers: Servers) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    house.exporter()
    url = ("--url", house.exporter_url)
    listed, _ = ran("scenario", "list", *url)
    assert "cpu-saturation" in listed and "Nothing is broken." in listed
    inject = ("scenario", "inject", "cpu-saturation", *url, "--target", "web-01", "--ttl", "10m", "--id", "mine")
    told, _ = ran(*inject)
    assert told.startswith("mine: cpu-saturation on web-01 from 20")
    ran(*inject)  # once more is still one
    (active,) = json.loads(ran("scenario", "list", "--json", *url)[0])["active"]
    assert (active["id"], active["targets"]) == ("mine", ["web-01"])
    assert ran("scenario", "clear", "mine", *url) == ("mine: ends at the next tick\n", "")
    _, error = ran("scenario", "clear", "gone", *url, status=1)
    assert error == f"openmanager-exporter: {house.exporter_url}: no failure has the id 'gone'\n"
    _, error = ran("scenario", "inject", "cpu-saturation", *url, "--target", "gone-01", status=1)
    assert error == f"openmanager-exporter: {house.exporter_url}: targets: unknown server 'gone-01'\n"
    audit = [(of["what"], of["subject"]) for of in fetch(f"{house.exporter_url}/api/audit")["entries"]]
    assert audit == [("clear", "mine"), ("renew", "mine"), ("inject", "mine")]
    inventory = ("--inventory.url", f"sqlite:///{servers.folder / 'inventory.db'}", "--failures.rate", "0")
    truth = [json.loads(line) for line in ran("truth", *inventory, "--fleet.interval", "1s")[0].splitlines()]
    assert truth == fetch(f"{house.exporter_url}/api/truth")["incidents"]
    assert [incident["id"] for incident in truth] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["inject"], 2, "scenario inject: one scenario is to be named, not 0"),
        (["clear"], 2, "scenario clear: at least one name is needed"),
        (["list", "x"], 2, "scenario list: takes no names, not 1"),
        (["list", "--url", "ftp://x"], 2, "--url: 'ftp://x': must start with http:// or https://"),
        (["validate", "/nowhere/x.yaml"], 2, "/nowhere/x.yaml: No such file or directory"),
        (["list", "--url", "http://127.0.0.1:{free}"], 1, "http://127.0.0.1:{free}: Connection refused"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments: list[str], status: int, message: str) -> None:
    free = str(free_port())
    _, error = ran("scenario", *(argument.replace("{free}", free) for argument in arguments), status=status)
    assert error == f"openmanager-exporter: {message.replace('{free}', free)}\n"


def test_scenario_files_are_checked_with_every_mistake_in_its_place(tmp_path: Path) -> None:
    good = tmp_path / "good.yaml"
    good.write_text(GOOD)
    assert ran("scenario", "validate", str(good)) == (f"{good}: tried is good\n", "")
    out, error = ran("scenario", "validate", str(good), str(BAD), status=1)
    *told, last = error.splitlines()
    assert [line.removeprefix(f"{BAD}/") for line in told] == (BAD / "messages.txt").read_text().splitlines()
    assert last == f"openmanager-exporter: {len(list(BAD.glob('*.yaml')))} files have mistakes"
    assert out == f"{good}: tried is good\n"


def test_the_schema_is_printed_as_it_is_shipped() -> None:
    shipped = resources.files("exporter.simulation").joinpath("scenario.schema.json").read_text(encoding="utf-8")
    assert ran("scenario", "schema") == (shipped, "")


def test_an_exporter_with_scenarios_and_roles_that_are_wrong_does_not_start(tmp_path: Path) -> None:
    roles = tmp_path / "roles.yaml"
    roles.write_text("roles:\n  queue: {cpu: 130}\n")
    common = ("--storage.url", "memory:", "--inventory.url", f"sqlite:///{tmp_path}/inventory.db")
    _, error = ran("truth", *common, "--failures.scenarios", str(BAD), status=2)
    assert error.startswith(f"openmanager-exporter: failures.scenarios: {BAD}/a_list.yaml:1:1: ")
    _, error = ran("truth", *common, "--fleet.roles", str(roles), status=2)
    assert f"{roles}:2:11: roles.queue.cpu: 130: must be at most 100.0" in error
    _, error = ran("check-config", "--fleet.timezone", "Mars/Base", status=2)
    assert "timezone 'Mars/Base': must be the name of a time zone such as Asia/Seoul" in error


def test_the_truth_of_a_seed_is_the_same_in_every_process_and_for_any_time(tmp_path: Path) -> None:
    days = ("--start", "2031-05-01T00:00:00Z", "--end", "2031-05-03T00:00:00Z")
    one, two = (
        ran("truth", "--inventory.url", f"sqlite:///{tmp_path}/{name}.db", *days)[0] for name in ("first", "second")
    )
    assert one == two and len(one.splitlines()) > 5


def test_the_realism_report_is_a_table_or_json() -> None:
    out, error = ran("simulate", "--realism-report", "--days", "1", "--fleet.servers", "9", "--json")
    rows = json.loads(out)
    assert error == "" and {row["test"] for row in rows} >= {"H1", "H10", "S1", "S17"}
    assert all(row["value"] == 0 for row in rows if row["test"].startswith("H"))
    _, error = ran("simulate", "--realism-report", "--days", "0", status=2)
    assert error == "openmanager-exporter: --days: 0: must be from 1 to 31\n"

"""Files of scenarios and roles: what is shipped is sound, and each mistake is told with place, value and rule."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.roles import RolesError, load_roles
from exporter.simulation.scenarios import (
    ScenarioError,
    parse_scenario,
    read_scenario,
    scenarios_in,
    schema,
    shipped_scenarios,
)

VALID = """
name: tried
phases: [{name: onset, duration: 1m, level: 1}, {name: recovery, duration: 1m, level: 0}]
root: {role: web, fault: cpu_spike}
propagate: {depth: 1, effects: [{role: api, after: 10s, cpu_to: 90}]}
"""
EFFECTS = "cpu_to, cpu_times, demand_times, latency_times, latency_to, memory_to, memory_times, network_times, errors"
FAULTS = (
    "cpu_spike, memory_leak, disk_fill, slow_disk, net_loss, service_down, server_down, crash, slow_query, ddos, "
    "noisy_neighbour, general_slowdown, clock_skew, scrape_down, scrape_slow, scrape_truncated, scrape_gap, "
    "stuck_value, label_churn, errors, traffic_surge"
)


def test_a_sound_file_is_a_scenario() -> None:
    scenario = parse_scenario(VALID, "x.yaml", shipped_roles().roles)
    assert (scenario.name, scenario.duration_ms, scenario.propagate.effects[0].role) == ("tried", 120_000, "api")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: tried", "name: 5", "name: 5: must be a text"),
        ("name: tried", "name: Tried!", "name: 'Tried!': must match ^[a-z][a-z0-9-]{0,62}$"),
        ("name: tried\n", "", "the key name is missing"),
        ("name: onset", "name: begin", "phases[0].name: 'begin': must be one of pre, onset, peak, sustained, recovery"),
        ("level: 1", "level: 2", "phases[0].level: 2: must be at most 1.0"),
        ("level: 0", "level: -0.5", "phases[1].level: -0.5: must be at least 0.0"),
        ("level: 1", "level: high", "phases[0].level: 'high': must be a number"),
        ("1m, level: 1", "5 minutes, level: 1", 'phases[0].duration: not a valid duration string: "5 minutes"'),
        ("1m, level: 1", "-1m, level: 1", 'phases[0].duration: not a valid duration string: "-1m"'),
        ("duration: 1m", "duration: 0s", "phases: must last longer than 0s together"),
        ("phases: [{", "phases: []\nexpect: {}\n#", "phases: []: must have at least 1 entries"),
        ("phases: [{", "phases: 5\n#", "phases: 5: must be a list"),
        ("root:", "rot:", "rot: unknown key; known are name, phases, root, description, propagate, schedule, expect"),
        ("role: web", "roll: web", "root.roll: unknown key; known are fault, server, role, label, percent, params"),
        ("role: web", "role: wbe", f"root.role: 'wbe': must be one of {', '.join(shipped_roles().roles)}"),
        ("role: web", "percent: 0", "root.percent: 0: must be above 0.0"),
        ("cpu_spike", "cpu_spice", f"root.fault: 'cpu_spice': must be one of {FAULTS}"),
        ("cpu_spike", "cpu_spike, params: {heat: 1}", "root.params.heat: unknown key; known are percent, latency"),
        (
            "cpu_spike",
            "cpu_spike, params: {percent: hot}",
            "root.params.percent: 'hot': must be a number from 0 to 1000000",
        ),
        ("depth: 1", "depth: 9", "propagate.depth: 9: must be at most 5"),
        (
            "role: api",
            "role: apo",
            f"propagate.effects[0].role: 'apo': must be one of {', '.join(shipped_roles().roles)}",
        ),
        (", cpu_to: 90", "", f"propagate.effects[0]: must name at least one of {EFFECTS}"),
        ("cpu_to: 90", "cpu_to: 400", "propagate.effects[0].cpu_to: 400: must be at most 100.0"),
        ("after: 10s", "after: soon", 'propagate.effects[0].after: not a valid duration string: "soon"'),
        (VALID, "- 1", "[1]: must be a mapping"),
        (VALID, "", "nothing: must be a mapping"),
    ],
)
def test_a_mistake_in_a_scenario_is_told_with_place_value_and_rule(old: str, new: str, message: str) -> None:
    assert old in VALID
    with pytest.raises(ScenarioError) as error:
        parse_scenario(VALID.replace(old, new), "x.yaml", shipped_roles().roles)
    lines = dict(reversed(line.partition(": ")[::2]) for line in str(error.value).splitlines())
    assert re.fullmatch(r"x\.yaml:[0-9]+:[0-9]+", lines[message])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: a\nname: b\n", "x.yaml:1:1: the key phases is missing"),
        ("name: [a\n", "x.yaml:2:1: "),
        ("a: b: c\n", "x.yaml:1:5: "),
        ("x: !!python/object/apply:os.system [ls]\n", "x.yaml:1:4: could not determine a constructor"),
        ("&a [*a]\n", "x.yaml:1:1: [[...]]: must be a mapping"),
    ],
)
def test_what_is_not_sound_yaml_is_told_in_one_line_with_its_place(text: str, place: str) -> None:
    with pytest.raises(ScenarioError) as error:
        parse_scenario(text, "x.yaml")
    assert str(error.value).startswith(place)


BAD = Path(__file__).parent / "bad_scenarios"


def test_every_mistake_of_every_bad_file_is_told_with_line_column_and_rule() -> None:
    told = []
    for file in sorted(BAD.glob("*.yaml")):
        with pytest.raises(ScenarioError) as error:
            read_scenario(file, shipped_roles().roles)
        told += [line.removeprefix(f"{BAD}/") for line in str(error.value).splitlines()]
    assert told == (BAD / "messages.txt").read_text(encoding="utf-8").splitlines()


def test_a_folder_of_scenarios_is_added_to_the_shipped_ones_or_refused_with_every_mistake(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(VALID)
    (tmp_path / "again.yml").write_text(VALID.replace("tried", "ddos"))
    (tmp_path / "notes.txt").write_text("no scenario")
    found = scenarios_in(tmp_path, shipped_roles().roles)
    assert set(found) == {*shipped_scenarios(), "tried"} and found["ddos"].duration_ms == 120_000
    (tmp_path / "twice.yaml").write_text(VALID)
    (tmp_path / "wrong.yaml").write_text("name: 5")
    with pytest.raises(ScenarioError) as error:
        scenarios_in(tmp_path)
    assert f"{tmp_path}/twice.yaml: name: 'tried': is that of mine.yaml too" in str(error.value)
    assert f"{tmp_path}/wrong.yaml:1:1: name: 5: must be a text" in str(error.value)
    with pytest.raises(ScenarioError, match="must be a folder"):
        scenarios_in(tmp_path / "gone")


def test_the_shipped_schema_is_that_of_the_code_and_takes_what_the_code_takes() -> None:
    folder = resources.files("exporter.simulation")
    shipped = json.loads(folder.joinpath("scenario.schema.json").read_text(encoding="utf-8"))
    assert shipped == json.loads(json.dumps(schema()))
    jsonschema.Draft202012Validator.check_schema(shipped)
    validator = jsonschema.Draft202012Validator(shipped)
    for file in folder.joinpath("scenarios").iterdir():
        assert list(validator.iter_errors(yaml.safe_load(file.read_text(encoding="utf-8")))) == []
    # what the schema cannot say: other roles, parameters of a fault, keys that exclude each other, times that add up
    beyond = {"unknown_roles", "keys_twice", "no_time", "unknown_param", "unknown_metric", "negative_param"}
    beyond |= {"two_schedules", "too_often"}
    for file in BAD.glob("*.yaml"):
        try:
            tree = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            continue
        refused = file.stem == "round_and_round" or bool(list(validator.iter_errors(tree)))
        assert refused != (file.stem in beyond), file.stem


def test_shipped_scenarios_are_named_as_their_files_describe_themselves_and_speak_of_known_roles() -> None:
    roles = shipped_roles().roles
    for name, scenario in shipped_scenarios().items():
        assert name == scenario.name and scenario.description.endswith(".")
        assert scenario.root.role in roles
        assert all(consequence.role in roles for consequence in scenario.propagate.effects)
        assert scenario.phases[-1].name == "recovery" and scenario.phases[-1].level == 0


MINE = """
roles:
  queue:
    {prefix: queue, pattern: business, cpu: 30, cpu_idle: 3, memory: 40, disk: 20, network: [10, 10], requests: 20,
     response_ms: 10, growth: 0.1, cleanup_days: 7, services: [rabbitmq], depends: [storage],
     disk_io: {reads: 5, read_kib: 8, writes: 9, write_kib: 8, bursts: 5},
     sizes: [{cores: 2, memory_gib: 4, disk_gib: 40}]}
"""


def test_a_role_of_ones_own_joins_the_fleet() -> None:
    roles = load_roles([MINE], "mine.yaml")
    assert set(roles.roles) == {*shipped_roles().roles, "queue"}
    servers = make_fleet(20, roles=roles)
    assert [server.name for server in servers if server.role == "queue"] == ["queue-01"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cpu: 30", "cpu: 130", "roles.queue.cpu: 130: must be at most 100.0"),
        ("depends: [storage]", "depends: [moon]", "roles.queue.depends: 'moon': must be one of web, api"),
        (
            "pattern: business",
            "pattern: lunar",
            "roles.queue.pattern: 'lunar': must be one of business, steady, nightly",
        ),
        ("roles:", "rolls:", "rolls: must be the mapping patterns or roles"),
        (MINE, "[]", "must be a mapping with patterns and roles"),
    ],
)
def test_a_mistake_in_a_file_of_roles_is_told(old: str, new: str, message: str) -> None:
    with pytest.raises(RolesError) as error:
        load_roles([MINE.replace(old, new)], "mine.yaml")
    place, _, told = str(error.value).partition(": ")
    assert re.fullmatch(r"mine\.yaml:[0-9]+:[0-9]+", place) and told.startswith(message) and "\n" not in told

"""`make run`: the exporter and the alerter together; Ctrl-C stops both.

Settings come from the environment (OPENMANAGER_…) and from `exporter.yml` and `alerter.yml` in the folder
where it is started, if they are there.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN_S = 30.0


def main() -> int:
    flags = _flags()
    exporter_url, alerter_url = f"http://{flags.exporter}", f"http://{flags.alerter}"
    running: list[subprocess.Popen[bytes]] = []
    signal.signal(signal.SIGTERM, lambda *_: _interrupt())
    try:
        exporter = _start("exporter", "--web.listen-address", flags.exporter, "--alerter.url", alerter_url)
        running.append(exporter)
        if not _ready(exporter, f"{exporter_url}/-/ready"):
            return _gone(running, "exporter")
        alerter = _start(
            "alerter",
            *("--web.listen-address", flags.alerter),
            *("--datasource.url", f"{exporter_url}/api/prometheus"),
            *("--remote-write.url", f"{exporter_url}/api/prometheus/api/v1/write"),
            *("--rules", str(ROOT / "rules" / "*.yml")),
        )
        running.append(alerter)
        if not _ready(alerter, f"{alerter_url}/-/ready"):
            return _gone(running, "alerter")
        print(_banner(exporter_url, alerter_url), flush=True)
        while all(process.poll() is None for process in running):
            time.sleep(0.2)
        return _gone(running, "exporter" if exporter.poll() is not None else "alerter")
    except KeyboardInterrupt:
        _stop(running)
        print("Stopped. Start again to continue: samples and alert states are kept in data/.", flush=True)
        return 0


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Start the exporter and the alerter together.")
    parser.add_argument("--exporter", default="127.0.0.1:3001", metavar="HOST:PORT", help="where the exporter listens")
    parser.add_argument("--alerter", default="127.0.0.1:3002", metavar="HOST:PORT", help="where the alerter listens")
    return parser.parse_args()


def _start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    if Path(f"{module}.yml").is_file():
        arguments = ("--config.file", f"{module}.yml", *arguments)
    # A session of its own: Ctrl-C reaches this process only, which then stops both in order.
    return subprocess.Popen([sys.executable, "-m", module, *arguments], start_new_session=True)  # noqa: S603 (our own)


def _ready(process: subprocess.Popen[bytes], url: str) -> bool:
    """Whether the process answers at the URL before it ends or time runs out."""
    deadline = time.monotonic() + READY_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 (our own address)
                # something else may already listen there: then our process ends at once
                return process.poll() is None
        except OSError:
            time.sleep(0.05)
    return False


def _gone(running: Sequence[subprocess.Popen[bytes]], name: str) -> int:
    codes = [process.poll() for process in running]
    _stop(running)
    code = next((code for code in codes if code), 1)
    print(f"make run: the {name} ended or was not ready (exit code {code}); what it said is above.", file=sys.stderr)
    return code if code > 0 else 1


def _stop(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """SIGTERM, the alerter first, and SIGKILL for what does not end in 15 s."""
    for process in reversed(running):
        if process.poll() is None:
            process.terminate()
    for process in reversed(running):
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _interrupt() -> None:
    raise KeyboardInterrupt


def _banner(exporter: str, alerter: str) -> str:
    return f"""
OpenManager is running. Ctrl-C stops it.

  Dashboard             {exporter}/
  Metrics to scrape     {exporter}/api/prometheus/metrics
  Grafana datasource    {exporter}/api/prometheus
  Alerts and rules      {alerter}/
  Break something       curl -d '{{"type":"cpu-saturation","targets":["web-01"]}}' {exporter}/api/scenarios

  {_needed("Slack", ("SLACK_WEBHOOK_URL",))}
  {_needed("Datadog", ("DATADOG_API_KEY", "DD_API_KEY"))}
"""


def _needed(place: str, variables: Sequence[str]) -> str:
    names = [name for variable in variables for name in (variable, f"{variable}_FILE")]
    if any(os.environ.get(name) for name in names):
        return f"{place:<21} messages are sent"
    return f"{place:<21} set {variables[0]} to send; until then messages are printed here"


if __name__ == "__main__":
    sys.exit(main())

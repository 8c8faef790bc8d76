"""`make bench`: every figure beside its goal. `python -m benchmarks NAME …` runs some of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

from benchmarks import (
    alerting,
    analysis,
    compression,
    dashboard,
    peers,
    queries,
    scale,
    scraped,
    serving,
    simulation,
    stream,
)
from benchmarks.figure import Figure, table

BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {
    "serving": serving.figures,
    "stream": stream.figures,
    "dashboard": dashboard.figures,
    "simulation": simulation.figures,
    "compression": compression.figures,
    "peers": peers.figures,
    "scale": scale.figures,
    "scale-scraped": scraped.figures,
    "alerting": alerting.figures,
    "analysis": analysis.figures,
    "analysis-short": analysis.figures_short,
    "queries": queries.figures,
    "queries-10k": queries.figures_of_many,
}

_ONLY_IF_NAMED = ("analysis", "scale-scraped")  # half an hour, ten minutes


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure, and print goals beside.")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which: {', '.join(BENCHMARKS)} (default: all but {', '.join(_ONLY_IF_NAMED)})",
    )
    names = parser.parse_args().names or [name for name in BENCHMARKS if name not in _ONLY_IF_NAMED]
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"unknown benchmark {unknown[0]!r}; there is {', '.join(BENCHMARKS)}")
    reached = True
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        figures = []
        for figure in BENCHMARKS[name]():
            print("  " + "  ".join(figure.row()), file=sys.stderr, flush=True)
            figures.append(figure)
        reached = reached and all(figure.reached for figure in figures)
        print(table(figures), flush=True)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())

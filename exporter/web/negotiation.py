"""Which format and which encoding a client prefers. Source: RFC 9110 §12.4, §12.5."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.web.exposition import Format


def _weighted(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each element of a header such as `text/plain;version=0.0.4;q=0.5, */*;q=0.1`: its value, parameters, weight."""
    for element in header.lower().split(","):
        value, *rest = (part.strip() for part in element.split(";"))
        parameters = {name.strip(): text.strip().strip('"') for name, _, text in (part.partition("=") for part in rest)}
        if value:
            yield value, parameters, _weight(parameters.pop("q", "1"))


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def page_format(accept: str) -> Format:
    """The format to answer with. OpenMetrics only if it is asked for by name and nothing weighs more."""
    openmetrics = text = 0.0
    for value, parameters, weight in _weighted(accept):
        if value == "application/openmetrics-text" and parameters.get("version", "1.0.0") in ("1.0.0", "0.0.1"):
            openmetrics = max(openmetrics, weight)
        elif value == "text/plain" and parameters.get("version", "0.0.4") == "0.0.4":
            text = max(text, weight)
    return Format.OPENMETRICS if openmetrics > 0 and openmetrics >= text else Format.TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip may be used: named, or covered by `*`, and not refused with weight 0."""
    weights = {value: weight for value, _, weight in _weighted(accept_encoding)}
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0

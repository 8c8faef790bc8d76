"""The functions that rule templates may call: Go's and Prometheus' own, with the types of their parameters.

Source: prometheus/template/template.go (2.42; `now`, `toDuration`, `urlQueryEscape` and negative durations from 3.x).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from alerter.template import builtins, hosts, printing, regexes
from alerter.template.errors import FunctionError
from alerter.template.floats import shortest
from alerter.template.numbers import parse_float
from alerter.template.quoting import quote
from alerter.template.times import Duration, PointedDuration, PointedTime
from alerter.template.values import AnyMap, Html, Int64, QueryResult, Sample, Stringer, StringMap, Value, type_name
from exporter.duration import parse_duration

Query: TypeAlias = Callable[[str], Iterable[tuple[Mapping[str, str], float]]]
"""Asks an instant query at the time of the evaluation: labels and value of each element.
Any exception it raises becomes the text of a render error."""

STRING, ANY, VALUE = "string", "interface {}", "reflect.Value"
RESULT, SAMPLE = "template.queryResult", "*template.sample"


@dataclass(frozen=True, slots=True)
class Context:
    """What a rendering may ask beyond its data. `now_s` is the evaluation's time in Unix seconds."""

    query: Query
    external_url: str
    now_s: float


@dataclass(frozen=True, slots=True)
class Function:
    """`run` takes the arguments; where `contextual`, a Context before them.

    `parameters` are Go's type names; if `variadic`, the last stands for any number of arguments.
    """

    run: Callable[..., Value]
    parameters: tuple[str, ...]
    variadic: bool = False
    contextual: bool = False


def to_float(value: Value) -> float:
    """A number, or a text that is one. Raises FunctionError with Go's message."""
    kind = type(value)
    if kind is float or kind is int or kind is Int64:
        return float(value)
    if kind is str:
        return _parsed(value)
    if isinstance(value, Duration):
        return int(value) / 1e9
    raise FunctionError(f"can't convert {type_name(value)} to float")


def _parsed(text: str) -> float:
    number = parse_float(text)
    if number is None:
        raise FunctionError(f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax")
    if math.isinf(number) and "inf" not in text.lower():
        raise FunctionError(f"strconv.ParseFloat: parsing {quote(text)}: value out of range")
    return number


def _short(value: float, suffix: str = "") -> str:
    """`%.4g` and a suffix."""
    if math.isfinite(value):
        return f"{value:.4g}{suffix}"
    return f"{shortest(value)}{suffix}"


def _scaled(value: float, base: float, prefixes: Iterable[str]) -> tuple[float, str]:
    """The value divided by `base` until it is under it, and the last prefix taken."""
    taken = ""
    for prefix in prefixes:
        if abs(value) < base:
            break
        taken = prefix
        value /= base
    return value, taken


def _small(value: float) -> tuple[float, str]:
    """The value times 1000 until it is at least 1, and the last prefix taken."""
    taken = ""
    for prefix in "munpfazy":
        if abs(value) >= 1:
            break
        taken = prefix
        value *= 1000
    return value, taken


def humanize(given: Value) -> str:
    """With a metric prefix: 1.235M, 120u."""
    value = to_float(given)
    if value == 0 or not math.isfinite(value):
        return _short(value)
    return _short(*(_scaled(value, 1000, "kMGTPEZY") if abs(value) >= 1 else _small(value)))


def humanize1024(given: Value) -> str:
    """With a binary prefix: 1Mi."""
    value = to_float(given)
    if abs(value) <= 1 or not math.isfinite(value):
        return _short(value)
    return _short(*_scaled(value, 1024, ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")))


def humanize_duration(given: Value) -> str:
    """Seconds as 1d 0h 1m 1s, or 12.3ms under a second."""
    value = to_float(given)
    if not math.isfinite(value):
        return _short(value)
    if value == 0:
        return _short(value, "s")
    if abs(value) < 1:
        value, prefix = _small(value)
        return _short(value, f"{prefix}s")
    return _long_duration("-" if value < 0 else "", abs(value))


def _long_duration(sign: str, value: float) -> str:
    whole, back = (int(value), 1) if value < 2.0**63 else (1 << 63, -1)  # an int64 overflows to its least value
    seconds, minutes, hours = whole % 60 * back, whole // 60 % 60 * back, whole // 3600 % 24 * back
    if days := whole // 86400 * back:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{_short(value, 's')}"


def humanize_percentage(given: Value) -> str:
    """A ratio as a percentage: 12.35%."""
    return _short(to_float(given) * 100, "%")


def humanize_timestamp(given: Value) -> str:
    """Unix seconds as 2015-06-23 13:19:44.128 +0000 UTC."""
    value = to_float(given)
    return str(_time(value)) if math.isfinite(value) else _short(value)


def to_time(given: Value) -> PointedTime:
    """Unix seconds as a time."""
    value = to_float(given)
    if not math.isfinite(value):
        raise FunctionError("value is NaN or Inf")
    return _time(value)


def _time(value: float) -> PointedTime:
    """A time, cut to the millisecond."""
    ns = value * 1e9
    if not -(2.0**63) <= ns <= 2.0**63:
        reason = "cannot be represented as a nanoseconds timestamp since it overflows int64"
        raise FunctionError(f"{shortest(value)} {reason}")
    ms = abs(int(ns)) // 1_000_000
    return PointedTime((ms if ns >= 0 else -ms) * 1_000_000)


def to_duration(given: Value) -> PointedDuration:
    """Seconds as a duration."""
    value = to_float(given) * 1e9
    return PointedDuration(int(value) if abs(value) < 2.0**63 else -(1 << 63))


def parse_seconds(text: str) -> float:
    """A Prometheus duration in seconds."""
    negative = text.startswith("-") and len(text) > 1
    try:
        seconds = parse_duration(text[negative:]) / 1000
    except ValueError as err:
        raise FunctionError(str(err).replace(f'"{text[negative:]}"', quote(text))) from None
    return -seconds if negative else seconds


def query(context: Context, expression: str) -> QueryResult:
    """The elements of an instant query's answer."""
    try:
        found = context.query(expression)
        return QueryResult([Sample(StringMap(labels), float(value)) for labels, value in found])
    except Exception as err:  # whatever the caller's client raises is this template's error, not the loop's
        raise FunctionError(str(err)) from err


def first(result: QueryResult) -> Sample:
    """The first element."""
    if not result:
        raise FunctionError("first() called on vector with no elements")
    return result[0]


def _needed(sample: Sample | None) -> Sample:
    if sample is None:
        raise FunctionError("runtime error: invalid memory address or nil pointer dereference")
    return sample


def label(name: str, sample: Sample | None) -> str:
    """An element's label, "" if it has no such label."""
    return _needed(sample).Labels.get(name, "")


def value_of(sample: Sample | None) -> float:
    """An element's value."""
    return _needed(sample).Value


def string_value(sample: Sample | None) -> str:
    """The label `__value__`, which vmalert and others set."""
    return label("__value__", sample)


def sort_by_label(name: str, result: QueryResult) -> QueryResult:
    """The elements by a label's value."""
    return QueryResult(sorted(result, key=lambda sample: sample.Labels.get(name, "").encode()))


def arguments(*values: Value) -> AnyMap:
    """The values as .arg0, .arg1, …, to give several to a template."""
    return AnyMap({f"arg{i}": value for i, value in enumerate(values)})


def title(text: str) -> str:
    """The first letter of each word in upper case, the others as they are. Source: Go strings, Title."""
    parts: list[str] = []
    starts = True
    for char in text:
        parts.append(_single(char.title(), char) if starts else char)
        starts = not (char.isalnum() or char == "_") if char.isascii() else char.isspace()
    return "".join(parts)


def _single(mapped: str, char: str) -> str:
    """Go maps letters one to one: what would become two letters stays."""
    return mapped if len(mapped) == 1 else char


def _link(tab: int, expression: str) -> str:
    return f"/graph?g0.expr={builtins.query_escape(expression)}&g0.tab={tab}"


def _sprintf(form: str, *args: Value) -> str:
    return printing.sprintf(form, args)


def _lower(text: str) -> str:
    return "".join(_single(char.lower(), char) for char in text)


def _upper(text: str) -> str:
    return "".join(_single(char.upper(), char) for char in text)


def _path(context: Context) -> str:
    return urlsplit(context.external_url).path


_two = partial(Function, parameters=(VALUE, VALUE))

FUNCTIONS: Mapping[str, Function] = {
    "and": Function(lambda *_: None, (VALUE, VALUE), variadic=True),  # the compiler evaluates it argument by argument
    "or": Function(lambda *_: None, (VALUE, VALUE), variadic=True),
    "not": Function(builtins.negate, (VALUE,)),
    "eq": Function(builtins.equal, (VALUE, VALUE), variadic=True),
    "ne": _two(builtins.unequal),
    "lt": _two(builtins.less),
    "le": _two(builtins.less_or_equal),
    "gt": _two(builtins.greater),
    "ge": _two(builtins.greater_or_equal),
    "len": Function(builtins.length, (VALUE,)),
    "index": Function(builtins.index, (VALUE, VALUE), variadic=True),
    "slice": Function(builtins.cut, (VALUE, VALUE), variadic=True),
    "call": Function(builtins.call, (VALUE, VALUE), variadic=True),
    "print": Function(lambda *args: printing.sprint(args), (ANY,), variadic=True),
    "println": Function(lambda *args: printing.sprintln(args), (ANY,), variadic=True),
    "printf": Function(_sprintf, (STRING, ANY), variadic=True),
    "html": Function(builtins.html, (ANY,), variadic=True),
    "js": Function(builtins.js, (ANY,), variadic=True),
    "urlquery": Function(builtins.urlquery, (ANY,), variadic=True),
    "query": Function(query, (STRING,), contextual=True),
    "first": Function(first, (RESULT,)),
    "label": Function(label, (STRING, SAMPLE)),
    "value": Function(value_of, (SAMPLE,)),
    "strvalue": Function(string_value, (SAMPLE,)),
    "sortByLabel": Function(sort_by_label, (STRING, RESULT)),
    "args": Function(arguments, (ANY,), variadic=True),
    "reReplaceAll": Function(regexes.replace_all, (STRING, STRING, STRING)),
    "match": Function(regexes.matches, (STRING, STRING)),
    "safeHtml": Function(Html, (STRING,)),
    "title": Function(title, (STRING,)),
    "toUpper": Function(_upper, (STRING,)),
    "toLower": Function(_lower, (STRING,)),
    "graphLink": Function(partial(_link, 0), (STRING,)),
    "tableLink": Function(partial(_link, 1), (STRING,)),
    "urlQueryEscape": Function(builtins.query_escape, (STRING,)),
    "stripPort": Function(hosts.strip_port, (STRING,)),
    "stripDomain": Function(hosts.strip_domain, (STRING,)),
    "humanize": Function(humanize, (ANY,)),
    "humanize1024": Function(humanize1024, (ANY,)),
    "humanizeDuration": Function(humanize_duration, (ANY,)),
    "humanizePercentage": Function(humanize_percentage, (ANY,)),
    "humanizeTimestamp": Function(humanize_timestamp, (ANY,)),
    "toTime": Function(to_time, (ANY,)),
    "toDuration": Function(to_duration, (ANY,)),
    "parseDuration": Function(parse_seconds, (STRING,)),
    "now": Function(lambda context: context.now_s, (), contextual=True),
    "externalURL": Function(lambda context: context.external_url, (), contextual=True),
    "pathPrefix": Function(_path, (), contextual=True),
}


def method_of(receiver: Value, name: str) -> Function | None:
    """A method of the value, bound to it."""
    if not isinstance(receiver, Stringer) or name not in receiver.methods:
        return None
    parameters, run = receiver.methods[name]
    bound: Any = partial(run, receiver)
    return Function(bound, parameters)

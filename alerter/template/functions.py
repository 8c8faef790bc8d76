"""The functions that rule templates may call: Go's and Prometheus' own, with the types of their parameters.

Source: prometheus/template/template.go (2.42; `now`, `toDuration`, `urlQueryEscape` and negative durations from 3.x).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from alerter.template import builtins, hosts, humanize, printf, printing, regexes
from alerter.template.errors import FunctionError
from alerter.template.values import AnyMap, Html, QueryResult, Sample, Stringer, StringMap, Value

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
    return printf.sprintf(form, args)


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
    "humanize": Function(humanize.humanize, (ANY,)),
    "humanize1024": Function(humanize.humanize1024, (ANY,)),
    "humanizeDuration": Function(humanize.humanize_duration, (ANY,)),
    "humanizePercentage": Function(humanize.humanize_percentage, (ANY,)),
    "humanizeTimestamp": Function(humanize.humanize_timestamp, (ANY,)),
    "toTime": Function(humanize.to_time, (ANY,)),
    "toDuration": Function(humanize.to_duration, (ANY,)),
    "parseDuration": Function(humanize.parse_seconds, (STRING,)),
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

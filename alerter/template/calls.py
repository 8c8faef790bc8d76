"""Calls, fields and the types of arguments. Source: Go text/template, exec.go, evalCall, evalField, validateType."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from alerter.template import nodes
from alerter.template.errors import FunctionError
from alerter.template.functions import ANY, RESULT, SAMPLE, STRING, VALUE, Function, method_of
from alerter.template.state import State
from alerter.template.times import Duration, Time
from alerter.template.values import AnyMap, QueryResult, Sample, Stringer, Struct, Value, truth, type_name

Argument: TypeAlias = Callable[[State, Value, str], Value]
"""An argument's value as a parameter's type, named as Go names it."""
Final: TypeAlias = Value
"""What a pipeline hands on as last argument; `missing` if nothing."""

DURATION, TIME, INT = "time.Duration", "time.Time", "int"


class _Missing:
    pass


missing = _Missing()


def call_function(
    state: State,
    dot: Value,
    function: Function,
    name: str,
    blamed: nodes.Node,
    arguments: Sequence[Argument],
    final: Final,
) -> Value:
    """The function's result; its failure is told of `blamed`."""
    _check_count(state, function, name, len(arguments), final)
    if name in ("and", "or"):
        return _short_circuit(state, dot, name == "or", arguments, final)
    parameters, last = function.parameters, len(function.parameters) - 1
    values = [argument(state, dot, parameters[min(i, last)]) for i, argument in enumerate(arguments)]
    if final is not missing:
        values.append(validated(state, final, parameters[min(len(arguments), last)]))
    try:
        return function.run(state.context, *values) if function.contextual else function.run(*values)
    except FunctionError as err:
        message = str(err)
    state.node = blamed
    raise state.failure(f"error calling {name}: {message}")


def _check_count(state: State, function: Function, name: str, given: int, final: Final) -> None:
    count = given + (final is not missing)
    wanted = len(function.parameters)
    if function.variadic:
        if count < wanted - 1:
            raise state.failure(f"wrong number of args for {name}: want at least {wanted - 1} got {given}")
    elif count != wanted:
        raise state.failure(f"wrong number of args for {name}: want {wanted} got {count}")


def _short_circuit(state: State, dot: Value, stops_at: bool, arguments: Sequence[Argument], final: Final) -> Value:
    """and, or: the first argument that decides, else the last."""
    value: Value = None
    for argument in arguments:
        value = argument(state, dot, VALUE)
        if truth(value) == stops_at:
            return value
    return value if final is missing else final


def validated(state: State, value: Value, wanted: str) -> Value:
    """The value as a parameter of this type takes it."""
    if wanted in (ANY, VALUE):
        return value
    if value is None:
        if wanted == RESULT:
            return QueryResult()
        if wanted != SAMPLE:
            raise state.failure(f"invalid value; expected {wanted}")
        return None
    if not _fits(value, wanted):
        raise state.failure(f"wrong type for value; expected {wanted}; got {type_name(value)}")
    return value


def _fits(value: Value, wanted: str) -> bool:
    match wanted:
        case "string":
            return type(value) is str
        case "template.queryResult":
            return isinstance(value, QueryResult)
        case "*template.sample":
            return isinstance(value, Sample)
        case "time.Duration":
            return isinstance(value, Duration)
        case "time.Time":
            return isinstance(value, Time)
    return type(value) is int


def literal_as(state: State, node: nodes.Node, wanted: str) -> Value:
    """A literal where the parameter has a type of its own."""
    match node:
        case nodes.Nil():
            if wanted not in (RESULT, SAMPLE):
                raise state.failure(f"cannot assign nil to {wanted}")
            return QueryResult() if wanted == RESULT else None
        case nodes.String(text=text) if wanted == STRING:
            return text
        case nodes.Number(integer=int(integer)) if wanted in (INT, DURATION):
            return integer if wanted == INT else Duration(integer)
    if wanted == STRING:
        raise state.failure(f"expected string; found {node}")
    if wanted in (INT, DURATION):
        raise state.failure(f"expected integer; found {node}")
    raise state.failure(f"can't handle {node} for arg of type {wanted}")


def field_of(
    state: State,
    dot: Value,
    node: nodes.Node,
    value: Value,
    names: Sequence[str],
    arguments: Sequence[Argument],
    final: Final,
) -> Value:
    """`value.A.B`; the last name may be a method and takes the arguments."""
    last = len(names) - 1
    in_interface = False
    for i, name in enumerate(names):
        if value is None:
            if in_interface:
                raise state.failure(f"nil pointer evaluating interface {{}}.{name}")
            return None
        takes = arguments if i == last else ()
        received = value
        value = _field(state, dot, node, value, name, takes, final if i == last else missing, in_interface)
        in_interface = isinstance(received, AnyMap)
    return value


def _field(
    state: State,
    dot: Value,
    node: nodes.Node,
    receiver: Value,
    name: str,
    arguments: Sequence[Argument],
    final: Final,
    in_interface: bool,
) -> Value:
    has_arguments = bool(arguments) or final is not missing
    if isinstance(receiver, dict):
        if has_arguments:
            raise state.failure(f"{name} is not a method but has arguments")
        return receiver.get(name, None if isinstance(receiver, AnyMap) else "")
    if isinstance(receiver, Stringer):
        method = method_of(receiver, name)
        if method is not None:
            return call_function(state, dot, method, name, node, arguments, final)
    elif isinstance(receiver, Struct) and name in receiver.fields:
        if has_arguments:
            raise state.failure(f"{name} has arguments but cannot be invoked as function")
        return getattr(receiver, name)
    type_text = "interface {}" if in_interface else type_name(receiver)
    raise state.failure(f"can't evaluate field {name} in type {type_text}")

"""Go's values as Python ones, and what Go calls their types.

string is `str` (see quoting), int is `int`, float64 is `float`, bool is `bool`, an untyped nil is None.
The other types that a template can meet have a class each, here and in times.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

Value: TypeAlias = Any
"""Any of the Python values above."""


class Uint8(int):
    """A byte of a string, as `index "abc" 1` returns it."""


class Int64(int):
    """int64, as times count."""


class Uint64(int):
    """uint64."""


class Html(str):
    """html/template's HTML, from `safeHtml`."""

    __slots__ = ()


class StringMap(dict[str, str]):
    """map[string]string."""


class AnyMap(dict[str, Any]):
    """map[string]interface {}, from `args`."""


class Struct:
    """A Go struct: its exported fields, in order. `pointer` says that templates hold a pointer to it."""

    __slots__ = ()
    fields: ClassVar[tuple[str, ...]] = ()
    type_name: ClassVar[str] = ""
    pointer: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Sample(Struct):
    """*template.sample: one element of a query's answer."""

    Labels: StringMap
    Value: float
    fields: ClassVar[tuple[str, ...]] = ("Labels", "Value")
    type_name: ClassVar[str] = "template.sample"
    pointer: ClassVar[bool] = True


class QueryResult(list[Sample]):
    """template.queryResult."""


@dataclass(frozen=True, slots=True)
class AlertData(Struct):
    """What `.` is in a rule's template."""

    Labels: StringMap
    ExternalLabels: StringMap
    ExternalURL: str
    Value: float
    fields: ClassVar[tuple[str, ...]] = ("Labels", "ExternalLabels", "ExternalURL", "Value")
    type_name: ClassVar[str] = (
        "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value float64 }"
    )


class Stringer:
    """A value with a String method, which is how it prints, and methods that templates may call.

    `methods` maps a name to the types of its parameters and the function, whose first argument is the value.
    """

    __slots__ = ()
    type_name: ClassVar[str] = ""
    pointer: ClassVar[bool] = False
    methods: ClassVar[dict[str, tuple[tuple[str, ...], Callable[..., Value]]]] = {}


_NAMES: dict[type, str] = {
    str: "string",
    bool: "bool",
    int: "int",
    float: "float64",
    Uint8: "uint8",
    Int64: "int64",
    Uint64: "uint64",
    Html: "template.HTML",
    StringMap: "map[string]string",
    AnyMap: "map[string]interface {}",
    QueryResult: "template.queryResult",
    type(None): "<nil>",
}


def type_name(value: Value) -> str:
    """The value's type as `%T` prints it."""
    name = _NAMES.get(type(value))
    if name is None:
        name = f"*{value.type_name}" if value.pointer else value.type_name
    return str(name)


def truth(value: Value) -> bool:
    """Go's truth: not the zero value of its type; structs and pointers are always true."""
    if isinstance(value, (Struct, Stringer)):
        return not isinstance(value, int) or value.pointer or value != 0
    return bool(value)


def is_int(value: Value) -> bool:
    """Whether it is of one of Go's integer types."""
    return isinstance(value, int) and not isinstance(value, bool)

"""Go's own template functions. Source: Go text/template, funcs.go (Go 1.19)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from urllib.parse import quote_plus

from alerter.template.errors import FunctionError
from alerter.template.printf import sprintf
from alerter.template.printing import bounded, sprint_indirect
from alerter.template.quoting import from_bytes, is_print, to_bytes
from alerter.template.values import Stringer, Uint8, Value, is_int, truth, type_name

_HTML = str.maketrans({"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def negate(value: Value) -> bool:
    """not."""
    return not truth(value)


def index(item: Value, *indexes: Value) -> Value:
    """index: `index x 1 "a"` is x[1]["a"]."""
    if item is None:
        raise FunctionError("index of untyped nil")
    for at in indexes:
        item = _indexed(item, at)
    return item


def _indexed(item: Value, at: Value) -> Value:
    if item is None:
        raise FunctionError("index of nil pointer")
    if isinstance(item, dict):
        if at is None:
            raise FunctionError("value is nil; should be of type string")
        if type(at) is not str:
            raise FunctionError(f"value has type {type_name(at)}; should be string")
        return item.get(at, _zero_element(item))
    if isinstance(item, str):
        raw = to_bytes(item)
        return Uint8(raw[_position(at, len(raw), "string")])
    if isinstance(item, list):
        return item[_position(at, len(item), "slice")]
    raise FunctionError(f"can't index item of type {_indirect_type(item)}")


def _zero_element(item: dict[str, Value]) -> Value:
    return "" if type_name(item) == "map[string]string" else None


def _indirect_type(item: Value) -> str:
    return type_name(item).removeprefix("*")


def _position(at: Value, capacity: int, element_of: str = "") -> int:
    """An index checked against the capacity; where an element is wanted, one more than the last is no index."""
    if at is None:
        raise FunctionError("cannot index slice/array with nil")
    if not is_int(at) or isinstance(at, Stringer):
        raise FunctionError(f"cannot index slice/array with type {type_name(at)}")
    if at < 0 or at > capacity:
        raise FunctionError(f"index out of range: {int(at)}")
    if element_of and at == capacity:
        raise FunctionError(f"reflect: {element_of} index out of range")
    return int(at)


def cut(item: Value, *indexes: Value) -> Value:
    """slice: `slice x 1 2` is x[1:2], bytes of a string."""
    if item is None:
        raise FunctionError("slice of untyped nil")
    if len(indexes) > 3:
        raise FunctionError(f"too many slice indexes: {len(indexes)}")
    if not isinstance(item, (str, list)):
        raise FunctionError(f"can't slice item of type {type_name(item)}")
    whole = to_bytes(item) if isinstance(item, str) else item
    if isinstance(item, str) and len(indexes) == 3:
        raise FunctionError("cannot 3-index slice a string")
    bounds = [0, len(whole)]
    bounds[: len(indexes)] = [_position(at, len(whole)) for at in indexes]
    for low, high in pairwise(bounds):
        if low > high:
            raise FunctionError(f"invalid slice index: {low} > {high}")
    part = whole[bounds[0] : bounds[1]]
    return from_bytes(part) if isinstance(part, bytes) else type(item)(part)


def length(item: Value) -> int:
    """len: bytes of a string, elements of the rest."""
    if isinstance(item, str):
        return len(to_bytes(item))
    if isinstance(item, (dict, list)):
        return len(item)
    if item is None:
        raise FunctionError("reflect: call of reflect.Value.Type on zero Value")
    raise FunctionError(f"len of type {_indirect_type(item)}")


def call(function: Value, *_: Value) -> Value:
    """call: nothing that a rule's template can reach is a function value."""
    if function is None:
        raise FunctionError("call of nil")
    raise FunctionError(f"non-function of type {type_name(function)}")


_BAD_TYPE = "invalid type for comparison"
_INCOMPATIBLE = "incompatible types for comparison"


def _kind(value: Value) -> str:
    """The kind that comparisons go by, "" for what has none."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "" if isinstance(value, Stringer) and value.pointer else "int"
    if isinstance(value, float):
        return "float"
    return "string" if isinstance(value, str) else ""


def equal(first: Value, *others: Value) -> bool:
    """eq: whether the first equals any of the others."""
    if not others:
        raise FunctionError("missing argument for comparison")
    return any(_equals(first, other) for other in others)


def _equals(first: Value, other: Value) -> bool:
    if first is None or other is None:
        return first is other
    kind = _kind(first)
    if kind != _kind(other):
        raise FunctionError(_INCOMPATIBLE)
    return bool(first == other) if kind else _same(first, other)


def _same(first: Value, other: Value) -> bool:
    """Whether two values are one that are no numbers, texts or truths: pointers and times can be compared."""
    if _shape(first) != _shape(other):
        pair = f"{sprintf('%s', (first,))}: {type_name(first)}, {type_name(other)}: {sprintf('%v', (other,))}"
        raise FunctionError(f"non-comparable types {pair}")
    if _shape(other) == "pointer":
        return first is other
    if isinstance(other, Stringer):
        return bool(first == other)
    raise FunctionError(f"non-comparable type {sprintf('%s', (other,))}: {type_name(other)}")


def _shape(value: Value) -> str:
    if isinstance(value, dict):
        return "map"
    if isinstance(value, list):
        return "slice"
    return "pointer" if value.pointer else "struct"


def unequal(first: Value, other: Value) -> bool:
    """ne."""
    return not equal(first, other)


def less(first: Value, other: Value) -> bool:
    """lt."""
    kind = _kind(first)
    if not kind or not _kind(other):
        raise FunctionError(_BAD_TYPE)
    if kind != _kind(other):
        raise FunctionError(_INCOMPATIBLE)
    if kind == "bool":
        raise FunctionError(_BAD_TYPE)
    return to_bytes(first) < to_bytes(other) if kind == "string" else bool(first < other)


def less_or_equal(first: Value, other: Value) -> bool:
    """le."""
    return less(first, other) or equal(first, other)


def greater(first: Value, other: Value) -> bool:
    """gt: not le, so that a NaN is greater than everything."""
    return not less_or_equal(first, other)


def greater_or_equal(first: Value, other: Value) -> bool:
    """ge: not lt."""
    return not less(first, other)


def _text_of(args: Sequence[Value]) -> str:
    """The operands as print writes them, pointers followed."""
    if len(args) == 1 and type(args[0]) is str:
        return str(args[0])
    return sprint_indirect(args)


def html(*args: Value) -> str:
    """html: escaped for HTML."""
    return bounded(_text_of(args).translate(_HTML))


def js(*args: Value) -> str:
    """js: escaped for a JavaScript string."""
    return bounded("".join(map(_js_char, _text_of(args))))


def _js_char(char: str) -> str:
    if char in _JS:
        return _JS[char]
    if char < " " or not (char < "\x7f" or is_print(char) or char == "\x7f"):
        return f"\\u{ord(char):04X}"
    return char


def urlquery(*args: Value) -> str:
    """urlquery: escaped for a URL's query."""
    return bounded(query_escape(_text_of(args)))


def query_escape(text: str) -> str:
    """net/url.QueryEscape: a space is `+`, letters, digits and `-_.~` stay."""
    return quote_plus(to_bytes(text), safe="~")

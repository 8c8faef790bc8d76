"""fmt: Sprintf, Sprint and Sprintln to the letter. Source: Go fmt, print.go and format.go (Go 1.19)."""

from __future__ import annotations

from collections.abc import Sequence

from alerter.template.errors import FunctionError
from alerter.template.flags import Flags, float_text, integer_text, padded, string_text
from alerter.template.floats import shortest
from alerter.template.times import Time
from alerter.template.values import Int64, QueryResult, Stringer, Struct, Uint64, Value, type_name

MAX_LENGTH = 1 << 20
"""No function returns a longer text, in characters."""

_PLAIN = Flags()


def bounded(text: str) -> str:
    """The text itself. Raises FunctionError when it is longer than any text may be."""
    if len(text) > MAX_LENGTH:
        raise FunctionError(f"text of more than {MAX_LENGTH} characters")
    return text


def show(value: Value) -> str:
    """The value as `{{ . }}` and Print write it."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is float:
        return shortest(value)
    return printed(value, "v", _PLAIN)


def sprint(args: Sequence[Value]) -> str:
    """Sprint: a space between two operands when neither is a string."""
    return _spaced([(isinstance(value, str), show(value)) for value in args])


def sprint_indirect(args: Sequence[Value]) -> str:
    """Sprint of what an action would print of each: pointers followed, nil as `<no value>`."""
    return _spaced([(value is None or isinstance(value, str), indirect(value)) for value in args])


def _spaced(shown: Sequence[tuple[bool, str]]) -> str:
    """The texts joined, of which is known whether they were strings."""
    parts: list[str] = []
    after_text = True
    for is_text, text in shown:
        parts.append(text if is_text or after_text else f" {text}")
        after_text = is_text
    return bounded("".join(parts))


def sprintln(args: Sequence[Value]) -> str:
    """Sprintln: a space between all operands, a line feed after the last."""
    return bounded(" ".join(map(show, args)) + "\n")


def _bad(value: Value, verb: str, flags: Flags) -> str:
    """What stands where a verb cannot print a value; the flags still hold."""
    if value is None:
        return f"%!{verb}(<nil>)"
    return f"%!{verb}({type_name(value)}={printed(value, 'v', flags)})"


def printed(value: Value, verb: str, flags: Flags, depth: int = 0) -> str:
    """One operand."""
    if value is None:
        return padded("<nil>", flags) if verb in "vT" else _bad(value, verb, flags)
    if verb == "T":
        return string_text(type_name(value), "s", flags) or ""
    if verb == "p":
        return _bad(value, verb, flags)
    if depth and isinstance(value, Struct) and value.pointer:
        return _address(value, verb, flags)
    text = _scalar(value, verb, flags, depth)
    return _bad(value, verb, flags) if text is None else text


def _scalar(value: Value, verb: str, flags: Flags, depth: int) -> str | None:
    """The value by its kind, None where the verb does not fit."""
    if isinstance(value, Stringer) and (verb in "sqxX" or (verb == "v" and not flags.sharp_v)):
        return string_text(str(value), verb, flags)
    if isinstance(value, bool):
        return padded("true" if value else "false", flags) if verb in "tv" else None
    if isinstance(value, int):
        return integer_text(value, verb, flags)
    if isinstance(value, float):
        return float_text(value, verb, flags)
    if isinstance(value, str):
        return string_text(str(value), verb, flags)
    if isinstance(value, Time):
        return _time(value, verb, flags)
    return _compound(value, verb, flags, depth)


def _time(value: Time, verb: str, flags: Flags) -> str:
    """time.Time under a verb that is not for texts: Go source, or its inner fields, the zone a nil pointer."""
    if flags.sharp_v:
        return value.literal()
    nanoseconds, seconds = value.inner
    zone = integer_text(0, verb, flags) if verb in "bodxX" else f"%!{verb}(*time.Location={padded('<nil>', flags)})"
    inner = f"{printed(Uint64(nanoseconds), verb, flags, 1)} {printed(Int64(seconds), verb, flags, 1)} {zone}"
    return f"&{{{inner}}}" if value.pointer else f"{{{inner}}}"


def _compound(value: Value, verb: str, flags: Flags, depth: int) -> str:
    if isinstance(value, dict):
        return _map(value, verb, flags, depth)
    if isinstance(value, QueryResult):
        shown = [printed(element, verb, flags, depth + 1) for element in value]
        return f"{type_name(value)}{{{', '.join(shown)}}}" if flags.sharp_v else f"[{' '.join(shown)}]"
    return _struct(value, verb, flags, depth)


def _address(value: Struct, verb: str, flags: Flags) -> str:
    """A pointer within something: where it points to, which differs from run to run."""
    if flags.sharp_v:
        return f"(*{value.type_name})(0x{id(value):x})"
    if verb == "v":
        return padded(f"0x{id(value):x}", flags)
    text = integer_text(id(value), verb, flags) if verb in "bodxX" else None
    return _bad(value, verb, flags) if text is None else text


def _map(value: dict[str, Value], verb: str, flags: Flags, depth: int) -> str:
    pairs = (
        f"{printed(key, verb, flags, depth + 1)}:{_element(value[key], verb, flags, depth + 1)}"
        for key in sorted(value, key=lambda key: key.encode("utf-8", "surrogateescape"))
    )
    return f"{type_name(value)}{{{', '.join(pairs)}}}" if flags.sharp_v else f"map[{' '.join(pairs)}]"


def _element(value: Value, verb: str, flags: Flags, depth: int) -> str:
    if value is None:
        return "interface {}(nil)" if flags.sharp_v else "<nil>"
    return printed(value, verb, flags, depth)


def _struct(value: Struct, verb: str, flags: Flags, depth: int) -> str:
    named = flags.sharp_v or flags.plus_v
    shown = []
    for name in value.fields:
        text = printed(getattr(value, name), verb, flags, depth + 1)
        shown.append(f"{name}:{text}" if named else text)
    pointer = "&" if value.pointer else ""
    if flags.sharp_v:
        return f"{pointer}{value.type_name}{{{', '.join(shown)}}}"
    return f"{pointer}{{{' '.join(shown)}}}"


def indirect(value: Value) -> str:
    """The value as an action prints it: what a pointer points to, `<no value>` for nil."""
    if value is None:
        return "<no value>"
    text = show(value)
    return text[1:] if isinstance(value, Struct) and value.pointer else text

"""Flags, width and precision of a fmt verb, and what they do to numbers and texts. Source: Go fmt, format.go."""

from __future__ import annotations

import math
from dataclasses import dataclass

from alerter.template.floats import binary, hexadecimal, shortest
from alerter.template.quoting import quote, to_bytes, unicode_point
from alerter.template.values import Uint8

_BASES = {"b": 2, "o": 8, "O": 8, "x": 16, "X": 16}
_FORMS = {"b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}


@dataclass(slots=True)
class Flags:
    """What stands between `%` and the verb. None: not given."""

    sharp: bool = False
    zero: bool = False
    plus: bool = False
    minus: bool = False
    space: bool = False
    sharp_v: bool = False
    plus_v: bool = False
    width: int | None = None
    precision: int | None = None

    def set(self, char: str) -> None:
        """Take one flag; `-` beats `0`."""
        match char:
            case "#":
                self.sharp = True
            case "+":
                self.plus = True
            case "-":
                self.minus, self.zero = True, False
            case " ":
                self.space = True
            case "0":
                self.zero = not self.minus

    def for_v(self) -> None:
        """In `%#v` and `%+v` the flags mean Go syntax and field names."""
        self.sharp_v, self.sharp = self.sharp, False
        self.plus_v, self.plus = self.plus, False


def padded(text: str, flags: Flags, *, zero: bool | None = None) -> str:
    """The text at its width, in characters."""
    if flags.width is None or len(text) >= flags.width:
        return text
    if flags.minus:
        return text.ljust(flags.width)
    return text.rjust(flags.width, "0" if (flags.zero if zero is None else zero) else " ")


def string_text(text: str, verb: str, flags: Flags) -> str | None:
    """A string under a verb, None where the verb is not for strings."""
    if verb in "xX":
        return _hex_string(text, verb, flags)
    if flags.precision is not None and verb in "sqv":
        text = text[: flags.precision]
    if verb == "q" or (verb == "v" and flags.sharp_v):
        return padded(_quoted(text, flags), flags)
    return padded(text, flags) if verb in "sv" else None


def _quoted(text: str, flags: Flags) -> str:
    if flags.sharp and all(char == "\t" or (char.isprintable() and char not in "`\ufeff") for char in text):
        return f"`{text}`"
    return quote(text, ascii_only=flags.plus)


def _hex_string(text: str, verb: str, flags: Flags) -> str:
    raw = to_bytes(text)[: flags.precision]
    digits = [f"{byte:02{verb}}" for byte in raw]
    prefix = f"0{verb}" if flags.sharp and digits else ""
    shown = " ".join(prefix + pair for pair in digits) if flags.space else prefix + "".join(digits)
    return padded(shown, flags)


def integer_text(value: int, verb: str, flags: Flags) -> str | None:
    """An integer under a verb, None where the verb is not for integers."""
    if verb in "vd":
        if flags.sharp_v and isinstance(value, Uint8):
            return _integer(value, "x", Flags(sharp=True, width=flags.width, precision=flags.precision))
        return _integer(value, "d", flags)
    if verb in _BASES:
        return _integer(value, verb, flags)
    if verb not in "cqU":
        return None
    valid = 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000
    if verb == "U":
        shown = f"U+{value % (1 << 64):0{max(flags.precision or 0, 4)}X}"
        shown += unicode_point(chr(value))[len(f"U+{value:04X}") :] if flags.sharp and valid else ""
        return padded(shown, flags, zero=False)
    char = chr(value) if valid else "\ufffd"
    return padded(char if verb == "c" else quote(char, "'", ascii_only=flags.plus), flags)


def _integer(value: int, verb: str, flags: Flags) -> str:
    negative, size = value < 0, abs(int(value))
    least = 0
    if flags.precision is not None:
        least = flags.precision
        if not least and not size:
            return " " * (flags.width or 0)
    elif flags.zero and flags.width is not None:
        least = flags.width - (negative or flags.plus or flags.space)
    digits = format(size, _FORMS.get(verb, "d")).rjust(least, "0")
    if flags.sharp and verb != "d":
        digits = {"b": "0b", "x": "0x", "X": "0X"}.get(verb, "" if digits.startswith("0") else "0") + digits
    if verb == "O":
        digits = f"0o{digits}"
    return padded(_sign(negative, flags) + digits, flags, zero=False)


def _sign(negative: bool, flags: Flags) -> str:
    return "-" if negative else "+" if flags.plus else " " if flags.space else ""


def float_text(value: float, verb: str, flags: Flags) -> str | None:
    """A float under a verb, None where the verb is not for floats."""
    if verb not in "vbgGxXfFeE":
        return None
    if not math.isfinite(value):
        return padded(_not_finite(value, flags), flags, zero=False)
    text = _finite(value, verb, flags)
    negative = text.startswith("-")
    sign, body = _sign(negative, flags), text.removeprefix("-")
    if flags.zero and sign and flags.width is not None:
        return sign + body.rjust(flags.width - 1, "0")
    return padded(sign + body, flags)


def _not_finite(value: float, flags: Flags) -> str:
    if value != value:
        return "+NaN" if flags.plus else " NaN" if flags.space else "NaN"
    if value < 0:
        return "-Inf"
    return " Inf" if flags.space and not flags.plus else "+Inf"


def _finite(value: float, verb: str, flags: Flags) -> str:
    precision = flags.precision
    if verb in "xX":
        shown = hexadecimal(value, precision)
        if flags.sharp:
            shown = _with_zeros(shown, (precision or 6) if verb == "x" else 0, "p")
        return shown.upper() if verb == "X" else shown
    if verb == "b":
        return binary(value)
    if verb in "fFeE":
        return f"{value:{'#' if flags.sharp else ''}.{6 if precision is None else precision}{verb.replace('F', 'f')}}"
    if precision is None:
        shown = _with_zeros(shortest(value), 6, "e") if flags.sharp else shortest(value)
    else:
        shown = f"{value:{'#' if flags.sharp else ''}.{precision}g}"
    return shown.upper() if verb == "G" else shown


def _with_zeros(shown: str, least: int, mark: str) -> str:
    """`%#g` and `%#x`: a decimal point always, and zeros up to so many digits; Go counts the x of 0x too."""
    mantissa, exponent_mark, exponent = shown.partition(mark)
    digits = len(mantissa.lstrip("-0.").replace(".", "")) or 1
    point = "" if "." in mantissa else "."
    return f"{mantissa}{point}{'0' * max(least - digits, 0)}{exponent_mark}{exponent}"

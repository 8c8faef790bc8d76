"""Floats as Go writes them. Source: Go strconv, ftoa.go; Go fmt, format.go, fmtFloat."""

from __future__ import annotations

import math


def shortest(value: float) -> str:
    """As `%v` prints it: the shortest that reads back equal, with an exponent below 1e-4 and from 1e+06 on."""
    text = repr(value)
    if -1e6 < value < 1e6 and "e" not in text:
        return text[:-2] if text.endswith(".0") else text
    if value != value:
        return "NaN"
    if value in (math.inf, -math.inf):
        return "+Inf" if value > 0 else "-Inf"
    digits, exponent = digits_of(value)
    sign = "-" if math.copysign(1, value) < 0 else ""
    return sign + (positional if -4 <= exponent < 6 else scientific)(digits, exponent)


def digits_of(value: float) -> tuple[str, int]:
    """The shortest digits of a finite value, without sign, and the decimal exponent of the first."""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    first = len(whole) - 1 if whole.strip("0") else -1 - (len(fraction) - len(fraction.lstrip("0")))
    if not digits:
        return "0", 0
    return digits.rstrip("0") or "0", first + int(exponent or 0)


def scientific(digits: str, exponent: int) -> str:
    """`d.ddde±dd`."""
    mantissa = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def positional(digits: str, exponent: int) -> str:
    """`ddd.ddd`."""
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{whole}.{fraction}" if fraction else whole


def hexadecimal(value: float, precision: int | None) -> str:
    """`%x`: `0x1.56p+06`; value finite."""
    mantissa, exponent = math.frexp(abs(value))
    sign = "-" if math.copysign(1, value) < 0 else ""
    bits, power = int(mantissa * (1 << 53)), exponent - 1
    if not bits:
        power = 0
    if precision is not None and precision < 13:
        shift = 52 - 4 * precision
        half, rest = 1 << (shift - 1), bits & ((1 << shift) - 1)
        bits >>= shift
        bits += rest > half or (rest == half and bits & 1)
        bits <<= shift
        if bits >> 53:
            bits, power = bits >> 1, power + 1
    fraction = f"{bits & ((1 << 52) - 1):013x}"
    fraction = fraction.rstrip("0") if precision is None else fraction.ljust(precision, "0")[:precision]
    point = "." if fraction else ""
    return f"{sign}0x{bits >> 52}{point}{fraction}p{'-' if power < 0 else '+'}{abs(power):02d}"


def binary(value: float) -> str:
    """`%b`: `6016…p-46`, the mantissa in full; value finite."""
    mantissa, exponent = math.frexp(abs(value))
    sign = "-" if math.copysign(1, value) < 0 else ""
    power = max(exponent - 53, -1074)
    return f"{sign}{int(math.ldexp(mantissa, exponent - power))}p{power:+d}" if value else f"{sign}0p-1074"

"""Floats as whole numbers where that is exact: 51.846 is 51846 at three decimals, any other float its own bits.

A code says how a number is to be read: 0 … MAX_DECIMALS are decimals (value = number / 10**code, correctly
rounded, which is how a decimal text is read), RAW means the number is the float's 64 bits in an order in which
neighbouring floats are neighbouring numbers. So every float64 has a number, bit for bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint64]
Numbers = NDArray[np.int64]
Codes = NDArray[np.uint8]

MAX_DECIMALS = 12
NEAR = 8
RAW = 15

_POWERS = np.array([10.0**code for code in range(MAX_DECIMALS + 1)] + [1.0] * (RAW - MAX_DECIMALS))
_EXACT = 2.0**53
_SIGN = np.int64(-(2**63))
_LOW_63 = np.int64(2**63 - 1)


def to_numbers(values: NDArray[np.float64], codes: Codes) -> tuple[Numbers, NDArray[np.bool_]]:
    """Each value's number under its code, and whether it reads back bit for bit. RAW always does."""
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.rint(values * _POWERS[codes])
        within = np.abs(scaled) < _EXACT
        scaled = np.where(within, scaled, 0.0)
        numbers = scaled.astype(np.int64)
    exact = within & ((scaled / _POWERS[codes]).view(np.uint64) == values.view(np.uint64))
    # rint(-0.2) is -0.0, whose quotient has the bits of -0.0, while the number 0 has not
    exact &= ~((numbers == 0) & np.signbit(values))
    raw = codes == RAW
    if raw.any():
        numbers = np.where(raw, ordered(values.view(np.uint64)), numbers)
        exact |= raw
    return numbers, exact


def near_numbers(values: NDArray[np.float64], codes: Codes) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    """Each value's number under its code, by how many floats it misses the value, and whether those are few.

    51.846000000000004 is 51846 at three decimals, missed by one: sums and products of decimals are like that.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.rint(values * _POWERS[codes])
        within = np.abs(scaled) < _EXACT
        numbers = np.where(within, scaled, 0.0).astype(np.int64)
    there = ordered(values.view(np.uint64))
    raw = codes == RAW
    if raw.any():
        numbers = np.where(raw, there, numbers)
        within = within | raw
    missed = there - ordered(to_values(numbers, codes).view(np.uint64))
    near = within & (np.abs(missed) <= NEAR)
    return numbers, np.where(near, missed, 0), near


def moved(values: NDArray[np.float64], by: Numbers) -> NDArray[np.float64]:
    """The floats that many after (or before) these."""
    return from_ordered(ordered(values.view(np.uint64)) + by).view(np.float64)


def to_values(numbers: Numbers, codes: Codes) -> NDArray[np.float64]:
    """The floats of numbers under codes that broadcast against them."""
    values: NDArray[np.float64] = numbers / _POWERS[codes]
    raw = codes == RAW
    if raw.any():
        values = np.where(raw, from_ordered(numbers).view(np.float64), values)
    return values


def fewest_decimals(values: NDArray[np.float64]) -> Codes:
    """For each value the smallest code that is exact, RAW where none is."""
    codes = np.full(values.shape, RAW, np.uint8)
    open_ = np.arange(values.size)
    for code in range(MAX_DECIMALS + 1):
        if not len(open_):
            break
        _, exact = to_numbers(values[open_], np.full(len(open_), code, np.uint8))
        codes[open_[exact]] = code
        open_ = open_[~exact]
    return codes


def ordered(bits: Bits) -> Numbers:
    """A float's bits as a number that grows with the float."""
    signed = bits.view(np.int64)
    numbers: Numbers = np.where(signed < 0, signed ^ _LOW_63, signed)
    return numbers


def from_ordered(numbers: Numbers) -> Bits:
    """The inverse of `ordered`."""
    bits: Numbers = np.where(numbers < 0, numbers ^ _LOW_63, numbers)
    return bits.view(np.uint64)

"""Whole numbers as bits: varints one by one, zigzag and Rice codes for many at once.

Rice codes of n numbers u with n remainder widths k (bits in a byte count from the most significant):

    +----------------+-------------------------------+-----------------------------+------------------+
    | varint: a      | a bytes: for each number      | for each number not escaped | for each escaped |
    | length of next | u >> k zeros, then a one;     | its low k bits, packed from | number u itself, |
    |                | ESCAPE zeros mean "escaped"   | the least significant on    | 8 bytes, LE      |
    +----------------+-------------------------------+-----------------------------+------------------+
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Unsigned = NDArray[np.uint64]
Signed = NDArray[np.int64]

ESCAPE = 18
MAX_WIDTH = 62


class Truncated(ValueError):
    """The bytes end before the numbers do."""


def append_varint(out: bytearray, value: int) -> None:
    """Add a number >= 0, seven bits a byte, the lowest first."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at this offset and the offset behind it. Raises Truncated."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Truncated(f"no varint at byte {at}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def zigzag(signed: Signed) -> Unsigned:
    """0, -1, 1, -2 … as 0, 1, 2, 3 …"""
    folded: Unsigned = ((signed << 1) ^ (signed >> 63)).view(np.uint64)
    return folded


def unzigzag(folded: Unsigned) -> Signed:
    """The inverse of `zigzag`."""
    one = np.uint64(1)
    return (folded >> one).view(np.int64) ^ -(folded & one).view(np.int64)


def pack(values: Unsigned, widths: Signed) -> bytes:
    """The low `widths[i]` bits (0 … 63) of each value, end to end. Higher bits must be 0."""
    ends = np.cumsum(widths)
    total = int(ends[-1]) if len(ends) else 0
    if not total:
        return b""
    offsets = ends - widths
    word, shift = offsets >> 6, (offsets & 63).astype(np.uint64)
    words = np.zeros((total >> 6) + 2, np.uint64)
    starts = np.flatnonzero(np.diff(word, prepend=-1))
    words[word[starts]] = np.bitwise_or.reduceat(values << shift, starts)
    split = np.flatnonzero((offsets & 63) + widths > 64)
    words[word[split] + 1] |= values[split] >> (np.uint64(64) - shift[split])
    return words.astype("<u8", copy=False).tobytes()[: (total + 7) >> 3]


def unpack(data: bytes, widths: Signed) -> Unsigned:
    """The inverse of `pack`; bytes beyond the last value are not looked at. Raises Truncated."""
    ends = np.cumsum(widths)
    total = int(ends[-1]) if len(ends) else 0
    size = (total + 7) >> 3
    if len(data) < size:
        raise Truncated(f"{size} bytes of remainders, {len(data)} left")
    words = np.frombuffer(data[:size].ljust((total >> 6) * 8 + 16, b"\0"), "<u8")
    offsets = ends - widths
    word, shift = offsets >> 6, (offsets & 63).astype(np.uint64)
    high = (words[word + 1] << np.uint64(1)) << (np.uint64(63) - shift)
    mask = (np.uint64(1) << widths.astype(np.uint64)) - np.uint64(1)
    values: Unsigned = ((words[word] >> shift) | high) & mask
    return values


def rice(values: Unsigned, widths: Signed) -> bytes:
    """The Rice codes of the values, as drawn above. widths: 0 … MAX_WIDTH each."""
    shift = widths.astype(np.uint64)
    quotient = np.minimum(values >> shift, np.uint64(ESCAPE)).view(np.int64)
    unary = np.zeros(int(quotient.sum()) + len(values), np.uint8)
    unary[np.cumsum(quotient + 1) - 1] = 1
    escaped = quotient == ESCAPE
    kept = np.where(escaped, 0, widths)
    remainder = values & ((np.uint64(1) << kept.astype(np.uint64)) - np.uint64(1))
    ones = np.packbits(unary).tobytes()
    out = bytearray()
    append_varint(out, len(ones))
    out += ones
    out += pack(remainder, kept)
    out += values[escaped].astype("<u8", copy=False).tobytes()
    return bytes(out)


def unrice(data: bytes, at: int, widths: Signed) -> Unsigned:
    """The numbers whose Rice codes fill `data` from `at` to its end. Raises Truncated."""
    size, at = read_varint(data, at)
    ends = np.flatnonzero(np.unpackbits(np.frombuffer(data[at : at + size], np.uint8)))
    if len(ends) != len(widths):
        raise Truncated(f"{len(widths)} codes expected, {len(ends)} found")
    at += size
    quotient = np.diff(ends, prepend=-1) - 1
    escaped = np.flatnonzero(quotient == ESCAPE)
    kept = widths.copy()
    kept[escaped] = 0
    values = unpack(data[at:], kept) | (quotient.view(np.uint64) << kept.astype(np.uint64))
    if len(escaped):
        at += (int(kept.sum()) + 7) >> 3
        raw = data[at : at + 8 * len(escaped)]
        if len(raw) < 8 * len(escaped):
            raise Truncated(f"{len(escaped)} escaped numbers expected, {len(raw)} bytes left")
        values[escaped] = np.frombuffer(raw, "<u8")
    return values

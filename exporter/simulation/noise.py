"""Randomness without a stream: a hash of (key, index) gives each number, whatever was asked before.

A key is made once of the seed and names such as the server's and the metric's, so adding a server or a
metric changes no other number. Everything is vectorised; keys and indices broadcast against each other.
Source of the mixing function: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Indices = NDArray[np.int64]
Floats = NDArray[np.float64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_16_BITS = np.uint64(0xFFFF)
_TO_UNIT = 2.0**-53


def key(seed: int, *names: str) -> int:
    """64 bits for a seed and names; other names or another order give other bits."""
    text = "\0".join((str(seed), *names)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def keys(seed: int, names: list[str], purpose: str) -> Keys:
    """One key per name for one purpose. Shape (len(names),)."""
    before = f"{seed}\0{purpose}\0".encode()
    digests = [hashlib.blake2b(before + name.encode(), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def bits(of: Keys, index: Indices) -> Keys:
    """64 well mixed bits for each (key, index)."""
    x = of + index.astype(np.uint64) * _STEP
    x ^= x >> np.uint64(30)
    x *= _MIX_1
    x ^= x >> np.uint64(27)
    x *= _MIX_2
    x ^= x >> np.uint64(31)
    return x


def uniform(of: Keys, index: Indices) -> Floats:
    """Uniform in [0, 1)."""
    return (bits(of, index) >> np.uint64(11)).astype(np.float64) * _TO_UNIT


def normal(of: Keys, index: Indices) -> Floats:
    """Nearly normal, mean 0, standard deviation 1, never beyond 3.47: four 16-bit uniforms added."""
    x = bits(of, index)
    total = (x & _16_BITS) + ((x >> np.uint64(16)) & _16_BITS)
    total += (x >> np.uint64(32)) & _16_BITS
    total += x >> np.uint64(48)
    standard: Floats = (total.astype(np.float64) - 131070.0) * (np.sqrt(3.0) / 65536.0)
    return standard


def wander(of: Keys, t_ms: Indices, spacing_ms: int) -> Floats:
    """A smooth line through one normal number each `spacing_ms`: straight between two of them.

    of: shape (n, 1); t_ms: shape (m,). Returns shape (n, m), standard deviation about 0.8.
    """
    # where ticks are much closer than the knots, most ticks share their knots: hash each knot once
    knot = t_ms // spacing_ms
    first = int(knot[0])
    count = int(knot[-1]) - first + 2
    if count < len(knot):
        values = normal(of, np.arange(first, first + count, dtype=np.int64))
        left, right = values[:, knot - first], values[:, knot - first + 1]
    else:
        left, right = normal(of, knot), normal(of, knot + 1)
    part = (t_ms - knot * spacing_ms) / spacing_ms
    blended: Floats = left + (right - left) * part
    return blended

"""Many floats as text."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from exporter.model import format_value
from exporter.web.floats import texts

if TYPE_CHECKING:
    from exporter.model import Samples


@given(arrays.arrays(np.float64, st.integers(0, 50), elements=st.floats(width=64)))
def test_each_text_is_what_format_value_writes(values: Samples) -> None:
    assert texts(values) == [format_value(value).encode() for value in values.tolist()]


@given(st.lists(st.tuples(st.integers(0, 17), st.integers(-(2**53), 2**53)), min_size=1, max_size=30))
def test_decimals_and_whole_numbers_are_written_the_same(pairs: list[tuple[int, int]]) -> None:
    values = np.array([digits / 10**places for places, digits in pairs])
    assert texts(values) == [format_value(value).encode() for value in values.tolist()]


@pytest.mark.parametrize("edge", [1e-6, 1e-5, 1e-4, 1e15, 1e16, 1e17, 1e20, 1e21, 1e22, 5e-324, 1.7976931348623157e308])
def test_the_neighbours_of_an_edge_are_written_the_same(edge: float) -> None:
    near = [math.nextafter(edge, 0), edge, math.nextafter(edge, math.inf)]
    values = np.array([sign * value for value in near for sign in (1, -1) if math.isfinite(value)])
    assert texts(values) == [format_value(value).encode() for value in values.tolist()]


def test_special_values_have_texts_of_their_own() -> None:
    stale = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
    values = np.array([float("nan"), stale, float("inf"), -float("inf"), -0.0, 0.0, 100.0])
    assert texts(values) == [b"NaN", b"NaN", b"+Inf", b"-Inf", b"-0", b"0", b"100"]


def test_columns_of_a_larger_array_are_written_too() -> None:
    table = np.arange(12, dtype=np.float64).reshape(3, 4)
    assert texts(table[:, 1]) == [b"1", b"5", b"9"]

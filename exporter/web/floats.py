"""Many floats as text at once, each as `format_value` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson

from exporter.model import format_value

if TYPE_CHECKING:
    from exporter.model import Samples


def texts(values: Samples) -> list[bytes]:
    """values: shape (n,). Returns n texts, equal to `format_value` of each.

    orjson writes n floats an order of magnitude faster than n calls would. What it writes differently is patched:
    NaN and the infinities (null in JSON), and magnitudes where its exponents begin earlier than Prometheus'.
    """
    if not len(values):
        return []
    raw = orjson.dumps(np.ascontiguousarray(values, dtype=np.float64), option=orjson.OPT_SERIALIZE_NUMPY)
    found = raw[1:-1].replace(b".0,", b",").split(b",")
    found[-1] = found[-1].removesuffix(b".0")
    magnitude = np.abs(values)
    usual = ((magnitude >= 1e-4) & (magnitude < 1e15)) | (magnitude == 0)
    if not usual.all():
        for i in np.flatnonzero(~usual).tolist():
            found[i] = format_value(float(values[i])).encode()
    return found

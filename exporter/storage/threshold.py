"""The dead band: small changes of gauges left out, if the user wants that. At 0 percent nothing is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from exporter.model import MetricType, SeriesIndex

if TYPE_CHECKING:
    from exporter.model import Samples


class DeadBand:
    """Repeats a gauge's last kept value while the true one is within `percent` of it.

    Never a counter or a histogram; never across a protected threshold of its metric (a rule's `> 80` sees the same
    side), and nothing at all while `protected` is None, not known yet; never a NaN or an infinity; never the values
    that open a group. `largest_percent` is the largest error
    made, relative to the true value; it never exceeds `percent`.
    """

    def __init__(self, percent: float, protected: Mapping[str, Sequence[float]] | None) -> None:
        self.percent = percent
        self.largest_percent = 0.0
        self.protected = protected
        self._kept: dict[str, Samples] = {}

    def applies(self, index: SeriesIndex) -> bool:
        """Whether values of this metric may be left out."""
        return self.percent > 0 and index.family.type is MetricType.GAUGE

    def kept(self, index: SeriesIndex, values: Samples, *, exact: bool) -> Samples:
        """The values to store in place of these. With `exact`, these, to start from anew."""
        protected = self.protected
        if protected is None or not self.applies(index):
            return values
        before = self._kept.get(index.metric)
        result = values.copy()
        if not exact and before is not None and before.shape == values.shape:
            with np.errstate(invalid="ignore", over="ignore"):
                error = np.abs(values - before)
                near = error <= self.percent / 100 * np.minimum(np.abs(values), np.abs(before))
            for threshold in protected.get(index.metric, ()):
                near &= np.sign(values - threshold) == np.sign(before - threshold)
            result[near] = before[near]
            self._note(error[near], values[near])
        self._kept[index.metric] = result
        return result

    def _note(self, error: Samples, values: Samples) -> None:
        changed = error > 0
        if changed.any():
            worst = float(np.max(error[changed] / np.abs(values[changed]))) * 100
            self.largest_percent = max(self.largest_percent, min(worst, self.percent))

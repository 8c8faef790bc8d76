"""Label rows of a metric's series, stored once under the digest of their own bytes.

    segment   version: 1 | deflated JSON: [family, type, help, unit, metric, [label name …], [[a label's values …] …]]

Logs and blocks name a series as a row of a segment, so labels are never repeated, a segment written twice is the
same segment, and two processes need not agree on numbers. The digest is the checksum.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from exporter.model import METRIC_NAME, Family, Labels, Matcher, MetricType, SeriesIndex
from exporter.storage.frame import Damaged, Run

VERSION = 1
_REMEMBERED_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Rows of label values of one metric, as in SeriesIndex."""

    digest: bytes
    index: SeriesIndex
    _labels: dict[int, Labels] = field(default_factory=dict)

    def labels(self, row: int) -> Labels:
        """The label set of a row; small segments remember theirs."""
        found = self._labels.get(row)
        if found is None:
            found = self.index.labels(row)
            if len(self.index.rows) <= _REMEMBERED_ROWS:
                self._labels[row] = found
        return found

    def run(self) -> Run:
        """All of its rows."""
        return Run(self.digest, 0, len(self.index.rows))

    def matching(self, matchers: Sequence[Matcher]) -> list[bool] | None:
        """For each row whether all matchers hold; None where they hold for every row.

        A matcher is asked once for each distinct value.
        """
        columns = {name: number for number, name in enumerate(self.index.label_names)}
        result: list[bool] | None = None
        for matcher in matchers:
            if matcher.name not in columns:
                value = self.index.metric if matcher.name == METRIC_NAME else ""
                if not matcher.matches(value):
                    return [False] * len(self.index.rows)
                continue
            number = columns[matcher.name]
            values = [row[number] for row in self.index.rows]
            verdict = {value: matcher.matches(value) for value in set(values)}
            holds = [verdict[value] for value in values]
            result = holds if result is None else [a and b for a, b in zip(result, holds, strict=True)]
        return None if result is not None and all(result) else result


def encode(index: SeriesIndex) -> tuple[Segment, bytes]:
    """The segment of an index's rows, and its bytes."""
    family = index.family
    places = range(len(index.label_names)) if index.rows else ()
    columns = [[row[place] for row in index.rows] for place in places]  # zip would make an iterator for each series
    tree = [family.name, family.type, family.help, family.unit, index.metric, index.label_names]
    plain = json.dumps([*tree, columns, len(index.rows)], separators=(",", ":")).encode()
    data = bytes([VERSION]) + zlib.compress(plain, 6)
    return Segment(_digest(plain), index), data


def decode(digest: bytes, data: bytes) -> Segment:
    """The segment in these bytes. Raises Damaged if they are not those of the digest."""
    if not data or data[0] != VERSION:
        raise Damaged("not a segment of this version")
    try:
        plain = zlib.decompress(data[1:])
    except zlib.error as err:
        raise Damaged(str(err)) from err
    if _digest(plain) != digest:
        raise Damaged("its bytes do not have its digest")
    name, kind, text, unit, metric, label_names, columns, count = json.loads(plain)
    rows = tuple(zip(*columns, strict=True)) if columns else ((),) * count
    family = Family(name, MetricType(kind), text, unit)
    return Segment(digest, SeriesIndex(family, metric, tuple(label_names), rows))


def index_of(family: Family, labels: Sequence[Labels]) -> SeriesIndex:
    """The index of label sets that share a metric name."""
    mappings = [dict(pairs) for pairs in labels]
    metric = mappings[0].get(METRIC_NAME, "")
    names = tuple(sorted({name for mapping in mappings for name in mapping} - {METRIC_NAME}))
    rows = tuple(tuple(mapping.get(name, "") for name in names) for mapping in mappings)
    return SeriesIndex(family, metric, names, rows)


def _digest(plain: bytes) -> bytes:
    return hashlib.blake2b(plain, digest_size=8).digest()

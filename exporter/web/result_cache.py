"""Answers to range queries, extended instead of evaluated again.

A dashboard asks the same few queries every few seconds, over a range that has moved on by a step or two. What a step
evaluated to cannot change once every sample that it can look at is there: such columns are kept, and only the steps
after them are evaluated.

A column is kept when the newest sample that its step can look at is not later than the last tick, since ticks only
come later. `changed` takes away what samples from elsewhere may have changed; another `revision` of what is stored
takes away everything, and so does its age. Not kept is what has warnings or infos, and what depends on the range that
is asked for, as `@ end()` does.

`max_bytes` bounds what it takes: 8 MB are fifty panels of a small fleet.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from sys import getsizeof
from threading import Lock
from typing import Protocol, TypeVar

import numpy as np

from exporter.model import Family, Labels, SeriesSet
from exporter.promql.answer import Answer, Matrix, SampleStatistics
from exporter.promql.arrays import Mask, Samples
from exporter.promql.cancellation import Cancellation
from exporter.promql.horizon import lead_ms
from exporter.promql.parser import parse
from exporter.promql.question import RangeQuery
from exporter.web.remote_write import Ingest

TTL_S = 300.0
_NEVER_MS = 1 << 63
Array = TypeVar("Array", Samples, Mask)


class Ranges(Protocol):
    """Evaluates range queries, as exporter.promql.engine.Engine does."""

    def range(self, asked: RangeQuery, cancellation: Cancellation | None = None) -> Answer: ...


@dataclass(frozen=True, slots=True)
class ResultCacheStats:
    """`hits` are queries whose answer was there, at least its beginning; `misses` all others. `bytes` now."""

    hits: int
    misses: int
    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Key:
    """What has to be equal for columns to be the same; `phase_ms` is start modulo step."""

    query: str
    step_ms: int
    phase_ms: int
    lookback_ms: int | None


@dataclass(slots=True, eq=False)
class _Kept:
    """Columns of one query. Those before `until_ms` are final, and only they are used."""

    matrix: Matrix
    until_ms: int
    lead_ms: int
    revision: object
    made_s: float
    labels_bytes: int

    def nbytes(self, key: _Key) -> int:
        """Memory it takes."""
        present = 0 if self.matrix.present is None else self.matrix.present.nbytes
        return self.matrix.values.nbytes + present + self.matrix.t_ms.nbytes + self.labels_bytes + len(key.query) + 500


@dataclass(slots=True, eq=False)
class _Asking:
    """A query being evaluated. Samples from `floor_ms` on have changed meanwhile."""

    revision: object
    newest_ms: int
    floor_ms: int = _NEVER_MS


class ResultCache:
    """Stands before an engine and answers range queries as it would. Thread-safe.

    newest_ms: the time of the last tick that has been kept, None before the first; nothing comes at or before it but
    what `changed` is told of. revision: differs whenever the past may read otherwise than before, or could not be
    read completely. monotonic: any seconds that only grow.
    """

    def __init__(
        self,
        engine: Ranges,
        *,
        newest_ms: Callable[[], int | None],
        revision: Callable[[], object],
        monotonic: Callable[[], float],
        max_bytes: int,
        ttl_s: float = TTL_S,
    ) -> None:
        self._engine = engine
        self._newest_ms = newest_ms
        self._revision = revision
        self._monotonic = monotonic
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._lock = Lock()
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._asking: set[_Asking] = set()
        self._bytes = self._hits = self._misses = 0

    def range(self, asked: RangeQuery, cancellation: Cancellation | None = None) -> Answer:
        """See Engine.range. The statistics are those of the steps that were evaluated."""
        key = _Key(asked.query, asked.step_ms, asked.start_ms % asked.step_ms, asked.lookback_ms)
        with self._asked() as asking:
            kept = self._found(key, asked.start_ms, asking)
            if kept is None:
                answer = self._engine.range(asked, cancellation)
                self._keep(key, answer, asking, None)
                return answer
            next_ms = int(kept.matrix.t_ms[-1]) + asked.step_ms
            if next_ms > asked.end_ms:
                return _cached(_between(kept.matrix, asked.start_ms, asked.end_ms))
            fresh = self._engine.range(replace(asked, start_ms=next_ms), cancellation)
            assert isinstance(fresh.value, Matrix)
            whole = _joined(kept.matrix, fresh.value)
            self._keep(key, replace(fresh, value=whole), asking, kept)
            return replace(fresh, value=_between(whole, asked.start_ms, asked.end_ms))

    @contextmanager
    def _asked(self) -> Iterator[_Asking]:
        newest_ms = self._newest_ms()
        asking = _Asking(self._revision(), -_NEVER_MS if newest_ms is None else newest_ms)
        with self._lock:
            self._asking.add(asking)
        try:
            yield asking
        finally:
            with self._lock:
                self._asking.discard(asking)

    def _found(self, key: _Key, start_ms: int, asking: _Asking) -> _Kept | None:
        """The final columns there are, if that of `start_ms` is among them."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and (kept.revision != asking.revision or self._outlived(kept)):
                self._forget(key)
                kept = None
            if kept is None or not kept.matrix.t_ms[0] <= start_ms < kept.until_ms or start_ms > kept.matrix.t_ms[-1]:
                self._misses += 1
                return None
            self._hits += 1
            self._kept.move_to_end(key)
            return replace(kept, matrix=_columns(kept.matrix, 0, int(np.searchsorted(kept.matrix.t_ms, kept.until_ms))))

    def _keep(self, key: _Key, answer: Answer, asking: _Asking, before: _Kept | None) -> None:
        """Remember what is final of an answer, instead of what was known `before`."""
        if answer.warnings or answer.infos or not isinstance(answer.value, Matrix):
            return
        kept = self._made(key, answer.value, asking) if before is None else _grown(before, answer.value)
        if kept is None or self._revision() != asking.revision:
            return
        with self._lock:
            kept.until_ms = min(asking.newest_ms + 1, asking.floor_ms) - kept.lead_ms
            if kept.until_ms > kept.matrix.t_ms[0]:
                self._put(key, kept)

    def _made(self, key: _Key, matrix: Matrix, asking: _Asking) -> _Kept | None:
        """What may be kept of a first answer; None where nothing may."""
        lead = lead_ms(parse(key.query, duration_expressions=True))
        if lead is None or asking.newest_ms < matrix.t_ms[0] + lead:
            return None
        values, present = _owned(matrix.values), None if matrix.present is None else _owned(matrix.present)
        owned = replace(matrix, values=values, present=present)
        return _Kept(owned, 0, lead, asking.revision, self._monotonic(), _labels_bytes(matrix.labels))

    def _put(self, key: _Key, kept: _Kept) -> None:
        self._forget(key)
        size = kept.nbytes(key)
        if size > self._max_bytes:
            return
        self._kept[key] = kept
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: _Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= kept.nbytes(key)

    def _outlived(self, kept: _Kept) -> bool:
        return self._monotonic() - kept.made_s > self._ttl_s

    def changed(self, since_ms: int) -> None:
        """Samples from this time on may be others than before: what looks at them is not final any more."""
        with self._lock:
            for kept in self._kept.values():
                kept.until_ms = min(kept.until_ms, since_ms - kept.lead_ms)
            for asking in self._asking:
                asking.floor_ms = min(asking.floor_ms, since_ms)

    def watched(self, ingest: Ingest) -> Ingest:
        """The same, and what it changes is not answered from memory."""

        def ingest_and_tell(sets: Sequence[SeriesSet], families: Iterable[Family]) -> int:
            try:
                return ingest(sets, families)
            finally:
                if any(len(each.t_ms) for each in sets):
                    self.changed(min(int(each.t_ms[0]) for each in sets if len(each.t_ms)))

        return ingest_and_tell

    def clean(self) -> None:
        """Let go of what is too old or out of date."""
        revision = self._revision()
        with self._lock:
            for key, kept in list(self._kept.items()):
                if kept.revision != revision or kept.until_ms <= kept.matrix.t_ms[0] or self._outlived(kept):
                    self._forget(key)

    def stats(self) -> ResultCacheStats:
        """How it is doing."""
        with self._lock:
            return ResultCacheStats(self._hits, self._misses, len(self._kept), self._bytes)


def _grown(kept: _Kept, matrix: Matrix) -> _Kept:
    """The same with more steps: no younger."""
    same = matrix.labels is kept.matrix.labels
    return replace(kept, matrix=matrix, labels_bytes=kept.labels_bytes if same else _labels_bytes(matrix.labels))


def _owned(array: Array) -> Array:
    """The array in memory of its own, so that it keeps nothing else alive and its size is its own."""
    return array if array.base is None else array.copy()


def _cached(value: Matrix) -> Answer:
    """An answer for which nothing was evaluated."""
    return Answer(value, (), (), SampleStatistics(0, 0, np.zeros(len(value.t_ms), dtype=np.int64)))


def _columns(matrix: Matrix, begin: int, end: int) -> Matrix:
    """Some of the steps, series without a point among them."""
    present = None if matrix.present is None else matrix.present[:, begin:end]
    return Matrix(matrix.labels, matrix.t_ms[begin:end], matrix.values[:, begin:end], present)


def _between(matrix: Matrix, start_ms: int, end_ms: int) -> Matrix:
    """The steps from `start_ms` up to `end_ms`, and the series that have a point there."""
    begin, end = np.searchsorted(matrix.t_ms, [start_ms, end_ms + 1]).tolist()
    found = _columns(matrix, begin, end)
    if found.present is None:
        return found
    some = found.present.any(axis=1)
    if some.all():
        return found
    rows = np.flatnonzero(some)
    return Matrix([found.labels[i] for i in rows.tolist()], found.t_ms, found.values[rows], found.present[rows])


def _joined(earlier: Matrix, later: Matrix) -> Matrix:
    """The steps of both, the later ones following the earlier ones."""
    t_ms = np.concatenate([earlier.t_ms, later.t_ms])
    if len(earlier.labels) and earlier.labels == later.labels:
        values = np.concatenate([earlier.values, later.values], axis=1)
        if earlier.present is None and later.present is None:
            return Matrix(earlier.labels, t_ms, values)
        return Matrix(earlier.labels, t_ms, values, np.concatenate([_mask(earlier), _mask(later)], axis=1))
    labels = sorted({*earlier.labels, *later.labels})
    row_of = {of: row for row, of in enumerate(labels)}
    values = np.zeros((len(labels), len(t_ms)))
    present = np.zeros(values.shape, dtype=bool)
    for part, begin in ((earlier, 0), (later, len(earlier.t_ms))):
        if rows := [row_of[of] for of in part.labels]:
            values[rows, begin : begin + len(part.t_ms)] = part.values
            present[rows, begin : begin + len(part.t_ms)] = _mask(part)
    return Matrix(labels, t_ms, values, None if present.all() else present)


def _mask(matrix: Matrix) -> Mask:
    return np.ones(matrix.values.shape, dtype=bool) if matrix.present is None else matrix.present


def _labels_bytes(labels: Sequence[Labels]) -> int:
    """Memory of label sets; a text that several of them share counts once."""
    texts = {id(text): getsizeof(text) for of in labels for pair in of for text in pair}
    pairs = sum(len(of) for of in labels) * getsizeof(("", ""))
    return pairs + sum(getsizeof(of) for of in labels) + sum(texts.values()) + 8 * len(labels)

"""A snapshot as a page for scrapers: text format 0.0.4 and OpenMetrics 1.0.0.

What does not change from tick to tick (`name{labels} `, headers, the order of a histogram's lines) is prepared once
per series index and kept for as long as that index lives; a tick only writes numbers between the prepared texts.
Sources: prometheus/docs, exposition_formats.md; OpenMetrics 1.0.0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import accumulate, chain, groupby, islice
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from isal import igzip
from numpy.typing import NDArray

from exporter.catalogue import JUDGEMENTS
from exporter.model import Column, Exemplar, Family, MetricType, SeriesIndex, Snapshot, format_value
from exporter.web.floats import texts

if TYPE_CHECKING:
    from exporter.model import Samples

Rows = NDArray[np.int64]

_MANY_LINES = 10_000
_NEVER_IN_TEXT = b"\xff"  # no byte of UTF-8


class Format(Enum):
    """A page format, with its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


END: Mapping[Format, bytes] = {Format.TEXT: b"", Format.OPENMETRICS: b"# EOF\n"}


class Prefixes:
    """The prepared texts of a family's lines: as they are, or packed in pieces where they are many.

    A million texts take 140 MB as objects and 10 MB packed; unpacking them is a fifth of the time of a rendering.
    """

    __slots__ = ("_packed", "_plain")

    def __init__(self, texts: Iterator[bytes]) -> None:
        self._plain: tuple[bytes, ...] = tuple(islice(texts, _MANY_LINES))
        self._packed: list[bytes] = []
        following = tuple(islice(texts, _MANY_LINES))
        if following:
            self._packed.append(_packed(self._plain))
            self._plain = ()
        while following:
            self._packed.append(_packed(following))
            following = tuple(islice(texts, _MANY_LINES))

    def pieces(self) -> Iterator[Sequence[bytes]]:
        """Every line's, in order, `_MANY_LINES` at a time."""
        if self._plain:
            yield self._plain
        for piece in self._packed:
            yield _unpacked(piece)

    def of(self, lines: Rows) -> Sequence[bytes]:
        """Those of some lines, rising."""
        if not self._packed:
            return [self._plain[line] for line in lines.tolist()]
        found: list[bytes] = []
        for number, mine in groupby(lines.tolist(), key=lambda line: line // _MANY_LINES):
            piece = _unpacked(self._packed[number])
            found += [piece[line % _MANY_LINES] for line in mine]
        return found


def _packed(texts: Sequence[bytes]) -> bytes:
    return igzip.compress(_NEVER_IN_TEXT.join(texts), 1)


def _unpacked(piece: bytes) -> Sequence[bytes]:
    joined: bytes = igzip.decompress(piece)  # type: ignore[no-untyped-call]  # the library's
    return joined.split(_NEVER_IN_TEXT)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The lines of one family without their numbers.

    `prefixes` has line i up to its value; `order[i]` says which value belongs there, counted over the family's
    columns one after the other (None: as they stand). `others` are the indexes after the first that this is for.
    """

    others: tuple[SeriesIndex, ...]
    prefixes: Prefixes
    order: Rows | None
    _rows: dict[str, list[int]] = field(default_factory=dict)

    def rows(self, columns: tuple[Column, ...]) -> Mapping[str, list[int]]:
        """The numbers of each server's lines. columns: of the indexes that this is for."""
        if not self._rows:
            rows: dict[str, list[int]] = {}
            servers = [server for column in columns for server in label_values(column.index, "server")]
            places = range(len(servers)) if self.order is None else self.order.tolist()
            for line, place in enumerate(places):
                rows.setdefault(servers[place], []).append(line)
            self._rows.update(rows)  # at once: another thread may be rendering too
        return self._rows

    def lines_of(self, servers: Iterable[str], columns: tuple[Column, ...]) -> Rows:
        """The numbers of the lines that these servers have, in the page's order."""
        rows = self.rows(columns)
        return np.array(sorted(line for server in set(servers) for line in rows.get(server, ())), dtype=np.int64)


class Exposition:
    """Renders snapshots; remembers the layouts of the indexes it has seen while these live."""

    def __init__(self) -> None:
        self._layouts: WeakKeyDictionary[SeriesIndex, Layout] = WeakKeyDictionary()

    def render(
        self,
        snapshot: Snapshot,
        page: Format,
        servers: Sequence[str] | None = None,
        wanted: Callable[[Family], bool] | None = None,
    ) -> bytes:
        """The families of a snapshot, without the end mark (so that more families can follow).

        servers: only the lines with one of these as their label `server`. wanted: only these families.
        """
        return b"".join(self.parts(snapshot, page, servers, wanted))

    def parts(
        self,
        snapshot: Snapshot,
        page: Format,
        servers: Sequence[str] | None = None,
        wanted: Callable[[Family], bool] | None = None,
    ) -> Iterator[bytes]:
        """The same, family by family; one of many lines in pieces, so that a large page is never there as a whole."""
        for columns in families(snapshot):
            if wanted is not None and not wanted(columns[0].index.family):
                continue
            lines = self._lines(columns, page, servers)
            if first := next(lines, b""):
                yield _header(columns[0].index.family, page) + first
                yield from lines
                yield b"\n"

    def servers(self, snapshot: Snapshot) -> set[str]:
        """The servers that say anything in the snapshot."""
        spoken = (columns for columns in families(snapshot) if columns[0].index.family.name not in JUDGEMENTS)
        return set().union(*(self._layout(columns).rows(columns) for columns in spoken)) - {""}

    def _lines(self, columns: tuple[Column, ...], page: Format, servers: Sequence[str] | None) -> Iterator[bytes]:
        layout = self._layout(columns)
        values = _values(columns)
        order, pieces = layout.order, layout.prefixes.pieces()
        if servers is not None:
            lines = layout.lines_of(servers, columns)
            pieces = iter([layout.prefixes.of(lines)])
            order = lines if order is None else order[lines]
        first = 0
        for prefixes in pieces:
            here = slice(first, first + len(prefixes))
            first += len(prefixes)
            numbers = texts(values[here] if order is None else values[order[here]])
            if page is Format.OPENMETRICS:
                _add_exemplars(
                    columns, range(here.start, here.stop) if order is None else order[here].tolist(), numbers
                )
            parts = [b""] * (2 * len(numbers))
            parts[::2] = prefixes
            parts[1::2] = numbers
            yield b"".join(parts)

    def _layout(self, columns: tuple[Column, ...]) -> Layout:
        first, *rest = (column.index for column in columns)
        known = self._layouts.get(first)
        if known is None or known.others != tuple(rest):
            known = self._layouts[first] = _make_layout([first, *rest])
        return known


def families(snapshot: Snapshot) -> Iterator[tuple[Column, ...]]:
    """The columns that stand together as one family each."""
    for _, columns in groupby(snapshot.columns, key=lambda column: column.index.family.name):
        yield tuple(columns)


def _values(columns: tuple[Column, ...]) -> Samples:
    return columns[0].values if len(columns) == 1 else np.concatenate([column.values for column in columns])


def _make_layout(indexes: list[SeriesIndex]) -> Layout:
    if len(indexes) == 1:
        (index,) = indexes
        return Layout((), Prefixes(_prefix(index, row) for row in index.rows), None)
    order = _by_series(indexes)
    rows = list(chain.from_iterable(index.rows for index in indexes))
    ends = list(accumulate(len(index.rows) for index in indexes))
    return Layout(
        tuple(indexes[1:]),
        Prefixes(_prefix(indexes[bisect_right(ends, i)], rows[i]) for i in order),
        np.array(order, dtype=np.int64),
    )


def label_values(index: SeriesIndex, name: str) -> Sequence[str]:
    """Each series' value of one label, "" where it has none."""
    if name not in index.label_names:
        return ("",) * len(index.rows)
    at = index.label_names.index(name)
    return [row[at] for row in index.rows]


def _prefix(index: SeriesIndex, row: tuple[str, ...]) -> bytes:
    pairs = ",".join(f'{name}="{escape(value)}"' for name, value in zip(index.label_names, row, strict=True) if value)
    return f"\n{index.metric}{{{pairs}}} ".encode() if pairs else f"\n{index.metric} ".encode()


def _by_series(indexes: list[SeriesIndex]) -> list[int]:
    """Line numbers so ordered that what differs only in its bucket or quantile stands together.

    OpenMetrics forbids to interleave the points of two histograms.
    """
    groups: dict[frozenset[tuple[str, str]], list[int]] = {}
    line = 0
    for index in indexes:
        for row in index.rows:
            pairs = zip(index.label_names, row, strict=True)
            key = frozenset((name, value) for name, value in pairs if value and name not in ("le", "quantile"))
            groups.setdefault(key, []).append(line)
            line += 1
    return [line for lines in groups.values() for line in lines]


def _add_exemplars(columns: tuple[Column, ...], places: Sequence[int], numbers: list[bytes]) -> None:
    """Write each exemplar behind its value. places: of the numbers, which of the columns' values they are."""
    if not any(column.exemplars for column in columns):
        return
    line_of = {row: line for line, row in enumerate(places)}
    first = 0
    for column in columns:
        for row, exemplar in column.exemplars.items():
            line = line_of.get(first + row)
            if line is not None:
                numbers[line] += exemplar_text(exemplar)
        first += len(column.values)


def exemplar_text(exemplar: Exemplar) -> bytes:
    """` # {trace_id="…"} 0.067 1700000000.5`."""
    pairs = ",".join(f'{name}="{escape(value)}"' for name, value in exemplar.labels)
    return f" # {{{pairs}}} {format_value(exemplar.value)} {format_value(exemplar.t_s)}".encode()


def escape(value: str) -> str:
    """A label value or an OpenMetrics help text between its quotes."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


_TEXT_TYPES = {MetricType.INFO: "gauge", MetricType.UNKNOWN: "untyped"}
_OM_SUFFIX = {MetricType.COUNTER: "_total", MetricType.INFO: "_info"}


def _header(family: Family, page: Format) -> bytes:
    """HELP, TYPE and where the format has it UNIT; no newline at the end."""
    if page is Format.TEXT:
        explained = family.help.replace("\\", "\\\\").replace("\n", "\\n")
        kind = _TEXT_TYPES.get(family.type, family.type.value)
        return f"# HELP {family.name} {explained}\n# TYPE {family.name} {kind}".encode()
    name = family.name.removesuffix(_OM_SUFFIX.get(family.type, ""))
    lines = [f"# HELP {name} {escape(family.help)}", f"# TYPE {name} {family.type.value}"]
    if family.unit and name.endswith("_" + family.unit):
        lines.append(f"# UNIT {name} {family.unit}")
    return "\n".join(lines).encode()

"""Sealed blocks: the samples of many series over one window, series by series.

    block     version: 1 | crc32 of what follows: 4, LE | slots and axis | presence | varint: columns | per column:
              varint: name length, name, varint: size, column
    slots     varint: runs | per run: digest of segment: 8, varint: first row, varint: rows
    axis      0, start_ms: 8, LE, varint: step_ms, varint: instants | 1, varint: instants, varint: size, pcodec int64
    presence  varint: size, 0 where no sample is missing; deflated, 1 bit for each slot and instant
    column    see `columns`

A block of raw samples has the column "value", one of aggregates those of `aggregates`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from exporter.storage import columns
from exporter.storage.bits import append_varint, read_varint
from exporter.storage.frame import Damaged, Run, read_runs

if TYPE_CHECKING:
    from exporter.model import Mask, Samples, Times

VERSION = 1
VALUE = "value"
_START = struct.Struct("<q")


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What a block holds. t_ms: (m,), increasing. Each column: (n, m), n the rows of all runs.

    present: (n, m), or None where no sample is missing.
    """

    runs: tuple[Run, ...]
    t_ms: Times
    columns: Mapping[str, Samples]
    present: Mask | None

    @property
    def nbytes(self) -> int:
        """Bytes it takes decoded."""
        mask = 0 if self.present is None else self.present.nbytes
        return int(self.t_ms.nbytes) + mask + sum(int(values.nbytes) for values in self.columns.values())


def encode(block: Block) -> bytes:
    """The block's bytes."""
    out = bytearray()
    append_varint(out, len(block.runs))
    for run in block.runs:
        out += run.segment
        append_varint(out, run.first)
        append_varint(out, run.count)
    _append_axis(out, block.t_ms)
    present = block.present
    if present is not None and present.all():
        present = None
    _append_sized(out, b"" if present is None else zlib.compress(np.packbits(present).tobytes(), 9))
    append_varint(out, len(block.columns))
    for name, values in block.columns.items():
        _append_sized(out, name.encode())
        _append_sized(out, columns.encode(values, present))
    return bytes([VERSION]) + zlib.crc32(out).to_bytes(4, "little") + bytes(out)


def decode(data: bytes, wanted: Collection[str] | None = None) -> Block:
    """The block in these bytes, with all columns or those that are wanted. Raises Damaged."""
    _check(data)
    try:
        return _decode(data, wanted)
    except (ValueError, RuntimeError, TypeError, struct.error, zlib.error, IndexError) as err:
        raise Damaged(f"{type(err).__name__}: {err}") from err


def _check(data: bytes) -> None:
    if len(data) < 5 or data[0] != VERSION:
        raise Damaged("not a block of this version")
    if zlib.crc32(memoryview(data)[5:]).to_bytes(4, "little") != data[1:5]:
        raise Damaged("its checksum does not hold")


def runs_of(data: bytes) -> tuple[Run, ...]:
    """Which series a block has, without decoding their samples. Raises Damaged."""
    _check(data)
    try:
        return read_runs(data, 5)[0]
    except ValueError as err:
        raise Damaged(str(err)) from err


@dataclass(frozen=True, slots=True)
class Summary:
    """How much a block holds: bytes, series, samples or aggregates, and from when to when."""

    size: int
    runs: tuple[Run, ...]
    samples: int
    first_ms: int
    last_ms: int


def summary(data: bytes) -> Summary:
    """What a block holds, without decoding its columns. Raises Damaged."""
    _check(data)
    try:
        runs, t_ms, present, _ = _frame(data)
    except (ValueError, RuntimeError, struct.error, zlib.error, IndexError) as err:
        raise Damaged(f"{type(err).__name__}: {err}") from err
    samples = sum(run.count for run in runs) * len(t_ms) if present is None else int(np.count_nonzero(present))
    first_ms, last_ms = (int(t_ms[0]), int(t_ms[-1])) if len(t_ms) else (0, 0)
    return Summary(len(data), runs, samples, first_ms, last_ms)


def _decode(data: bytes, wanted: Collection[str] | None) -> Block:
    runs, t_ms, present, at = _frame(data)
    shape = (sum(run.count for run in runs), len(t_ms))
    count, at = read_varint(data, at)
    found = {}
    for _ in range(count):
        packed, at = _read_sized(data, at)
        column, at = _read_sized(data, at)
        name = packed.decode()
        if wanted is None or name in wanted:
            found[name] = columns.decode(column, shape)
    return Block(runs, t_ms, found, present)


def _frame(data: bytes) -> tuple[tuple[Run, ...], Times, Mask | None, int]:
    """What stands before the columns, and where they begin."""
    runs, at = read_runs(data, 5)
    t_ms, at = _read_axis(data, at)
    shape = (sum(run.count for run in runs), len(t_ms))
    packed, at = _read_sized(data, at)
    if not packed:
        return runs, t_ms, None, at
    flags = np.frombuffer(zlib.decompress(packed), np.uint8)
    return runs, t_ms, np.unpackbits(flags, count=shape[0] * shape[1]).view(np.bool_).reshape(shape), at


def _append_axis(out: bytearray, t_ms: Times) -> None:
    steps = np.diff(t_ms)
    if len(t_ms) and (len(steps) == 0 or (steps == steps[0]).all()):
        out.append(0)
        out += _START.pack(int(t_ms[0]))
        append_varint(out, int(steps[0]) if len(steps) else 1)
        append_varint(out, len(t_ms))
        return
    out.append(1)
    append_varint(out, len(t_ms))
    _append_sized(out, columns.compress(np.diff(t_ms, n=1, prepend=0)))


def _read_axis(data: bytes, at: int) -> tuple[Times, int]:
    if data[at] == 0:
        (start,) = _START.unpack_from(data, at + 1)
        step, at = read_varint(data, at + 1 + _START.size)
        count, at = read_varint(data, at)
        return start + step * np.arange(count, dtype=np.int64), at
    count, at = read_varint(data, at + 1)
    packed, at = _read_sized(data, at)
    t_ms: NDArray[np.int64] = np.cumsum(columns.decompress(packed, count).astype(np.int64))
    return t_ms, at


def _append_sized(out: bytearray, data: bytes) -> None:
    append_varint(out, len(data))
    out += data


def _read_sized(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_varint(data, at)
    if at + size > len(data):
        raise Damaged(f"{size} bytes expected at {at}, {len(data) - at} left")
    return data[at : at + size], at + size

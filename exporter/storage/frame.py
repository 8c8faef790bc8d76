"""Live frames: a baseline, then one small delta per tick, for up to a few thousand series in fixed slots.

    frame     varint: bytes from head to crc | head: 1 | varint: number in group | body | crc32 of all before: 4, LE
    head      bits 0-1: kind (BASELINE, DELTA) | bit 2: TIMED | bit 3: EVENTS | bit 4: SAME | bits 5-7: version
    baseline  t_ms: 8, LE | interval_ms: 4, LE | varint: runs | per run: digest of segment: 8, varint: first row,
              varint: rows | deflated: present: 1 bit a slot; code, width: 1 byte a slot each; number: 8 a slot,
              all first bytes before all second ones
    delta     [TIMED: varint: ms since the baseline, else interval_ms x number in group]
              [EVENTS: varint: count | per event: varint: slot, code: 1 (GONE, BACK or a decimals code), number: 8, LE]
              [not SAME: Rice codes of zigzag(number - number before) of every slot]

A baseline opens a group and stands alone; a delta builds on the frame before it. Numbers are what `decimals` makes of
floats. Each slot's Rice width follows the deltas it has seen, in both the encoder and the decoder. A slot whose
series has gone keeps its number; GONE also says that a stale marker is that series' sample at this tick.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from exporter.model import STALE_NAN_BITS
from exporter.storage import bits
from exporter.storage.bits import append_varint, read_varint
from exporter.storage.decimals import MAX_DECIMALS, RAW, Codes, Numbers, fewest_decimals, to_numbers, to_values

if TYPE_CHECKING:
    from exporter.model import Mask, Samples

VERSION = 1
GONE, BACK = 0xFF, 0xFE

_TIMED, _EVENTS, _SAME = 4, 8, 16
_EVENT = struct.Struct("<Bq")
_RUN = struct.Struct("<8s")
_AXIS = struct.Struct("<qI")
_LEARNING = 0.125
STALE = np.array([STALE_NAN_BITS], np.uint64).view(np.float64)


class Kind(IntEnum):
    """What a frame builds on: nothing, or the frame before it."""

    BASELINE = 0
    DELTA = 1


class Damaged(ValueError):
    """Stored bytes are not what was written. The message says what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rows `first` … `first + count - 1` of the segment with this digest."""

    segment: bytes
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, its checksum verified. `number` counts within its group."""

    kind: Kind
    number: int
    flags: int
    body: bytes


def frames(data: bytes) -> Iterator[Frame | Damaged]:
    """The frames of a log in order; bytes that are none come as one Damaged per gap."""
    at = 0
    gap = False
    while at < len(data):
        frame, end = _frame_at(data, at)
        if frame is None:
            if not gap:
                yield Damaged(f"no valid frame at byte {at}")
            gap, at = True, at + 1
            continue
        gap, at = False, end
        yield frame


def _frame_at(data: bytes, at: int) -> tuple[Frame | None, int]:
    try:
        size, start = read_varint(data, at)
        end = start + size
        if size < 6 or end > len(data):
            return None, at
        if zlib.crc32(data[at : end - 4]).to_bytes(4, "little") != data[end - 4 : end]:
            return None, at
        head = data[start]
        number, body = read_varint(data, start + 1)
        if head >> 5 != VERSION:
            return None, at
        return Frame(Kind(head & 3), number, head & 0x1C, data[body : end - 4]), end
    except ValueError:
        return None, at


def _framed(kind: Kind, flags: int, number: int, body: bytes) -> bytes:
    inner = bytearray([kind | flags | VERSION << 5])
    append_varint(inner, number)
    inner += body
    out = bytearray()
    append_varint(out, len(inner) + 4)
    out += inner
    out += zlib.crc32(out).to_bytes(4, "little")
    return bytes(out)


class _State:
    """What encoder and decoder both know of each slot after a frame. Arrays of shape (slots,).

    Invariant: it is a function of the frames since the last baseline alone.
    """

    __slots__ = ("codes", "mean", "numbers", "present")

    def __init__(self, numbers: Numbers, codes: Codes, present: Mask, widths: NDArray[np.uint8]) -> None:
        self.numbers = numbers
        self.codes = codes
        self.present = present
        self.mean = np.ldexp(1.0, widths.astype(np.int32))

    def widths(self) -> NDArray[np.int64]:
        """The Rice width that suits each slot's mean folded delta."""
        exponent = np.frexp(self.mean * 0.7)[1]
        return np.clip(exponent, 0, bits.MAX_WIDTH).astype(np.int64)

    def learn(self, folded: bits.Unsigned) -> None:
        """Move each mean towards a folded delta, not further than one outlier may."""
        seen = np.minimum(folded.astype(np.float64), self.mean * 16 + 16)
        self.mean += (seen - self.mean) * _LEARNING


class Encoder:
    """Writes one log's frames. `slots` is fixed; `baseline` comes first, then `delta` as often as wanted."""

    def __init__(self, runs: tuple[Run, ...], interval_ms: int) -> None:
        self.slots = sum(run.count for run in runs)
        self._runs = runs
        self._interval_ms = interval_ms
        self._state: _State | None = None
        self._number = 0
        self._t_ms = 0

    @property
    def number(self) -> int:
        """The number in its group of the frame written last."""
        return self._number

    def baseline(self, t_ms: int, values: Samples, present: Mask) -> bytes:
        """A frame that stands alone. values, present: shape (slots,); absent values are not looked at."""
        before = self._state
        values = np.where(present, values, 0.0)
        codes = fewest_decimals(values)
        widths = np.full(self.slots, 4, np.uint8)
        if before is not None:
            codes = _kept_codes(values, codes, before.codes)
            widths = before.widths().astype(np.uint8)
        numbers, _ = to_numbers(values, codes)
        self._state = _State(numbers, codes, present.copy(), widths)
        self._t_ms, self._number = t_ms, 0
        return _framed(Kind.BASELINE, 0, 0, self._baseline_body(self._state, widths))

    def _baseline_body(self, state: _State, widths: NDArray[np.uint8]) -> bytes:
        body = bytearray(_AXIS.pack(self._t_ms, self._interval_ms))
        append_varint(body, len(self._runs))
        for run in self._runs:
            body += run.segment
            append_varint(body, run.first)
            append_varint(body, run.count)
        planes = state.numbers.astype("<i8", copy=False).view(np.uint8).reshape(-1, 8).T.tobytes()
        plain = np.packbits(state.present).tobytes() + state.codes.tobytes() + widths.tobytes() + planes
        return bytes(body + zlib.compress(plain, 6))

    def delta(self, t_ms: int, values: Samples, present: Mask) -> bytes:
        """The frame of the next tick. values, present: shape (slots,); absent values are not looked at."""
        state = self._state
        assert state is not None, "a baseline comes first"
        self._number += 1
        flags, body = 0, bytearray()
        if t_ms - self._t_ms != self._number * self._interval_ms:
            flags |= _TIMED
            append_varint(body, t_ms - self._t_ms)
        numbers, exact = to_numbers(values, state.codes)
        numbers = np.where(present, numbers, state.numbers)
        if not exact.all() or not np.array_equal(present, state.present):
            events = self._events(values, present, numbers, exact | ~present)
            if events:
                flags |= _EVENTS
                body += events
        folded = bits.zigzag(numbers - state.numbers)
        if folded.any():
            body += bits.rice(folded, state.widths())
        else:
            flags |= _SAME
        state.learn(folded)
        state.numbers = numbers
        return _framed(Kind.DELTA, flags, self._number, bytes(body))

    def _events(self, values: Samples, present: Mask, numbers: Numbers, exact: Mask) -> bytes:
        """Slots that go, come back or need another code; `numbers` and the state are moved along."""
        state = self._state
        assert state is not None
        out, count = bytearray(), 0
        for slot in np.flatnonzero(present != state.present).tolist():
            append_varint(out, slot)
            out += _EVENT.pack(BACK if present[slot] else GONE, 0)
            count += 1
        for slot in np.flatnonzero(~exact).tolist():
            code = _wider(values[slot : slot + 1], int(state.codes[slot]))
            number = to_numbers(values[slot : slot + 1], np.array([code], np.uint8))[0][0]
            append_varint(out, slot)
            out += _EVENT.pack(code, number)
            state.codes[slot] = code
            state.numbers[slot] = numbers[slot] = number
            count += 1
        state.present = present.copy()
        head = bytearray()
        append_varint(head, count)
        return bytes(head + out) if count else b""


def _kept_codes(values: Samples, fewest: Codes, before: Codes) -> Codes:
    """The codes of the group before where they still hold and are decimals, else the fewest that do."""
    codes: Codes = np.where((before != RAW) & (fewest <= before), before, fewest)
    _, exact = to_numbers(values, codes)
    return np.where(exact, codes, fewest)


def _wider(value: Samples, code: int) -> int:
    """A code under which a value that is not exact under `code` is."""
    fewest = int(fewest_decimals(value)[0])
    if fewest <= MAX_DECIMALS and fewest > code:
        return fewest
    return RAW


class Decoder:
    """Reads a log's frames, one by one, in order.

    After `feed` returned True: `t_ms`, `values` and `present` are those of the frame's tick.
    """

    def __init__(self) -> None:
        self.runs: tuple[Run, ...] = ()
        self.t_ms = 0
        self._start_ms = 0
        self._interval_ms = 0
        self._number = -1
        self._state: _State | None = None
        self.values: Samples = np.empty(0)
        self.present: Mask = np.empty(0, np.bool_)

    def feed(self, frame: Frame) -> bool:
        """Take a frame in; False if it builds on one that is missing. Raises Damaged."""
        try:
            if frame.kind is Kind.BASELINE:
                self._baseline(frame)
                return True
            if self._state is None or frame.number != self._number + 1:
                self._state = None
                return False
            self._delta(frame, self._state)
        except (ValueError, struct.error, zlib.error, IndexError) as err:
            self._state = None
            raise Damaged(f"frame {frame.number}: {err}") from err
        return True

    def _baseline(self, frame: Frame) -> None:
        body = frame.body
        self._start_ms, self._interval_ms = _AXIS.unpack_from(body, 0)
        runs, at = read_runs(body, _AXIS.size)
        slots = sum(run.count for run in runs)
        plain = zlib.decompress(body[at:])
        flags = (slots + 7) // 8
        if len(plain) != flags + 10 * slots:
            raise Damaged(f"{len(plain)} bytes for {slots} slots")
        present = np.unpackbits(np.frombuffer(plain, np.uint8, flags), count=slots).view(np.bool_)
        codes = np.frombuffer(plain, np.uint8, slots, flags).copy()
        widths = np.frombuffer(plain, np.uint8, slots, flags + slots)
        planes = np.frombuffer(plain, np.uint8, 8 * slots, flags + 2 * slots).reshape(8, -1)
        numbers = np.ascontiguousarray(planes.T).view("<i8").reshape(-1).astype(np.int64)
        self.runs, self._number, self.t_ms = runs, 0, self._start_ms
        self._state = _State(numbers, codes, present, widths)
        self.values, self.present = to_values(numbers, codes), present

    def _delta(self, frame: Frame, state: _State) -> None:
        body, at = frame.body, 0
        offset = frame.number * self._interval_ms
        if frame.flags & _TIMED:
            offset, at = read_varint(body, at)
        gone: list[int] = []
        if frame.flags & _EVENTS:
            gone, at = _take_events(body, at, state)
        folded = np.zeros(len(state.numbers), np.uint64)
        if not frame.flags & _SAME:
            folded = bits.unrice(body, at, state.widths())
        state.learn(folded)
        state.numbers = state.numbers + bits.unzigzag(folded)
        self._number, self.t_ms = frame.number, self._start_ms + offset
        self.values, self.present = to_values(state.numbers, state.codes), state.present
        if gone:
            self.values[gone] = STALE[0]
            self.present = state.present.copy()
            self.present[gone] = True


def _take_events(body: bytes, at: int, state: _State) -> tuple[list[int], int]:
    count, at = read_varint(body, at)
    state.present = state.present.copy()
    gone: list[int] = []
    for _ in range(count):
        slot, at = read_varint(body, at)
        code, number = _EVENT.unpack_from(body, at)
        at += _EVENT.size
        if code in (GONE, BACK):
            state.present[slot] = code == BACK
            if code == GONE:
                gone.append(slot)
        else:
            state.codes[slot], state.numbers[slot] = code, number
    return gone, at


def read_runs(body: bytes, at: int) -> tuple[tuple[Run, ...], int]:
    """The runs at this offset and the offset behind them. Raises Truncated."""
    count, at = read_varint(body, at)
    runs = []
    for _ in range(count):
        segment = body[at : at + 8]
        first, at = read_varint(body, at + 8)
        rows, at = read_varint(body, at)
        runs.append(Run(segment, first, rows))
    return tuple(runs), at

"""Logs read back: the bytes of a live or an imported log as blocks of samples.

imported log    per block: varint: size | the block, with its own checksum
"""

from __future__ import annotations

import numpy as np

from exporter.storage import block as blocks
from exporter.storage.bits import append_varint, read_varint
from exporter.storage.block import VALUE, Block
from exporter.storage.frame import Damaged, Decoder, Kind, frames
from exporter.storage.layout import GROUP_FRAMES, IMPORTED, Report
from exporter.storage.store import Log


class OpenGroup:
    """A group that still grows: decodes each frame once, however often it is asked."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._read = 0
        self._count = 0
        self._t_ms = np.empty(0, np.int64)
        self._values = np.empty((0, 0))
        self._present = np.empty((0, 0), np.bool_)

    @property
    def nbytes(self) -> int:
        """Bytes it takes decoded."""
        return int(self._t_ms.nbytes + self._values.nbytes + self._present.nbytes)

    def read(self, data: bytes) -> Block:
        """The group's samples so far. `data` is all of its bytes. Raises Damaged."""
        for frame in frames(data[self._read :]):
            if isinstance(frame, Damaged):
                raise frame
            if self._decoder.feed(frame):
                self._take(frame.kind)
        self._read = len(data)
        return self.block()

    def take(self, decoder: Decoder, kind: Kind) -> None:
        """Add the instant that a decoder of one's own has just read."""
        self._decoder = decoder
        self._take(kind)

    def _take(self, kind: Kind) -> None:
        decoder = self._decoder
        if kind is Kind.BASELINE:
            self._count = 0
            self._t_ms = np.empty(GROUP_FRAMES, np.int64)
            self._values = np.empty((GROUP_FRAMES, len(decoder.values)))
            self._present = np.empty((GROUP_FRAMES, len(decoder.values)), np.bool_)
        if self._count == len(self._t_ms):
            self._t_ms = np.concatenate((self._t_ms, np.empty_like(self._t_ms)))
            self._values = np.concatenate((self._values, np.empty_like(self._values)))
            self._present = np.concatenate((self._present, np.empty_like(self._present)))
        self._t_ms[self._count] = decoder.t_ms
        self._values[self._count] = decoder.values
        self._present[self._count] = decoder.present
        self._count += 1

    def block(self) -> Block:
        """What has been read, as views that later reading does not change."""
        count = self._count
        present = self._present[:count].T
        missing = None if present.all() else present
        return Block(self._decoder.runs, self._t_ms[:count], {VALUE: self._values[:count].T}, missing)


def read_live(log: Log, data: bytes, report: Report) -> list[Block]:
    """The groups in a live log's bytes; damaged frames are reported, and what needs them left out."""
    found: list[Block] = []
    decoder, group = Decoder(), OpenGroup()
    for frame in frames(data):
        if isinstance(frame, Damaged):
            report(log, str(frame), data)
            continue
        try:
            if not decoder.feed(frame):
                continue
        except Damaged as err:
            report(log, str(err), data)
            continue
        if frame.kind is Kind.BASELINE:
            group = OpenGroup()
            found.append(group.block())
        group.take(decoder, frame.kind)
        found[-1] = group.block()
    return found


def imported_entry(block: Block) -> bytes:
    """A block as an imported log holds it."""
    data = blocks.encode(block)
    out = bytearray()
    append_varint(out, len(data))
    return bytes(out) + data


def read_imported(log: Log, data: bytes, report: Report) -> list[Block]:
    """The blocks in an imported log's bytes; damaged ones are reported and left out."""
    found, at = [], 0
    while at < len(data):
        try:
            size, at = read_varint(data, at)
        except ValueError as err:
            report(log, str(err), data)
            break
        try:
            found.append(blocks.decode(data[at : at + size]))
        except Damaged as err:
            report(log, f"block at byte {at}: {err}", data[at : at + size])
        at += size
    return found


def read_log(log: Log, data: bytes, report: Report) -> list[Block]:
    """The blocks of samples in a log's bytes."""
    return (read_imported if log.lane == IMPORTED else read_live)(log, data, report)

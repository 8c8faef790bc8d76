"""One column of a block: n series by m instants of floats as few bytes, bit for bit.

    column    varint: size, deflated: code: 1 a slot | order: 1 a slot | group: 1 a slot | planes of the first number
              (8 a slot) and the second step (8 a slot) | per exception: planes of position: 8, bits: 8
              varint: groups | per group: varint: size, numbers of its slots, slot after slot
              varint: size, pcodec of the floats that MISSED slots are to be moved by, slot after slot; 0 without such
    numbers   varint: divisor | pcodec of the numbers divided by it, as narrow as they are
              of FLOATS: 0 | pcodec of the floats; or 1 | pcodec of their bits

A slot's code says how its floats are numbers (see `decimals`). Its order says what of the numbers is kept: CONSTANT
(all equal the first), 0 (the numbers less the first), 1 (their steps), 2 (the steps of their steps), FLOATS (the
floats themselves, which pcodec knows to split). REFERS added to an order: of the numbers less those of the slot
before, as a histogram's cumulative buckets like it. Slots of like order and like size of steps share a group, so that
each pcodec chunk has one distribution to learn. MISSED added: some floats are a few floats beside their numbers, and
are moved by that. A float that is further from what its slot's code can hold is an exception, its place taken by the
number before it.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exporter.storage.bits import append_varint, read_varint
from exporter.storage.decimals import MAX_DECIMALS, RAW, Codes, Numbers, moved, near_numbers, to_values

if TYPE_CHECKING:
    from exporter.model import Mask, Samples

CONSTANT, FLOATS, REFERS, MISSED = 3, 4, 8, 16
_LEVEL = 10
_MAX_EXCEPTIONS = 0.2  # of a slot's samples, before its floats are kept as they are
_SOME = 4  # every fourth sample: a larger part than may be exceptions, so that they can tell a code is none
_SMALL_GROUP = 400
_LONGEST_CHAIN = 64
_FEW_SLOTS = 8
_MOST_GROUPS = 250
_WORTH_BITS = 0.25  # what a reference must save, as the estimate is none of the best
_WORTH_PREDICTING = 0.95  # of the size: it takes three times as long to read back
_TAPS = 4  # of the linear prediction that pcodec tries
_FEWEST, _MOST, _BATCH = 500, 1 << 18, 256  # numbers for that; it fails on a last batch of fewer than its taps


def encode(values: Samples, present: Mask | None) -> bytes:
    """The bytes of a column. values: (n, m); what is absent is not kept."""
    values = _filled(np.ascontiguousarray(values, np.float64), present)
    instants = values.shape[1]
    if not values.size:
        return b""
    codes = _codes(values)
    numbers, by, near = near_numbers(values, np.repeat(codes[:, None], instants, axis=1))
    where = np.flatnonzero(~near)
    missed = by.any(axis=1)
    numbers, orders, cost = _residuals(_carried(numbers, near), codes)
    groups, packed = _packed(values, numbers, orders & np.uint8(7), cost)
    orders |= np.where(missed, np.uint8(MISSED), np.uint8(0))
    steps = np.where(orders & 7 == 2, numbers[:, min(1, instants - 1)] - numbers[:, 0], 0)
    table = b"".join(
        (
            codes.tobytes() + orders.tobytes() + groups.tobytes(),
            _planes(numbers[:, 0]) + _planes(steps),
            _planes(np.diff(where, prepend=0)) + _planes(values.reshape(-1)[where].view(np.int64)),
        )
    )
    out = bytearray()
    _append_sized(out, zlib.compress(table, 9))
    append_varint(out, len(packed))
    for data in packed:
        _append_sized(out, data)
    _append_sized(out, compress(by[missed].reshape(-1)) if missed.any() else b"")
    return bytes(out)


def decode(data: bytes, shape: tuple[int, int]) -> Samples:
    """The column's floats, in this shape. Absent ones are anything. Raises ValueError, RuntimeError, zlib.error."""
    slots, instants = shape
    if not slots * instants:
        return np.empty(shape)
    size, at = read_varint(data, 0)
    table = zlib.decompress(data[at : at + size])
    codes, orders, groups = np.frombuffer(table, np.uint8, 3 * slots).reshape(3, slots)
    first = _from_planes(table, 3 * slots, slots)
    step = _from_planes(table, 11 * slots, slots)
    exceptions = (len(table) - 19 * slots) // 16
    count, at = read_varint(data, at + size)
    numbers = np.repeat(first[:, None], instants, axis=1)
    floats = []
    for group in range(1, count + 1):
        size, at = read_varint(data, at)
        members = np.flatnonzero(groups == group)
        order = int(orders[members[0]]) & 7
        if order == FLOATS:
            floats.append((members, _floats_of(data[at : at + size], (len(members), instants))))
        else:
            numbers[members] = _summed(data[at : at + size], order, instants, first[members], step[members])
        at += size
    _resolve(numbers, orders)
    values = to_values(numbers, codes[:, None])
    for members, found in floats:
        values[members] = found
    missed = np.flatnonzero(orders & MISSED)
    if len(missed):
        size, at = read_varint(data, at)
        by = decompress(data[at : at + size], len(missed) * instants).astype(np.int64)
        values[missed] = moved(values[missed], by.reshape(-1, instants))
    if exceptions:
        where = np.cumsum(_from_planes(table, 19 * slots, exceptions))
        values.reshape(-1)[where] = _from_planes(table, 19 * slots + 8 * exceptions, exceptions).view(np.float64)
    return values


def _filled(values: Samples, present: Mask | None) -> Samples:
    """Absent values replaced by the one before, or else by the first there is."""
    if present is None:
        return values
    at = np.maximum.accumulate(np.where(present, np.arange(values.shape[1]), -1), axis=1)
    at = np.where(at < 0, np.argmax(present, axis=1)[:, None], at)
    return np.take_along_axis(np.where(present, values, 0.0), at, axis=1)


def _codes(values: Samples) -> Codes:
    """For each slot the fewest decimals that hold all its values, or nearly all, else RAW."""
    slots, instants = values.shape
    codes = np.full(slots, RAW, np.uint8)
    best = np.full(slots, instants * (1 - _MAX_EXCEPTIONS))
    open_ = np.arange(slots)
    some = values[:, ::_SOME]
    for code in range(MAX_DECIMALS + 1):
        if not len(open_):
            break
        missed = some.shape[1] - _held(some[open_], code)
        hopeful = np.flatnonzero(missed < instants - best[open_])  # of the others too many are missed already
        held = np.zeros(len(open_), np.int64)
        held[hopeful] = _held(values[open_[hopeful]], code)
        better = held > best[open_]
        codes[open_[better]] = code
        best[open_[better]] = held[better]
        open_ = open_[held < instants]
    return codes


def _held(values: Samples, code: int) -> NDArray[np.int64]:
    """How many of each slot's values a code holds, or nearly."""
    held: NDArray[np.int64] = near_numbers(values, np.full((len(values), 1), code, np.uint8))[2].sum(axis=1)
    return held


def _carried(numbers: Numbers, exact: Mask) -> Numbers:
    """The numbers, those that are not exact replaced by the one before or else the first that is."""
    rows = np.flatnonzero(~exact.all(axis=1))
    if len(rows):
        part = exact[rows]
        at = np.maximum.accumulate(np.where(part, np.arange(part.shape[1]), -1), axis=1)
        at = np.where(at < 0, np.argmax(part, axis=1)[:, None], at)
        numbers[rows] = np.take_along_axis(numbers[rows], at, axis=1)
    return numbers


def _residuals(numbers: Numbers, codes: Codes) -> tuple[Numbers, NDArray[np.uint8], NDArray[np.float64]]:
    """What is to be kept of each slot: (numbers, less those of the slot before where that is better; order; cost)."""
    orders, cost = _orders(numbers)
    orders[(codes == RAW) & (orders != CONSTANT)] = FLOATS
    if len(numbers) < 2:
        return numbers, orders, cost
    apart = numbers[1:] - numbers[:-1]
    apart_orders, apart_cost = _orders(apart)
    better = (apart_cost + _WORTH_BITS < cost[1:]) & (codes[1:] == codes[:-1]) & (codes[1:] != RAW)
    refers = np.flatnonzero(better) + 1
    refers = refers[_depths(refers, len(numbers))[refers] % _LONGEST_CHAIN > 0]
    residuals = numbers.copy()
    residuals[refers] = apart[refers - 1]
    orders[refers] = apart_orders[refers - 1] | REFERS
    cost[refers] = apart_cost[refers - 1]
    return residuals, orders, cost


def _depths(refers: NDArray[np.int64], slots: int) -> NDArray[np.int64]:
    """For each slot how many references lead from it to one that has none."""
    own = np.ones(slots, np.bool_)
    own[refers] = False
    return np.arange(slots) - np.maximum.accumulate(np.where(own, np.arange(slots), 0))


def _resolve(numbers: Numbers, orders: NDArray[np.uint8]) -> None:
    """Add to each slot that refers the one before it, in place."""
    refers = np.flatnonzero(orders & REFERS)
    if len(refers):
        depths = _depths(refers, len(orders))[refers]
        for depth in range(1, int(depths.max()) + 1):
            slots = refers[depths == depth]
            numbers[slots] += numbers[slots - 1]


def _orders(numbers: Numbers) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """For each slot the order whose numbers are smallest, and their bits each, about."""
    costs = np.stack([_bits(_differences(numbers, order)) for order in range(3)])
    orders = np.argmin(costs, axis=0).astype(np.uint8)
    orders[(numbers == numbers[:, :1]).all(axis=1)] = CONSTANT
    return orders, costs.min(axis=0)


def _bits(numbers: Numbers) -> NDArray[np.float64]:
    if not numbers.shape[1]:
        return np.zeros(len(numbers))
    mean: NDArray[np.float64] = np.log2(1.0 + np.abs(numbers.astype(np.float64))).mean(axis=1)
    return mean


def _differences(numbers: Numbers, order: int) -> Numbers:
    if order == 0:
        return numbers[:, 1:] - numbers[:, :1]
    return np.diff(numbers, n=order, axis=1)


def _groups(orders: NDArray[np.uint8], cost: NDArray[np.float64], instants: int) -> NDArray[np.uint8]:
    """A group's number, from 1, for each slot; 0 for constant ones. Groups are of one order and like cost."""
    groups = np.zeros(len(orders), np.uint8)
    number = 0
    for order in (0, 1, 2, FLOATS):
        members = np.flatnonzero(orders == order)
        members = members[np.argsort(cost[members], kind="stable")]
        begin = 0
        for end in range(1, len(members) + 1):
            full = (end - begin) * instants >= _SMALL_GROUP
            apart = end == len(members) or cost[members[end]] - cost[members[begin]] > 1.0
            rest = (len(members) - end) * instants
            if end == len(members) or (full and apart and rest >= _SMALL_GROUP and number < _MOST_GROUPS // 2):
                number += 1
                groups[members[begin:end]] = number
                begin = end
    return groups


def _packed(
    values: Samples, numbers: Numbers, orders: NDArray[np.uint8], cost: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], list[bytes]]:
    """Each slot's group and each group's bytes: a group of few slots is taken apart where that is smaller."""
    rough = _groups(orders, cost, numbers.shape[1])
    groups, packed = np.zeros_like(rough), list[bytes]()
    for group in range(1, int(rough.max()) + 1):
        members = np.flatnonzero(rough == group)
        order = int(orders[members[0]])
        whole = [_group(values[members], numbers[members], order)]
        apart = []
        if 1 < len(members) <= _FEW_SLOTS and len(packed) + len(members) < _MOST_GROUPS:
            apart = [_group(values[slot : slot + 1], numbers[slot : slot + 1], order) for slot in members]
        if apart and sum(map(len, apart)) + len(apart) < len(whole[0]):
            groups[members] = len(packed) + 1 + np.arange(len(members))
            packed += apart
        else:
            groups[members] = len(packed) + 1
            packed += whole
    return groups, packed


def _group(values: Samples, numbers: Numbers, order: int) -> bytes:
    if order == FLOATS:
        return _floats(values)
    kept = np.ascontiguousarray(_differences(numbers, order)).reshape(-1)
    divisor = max(int(np.gcd.reduce(kept)), 1)
    out = bytearray()
    append_varint(out, divisor)
    return bytes(out) + compress(kept // divisor)


def _floats(values: Samples) -> bytes:
    """pcodec of floats in its own way, led by 0; of their bits, led by 1, where that is not bit-exact."""
    from pcodec import ChunkConfig, DeltaSpec, standalone

    flat = np.ascontiguousarray(values).reshape(-1)
    tries = [
        bytes(standalone.simple_compress(flat, ChunkConfig(compression_level=_LEVEL, delta_spec=spec)))
        for spec in (DeltaSpec.no_op(), DeltaSpec.try_consecutive(1))
    ]
    packed = min(tries, key=len)
    if np.array_equal(standalone.simple_decompress(packed).view(np.uint64), flat.view(np.uint64)):
        return b"\0" + packed
    return b"\1" + compress(flat.view(np.int64))


def _floats_of(data: bytes, shape: tuple[int, int]) -> NDArray[np.float64]:
    found = decompress(data[1:], shape[0] * shape[1])
    if data[:1] == b"\1":
        found = found.astype(np.int64)
    floats: NDArray[np.float64] = found.view(np.float64).reshape(shape)
    return floats


def _summed(data: bytes, order: int, instants: int, first: Numbers, step: Numbers) -> Numbers:
    """The numbers of a group's slots: (slots, instants)."""
    divisor, at = read_varint(data, 0)
    slots = len(first)
    kept = max(instants - max(order, 1), 0)
    steps = decompress(data[at:], slots * kept).astype(np.int64).reshape(slots, kept)
    if divisor > 1:
        steps *= divisor
    numbers = np.empty((slots, instants), np.int64)
    numbers[:, 0] = first
    if order == 0:
        numbers[:, 1:] = steps + first[:, None]
    elif order == 1:
        np.cumsum(steps, axis=1, out=numbers[:, 1:])
        numbers[:, 1:] += first[:, None]
    else:
        numbers[:, 1] = step
        numbers[:, 2:] = steps
        np.cumsum(numbers[:, 1:], axis=1, out=numbers[:, 1:])
        np.cumsum(numbers, axis=1, out=numbers)
    return numbers


def compress(numbers: Numbers) -> bytes:
    """pcodec of whole numbers, as narrow as they fit, as they are or as what a linear prediction leaves of them."""
    from pcodec import ChunkConfig, DeltaSpec, ModeSpec, standalone

    configs = [ChunkConfig(compression_level=_LEVEL, delta_spec=DeltaSpec.no_op())]
    for narrow in (np.int16, np.int32):
        bounds = np.iinfo(narrow)
        if len(numbers) and bounds.min <= numbers.min() and numbers.max() <= bounds.max:
            numbers = numbers.astype(narrow)
            if _FEWEST <= len(numbers) <= _MOST and not 0 < len(numbers) % _BATCH <= _TAPS:
                spec = DeltaSpec.try_conv1(_TAPS)
                configs.append(ChunkConfig(compression_level=_LEVEL, delta_spec=spec, mode_spec=ModeSpec.classic()))
            break
    plain, *predicted = (bytes(standalone.simple_compress(numbers, config)) for config in configs)
    return next((each for each in predicted if len(each) < _WORTH_PREDICTING * len(plain)), plain)


def decompress(data: bytes, count: int) -> Any:
    """The inverse: `count` numbers, or floats. Raises ValueError where there are more or fewer."""
    from pcodec import standalone

    numbers = standalone.simple_decompress(data)
    found = 0 if numbers is None else len(numbers)
    if found != count:
        raise ValueError(f"{count} numbers expected, {found} found")
    return np.empty(0, np.int64) if numbers is None else numbers


def _append_sized(out: bytearray, data: bytes) -> None:
    append_varint(out, len(data))
    out += data


def _planes(numbers: NDArray[np.int64]) -> bytes:
    """Eight bytes each, all first bytes before all second ones: what is alike stands together."""
    return numbers.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes()


def _from_planes(data: bytes, at: int, count: int) -> NDArray[np.int64]:
    planes = np.frombuffer(data, np.uint8, 8 * count, at).reshape(8, count)
    return np.ascontiguousarray(planes.T).reshape(-1).view("<i8").astype(np.int64)

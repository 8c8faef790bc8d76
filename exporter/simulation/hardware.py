"""What the hardware lets through, however much is asked of it: a 10 Gbit/s card, a disk of 2 GB/s and 100,000 IOPS."""

from __future__ import annotations

import numpy as np

from exporter.simulation import counters as c
from exporter.simulation.noise import Floats

NIC_BYTES_S = 1.25e9
DISK_BYTES_S = 2e9
DISK_OPS_S = 100_000.0
# row of the operations, row of their size, unit of that size in bytes, most bytes and most operations per second
_PATHS = (
    (c.READS, c.READ_SECTORS, c.SECTOR, DISK_BYTES_S, DISK_OPS_S),
    (c.WRITES, c.WRITE_SECTORS, c.SECTOR, DISK_BYTES_S, DISK_OPS_S),
    (c.RX_PACKETS, c.RX_BYTES, 1, NIC_BYTES_S, np.inf),
    (c.TX_PACKETS, c.TX_BYTES, 1, NIC_BYTES_S, np.inf),
)


def throttle(gains: Floats, tick_s: float) -> None:
    """Bring what each tick gained down to what fits through, operations and bytes alike.

    gains: shape (n, ALL, m), whole numbers, changed in place.
    """
    for operations, size, unit, most_bytes, most_operations in _PATHS:
        over = np.maximum(
            gains[:, size] * unit / (most_bytes * tick_s), gains[:, operations] / (most_operations * tick_s)
        )
        for row in (operations, size):
            gains[:, row] = np.floor(gains[:, row] / np.maximum(over, 1.0))

"""What was freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import threading
import numpy as np
from exporter import heap

def pages():
    return int(open("/proc/self/statm").read().split()[1])

heap.share()

def work():
    kept.append([np.ones(1000) for _ in range(10_000)][::100])

kept, threads = [], [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
before = pages()
heap.trim()
print(before - pages())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap is Linux'")
def test_pages_between_blocks_in_use_are_given_back() -> None:
    """80 MB for each thread, every hundredth block of them still in use."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(ran.stdout) * 4096 > 30 << 20

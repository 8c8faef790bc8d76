"""The arrays of this room: `exporter.model` names the same ones, for type checkers only."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Times: TypeAlias = NDArray[np.int64]
"""Unix milliseconds."""

Samples: TypeAlias = NDArray[np.float64]
"""Values."""

Mask: TypeAlias = NDArray[np.bool_]
"""Where something holds."""

Indices: TypeAlias = NDArray[np.intp]
"""Places in an array."""

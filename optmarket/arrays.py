"""Name the types of numpy arrays that occur in annotations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
NumberArray = NDArray[Any]  # floats, or Fractions (dtype object) for exact arithmetic

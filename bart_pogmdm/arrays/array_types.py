"""Types of arrays, in annotations."""

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]  # of NumPy or, with the same methods, of CuPy
ArrayModule: TypeAlias = Any                       # numpy or cupy
Shape: TypeAlias = tuple[int, ...]

"""The arrays that one call fills, slice by slice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..algorithms.chains import chains_that_fit, solver_memory
from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.bart_dims import BATCH, COIL
from ..arrays.devices import available_memory
from ..arrays.memory import size_text
from ..arrays.modules import complex_dtype
from ..physics.nufft import convolution_memory
from . import layout
from .inputs import Slices
from .one_slice import SliceResult
from .options import Options


class Outputs:
    """Image, sensitivities, standard deviations and samples of all slices, in the caller's layout and precision.

    MemoryError if the samples would not fit; they are kept only if the options say so.
    """

    def __init__(self, slices: Slices, options: Options, dtype: np.dtype, xp: ArrayModule) -> None:
        shape, samples = slices.image_shape, options.samples
        real = np.empty(0, dtype).real.dtype
        order = "F" if len(shape) > 3 else "C"  # BART's files are column-major, and are written without a copy
        self.image, self.sens = xp.empty(shape, dtype, order), xp.empty(slices.sens_shape, dtype, order)
        self.std = None if samples is None else xp.empty(shape, real, order)
        draws_sens = samples is not None and not slices.known_sets and slices.coils > 1
        self.sens_std = xp.empty(slices.sens_shape, real, order) if draws_sens else None
        self.samples = _room_for_samples(samples, shape, dtype, xp) if options.keep_samples else None
        self._sens = layout.slices(self.sens)
        self._options, self._facts = options, dict[str, Array]()

    @property
    def loop(self) -> Shape:
        """Sizes of the dimensions that are looped over."""
        return layout.loop_of(self.sens.shape)

    def kept(self, index: Shape) -> list[Array] | None:
        """Return the places of the samples of a slice, each of its grid, or None."""
        return None if self.samples is None else [layout.slices(sample)[index][0] for sample in self.samples]

    def sens_of(self, index: Shape) -> Array:
        """Return the place of the sensitivities of a slice, (J, *grid)."""
        return self._sens[index]

    def put(self, index: Shape, noise_std: float, residual_std: float, result: SliceResult) -> None:
        """Store the result of a slice, and its noise and residual for samples of weight 1."""
        layout.slices(self.image)[index][0] = result.image
        if self.std is not None:
            layout.slices(self.std)[index][0] = result.std
        if self.sens_std is not None:
            layout.slices(self.sens_std)[index][...] = result.sens_std
        facts = {"steps": result.steps, "noise_std": noise_std, "scale": result.scale, "residual_std": residual_std,
                 "maps": result.maps}
        for key, value in (facts | result.convergence).items():
            self._facts.setdefault(key, np.empty(self.loop, int if isinstance(value, int) else float))[index] = value

    def facts(self) -> dict[str, Any]:
        """Return the facts of the slices, a number or an array for each."""
        return {key: values.item() if values.size == 1 else np.squeeze(values) for key, values in self._facts.items()}

    def memory(self, chains: int | None = None) -> int:
        """Return about how many bytes the solver works with on the whole grid; of the options' chains for None."""
        shape, dtype = self._sens.shape[len(self.loop):], complex_dtype(self.image.dtype)
        if chains is None:
            number = self._options.method.chain_shape(self._options.num_samples)[0]
            chains = chains_that_fit(number, shape, self._sens)
        return solver_memory(shape, dtype, chains)


def check_room(shape: Shape, dtype: DTypeLike, xp: ArrayModule, options: Options, samples: int = 0) -> None:
    """Raise MemoryError where memory has no room for the solver of a volume.

    shape: that of the sensitivities, in the caller's layout; samples: of one coil along a trajectory, 0 for a grid.
    Statistics of drawn sensitivities take 2.5 images for each coil, and the work on samples ten times these (measured).
    """
    grid, dtype = layout.grid_of(shape), np.dtype(complex_dtype(dtype))
    if len(grid) == 2:
        return
    coils = shape[COIL]
    needed = solver_memory((coils, *grid), dtype, 1) + 10 * coils * samples * dtype.itemsize
    needed += convolution_memory(grid, dtype, xp) if samples else 0
    needed += 5 * coils * math.prod(grid) * dtype.itemsize // 2 if options.num_samples and coils > 1 else 0
    if needed > (available := available_memory(xp)):
        raise MemoryError(f"kspace: a volume of {' x '.join(map(str, grid))} and {coils} coils needs about"
                          f" {size_text(needed)}, {size_text(available)} are available")


def _room_for_samples(samples: int | None, shape: Shape, dtype: DTypeLike, xp: ArrayModule) -> Array:
    """Return an array (samples, *shape).  MemoryError where it would not fit, ValueError where there are none."""
    if samples is None:
        raise ValueError("keep_samples: goes with samples, and none are drawn")
    if len(shape) > BATCH and shape[BATCH] > 1:
        raise ValueError(f"samples: they are kept along BATCH, where k-space has {shape[BATCH]} already")
    needed, available = samples * int(np.prod(shape)) * np.dtype(dtype).itemsize, available_memory(xp)
    if needed > available:
        raise MemoryError(f"samples: keeping {samples} needs {size_text(needed)},"
                          f" {size_text(available)} are available")
    return xp.empty((samples, *shape), dtype)

"""The state of an algorithm after an iteration."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.modules import array_module
from ..physics.coil_model import rss
from ..physics.sobolev_maps import MapsByCoil, SobolevMaps
from .units import Units


@dataclass(frozen=True)
class Info:
    """Facts about a State.

    iteration: the number of the iteration within the call, from 1; iterations: how many there will be at most.
    sigma: noise level of the prior.
    residual_std: standard deviation of the residual before the iteration, in solver units; (A, 1, …) for a series.
    chain: the number of the chain that the state belongs to, None on the way to the maximum.
    is_draw: whether the state counts as a draw from the posterior; sample: its number if it is kept as a sample.
    """

    iteration: int = 0
    iterations: int = 0
    sigma: float = float("nan")
    residual_std: Any = float("nan")  # on a GPU an array without dimensions, which is read when it is needed
    chain: int | None = None
    is_draw: bool = False
    sample: int | None = None


@dataclass(frozen=True, eq=False)
class State:
    """Image (*grid), sensitivities (J, *grid) and their coefficients (None if the sensitivities have none).

    maps: the sensitivities, or the smooth maps of the coefficients.  The latter need hardly any memory.
    For several sets, chains or simultaneous slices: image (S, *grid), sensitivities and coefficients (J, S, …), and for
    a series image (A, *grid), sensitivities and coefficients (J, 1, …).  The units are those of the image.
    maximum: the maximum where the image has been moved from it towards the mean, else None.
    mean_weights: from 0 to 1, how far each frequency has been moved, (…, *grid); None with `maximum`.
    A callback of `recon` gets a State after each iteration; its arrays are the solver's own, in solver units.  They
    may have half the resolution at first (`Map`), and fewer coils, which are virtual (`CoilRules`).
    """

    image: Array
    maps: Array | SobolevMaps
    coefficients: Array | None = None
    units: Units = Units()
    info: Info = field(default_factory=Info)
    maximum: Array | None = None
    mean_weights: Array | None = None

    @property
    def sens(self) -> Array:
        """The sensitivities, which are computed anew each time where they are smooth maps."""
        if not isinstance(self.maps, SobolevMaps):
            return self.maps
        assert self.coefficients is not None, "smooth maps have coefficients"
        return self.maps.forward(self.coefficients)

    @property
    def sens_by_coil(self) -> Array | MapsByCoil:
        """The same for a model, in a volume one coil after the other."""
        if not isinstance(self.maps, SobolevMaps) or self.coefficients is None:
            return self.sens
        return self.maps.by_coil(self.coefficients)

    @property
    def weight(self) -> Array:
        """The root sum of squares of the sensitivities, (…, *grid)."""
        maps = self.maps
        if not isinstance(maps, SobolevMaps) or self.coefficients is None:
            return rss(self.sens)
        parts = [rss(sens) for _, sens in maps.in_parts(self.coefficients)]
        return array_module(self.image).concatenate(parts, -len(maps.shape))

    @property
    def sens_shape(self) -> Shape:
        """Shape of the sensitivities."""
        if not isinstance(self.maps, SobolevMaps) or self.coefficients is None:
            return self.maps.shape
        return (*self.coefficients.shape[:-len(self.maps.shape)], *self.maps.shape)

    def noted(self, **facts: Any) -> State:
        """Return the state with some facts replaced."""
        return replace(self, info=replace(self.info, **facts))

    def repeated(self, count: int) -> State:
        """Return the same state in each of `count` chains."""
        xp = array_module(self.image)
        coefficients = None if self.coefficients is None else xp.stack([self.coefficients] * count, 1)
        maps = self.maps if isinstance(self.maps, SobolevMaps) else xp.stack([self.maps] * count, 1)
        return State(xp.stack([self.image] * count), maps, coefficients, self.units)

    def image_of(self, number: int) -> State:
        """Return the state of one image of a series, or of one of several slices."""
        info, residual_std = self.info, self.info.residual_std
        if np.ndim(residual_std):
            info = replace(info, residual_std=residual_std.ravel()[number])
        maximum, mean_weights = (array if array is None else array[number] for array in (
            self.maximum, self.mean_weights))
        return State(self.image[number], *self._maps_of(min(number, self.sens_shape[1] - 1)),  # a series shares them
                     self.units.image_of(number), info, maximum, mean_weights)

    def chain(self, number: int) -> State:
        """Return the state of one of the chains."""
        maps, coefficients = self._maps_of(number)
        residual_std = self.info.residual_std[number]
        residual_std = residual_std.reshape(()) if residual_std.size == 1 else residual_std
        return replace(self, image=self.image[number], maps=maps, coefficients=coefficients,
                       info=replace(self.info, residual_std=residual_std))

    def _maps_of(self, number: int) -> tuple[Array | SobolevMaps, Array | None]:
        """Return maps and coefficients of one image or chain."""
        return (self.maps if isinstance(self.maps, SobolevMaps) else self.maps[:, number],
                None if self.coefficients is None else self.coefficients[:, number])

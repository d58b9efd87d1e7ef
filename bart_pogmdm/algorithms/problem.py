"""The problem that an algorithm solves, complete and immutable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..arrays.array_types import Array
from ..arrays.modules import array_module
from ..physics.coil_model import CoilModel, SetsModel, coil_model
from ..physics.image_set import ImageAxis, ImageSet, of_samples
from ..physics.sampling import Sampling
from ..physics.sensitivities import SensitivityModel
from ..physics.series import SeriesSampling
from ..physics.sobolev_maps import MapsByCoil
from ..physics.undersampling import known_radius
from .state import State
from .temporal import Changes
from .units import Units


@dataclass(frozen=True, eq=False)
class Problem:
    """One set of images to be found from their samples, scaled to images of maximum about 1.

    sampling, samples: M F, and z of J coils in the form that the sampling gives them.
    noise_std: standard deviation of the noise per real and imaginary part, for the images of a series (A, 1, …).
    sens_model: the model of unknown sensitivities; None if those of the start are known.
    images: the set of images; its axes say which images share samples or sensitivities.
    start: image and sensitivities to start from, with the units of all of these.
    temporal: size of the changes from image to image of a series of frames; None for images in no such order.
    Raises ValueError if the start does not have the shape of the set of images.
    """

    sampling: Sampling
    samples: Array
    noise_std: Any
    sens_model: SensitivityModel | None
    images: ImageSet
    start: State
    temporal: float | None = None

    def __post_init__(self) -> None:
        sens_shape = (self.coils, *self.images.sens_shape)
        if self.start.image.shape != self.images.shape or self.start.sens_shape != sens_shape:
            raise ValueError(f"start: expected an image {self.images.shape} and sensitivities {sens_shape},"
                             f" got {self.start.image.shape} and {self.start.sens_shape}")

    @property
    def units(self) -> Units:
        """Relation of solver units to data units."""
        return self.start.units

    @property
    def coils(self) -> int:
        """Number of coils."""
        return len(self.samples)

    @property
    def one_coil(self) -> bool:
        """True for single-coil data, where no sensitivity map can absorb phase or intensity that the prior rejects."""
        return self.coils == 1

    @property
    def known_radius(self) -> float:
        """Radius about zero frequency, in cycles per field of view, within which the samples tell all frequencies.

        It is 0 for several sets of images, because the samples tell only their sum.
        """
        if self.images.adds_up:
            return 0.0
        return known_radius(self.sampling.sampled_part, len(self.images.grid), self.coils)

    @property
    def changes(self) -> Changes | None:
        """The prior of the changes from frame to frame, if there is one."""
        scale = self.units.scale
        return None if self.temporal is None else Changes(self.temporal, scale / scale.mean())

    def in_units(self, factor: Any) -> Problem:
        """Return the problem with images divided by a factor, before the solver begins."""
        return self._divided(factor, self.units.times(factor))

    def follow(self, step: float) -> Problem:
        """Return the problem with images divided by a step of the solver."""
        return self._divided(step, self.units.follow(step))

    def together(self, arrays: Sequence[Array]) -> Array:
        """Return arrays of the problems of `each` as one for this problem."""
        return array_module(arrays[0]).stack(arrays) if self.images.is_series else arrays[0]

    def started_from(self, state: State) -> Problem:
        """Return the problem in the units of a state, which it starts from."""
        step = state.units.followed / self.units.followed
        return replace(self if step == 1 else self._divided(step, state.units), start=state)

    def _divided(self, factor: Any, units: Units) -> Problem:
        start = replace(self.start, image=self.start.image / factor, units=units)
        samples, noise_std = self.samples / of_samples(factor, self.samples), self.noise_std / factor
        return replace(self, samples=samples, noise_std=noise_std, start=start,
                       sens_model=self.sens_model and self.sens_model.in_units(factor))

    def each(self) -> list[Problem]:
        """Return the problems of the images of a series, one by one; for any other set of images the problem itself."""
        if not (self.images.is_series and isinstance(self.sampling, SeriesSampling)):
            return [self]
        return [replace(self, sampling=part, samples=self.samples[:, number], images=ImageSet(self.images.grid),
                        noise_std=float(self.noise_std.ravel()[number]), start=self.start.image_of(number),
                        temporal=None,
                        sens_model=self.sens_model and self.sens_model.image_of(number))
                for number, part in enumerate(self.sampling.parts)]

    def without(self, which: Array) -> Problem:
        """Return the problem without some of the samples, booleans of the shape of one coil's samples.

        Unknown sensitivities are still fitted to them: they have too few degrees of freedom to tell single samples.
        """
        sampling, samples = self.sampling.without(which, self.samples)
        return replace(self, sampling=sampling, samples=samples)

    def in_chains(self, count: int) -> Problem:
        """Return the problem of several chains side by side, each with image and sensitivities of its own."""
        images = self.images.along(ImageAxis.chains(count))
        return replace(self, samples=self.samples[:, None], images=images, start=self.start.repeated(count))

    def model(self, sens: Array | MapsByCoil) -> CoilModel | SetsModel:
        """Return the forward model with these sensitivities."""
        return coil_model(self.sampling, sens, self.images)


def prior_for(problem: Problem, prior: Any) -> Any:
    """Return the form that a prior has for reconstructions from several coils, if it has one, as a PoGMDM.

    With one coil the learned gains stay: there no other coil would hold detail that the prior removes.
    """
    return prior if problem.one_coil else getattr(prior, "reconstructing", prior)

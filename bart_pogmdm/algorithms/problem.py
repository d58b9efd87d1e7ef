"""The problem that an algorithm solves, complete and immutable."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..arrays.array_types import Array
from ..physics.coil_model import CoilModel, SetsModel, coil_model
from ..physics.image_set import ImageAxis, ImageSet
from ..physics.sampling import Sampling
from ..physics.sensitivities import SensitivityModel
from .state import State
from .units import Units


@dataclass(frozen=True, eq=False)
class Problem:
    """One set of images to be found from their samples, scaled to images of maximum about 1.

    sampling, samples: M F, and z of J coils in the form that the sampling gives them.
    noise_std: standard deviation of the noise per real and imaginary part.
    sens_model: the model of unknown sensitivities; None if those of the start are known.
    images: the set of images; its axes say which images share samples or sensitivities.
    start: image and sensitivities to start from.
    units: relation of all of these to data units.
    """

    sampling: Sampling
    samples: Array
    noise_std: float
    sens_model: SensitivityModel | None
    images: ImageSet
    start: State
    units: Units = field(default_factory=Units)

    def in_units(self, unit: float) -> Problem:
        """Return the problem with images divided by `unit`."""
        return replace(self, samples=self.samples / unit, noise_std=self.noise_std / unit,
                       sens_model=self.sens_model and self.sens_model.in_units(unit),
                       start=replace(self.start, image=self.start.image / unit), units=self.units.times(unit))

    def started_from(self, state: State) -> Problem:
        """Return the problem in the units of a state, which it starts from."""
        problem = self if state.info.unit == 1 else self.in_units(state.info.unit)
        return replace(problem, start=state)

    def in_chains(self, count: int) -> Problem:
        """Return the problem of several chains side by side, each with image and sensitivities of its own."""
        images = self.images.along(ImageAxis(count, adds_up=False))
        return replace(self, samples=self.samples[:, None], images=images, start=self.start.repeated(count))

    def model(self, sens: Array) -> CoilModel | SetsModel:
        """Return the forward model with these sensitivities."""
        return coil_model(self.sampling, sens, self.images)

    @property
    def coils(self) -> int:
        """Number of coils."""
        return len(self.samples)

    @property
    def one_coil(self) -> bool:
        """True for single-coil data, where no sensitivity map can absorb phase or intensity that the prior rejects."""
        return self.coils == 1

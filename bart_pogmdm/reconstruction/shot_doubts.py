"""The doubt whether the shots of simultaneous slices are ordinary slices."""

from __future__ import annotations

from ..algorithms.problem import Problem
from ..arrays.fft import fftn
from ..physics.espirit import EspiritRules, second_part
from ..physics.fourier import fft2c
from .doubt_rules import DoubtRules


def are_ordinary_slices(problem: Problem, rules: DoubtRules, espirit: EspiritRules) -> bool:
    """Return whether the shots of a problem of simultaneous slices look like one slice each; planes on a grid show it.

    A shot is a sum of slices, each with its maps, so that it takes several sets of them where a slice takes one.  With
    ordinary slices it is the other way round.
    """
    model, start = problem.sens_model, problem.start
    if not model or start.coefficients is None or len(problem.images.grid) > 2 or problem.sampling.inexact:
        return False
    coil_images = model.coil_images(model.predicted(start.image, start.coefficients), espirit.fill_cg)
    slices, shots = (sum(second_part(fft2c(part[:, number]), problem.noise_std, espirit)
                         for number in range(part.shape[1])) for part in (coil_images, fftn(coil_images, (1,))))
    return slices > max(rules.second, rules.shots_second * shots)

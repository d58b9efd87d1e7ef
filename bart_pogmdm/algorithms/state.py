"""The loops of reconstruction: joint MAP, Gibbs posterior, and Algorithm 1 of the paper.

Each is a generator of States: it starts from one and yields one after every iteration.  Those that draw run a chain for
each of the random generators, side by side; what a chain draws does not depend on the others.
"""

from dataclasses import dataclass

import numpy as np

from ..arrays.modules import array_module


@dataclass(frozen=True, eq=False)
class State:
    """Image (ny, nx), sensitivities (J, ny, nx) and their coefficients (None where they are known).

    With several sets or chains: image (S, ny, nx), sensitivities and coefficients (J, S, …).

    After an iteration, also the noise level of the prior, the standard deviation of the residual before it, and the
    unit of all this in the data's.
    """

    image: np.ndarray
    sens: np.ndarray
    coefficients: np.ndarray | None
    sigma: float | None = None
    residual_std: float | None = None
    unit: float = 1.0

    def repeated(self, count):
        """The same in each of `count` chains."""
        xp = array_module(self.image)
        image = xp.stack([self.image] * count)
        sens, coefficients = (None if array is None else xp.stack([array] * count, 1)
                              for array in (self.sens, self.coefficients))
        return State(image, sens, coefficients)

    def chain(self, number):
        """One of the chains."""
        coefficients = None if self.coefficients is None else self.coefficients[:, number]
        return State(self.image[number], self.sens[:, number], coefficients, self.sigma,
                     self.residual_std.reshape(-1)[number])

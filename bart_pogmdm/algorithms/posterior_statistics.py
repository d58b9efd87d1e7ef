"""Mean, standard deviation and convergence of draws, streamed, so that no draw is kept."""

from typing import Any

from ..arrays.array_types import Array
from ..arrays.modules import array_module


class Welford:
    """Mean and sum of squared deviations of arrays added one by one (B. P. Welford, Technometrics 4, 1962)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Any = 0
        self.squares: Any = 0

    def add(self, value: Any) -> None:
        """Take one more array into account."""
        self.count += 1
        change = value - self.mean
        self.mean = self.mean + change / self.count
        self.squares = self.squares + (1 - 1 / self.count) * abs(change) ** 2


class PosteriorStatistics:
    """Mean, standard deviation and convergence of complex images from chains of `length` draws each.

    Only chains that have begun and not ended take memory.
    """

    def __init__(self, length: int) -> None:
        self._length, self._image, self._chains = length, Welford(), Welford()
        self._within: Any = 0
        self._begun: dict[int, Welford] = {}

    def add(self, image: Array, chain: int) -> None:
        """Take one more draw from a chain into account."""
        self._image.add(image)
        magnitude = self._begun.setdefault(chain, Welford())
        magnitude.add(array_module(image).abs(image))
        if magnitude.count == self._length:
            self._chains.add(magnitude.mean)
            self._within = self._within + magnitude.squares
            del self._begun[chain]

    @property
    def mean(self) -> Array:
        """Mean of the images."""
        return self._image.mean

    @property
    def std(self) -> Array:
        """Standard deviation of their magnitude over all draws; zero for a single one."""
        squares = self._within + self._length * self._chains.squares
        return (squares / max(self._image.count - 1, 1)) ** 0.5

    def variances(self) -> tuple[Array, Array] | None:
        """Return the variance of the magnitude within the chains, and one that counts how far their means lie apart.

        Their ratio is R-hat^2 (A. Gelman, D. Rubin, Stat. Sci. 7, 1992, doi 10.1214/ss/1177011136).  None where there
        are not two chains of two draws.
        """
        count, length = self._chains.count, self._length
        if min(count, length) < 2:
            return None
        within = self._within / (count * (length - 1))
        return within, within * (length - 1) / length + self._chains.squares / (count - 1)

    def convergence(self) -> tuple[float | None, float | None]:
        """Return R-hat and the effective sample size of the magnitude where it is above a tenth of its maximum.

        R-hat is the median over the pixels.  The effective sample size is the variance of the draws over that of their
        mean, both averaged over the pixels.  None where there are not two chains of two draws.
        """
        count, length, variances = self._chains.count, self._length, self.variances()
        if variances is None:
            return None, None
        inside = self._chains.mean > 0.1 * self._chains.mean.max()
        within, pooled = (variance[inside] for variance in variances)
        between = (self._chains.squares / (count - 1))[inside]
        rhat = array_module(pooled).median((pooled / within) ** 0.5)
        return float(rhat), float(min(count * pooled.mean() / between.mean(), count * length))

"""Mean, standard deviation and convergence of draws, streamed: no draw is kept."""

from ..arrays.modules import array_module


class Welford:
    """Mean and sum of squared deviations of arrays added one by one (B. P. Welford, Technometrics 4, 1962)."""

    def __init__(self):
        self.count, self.mean, self.squares = 0, 0, 0

    def add(self, value):
        """Take one more array into account."""
        self.count += 1
        change = value - self.mean
        self.mean = self.mean + change / self.count
        self.squares = self.squares + change * (value - self.mean)


class Moments:
    """Of complex images from chains of `length` draws each; chains that have begun and not ended take memory."""

    def __init__(self, length):
        self._length, self._image, self._chains = length, Welford(), Welford()
        self._within, self._begun = 0, {}

    def add(self, image, chain):
        """Take one more draw into account, of the chain of this name."""
        self._image.add(image)
        moments = self._begun.setdefault(chain, Welford())
        moments.add(array_module(image).abs(image))
        if moments.count == self._length:
            self._chains.add(moments.mean)
            self._within = self._within + moments.squares
            del self._begun[chain]

    @property
    def mean(self):
        """Mean of the images."""
        return self._image.mean

    @property
    def std(self):
        """Standard deviation of their magnitude over all draws; zero for a single one."""
        squares = self._within + self._length * self._chains.squares
        return (squares / max(self._image.count - 1, 1)) ** 0.5

    def convergence(self):
        """(R-hat, effective sample size) of the magnitude where it is above a tenth of its maximum.

        The median over the pixels of R-hat (A. Gelman, D. Rubin, Stat. Sci. 7, 1992, doi 10.1214/ss/1177011136), and
        the variance of draws over that of the mean of all, both averaged over the pixels.
        None where there are not two chains of two draws.
        """
        count, length = self._chains.count, self._length
        if min(count, length) < 2:
            return None, None
        object_ = self._chains.mean > 0.1 * self._chains.mean.max()
        within = (self._within / (count * (length - 1)))[object_]
        between = (self._chains.squares / (count - 1))[object_]
        pooled = within * (length - 1) / length + between
        rhat = array_module(pooled).median((pooled / within) ** 0.5)
        return float(rhat), float(min(count * pooled.mean() / between.mean(), count * length))

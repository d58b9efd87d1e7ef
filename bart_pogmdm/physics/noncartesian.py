"""Samples along trajectories: the non-uniform FFT of finufft (cufinufft on a GPU), in the place of FFT and mask.

A. Barnett et al., A parallel non-uniform fast Fourier transform library, SIAM J. Sci. Comput. 41, 2019,
doi 10.1137/18M120885X.  The normal operator is a convolution, done by FFTs of twice the size (Toeplitz embedding).
"""

from dataclasses import dataclass, replace

import numpy as np

from .noise_level import of_samples
from .nufft import Nufft

BEYOND_GRID = 0.5       # cycles per field of view by which samples may lie outside the grid: gradient delays shift them


def image_size(points):
    """The grid that holds the trajectory's points (2, …), in cycles per field of view: as BART, 2 ceil(max |k|)."""
    return tuple(2 * int(np.ceil(float(abs(axis).max()))) for axis in points)


@dataclass(frozen=True, eq=False)
class NonCartesianScan:
    """One slice as measured: samples (J, M) at points (2, M) in cycles per field of view, of an image's shape.

    readouts: which of them each sample belongs to, (M,); None: nothing is known of that.
    """

    samples: np.ndarray
    points: np.ndarray
    shape: tuple
    readouts: np.ndarray | None = None

    @classmethod
    def of(cls, samples, points, shape, readouts=None):
        """What of the samples lies on the grid and is not zero in all coils; ValueError where nothing is left."""
        scan = cls(samples, points, shape, readouts)
        scan = scan.part((samples != 0).any(0) & within(points, [n + 2 * BEYOND_GRID for n in shape]))
        if not scan.samples.size:
            raise ValueError(f"dims: no sample lies on a grid of {shape[0]} x {shape[1]}")
        return scan

    def part(self, which):
        """Some of the samples, by indices or booleans (M,)."""
        return replace(self, samples=self.samples[:, which], points=self.points[:, which],
                       readouts=None if self.readouts is None else self.readouts[which])

    def noise_std(self):
        """Noise per real and imaginary part, estimated from the highest frequencies."""
        return of_samples(self.samples, self.sampled()[0].radius(self.shape))

    def low(self, grid, cut):
        """The frequencies within a window of size `cut` about zero, on a smaller grid."""
        part = self.part(within(self.points, cut))
        if not part.samples.size:
            raise ValueError(f"traj: expected samples at low frequencies, for the sensitivities, got none below"
                             f" {min(cut) / 2:g} cycles per field of view")
        return replace(part, shape=grid)

    def sampled(self):
        """The sampling and the samples as this gives them."""
        return Nufft(self.points, self.shape, self.samples.dtype.type), self.samples


def within(points, size):
    """Which points lie in a window about zero, (M,)."""
    return (abs(points[0]) <= size[0] / 2) & (abs(points[1]) <= size[1] / 2)

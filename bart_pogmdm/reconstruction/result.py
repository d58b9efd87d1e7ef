"""The result of a reconstruction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..arrays.array_types import Array, ArrayModule
from ..arrays.bart_dims import BATCH, pad_dims
from ..arrays.modules import array_module, move
from ..version import __version__

NAMES = ("image", "sens", "std", "sens_std", "samples")  # Of the arrays.


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The result of `recon`, in the order, array library, device and precision of its k-space.

    image: complex, in data units, (y, x), or in BART's order with size 1 along COIL.
    sens: coil sensitivities, of the shape of complete k-space on the grid of the image, and of root sum of squares 1
        unless normalize is False; image * sens are the coil images.
    std: standard deviation of |image|, in data units, of its shape; None for a method that does not sample.
    sens_std: of the complex sensitivities, of the shape of sens; None where they were given, or are not sampled.
    info: facts about the reconstruction (see `recon`).
    samples: with keep_samples the draws, (samples, y, x), or in BART's order along BATCH; moved so that their mean is
        the image, and stretched by one factor, so that their spread is that of std on the whole.
    """

    image: Array
    sens: Array
    std: Array | None
    info: dict[str, Any]
    samples: Array | None = None
    sens_std: Array | None = None

    def __repr__(self) -> str:
        """Return types and shapes, since the arrays fill pages."""
        arrays = {name: getattr(self, name) for name in NAMES}
        facts = [f"{name} {array.dtype} {array.shape}" for name, array in arrays.items() if array is not None]
        return f"<Result: {', '.join(facts)}; {len(self.info.get('warnings', ()))} warnings>"

    def on(self, xp: ArrayModule) -> Result:
        """Return the result with arrays of another module."""
        return replace(self, **{name: move(getattr(self, name), xp) for name in NAMES})

    def plot(self) -> Any:
        """Return a matplotlib Figure of image, sensitivities and standard deviation; notebooks show it."""
        from ..plot.reconstruction_picture import draw_reconstruction
        return draw_reconstruction(self.image, self.sens, self.std)


def along_batch(samples: Array | None) -> Array | None:
    """Return samples (samples, *image) in the caller's order: as they are up to three dimensions, else along BATCH."""
    if samples is None or samples.ndim <= 3:
        return samples
    shape = pad_dims(samples.shape[1:])[:BATCH]
    return array_module(samples).moveaxis(samples.reshape(len(samples), *shape), 0, -1)


def provenance_of(info: Mapping[str, Any]) -> dict[str, str]:
    """Return {word: text} of the facts that say how an image was made, for files that note them."""
    words = ("method", "iterations", "samples", "seed", "prior", "prior_hash")
    return {"bart_pogmdm": __version__} | {word: str(info[word]) for word in words if info.get(word) is not None}

"""The prior of a call: checked, of the images or volumes that are reconstructed."""

from __future__ import annotations

from typing import Any

from ..algorithms.diffusion import Diffusion
from ..prior.image_scale import ImageScale
from ..prior.planes import Planes
from ..prior.prior_file import load_prior
from .options import Method, Options


def prior_of(prior: Any, method: Method) -> Any:
    """Return a prior object as it is, and load the one of a path or, for None, the default.

    Raises TypeError for an object without the members that the method needs.
    """
    prior = prior if hasattr(prior, "score") else load_prior(prior)
    if missing := [name for name in method.prior_members if not hasattr(prior, name)]:
        raise TypeError(f"prior: method {method.name} needs {', '.join(missing)}, which {type(prior).__name__} has not")
    if not isinstance(scale := scale_of(prior), ImageScale):
        raise TypeError(f"prior: image_scale: expected an ImageScale, got {type(scale).__name__}")
    return prior


def planes_of(prior: Any, options: Options) -> Planes:
    """Return the prior of volumes for a prior of images.  ValueError for options that go with 2-D images only."""
    if isinstance(options.method, Diffusion):
        raise ValueError("method: diffusion goes with 2-D images, and k-space is 3-D")
    if options.maps == 2:
        raise ValueError("maps: 2 goes with 2-D images, and k-space is 3-D")
    return Planes(prior, options.voxel or (1.0, 1.0, 1.0))


def scale_of(prior: Any) -> ImageScale:
    """Return the scale of the images that a prior knows; the default for a prior that does not say it."""
    return getattr(prior, "image_scale", ImageScale())

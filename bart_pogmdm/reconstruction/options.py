"""The options of a reconstruction."""

from __future__ import annotations

import numbers
import sys
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, TypedDict

import numpy as np

from ..algorithms.diffusion import Diffusion
from ..algorithms.gibbs import Gibbs
from ..algorithms.joint_map import Map
from ..arrays.bart_dims import AVG, COEFF, DIMS, MAPS, SLICE, TE, TIME
from ..arrays.checks import is_integer
from .rules import Rules

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

SHARED = 1 << TE | 1 << COEFF | 1 << AVG  # echoes, coefficients and averages see the coils where they were
NOT_SHARED = (1 << MAPS + 1) - 1
# Options of which one excludes the other, by the names in `_chosen`.
EXCLUSIVE = (("maps", "normalize"), ("maps", Diffusion.name), ("maps", "temporal"), ("maps", "sms"),
             ("shared_sens", "maps"), ("shared_sens", "sms"), ("shared_sens", Diffusion.name), ("sms", Diffusion.name),
             ("temporal", Gibbs.name), ("temporal", Diffusion.name), ("temporal", "sms"))
LONGEST = 32  # sides of the shortest one that a side of a voxel may have

Method: TypeAlias = Map | Gibbs | Diffusion
METHODS: dict[str, type[Method]] = {method.name: method for method in (Map, Gibbs, Diffusion)}


@dataclass(frozen=True)
class Options:
    """How to reconstruct: the same for every slice of a call."""

    method: Method = Map()
    """The method with its own options."""

    samples: int | None = None
    """Draws from the posterior; None where the method draws none."""

    iterations: int = Map.iterations
    """Majorise-minimise steps to the maximum, which the method holds as well; "diffusion" takes none."""

    noise_std: float | None = None
    """Standard deviation of the noise per real and imaginary part; None: estimated in each slice."""

    maps: int | str = "auto"
    """Sets of image and sensitivities: 2 for an object that folds over; "auto" decides by the samples."""

    shared_sens: int = SHARED
    """BART's bits of the dimensions along which the slices share their sensitivities, where these are unknown."""

    temporal: float | None = None
    """Size of the changes between frames along TIME, which are solved together; None: nothing is known of them."""

    sms: bool = False
    """SLICE holds the shots of slices that were excited together, as in `nlinv`."""

    voxel: tuple[float, float, float] | None = None
    """Sides of a voxel of a volume along its axes, in any unit; None: it is a cube."""

    normalize: bool = True
    """Report the image times the RSS of the sensitivities, and these with RSS 1."""

    keep_samples: bool = False
    """Return the samples, too."""

    seed: int = 0
    """Seed of all draws; each chain of each slice draws from its own child of it."""

    rules: Rules = Rules()
    """Rules of box, centre, noise, coils, readouts, sensitivities, start, one coil and doubts."""

    @property
    def alone(self) -> bool:
        """Whether each slice is solved alone: by Algorithm 1, and with two sets of maps."""
        return isinstance(self.method, Diffusion) or self.maps == 2

    @property
    def together(self) -> int:
        """BART's bits of the dimensions whose slices are solved together."""
        if self.sms or self.temporal is not None:
            return 1 << (SLICE if self.sms else TIME)
        return 0 if self.alone else self.shared_sens

    @property
    def num_samples(self) -> int:
        """Number of samples, 0 where the method draws none."""
        return self.samples or 0


class OptionKeywords(TypedDict, total=False):
    """The options as keywords of `recon` and `recon_volume`; a method also by its name, or None."""

    method: str | Method | None
    samples: int | None
    iterations: int
    noise_std: float | None
    maps: int | str
    shared_sens: int
    temporal: float | None
    sms: bool
    voxel: tuple[float, float, float] | None
    normalize: bool
    keep_samples: bool
    seed: int
    rules: Rules


def options_of(**keywords: Unpack[OptionKeywords]) -> Options:
    """Return the Options of keywords.  TypeError or ValueError that names the one that is wrong."""
    names = [field.name for field in fields(Options)]
    if unknown := [name for name in keywords if name not in names]:
        raise TypeError(f"{unknown[0]}: no such option; neither an argument of the call nor one of {', '.join(names)}")
    others: dict[str, Any] = dict(keywords)
    method, samples = _method(others.pop("method", None), others.pop("samples", None))
    iterations = others.pop("iterations", getattr(method, "iterations", Options.iterations))
    options = Options(method, samples, iterations, **others)
    if not is_integer(options.iterations, 1):
        raise ValueError(f"iterations: expected a positive integer, got {options.iterations!r}")
    if (std := options.noise_std) is not None and not (isinstance(std, numbers.Real) and 0 <= std < np.inf):
        raise ValueError(f"noise_std: expected a number >= 0, got {std!r}")
    if not is_integer(options.seed, 0):
        raise ValueError(f"seed: expected an integer >= 0, got {options.seed!r}")
    if not isinstance(options.rules, Rules):
        raise TypeError(f"rules: expected Rules, got {type(options.rules).__name__}")
    if options.maps != "auto" and not (is_integer(options.maps, 1) and int(options.maps) <= 2):
        raise ValueError(f"maps: expected 1, 2 or auto, got {options.maps!r}")
    if not is_integer(options.shared_sens, 0) or options.shared_sens >> len(DIMS) or options.shared_sens & NOT_SHARED:
        raise ValueError(f"shared_sens: expected bits of the dimensions from {DIMS[MAPS + 1]} on, as {SHARED} for TE,"
                         f" COEFF and AVG, got {options.shared_sens!r}")
    if options.temporal is not None and not (isinstance(options.temporal, numbers.Real)
                                             and 0 < options.temporal < np.inf):
        raise ValueError(f"temporal: expected a number above 0, got {options.temporal!r}")
    _check_together(options, keywords)
    maps = 1 if options.maps == "auto" and not _takes_sets(options) else options.maps
    iterations, maps, seed = int(options.iterations), maps if isinstance(maps, str) else int(maps), int(options.seed)
    return replace(options, method=method.with_iterations(iterations), iterations=iterations, maps=maps, seed=seed,
                   shared_sens=int(options.shared_sens), sms=bool(options.sms), voxel=_voxel(options.voxel),
                   normalize=bool(options.normalize), keep_samples=bool(options.keep_samples))


def _method(method: str | Method | None, samples: int | None) -> tuple[Method, int | None]:
    """Return the method as an object, and its number of samples (None if it draws none)."""
    if method is None:
        method = "map" if samples is None else "gibbs"
    if isinstance(method, str) and method in METHODS:
        method = METHODS[method]()
    if isinstance(method, str) or not isinstance(method, tuple(METHODS.values())):
        objects = "" if isinstance(method, str) else " or one of Map, Gibbs, Diffusion"
        raise ValueError(f"method: expected {', '.join(METHODS)}{objects}, got {method!r}")
    if samples is not None and not is_integer(samples, 1):
        raise ValueError(f"samples: expected a positive integer, got {samples!r}")
    if samples is not None and method.default_samples is None:
        raise ValueError(f"samples: method {method.name} draws none")
    return method, method.default_samples if samples is None else int(samples)


def with_sets(options: Options, known: int) -> Options:
    """Return the options for some number of sets of known sensitivities.  ValueError where they do not go together."""
    if options.maps == 2 and known == 1:
        raise ValueError("maps: expected 1 or auto with one set of `sens`, got 2")
    options = replace(options, maps=known)
    _check_together(options, {}, sets="`sens` of two sets")
    return options


def _check_together(options: Options, keywords: OptionKeywords, sets: str = "`maps=2`") -> None:
    """Raise ValueError that names two options of which one excludes the other.  sets: a name of two sets of maps."""
    samples, shared = keywords.get("samples"), keywords.get("shared_sens")
    method = options.method.name
    chosen = {"maps": sets if options.maps == 2 else "", "normalize": "" if options.normalize else "`normalize=False`",
              "temporal": f"`temporal={options.temporal}`" if options.temporal is not None else "",
              "sms": "`sms=True`" if options.sms else "", "shared_sens": f"`shared_sens={shared}`" if shared else "",
              method: f"`method={method}`" if keywords.get("method") or not samples else f"`samples={samples}`"}
    for one, other in EXCLUSIVE:
        if chosen.get(one) and chosen.get(other):
            raise ValueError(f"{chosen[one]} does not go with {chosen[other]}")
    if options.temporal is not None and shared not in (None, 1 << TIME):
        raise ValueError(f"{chosen['temporal']} goes with `shared_sens={1 << TIME}`, TIME alone, got {shared}")


def _takes_sets(options: Options) -> bool:
    """Return True if the method and the form of the result allow for several sets."""
    return not isinstance(options.method, Diffusion) and options.normalize and options.temporal is None


def _voxel(sides: Any) -> tuple[float, float, float] | None:
    """Return the sides of a voxel as numbers, or None.  ValueError for others."""
    if sides is None:
        return None
    if not isinstance(sides, (tuple, list, np.ndarray)) or len(sides) != 3 or not all(
            isinstance(side, numbers.Real) and 0 < float(side) < np.inf for side in sides):
        raise ValueError(f"voxel: expected three sides above 0, got {sides!r}")
    z, y, x = map(float, sides)
    if max(z, y, x) > LONGEST * min(z, y, x):
        raise ValueError(f"voxel: expected sides of which none is {LONGEST} times as long as another, got {sides!r}")
    return z, y, x

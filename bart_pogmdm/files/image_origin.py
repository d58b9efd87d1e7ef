"""The origin of images, and the style of their values, for files of images."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..arrays.array_types import Array
from .atomic import Fill
from .geometry import Geometry

IMAGE, SENS, STD, SAMPLES = "image", "sens", "std", "samples"
Content: TypeAlias = tuple[str | Path, Path, Fill]  # The name of the output, a file of it, and what fills that.


@dataclass(frozen=True)
class Origin:
    """Where images come from: their place in the patient, attributes of the scan, and how they were made.

    geometry: of each slice along SLICE, or of the volume; None if it is not known.
    tags: {keyword of DICOM: value}.  provenance: {word: text}, such as the method and the prior.
    identity: by which all outputs of a call are known to belong together.
    """

    geometry: tuple[Geometry, ...] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def sentence(self) -> str:
        """The provenance in one line."""
        return ", ".join(f"{word} {text}" for word, text in self.provenance.items())


@dataclass(frozen=True)
class Style:
    """How values are written in formats other than BART's.

    part: magnitude, complex or phase.  largest: the largest magnitude of the image, by which all but sensitivities are
    scaled; None: the units of the data.  anonymous: without what identifies the patient.
    """

    part: str = "magnitude"
    largest: float | None = None
    anonymous: bool = True

    @property
    def options(self) -> list[str]:
        """The options of the command line that ask for this style."""
        asked = {f"--{self.part}": self.part != Style.part, "--scale": self.largest is not None,
                 "--no-anonymous": not self.anonymous}
        return [option for option, is_asked in asked.items() if is_asked]

    def values(self, role: str, array: Array, factor: float) -> Array:
        """Return the values of an array that are written: real ones, or complex64."""
        if role == STD or array.dtype.kind != "c":
            return array.real.astype(np.float32) * np.float32(factor)
        if self.part == "phase":
            return np.angle(array).astype(np.float32)
        values = abs(array).astype(np.float32) if self.part == "magnitude" else array.astype(np.complex64)
        return values if role == SENS else values * np.float32(factor)

    def factor(self, image: Array) -> float:
        """Return the number by which an image is multiplied.  Raises ValueError for an image of zeros."""
        if self.largest is None:
            return 1.0
        top = float(abs(image).max())
        if not 0 < top < np.inf:
            raise ValueError(f"--scale: expected an image with finite values and some above 0, its maximum is {top}")
        return self.largest / top


@dataclass(frozen=True, eq=False)
class Images:
    """An array of images as a format gets it.

    name: of the output.  role: image, sens, std or samples.  values: with BART's 16 dimensions, real or complex64.
    style: in which they are; those of a standard deviation are magnitudes in any style.
    """

    name: str
    role: str
    values: Array
    origin: Origin
    style: Style

    @cached_property
    def path(self) -> Path:
        """The name as a path."""
        return Path(self.name)

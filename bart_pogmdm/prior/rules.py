"""The numbers that belong to a prior but are not learned by denoising."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from ..arrays.checks import check_fields
from .calibration import Calibration
from .image_scale import ImageScale


@dataclass(frozen=True)
class PriorRules:
    """Numbers of a PoGMDM that are chosen by reconstructions; the defaults are those of the shipped prior."""

    exponent: float = 0.4
    """Power of every expert: responses of overlapping filters are no independent observations."""

    fine_gain: float = 1.35
    """Factor on the gains of the fine filters in reconstructions from several coils, whose noise level is low; the
    learned gains serve all noise levels, and at high ones this factor would be too much."""

    noise_gain: float = 0.3
    """Part of the image's noise level that the experts are smoothed by (the paper's eta, here one for all filters)."""

    ridge: float = 0.01
    """Part of the filters' overlap that is added in their normalisation, so that the lowest frequencies, which no
    filter passes, are not amplified."""

    scale: ImageScale = ImageScale()
    """Scale of the images that the prior knows."""

    calibration: Calibration = Calibration()
    """From the standard deviation of Gibbs sampling to one that covers the errors."""

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def numbers(self) -> dict[str, float]:
        """All numbers by their names, also those of scale and calibration."""
        return {**{name: getattr(self, name) for name in OWN}, **asdict(self.scale), **asdict(self.calibration)}

    @classmethod
    def of(cls, numbers: Mapping[str, float]) -> PriorRules:
        """Return the rules of all numbers by their names.  ValueError that names one out of its range."""
        own, of_scale, of_calibration = ({name: float(numbers[name]) for name in names}
                                         for names in (OWN, OF_SCALE, OF_CALIBRATION))
        return cls(**own, scale=ImageScale(**of_scale), calibration=Calibration(**of_calibration))


OWN = tuple(field.name for field in fields(PriorRules) if field.name not in ("scale", "calibration"))
OF_SCALE, OF_CALIBRATION = (tuple(field.name for field in fields(part)) for part in (ImageScale, Calibration))
NUMBERS = (*OWN, *OF_SCALE, *OF_CALIBRATION)

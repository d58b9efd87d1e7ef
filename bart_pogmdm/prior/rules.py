"""The numbers that shape the prior but are not learned."""

from dataclasses import dataclass

from ..arrays.checks import check_fields


@dataclass(frozen=True)
class PriorRules:
    """Numbers of a PoGMDM that were chosen by reconstructions, not learned by denoising."""

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

    def __post_init__(self) -> None:
        check_fields(self, {}, ["exponent", "fine_gain", "noise_gain", "ridge"])

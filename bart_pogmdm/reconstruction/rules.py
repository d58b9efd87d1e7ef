"""All rules around the method that shape a reconstruction."""

from __future__ import annotations

from dataclasses import dataclass

from ..algorithms.units import OneCoilScale
from ..arrays.checks import check_fields
from ..physics.coil_compression import CoilRules
from ..physics.espirit import EspiritRules
from ..physics.kspace_centre import CentreRules
from ..physics.noise_level import NoiseRules
from ..physics.readout_factors import ReadoutRules
from ..physics.sampled_box import BoxRules
from ..physics.sensitivity_start import StartRules
from ..physics.sobolev_maps import SobolevRules
from ..physics.spikes import SpikeRules
from .doubt_rules import DoubtRules
from .misfit_lines import LineRules


@dataclass(frozen=True)
class Rules:
    """The rules around the method, one record for each idea.  A method holds its own, and so does a prior."""

    box: BoxRules = BoxRules()
    centre: CentreRules = CentreRules()
    noise: NoiseRules = NoiseRules()
    coils: CoilRules = CoilRules()
    readouts: ReadoutRules = ReadoutRules()
    spikes: SpikeRules = SpikeRules()
    lines: LineRules = LineRules()
    sens: SobolevRules = SobolevRules()
    start: StartRules = StartRules()
    espirit: EspiritRules = EspiritRules()
    one_coil: OneCoilScale = OneCoilScale()
    doubts: DoubtRules = DoubtRules()

    def __post_init__(self) -> None:
        check_fields(self)

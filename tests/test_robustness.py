"""Reconstructions over many noise levels, masks, numbers of coils and sizes: finite, and no worse than zero-filling."""

import numpy as np
import pytest
from conftest import psnr

from bart_pogmdm import recon
from bart_pogmdm.evaluate import masks, simulate
from bart_pogmdm.physics.coil_model import rss
from bart_pogmdm.physics.fourier import ifft2c

pytestmark = pytest.mark.slow

USUAL = {"mask": "cartesian4", "coils": 8, "noise_std": 0.005, "shape": (64, 56)}
CASES = [{}, *({"noise_std": noise} for noise in (0.0005, 0.02, 0.05)),
         *({"mask": mask} for mask in ("cartesian2", "cartesian8", "horizontal6", "gaussian2", "gaussian12", "radial8",
                                       "radial60", "spiral3", "cartesian3acs25", "cartesian4acs0")),
         *({"coils": coils} for coils in (1, 2, 32)), {"coils": 1, "mask": "gaussian8"},
         *({"shape": shape} for shape in ((48, 48), (65, 63), (33, 200), (384, 32))), {"mask": "cartesian1"},
         {"mask": "cartesian12acs4", "shape": (96, 80)}, {"noise_std": 0.05, "mask": "gaussian12", "coils": 4}]


@pytest.mark.filterwarnings("ignore:.*so few samples:bart_pogmdm.ReconstructionWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(f"{k}={v}" for k, v in case.items()) or "usual")
def test_finite_and_no_worse_than_zero_filling(case):
    mask, coils, noise_std, shape = (USUAL | case).values()
    image = simulate.phantom(shape)
    kspace, pattern = simulate.kspace(image, coils, noise_std, 0), masks.named(mask, shape, 0)
    result = recon(kspace * pattern, pattern)
    assert all(np.isfinite(array).all() for array in (result.image, result.sens))
    assert psnr(result.image, image) >= psnr(rss(ifft2c(kspace * pattern)), image)
    assert result.info["iterations"] == 45

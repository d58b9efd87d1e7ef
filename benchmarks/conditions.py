"""Many conditions of acquisition: this package beside every peer with the parameter that is best in each case.

The conditions are noise, few coils, folding, interpolated k-space, partial Fourier and sampling of all kinds, at usual
and at high accelerations.  Their data are brain8ch_espirit, brain16ch_mchiew_96, knee_l1_espirit, brain1ch_T2_loraks,
cardiac1ch_fau, and complex_t2_images with simulated coils.  (The image of cardiac1ch_fau is real, so that it would tell
nothing about partial Fourier.)  PSNR and SSIM are those of `compare`.  The peers of a condition are TV and l1-wavelets
with the maps of `ecalib` and of `ecalib -a`, and those that are made for it, with the parameter that is best.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from records import Cases, Places, Row, alone
from scans import scored

from bart_pogmdm.evaluate import simulate
from bart_pogmdm.evaluate.cases import cases
from bart_pogmdm.evaluate.conditions import AS_IT_IS, Condition, reference_of
from bart_pogmdm.files.references import ReferenceScan, read_references
from bart_pogmdm.physics.coil_compression import compression
from bart_pogmdm.physics.coil_model import rss
from bart_pogmdm.physics.fourier import fft2c, ifft2c, resize

METHODS = ("pogmdm", "pics-tv", "pics-tv-early", "pics-wavelet", "auto-tv", "auto-wavelet")
# Methods that are made for a condition: the name of which contains one of the words.
MADE_FOR = {("smallfov",): ("ecalib2-tv", "ecalib2-wavelet", "enlive-tv", "enlive-wavelet"),
            ("PF", "asym"): ("homodyne", "real-tv", "real-wavelet"), ("full",): ("pnp-bm3d",),
            ("-0%", "-4%", "cal0", "gaussian8", "random8"): ("nlinv", "nlinv-tv", "nlinv-wavelet")}
FOLDED = 0.8   # Field of view of the folded brain, in units of the width of the head.


def as_it_is(scan):
    """Return the scan or image itself."""
    return scan


def full_scan(kspace, name):
    """Return a scan whose reference is the root sum of squares of its full k-space."""
    return ReferenceScan(name, kspace, reference_of(kspace))


def folded(scan):
    """Wrap the images of the coils onto a field of view that is narrower than the object.

    Pixels outside the field of view are added on its other side, as by k-space that is sampled less densely.
    """
    columns = np.flatnonzero((scan.reference > 0.1).any(0))
    first, width = columns[0], columns[-1] + 1 - columns[0]
    narrow = 2 * round(FOLDED * width / 2)
    images = ifft2c(scan.kspace)
    start = first + (width - narrow) // 2
    wrapped = np.zeros((*images.shape[:2], narrow), images.dtype)
    np.add.at(wrapped, (slice(None), slice(None), (np.arange(images.shape[2]) - start) % narrow), images)
    return full_scan(fft2c(wrapped).astype(np.complex64), scan.name)


def small(scan):
    """Return the centre of k-space, 64 x 64 samples."""
    return full_scan(resize(scan.kspace, (64, 64)), scan.name)


def compressed(scan):
    """Return four principal coils, with the reference of all."""
    matrix = compression(scan.kspace.reshape(len(scan.kspace), -1), 4)
    return ReferenceScan(scan.name, np.tensordot(matrix, scan.kspace, 1).astype(np.complex64), scan.reference)


def oversampled(scan):
    """Sample the readout (y) twice as densely, with the scan's noise in the outer half of the field of view."""
    images = ifft2c(scan.kspace)
    rows = images.shape[1]
    air = images[:, :, -8:]  # The last columns hold no object.
    noise = np.random.default_rng(0).standard_normal((2, len(images), 2 * rows, images.shape[2]))
    wide = air.real.std((1, 2))[:, None, None] * (noise[0] + 1j * noise[1])
    wide[:, rows // 2 + rows % 2:rows // 2 + rows % 2 + rows] = images
    full = np.zeros((2 * rows, images.shape[2]), np.float32)
    full[rows // 2 + rows % 2:rows // 2 + rows % 2 + rows] = scan.reference
    return ReferenceScan(scan.name, fft2c(wide).astype(np.complex64), full)


def with_noise(scan, levels, gains=1.0):
    """Add noise to the coils, of levels (J,) as parts of the maximum, and multiply them by gains (J,)."""
    levels, gains = (np.broadcast_to(values, len(scan.kspace))[:, None, None] for values in (levels, gains))
    unit = float(rss(ifft2c(scan.kspace)).max())
    noisy = scan.kspace + unit * levels * simulate.noise(scan.kspace.shape, 0)
    return ReferenceScan(scan.name, (gains * noisy).astype(np.complex64), reference_of(gains * scan.kspace))


def broken(scan):
    """Add noise of 0.02 of the maximum to all coils, and of 0.12 to one of them."""
    return with_noise(scan, np.where(np.arange(len(scan.kspace)) == 3, 0.12, 0.02))


def uneven(scan):
    """Add noise of 0.02 of the maximum to all coils, and multiply them by gains from 1/2 to 2."""
    return with_noise(scan, 0.02, np.random.default_rng(0).permutation(np.geomspace(0.5, 2, len(scan.kspace))))


class Setting(NamedTuple):
    """A condition: the name and mask of its table, a data set, a change of it, and the condition that `compare` has."""

    name: str
    mask: str
    data: str = "brain8ch_espirit"
    change: Callable[[Any], Any] = as_it_is
    condition: Condition = AS_IT_IS


def brain(name, mask, **condition):
    return Setting(name, mask, condition=Condition(**condition))


def other(data, name, mask, **condition):
    return Setting(name, mask, data, condition=Condition(**condition))


T2SIM, FAU, T2, KNEE, BRAIN16 = (
    "complex_t2_images-0", "cardiac1ch_fau", "brain1ch_T2_loraks", "knee_l1_espirit", "brain16ch_mchiew_96")
SETTINGS = (
    # Noise, few coils, folding, interpolation and low signal.
    Setting("smallfov-uniform2", "uniform2", change=folded),
    Setting("smallfov-gaussian8", "gaussian8", change=folded),
    brain("2coils-uniform2+noise.03", "uniform2", coils=2, noise_std=0.03),
    brain("2coils-uniform2", "uniform2", coils=2),
    brain("full+noise.06", "full", noise_std=0.06),
    brain("uniform2+noise0.06", "uniform2", noise_std=0.06),
    brain("uniform2+noise0.03", "uniform2", noise_std=0.03),
    other(BRAIN16, "16ch-full+noise.06", "full", noise_std=0.06),
    other(BRAIN16, "16ch-uniform2+noise.06", "uniform2acs16", noise_std=0.06),
    other(T2SIM, "t2sim-uniform2+noise.05", "uniform2", noise_std=0.05),
    brain("lines4-0%", "cartesian4acs0"),
    other(T2, "1coil-PF.75", "partial0.75"),
    brain("ZIP1.5-uniform3", "uniform3", zero_pad=1.5),
    other(KNEE, "knee-lines4+noise.1", "cartesian4", noise_std=0.1),
    other(KNEE, "knee-random8+noise.1", "gaussian8", noise_std=0.1),
    other(KNEE, "knee-uniform2+noise.1", "uniform2", noise_std=0.1),
    Setting("64x64-uniform2", "uniform2acs16", change=small),
    other(T2, "1coil-PF.625", "partial0.625"),
    brain("uniform2+noise0.01", "uniform2", noise_std=0.01),
    # The other conditions.
    brain("ZIP1.5-poisson8", "poisson8", zero_pad=1.5),
    brain("PF0.75-uniform2", "uniform2+partial0.75"),
    brain("poisson8+noise0.03", "poisson8", noise_std=0.03),
    brain("uniform2-acs24", "uniform2"),
    brain("asym25-uniform2", "uniform2+echo0.75"),
    brain("4coils-uniform2", "uniform2", coils=4),
    other(T2, "1coil-poisson4", "poisson4"),
    brain("poisson8-cal16", "poisson8acs16"),
    brain("2coils-poisson4", "poisson4", coils=2),
    other(T2SIM, "t2sim-PF.625-uniform2", "uniform2+partial0.625"),
    brain("PF0.625-R1", "partial0.625"),
    brain("poisson4-cal16", "poisson4acs16"),
    brain("poisson8+noise0.06", "poisson8", noise_std=0.06),
    brain("caipi2x2-acs24", "caipi4"),
    Setting("64x64-uniform3", "uniform3acs16", change=small),
    brain("PF0.625-uniform2", "uniform2+partial0.625"),
    Setting("smallfov-cartesian4", "cartesian4", change=folded),
    other(FAU, "fau1-lines2+noise.03", "cartesian2", noise_std=0.03),
    other(FAU, "fau1-poisson4+noise.03", "poisson4", noise_std=0.03),
    Setting("cc4-poisson8", "poisson8", change=compressed),
    brain("uniform3-acs24", "uniform3"),
    Setting("OS2-uniform3", "uniform3", change=oversampled),
    brain("4coils-uniform3", "uniform3", coils=4),
    brain("PF0.625-lines3", "cartesian3+partial0.625"),
    brain("ellipse-uniform3", "uniform3+ellipse"),
    brain("poisson12-cal16", "poisson12acs16"),
    other(T2, "1coil-uniform2", "uniform2"),
    other(T2SIM, "t2sim-caipi", "caipi4"),
    other(FAU, "fau1-poisson4", "poisson4"),
    Setting("64x64-poisson4", "poisson4acs16", change=small),
    brain("poisson16-cal16", "poisson16acs16"),
    brain("uniform4-acs24", "uniform4"),
    brain("lines2-8%", "cartesian2"),
    other(T2SIM, "t2sim-uniform3", "uniform3"),
    Setting("OS2-lines4", "cartesian4", change=oversampled),
    other(FAU, "fau1-lines2", "cartesian2"),
    brain("lines4-8%", "cartesian4"),
    brain("lines8-4%", "cartesian8acs4"),
    brain("gaussian8-cal0", "gaussian8"),
    brain("lines6-4%", "cartesian6acs4"),
    brain("lines3-0%", "cartesian3acs0"),
    brain("lines4-4%", "cartesian4acs4"),
    # Coils with noise of different levels, and no noise scan.
    Setting("brokencoil-uniform2", "uniform2", change=broken),
    Setting("brokencoil-poisson4", "poisson4", change=broken),
    Setting("unevencoils-uniform2", "uniform2", change=uneven),
    Setting("unevencoils-lines4", "cartesian4", change=uneven))


def measured(places: Places, setting: Setting) -> Row:
    """Return the scores of all peers in a condition."""
    file = places.data / "dev" / f"{setting.data.removesuffix('-0')}.npz"
    found = next(found for found in read_references(file) if found.name == setting.data)
    scan = setting.condition.apply(setting.change(found))
    made = [name for words, names in MADE_FOR.items() if any(word in setting.name for word in words) for name in names]
    case, = cases([scan._replace(name=setting.name)], [setting.mask], 1)
    return scored(places, case, (*METHODS, *made))


def conditions(places: Places) -> Cases:
    """Return every condition."""
    return {setting.name: partial(measured, places, setting) for setting in SETTINGS}


if __name__ == "__main__":
    alone(conditions)

"""Volumes, series and simultaneous slices: this package beside itself slice by slice, and beside BART's methods.

volumes: BART's 3-D phantom (64 x 64 x 64, 8 coils) with Poisson discs in (PHS1, PHS2), R=4, 8, 12, and noise of 0.01 of
    the image's maximum; and series of slices of train/validation.h5, cropped to 64 x 64 in the plane, with 8 simulated
    coils, noise of 0.01, and random samples across full readouts.  `slices` is this package on each plane across the
    readout.
series: the first 4 echoes of each set of dev/cardiac_multiecho_images with 8 simulated coils, random lines R=4 and 4 %
    of the lines at the centre, another mask for each echo: sensitivities that are shared, and alone.
frames: 8 frames of an image of dev/complex_t2_images, 128 x 128, of which two parts move and one changes its
    brightness, with 8 simulated coils, noise of 0.005, and another mask for each frame.
sms: 2 and 3 slices of BART's phantom that were excited together, lines R=2 and 3.
BART's methods have the best of several parameters.  PSNR in dB inside the object.
"""

from functools import partial

import numpy as np
from records import Cases, Places, Row, alone, climbed
from scipy.ndimage import map_coordinates

from bart_pogmdm import recon
from bart_pogmdm.arrays.bart_dims import COIL, TE, TIME
from bart_pogmdm.evaluate import masks, simulate
from bart_pogmdm.evaluate.competitors import PENALTY, TV_WEIGHTS
from bart_pogmdm.evaluate.metrics import psnr
from bart_pogmdm.physics.fourier import divide, fft2c, ifft2c, resize
from bart_pogmdm.toolbox.bart_call import BartError
from bart_pogmdm.toolbox.bart_call import quiet_bart as bart

ALL = (-3, -2, -1)
STEPS = (6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)  # Of nlinv.
TV = f"-u {PENALTY} -R T"
COILS, SIZE, ECHOES, FRAMES = 8, 64, 4, 8
CHANGES = (0.1, 0.05, 0.025)
PHANTOM, HEADS = (4, 8, 12), (4, 8)  # Accelerations.


def score(image, reference):
    return psnr(np.abs(image).squeeze(), (reference / reference.max()).astype(np.float32))


def rss(kspace):
    """The root sum of squares of coil images (READ, PHS1, PHS2)."""
    return np.sqrt((abs(ifft2c(np.moveaxis(kspace, -1, 0), ALL)) ** 2).sum(0))


def of_phantom(factor, size=SIZE):
    """Return k-space of the phantom in BART's order, its mask, and its reference."""
    full, step = bart(1, f"phantom -3 -x {size} -s {COILS} -k"), factor**0.5
    reference = rss(full)
    noisy = full + 0.01 * reference.max() * simulate.noise(full.shape, 0)
    pattern = bart(1, f"poisson -Y {size} -Z {size} -y {step} -z {step} -C {size // 4} -e").real
    pattern = pattern.reshape(1, size, size, 1)
    return (noisy * pattern).astype(np.complex64), pattern, reference


def coils_of(shape):
    """Sensitivities (coil, z, y, x) of coils in two rings about the z axis, with RSS 1."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    sens = []
    for number in range(COILS):
        angle, height = 2 * np.pi * number / COILS, 0.8 * (-1) ** number
        away = (x - 1.3 * np.cos(angle)) ** 2 + (y - 1.3 * np.sin(angle)) ** 2 + (z - height) ** 2 / 2
        sens.append(np.exp(-away / 2 + 1j * (angle + x * np.sin(angle) + y * np.cos(angle))))
    return np.stack(sens) / np.sqrt((abs(np.stack(sens)) ** 2).sum(0))


def series_of(places):
    """Return {name: its place in train/validation.h5}."""
    import h5py
    with h5py.File(places.data / "train" / "validation.h5") as file:
        found = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return {name.split("/")[-1]: name for name in found}


def of_images(places, name, factor, size=SIZE):
    """Return the same for a series of slices, with readouts along y and random samples in (x, z)."""
    import h5py
    with h5py.File(places.data / "train" / "validation.h5") as file:
        stack = file[name][:].astype(float)
    volume = ifft2c(resize(fft2c(stack), (size, size))).real.clip(0)
    volume /= np.quantile(volume, 0.9995)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in volume.shape), indexing="ij")
    full = fft2c(coils_of(volume.shape) * volume * np.exp(1j * (0.5 * x + 0.3 * y**2 + 0.4 * z)), ALL)
    noisy = full + 0.01 * simulate.noise(full.shape, 0)
    mask = masks.named(f"gaussian{factor}", (size, len(volume)), 0)
    kspace = noisy.transpose(2, 3, 1, 0) * mask[None, :, :, None]
    return kspace.astype(np.complex64), mask.reshape(1, *mask.shape, 1), volume.transpose(1, 2, 0)


def by_slices(kspace, mask):
    """This package on each plane across READ."""
    hybrid = ifft2c(np.moveaxis(kspace, -1, 0), (1,))
    planes = []
    for number in range(hybrid.shape[1]):
        plane = np.ascontiguousarray(hybrid[:, number])
        planes.append(recon(plane, mask.squeeze()).image)
    return np.stack(planes)


def best(scored, choices, start):
    """[best score, its parameter] of ordered choices."""
    found = climbed(scored, choices, start)
    return list(max((round(value, 2), choice) for choice, value in found.items()))


def maps_of(kspace):
    """Sensitivities of ecalib, or of nlinv where k-space has no calibration region that is large enough, of RSS 1."""
    try:
        return bart(1, "ecalib -m1 -c0", kspace)
    except BartError:
        sens = bart(2, "nlinv -i10", kspace)[1]
        return divide(sens, np.sqrt((abs(sens) ** 2).sum(COIL, keepdims=True)))


def beside_bart(data, make) -> Row:
    """Return the scores of a volume."""
    kspace, mask, reference = make()
    sens = maps_of(kspace)
    row = {"data": data, "acceleration": round(float(mask.size / mask.sum()), 1),
           "volume": round(score(recon(kspace, mask).image, reference), 2),
           "slices": round(score(by_slices(kspace, mask), reference), 2)}
    for name, term in (("tv", TV), ("wavelet", "-R W")):
        row[name] = best(lambda weight, term=term: score(
            bart(1, f"pics -S {term}:7:0:{weight} -i100", kspace, sens), reference), TV_WEIGHTS, 0.01)
    return row | {"nlinv": best(lambda steps: score(bart(1, f"nlinv -i{steps}", kspace), reference), STEPS, 10)}


def volumes(places: Places) -> Cases:
    """Return the phantom and the heads at each acceleration."""
    found = {f"phantom, R={factor}": partial(beside_bart, "phantom", partial(of_phantom, factor))
             for factor in PHANTOM}
    return found | {f"{name}, R={factor}": partial(beside_bart, name, partial(of_images, places, inside, factor))
                    for name, inside in series_of(places).items() for factor in HEADS}


def measured(images, kind, axis):
    """Return k-space of images (A, ny, nx) along a dimension of BART, and its mask, which is another for each."""
    full = fft2c(simulate.sensitivities(images.shape[1:], COILS)[:, None] * images)
    mask = np.stack([masks.named(kind, images.shape[1:], number) for number in range(len(images))])
    kspace = ((full + 0.005 * simulate.noise(full.shape, 0)) * mask).astype(np.complex64)
    return (np.expand_dims(kspace.transpose(2, 3, 0, 1), (2, *range(COIL + 1, axis))),
            np.expand_dims(mask.transpose(1, 2, 0), tuple(range(2, axis))))


def of_echoes(images):
    """Return k-space in BART's order of echoes (TE, ny, nx), and its mask."""
    return measured(images, "cartesian4acs4", TE)


def sets_of_echoes(places):
    """Return {name: first echoes (TE, ny, nx)}."""
    with np.load(places.data / "dev" / "cardiac_multiecho_images.npz") as file:
        return {name: file[name][:ECHOES] for name in file.files}


def echoes(images) -> Row:
    """Return the scores of each echo with shared sensitivities, and alone."""
    scan = of_echoes(images)
    found = {key: recon(*scan, shared_sens=bits).image for key, bits in (("shared", 1 << TE), ("alone", 0))}
    return {key: [round(score(image[..., echo], abs(one)), 2) for echo, one in enumerate(images)]
            for key, image in found.items()}


def series(places: Places) -> Cases:
    """Return the sets of echoes."""
    return {name: partial(echoes, images) for name, images in sets_of_echoes(places).items()}


def moving(places, size=128):
    """Return frames (TIME, ny, nx) of an image, of which two parts move and one changes its brightness."""
    with np.load(places.data / "dev" / "complex_t2_images.npz") as file:
        image = ifft2c(resize(fft2c(file["images"][1]), (size, size)))
    y, x = np.meshgrid(*(np.arange(float(size)),) * 2, indexing="ij")

    def near(row, column, width):
        return np.exp(-((y - row) ** 2 + (x - column) ** 2) / width)

    frames = []
    for turn in 2 * np.pi * np.arange(FRAMES) / FRAMES:
        places_of = [y + 3 * np.sin(turn) * near(80, 64, 800), x + 1.5 * np.cos(turn) * near(50, 64, 800)]
        warped = map_coordinates(image.real, places_of) + 1j * map_coordinates(image.imag, places_of)
        frames.append(warped * (1 + 0.3 * np.sin(turn) * near(60, 80, 100)))
    return np.stack(frames) / abs(image).max()


def in_time(places, kind) -> Row:
    """Return the mean scores of frames alone, with shared sensitivities, and smooth in time; and of BART's methods.

    pics has total variation in space and in time, each with its weight, and the maps of all samples together.
    """
    images = moving(places)
    kspace, pattern = measured(images, kind, TIME)

    def mean(image):
        image = image.reshape(*images.shape[1:], FRAMES)
        return round(float(np.mean([score(image[..., number], abs(one)) for number, one in enumerate(images)])), 2)

    row = {"alone": mean(recon(kspace, pattern, shared_sens=0).image)}
    row |= {"shared": mean(recon(kspace, pattern, shared_sens=1 << TIME).image)}
    row |= {f"temporal {change}": mean(recon(kspace, pattern, temporal=change).image) for change in CHANGES}
    maps = maps_of((kspace.sum(-1) / np.maximum(pattern.sum(-1), 1)).astype(np.complex64))

    def smooth(time, space):
        return mean(bart(1, f"pics -S {TV}:1024:0:{time} -R T:3:0:{space} -i100", kspace, maps))

    space = best(lambda weight: smooth(0.03, weight), TV_WEIGHTS, 0.003)[1]
    time = best(lambda weight: smooth(weight, space), TV_WEIGHTS, 0.03)[1]
    row["tv"] = best(lambda weight: smooth(time, weight), TV_WEIGHTS, space)

    def inverted(steps):
        return mean(np.stack([bart(1, f"nlinv -i{steps}", np.ascontiguousarray(kspace[..., number])).squeeze()
                              for number in range(FRAMES)], -1))

    return row | {"nlinv": best(inverted, STEPS, 9)}


def frames(places: Places) -> Cases:
    """Return lines and points."""
    return {name: partial(in_time, places, kind) for name, kind in (
        ("random lines, R=8", "cartesian8acs4"), ("2-D Gaussian, R=12", "gaussian12"))}


def together(count, factor, size=96) -> Row:
    """Return the score of the worst of slices that were excited together."""
    images = ifft2c(np.moveaxis(bart(1, f"phantom -3 -x {size} -s {COILS} -k"), -1, 0), ALL)
    slices = np.stack([images[:, :, :, place] for place in (36, 60, 48)[:count]], 1)
    reference = np.sqrt((abs(slices) ** 2).sum(0))
    full = np.fft.fft(fft2c(slices), axis=1, norm="ortho")  # the shots, as in nlinv
    full = full + 0.01 * reference.max() * simulate.noise(full.shape, 0)
    mask = np.stack([masks.named(f"cartesian{factor}acs8", (size, size), shot) for shot in range(count)])
    kspace = (full * mask).astype(np.complex64).transpose(2, 3, 0, 1)
    kspace = kspace.reshape(size, size, 1, COILS, *(1,) * 9, count)

    def worst(image):
        image = abs(image).reshape(size, size, count)
        return min(score(image[..., number], reference[number]) for number in range(count))

    nlinv = best(lambda steps: worst(bart(1, f"nlinv -i{steps} -S", kspace)), STEPS, 8)
    return {"pogmdm": round(worst(recon(kspace, sms=True).image), 2), "nlinv": nlinv}


def sms(places: Places) -> Cases:
    """Return numbers of slices with lines."""
    return {f"{count} slices, R={factor}": partial(together, count, factor) for count in (2, 3) for factor in (2, 3)}


if __name__ == "__main__":
    alone(volumes, series, frames, sms)

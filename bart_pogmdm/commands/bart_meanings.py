"""Options of BART's `nlinv`, `pics` and `sample` that `bart pogmdm` does not have, or reads otherwise."""

_NO_WEIGHT = "the prior is learned, and its weight follows from the noise"
_NO_INNER = "the solver is another one and has no such setting"
_REAL = "there is no real-value constraint"
_NO_LOWMEM = "there is no mode of less memory: leave it out"
_NO_PSF = "the point-spread function is computed in each call and not stored"
# What there is instead of an option.
INSTEAD = {
    "-R": _NO_WEIGHT, "-l": _NO_WEIGHT, "-r": _NO_WEIGHT, "--reduction-factor": _NO_WEIGHT, "--alpha": _NO_WEIGHT,
    "--reg-iter": _NO_WEIGHT, "--wavelet": _NO_WEIGHT,
    "-B": "there is no temporal basis: every image along TE, TIME and COEFF is free",
    "-W": "the image to start from is -I file",
    "-w": "the scale is found from the data, and the output is in their units",
    "-L": "dimensions beyond COIL are looped over without it",
    "-c": _REAL, "--real-valued": _REAL,
    "-U": "the sets of -m are always combined, which it prevents in nlinv; in pics it is --lowmem, which is not needed",
    "--lowmem": _NO_LOWMEM, "--psf_export": _NO_PSF, "--psf_import": _NO_PSF,
    "-n": "in pics it stops the random shifts of the wavelets; there are none here",
    "-f": "the field of view is that of k-space or of the trajectory",
    "-P": "the noise level is given by --noise std",
    "-G": "a GPU is chosen by CUDA_VISIBLE_DEVICES",
    "--gpu-gridding": "-g computes everything on the GPU",
    "-e": _NO_INNER, "-u": _NO_INNER, "-C": _NO_INNER, "-b": _NO_INNER, "-a": _NO_INNER, "-H": _NO_INNER,
    "--ist": _NO_INNER, "--fista": _NO_INNER, "--admm": _NO_INNER, "--pridu": _NO_INNER,
    "--eulermaruyama": "samples are drawn with --samples num and --method gibbs or diffusion",
    "--sens-dims": "the sensitivities have the size of the image",
    "--sigma": "the first noise level of --method diffusion is --come-closer sigma",
    "--external-graph": "the prior is given by --prior file",
    "--posterior": "k-space is the first file; known sensitivities are given by --sens, the pattern by -p",
    "--mask": "the sampling pattern is -p file",
}
# Options that take a value only here or only there, for the error when the value does not fit.
MEANINGS = {
    "-s": "here -s is the random seed; in pics it is the step size, in nlinv a bitmask of dimensions",
    "-m": "here -m is the number of sets, as in nlinv; in pics it selects ADMM and takes no value",
    "-M": "here -M means simultaneous slices, as in pics; in nlinv it takes a number",
    "-K": "here -K is the number of corrector steps, as in sample; in pics it takes no value",
    "-I": "here -I takes an image to start from; in pics it selects IST and takes no file",
    "-p": "here -p takes the sampling pattern; in sample it takes no file",
    "-S": "here -S takes no value, as in nlinv and pics; the number of samples is --samples num",
    "-N": "-N alone is the switch of nlinv, and -N num the number of noise levels as in sample",
}


def seed_as_bitmask(seed: int) -> str | None:
    """Return a reason to refuse `-s seed`, or None; nlinv takes a bitmask of dimensions, such as 1024 for TIME."""
    if seed % 1024 or not 0 < seed < 1 << 16:
        return None
    return (f"{seed} looks like a bitmask of dimensions with constant sensitivities, as in nlinv, which is here"
            f" --shared-sens {seed}; -s is the random seed, and --seed {seed} means it in any case")

"""The table of all options, so that an option has the same name, type and meaning in every command that takes it.

An option that is not given is None and is not passed on, so that its default is defined only by the function or record
that uses it.  A test compares the defaults in the help texts with these.  Only `--phase` has two meanings: for the
images that a command writes, and for those of `train`.
"""

from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def int_or_auto(text: str) -> int | str:
    """Return the number in a text, or the word auto."""
    return text if text == "auto" else int(text)


def x_y_z(text: str) -> tuple[float, ...]:
    """Return the numbers in a text such as 1:1:4.  Raises ValueError for anything else."""
    read, phs1, phs2 = map(float, text.split(":"))
    return read, phs1, phs2


def top(text: str) -> float:
    """Return the number in a text such as max:4095.  Raises ValueError for anything else, and for numbers up to 0."""
    word, number = text.split(":")
    if word != "max" or not 0 < float(number) < float("inf"):
        raise ValueError(text)
    return float(number)


@dataclass(frozen=True)
class ValueType:
    """The type of a value: how a text is converted, and the expected texts in words.

    Called with another text it raises ArgumentTypeError, whose message argparse prints as it is.
    """

    convert: Callable[[str], Any]
    expected: str = "a text"

    def __call__(self, text: str) -> Any:
        """Return the value in a text."""
        try:
            return self.convert(text)
        except ValueError:
            raise ArgumentTypeError(f"expected {self.expected}, got {text!r}") from None


# The types of values, by their names in BART's help.
TYPES = {"d": ValueType(int, "an integer"), "f": ValueType(float, "a number"), "<file>": ValueType(str),
         "<string>": ValueType(str), "d:d": ValueType(str), "d:d:d": ValueType(str),
         "f:f:f": ValueType(x_y_z, "three numbers, as 1:1:4"), "d|auto": ValueType(int_or_auto, "1, 2 or auto"),
         "max:f": ValueType(top, "max: and a number above 0, as max:4095")}


@dataclass(frozen=True)
class Option:
    """One option of the command line.

    flag: its spelling.  alias: a longer spelling that is accepted, too.
    dest: the argument of `recon`, `recon_volume` or another function that it sets.
    kind: the type of its value, a key of TYPES, or None for a switch, which sets `const`.
    value: the name of the value in help texts.  meaning: the help text.
    many: True if it takes several values.  is_output: True if the value is the name of a file to be written.
    is_array: True if the value is the name of an array of BART, which may come or go through a pipe.
    """

    flag: str
    dest: str
    kind: str | None
    value: str
    meaning: str
    alias: str | None = None
    const: Any = True
    many: bool = False
    is_output: bool = False
    is_array: bool = False

    @property
    def spellings(self) -> list[str]:
        """The flag, and the alias if there is one."""
        return [self.flag, self.alias] if self.alias else [self.flag]

    @property
    def keywords(self) -> dict[str, Any]:
        """The arguments of argparse's `add_argument`."""
        words: dict[str, Any] = {"dest": self.dest, "help": self.meaning}
        if self.kind is None:
            return words | {"action": "store_const", "const": self.const}
        return words | {"type": TYPES[self.kind], "metavar": self.value.upper(), "nargs": "+" if self.many else None}


MEASUREMENT = Option("--measurement", "measurement", "<string>", "which",
                     "Measurement to read: its number from 1 in TWIX (default: the last), its group in ISMRMRD")
# How images are written in other formats than BART's.
IMAGES = (
    Option("--complex", "part", None, "", "Write complex images in other formats than BART's (default: the magnitude)",
           const="complex"),
    Option("--phase", "part", None, "", "Write the phase in other formats than BART's", const="phase"),
    Option("--scale", "largest", "max:f", "max:num",
           "Scale images in other formats than BART's to this maximum (default: the units of the data)"),
    Option("--no-anonymous", "anonymous", None, "",
           "Copy name and data of the patient from the raw data into DICOM files", const=False),
)
# The options of `bart pogmdm`, in the order of its help.
POGMDM = (
    Option("-i", "iterations", "d", "iter", "Usual number of iterations to the maximum of the posterior (default: 45)"),
    Option("-p", "mask", "<file>", "file",
           "Sampling pattern, or weights (default: where k-space is not zero, up to rounding)", is_array=True),
    Option("-t", "traj", "<file>", "file", "k-space trajectory", is_array=True),
    Option("-x", "dims", "d:d:d", "x:y:z",
           "Size of the image with -t: READ, PHS1, and PHS2 or 1 (default: from the trajectory)", alias="--dims"),
    Option("--sens", "sens", "<file>", "file",
           "Known sensitivities, such as those of ecalib, caldir or ncalib (default: estimated)", is_array=True),
    Option("-s", "seed", "d", "seed", "Random seed (default: 0)", alias="--seed"),
    Option("-S", "rescale", None, "", "Re-scale the image (always done; accepted as in nlinv)"),
    Option("-m", "maps", "d|auto", "maps",
           "Number of image and sensitivity sets: 2 where the object folds over (default: auto, by the data)"),
    Option("--shared-sens", "shared_sens", "d", "flags",
           "Dimensions along which images share sensitivities, as in nlinv -s (default: 16480: TE, COEFF and AVG)"),
    Option("--temporal", "temporal", "f", "change",
           "Expected change along TIME, relative to the maximum, such as 0.05: solve frames together (default: off)"),
    Option("-M", "sms", None, "", "Simultaneous slices: SLICE holds their shots, as in nlinv", alias="--sms"),
    Option("--voxel", "voxel", "f:f:f", "x:y:z",
           "Sides of a voxel of a volume along READ, PHS1 and PHS2 (default: those of raw data, else 1:1:1)"),
    Option("-N", "normalize", None, "", "Do not normalize image with coil sensitivities", const=False),
    Option("-I", "start", "<file>", "file", "Image to start from", is_array=True),
    Option("-d", "debug_level", "d", "level", "Debug level (default: BART_DEBUG_LEVEL, or 2)"),
    Option("--prior", "prior", "<file>", "file", "Prior (default: the one of the package)"),
    Option("-g", "device", None, "", "Use a GPU (also with BART_GPU=1)", const="gpu"),
    Option("--noise", "noise_std", "f", "std", "Noise of the data per real and imaginary part (default: estimated)"),
    Option("--method", "method", "<string>", "name",
           "map, gibbs or diffusion (default: map; gibbs with --samples, --keep, --sens-std or <std>)"),
    Option("--samples", "samples", "d", "num",
           "Number of samples of the posterior (default: 10)"),
    Option("--whiten", "noise_scan", "<file>", "file", "Noise scan of the same coils: prewhiten by it",
           is_array=True),
    Option("--cc", "virtual_coils", "d", "num",
           "Compress to this number of virtual coils; the sensitivities are those of all coils"),
    Option("--keep", "keep", "<file>", "file", "Write the samples, along BATCH", is_output=True, is_array=True),
    Option("--sens-std", "sens_std", "<file>", "file", "Write the standard deviation of the sensitivities",
           is_output=True, is_array=True),
    *IMAGES,
    MEASUREMENT,
    Option("--levels", "num_levels", "d", "num",
           "diffusion: number of noise levels (default: 1000; -N d means the same)"),
    Option("-K", "num_corrector", "d", "num", "diffusion: corrector steps at each level (default: 1)"),
    Option("--come-closer", "come_closer", "f", "sigma", "diffusion: start at this noise level (default: 10)"),
)
VOLUME = (
    Option("--warm-start", "warm_start", "d", "num",
           "In blocks of this size each slice starts from the sensitivities of the one before (default: 1)"),
    Option("--jobs", "jobs", "d", "num",
           "Processes on this machine (default: one for each GPU, or for each core as far as the memory has room)"),
    Option("--scheduler", "scheduler", "<string>", "address",
           "Use the workers of this Dask scheduler; local: start one with --jobs"),
    Option("--send", "send", None, "", "Send k-space to Dask's workers, if they cannot read IN"),
    Option("--restart", "restart", None, "", "Start again and overwrite OUT"),
)
TRAIN = (
    Option("--images", "images", "<file>", "path",
           "Files or folders: HDF5 (any nesting, or fastMRI volumes), npy, npz, cfl, ra", many=True),
    Option("--validation", "validation", "<file>", "path", "Other images (default: one in {held_out} of the images)",
           many=True),
    Option("--acquisition", "acquisition", "<string>", "kind", "Use only fastMRI volumes of this kind"),
    Option("--steps", "steps", "d", "num", "Number of steps (default: 100000)"),
    Option("--batch", "batch", "d", "num", "Patches in a step, an even number (default: 8)"),
    Option("--patch", "patch", "d", "num", "Side of a patch, at least 65 (default: 128)"),
    Option("--phase", "phase", "f", "part", "Part of the patches that gets a smooth random phase (default: 0)"),
    Option("--device", "device", "<string>", "name", "cpu or cuda (default: cpu)"),
    Option("--name", "name", "<string>", "name", "Name of the prior (default: that of OUT)"),
    Option("--resume", "resume", None, "", "Go on from OUT.ckpt"),
    Option("--keep-rules", "keep_rules", None, "",
           "Keep image scale, fine gains and calibration of the package's prior: choose none by reconstructions"),
)
EXPORT = (
    Option("--size", "size", "d:d", "y:x", "Size of the images, READ and PHS1, as 256:192"),
)
COMPARE = (
    Option("--masks", "masks", "<string>", "mask",
           "Kind and number ({kinds}), joined by + for the samples of both, or an npz of masks (default: {masks})",
           many=True),
    Option("--seeds", "seeds", "d", "num", "Masks of each kind (default: %(default)s)"),
    Option("--methods", "methods", "<string>", "method", "Of {methods} (default: {usual})", many=True),
    Option("--weights", "weights", "<string>", "method=file", "Weights of the networks: {networks}", many=True),
    Option("--sweep", "sweep", None, "", "Give every method the parameter that is best in each case"),
    Option("--tune", "tune", "<file>", "data", "Give every method the parameter that is best on these data", many=True),
    Option("--coils", "coils", "d", "num", "The first coils of a scan (default: all), or simulated ones (default: 8)"),
    Option("--noise-std", "noise_std", "f", "std",
           "Noise added to the data in real and imaginary part, the reference having maximum 1; several values are"
           " several cases (default: none for scans, 0.005 where coils are simulated)", many=True),
    Option("--zero-pad", "zero_pad", "f", "factor",
           "Pad the measured k-space with zeros by this factor, as scanners do to interpolate (default: 1)"),
)
VIEW = (
    Option("--montage", "montage", None, "",
           "Draw only magnitude and standard deviation, all slices (of a volume those across READ) as tiles of one"
           " image; where there are more than a screen takes, they are skipped evenly"),
)
SERVE = (
    Option("--port", "port", "d", "num", "Port on which it listens; 0: any free one, which is printed (default: 9002)"),
    Option("--host", "host", "<string>", "address",
           "Address on which it listens; 0.0.0.0 for all of this machine (default: 127.0.0.1, this machine only)"),
    Option("--connections", "connections", "d", "num",
           "Connections at the same time; others wait until one of them ends (default: 4)"),
    Option("--memory", "memory", "f", "MiB", "Memory of a connection (default: 4096)"),
    Option("--message", "message", "f", "MiB", "Largest message (default: 64)"),
    Option("--timeout", "timeout", "f", "s",
           "Seconds in which a client must send its next message or take an answer (default: 300)"),
)
CONVERT = (
    Option("--like", "like", "<file>", "raw",
           "Raw data of the same scan, from which images get their place in the patient"),
    Option("--kspace", "kspace", None, "", "IN is k-space: BART's files and npy do not say what they hold"),
)
OUT = Option("-o", "out", "<file>", "out", "Output", alias="--out", is_output=True)
OPTIONS = {option.flag: option
           for option in (*POGMDM, *VOLUME, *TRAIN, *EXPORT, *COMPARE, *VIEW, *CONVERT, *SERVE, OUT)}
# By command, the options whose arguments its messages name; for the others they are those of `bart pogmdm`.
ARGUMENTS = {"volume": (*POGMDM, *VOLUME), "train": TRAIN, "calibrate": TRAIN, "compare": COMPARE, "serve": SERVE}

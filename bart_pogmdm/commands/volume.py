"""`bart-pogmdm volume`: reconstructs many slices on many processes or machines."""

import logging
import sys
import time
from types import TracebackType

from ..arrays.doubts import without_doubts
from .option_table import ARGUMENTS, IMAGES, OPTIONS
from .parser import Parser, given
from .shell import wants_gpu
from .wording import in_shell


def _parser() -> Parser:
    parser = Parser(prog="bart-pogmdm volume", description=(
        "Reconstruct a volume slice by slice, on all cores or GPUs of this machine or on a Dask cluster. In a 3-D scan "
        "a slice is a volume. Slices stream from the file; each is written once it is done, and entered in OUT's "
        "manifest with its checksum. If a run was interrupted, the same command checks the finished slices and "
        "continues."))
    parser.add_argument("input", metavar="IN", help=(
        "k-space, and its sampling pattern where the file holds one: cfl, ra, npz, npy, fastMRI's or ISMRMRD's h5, or"
        " Siemens' dat"))
    parser.add_argument("output", metavar="OUT", help=(
        "FILE.h5 with image, sens and std; else BART's files OUT, OUT_sens, OUT_std; with the ending of a format for "
        "images, as FILE.nii.gz, both BART's files and, at the end, image and std in this format"))
    parser.take("-p", "-i")
    parser.take("--method", help=OPTIONS["--method"].meaning.replace(", --keep, --sens-std or <std>", ""))
    parser.take("--samples", "--prior", "--noise", "-m", "-N", "-s", "--voxel")
    parser.take("-g", help="Use the GPUs, one process for each (also with BART_GPU=1)")
    parser.take("--measurement", "--warm-start", "--jobs", "--scheduler", "--send", "--restart")
    parser.take_all(IMAGES)
    return parser


def volume(argv: list[str]) -> int:
    """Reconstruct a volume as the arguments say.  Raises ValueError, OSError or ImportError with one sentence."""
    args = _parser().parse_args(argv)
    source, out = args.input, args.output
    style = given(args, "part", "largest", "anonymous")
    for name in ("input", "output", "part", "largest", "anonymous"):
        delattr(args, name)
    options = given(args) | ({"device": "gpu"} if wants_gpu() else {})
    from ..files.cfl import read
    from ..files.kspace import open_kspace
    from ..files.outputs import check_outputs
    from ..volume.output import target_of
    from ..volume.run import recon_volume
    from .argument_order import check_order
    from .reconstruct import read_array
    from .volume_images import VolumeImages
    with without_doubts():  # `recon_volume` raises them again.
        file = open_kspace(source, options.get("measurement"))
    images = VolumeImages.of(source, out, file, style, options)
    work = images.work if images else out
    # `recon_volume` gets the mask as an array, and checks all other files.
    check_outputs([target_of(work, sampled=True, restart=True)], [source, *(given(args, "mask").values())])
    if "mask" in options:
        options["mask"] = read_array("mask", options["mask"])
    check_order(work, file.shape, order="volume IN OUT")
    if "scheduler" in options:
        logging.disable()  # Dask logs at length; our errors hold its important messages in one sentence.
    with _Progress() as progress:
        try:
            report = recon_volume(source, work, **options, callback=progress)
        except KeyboardInterrupt:
            raise ValueError(f"volume: interrupted after {progress.done} of {progress.count} slices;"
                             " the same command goes on") from None
    if report.failed:
        number, error = next(iter(report.failed.items()))
        raise ValueError(f"{work}: {len(report.failed)} of {report.slices} slices failed and are NaN; slice {number}:"
                         f" {in_shell(error, ARGUMENTS['volume'])} (the manifest names all; the same command tries them"
                         " again"
                         + (f"; `{images.command(source)}` writes {out} without them)" if images else ")"))
    if images:
        images.write(read)
    return 0


class _Progress:
    """The callback of `recon_volume`: a bar with slices per minute and the time left."""

    def __init__(self) -> None:
        from tqdm import tqdm
        self.done = self.count = 0
        self.bar = tqdm(desc="volume", leave=False, disable=not sys.stderr.isatty(), bar_format=(
            "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"))
        self.first: int | None = None
        self.began = 0.0

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.bar.close()

    def __call__(self, done: int, count: int) -> None:
        """Show that `done` of `count` slices are done."""
        if self.first is None:
            self.began, self.first = time.perf_counter(), done
            self.bar.total, self.bar.initial = count, done
        elif done > self.first:
            rate = 60 * (done - self.first) / (time.perf_counter() - self.began)
            self.bar.set_postfix_str(f"{rate:.1f} slices/min", refresh=False)
        self.done, self.count = done, count
        self.bar.update(done - self.bar.n)

"""`bart-pogmdm volume`: many slices on many processes or machines."""

import logging
import signal
import sys
import time

from .parser import Parser


def _parser():
    parser = Parser(prog="bart-pogmdm volume", description=(
        "Reconstruct a volume slice by slice, on all cores or GPUs of this machine or on a Dask cluster. Slices stream "
        "from the file; each is written once it is done, and entered in OUT's manifest with its checksum. The same "
        "command again, whatever ended the last one, checks what is there and does the rest."))
    add = parser.add_argument
    add("input", metavar="IN", help="k-space: cfl, ra, npz, npy, fastMRI's or ISMRMRD's h5")
    add("output", metavar="OUT", help="FILE.h5 with image, sens and std; else BART's files OUT, OUT_sens, OUT_std")
    add("-p", dest="mask", metavar="FILE", help="sampling pattern (default: that of IN, or where k-space is not zero)")
    add("-i", dest="iterations", type=int, default=40, metavar="N",
        help="iterations to the maximum (default: %(default)s)")
    add("--method", metavar="NAME", help="map, gibbs or diffusion (default: map; gibbs with --samples)")
    add("--samples", type=int, metavar="N", help="samples of the posterior, whose mean is the image (default: 10)")
    add("--prior", metavar="FILE", help="default: the one of the package")
    add("--noise", dest="noise_std", type=float, metavar="STD",
        help="noise of the data per real and imaginary part (default: estimated in each slice)")
    add("-m", dest="maps", type=int, default=1, metavar="N",
        help="sets of image and sensitivities: 2 where the object folds over (default: %(default)s)")
    add("-N", dest="normalize", action="store_false", help="do not normalize images with coil sensitivities")
    add("-s", dest="seed", type=int, default=0, metavar="SEED", help="random seed (default: %(default)s)")
    add("-g", dest="device", action="store_const", const="gpu", help="use the GPUs, one process for each")
    add("--warm-start", type=int, default=1, metavar="N",
        help="in blocks of N slices, each starts from the sensitivities of the one before (default: %(default)s)")
    add("--jobs", type=int, metavar="N", help="processes on this machine (default: one for each core or GPU)")
    add("--scheduler", metavar="ADDRESS", help="use the workers of this Dask scheduler; local: start one with --jobs")
    add("--send", action="store_true", help="send k-space to Dask's workers, where they do not see IN")
    add("--restart", action="store_true", help="begin anew, whatever there is in OUT")
    return parser


def volume(argv):
    """Reconstruct a volume as the arguments say.  Raises ValueError, OSError or ImportError with one sentence."""
    args = vars(_parser().parse_args(argv))
    source, out = args.pop("input"), args.pop("output")
    from ..files.cfl import read
    from ..volume.run import recon_volume
    if args["mask"] is not None:
        args["mask"] = read(args["mask"])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if args["scheduler"] is not None:
        logging.disable()  # Dask's: what matters becomes one sentence
    with _Progress() as progress:
        try:
            report = recon_volume(source, out, **args, callback=progress)
        except KeyboardInterrupt:
            raise ValueError(f"volume: interrupted after {progress.done} of {progress.count} slices;"
                             " the same command goes on") from None
    if report.failed:
        number, error = next(iter(report.failed.items()))
        raise ValueError(f"{out}: {len(report.failed)} of {report.slices} slices failed and are NaN; slice {number}:"
                         f" {error} (the manifest names all; the same command tries them again)")
    return 0


class _Progress:
    """The callback: a bar with slices per minute and time left."""

    def __init__(self):
        from tqdm import tqdm
        self.done = self.count = 0
        self.bar = tqdm(desc="volume", leave=False, disable=not sys.stderr.isatty(), bar_format=(
            "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"))
        self.began = self.first = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def __call__(self, done, count):
        if self.first is None:
            self.began, self.first = time.perf_counter(), done
            self.bar.total, self.bar.initial = count, done
        elif done > self.first:
            rate = 60 * (done - self.first) / (time.perf_counter() - self.began)
            self.bar.set_postfix_str(f"{rate:.1f} slices/min", refresh=False)
        self.done, self.count = done, count
        self.bar.update(done - self.bar.n)

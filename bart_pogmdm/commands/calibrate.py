"""`bart-pogmdm calibrate`: learns from one's own images how large the errors of a prior's reconstructions are."""

from dataclasses import asdict, replace
from pathlib import Path

from ..files.outputs import Target, check_outputs
from ..files.training_images import find_image_files
from ..prior.prior_file import load_prior
from ..train.calibration import calibration_cases, learn_calibration
from ..train.images import load_series
from ..train.recipe import DEFAULT_SCANS, CalibrationScans
from .parser import Parser
from .train import say, sources, write_prior

LEAST_SIDE = 32  # Of an image in pixels: the centre of the masks takes most of a smaller one.


def calibrate(argv: list[str], scans: CalibrationScans = DEFAULT_SCANS) -> int:
    """Calibrate a prior as the arguments say.  Raises ValueError or OSError with one sentence."""
    number = len(scans.scans) * len(scans.noise_stds) * scans.rounds
    parser = Parser(prog="bart-pogmdm calibrate", description=(
        f"Learn the calibration of the posterior's standard deviation: simulate {number} scans of magnitude images "
        "with lines, spokes and random samples, one to eight coils, and three noise levels, reconstruct each, and "
        "compare with the truth. Writes the same prior with this calibration: on further scans like these the band of "
        "1.645 standard deviations covers at least 90 % of the pixels of the object on average."))
    parser.take("--images", required=True)
    parser.take("-o", required=True, metavar="FILE.npz", help="The prior with its calibration")
    parser.take("--acquisition", metavar=None, choices=("CORPD", "CORPDFS"))
    parser.take("--prior")
    args = parser.parse_args(argv)
    if not args.out.endswith(".npz"):
        raise ValueError(f"--out: expected a name that ends in .npz, got {args.out}")
    check_outputs([Target(args.out, (Path(args.out),))],
                  [*find_image_files(args.images), *([args.prior] if args.prior else [])])
    prior = load_prior(args.prior)
    series, skipped = load_series(args.images, LEAST_SIDE, args.acquisition)
    for name, reason in skipped.items():
        say(f"left out: {name}: {reason}")
    images = [image for one in series for image in one.images]
    calibrated = learn_calibration(prior, list(calibration_cases(images, scans)), scans.samples, report=say)
    origin = {**calibrated.provenance["calibration"], **asdict(scans), "data": sources(series)}
    write_prior(replace(calibrated, provenance={**prior.provenance, "calibration": origin}), Path(args.out))
    say(f"{args.out}: prior {prior.name} with this calibration")
    return 0

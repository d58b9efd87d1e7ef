"""The tables of docs/results.md: what each holds, and its records as Markdown; all statements are computed from these.

A row that an older version measured is marked by MARK.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from records import Row

from bart_pogmdm.evaluate.competitors import COMPETITORS
from bart_pogmdm.version import __version__

MARK = " †"
OURS = ("pogmdm", "pogmdm-mean")
DEV = "brain8ch_espirit, brain16ch_mchiew_96, knee_l1_espirit, brain1ch_T2_loraks, cardiac1ch_fau, complex_t2_images"
CHOSEN = "The rules were chosen on these data."
BART = {name for name, method in COMPETITORS.items() if method.programs == ("bart",)}
Rows = Sequence[Row]


class Table(NamedTuple):
    """A table: the name of its record and its command, its heading, its script, its data, and its text.

    chosen: which rules were chosen on these data.  grid: its lines in Markdown.  says: statements about it.
    """

    name: str
    title: str
    script: str
    data: str
    chosen: str
    text: str
    grid: Callable[[Rows], list[str]]
    says: Callable[[Rows], str] = lambda rows: ""


def table(header: str, lines: Iterable[Sequence[Any]]) -> list[str]:
    """Return Markdown of a header, whose names are separated by |, and lines of cells; None is a dash."""
    cells = [["-" if cell is None else str(cell) for cell in line] for line in lines]
    return [f"| {header} |", "|---" * (header.count("|") + 1) + "|", *(f"| {' | '.join(line)} |" for line in cells)]


def mark(*rows: Row) -> str:
    """Return the mark of rows that an older version measured."""
    return MARK if any(row["version"] != __version__ for row in rows) else ""


def name_of(row: Row) -> str:
    return row["case"] + mark(row)


def score(row: Row, method: str | None) -> str | None:
    """Return PSNR and SSIM of a method, None if it did not run."""
    return "{:.2f} / {:.3f}".format(*row["methods"][method]) if method in row["methods"] else None


def peer_of(row: Row, is_of_bart: bool = False) -> str | None:
    """Return the best other method, or the best of BART's, by its PSNR; None if none ran."""
    ran = [name for name in row["methods"] if name not in OURS and (name in BART or not is_of_bart)]
    return max(ran, key=lambda name: row["methods"][name][0], default=None)


def lead(row: Row, is_of_bart: bool = False) -> float:
    """Return the PSNR of the maximum minus that of `peer_of`; NaN without one."""
    peer = peer_of(row, is_of_bart)
    return row["methods"]["pogmdm"][0] - row["methods"][peer][0] if peer else math.nan


def lead_said(rows: Rows) -> str:
    """Return how often and by how much this package is ahead."""
    found = {row["case"]: gain for row in rows if not math.isnan(gain := lead(row))}
    behind = sorted((case for case in found if found[case] < 0), key=found.__getitem__)
    text = (f"The maximum is ahead of the best other method in {len(found) - len(behind)} of {len(found)} cases, by"
            f" {np.mean(list(found.values())):.1f} dB on average.")
    return text + (f" It is behind in {', '.join(f'{case} ({-found[case]:.2f} dB)' for case in behind)}."
                   if behind else f" The least lead is {min(found.values()):.2f} dB.")


def conditions(rows: Rows) -> list[str]:
    lines = []
    for row in rows:
        peer = peer_of(row)
        parameter = row["methods"][peer][2] if peer else None
        lines.append((name_of(row), row["mask"], score(row, "pogmdm"), peer, parameter, score(row, peer),
                      f"{lead(row):+.2f}"))
    return table("condition | mask | pogmdm | best peer | its parameter | PSNR / SSIM | lead", lines)


def scans(rows: Rows) -> list[str]:
    shown = ("zero-filled", "joint-tv", "nlinv", "pics-tv", "pics-tv-early", "pics-wavelet", "auto-tv", "auto-wavelet",
             *OURS)
    order = ["several", "one", "simulated"]
    lines = [(name_of(row), row["coils"], *(score(row, method) for method in shown), f"{lead(row, True):+.2f}",
              f"{lead(row):+.2f}") for row in sorted(rows, key=lambda row: order.index(row["coils"]))]
    header = ("data and mask | coils | zero-filled | joint-tv | nlinv | ecalib + pics TV | TV, usual penalty"
              " | ecalib + pics wavelet | ecalib -a + pics TV | ecalib -a + pics wavelet")
    return table(f"{header} | pogmdm | pogmdm-mean | lead over BART | lead over all", lines)


def trajectories(rows: Rows) -> list[str]:
    return table("case | pogmdm | nlinv -t | pics -t with TV, true coils",
                 [(name_of(row), *(f"{row[name]:.2f}" for name in ("pogmdm", "nlinv", "pics TV, true coils")))
                  for row in rows])


def with_parameter(found: Sequence[Any]) -> str:
    return f"{found[0]:.2f}" + (f" ({found[1]})" if found[1] is not None else "")


def volumes(rows: Rows) -> list[str]:
    return table("data | acceleration | volume | slices | maps + TV | maps + wavelets | nlinv",
                 [(row["data"] + mark(row), row["acceleration"], f"{row['volume']:.2f}", f"{row['slices']:.2f}",
                   *(with_parameter(row[name]) for name in ("tv", "wavelet", "nlinv"))) for row in rows])


def volumes_said(rows: Rows) -> str:
    return (f"The volume is {np.mean([row['volume'] - row['slices'] for row in rows]):.1f} dB above its slices on"
            f" average, and {min(row['volume'] - row['slices'] for row in rows):.1f} dB at least.")


def series(rows: Rows) -> list[str]:
    return table("images | shared sensitivities, echo by echo | alone", [
        (name_of(row), *(", ".join(f"{one:.2f}" for one in row[key]) for key in ("shared", "alone"))) for row in rows])


def series_said(rows: Rows) -> str:
    gains = np.concatenate([np.subtract(row["shared"], row["alone"]) for row in rows])
    return (f"Shared sensitivities gain {gains.mean():.1f} dB on average; {(gains < 0).sum()} of {len(gains)} echoes"
            f" lose, one of them {-gains.min():.1f} dB.")


def frames(rows: Rows) -> list[str]:
    ours = [name for name in rows[0] if name in ("alone", "shared") or name.startswith("temporal")]
    return table(f"case | {' | '.join(ours)} | maps + TV in space and time | nlinv", [
        (name_of(row), *(f"{row[name]:.2f}" for name in ours), *(with_parameter(row[name]) for name in ("tv", "nlinv")))
        for row in rows])


def sms(rows: Rows) -> list[str]:
    return table("case | pogmdm | nlinv", [(name_of(row), f"{row['pogmdm']:.2f}", with_parameter(row["nlinv"]))
                                           for row in rows])


def uncertainty(rows: Rows) -> list[str]:
    def cells(name: str, values: Mapping[str, float]) -> tuple[Any, ...]:
        percent = (f"{100 * values[key]:.0f}" for key in ("cover50", "cover90", "least90", "cover99"))
        return (name, values["scans"], *percent, f"{values['rank']:.2f}", f"{values['gain']:.2f}",
                f"{values['least_gain']:.2f}", f"{values['time']:.1f}")

    every = {name: np.average([row[name] for row in rows], weights=[row["scans"] for row in rows])
             for name in ("cover50", "cover90", "cover99", "rank", "gain", "time")}
    every |= {name: min(row[name] for row in rows) for name in ("least90", "least_gain")}
    every["scans"] = sum(row["scans"] for row in rows)
    return table("class | scans | 50 % band | 90 % band | least | 99 % band | rank correlation | mean - maximum, dB |"
                 " least | time / maximum", [*(cells(name_of(row), row) for row in rows), cells("all", every)])


def uncertainty_said(rows: Rows) -> str:
    worst = min(rows, key=lambda row: row["least90"])
    return (f"The band of 90 % holds {100 * min(row['cover90'] for row in rows):.0f} to"
            f" {100 * max(row['cover90'] for row in rows):.0f} % of the pixels in the classes; in the worst scan"
            f" ({worst['case']}) {100 * worst['least90']:.0f} %.")


def lesions(rows: Rows) -> list[str]:
    found = [row for row in rows if "with" in row]
    if not found:
        return []
    lines = []
    for score in found[0]["with"]:
        pairs = np.subtract.outer(*(np.array([row[key][score] for row in found]) for key in ("with", "without")))
        lines.append((score + mark(*found), len(found), f"{(pairs > 0).mean():.2f}"))
    return table("score | places | area under the ROC curve", lines)


def samplers(rows: Rows) -> list[str]:
    return table("case | samples | PSNR | SSIM | coverage of the 90 % band | scores | seconds", [
        (name_of(row), row["samples"], f"{row['psnr']:.2f}", f"{row['ssim']:.3f}", row["coverage"], row["scores"],
         row["time"]) for row in rows])


def spread(row: Row) -> str:
    return f"{row['ratio']:.2f} ({row['least']:.2f} to {row['most']:.2f})" if "least" in row else f"{row['ratio']:.2f}"


def speed(rows: Rows) -> list[str]:
    return table("command | R | ours, s | theirs, s | ratio | busy | MiB", [
        (name_of(row), row.get("acceleration"), f"{row['ours']:.2f}", f"{row['theirs']:.2f}", spread(row),
         f"{100 * row['busy']:.0f} %" if "busy" in row else None, row.get("MiB")) for row in rows])


def growth(rows: Rows) -> list[str]:
    lines = []
    for along, group in groupby(rows, lambda row: row["along"]):
        found = list(group)
        logs = np.log([[row["value"], row["time"]] for row in found])
        power = f"{np.polyfit(*logs.T, 1)[0]:.2f}" if len(found) > 1 else None
        lines += [(along + mark(row), row["value"], f"{row['time']:.2f} ({row['least']:.2f} to {row['most']:.2f})",
                   power if row is found[-1] else "") for row in found]
    return table("along | value | seconds | grow as the power", lines)


def memory(rows: Rows) -> list[str]:
    return table("coils x volume | R | k-space, MiB | more than that, MiB | times k-space | estimate, MiB", [
        (name_of(row), row["acceleration"], row["kspace"], row["more"], f"{row['more'] / row['kspace']:.2f}",
         row["estimate"]) for row in rows])


def processes(rows: Rows) -> list[str]:
    return table("processes | threads | slices a minute | MiB of a process after two slices, after all", [
        (f"{row['jobs']}{mark(row)}", row["threads"], f"{row['rate']} ({row['least']} to {row['most']})",
         f"{row['early']}, {row['late']}") for row in rows])


def gpu(rows: Rows) -> list[str]:
    return table("size | device | work | GPU, s | CPU, s | ratio", [
        (name_of(row), row["device"], work, f"{taken:.4g}", f"{(slow := row['cpu'][work]):.4g}", f"{slow / taken:.0f}")
        for row in rows for work, taken in row["gpu"].items()])


def gpu_said(rows: Rows) -> str:
    return f"The score moves {100 * min(row['bandwidth'] / row['copy'] for row in rows):.0f} % of the bytes of a copy."


def robustness(rows: Rows) -> list[str]:
    return table("case | script | tried | faults", [
        (name_of(row), f"`{row['script']}`", row["tried"], row.get("note", row["faults"])) for row in rows])


TABLES = (
    Table("conditions", "Conditions", "conditions", DEV, CHOSEN,
          "One mask and one noise seed each. The best peer has the parameter that is best, found by climbing its "
          "sweep from the default on; of pnp-bm3d and pics-tv-early (TV with the usual penalty of ADMM) every "
          "second one was tried. The data are brain8ch_espirit, or brain16ch_mchiew_96 (16ch), brain1ch_T2_loraks "
          "(1coil), cardiac1ch_fau (fau1), complex_t2_images with 8 simulated coils (t2sim), knee_l1_espirit "
          "(knee). The masks are those of `compare`, with an acceleration; PF is partial Fourier, asym25 an echo at "
          "a quarter of the readout, acs and cal the complete lines and points at the centre, 8% and 0% their part "
          "of all. cc4: 4 virtual coils; smallfov: the head folds over; OS2: a readout of twice the field of view; "
          "ZIP1.5: padded with zeros by 1.5; 64x64: the central samples; noise: added, in the maximum of the image; "
          "brokencoil: noise of 0.02, and of 0.12 in one coil; unevencoils: noise of 0.02, and then gains of the coils "
          "from 1/2 to 2. A noise scan, with which BART's `whiten` would help its methods in these, is not given.",
          conditions, lead_said),
    Table("scans", "Scans and masks", "scans", DEV, CHOSEN,
          "One mask of every kind. Every other method has the parameter that is best in the case, found by climbing "
          "its sweep from the default on. TV has the penalty 0.01 of ADMM, and once more the usual one, 0.5, with "
          "which 100 iterations end before it has converged; where only the latter is there, the sweeps of all were "
          "those of earlier versions, which were narrower. `ecalib` finds no calibration region in Gaussian masks. "
          "A lead is that of the maximum over the best other method.",
          scans, lead_said),
    Table("trajectories", "Trajectories", "noncartesian",
          "complex_t2_images and BART's 3-D phantom with 8 simulated coils, noise 0.005",
          CHOSEN,
          "PSNR in dB. BART's methods have their best parameter, and `pics` the true sensitivities, which are "
          "unknown in practice. But for the spiral of one arm, their sweeps were those of earlier versions: at most "
          "12 steps of `nlinv`, where more may be better, and the usual penalty of ADMM.",
          trajectories),
    Table("volumes", "Volumes", "volumes_and_series",
          "BART's phantom and heads of train/validation.h5, 8 simulated coils",
          CHOSEN,
          "PSNR in dB; BART's methods have the best of their parameters (in brackets). *slices* is this package on "
          "each plane across the readout. Where k-space has no calibration region the maps are those of `nlinv`. For "
          "the phantom the sweeps were those of earlier versions, with the usual penalty of ADMM.",
          volumes, volumes_said),
    Table("series", "Series", "volumes_and_series",
          "cardiac_multiecho_images with 8 simulated coils, noise 0.005",
          CHOSEN,
          "PSNR in dB of each echo, random lines R=4 with 4 % of the lines at the centre, another mask for each "
          "echo.",
          series, series_said),
    Table("frames", "Frames", "volumes_and_series",
          "complex_t2_images with 8 simulated coils, noise 0.005, simulated motion",
          CHOSEN,
          "Mean PSNR in dB of 8 frames, another mask for each: alone, with shared sensitivities, and smooth in time "
          "(`temporal`). BART's methods have the best of their parameters (in brackets); TV had one weight for space "
          "and time and the usual penalty of ADMM, and gains about 2 dB with two weights for points R=12.",
          frames),
    Table("sms", "Simultaneous slices", "volumes_and_series", "BART's phantom, 96 x 96, 8 coils, noise 0.01", CHOSEN,
          "PSNR in dB of the worst slice; `nlinv` has the best number of steps (in brackets).",
          sms),
    Table("uncertainty", "Uncertainty by class", "calibration",
          "train/validation.h5, cardiac_multiecho_images, measured coils of dev",
          "The calibration of the band was learned on others; the rules of the reconstruction were chosen on the "
          "measured coils, and the images of heads chose the checkpoint of the prior.",
          "Bands are in percent of the pixels of the object, *least* is that of the worst scan. "
          "[Uncertainty](uncertainty.md#coverage) says what the classes are.",
          uncertainty, uncertainty_said),
    Table("lesions", "Lesions", "lesions",
          "train/validation.h5, 8 simulated coils, noise 0.02, lines R=4",
          "These images chose the checkpoint of the prior.",
          "Discs of 2 to 6 pixels across with a contrast of 10 to 30 % of the maximum, against the same places "
          "without them.",
          lesions),
    Table("samplers", "Methods of this package", "samplers", "brain16ch_mchiew_96", CHOSEN,
          "PSNR in dB. A score is one evaluation of the gradient of the prior.",
          samplers),
    Table("speed", "Speed and memory", "speed", "simulated coils", "",
          "Whole commands, as a user runs them: `bart-pogmdm` beside `ecalib -m1` and `pics` with TV, for one coil "
          "beside `pics` alone, along spokes and for volumes beside the named ones. Medians, the repeats take turns; "
          "in brackets the least and largest ratio. *busy* is the part of all cores that our command kept working.",
          speed),
    Table("growth", "Growth", "speed", "simulated coils", "",
          "Medians of `recon` (volumes: 12 iterations), with the least and the largest; "
          "one run where that takes more than a minute.",
          growth),
    Table("memory", "Memory of volumes", "memory", "simulated coils", "",
          "Peak memory of `bart pogmdm -i12`, beyond k-space itself and what a volume of 16 x 16 x 16 takes, and what "
          "the command expects.",
          memory),
    Table("processes", "Processes and threads", "volume", "simulated coils, 16 x 640 x 372", "",
          "`bart-pogmdm volume` with the cores shared in several ways; medians, with the least and the largest.",
          processes),
    Table("gpu", "GPU", "gpu", "simulated coils", "",
          "Medians of seconds, both devices in the same run.",
          gpu, gpu_said),
    Table("robustness", "Robustness", "robustness", "simulated data; doubts: all scans", "",
          "What was tried, and how often it went wrong.",
          robustness))

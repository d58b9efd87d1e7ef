"""Scans with masks of every kind: this package beside every usual method with the parameter that is best in each case.

The data are the measured coils of dev/, and two images of complex_t2_images with 8 simulated coils and noise 0.005.
Each has one mask of every kind.  PSNR and SSIM are those of `bart-pogmdm compare --sweep`.
"""

from collections.abc import Iterable
from functools import partial

import numpy as np
from records import Cases, Places, Row, alone, climbed

from bart_pogmdm.evaluate.cases import Case, cases
from bart_pogmdm.evaluate.comparison import run_comparison
from bart_pogmdm.evaluate.competitors import COMPETITORS, Competitor
from bart_pogmdm.evaluate.conditions import AS_IT_IS
from bart_pogmdm.evaluate.rows import Parameter, best_of
from bart_pogmdm.evaluate.rows import Row as ResultRow
from bart_pogmdm.files.references import read_references

METHODS = ("zero-filled", "joint-tv", "nlinv", "pics-tv", "pics-tv-early", "pics-wavelet", "auto-tv", "auto-wavelet",
           "nlinv-wavelet", "pogmdm", "pogmdm-mean")
SEVERAL = ("brain8ch_espirit", "brain16ch_mchiew_96")
SINGLE = ("knee_l1_espirit", "brain1ch_T2_loraks", "cardiac1ch_fau")
SIMULATED = "complex_t2_images"
MASKS = ("cartesian4", "horizontal4", "gaussian8", "poisson8", "spiral4")
IMAGES = 2


def of_sweep(places: Places, case: Case, method: Competitor) -> list[ResultRow]:
    """Return the rows of a method, whose sweep is climbed from its default on."""
    rows = []

    def psnr(parameter: Parameter) -> float:
        rows.extend(run_comparison([case], {method.name: (parameter,)}, places.images))
        return rows[-1].psnr or -np.inf

    climbed(psnr, method.sweep, method.default)
    return rows


def scored(places: Places, case: Case, methods: Iterable[str]) -> Row:
    """Return the mask and {method: [PSNR, SSIM, best parameter]} of the methods that ran."""
    wanted = [name for name in methods if not places.methods or name in places.methods]
    rows = best_of([row for name in wanted for row in of_sweep(places, case, COMPETITORS[name])])
    scores = {row.method: [round(row.psnr, 2), round(row.ssim, 3), row.parameter] for row in rows if row.psnr}
    return {"mask": case.mask_name.rpartition("-")[0], "methods": scores}


def measured(places: Places, data: str, word: str) -> Row:
    """Return the row of a data set (or an image of it, NAME-NUMBER) with a mask."""
    scan = next(found for found in read_references(places.data / "dev" / f"{data.split('-')[0]}.npz")
                if found.name == data)
    (case,) = cases([AS_IT_IS.apply(scan)], [word], 1)
    coils = "simulated" if data.startswith(SIMULATED) else "one" if len(scan.kspace) == 1 else "several"
    return {"data": data.split("-")[0], "coils": coils} | scored(places, case, METHODS)


def scans(places: Places) -> Cases:
    """Return every data set with every mask."""
    sets = (*SEVERAL, *SINGLE, *(f"{SIMULATED}-{number}" for number in range(IMAGES)))
    found = [(data, word) for data in sets for word in (*MASKS, "radial40" if data in SINGLE else "radial24")]
    return {f"{data} {word}": partial(measured, places, data, word) for data, word in found}


if __name__ == "__main__":
    alone(scans)

"""The golden table: small reconstructions of the package's own phantom, and the values that they must keep.

usage: golden.py    writes golden.json anew; only a deliberate change of a rule is a reason to do so
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bart_pogmdm import Diffusion, Gibbs, Result, recon
from bart_pogmdm.evaluate import masks, metrics, simulate
from bart_pogmdm.physics.fourier import fft2c, ifft2c
from bart_pogmdm.physics.nufft import Nufft

TABLE = Path(__file__).with_name("golden.json")
SHAPE, COILS, NOISE = (72, 64), 6, 0.005


@dataclass(frozen=True)
class Case:
    """run() returns a Result and the true magnitude; values of it are held to tolerances."""

    run: Callable[[], tuple[Result, np.ndarray]]
    needs_finufft: bool = False


def cartesian(mask: str, coils: int = COILS, noise_std: float = NOISE, known: bool = False, **options: object) -> Case:
    """A scan on the grid; with `known` the true sensitivities are given."""
    def run() -> tuple[Result, np.ndarray]:
        image = simulate.phantom(SHAPE)
        pattern = masks.named(mask, SHAPE, 0)
        kspace = simulate.kspace(image, coils, noise_std, 0) * pattern
        sens = {"sens": simulate.sensitivities(SHAPE, coils)} if known else {}
        return recon(kspace, pattern, **sens, **options), np.abs(image)
    return Case(run)


def folded(mask: str, **options: object) -> Case:
    """An object that is larger than the field of view along the rows by a third, so that its ends fold over."""
    def run() -> tuple[Result, np.ndarray]:
        coils = ifft2c(simulate.kspace(simulate.phantom((4 * SHAPE[0] // 3, SHAPE[1])), COILS, NOISE, 0))
        inside = simulate.folded(coils, SHAPE)
        pattern = masks.named(mask, SHAPE, 0)
        kspace = (fft2c(inside) * pattern).astype(np.complex64)
        return recon(kspace, pattern, **options), np.sqrt((np.abs(inside) ** 2).sum(0))
    return Case(run)


def radial(spokes: int, coils: int = COILS, factors: bool = False, **options: object) -> Case:
    """A scan along spokes; with `factors` each readout has an amplitude and a phase of its own."""
    def run() -> tuple[Result, np.ndarray]:
        size = SHAPE[1]
        radius, angle = np.linspace(-size / 2, size / 2, 2 * size), np.pi * (0.618 * np.arange(spokes) % 1)
        traj = np.stack([np.outer(np.sin(angle), radius), np.outer(np.cos(angle), radius)], -1)
        image = simulate.phantom((size, size))
        coil_images = (simulate.sensitivities(image.shape, coils) * image).astype(np.complex64)
        kspace = Nufft(traj.reshape(-1, 2).T, image.shape, np.complex64).forward(coil_images)
        kspace = kspace.reshape(coils, spokes, 2 * size)
        if factors:
            kspace *= (np.linspace(1.3, 0.7, spokes) * np.exp(0.4j * np.arange(spokes)))[:, None]
        rng = np.random.default_rng(0)
        noise = NOISE * (rng.standard_normal(kspace.shape) + 1j * rng.standard_normal(kspace.shape))
        return recon((kspace + noise).astype(np.complex64), traj=traj, **options), np.abs(image)
    return Case(run, needs_finufft=True)


CASES = {
    "lines": cartesian("cartesian4"),
    "points": cartesian("gaussian8"),
    "spokes on the grid": cartesian("radial16", noise_std=0.02),
    "two coils": cartesian("cartesian2", coils=2, noise_std=0.03),
    "strong noise": cartesian("gaussian2", noise_std=0.06),
    "one coil, lines": cartesian("cartesian3", coils=1),
    "one coil, points": cartesian("gaussian6", coils=1),
    "known sensitivities": cartesian("cartesian4", known=True),
    "not normalized": cartesian("gaussian8", normalize=False, iterations=10),
    "two sets": folded("cartesian2", maps=2),
    "trajectory": radial(20),
    "readout factors": radial(20, factors=True),
    "trajectory, one coil": radial(24, coils=1),
    "posterior": cartesian("gaussian8", samples=8, method=Gibbs(chains=2)),
    "posterior, one coil": cartesian("gaussian4", coils=1, samples=8, method=Gibbs(chains=2)),
    "Algorithm 1": cartesian("gaussian4", method=Diffusion(num_levels=40, come_closer=0.3), samples=2),
    "Algorithm 1, sobolev": cartesian("gaussian4", samples=2, method=Diffusion(
        num_levels=40, come_closer=0.3, sens_update="sobolev")),
}
TOLERANCES = {"psnr": 0.05, "noise_std": 1e-3, "residual_std": 0.003, "scale": 1e-3, "std": 0.005, "coverage": 0.005}
ABSOLUTE = ("psnr", "coverage")  # in dB and as a part; the others are relative


def values(case: Case) -> dict[str, float]:
    """PSNR in the object in dB, facts of the result and, for a posterior, mean std in the object and coverage."""
    result, truth = case.run()
    found = {"psnr": metrics.psnr(result.image, truth),
             **{key: float(result.info[key]) for key in ("noise_std", "residual_std", "scale")}}
    if result.std is not None:
        found |= {"std": float(result.std[metrics.object_of(truth)].mean()),
                  "coverage": metrics.coverage(result.image, result.std, truth)}
    return {key: float(f"{value:.6g}") for key, value in found.items()}


if __name__ == "__main__":
    table = {name: values(case) for name, case in CASES.items()}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    for name, row in table.items():
        print(f"{name:24}", row)

"""The Gaussian-mixture experts in torch, as functions that TorchScript can compile."""

import torch


def peak_curvature(weights: torch.Tensor, means: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """Return -phi_k'(0) at noise levels (B,), as `Experts.peak_curvature`, (B, K).

    variance: std(sigma)^2 of the components at each level, (B,).
    """
    variance = variance[:, None]
    kernel = torch.exp(-means**2 / (2 * variance)).to(weights.dtype)
    spread = (kernel * means.to(kernel.dtype) ** 2) @ weights.T
    spread = spread / (kernel @ weights.T).clamp(min=1e-30)
    return (1 - spread / variance) / variance


def exponent(curvature: torch.Tensor, power: torch.Tensor, sigmas: torch.Tensor, largest: float) -> torch.Tensor:
    """Return the exponent of the experts at noise levels (B,), as `PoGMDM.exponent`.

    curvature (B, K): `peak_curvature`; power (K, M): |S_k|^2 on GRID.  One of them holds the factor gamma_k^2.
    """
    peak = (curvature.to(power.dtype) @ power).amax(1)
    return torch.clamp(2 / (sigmas**2 * peak.clamp(min=1e-6)), max=largest)


def posterior_means(values: torch.Tensor, weights: torch.Tensor, means: torch.Tensor,
                    variance: torch.Tensor) -> torch.Tensor:
    """Return the posterior means m_k(u) of the component means, given the responses `values` (B, K, n)."""
    results, means = [], means.to(values.dtype)
    for k in range(len(weights)):
        exponents = -(values[:, k, :, None] - means) ** 2 / (2 * variance[:, None, None])
        kernel = torch.exp(exponents - exponents.detach().amax(-1, keepdim=True))
        results.append(kernel @ (weights[k] * means) / (kernel @ weights[k]).clamp(min=1e-30))
    return torch.stack(results, 1)


def interpolate(values: torch.Tensor, tables: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Interpolate the odd functions with `tables` (B, K, T) on [0, radius], constant beyond, at values (B, K, n)."""
    last = tables.shape[-1] - 1
    position = (values.abs() * (last / radius[:, None, None])).clamp(max=last)
    node = position.detach().long().clamp(0, last - 1)
    left, right = tables.gather(-1, node), tables.gather(-1, node + 1)
    return torch.sign(values) * (left + (position - node) * (right - left))


def responses(image: torch.Tensor, spectra: torch.Tensor) -> torch.Tensor:
    """Return the responses F^H S_k y to spectra y (B, ny, nx) of images, real and imaginary parts: (B, K, 2 ny nx)."""
    return torch.view_as_real(torch.fft.ifft2(spectra * image[:, None])).flatten(2)


def pull_back(activations: torch.Tensor, spectra: torch.Tensor) -> torch.Tensor:
    """Return sum_k conj(S_k) F a_k, the spectra (B, ny, nx) of images, from activations (B, K, 2 ny nx)."""
    count, ny, nx = spectra.shape
    planes = torch.view_as_complex(activations.reshape(len(activations), count, ny, nx, 2))
    return (spectra.conj() * torch.fft.fft2(planes)).sum(1)

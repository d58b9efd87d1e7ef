"""The physics of a scan: Fourier transforms, sampling, coils and their sensitivities, noise."""

"""What changes from iteration to iteration: noise level, momentum, weight of the sensitivities."""

import numpy as np

SENS_DECAY = 0.8
LAST_SENS_WEIGHT = 1e-2


def momentum(iterations):
    """Nesterov's extrapolation factors (t - 1) / t+, at most 0.95 (Soviet Math. Dokl. 27, 1983)."""
    factors, t = [], 1.0
    for _ in range(iterations):
        t, before = (1 + (1 + 4 * t * t) ** 0.5) / 2, t
        factors.append(min((before - 1) / t, 0.95))
    return factors


def sens_weights(iterations):
    """The penalty on the sensitivities, loosened by SENS_DECAY each time, down to LAST_SENS_WEIGHT."""
    return [max(SENS_DECAY**i, LAST_SENS_WEIGHT) for i in range(iterations)]


def exponential(sigma_min, sigma_max, levels):
    """The paper's noise levels sigma_min (sigma_max / sigma_min)^(i / N), falling from i = N to 0."""
    return [float(s) for s in sigma_min * (sigma_max / sigma_min) ** (np.arange(levels, -1, -1) / levels)]

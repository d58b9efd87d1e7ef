"""A prior that kills the process that uses it, to be sent to workers."""

import os
import signal
from pathlib import Path

import numpy as np

from bart_pogmdm import load_prior


class DeadlyPrior:
    """The default prior, but the process is killed when it asks for the score of an image of one bright point.

    Each death adds a letter to the file `deaths` in the working directory.
    """

    name, digest = "deadly", "0"

    def score(self, image, sigma):
        if np.abs(image).max() > 20 * np.abs(image).mean():
            with Path("deaths").open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return load_prior().score(image, sigma)

    def curvature(self, shape, sigma, xp=np):
        return load_prior().curvature(shape, sigma, xp)

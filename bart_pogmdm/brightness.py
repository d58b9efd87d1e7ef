"""How bright an image is: the prior knows images of one scale only."""

from .backend import array_module

BRIGHTEST = 0.999        # quantile of the magnitude that fixes the scale,
MOST_PEAK = 8            # at most so many times less than the maximum
START_BRIGHTNESS = 1.2   # what it is for the prior in the start image,
BRIGHTNESS = 1.5         # ... and in the image that is found, where the scale follows it:
FOLLOWING = 0.1          # by this power of what is missing, in each iteration


def brightest(image):
    """The magnitude of its brightest part; of an image of a few points, a part of their magnitude."""
    xp, magnitude = array_module(image), abs(image)
    return max(float(xp.quantile(magnitude, BRIGHTEST)), float(magnitude.max()) / MOST_PEAK)


def following(image):
    """The unit that brings an image a part of the way to its BRIGHTNESS; 1 for no image."""
    return (brightest(image) / BRIGHTNESS) ** FOLLOWING or 1.0

"""How bright an image is: the prior knows images of one scale only."""

from ..arrays.modules import array_module

BRIGHTEST = 0.999        # quantile of the magnitude that fixes the scale,
MOST_PEAK = 8            # at most so many times less than the maximum
START_BRIGHTNESS = 1.2   # what it is for the prior in the start image,
BRIGHTNESS = 1.5         # ... and with one coil in the image that is found, which the scale follows
FOLLOWING = 0.1          # by this power of what is missing, in each iteration


def brightest(image):
    """The magnitude of its brightest part; of an image of a few points, a part of their magnitude."""
    xp, magnitude = array_module(image), abs(image)
    return float(xp.maximum(xp.quantile(magnitude, BRIGHTEST), magnitude.max() / MOST_PEAK))


def following(image, unit):
    """What an image is divided by to bring it a part of the way to its BRIGHTNESS, its unit being that of the start's.

    No unit is less than what brings the start there: an image that shrinks, because data are few or noise is strong,
    would be made brighter, and shrink again.
    """
    return max((brightest(image) / BRIGHTNESS) ** FOLLOWING, START_BRIGHTNESS / BRIGHTNESS / unit)

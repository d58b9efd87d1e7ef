"""The effect of each of the 64 flags of an ISMRMRD acquisition on its line."""

from enum import Enum

import numpy as np

from ..arrays.array_types import Array


class Effect(Enum):
    """The effect of a flag on the line of an acquisition that has it."""

    NONE = "none"
    NOISE = "The line is a noise scan, from which the coils are prewhitened."
    LEFT_OUT = "The line is no part of the image and is left out."
    CALIBRATION = ("The line belongs to the image where its calibration is a part of the scan, and else is left out; if"
                   " the header does not say which it is, lines that the image has as well show a scan of its own.")
    IMAGE = "The line belongs to the image, whether or not it calibrates as well."
    REVERSED = "The line is mirrored about its centre."
    REFUSED = "The samples are compressed, so the file is refused."
    UNKNOWN = "The standard gives this flag no meaning: the line is read as if it were not set, with a warning."


# The flags by their numbers; flag n is bit n - 1.  Names as in the standard, without ACQ_ and ACQ_IS_.
FLAGS = {
    1: ("FIRST_IN_ENCODE_STEP1", Effect.NONE),
    2: ("LAST_IN_ENCODE_STEP1", Effect.NONE),
    3: ("FIRST_IN_ENCODE_STEP2", Effect.NONE),
    4: ("LAST_IN_ENCODE_STEP2", Effect.NONE),
    5: ("FIRST_IN_AVERAGE", Effect.NONE),
    6: ("LAST_IN_AVERAGE", Effect.NONE),
    7: ("FIRST_IN_SLICE", Effect.NONE),
    8: ("LAST_IN_SLICE", Effect.NONE),
    9: ("FIRST_IN_CONTRAST", Effect.NONE),
    10: ("LAST_IN_CONTRAST", Effect.NONE),
    11: ("FIRST_IN_PHASE", Effect.NONE),
    12: ("LAST_IN_PHASE", Effect.NONE),
    13: ("FIRST_IN_REPETITION", Effect.NONE),
    14: ("LAST_IN_REPETITION", Effect.NONE),
    15: ("FIRST_IN_SET", Effect.NONE),
    16: ("LAST_IN_SET", Effect.NONE),
    17: ("FIRST_IN_SEGMENT", Effect.NONE),
    18: ("LAST_IN_SEGMENT", Effect.NONE),
    19: ("NOISE_MEASUREMENT", Effect.NOISE),
    20: ("PARALLEL_CALIBRATION", Effect.CALIBRATION),
    21: ("PARALLEL_CALIBRATION_AND_IMAGING", Effect.IMAGE),
    22: ("REVERSE", Effect.REVERSED),
    23: ("NAVIGATION_DATA", Effect.LEFT_OUT),
    24: ("PHASECORR_DATA", Effect.LEFT_OUT),
    25: ("LAST_IN_MEASUREMENT", Effect.NONE),
    26: ("HPFEEDBACK_DATA", Effect.LEFT_OUT),
    27: ("DUMMYSCAN_DATA", Effect.LEFT_OUT),
    28: ("RTFEEDBACK_DATA", Effect.LEFT_OUT),
    29: ("SURFACECOILCORRECTIONSCAN_DATA", Effect.LEFT_OUT),
    30: ("PHASE_STABILIZATION_REFERENCE", Effect.LEFT_OUT),
    31: ("PHASE_STABILIZATION", Effect.LEFT_OUT),
    **{number: (f"flag {number}", Effect.UNKNOWN) for number in range(32, 53)},
    53: ("COMPRESSION1", Effect.REFUSED),
    54: ("COMPRESSION2", Effect.REFUSED),
    55: ("COMPRESSION3", Effect.REFUSED),
    56: ("COMPRESSION4", Effect.REFUSED),
    **{number: (f"USER{number - 56}", Effect.NONE) for number in range(57, 65)},
}


def has(flags: Array, *effects: Effect) -> Array:
    """Return a mask of the lines that have a flag with one of the effects."""
    bits = sum(1 << (number - 1) for number, (_, effect) in FLAGS.items() if effect in effects)
    return flags.astype(np.uint64) & np.uint64(bits) != 0


def names(flags: Array, *effects: Effect) -> list[str]:
    """Return the names of the flags with one of the effects that any line has."""
    found = int(np.bitwise_or.reduce(flags.astype(np.uint64)))
    return [name for number, (name, effect) in FLAGS.items() if effect in effects and found >> (number - 1) & 1]

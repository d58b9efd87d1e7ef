"""Time of `bart()` compared with BART's own bart.py, side by side and in turns.

usage: bridge.py PYTHON_FOLDER [PAIRS]    The folder is python/ of BART's source; both use the `bart` of
BART_TOOLBOX_PATH.  Nothing else may run on the machine.  It prints the median of the ratios of the pairs.
"""

import importlib.util
import os
import sys
import time
from pathlib import Path

import numpy as np

from bart_pogmdm import bart
from bart_pogmdm.toolbox.find_bart import find

SHAPES = ((256, 256, 16), (640, 372, 16))
COMMANDS = ("fft -u 3", "scale 2", "rss 4")


def seconds(call, *words):
    began = time.perf_counter()
    call(*words)
    return time.perf_counter() - began


def bart_of(folder):
    """Return the function of BART's bart.py, which imports its neighbours."""
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("bart", folder / "bart.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.bart


def main(folder, pairs):
    os.environ.setdefault("BART_TOOLBOX_PATH", str(Path(find()).parent))
    theirs, rng = bart_of(folder), np.random.default_rng(0)
    for shape in SHAPES:
        array = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
        for order in "CF":
            array = np.asarray(array, order=order)
            for command in COMMANDS:
                np.testing.assert_array_equal(bart(1, command, array), theirs(1, command, array))
                times = np.array([[seconds(call, 1, command, array) for call in ((bart, theirs), (theirs, bart))[i % 2]]
                                  [::1 - 2 * (i % 2)] for i in range(pairs)])
                ours, other = np.median(times, 0)
                print(f"{' x '.join(map(str, shape))} in order {order}, {command:9}: ours {1e3 * ours:6.1f} ms,"
                      f" bart.py {1e3 * other:6.1f} ms, ours / bart.py {np.median(times[:, 0] / times[:, 1]):.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 21)

"""Bridge to the BART binary: bart(1, "nlinv -i9", kspace) runs `bart nlinv -i9 kspace output`."""

import os
import shutil
import subprocess


def find():
    """Path of the `bart` executable: BART_TOOLBOX_PATH, TOOLBOX_PATH, then PATH; None when there is none."""
    for variable in ("BART_TOOLBOX_PATH", "TOOLBOX_PATH"):
        folder = os.environ.get(variable)
        if folder and (path := shutil.which("bart", path=folder)):
            return path
    return shutil.which("bart")


def version():
    """BART's version as a string such as 'v0.8.00', or None without BART."""
    path = find()
    if path is None:
        return None
    run = subprocess.run([path, "version"], capture_output=True, text=True, check=False)
    return run.stdout.strip() or None

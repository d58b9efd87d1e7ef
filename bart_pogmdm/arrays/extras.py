"""Optional packages: the extra of this package that brings each, and their import where they are needed."""

from importlib import import_module
from types import ModuleType

EXTRAS = {"matplotlib": "plot", "skimage": "compare", "finufft": "nufft", "torch": "train", "cupy": "cuda12",
          "distributed": "cluster", "twixtools": "twix", "nibabel": "nifti", "pydicom": "dicom"}


def optional(name: str, what: str) -> ModuleType:
    """Return an optional module.  ImportError where it is missing, which says what it is for: "DICOM files need"."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # It is there, but lacks a package itself.
            raise
        raise ImportError(f"{what} {name}: pip install 'bart_pogmdm[{EXTRAS[name]}]'") from None

"""Images as files: the ending of a name decides about the format, for all commands alike."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import pad_dims
from ..arrays.doubts import doubt
from . import cfl, dicom, ismrmrd_image_files, nifti, numpy_files
from .atomic import write_all
from .geometry import Geometry
from .image_origin import IMAGE, Content, Images, Origin, Style
from .outputs import Target, bart_target

Places: TypeAlias = tuple[Geometry, ...] | None


@dataclass(frozen=True)
class Format:
    """A format of images.

    encode: yields the files of an output.  check(name, shape, geometry): raises ValueError if the format cannot hold
    images of a shape, and ImportError without the package that it needs.
    target: what the name stands for.  has_place: the format says where images are.  has_complex: it holds complex ones.
    """

    encode: Callable[[Images], Iterator[Content]]
    check: Callable[[str, Shape, Places], object]
    target: Callable[[str], Target] = lambda name: Target(name, (Path(name),))
    has_place: bool = True
    has_complex: bool = True


def _anything(name: str, shape: Shape, geometry: Places) -> None:
    """Accept images of any shape."""


# By the end of a name; one that ends in a slash is a folder of DICOM files.
FORMATS = {
    ".nii.gz": Format(nifti.encode_nifti, nifti.check_nifti),
    ".nii": Format(nifti.encode_nifti, nifti.check_nifti),
    ".npy": Format(numpy_files.encode_npy, _anything, has_place=False),
    ".npz": Format(numpy_files.encode_npz, _anything, has_place=False),
    ".dcm": Format(dicom.encode_file, dicom.check_file, has_complex=False),
    ".mrd": Format(ismrmrd_image_files.encode_ismrmrd, ismrmrd_image_files.check_ismrmrd),
    "/": Format(dicom.encode_folder, dicom.check_folder, dicom.folder_target, has_complex=False),
}


def format_of(name: str) -> Format | None:
    """Return the format for the name of an output; None for BART's files."""
    return FORMATS.get(ending_of(name))


def ending_of(name: str) -> str:
    """Return the end of a name that says its format, a key of FORMATS; empty for BART's files."""
    return next((ending for ending in FORMATS if name.lower().endswith(ending)), "")


def image_target(name: str) -> Target:
    """Return images as an output for `check_outputs`.  Raises ValueError for the ending of no format."""
    form = format_of(name)
    others = f", or one that ends in {', '.join(FORMATS)}"
    return form.target(name) if form else bart_target(name, others)


def check_images(outputs: Mapping[str, Shape], geometry: Places, style: Style) -> None:
    """Check {name: shape in BART's dimensions} of outputs before the work begins.

    Raises ValueError or ImportError for a format that cannot hold them, and for a style that goes with no output.
    """
    forms = {name: format_of(name) for name in outputs}
    if (style.part, style.largest) != (Style.part, Style.largest) and not any(forms.values()):
        raise ValueError(f"{style.options[0]}: goes with outputs in other formats than BART's, got"
                         f" {', '.join(outputs)}")
    if style.part == "phase" and style.largest is not None:
        raise ValueError("--scale: scales magnitudes, and does not go with --phase")
    for name, form in forms.items():
        if form and style.part == "complex" and not form.has_complex:
            raise ValueError(f"output {name}: --complex does not go with DICOM, whose pixels are real; expected the"
                             " magnitude or --phase")
        if form:
            form.check(name, pad_dims(outputs[name]), geometry)


def write_images(outputs: Mapping[str, tuple[str, Array]], origin: Origin, style: Style,
                 command: str | None = None) -> None:
    """Write {name: (role, array in BART's dimensions)}: either all files appear, or none.

    BART's files hold the arrays as they are; `command` is noted in their headers.  Raises OSError, ValueError or
    ImportError that names the output.
    """
    image = next((array for role, array in outputs.values() if role == IMAGE), None)
    factor = style.factor(image) if image is not None else 1.0
    written: list[Path] = []
    with contextlib.ExitStack() as undo:
        given = [Images(name, role, array, origin, style) for name, (role, array) in outputs.items()]
        write_all(content for images in given for content in _contents(images, factor, command, undo, written))
        undo.pop_all()
    for name in outputs:
        if format_of(name) is FORMATS["/"]:
            dicom.remove_others(Path(name), written)
    if not origin.geometry and any(form.has_place for form in map(format_of, outputs) if form):
        doubt("the input does not say where the image is in the patient: the voxels have sides of 1 mm along the axes"
              " of the scanner")


def _contents(images: Images, factor: float, command: str | None, undo: contextlib.ExitStack,
              written: list[Path]) -> Iterator[Content]:
    """Yield the files of one output, and note those of a format; `images` holds the array as it is."""
    form, array = format_of(images.name), images.values
    if form is None:
        yield from cfl.contents(images.name, array, command)
        return
    if form is FORMATS["/"] and not images.path.exists():
        images.path.mkdir(parents=True)
        undo.callback(_remove_folder, images.path)
    values = images.style.values(images.role, np.asarray(array).reshape(pad_dims(array.shape), order="F"), factor)
    for content in form.encode(replace(images, values=values)):
        written.append(content[1])
        yield content


def _remove_folder(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.rmdir()

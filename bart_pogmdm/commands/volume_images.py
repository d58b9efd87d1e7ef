"""The images of a finished volume in the format of a viewer, made of BART's files."""

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..arrays.array_types import Array
from ..arrays.bart_dims import BEYOND, COIL
from ..files.image_origin import IMAGE, STD, Origin, Style
from ..files.image_outputs import check_images, ending_of, image_target, write_images
from ..files.kspace import KspaceFile
from ..files.outputs import Target, check_outputs
from ..reconstruction.options import options_of
from ..reconstruction.result import provenance_of
from ..volume.file_layout import array_files, manifest_of


@dataclass(frozen=True)
class VolumeImages:
    """The outputs {role: name}, and the name of BART's files `work`, of which they are made."""

    work: str
    names: Mapping[str, str]
    origin: Origin
    style: Style
    method: str

    @classmethod
    def of(cls, source: str, out: str, file: KspaceFile, style: Mapping[str, Any],
           options: Mapping[str, Any]) -> "VolumeImages | None":
        """Return the images for the name of an output, None for BART's files and HDF5.

        Raises ValueError, OSError or ImportError for outputs that cannot be written.
        """
        ending, chosen = ending_of(out), Style(**style)
        if not ending:
            if chosen.options:
                raise ValueError(f"{chosen.options[0]}: goes with outputs in other formats than BART's and HDF5, got"
                                 f" {out}")
            return None
        work, method = out[:-len(ending)], options_of(**{key: options[key] for key in ("method", "samples")
                                                         if key in options})
        names = {IMAGE: out} | ({STD: f"{work}_std{ending}"} if method.samples is not None else {})
        manifest = manifest_of(array_files(work, False)[IMAGE])
        targets = [image_target(name) for name in names.values()]
        check_outputs([targets[0], *(Target(one.name, (), dict.fromkeys((*one.files, *one.beside), lambda _: (
            manifest.exists())), one.makes_folders) for one in targets[1:])], [source, *_named(options)])
        shape = (*file.shape[:COIL], 1, *file.shape[BEYOND:])
        check_images(dict.fromkeys(names.values(), shape), file.geometry, chosen)
        return cls(work, names, Origin(file.geometry, file.tags), chosen, method.method.name)

    def command(self, source: str) -> str:
        """Return the command that makes the image of BART's files, also where slices of these are missing."""
        place = ["--like", source] if self.origin.geometry else []
        return shlex.join(["bart-pogmdm", "convert", *place, self.work, self.names[IMAGE]])

    def write(self, read: Callable[[Path], Array]) -> None:
        """Write the images.  `read` reads BART's files."""
        files = array_files(self.work, STD in self.names)
        with open(manifest_of(files[IMAGE]), encoding="utf-8") as manifest:
            prior, _, digest = json.loads(manifest.readline())["prior"].rpartition(" ")
        facts = provenance_of({"method": self.method, "prior": prior, "prior_hash": digest})
        write_images({name: (role, read(files[role])) for role, name in self.names.items()},
                     Origin(self.origin.geometry, self.origin.tags, facts), self.style)


def _named(options: Mapping[str, Any]) -> list[str]:
    return [options[name] for name in ("mask", "prior") if name in options]

"""Learned MRI reconstruction for BART: joint inversion of image and coil sensitivities with the PoGMDM prior."""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .algorithms.diffusion import Diffusion as Diffusion
    from .algorithms.gibbs import Gibbs as Gibbs
    from .algorithms.joint_map import Map as Map
    from .arrays.bart_dims import from_bart as from_bart
    from .arrays.bart_dims import to_bart as to_bart
    from .arrays.doubts import ReconstructionWarning as ReconstructionWarning
    from .files.cfl import read as read
    from .files.cfl import write as write
    from .prior.plug_and_play import PlugAndPlay as PlugAndPlay
    from .prior.pogmdm import PoGMDM as PoGMDM
    from .prior.prior_file import load_prior as load_prior
    from .reconstruction.recon import recon as recon
    from .reconstruction.result import Result as Result
    from .reconstruction.rules import Rules as Rules
    from .toolbox.bart_call import BartError as BartError
    from .toolbox.bart_call import bart as bart
    from .volume.run import recon_volume as recon_volume

# Each public name and the module that has it, which is imported when the name is first used: the import of the package
# is quick.
_PUBLIC = {
    "recon": "reconstruction.recon", "Result": "reconstruction.result", "recon_volume": "volume.run",
    "ReconstructionWarning": "arrays.doubts",
    "Map": "algorithms.joint_map", "Gibbs": "algorithms.gibbs", "Diffusion": "algorithms.diffusion",
    "Rules": "reconstruction.rules",
    "load_prior": "prior.prior_file", "PoGMDM": "prior.pogmdm",
    "PlugAndPlay": "prior.plug_and_play",
    "read": "files.cfl", "write": "files.cfl", "to_bart": "arrays.bart_dims", "from_bart": "arrays.bart_dims",
    "bart": "toolbox.bart_call", "BartError": "toolbox.bart_call",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        module = import_module(f".{_PUBLIC[name]}", __name__)
        globals()[name] = value = getattr(module, name)
        return value
    if name == "io":
        return _io()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _io() -> ModuleType:
    """BART's files and dimensions in one module, under the name that scripts for version 0.1 import."""
    module = ModuleType(f"{__name__}.io")
    for source in ("arrays.bart_dims", "files.cfl"):
        vars(module).update(vars(import_module(f".{source}", __name__)))
    return module


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Learned MRI reconstruction for BART: joint inversion of image and coil sensitivities with the PoGMDM prior."""

from importlib import import_module

__version__ = "0.2.0"

_PUBLIC = {
    "recon": "reconstruction.recon", "Result": "reconstruction.recon", "recon_volume": "volume.run",
    "Map": "reconstruction.methods", "Gibbs": "reconstruction.methods", "Diffusion": "reconstruction.methods",
    "load_prior": "prior.prior_file", "PoGMDM": "prior.pogmdm",
    "read": "files.cfl", "write": "files.cfl", "to_bart": "arrays.bart_dims", "from_bart": "arrays.bart_dims",
    "bart": "toolbox.bart_call", "BartError": "toolbox.bart_call",
}
__all__ = list(_PUBLIC)


def __getattr__(name):
    if name in _PUBLIC:
        module = import_module(f".{_PUBLIC[name]}", __name__)
        globals()[name] = value = getattr(module, name)
        return value
    if name == "io":  # the module of BART's files in version 0.1
        return import_module(".files.cfl", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})

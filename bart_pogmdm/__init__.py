"""Learned MRI reconstruction for BART: joint inversion of image and coil sensitivities with the PoGMDM prior."""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {"recon": "reconstruction", "Result": "reconstruction", "load_prior": "prior", "PoGMDM": "prior",
           "bart": "bridge", "BartError": "bridge", "recon_volume": "volume.run"}
__all__ = ["BartError", "PoGMDM", "Result", "bart", "load_prior", "recon", "recon_volume"]


def __getattr__(name):
    if name in _PUBLIC:
        module = import_module(f".{_PUBLIC[name]}", __name__)
        globals()[name] = value = getattr(module, name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})

"""The version of the package, and of the packages that affect the last bit of a result."""

__version__ = "0.3.0"


def library_versions() -> dict[str, str]:
    """Return the versions of the packages that affect the last bit of a result."""
    from importlib.metadata import version
    return {"bart_pogmdm": __version__, **{name: version(name) for name in ("numpy", "scipy", "numba", "rocket-fft")}}

"""The request of a client: the configuration `pogmdm` and its options, in JSON."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from ..algorithms.diffusion import Diffusion
from ..reconstruction.options import Options, options_of

NAMES = ("pogmdm", "openrecon")  # OpenRecon gives its own name to the only configuration of a container.
# Words of FIRE and OpenRecon beside the options: what names the configuration, and what is left out.
CONFIG, BESIDE = ("customconfig", "config"), ("version", "options")
# Options of a reconstruction, as in `recon`; not those that are of no use without a way to send their result.
RECON = tuple(field.name for field in fields(Options) if field.name not in ("keep_samples", "rules"))
SWITCHES = ("sms", "normalize", "complex")
DIFFUSION = ("num_levels", "num_corrector", "come_closer")


@dataclass(frozen=True)
class Request:
    """The options of a reconstruction, and the form of its answer.

    is_complex: images are complex numbers, and else magnitudes.
    peak: magnitudes are whole numbers, the largest of which is this one; None: they are in the units of the data.
    """

    options: Options
    is_complex: bool = False
    peak: int | None = None


def request_of(name: bytes, texts: Iterable[bytes], voxel: tuple[float, float, float] | None = None) -> Request:
    """Return what a client asks for by the name of a configuration, and by texts in JSON; later ones count.

    name: that of a file, or empty.  voxel: sides of a voxel, unless the options say them.
    Raises ValueError or TypeError that names the option which is wrong.
    """
    values: dict[str, Any] = {}
    for text in texts:
        values |= _values(text)
    names = [values.pop(word, None) for word in CONFIG]
    chosen = next((one for one in names if one is not None), _decoded(name) or NAMES[0])
    if chosen not in NAMES:
        raise ValueError(f"config: expected {NAMES[0]}, got {chosen!r}")
    for word in BESIDE:
        values.pop(word, None)
    return _request({key: _plain(value) for key, value in values.items() if value is not None}, voxel)


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", errors="replace").strip()


def _values(text: bytes) -> dict[str, Any]:
    """Return {option: value} of a text: JSON, with the options in `parameters` or without, or a name alone.

    An empty value counts as none.
    """
    word = _decoded(text)
    if not word or word in NAMES:
        return {}
    try:
        found = json.loads(word)
    except (ValueError, RecursionError):
        raise ValueError(f"config: expected {NAMES[0]}, or options in JSON, got {word[:40]!r}") from None
    if not isinstance(found, dict):
        raise ValueError(f"config: expected an object in JSON, got {word[:40]!r}")
    inner = found.pop("parameters", None)
    if not isinstance(inner, (dict, type(None))):
        raise ValueError(f"config: parameters: expected an object in JSON, got {str(inner)[:40]!r}")
    return {key: value for key, value in (found | (inner or {})).items() if value not in ("", None)}


def _plain(value: Any) -> Any:
    """Return a value; one that a program has written as a text, such as "3" or "True", as it is meant."""
    if isinstance(value, str):
        try:
            return json.loads(value.lower() if value in ("True", "False") else value)
        except (ValueError, RecursionError):
            return value
    return value


def _request(values: dict[str, Any], voxel: tuple[float, float, float] | None) -> Request:
    for key in values.keys() & {*SWITCHES}:
        if not isinstance(values[key], bool):
            raise ValueError(f"{key}: expected true or false, got {values[key]!r}")
    is_complex, scale = values.pop("complex", False), values.pop("scale", None)
    peak = None if scale is None else _peak(scale)
    if is_complex and peak:
        raise ValueError("scale: goes with magnitudes, and not with complex")
    diffusion = {key: values.pop(key) for key in DIFFUSION if key in values}
    if diffusion and values.get("method") != Diffusion.name:
        raise ValueError(f"{next(iter(diffusion))}: goes with method {Diffusion.name}")
    if diffusion:
        values["method"] = Diffusion(**diffusion)
    if unknown := [key for key in values if key not in RECON]:
        raise ValueError(f"{unknown[0][:40]!r}: no such option; expected one of"
                         f" {', '.join((*RECON, *DIFFUSION, 'complex', 'scale'))}")
    for key, value in values.items():
        if isinstance(value, bool) and key not in SWITCHES:
            raise ValueError(f"{key}: expected no truth value, got {value}")
    return Request(options_of(**({"voxel": voxel} | values)), is_complex, peak)


def _peak(scale: Any) -> int:
    """Return the number N of `max:N`.  Raises ValueError for another text, or a number that pixels cannot hold."""
    word, colon, number = str(scale).partition(":")
    if word != "max" or not colon or not number.isdecimal() or not 0 < int(number[:9]) < 1 << 16:
        raise ValueError(f"scale: expected max:N with N from 1 to {(1 << 16) - 1}, got {str(scale)[:40]!r}")
    return int(number)

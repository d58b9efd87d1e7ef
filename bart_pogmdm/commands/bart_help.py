"""The help of `bart pogmdm`, in the layout of BART's own commands, for people and for programs."""

from .option_table import POGMDM, Option

USAGE = "pogmdm"
DESCRIPTION = """\
Jointly reconstruct image and coil sensitivities from undersampled k-space
with a learned prior (product of Gaussian mixture diffusion model). Needs no
calibration region. The output is in the units of the data. Optionally
outputs the sensitivities, and the standard deviation of the magnitude.
Dimensions beyond COIL are looped over; echoes share their sensitivities, and
slices are independent without -M."""
POSITIONAL = ("<kspace>", "<output>", "[<sensitivities>]", "[<std>]")
# BART's names of the types of options in `--interface`.
INTERFACE_TYPES = {"d": "OPT_INT", "f": "OPT_FLOAT", "<file>": "OPT_INFILE", "<string>": "OPT_STRING",
                   "d|auto": "OPT_STRING", "d:d:d": "OPT_VEC3", "f:f:f": "OPT_FLOAT_VEC3", "max:f": "OPT_STRING",
                   None: "OPT_SET"}


def help_text() -> str:
    """Return the text of `pogmdm -h`."""
    usage = [f"[{_spelled(option)}{f' {option.kind}' if option.kind else ''}]" for option in POGMDM]
    rows = [(f"{_spelled(option)} {option.value}".rstrip(), option.meaning) for option in POGMDM] + [("-h", "help")]
    width = max(len(left) for left, _ in rows) + 4
    return "\n".join([" ".join(["Usage:", USAGE, *usage, *POSITIONAL]), "", DESCRIPTION, "",
                      *(f"{left:{width}}{text}" for left, text in rows)])


def interface_text() -> str:
    """Return the text of `pogmdm --interface`, from which programs make calls of a command."""
    usage = "".join(f"{name} " for name in POSITIONAL)
    kinds = ["OPT_INFILE"] + ["OPT_OUTFILE"] * (len(POSITIONAL) - 1)
    files = [f'{{ {"false" if name[0] == "[" else "true"}, "ARG", 1, {{ {kind}, 8, {_quoted(name.strip("[]<>"))} }} }}'
             for name, kind in zip(POSITIONAL, kinds)]
    return "\n".join([f"name: {USAGE}, usage_str: {_quoted(usage)}, help_str: {_quoted(DESCRIPTION)}",
                      "positional arguments:", *files, "options:", *map(_interface_line, POGMDM)])


def _interface_line(option: Option) -> str:
    short = next((spelling[1:] for spelling in option.spellings if spelling[1] != "-"), "n/a")
    long = next((spelling[2:] for spelling in option.spellings if spelling[1] == "-"), "(null)")
    kind = "OPT_OUTFILE" if option.is_output else INTERFACE_TYPES[option.kind]
    return (f'{{ "{short}", "{long}", {"true" if option.kind else "false"}, {kind}, "{option.kind or ""}",'
            f' {_quoted(option.meaning)} }}')


def _spelled(option: Option) -> str:
    return ",".join(option.spellings)


def _quoted(text: str) -> str:
    return '"' + text.replace("\n", " ") + '"'

"""Measures what is missing in benchmarks/results, and writes docs/results.md, docs/gallery.md and marked figures.

A case is missing if it has no row, or one of another version of the package, which is shown until it is measured again.
A run that was killed goes on with the case that it was at.  Figures in README.md and docs/*.md stand between
<!--=KEY--> and <!--/-->, and come from the records, too.  Times are right only if nothing else runs on the machine.
"""

import argparse
import importlib
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import records
from records import Cases, Places
from tables import MARK, TABLES, Rows, Table, lead, mark, peer_of

from bart_pogmdm.evaluate.competitors import COMPETITORS
from bart_pogmdm.files.atomic import write_bytes
from bart_pogmdm.version import __version__

NOT_MEASURED = "Not measured yet."
SPAN = re.compile(r"<!--=([a-z.]+)-->.*?<!--/-->")
INTRODUCTION = """# Results

`python benchmarks/results.py` measures these tables and writes this page; `--only TABLE` measures one, and `--list`
says what is missing. The records are in `benchmarks/results`, with a row for each case. PSNR (in dB) and SSIM are taken
inside the object. This package has its default options everywhere: *pogmdm* is the maximum of the posterior,
*pogmdm-mean* its mean, *joint-tv* smoothed total variation in this package's own joint inversion. Where a commit stands
beside *others*, the figures of this package alone were measured again, and those of the others are of that commit.

**No comparison on new data is here yet.** The [rules of the reconstruction](choices.md) were chosen on data that some
tables are measured on, as each table says, so results on new scans may be worse. The prior was trained on other images,
see its model card `bart_pogmdm/prior/data/MODEL_CARD.md`.

[Choices](choices.md) holds the measurements that led to each rule, [Concepts](concepts.md#readouts-along-a-trajectory)
the factors of readouts, and [Gallery](gallery.md) has pictures.
"""
GALLERY = """# Gallery

Each picture has one condition. The upper row has the reference, zero-filling, `nlinv`, `pics` with TV and the
sensitivities of `ecalib` (those of `nlinv` where `ecalib` fails), and the posterior mean of this package. The lower row
has the standard deviation of the latter, and the errors. All images of a row have the same scale, and the lower row is
eight times brighter. The methods of BART have the best parameter of the sweep of `bart-pogmdm compare`.
"""


def cases_of(table: Table, places: Places) -> Cases:
    """Return the cases of a table, by the function of its script that has its name."""
    return getattr(importlib.import_module(table.script), table.name)(places)


def path_of(name: str, places: Places) -> Path:
    return places.out / "benchmarks" / "results" / f"{name}.jsonl"


def wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def made_by(rows: Rows) -> str:
    """Return when, by which versions and on which machines rows were measured."""
    def all_of(values: list[str]) -> str:
        return ", ".join(dict.fromkeys(values))

    dates = sorted({row["date"] for row in rows})
    versions = all_of([f"{row['version']} ({row['commit']})" for row in rows])
    return (f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))} with bart_pogmdm {versions}, BART"
            f" {all_of([row['bart'] for row in rows])}, on {all_of([row['machine'] for row in rows])}.")


def section(table: Table, rows: Rows) -> str:
    """Return the section of a table."""
    parts = [f"## {table.title}", wrapped(table.text),
             wrapped(f"Command: `python benchmarks/results.py --only {table.name}` (`{table.script}.py`). Data:"
                     f" {table.data}. {table.chosen}")]
    grid = table.grid(rows) if rows else []
    if not grid:
        return "\n\n".join([*parts, NOT_MEASURED])
    old = f" The rows with{MARK} are of an earlier version than {__version__}." if mark(*rows) else ""
    return "\n\n".join([*parts, wrapped(made_by(rows) + old), "\n".join(grid),
                        *([wrapped(said)] if (said := table.says(rows)) else [])])


def figures(known: Mapping[str, Rows]) -> dict[str, str]:
    """Return {key: text} of the figures that stand in prose."""
    found = {}
    if scans := known.get("scans"):
        leads = [gain for row in scans if np.isfinite(gain := lead(row, is_of_bart=True))]
        found = {"scans.cases": str(len(scans)), "scans.sets": str(len({row["data"] for row in scans})),
                 "scans.versions": " and ".join(sorted({row["version"] for row in scans})),
                 "scans.mean": f"{np.mean(leads):.1f} dB", "scans.least": f"{min(leads):.1f} dB"}
    if conditions := known.get("conditions"):
        peers = [peer_of(row) for row in conditions if lead(row) < 0]
        found |= {"conditions.cases": str(len(conditions)), "conditions.behind": str(len(peers)),
                  "conditions.peers": ", ".join(f"`{peer}`" for peer in dict.fromkeys(peers))}
    if classes := known.get("uncertainty"):
        ends = (100 * end(row["cover90"] for row in classes) for end in (min, max))
        found |= {"uncertainty.range": "{:.0f} to {:.0f} %".format(*ends),
                  "uncertainty.worst": f"{100 * min(row['least90'] for row in classes):.0f} %"}
    for row in known.get("speed", ()):
        if row["case"] == "16 x 640 x 372, lines":
            found |= {"speed.seconds": f"{row['ours']:.0f} s"}
    return found


def gallery_said(rows: Rows) -> str:
    """Return how often TV is ahead."""
    ahead = sum(max(row["methods"].get(name, [0])[0] for name in ("pics-tv", "nlinv-tv"))
                > row["methods"]["pogmdm-mean"][0] for row in rows)
    said = f"TV has the higher PSNR in {ahead} of {len(rows)} pictures."
    return wrapped(f"{said} The phantom is piecewise constant, as TV assumes; [Results](results.md#scans-and-masks) has"
                   " scans." if all(row["scan"] == "phantom" for row in rows) else said)


def gallery_page(rows: Rows) -> str:
    """Return the page of the pictures."""
    if not rows:
        return f"{GALLERY}\n{NOT_MEASURED}\n"
    parts = [GALLERY.rstrip("\n"), wrapped(
        "`python benchmarks/results.py --only gallery` makes this page from the phantom of the package. `--scans FILE …"
        f" --out FOLDER` makes one from your own scans in `FOLDER/docs`. {made_by(rows)}"), gallery_said(rows)]
    for row in rows:
        title = row["condition"] if row["scan"] == "phantom" else row["case"]
        parts += [f"## {title[0].upper()}{title[1:]}{mark(row)}",
                  f"![Reconstructions of {row['scan']}, {row['condition']}](gallery/{row['picture']})"]
    return "\n\n".join(parts) + "\n"


def write_pages(places: Places, tables: Sequence[Table] = TABLES) -> None:
    """Write docs/results.md, docs/gallery.md and the marked figures.  Raises ValueError for a figure without record."""
    known = {name: records.read(path_of(name, places)) for name in (*(table.name for table in tables), "gallery")}
    docs, found = places.out / "docs", figures(known)
    docs.mkdir(parents=True, exist_ok=True)
    page = "\n\n".join([INTRODUCTION.rstrip("\n"), *(section(table, known[table.name]) for table in tables)]) + "\n"
    write_bytes(docs / "results.md", page.encode())
    write_bytes(docs / "gallery.md", gallery_page(known["gallery"]).encode())
    for path in filter(Path.exists, (places.out / "README.md", *sorted(docs.glob("*.md")))):
        text = path.read_text()
        if unknown := set(SPAN.findall(text)) - set(found):
            raise ValueError(f"{path}: no record holds {', '.join(sorted(unknown))}")
        filled = SPAN.sub(lambda span: f"<!--={span[1]}-->{found[span[1]]}<!--/-->", text)
        if filled != text:
            write_bytes(path, filled.encode())


def listed(table: Table, places: Places) -> str:
    """Return how many cases of a table are recorded, and the seconds that they took."""
    rows = records.read(path_of(table.name, places))
    new = [row for row in rows if row["version"] == __version__]
    try:
        cases: int | str = len(cases_of(table, places))
    except Exception as error:
        cases = f"? ({records.sentence(error)})"
    return (f"{table.name:13} {len(new):4} of {cases} cases, {sum(row['seconds'] or 0 for row in new):.0f} s;"
            f" {len(rows) - len(new)} of an earlier version")


def main(argv: Sequence[str], tables: Sequence[Table] = TABLES) -> int:
    """Measure, record and write as the arguments say; return 1 if a case could not be measured."""
    pictures = Table("gallery", "Gallery", "gallery", "", "", "", lambda rows: [])
    every = {table.name: table for table in (*tables, pictures)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(every), default=list(every), metavar="TABLE",
                        help=f"measure only these of {', '.join(every)}")
    parser.add_argument("--cases", nargs="+", default=(), metavar="WORD", help="only cases whose names contain a word")
    parser.add_argument("--again", action="store_true", help="measure also what is recorded")
    parser.add_argument("--methods", nargs="+", default=(), choices=list(COMPETITORS), metavar="NAME",
                        help="of conditions or scans: measure only these methods (again), and keep the others of a row")
    parser.add_argument("--data", type=Path, default=Places().data, metavar="FOLDER", help="with dev/, raw/, train/")
    parser.add_argument("--scans", type=Path, nargs="+", default=(), metavar="FILE", help="scans for the gallery")
    parser.add_argument("--out", type=Path, default=records.ROOT, metavar="FOLDER",
                        help="of docs/ and benchmarks/results/ instead of this repository")
    parser.add_argument("--list", action="store_true", help="say what is recorded, and measure nothing")
    parser.add_argument("--pages", action="store_true", help="write the pages, and measure nothing")
    args = parser.parse_args(argv)
    if args.methods and not {*args.only} <= {"conditions", "scans"}:
        parser.error("--methods: expected --only conditions or scans")
    places, faults = Places(args.data, args.out, tuple(args.scans), args.methods), []
    if args.list:
        print("\n".join(listed(every[name], places) for name in args.only))
        return 0
    for name in () if args.pages else args.only:
        try:
            faults += records.measure(path_of(name, places), cases_of(every[name], places), args.cases,
                                      args.again or bool(args.methods))
        except Exception as error:  # Its data or programs are missing, and the others go on.
            faults.append(f"{name}: {records.sentence(error)}")
        write_pages(places, tables)
    write_pages(places, tables)
    for fault in faults:
        print(f"ERROR: {fault}", file=sys.stderr)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The report of a comparison: results.csv, table.md, figures, and one HTML page that holds them all."""

import base64
import csv
import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from ..files.atomic import write_bytes
from ..plot.comparison_picture import ERROR_GAIN, draw_comparison
from ..plot.panels import png
from .competitors import COMPETITORS
from .metrics import object_of
from .rows import COLUMNS, Row

FIGURES = "figures"    # Folder of the figures.
PIXELS_PER_INCH = 110  # Resolution of the figures.
LETTER_EM = 0.56       # Width of a digit on the page, in em.
PADDING_EM = 1.2       # Width of the space around a cell of the table, in em.
MARGINS_EM = 3         # Width of the margins of the page and of a scroll bar, in em.


def write_report(rows: Sequence[Row], folder: Path) -> str:
    """Write results.csv, table.md, a PNG in figures/ for each case with images, and index.html; return the table.

    rows: at most one for each method on each case.
    """
    table = _table(rows)
    text = _markdown(table)
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "results.csv", _csv(rows).encode())
    write_bytes(folder / "table.md", text.encode())
    parts = [f"<h1>Comparison</h1>{_html(table)}"]
    for (data, mask), group in _cases(rows):
        shown = [row for row in group if row.psnr]
        if shown:
            picture = _picture(shown)
            write_bytes(folder / FIGURES / f"{data}__{mask}.png", picture)
            parts.append(_section(data, mask, picture))
    write_bytes(folder / "index.html", _page(table, parts).encode())
    return text


def _cases(rows: Iterable[Row]) -> list[tuple[tuple[str, str], list[Row]]]:
    """Group the rows by (data, mask), in alphabetical order."""
    def key(row: Row) -> tuple[str, str]:
        return row.data, row.mask
    return [(key, list(group)) for key, group in groupby(sorted(rows, key=key), key)]


@dataclass(frozen=True)
class _Table:
    """PSNR and SSIM of every case (line) and method (column); each cell is (text, True if it is the best)."""

    header: list[str]
    lines: list[list[tuple[str, bool]]]
    notes: list[str]


def _table(rows: Sequence[Row]) -> _Table:
    names = [name for name in COMPETITORS if any(row.method == name for row in rows)]
    header = ["data", "mask", *(COMPETITORS[name].label.split(",")[0] if name.startswith("pics") else name
                                for name in names)]
    lines = []
    remarks: dict[str, list[str]] = {}
    for (data, mask), group in _cases(rows):
        found = {row.method: row for row in group}
        best = max((row.psnr for row in group if row.psnr), default=None)
        line = [(data, False), (mask, False)]
        for name in names:
            row = found.get(name)
            if row and row.psnr:
                line.append((f"{row.psnr:.2f} / {row.ssim:.3f}", row.psnr == best))
                remark = f"{name} warns: {row.warnings}" if row.warnings else ""
            else:
                line.append(("-", False))
                remark = f"{name} did not run: {row.note}" if row else ""
            if remark:
                remarks.setdefault(remark, []).append(f"{data} {mask}")
        lines.append(line)
    notes = ["PSNR in dB and SSIM inside the object, after one least-squares scale."]
    notes += [f"{remark} ({', '.join(places)})" for remark, places in remarks.items()]
    return _Table(header, lines, notes)


def _csv(rows: Iterable[Row]) -> str:
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.cells() for row in rows)
    return table.getvalue()


def _markdown(table: _Table) -> str:
    """Return the table in Markdown, with the best values in bold, and the notes below."""
    cells = [[f"**{text}**" if best else text for text, best in line] for line in table.lines]
    header, *lines = [f"| {' | '.join(line)} |" for line in (table.header, *cells)]
    notes = [f"- {note}" for note in table.notes]
    return "\n".join([header, "|---" * len(table.header) + "|", *lines, "", *notes]) + "\n"


def _html(table: _Table) -> str:
    """Return the table in HTML, with the best values in bold and each column's name in its cells, and the notes."""
    names = [html.escape(name) for name in table.header]
    lines = ["".join(f"<td data-label='{name}'>{'<b>' if best else ''}{html.escape(text)}{'</b>' if best else ''}</td>"
                     for name, (text, best) in zip(names, line)) for line in table.lines]
    return ("<table><thead><tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr></thead><tbody>"
            + "".join(f"<tr>{line}</tr>" for line in lines) + "</tbody></table>"
            + "".join(f"<p>{html.escape(note)}</p>" for note in table.notes))


def _picture(rows: Sequence[Row]) -> bytes:
    """Draw the images of all methods on one case as PNG."""
    with np.load(rows[0].file) as file:
        reference = file["reference"]
    methods = {}
    for row in sorted(rows, key=lambda row: list(COMPETITORS).index(row.method)):
        with np.load(row.file) as file:
            methods[f"{row.method}\n{row.psnr:.2f} dB"] = {
                name: file[name] for name in ("image", "std", "unexplained") if name in file}
    return png(draw_comparison(reference, object_of(reference), methods), PIXELS_PER_INCH)


def _section(data: str, mask: str, picture: bytes) -> str:
    """Return the part of the page for one case."""
    return (f"<h2>{html.escape(f'{data}, {mask}')}</h2><p>Errors, standard deviations and"
            f" unexplained residuals are shown {ERROR_GAIN} x brighter than the images.</p>"
            f"<img alt='{html.escape(f'{data} {mask}')}'"
            f" src='data:image/png;base64,{base64.b64encode(picture).decode()}'>")


def _page(table: _Table, parts: Iterable[str]) -> str:
    """Return the page; where the screen is narrower than the table, each case becomes a block of named values."""
    return ("<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Comparison</title>"
            "<meta name='viewport' content='width=device-width, initial-scale=1'><style>"
            "body{font-family:sans-serif;margin:1em;overflow-wrap:anywhere} img{max-width:100%} table{border-spacing:0}"
            "td,th{padding:.2em .6em;border-bottom:1px solid #ccc;text-align:left;overflow-wrap:normal}"
            f"@media (max-width:{_width(table)}em)"
            "{table,tbody,td{display:block} thead{display:none}"
            "tr{display:grid;grid-template-columns:repeat(auto-fill,minmax(8em,1fr));padding:.6em 0;"
            "border-bottom:1px solid #ccc} td{border:0;overflow-wrap:anywhere}"
            "td::before{content:attr(data-label);display:block;font-size:.8em;color:#555}}"
            "</style></head><body>" + "".join(parts) + "</body></html>\n")


def _width(table: _Table) -> int:
    """Return the width in em at which no cell of the table is wrapped, except for names of methods at their spaces."""
    columns = zip(*([text for text, _ in line] for line in table.lines))
    longest = [max(map(len, [*name.split(), *column])) for name, column in zip(table.header, columns)]
    return round(sum(LETTER_EM * letters + PADDING_EM for letters in longest)) + MARGINS_EM

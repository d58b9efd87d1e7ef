"""The comparison for the eye: a Markdown table, figures, and one HTML page that holds them all."""

import base64
import html
import io
from itertools import groupby

from ..files.atomic import write_file
from ..plot.comparison_picture import ERROR_GAIN, figure
from .competitors import COMPETITORS


def _cases(rows):
    """The rows of each case, data set by data set, mask by mask."""
    def key(row):
        return row["data"], row["mask"]
    return [(key, list(group)) for key, group in groupby(sorted(rows, key=key), key)]


def _methods(rows):
    return [name for name in COMPETITORS if any(row["method"] == name for row in rows)]


def _table(rows):
    """Header, lines of cells (text, is it the best?) and notes of a table: PSNR and SSIM of every case and method."""
    names = _methods(rows)
    header = ["data", "mask", *(COMPETITORS[name].label.split(",")[0] if name.startswith("pics") else name
                                for name in names)]
    lines, notes = [], {}
    for (data, mask), group in _cases(rows):
        found = {row["method"]: row for row in group}
        best = max((row["psnr"] for row in group if row["psnr"]), default=None)
        line = [(data, False), (mask, False)]
        for name in names:
            row = found.get(name)
            if row and row["psnr"]:
                line.append((f"{row['psnr']:.2f} / {row['ssim']:.3f}", row["psnr"] == best))
            else:
                line.append(("-", False))
                if row:
                    notes.setdefault((name, row["note"]), []).append(f"{data} {mask}")
        lines.append(line)
    return header, lines, ["PSNR in dB and SSIM inside the object, after one least-squares scale.",
                           *(f"{name} did not run: {note} ({', '.join(places)})"
                             for (name, note), places in notes.items())]


def markdown(rows):
    """The table of all cases and methods, the best in bold; what did not run, and why, below."""
    header, lines, notes = _table(rows)
    cells = [[f"**{text}**" if best else text for text, best in line] for line in lines]
    table = [f"| {' | '.join(line)} |" for line in (header, *cells)]
    return "\n".join([table[0], "|---" * len(header) + "|", *table[1:], "", *(f"- {note}" for note in notes)]) + "\n"


def _html(rows):
    """The same as HTML."""
    header, lines, notes = _table(rows)
    cells = ["".join(f"<th>{html.escape(text)}</th>" for text in header)]
    cells += ["".join(f"<td>{'<b>' if best else ''}{html.escape(text)}{'</b>' if best else ''}</td>"
                      for text, best in line) for line in lines]
    return ("<table>" + "".join(f"<tr>{line}</tr>" for line in cells) + "</table>"
            + "".join(f"<p>{html.escape(note)}</p>" for note in notes))


def write(rows, folder):
    """A PNG for each case that has images, and index.html with the table and all pictures inside."""
    parts = [f"<h1>Comparison</h1>{_html(rows)}"]
    (folder / "figures").mkdir(exist_ok=True)
    for (data, mask), group in _cases(rows):
        if not any(row["psnr"] for row in group):
            continue
        buffer = io.BytesIO()
        figure(group).savefig(buffer, format="png", dpi=110)
        write_file(folder / "figures" / f"{data}__{mask}.png", lambda file, buffer=buffer: file.write(buffer.getvalue()))
        picture = base64.b64encode(buffer.getvalue()).decode()
        parts.append(f"<h2>{html.escape(f'{data}, {mask}')}</h2><p>Errors, standard deviations and what the"
                     f" sensitivities cannot explain are shown {ERROR_GAIN} x brighter than the images.</p>"
                     f"<img alt='{html.escape(f'{data} {mask}')}'"
                     f" src='data:image/png;base64,{picture}'>")
    page = ("<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Comparison</title><style>"
            "body{font-family:sans-serif;margin:2em} img{max-width:100%}"
            "td,th{padding:.2em .6em;border-bottom:1px solid #ccc;text-align:left}</style></head><body>"
            + "".join(parts) + "</body></html>\n")
    write_file(folder / "index.html", lambda file: file.write(page.encode()))

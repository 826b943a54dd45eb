"""The HTML report: one file, no script, nothing fetched."""

import base64
import html
from collections.abc import Sequence

from covseg_tf.edge.printable import printable

FLAG_TEXTS = {
    "no_lungs_found": "No lungs found: is this a frontal chest X-ray?",
    "lung_area_implausible": "The lung area is implausible; not scored.",
    "lungs_not_separable": "The lungs cannot be told apart; no numbers per lung.",
}

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --warn: #b45309; }
body { font: 16px/1.45 system-ui, sans-serif; max-width: 68rem; margin: 0 auto;
  padding: 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
.notice { border-left: 4px solid var(--warn); padding: .25rem .75rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
.file { overflow-wrap: anywhere; }
.warn { color: var(--warn); }
.bar { display: inline-block; height: .6rem; background: #f59e0b; min-width: 1px; }
.cards { display: grid; gap: 1rem; margin-top: 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem;
  break-inside: avoid; }
.card h2 { font-size: 1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
.card img { width: 100%; display: block; background: #000; }
.card .plain { display: none; }
.card input:checked ~ .plain { display: block; }
.card input:checked ~ .overlay { display: none; }
.card label { font-size: .9rem; }
.card p { margin: .5rem 0 0; }
@media print { .card label, .card input { display: none; } body { max-width: none; } }
"""


def render_report(rows: Sequence, model: dict) -> str:
    """Returns the report as one self-contained HTML page.

    Args:
        rows: `TriageRow`s in the order of the worklist.
        model: Dict with the model's `name`.

    Returns:
        HTML text; everything that comes from a file is escaped.
    """
    scored = sum(row.involved_percent is not None for row in rows)
    table = "\n".join(_table_row(n, row) for n, row in enumerate(rows, start=1))
    cards = "\n".join(
        _card(n, row) for n, row in enumerate(rows, start=1) if row.overlay
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>covseg triage: {len(rows)} images</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Chest X-ray triage</h1>
<p>{len(rows)} images, {scored} scored with the model
<b>{html.escape(model["name"])}</b>, most involved first.</p>
<p class="notice"><b>Research use only.</b> Not a medical device. Percent of the
<i>projected</i> lung area, not of lung volume. Every image needs a reader.</p>
<div class="scroll">
<table>
<thead><tr><th class="n">#</th><th>Image</th><th class="n">Involved</th>
<th></th><th class="n">Right lung</th><th class="n">Left lung</th><th>Note</th></tr>
</thead>
<tbody>
{table}
</tbody>
</table>
</div>
<div class="cards">
{cards}
</div>
<p>Cyan line: lungs as found. Amber: infection as found. Left and right are the
patient's.</p>
</body>
</html>
"""


def note_of(row) -> str:
    """Returns what the worklist says in words about a row, or an empty string."""
    return row.error or " ".join(FLAG_TEXTS.get(flag, flag) for flag in row.flags)


def percent(value: float | None) -> str:
    """Returns a percentage with one decimal, or an en dash for no number."""
    return "–" if value is None else f"{value:.1f} %"


def _table_row(number, row):
    bar = ""
    if row.involved_percent is not None:
        width = row.involved_percent / 20
        bar = f'<span class="bar" style="width:{width:.2f}rem"></span>'
    file = html.escape(printable(row.file))
    if row.overlay:
        file = f'<a href="#image-{number}">{file}</a>'
    return (
        f'<tr><td class="n">{number}</td><td class="file">{file}</td>'
        f'<td class="n">{percent(row.involved_percent)}</td><td>{bar}</td>'
        f'<td class="n">{percent(row.involved_percent_right)}</td>'
        f'<td class="n">{percent(row.involved_percent_left)}</td>'
        f'<td class="warn">{html.escape(printable(note_of(row)))}</td></tr>'
    )


def _card(number, row):
    plain, overlay = (
        "data:image/jpeg;base64," + base64.b64encode(data).decode()
        for data in row.overlay
    )
    name = html.escape(printable(row.file), quote=True)
    note = html.escape(printable(note_of(row)))
    return f"""<section class="card" id="image-{number}">
<h2>{number}. {name}</h2>
<input type="checkbox" id="plain-{number}">
<label for="plain-{number}">Show without overlay</label>
<img class="overlay" alt="Overlay of {name}" src="{overlay}">
<img class="plain" alt="{name}" src="{plain}">
<p>Involved {percent(row.involved_percent)}
 (right {percent(row.involved_percent_right)}, left
 {percent(row.involved_percent_left)})</p>
{f'<p class="warn">{note}</p>' if note else ""}
</section>"""

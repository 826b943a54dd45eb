"""The HTML report: one file, no script, nothing fetched."""

import os
import pathlib
import urllib.parse
from collections.abc import Iterator, Sequence

from covseg_tf.edge.bundle import CARD, Bundle
from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.record.worklist import RunFacts
from covseg_tf.triage.report.card import bar, card, safe, titled
from covseg_tf.triage.report.style import STYLE
from covseg_tf.triage.report.words import note_of, percent

# At about 30 KB each: 6 MB, which a phone still opens.
MOST_CARDS = 200
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_COLUMNS = (
    ("n", "#"),
    ("file", "Image"),
    ("n", "Involved"),
    ("n wide", "Right lung"),
    ("n wide", "Left lung"),
    ("n", '<abbr title="Extent score, 0 to 8">Ext.</abbr>'),
    ("n wide", '<abbr title="Involved lung zones, 0 to 6">Zones</abbr>'),
)


def write_report(
    out: pathlib.Path,
    rows: Sequence[TriageRow],
    facts: RunFacts,
    bundle: Bundle,
    most_cards: int = MOST_CARDS,
) -> None:
    """Writes `report.html`, one image at a time; everything from files is escaped.

    Args:
        out: The output folder, where the rows' pictures are.
        rows: In the order of the worklist.
        facts: What holds for all of them.
        bundle: What scored them; its model card goes into the report.
        most_cards: The most images it shows. The rest are lines of the table
            that link to their pictures in the folder.

    Raises:
        OSError: If it cannot be written; an earlier report stays then.
    """
    part = out / "report.html.part"
    try:
        with part.open("w", encoding="utf-8") as stream:
            for piece in _pieces(out, rows, facts, bundle, most_cards):
                stream.write(piece + "\n")
        os.replace(part, out / "report.html")
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _pieces(out, rows, facts, bundle, most_cards) -> Iterator[str]:
    carded = [n for n, row in enumerate(rows, start=1) if row.overlay][:most_cards]
    yield _head(len(rows))
    yield _introduction(rows, facts)
    yield "<main>"
    yield _legend(facts.modality)
    columns = _COLUMNS if facts.modality == "xray" else _COLUMNS[:-2]
    yield from _worklist(rows, set(carded), columns)
    if carded:
        yield '<h2 id="images">Images</h2>'
        yield _shown(rows, len(carded))
        yield '<div class="cards">'
        for number in carded:
            yield card(number, rows[number - 1], out)
        yield "</div>"
    yield "</main>"
    yield _model(facts, bundle)
    yield "</body>\n</html>"


def _head(count):
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>covseg triage: {_images(count)}</title>
<style>{STYLE}</style>
</head>
<body>"""


def _introduction(rows, facts):
    area = (
        "the <i>projected</i> lung area, not of lung volume"
        if facts.modality == "xray"
        else "the lung volume (of a single slice: of its lung area)"
    )
    kind = "X-ray" if facts.modality == "xray" else "CT"
    return f"""<header>
<h1>Chest {kind} triage</h1>
<p class="soft">Model <b>{safe(facts.model)}</b>, covseg {safe(facts.covseg_version)},
finished {safe(facts.finished.replace("T", " ").replace("Z", " UTC"))}. Most involved
first.</p>
<p class="notice"><b>Research use only.</b> Not a medical device. Percent of
{area}. Every image needs a reader.</p>
<nav aria-label="Show in the worklist">
{_counts(rows)}
</nav>
</header>"""


def _counts(rows):
    tally = dict.fromkeys(("all", "scored", "flagged", "unread"), 0)
    for row in rows:
        for kind in ("all", *_kinds(row)):
            tally[kind] += 1
    texts = {
        "all": "in all",
        "scored": "scored",
        "flagged": "flagged",
        "unread": "could not be read",
    }
    items = "".join(
        f'<li><a href="#{kind}"><b>{tally[kind]}</b> {text}</a></li>'
        for kind, text in texts.items()
    )
    return f'<ul class="counts">{items}</ul>'


def _legend(modality):
    scores = """<li><b>Extent</b> 0 to 8: each lung 0 none, 1 below 25 %, 2 to 50 %,
3 to 75 %, 4 above. <b>Zones</b> 0 to 6: thirds of each lung's height; an involved one
is shaded.</li>"""
    return f"""<details open><summary>How to read it</summary>
<ul class="legend">
<li><span class="swatch lung"></span>Lungs as found, outlined.</li>
<li><span class="swatch spot"></span>Infection as found, shaded and outlined.</li>
<li><b>Right and left are the patient's</b>: R is on the left of the picture. That holds
for a film hung as usual; a mirrored one is not noticed.</li>
{scores if modality == "xray" else ""}
<li><b>–</b>: no number, because it would be a guess; the line says why.</li>
</ul></details>"""


def _worklist(rows, carded, columns) -> Iterator[str]:
    heads = "".join(
        f'<th scope="col" class="{style}">{name}</th>' for style, name in columns
    )
    marks = "".join(
        f'<span id="{key}"></span>' for key in ("all", "scored", "flagged", "unread")
    )
    yield f"""<section>{marks}
<h2 id="worklist">Worklist</h2>
<p class="part"><a href="#all">Show all lines</a></p>
<div class="scroll" tabindex="0" role="region" aria-labelledby="worklist">
<table class="list"><thead><tr>{heads}</tr></thead>
<tbody>"""
    for number, row in enumerate(rows, start=1):
        yield _line(number, row, number in carded, columns)
    yield "</tbody></table></div></section>"


def _line(number, row, has_card, columns):
    file, note = titled(row.file), note_of(row)
    if has_card:
        file = f'<a href="#image-{number}">{file}</a>'
    elif row.overlay:
        file = f'<a href="{safe(_address(row.overlay))}">{file}</a>'
    if note:
        bad = " bad" if row.error else ""
        file += f' <span class="flag{bad}">{safe(note)}</span>'
    involved = percent(row.involved_percent) + bar(row.involved_percent)
    right, left = (
        percent(value)
        for value in (row.involved_percent_right, row.involved_percent_left)
    )
    extent, zones = ("–" if v is None else str(v) for v in (row.extent, row.zones))
    cells = ("", file, involved, right, left, extent, zones)
    line = f'<tr class="{" ".join(_kinds(row))}"><td class="n">{number}</td>'
    line += f'<th scope="row" class="file">{file}</th>'
    for (style, _), cell in list(zip(columns, cells, strict=False))[2:]:
        line += f'<td class="{style}">{cell}</td>'
    return line + "</tr>"


def _shown(rows, count):
    total = sum(bool(row.overlay) for row in rows)
    if count == total:
        return ""
    return (
        f'<p class="notice">The {count} most urgent of {_images(total)} are shown '
        "here, so that the page stays small. The others are lines of the worklist "
        "that link to their picture in the folder <b>overlays</b> beside this file.</p>"
    )


def _model(facts, bundle):
    path = bundle.folder / CARD
    text = path.read_text("utf-8") if path.is_file() else "It comes without a card."
    return f"""<footer>
<details><summary>Model card of {safe(facts.model)}</summary>
<pre>{"".join(safe(line) + chr(10) for line in text.splitlines())}</pre></details>
<p class="soft">Model SHA-256 {facts.model_sha256}, threshold {facts.threshold:g}.
Started {safe(facts.started)}, finished {safe(facts.finished)}. The same worklist, with
more columns: report.csv, report.json. Research use only; not a medical device.</p>
</footer>"""


def _kinds(row):
    if row.error:
        return ("unread",)
    flagged = ("flagged",) if note_of(row) else ()
    return flagged + (() if row.involved_percent is None else ("scored",))


def _address(path):
    return urllib.parse.quote(path)


def _images(count):
    return "1 image" if count == 1 else f"{count} images"

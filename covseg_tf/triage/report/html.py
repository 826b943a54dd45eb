"""The HTML report: one file, no script, nothing fetched.

`templates/report.html` is its one source: the browser page saves the same.
"""

import base64
import dataclasses
import functools
import html
import itertools
import os
import pathlib
import struct
import sys
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from covseg_tf.edge.bundle import CARD, Bundle
from covseg_tf.edge.printable import printable
from covseg_tf.triage.record import RunFacts, TriageRow
from covseg_tf.triage.record.names import LAYERS
from covseg_tf.triage.record.output import whole_file
from covseg_tf.triage.report.trust import trust_line
from covseg_tf.triage.report.words import (
    UNSURE_SIDES,
    change_of,
    headings,
    note_of,
    percent,
    remarks_of,
    rounded,
    who_is,
)

if TYPE_CHECKING:
    import jinja2

# At about 30 KB each: 6 MB, which a phone still opens.
MOST_CARDS = 200
REPORT = "report.html"
# Lines of the table, and characters of what is in them; the tables hold the others.
_MOST_LINES, _MOST_TEXT = 5000, 1_000_000
# Characters of pictures per card, on average; and of a name or a reason.
_PICTURES, _LONGEST = 35_000, 300
_TEMPLATES = pathlib.Path(__file__).parent / "templates"


def write_report(
    out: pathlib.Path,
    rows: Sequence[TriageRow],
    facts: RunFacts,
    bundle: Bundle,
    most_cards: int = MOST_CARDS,
    journal: str = "",
) -> None:
    """Writes `report.html`, one image at a time; everything from files is escaped.

    Args:
        out: The output folder, where the rows' pictures are.
        rows: In the order of the worklist.
        facts: What holds for all of them.
        bundle: What scored them; its model card goes into the report.
        most_cards: The most images it shows of those that were scored; of those
            that were not it shows as many, and at least `MOST_CARDS`. The rest are
            lines of the table that link to their pictures in the folder; so are
            pictures that would make the page too large.
        journal: Digest of the journal that the rows are from.

    Raises:
        OSError: If it cannot be written; an earlier report stays then.
    """
    context = report_context(rows, facts, bundle, most_cards)
    context["journal"] = journal
    context["cards"] = _with_pictures(context["cards"], out, most_cards)
    with whole_file(out / REPORT, sync=True) as stream:
        for piece in environment().get_template(REPORT).generate(context):
            stream.write(piece.encode())


def is_written_from(out: pathlib.Path, journal: str) -> bool:
    """Whether `report.html` holds the rows of a journal, all of them.

    Args:
        out: The output folder, where the report is.
        journal: Digest of the journal.
    """
    with (out / REPORT).open("rb") as stream:
        head = stream.read(1000)
    return f'name="covseg-journal" content="{journal}"'.encode() in head


@functools.cache
def environment() -> "jinja2.Environment":
    """Returns what reads and fills the report's templates.

    Whatever is filled in is made printable and escaped; a name that is not there is
    an error.
    """
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        bytecode_cache=_compiled(jinja2),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: printable(value) if isinstance(value, str) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "images": lambda count: "1 image" if count == 1 else f"{count} images",
        "percent": percent,
        "rounded": rounded,
        "whole": lambda value: f"{rounded(value)} %",
    }
    return made


def _compiled(jinja2):
    """Keeps compiled templates as Python keeps modules: a tenth of a short run."""
    folder = _TEMPLATES / "__pycache__"
    if sys.dont_write_bytecode:
        return None
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    can_keep = os.access(folder, os.W_OK)
    return jinja2.FileSystemBytecodeCache(str(folder)) if can_keep else None


def report_context(
    rows: Sequence[TriageRow], facts: RunFacts, bundle: Bundle, most_cards: int
) -> dict[str, Any]:
    """Returns what the template is filled with; the cards have no pictures yet.

    Args:
        rows: In the order of the worklist.
        facts: What holds for all of them.
        bundle: What scored them.
        most_cards: The most scored images that get a card.
    """
    views = [_view(*line) for line in _lines(rows)]
    for is_scored, most in _most_of_each(most_cards).items():
        alike = [view for view in views if view["is_scored"] == is_scored]
        for view in alike[most:]:
            view["link"] = urllib.parse.quote(view["overlay"])
    scored = sum(row.is_scored for row in rows)
    path = bundle.folder / CARD
    card = path.read_text("utf-8") if path.is_file() else "It comes without a card."
    kinds = [kind for row in rows for kind in _kinds(row).split()]
    times = {
        "started": facts.started,
        "finished": facts.finished.replace("T", " ").replace("Z", " UTC"),
    }
    return times | {
        "model": facts.model,
        "model_sha256": facts.model_sha256,
        "model_card": card.splitlines(),
        "modality": facts.modality,
        "threshold": facts.threshold,
        "version": facts.covseg_version,
        "place": "",
        "trust": trust_line(bundle),
        "tally": {"all": len(rows)}
        | {kind: kinds.count(kind) for kind in ("scored", "flagged", "unread")},
        "most_cards": most_cards,
        "left_out": scored > most_cards,
        "journal": "",
        "lines_left_out": len(rows) - len(views),
        "rows": views,
        "cards": [view for view in views if view["link"].startswith("#")],
    }


def _most_of_each(most_cards):
    """Cards by whether they are of scored images: the others all want a reader."""
    return {True: most_cards, False: max(most_cards, MOST_CARDS)}


def _lines(rows):
    """The lines that the table has room for, as arguments of `_view`.

    Thousands are no page for a reader. What was not scored leaves half of it to the
    most involved.
    """
    places = list(zip(itertools.count(1), rows, headings(rows), strict=False))
    for block in (False, True):
        alike = (each for each in places if each[1].is_scored == block)
        left = _MOST_TEXT // 2
        for each in itertools.islice(alike, _MOST_LINES // 2):
            text = _clipped(each[1].file) + _clipped(note_of(each[1]))
            left -= len(html.escape(text).encode("utf-8", "replace"))
            if left < 0:
                break
            yield each


def _clipped(text):
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} … {text[-half:]}"


def _view(number, row, heading):
    row = dataclasses.replace(row, file=_clipped(row.file))
    folder, slash, name = row.file.rstrip("/").rpartition("/")
    shown = f"slice {row.shown_slice} of {row.file}" if row.shown_slice else row.file
    return row.to_dict() | {
        "number": number,
        "heading": heading,
        "name": name if slash else row.file,
        "folder": (folder or "/") if slash else "",
        "link": f"#image-{number}",
        "kinds": _kinds(row),
        "is_scored": row.is_scored,
        "note": _clipped(note_of(row)),
        "who": _clipped(who_is(row)),
        "change": change_of(row),
        "remarks": [_clipped(text) for text in remarks_of(row)],
        "has_sides": not UNSURE_SIDES & set(row.flags),
        "shown": shown,
        "film": "",
        "paint": "",
        "elsewhere": "",
        "width": 0,
        "height": 0,
    }


def _kinds(row):
    if row.error:
        return "unread"
    kinds = {"flagged": note_of(row), "scored": row.is_scored}
    return " ".join(kind for kind, holds in kinds.items() if holds)


def _with_pictures(views, out, most_cards) -> Iterator[dict[str, Any]]:
    # What was not scored comes first, and must leave room for what was.
    most = _most_of_each(most_cards)
    left = {True: most[True] * _PICTURES * 2 // 3, False: most[False] * _PICTURES // 3}
    for view in views:
        pictures = (
            _pictures(view, out) if view["overlay"] else {"film": "", "paint": ""}
        )
        left[view["is_scored"]] -= len(pictures["film"]) + len(pictures["paint"])
        if left[view["is_scored"]] < 0:
            pictures = {"elsewhere": urllib.parse.quote(view["overlay"])}
        yield view | pictures


def _pictures(view, out):
    layer = out / LAYERS / pathlib.PurePath(view["overlay"]).name
    if any(path.is_symlink() for path in (layer, layer.with_suffix(".png"))):
        return {"film": "", "paint": ""}  # it may show any file of this machine
    paint = layer.with_suffix(".png").read_bytes()
    width, height = struct.unpack(">II", paint[16:24])  # of the PNG's IHDR
    return {
        "film": _data("jpeg", layer.read_bytes()),
        "paint": _data("png", paint) if view["is_scored"] else "",
        "width": width,
        "height": height,
    }


def _data(kind, data):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"

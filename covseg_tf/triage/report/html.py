"""The HTML report: one file, no script, nothing fetched.

`templates/report.html` is its one source: the browser page saves the same.
"""

import base64
import functools
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
from covseg_tf.triage.record.output import LAYERS
from covseg_tf.triage.report.trust import trust_line
from covseg_tf.triage.report.words import (
    UNSURE_SIDES,
    headings,
    note_of,
    percent,
    remarks_of,
    rounded,
)

if TYPE_CHECKING:
    import jinja2

# At about 30 KB each: 6 MB, which a phone still opens.
MOST_CARDS = 200
_TEMPLATES = pathlib.Path(__file__).parent / "templates"


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
        most_cards: The most scored images it shows. The rest are lines of the
            table that link to their pictures in the folder. What was not scored
            is always shown.

    Raises:
        OSError: If it cannot be written; an earlier report stays then.
    """
    context = report_context(rows, facts, bundle, most_cards)
    context["cards"] = _with_pictures(context["cards"], out)
    part = out / "report.html.part"
    try:
        with part.open("w", encoding="utf-8") as stream:
            pieces = environment().get_template("report.html").generate(context)
            stream.writelines(pieces)
        os.replace(part, out / "report.html")
    except OSError:
        part.unlink(missing_ok=True)
        raise


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
    views = [_view(*each) for each in zip(itertools.count(1), rows, headings(rows))]
    scored = [view for view in views if view["involved_percent"] is not None]
    for view in scored[most_cards:]:
        view["link"] = urllib.parse.quote(view["overlay"])
    path = bundle.folder / CARD
    card = path.read_text("utf-8") if path.is_file() else "It comes without a card."
    kinds = [kind for view in views for kind in view["kinds"].split()]
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
        "left_out": len(scored) > most_cards,
        "rows": views,
        "cards": [view for view in views if view["link"].startswith("#")],
    }


def _view(number, row, heading):
    folder, slash, name = row.file.rstrip("/").rpartition("/")
    shown = f"slice {row.shown_slice} of {row.file}" if row.shown_slice else row.file
    return row.to_dict() | {
        "number": number,
        "heading": heading,
        "name": name if slash else row.file,
        "folder": (folder or "/") if slash else "",
        "link": f"#image-{number}",
        "kinds": _kinds(row),
        "note": note_of(row),
        "remarks": remarks_of(row),
        "has_sides": not UNSURE_SIDES & set(row.flags),
        "shown": shown,
        "film": "",
        "paint": "",
        "width": 0,
        "height": 0,
    }


def _kinds(row):
    if row.error:
        return "unread"
    kinds = {"flagged": note_of(row), "scored": row.is_scored}
    return " ".join(kind for kind, holds in kinds.items() if holds)


def _with_pictures(views, out) -> Iterator[dict[str, Any]]:
    for view in views:
        yield view | _pictures(view, out) if view["overlay"] else view


def _pictures(view, out):
    layer = out / LAYERS / pathlib.PurePath(view["overlay"]).name
    paint = layer.with_suffix(".png").read_bytes()
    width, height = struct.unpack(">II", paint[16:24])  # of the PNG's IHDR
    is_scored = view["involved_percent"] is not None
    return {
        "film": _data("jpeg", layer.read_bytes()),
        "paint": _data("png", paint) if is_scored else "",
        "width": width,
        "height": height,
    }


def _data(kind, data):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"

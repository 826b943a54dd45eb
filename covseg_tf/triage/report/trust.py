"""How far to trust a number: one line of what was measured of its model."""

import re

from covseg_tf.edge.bundle import CARD, Bundle
from covseg_tf.triage.report.words import rounded

_MEASURED = re.compile(r"^## Measured\s+(.+?\d+ (?:images|slices))", re.M)
# Of the table "By finding": films of COVID-19 on which nothing was painted.
_LEFT_EMPTY = re.compile(
    r"of these nothing painted.*\n.*\n\| COVID-19 (?:\|[^|\n]*){4}\| ([\d.]+) %"
)


def trust_line(bundle: Bundle) -> str:
    """Returns how often a model paints healthy films and leaves infected ones empty.

    Args:
        bundle: The model; its metrics and its card say it, or that it was not
            measured.
    """
    path = bundle.folder / CARD
    card = path.read_text("utf-8") if path.is_file() else ""
    measured = bundle.metrics.get("int8") or bundle.metrics.get("float") or {}
    healthy = measured.get("left_empty", {}).get("Normal")
    painted = None if healthy is None else 100 * (1 - healthy)
    missed = _LEFT_EMPTY.search(card)
    where = _MEASURED.search(card)
    return (
        f"How far to trust {bundle.name}: healthy images painted, {_share(painted)}; "
        f"infected ones left empty, {_share(missed and float(missed[1]))}"
        f"{f' ({where[1]})' if where else ''}."
    )


def _share(value):
    return "not measured" if value is None else f"{rounded(value)} %"

"""The worklist on the screen."""

from collections.abc import Sequence

from covseg_tf.edge.printable import printable
from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.report.words import note_of, percent

_MOST_LINES = 50


def worklist_text(rows: Sequence[TriageRow]) -> str:
    """Returns the worklist as lines of text, the fifty most urgent at most.

    Args:
        rows: In the order of the worklist.
    """
    lines = [f"{'#':>4}  {'involved':>8}  {'right':>7}  {'left':>7}  {'ext':>3}  image"]
    lines += [_line(n, row) for n, row in enumerate(rows[:_MOST_LINES], start=1)]
    if len(rows) > _MOST_LINES:
        lines.append(f"... and {len(rows) - _MOST_LINES} more in report.csv")
    return "\n".join([*lines, "", _summary(rows)])


def _line(number, row):
    numbers = (
        f"{percent(row.involved_percent):>8}",
        f"{percent(row.involved_percent_right):>7}",
        f"{percent(row.involved_percent_left):>7}",
        f"{'–' if row.extent is None else row.extent:>3}",
    )
    note = note_of(row)
    return (
        f"{number:>4}  {'  '.join(numbers)}  {printable(row.file)}"
        f"{'  ! ' + printable(note) if note else ''}"
    )


def _summary(rows):
    unread = sum(bool(row.error) for row in rows)
    flagged = sum(bool(note_of(row)) for row in rows) - unread
    scored = sum(row.involved_percent is not None for row in rows)
    images = "1 image" if len(rows) == 1 else f"{len(rows)} images"
    return f"{images}: {scored} scored, {flagged} flagged, {unread} could not be read"

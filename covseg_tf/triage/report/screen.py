"""The worklist on the screen."""

import itertools
from collections.abc import Mapping, Sequence

from covseg_tf.edge.bundle import Bundle
from covseg_tf.edge.printable import printable
from covseg_tf.imaging import left_out_text
from covseg_tf.triage.record import TriageRow
from covseg_tf.triage.report.trust import trust_line
from covseg_tf.triage.report.words import headings, note_of, percent, rounded

_MOST_LINES = 50


def worklist_text(
    rows: Sequence[TriageRow], bundle: Bundle, left_out: Mapping[str, int]
) -> str:
    """Returns the worklist as lines of text, of each block the fifty first at most.

    Args:
        rows: In the order of the worklist.
        bundle: What scored them.
        left_out: How many files are not listed, by reason.
    """
    lines = [f"{'#':>4}  {'ext':>3}  {'involved':>9}  {'right':>9}  {'left':>9}  image"]
    above = headings(rows)
    starts = [index for index, heading in enumerate(above) if heading] or [0]
    for start, end in itertools.pairwise([*starts, len(rows)]):
        lines += above[start : start + 1] if any(above) else []
        last = min(end, start + _MOST_LINES)
        lines += [_line(index + 1, rows[index]) for index in range(start, last)]
        if last < end:
            lines.append(f"... and {end - last} more in report.csv")
    told = [printable(left_out_text(left_out))] if left_out else []
    return "\n".join([*lines, "", _summary(rows), *told, trust_line(bundle)])


def _line(number, row):
    percents = (
        row.involved_percent,
        row.involved_percent_right,
        row.involved_percent_left,
    )
    numbers = (
        f"{'–' if row.extent is None else rounded(row.extent):>3}",
        *(f"{percent(value):>9}" for value in percents),
    )
    note = note_of(row)
    return (
        f"{number:>4}  {'  '.join(numbers)}  {printable(row.file)}"
        f"{'  ! ' + printable(note) if note else ''}"
    )


def _summary(rows):
    unread = sum(bool(row.error) for row in rows)
    flagged = sum(bool(note_of(row)) for row in rows) - unread
    scored = sum(row.is_scored for row in rows)
    images = "1 image" if len(rows) == 1 else f"{len(rows)} images"
    return f"{images}: {scored} scored, {flagged} flagged, {unread} could not be read"

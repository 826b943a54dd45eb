"""Films of one patient, where rows say whose they are."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.record.worklist import urgency


def by_patient(rows: Sequence[TriageRow]) -> list[TriageRow]:
    """Brings the scored films of a patient together, oldest first.

    Films are of one patient if both number and name are the same: two hospitals may
    give out one number twice. What was not scored stays on top, and a patient stands
    where the most involved film would.

    Args:
        rows: Rows in any order.

    Returns:
        All of them in that order. One that follows an older film of its patient has
        its `change_percent`.
    """
    groups: defaultdict[tuple[str, str], list[TriageRow]] = defaultdict(list)
    loose: list[TriageRow] = []
    for row in sorted(rows, key=urgency):
        patient = _patient(row)
        (groups[patient] if patient else loose).append(row)
    alike = [[row] for row in loose] + [_changes(group) for group in groups.values()]
    alike.sort(key=lambda group: min(map(urgency, group)))
    return [row for group in alike for row in group]


def _patient(row):
    who = row.identity or {}
    if not row.is_scored or not who.get("patient_id"):
        return None
    return who["patient_id"], who["patient_name"].casefold()


def _changes(group):
    # Without a date nothing is older or newer.
    dated = sorted(
        (row for row in group if row.identity["study_date"]),
        key=lambda row: (row.identity["study_date"], row.file),
    )
    found, before = [], None
    for row in dated:
        if before and row.identity["study_date"] > before.identity["study_date"]:
            change = row.involved_percent - before.involved_percent
            row = dataclasses.replace(row, change_percent=change)
        found.append(row)
        before = row
    return found + [row for row in group if not row.identity["study_date"]]

"""The worklist as CSV and JSON."""

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from typing import Any

from covseg_tf.imaging.dicom.identity import IDENTITY
from covseg_tf.triage.record import RunFacts, TriageRow

FORMAT, FORMAT_VERSION = "covseg_triage", 3
_ZONES = tuple(
    f"{side}_{third}"
    for side in ("right", "left")
    for third in ("upper", "middle", "lower")
)


def to_json(rows: Sequence[TriageRow], facts: RunFacts) -> str:
    """Returns the text of `report.json`.

    Args:
        rows: In the order of the worklist.
        facts: What holds for all of them.
    """
    document: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION}
    document |= dataclasses.asdict(facts)
    document["research_use_only"] = True
    document["images"] = [row.to_dict() for row in rows]
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def to_csv(rows: Sequence[TriageRow], facts: RunFacts) -> str:
    """Returns the text of `report.csv`, one line per row.

    The columns are those of a JSON row, with one column per zone, and those of
    `facts` that say which model gave the numbers. Text that a spreadsheet would
    run as a formula is preceded by an apostrophe. Where a row says whose film it is,
    all have those columns too.

    Args:
        rows: In the order of the worklist.
        facts: What holds for all of them.
    """
    names = [name for name in TriageRow("").to_dict() if name != "zone_percents"]
    zones = {f"percent_{zone}": zone for zone in _ZONES}
    who = [*IDENTITY, "change_percent"] if any(row.identity for row in rows) else []
    about = {
        key: getattr(facts, key)
        for key in ("model", "model_sha256", "threshold", "covseg_version")
    }
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, [*names, *zones, *who, *about])
    writer.writeheader()
    for row in rows:
        fields = row.to_dict()
        percents = fields.pop("zone_percents") or {}
        fields |= {column: percents.get(zone) for column, zone in zones.items()}
        fields |= fields.pop("identity", None) or {}
        fields["flags"] = " ".join(row.flags)
        fields["notes"] = "; ".join(row.notes)
        writer.writerow({k: _cell(v) for k, v in (fields | about).items()})
    return stream.getvalue()


def _cell(value):
    if value is None:
        return ""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value

"""The worklist as CSV and JSON."""

import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from covseg_tf.triage.row import TriageRow

FORMAT, FORMAT_VERSION = "covseg_triage", 2
_SCHEMA = pathlib.Path(__file__).parent / "worklist.schema.json"
_ZONES = tuple(
    f"{side}_{third}"
    for side in ("right", "left")
    for third in ("upper", "middle", "lower")
)


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What holds for all rows of a run.

    Attributes:
        model: Name of the model.
        model_sha256: SHA-256 of its TFLite file.
        modality: `"xray"` or `"ct"`, what it was made for.
        threshold: Probability above which a pixel is foreground.
        covseg_version: Version of this package.
        started: ISO 8601 in UTC; of the first run if it was gone on with.
        finished: Likewise; empty while it runs.
    """

    model: str
    model_sha256: str
    modality: str
    threshold: float
    covseg_version: str
    started: str
    finished: str = ""


def schema_text() -> str:
    """Returns the JSON schema (draft 2020-12) of `report.json`."""
    return _SCHEMA.read_text("utf-8")


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
    run as a formula is preceded by an apostrophe.

    Args:
        rows: In the order of the worklist.
        facts: What holds for all of them.
    """
    names = [name for name in TriageRow("").to_dict() if name != "zone_percents"]
    zones = {f"percent_{zone}": zone for zone in _ZONES}
    about = {
        key: getattr(facts, key)
        for key in ("model", "model_sha256", "threshold", "covseg_version")
    }
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, [*names, *zones, *about])
    writer.writeheader()
    for row in rows:
        fields = row.to_dict()
        percents = fields.pop("zone_percents") or {}
        fields |= {column: percents.get(zone) for column, zone in zones.items()}
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

"""What holds for a whole worklist, its order and its schema."""

import dataclasses
import pathlib

from covseg_tf.triage.record.row import TriageRow

_SCHEMA = pathlib.Path(__file__).parent / "worklist.schema.json"


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
        left_out: How many files were found and not listed, by reason.
    """

    model: str
    model_sha256: str
    modality: str
    threshold: float
    covseg_version: str
    started: str
    finished: str = ""
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)


def schema_text() -> str:
    """Returns the JSON schema (draft 2020-12) of `report.json`."""
    return _SCHEMA.read_text("utf-8")


def urgency(row: TriageRow) -> tuple:
    """Returns the key that sorts a worklist.

    What needs a reader because it was not scored comes first, of that what could
    not be read last; then the most involved.

    Args:
        row: A row of it.
    """
    return (row.is_scored, bool(row.error), -(row.involved_percent or 0.0), row.file)

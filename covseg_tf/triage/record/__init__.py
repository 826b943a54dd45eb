"""What is kept of a run: its rows, its journal, its folder."""

from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.record.worklist import RunFacts, schema_text, urgency

__all__ = ["RunFacts", "TriageRow", "schema_text", "urgency"]

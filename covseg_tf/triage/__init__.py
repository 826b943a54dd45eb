"""Triage: from files as they come to a worklist, masks and a report."""

from covseg_tf.triage.film import Film, Volume
from covseg_tf.triage.run import TriageRow, triage
from covseg_tf.triage.sources import Source, find_sources

__all__ = [
    "Film",
    "Source",
    "TriageRow",
    "Volume",
    "find_sources",
    "triage",
]

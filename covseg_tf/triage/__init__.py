"""Triage: from files as they come to a worklist, masks and a report."""

from covseg_tf.imaging import Film, Source, Volume, find_sources
from covseg_tf.triage.overlay import draw_overlay
from covseg_tf.triage.row import TriageRow
from covseg_tf.triage.run import triage

__all__ = [
    "Film",
    "Source",
    "TriageRow",
    "Volume",
    "draw_overlay",
    "find_sources",
    "triage",
]

"""Triage: from files as they come to a worklist, masks and a report."""

from covseg_tf.imaging.film import Film, Volume
from covseg_tf.imaging.sources.find_sources import Source, find_sources
from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.report.overlay import draw_overlay
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

"""What a run leaves for its readers: pages, tables, pictures, DICOM objects."""

from covseg_tf.triage.report.html import MOST_CARDS, write_report
from covseg_tf.triage.report.overlay import draw_overlay
from covseg_tf.triage.report.tables import to_csv, to_json

__all__ = ["MOST_CARDS", "draw_overlay", "to_csv", "to_json", "write_report"]

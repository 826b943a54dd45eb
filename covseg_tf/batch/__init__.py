"""Batch: a million images through Apache Beam, one row for each.

Needs `pip install 'covseg-tf[beam]'`; no other part imports this one.
"""

from covseg_tf.batch.find_images import FindImages, ImageSource
from covseg_tf.batch.model_handler import SegmenterModelHandler
from covseg_tf.batch.run import BatchReport, run_batch
from covseg_tf.batch.triage_images import TriageImages

__all__ = [
    "BatchReport",
    "FindImages",
    "ImageSource",
    "SegmenterModelHandler",
    "TriageImages",
    "run_batch",
]

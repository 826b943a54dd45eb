"""Metrics per image: Keras metrics, and the same in NumPy."""

from covseg_tf.metrics.dice_score import DiceScore
from covseg_tf.metrics.f_measure import FMeasure
from covseg_tf.metrics.f_measure_reference import (
    adaptive_f_measure,
    f_measure_curve,
    summarize_f_measure,
)
from covseg_tf.metrics.iou_score import IoUScore
from covseg_tf.metrics.mean_absolute_error import MeanAbsoluteError
from covseg_tf.metrics.reference import image_scores, summarize

__all__ = [
    "DiceScore",
    "FMeasure",
    "IoUScore",
    "MeanAbsoluteError",
    "adaptive_f_measure",
    "f_measure_curve",
    "image_scores",
    "summarize",
    "summarize_f_measure",
]

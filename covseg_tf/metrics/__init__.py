"""Keras metrics, per image; `covseg_tf.evaluation` has the same in NumPy."""

from covseg_tf.metrics.dice_score import DiceScore
from covseg_tf.metrics.f_measure import FMeasure
from covseg_tf.metrics.iou_score import IoUScore
from covseg_tf.metrics.mean_absolute_error import MeanAbsoluteError

__all__ = ["DiceScore", "FMeasure", "IoUScore", "MeanAbsoluteError"]

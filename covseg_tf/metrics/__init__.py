"""Per-image metrics: streaming Keras metrics and their NumPy reference."""

from covseg_tf.metrics.dice_score import DiceScore
from covseg_tf.metrics.iou_score import IoUScore
from covseg_tf.metrics.mean_absolute_error import MeanAbsoluteError
from covseg_tf.metrics.reference import image_scores, summarize

__all__ = ["DiceScore", "IoUScore", "MeanAbsoluteError", "image_scores", "summarize"]

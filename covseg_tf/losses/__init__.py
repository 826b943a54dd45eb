"""Losses: pure functions per image, and thin Keras classes over them."""

from covseg_tf.losses.combined_segmentation_loss import CombinedSegmentationLoss
from covseg_tf.losses.functional import (
    combined_segmentation_loss,
    soft_iou_loss,
    structural_similarity,
    structural_similarity_loss,
)

__all__ = [
    "CombinedSegmentationLoss",
    "combined_segmentation_loss",
    "soft_iou_loss",
    "structural_similarity",
    "structural_similarity_loss",
]

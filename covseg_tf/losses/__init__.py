"""Losses: pure functions per image, and thin Keras classes over them."""

from covseg_tf.losses.combined_segmentation_loss import CombinedSegmentationLoss
from covseg_tf.losses.extent import (
    ExtentLoss,
    extent_bounds,
    extent_loss,
    pack_extents,
)
from covseg_tf.losses.functional import (
    combined_segmentation_loss,
    soft_iou_loss,
    structural_similarity,
    structural_similarity_loss,
)
from covseg_tf.losses.presence import PresenceLoss
from covseg_tf.losses.soft_iou import SoftIoULoss
from covseg_tf.losses.ssim import StructuralSimilarityLoss

__all__ = [
    "CombinedSegmentationLoss",
    "ExtentLoss",
    "PresenceLoss",
    "SoftIoULoss",
    "StructuralSimilarityLoss",
    "combined_segmentation_loss",
    "extent_bounds",
    "extent_loss",
    "pack_extents",
    "soft_iou_loss",
    "structural_similarity",
    "structural_similarity_loss",
]

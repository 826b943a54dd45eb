"""The loss of the dual-flow network, for one flow."""

import keras

from covseg_tf.losses.functional import combined_segmentation_loss
from covseg_tf.losses.per_image_loss import PerImageLoss


@keras.saving.register_keras_serializable(package="covseg_tf")
class CombinedSegmentationLoss(PerImageLoss):
    """Loss of one flow: `BCE + (1 - SSIM) + (1 - softIoU)` on probabilities.

    Use one instance per output; see `combined_segmentation_loss` for the terms
    and `soft_iou_loss` for the policy on empty masks (an empty mask predicted
    empty costs 0 in the IoU term and has a gradient when painted).

    Source: He, Wong and Yoo, poster "Integrating Dual-Supervision and Region
    Fusion Attention for COVID-19 Image Segmentation".

    Args:
        bce_weight: Float >= 0. Defaults to 1.
        ssim_weight: Float >= 0. Defaults to 1.
        iou_weight: Float >= 0. Defaults to 1.
        smooth: Float > 0, pixels added to intersection and union. Defaults
            to 1.
        reduction: Keras reduction over the batch. Defaults to
            `"sum_over_batch_size"`.
        name: Defaults to `"combined_segmentation_loss"`.

    Raises:
        ValueError: If a weight is negative, all are 0, or `smooth` is not
            positive.

    Example:

    >>> loss = CombinedSegmentationLoss()
    >>> empty = keras.ops.zeros((1, 64, 64, 1))
    >>> bool(loss(empty, empty) < 1e-5)
    True
    """

    def __init__(
        self,
        bce_weight: float = 1.0,
        ssim_weight: float = 1.0,
        iou_weight: float = 1.0,
        smooth: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str = "combined_segmentation_loss",
        **kwargs,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        weights = (bce_weight, ssim_weight, iou_weight)
        if min(weights) < 0 or not any(weights):
            raise ValueError(
                "The weights must be >= 0 and not all 0. Received: "
                f"bce_weight={bce_weight}, ssim_weight={ssim_weight}, "
                f"iou_weight={iou_weight}"
            )
        if smooth <= 0:
            raise ValueError(f"`smooth` must be positive. Received: smooth={smooth}")
        self.bce_weight = bce_weight
        self.ssim_weight = ssim_weight
        self.iou_weight = iou_weight
        self.smooth = smooth

    def call(self, y_true, y_pred):
        return combined_segmentation_loss(
            y_true,
            y_pred,
            bce_weight=self.bce_weight,
            ssim_weight=self.ssim_weight,
            iou_weight=self.iou_weight,
            smooth=self.smooth,
        )

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "bce_weight": self.bce_weight,
                "ssim_weight": self.ssim_weight,
                "iou_weight": self.iou_weight,
                "smooth": self.smooth,
            }
        )
        return config

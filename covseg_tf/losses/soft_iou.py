"""The overlap term of the combined loss, usable alone."""

import keras

from covseg_tf.losses.functional import soft_iou_loss
from covseg_tf.losses.per_image_loss import PerImageLoss


@keras.saving.register_keras_serializable(package="covseg_tf")
class SoftIoULoss(PerImageLoss):
    """Loss `1 - softIoU` on probability maps, in `[0, 1]`.

    See `soft_iou_loss` for the formula and the policy on empty masks.

    Args:
        smooth: Float > 0, pixels added to intersection and union. Defaults
            to 1.
        reduction: Keras reduction over the batch. Defaults to
            `"sum_over_batch_size"`.
        name: Defaults to `"soft_iou_loss"`.
        **kwargs: Passed to `keras.losses.Loss`.

    Raises:
        ValueError: If `smooth` is not positive.

    Example:

    >>> full, half = keras.ops.ones((1, 8, 8, 1)), keras.ops.ones((1, 8, 8, 1)) / 2
    >>> round(float(SoftIoULoss()(full, half)), 3)  # 1 - (32 + 1) / (64 + 1)
    0.492
    """

    def __init__(
        self,
        smooth: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str = "soft_iou_loss",
        **kwargs,
    ):
        super().__init__(reduction=reduction, name=name, **kwargs)
        if smooth <= 0:
            raise ValueError(f"`smooth` must be positive. Received: smooth={smooth}")
        self.smooth = smooth

    def call(self, y_true, y_pred):
        return soft_iou_loss(y_true, y_pred, self.smooth)

    def get_config(self):
        return {**super().get_config(), "smooth": self.smooth}

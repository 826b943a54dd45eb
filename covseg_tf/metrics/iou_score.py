"""Intersection over union per image."""

import keras
from keras import ops

from covseg_tf.metrics.per_image_metric import PerImageMetric


@keras.saving.register_keras_serializable(package="covseg_tf")
class IoUScore(PerImageMetric):
    """Mean over images of `|P and G| / |P or G|`, in `[0, 1]`.

    Two empty masks score 1. Arguments, protocols and errors: see
    `PerImageMetric`.
    """

    def __init__(self, threshold=0.5, protocol="all_images", name="iou", **kwargs):
        super().__init__(threshold, protocol, name=name, **kwargs)

    def score(self, y_true, y_pred):
        both, truth, guess = self.overlap(y_true, y_pred)
        union = truth + guess - both
        return ops.where(
            union > 0, both / ops.maximum(union, 1.0), ops.ones_like(union)
        )

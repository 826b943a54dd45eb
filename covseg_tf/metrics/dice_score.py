"""Dice per image."""

import keras
from keras import ops

from covseg_tf.metrics.per_image_metric import PerImageMetric


@keras.saving.register_keras_serializable(package="covseg_tf")
class DiceScore(PerImageMetric):
    """Mean over images of `2 |P and G| / (|P| + |G|)`, in `[0, 1]`.

    Two empty masks score 1. Arguments, protocols and errors: see
    `PerImageMetric`.

    Example:

    >>> metric = DiceScore(protocol="lesions")
    >>> metric.update_state(keras.ops.ones((1, 4, 4, 1)), keras.ops.ones((1, 4, 4, 1)))
    >>> float(metric.result())
    1.0
    """

    def __init__(self, threshold=0.5, protocol="all_images", name="dice", **kwargs):
        super().__init__(threshold, protocol, name=name, **kwargs)

    def score(self, y_true, y_pred):
        both, truth, guess = self.overlap(y_true, y_pred)
        sizes = truth + guess
        return ops.where(
            sizes > 0, 2.0 * both / ops.maximum(sizes, 1.0), ops.ones_like(sizes)
        )

"""Mean absolute error of the soft map per image."""

import keras
from keras import ops

from covseg_tf.metrics.per_image_metric import PerImageMetric


@keras.saving.register_keras_serializable(package="covseg_tf")
class MeanAbsoluteError(PerImageMetric):
    """Mean over images of the mean of `|p - g|`, on the soft map, in `[0, 1]`.

    Unlike `keras.metrics.MeanAbsoluteError` it knows the protocols of
    `PerImageMetric`. `threshold` is not used.
    """

    def __init__(self, threshold=0.5, protocol="all_images", name="mae", **kwargs):
        super().__init__(threshold, protocol, name=name, **kwargs)
        self._direction = "down"

    def score(self, y_true, y_pred):
        return ops.mean(ops.abs(y_pred - y_true), axis=(1, 2, 3))

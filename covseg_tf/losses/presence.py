"""Does an image show a lesion at all: the loss of a presence head."""

import keras
from keras import ops

from covseg_tf.losses.per_image_loss import PerImageLoss


@keras.saving.register_keras_serializable(package="covseg_tf")
class PresenceLoss(PerImageLoss):
    """Binary cross-entropy of "this image's mask is not empty".

    Args:
        reduction: Keras reduction over the batch. Defaults to
            `"sum_over_batch_size"`.
        name: Defaults to `"presence_loss"`.
        **kwargs: Passed to `keras.losses.Loss`.

    Call arguments:
        y_true: Masks `(batch, height, width, 1)` of 0 and 1.
        y_pred: Probabilities `(batch, 1, 1, 1)` in `[0, 1]`; of a map of any other
            size its highest counts.

    Example:

    >>> masks = keras.ops.zeros((1, 8, 8, 1))
    >>> loss = PresenceLoss()(masks, keras.ops.full((1, 1, 1, 1), 0.25))
    >>> round(float(loss), 3)  # -ln 0.75
    0.288
    """

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str = "presence_loss",
        **kwargs,
    ):
        super().__init__(reduction=reduction, name=name, **kwargs)

    def call(self, y_true, y_pred):
        axes = (1, 2, 3)
        said = ops.max(y_pred, axis=axes, keepdims=True)
        shown = ops.cast(ops.max(y_true, axis=axes, keepdims=True) > 0.5, said.dtype)
        return ops.binary_crossentropy(shown, said)[:, 0, 0, 0]

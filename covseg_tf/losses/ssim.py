"""The boundary term of the combined loss, usable alone."""

import keras

from covseg_tf.losses.functional import structural_similarity_loss
from covseg_tf.losses.per_image_loss import PerImageLoss


@keras.saving.register_keras_serializable(package="covseg_tf")
class StructuralSimilarityLoss(PerImageLoss):
    """Loss `1 - SSIM` on probability maps, in `[0, 2]`.

    See `structural_similarity`; it equals `1 - tf.image.ssim(..., 1.0)`.

    Args:
        filter_size: Int >= 1, side of the Gaussian window in pixels. Defaults
            to 11.
        sigma: Float > 0, standard deviation of the window. Defaults to 1.5.
        reduction: Keras reduction over the batch. Defaults to
            `"sum_over_batch_size"`.
        name: Defaults to `"structural_similarity_loss"`.
        **kwargs: Passed to `keras.losses.Loss`.

    Raises:
        ValueError: If `filter_size` or `sigma` is out of range; at the call,
            if an image is smaller than the window.

    Example:

    >>> image = keras.random.uniform((1, 16, 16, 1))
    >>> bool(StructuralSimilarityLoss()(image, image) < 1e-5)
    True
    """

    def __init__(
        self,
        filter_size: int = 11,
        sigma: float = 1.5,
        reduction: str = "sum_over_batch_size",
        name: str = "structural_similarity_loss",
        **kwargs,
    ):
        super().__init__(reduction=reduction, name=name, **kwargs)
        if filter_size < 1 or sigma <= 0:
            raise ValueError(
                "`filter_size` must be at least 1 and `sigma` positive. "
                f"Received: filter_size={filter_size}, sigma={sigma}"
            )
        self.filter_size = filter_size
        self.sigma = sigma

    def call(self, y_true, y_pred):
        return structural_similarity_loss(y_true, y_pred, self.filter_size, self.sigma)

    def get_config(self):
        return {
            **super().get_config(),
            "filter_size": self.filter_size,
            "sigma": self.sigma,
        }

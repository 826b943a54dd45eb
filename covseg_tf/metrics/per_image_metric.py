"""Base of the metrics that score each image and average over images."""

import keras
from keras import ops

PROTOCOLS = ("lesions", "all_images")


class PerImageMetric(keras.metrics.Metric):
    """Mean over images of a score per image; subclasses give `score`.

    Args:
        threshold: Float in `(0, 1)`; a probability above it is foreground.
            Defaults to 0.5.
        protocol: `"all_images"` (default): every image counts, and an empty
            mask predicted empty has Dice and IoU 1, painted 0. `"lesions"`:
            only images whose mask is not empty count.
        name: Name of the metric.
        score_shape: For subclasses: shape of one image's score. Defaults to
            `()`, a number.
        **kwargs: Passed to `keras.metrics.Metric`.

    Raises:
        ValueError: If `threshold` or `protocol` is out of range.
    """

    def __init__(
        self,
        threshold: float = 0.5,
        protocol: str = "all_images",
        name: str | None = None,
        score_shape: tuple[int, ...] = (),
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if not 0 < threshold < 1:
            raise ValueError(
                f"`threshold` must be in (0, 1). Received: threshold={threshold}"
            )
        if protocol not in PROTOCOLS:
            raise ValueError(
                f"`protocol` must be one of {PROTOCOLS}. "
                f"Received: protocol={protocol!r}"
            )
        self.threshold = threshold
        self.protocol = protocol
        self._direction = "up"
        self.total = self.add_variable(
            tuple(score_shape), initializer="zeros", name="total"
        )
        self.count = self.add_variable((), initializer="zeros", name="count")

    def score(self, y_true, y_pred):
        """Returns the score per image, `(batch, *score_shape)`, of float32 maps."""
        raise NotImplementedError

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = ops.cast(ops.convert_to_tensor(y_true), "float32")
        y_pred = ops.cast(ops.convert_to_tensor(y_pred), "float32")
        if len(y_true.shape) == 3:
            y_true = ops.expand_dims(y_true, -1)
        weight = ops.ones_like(y_true[:, 0, 0, 0])
        if self.protocol == "lesions":
            filled = ops.any(y_true > 0.5, axis=(1, 2, 3))
            weight = weight * ops.cast(filled, "float32")
        if sample_weight is not None:
            weight = weight * ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        scores = self.score(y_true, y_pred)
        self.total.assign_add(ops.tensordot(weight, scores, axes=[[0], [0]]))
        self.count.assign_add(ops.sum(weight))

    def result(self):
        return ops.divide_no_nan(self.total, self.count)

    def overlap(self, y_true, y_pred):
        """Returns `(intersection, size of mask, size of prediction)`."""
        truth = ops.cast(y_true > 0.5, "float32")
        guess = ops.cast(y_pred > self.threshold, "float32")
        axes = (1, 2, 3)
        return (
            ops.sum(truth * guess, axis=axes),
            ops.sum(truth, axis=axes),
            ops.sum(guess, axis=axes),
        )

    def get_config(self):
        config = super().get_config()
        config.update({"threshold": self.threshold, "protocol": self.protocol})
        return config

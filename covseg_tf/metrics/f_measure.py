"""F-measure per image, over 256 thresholds."""

import keras
from keras import ops

from covseg_tf.metrics.per_image_metric import PerImageMetric

BETA_SQUARED = 0.3  # as in Achanta et al. 2009
LEVELS = 256
_MODES = ("max", "mean", "adaptive")


@keras.saving.register_keras_serializable(package="covseg_tf")
class FMeasure(PerImageMetric):
    """F-measure `(1 + b) P R / (b P + R)`, `b` being `beta_squared`.

    Definitions, source and the policy for empty masks: see
    `covseg_tf.evaluation.f_measure_curve`, the same in NumPy.

    Args:
        mode: `"max"` (default), the maximum over thresholds of the curve that
            is the mean over images; `"mean"`, the mean of that curve;
            `"adaptive"`, each image at twice its mean probability.
        beta_squared: Float > 0, weight of precision. Defaults to 0.3.
        protocol: `"lesions"` (default) or `"all_images"`, see
            `PerImageMetric`.
        name: Defaults to `"f_max"`, `"f_mean"` or `"f_adaptive"`.
        **kwargs: Passed to `keras.metrics.Metric`.

    Raises:
        ValueError: If `mode`, `beta_squared` or `protocol` is out of range.

    Example:

    >>> metric = FMeasure()
    >>> metric.update_state(keras.ops.ones((1, 4, 4, 1)), keras.ops.ones((1, 4, 4, 1)))
    >>> float(metric.result())
    1.0
    """

    def __init__(
        self,
        mode: str = "max",
        beta_squared: float = BETA_SQUARED,
        protocol: str = "lesions",
        name: str | None = None,
        **kwargs,
    ):
        if mode not in _MODES:
            raise ValueError(f"`mode` must be one of {_MODES}. Received: mode={mode!r}")
        if not beta_squared > 0:
            raise ValueError(
                "`beta_squared` must be positive. "
                f"Received: beta_squared={beta_squared}"
            )
        super().__init__(
            protocol=protocol,
            name=name or f"f_{mode}",
            score_shape=() if mode == "adaptive" else (LEVELS,),
            **kwargs,
        )
        self.mode = mode
        self.beta_squared = beta_squared

    def score(self, y_true, y_pred):
        count = y_pred.shape[1] * y_pred.shape[2] * y_pred.shape[3]
        truth = ops.reshape(ops.cast(y_true > 0.5, "float32"), (-1, count))
        guess = ops.reshape(y_pred, (-1, count))
        if self.mode == "adaptive":
            return self._adaptive(truth, guess)
        level = ops.cast(ops.floor(guess * 255.0), "int32")
        hits, painted = (_count_at_or_above(level, w) for w in (truth, None))
        size = ops.sum(truth, axis=1, keepdims=True)
        return self._f(hits, painted, size)

    def result(self):
        curve = super().result()
        if self.mode == "max":
            return ops.max(curve)
        return ops.mean(curve)

    def _adaptive(self, truth, guess):
        threshold = ops.minimum(2.0 * ops.mean(guess, axis=1, keepdims=True), 1.0)
        painted = ops.cast(guess >= threshold, "float32")
        hits = ops.sum(painted * truth, axis=1)
        size = ops.sum(truth, axis=1)
        # An empty mask asks whether the map is 0 in 8 bits.
        visible = ops.sum(ops.cast(guess * 255.0 >= 1.0, "float32"), axis=1)
        count = ops.where(size > 0, ops.sum(painted, axis=1), visible)
        return self._f(hits, count, size)

    def _f(self, hits, painted, size):
        precision = hits / ops.maximum(painted, 1.0)
        recall = hits / ops.maximum(size, 1.0)
        top = (1.0 + self.beta_squared) * precision * recall
        bottom = self.beta_squared * precision + recall
        value = ops.where(top > 0, top / ops.where(top > 0, bottom, 1.0), 0.0)
        empty = ops.cast(ops.equal(painted, 0), "float32")
        return ops.where(size > 0, value, empty)

    def get_config(self):
        config = super().get_config()
        config.pop("threshold")  # all 256 are used
        return {**config, "mode": self.mode, "beta_squared": self.beta_squared}


def _count_at_or_above(level, weight):
    """Pixels (or their weight) per image at or above each level, (batch, 256)."""
    images = ops.shape(level)[0]
    ids = level + LEVELS * ops.expand_dims(ops.arange(images, dtype="int32"), -1)
    weight = ops.ones_like(level, dtype="float32") if weight is None else weight
    counts = ops.segment_sum(
        ops.reshape(weight, (-1,)),
        ops.reshape(ids, (-1,)),
        num_segments=images * LEVELS,
    )
    counts = ops.reshape(counts, (-1, LEVELS))
    return ops.flip(ops.cumsum(ops.flip(counts, axis=1), axis=1), axis=1)

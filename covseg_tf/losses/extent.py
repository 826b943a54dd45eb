"""What a reader's score of a lung says about the share of it that is involved."""

import keras
from keras import ops

QUARTERS = 4
_SCORE_WIDTH = 0.26  # a quarter, and what single precision adds to it


def extent_bounds(score: float | None) -> tuple[float, float]:
    """Returns the shares of a lung that a reader's extent score allows.

    A score of 0 means none, 1 below a quarter, up to 4: above three quarters. So a
    score `s` stands for the shares from `(s - 1) / 4` to `s / 4`; the mean of two
    readers, which may be a half, for the interval around it of the same width.

    Source: Wong et al. 2020, doi:10.1148/radiol.2020201160, as used by RALO.

    Args:
        score: In `[0, 4]`, or `None` where nobody scored this lung.

    Returns:
        `(low, high)` in `[0, 1]`; `(0, 1)`, which allows everything, for `None`.

    Raises:
        ValueError: If the score is out of range.
    """
    if score is None:
        return 0.0, 1.0
    if not 0 <= score <= QUARTERS:
        raise ValueError(
            f"An extent of one lung lies in [0, {QUARTERS}]; a total of both lungs "
            f"(0 to 8) cannot be used here. Received: {score}"
        )
    return max(0.0, (score - 1) / QUARTERS), score / QUARTERS


def extent_loss(y_true, y_pred, center: float = 0.0):
    """Returns how far the involved share of each region is from its interval.

    The share of a region is the mean of `y_pred` over it, so that the gradient
    spreads over the whole region. Inside its interval it costs nothing; outside, the
    distance. A region without pixels costs nothing, and neither does one whose
    interval is `(0, 1)`: that is the policy for a missing score.

    Args:
        y_true: `(batch, height, width, 3)`: which region a pixel is in (0: none, 1:
            the patient's right lung, 2: the left one; or any two regions), and the
            lowest and highest share of that region, as `pack_extents` lays them.
        y_pred: Probabilities `(batch, height, width, 1)`.
        center: Float >= 0: what the distance from the middle of an interval costs
            besides, where the interval is no wider than a quarter: a reader who says
            "25 to 50 %" mostly sees something between. Defaults to 0.

    Returns:
        Float32 tensor `(batch,)`, the mean over the two regions, in `[0, 1]` for a
        `center` of 0.

    Raises:
        ValueError: If the shapes do not fit.
    """
    y_true = ops.cast(ops.convert_to_tensor(y_true), "float32")
    y_pred = ops.cast(ops.convert_to_tensor(y_pred), "float32")
    if len(y_true.shape) != 4 or y_true.shape[-1] != 3 or y_pred.shape[-1] != 1:
        raise ValueError(
            "`y_true` must be (batch, height, width, 3): region, low, high; `y_pred` "
            f"(batch, height, width, 1). Received: {tuple(y_true.shape)} and "
            f"{tuple(y_pred.shape)}"
        )
    region, low, high = (y_true[..., i] for i in range(3))
    total = 0.0
    for label in (1.0, 2.0):
        inside = ops.cast(ops.equal(region, label), "float32")
        area = ops.maximum(ops.sum(inside, axis=(1, 2)), 1.0)
        share, lowest, highest = (
            ops.sum(x * inside, axis=(1, 2)) / area for x in (y_pred[..., 0], low, high)
        )
        total += ops.relu(lowest - share) + ops.relu(share - highest)
        if center:
            is_score = ops.cast(highest - lowest < _SCORE_WIDTH, "float32")
            off = ops.abs(share - (lowest + highest) / 2.0)
            total += center * is_score * off
    return total / 2.0


def pack_extents(regions, bounds):
    """Returns the `y_true` of `extent_loss`.

    Args:
        regions: `(batch, height, width, 1)`, 0, 1 and 2.
        bounds: `(batch, 2, 2)`: of region 1 and 2, the lowest and highest share.

    Returns:
        Float32 tensor `(batch, height, width, 3)`.
    """
    regions = ops.cast(regions, "float32")
    bounds = ops.cast(bounds, "float32")[:, None, None]  # (batch, 1, 1, 2, 2)
    first, second = (ops.cast(ops.equal(regions, x), "float32") for x in (1.0, 2.0))
    return ops.concatenate(
        [regions, first * bounds[..., 0, :] + second * bounds[..., 1, :]], axis=-1
    )


@keras.saving.register_keras_serializable(package="covseg_tf")
class ExtentLoss(keras.losses.Loss):
    """Interval loss for readers' extent scores per lung; see `extent_loss`.

    Weak supervision for films that nobody outlined: a score of a lung says between
    which shares of it lie involved. For a network's readers' map
    (`AnnotatorStyle`), beside `CombinedSegmentationLoss` on its outlines.

    Args:
        center: See `extent_loss`. Defaults to 0.
        reduction: Keras reduction over the batch. Defaults to
            `"sum_over_batch_size"`.
        name: Defaults to `"extent_loss"`.

    Example:

    >>> regions = keras.ops.ones((1, 8, 8, 1))
    >>> bounds = [[extent_bounds(2), extent_bounds(None)]]  # 25 to 50 %
    >>> y_true = pack_extents(regions, keras.ops.array(bounds))
    >>> half_right = keras.ops.full((1, 8, 8, 1), 0.75)
    >>> round(float(ExtentLoss()(y_true, half_right)), 4)  # (0.75 - 0.5) / 2
    0.125
    """

    def __init__(
        self,
        center: float = 0.0,
        reduction: str = "sum_over_batch_size",
        name: str = "extent_loss",
        dtype=None,
    ):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        if not center >= 0:
            raise ValueError(f"`center` must be at least 0. Received: {center}")
        self.center = center

    def call(self, y_true, y_pred):
        return extent_loss(y_true, y_pred, self.center)

    def get_config(self):
        return super().get_config() | {"center": self.center}

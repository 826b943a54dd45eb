"""Per-image loss functions on probability maps.

Every function takes `y_true` (mask, as `read_masks` takes it) and `y_pred`
(probabilities, not logits) of shape `(batch, height, width, 1)` and returns one
value per image, shape `(batch,)`, in float32.
"""

from keras import ops

from covseg_tf.losses.masks import read_masks

_K1, _K2 = 0.01, 0.03


def soft_iou_loss(y_true, y_pred, smooth: float = 1.0):
    """Returns `1 - softIoU` per image, in `[0, 1]`.

    `softIoU = (sum(p g) + s) / (sum p + sum g - sum(p g) + s)`.

    The policy for empty masks: with `smooth = s > 0` an empty mask predicted
    empty costs exactly 0, and each pixel painted on it costs, with a gradient
    that pushes it away. (Without smoothing the first case is 0/0 and the
    second has no gradient, as in the authors' released code.)

    Args:
        y_true: Masks `(batch, height, width, 1)`.
        y_pred: Probabilities of the same shape.
        smooth: Float > 0, in pixels. Defaults to 1.

    Returns:
        Float32 tensor `(batch,)`.

    Raises:
        ValueError: If the shapes differ or `smooth` is not positive.
    """
    if smooth <= 0:
        raise ValueError(f"`smooth` must be positive. Received: smooth={smooth}")
    y_true, y_pred = _prepare(read_masks(y_true), y_pred)
    intersection = _per_image(ops.sum, y_true * y_pred)
    union = _per_image(ops.sum, y_true) + _per_image(ops.sum, y_pred) - intersection
    return 1.0 - (intersection + smooth) / (union + smooth)


def structural_similarity(y_true, y_pred, filter_size: int = 11, sigma: float = 1.5):
    """Returns the mean structural similarity (SSIM) per image, in `[-1, 1]`.

    Gaussian window, no padding, dynamic range 1, K1 = 0.01, K2 = 0.03: what
    `tf.image.ssim(..., max_val=1.0)` computes.

    Source: Wang et al. 2004, "Image Quality Assessment: From Error Visibility
    to Structural Similarity".

    Args:
        y_true: Images `(batch, height, width, channels)` in `[0, 1]`.
        y_pred: Images of the same shape.
        filter_size: Int, side of the window in pixels. Defaults to 11.
        sigma: Float, standard deviation of the window. Defaults to 1.5.

    Returns:
        Float32 tensor `(batch,)`.

    Raises:
        ValueError: If the shapes differ, or an image is smaller than the
            window.
    """
    y_true, y_pred = _prepare(y_true, y_pred)
    for size in y_true.shape[1:3]:
        if size is not None and size < filter_size:
            raise ValueError(
                f"SSIM needs images of at least {filter_size}x{filter_size} "
                f"pixels; use a smaller `filter_size`. Received shape: "
                f"{tuple(y_true.shape)}"
            )
    channels = y_true.shape[-1]
    moments = ops.concatenate(
        [y_true, y_pred, y_true * y_true + y_pred * y_pred, y_true * y_pred], axis=-1
    )
    blurred = _gaussian_blur(moments, filter_size, sigma)
    mean_t = blurred[..., :channels]
    mean_p = blurred[..., channels : 2 * channels]
    squares = blurred[..., 2 * channels : 3 * channels]
    products = blurred[..., 3 * channels :]
    c1, c2 = _K1**2, _K2**2
    mean_products = mean_t * mean_p
    mean_squares = mean_t * mean_t + mean_p * mean_p
    luminance = (2.0 * mean_products + c1) / (mean_squares + c1)
    structure = (2.0 * (products - mean_products) + c2) / (squares - mean_squares + c2)
    return _per_image(ops.mean, luminance * structure)


def structural_similarity_loss(y_true, y_pred, filter_size=11, sigma=1.5):
    """Returns `1 - structural_similarity(...)` per image, in `[0, 2]`.

    Arguments, shapes and errors as for `structural_similarity`.
    """
    return 1.0 - structural_similarity(y_true, y_pred, filter_size, sigma)


def combined_segmentation_loss(
    y_true,
    y_pred,
    bce_weight: float = 1.0,
    ssim_weight: float = 1.0,
    iou_weight: float = 1.0,
    smooth: float = 1.0,
):
    """Returns `BCE + (1 - SSIM) + (1 - softIoU)` per image, each weighted.

    A term of weight 0 is not computed.

    Source: He, Wong and Yoo (see `DualFlowSegmenter`).

    Args:
        y_true: Masks `(batch, height, width, 1)`.
        y_pred: Probabilities of the same shape.
        bce_weight: Weight of the binary cross-entropy. Defaults to 1.
        ssim_weight: Weight of `1 - SSIM`. Defaults to 1.
        iou_weight: Weight of `1 - softIoU`. Defaults to 1.
        smooth: See `soft_iou_loss`.

    Returns:
        Float32 tensor `(batch,)`, non-negative.

    Raises:
        ValueError: If the shapes differ.
    """
    y_true, y_pred = _prepare(read_masks(y_true), y_pred)
    total = 0.0
    if bce_weight:
        total += bce_weight * _per_image(
            ops.mean, ops.binary_crossentropy(y_true, y_pred)
        )
    if ssim_weight:
        total += ssim_weight * structural_similarity_loss(y_true, y_pred)
    if iou_weight:
        total += iou_weight * soft_iou_loss(y_true, y_pred, smooth)
    return total


def _prepare(y_true, y_pred):
    y_pred = ops.cast(ops.convert_to_tensor(y_pred), "float32")
    y_true = ops.cast(ops.convert_to_tensor(y_true), "float32")
    same = len(y_true.shape) == len(y_pred.shape) == 4 and all(
        a is None or b is None or a == b
        for a, b in zip(y_true.shape, y_pred.shape, strict=True)
    )
    if not same:
        raise ValueError(
            "y_true and y_pred must both have the shape (batch, height, width, "
            f"channels). Received: y_true.shape={tuple(y_true.shape)}, "
            f"y_pred.shape={tuple(y_pred.shape)}"
        )
    return y_true, y_pred


def _per_image(reduce, x):
    return reduce(x, axis=(1, 2, 3))


def _gaussian_blur(x, filter_size, sigma):
    """Separable Gaussian filter per channel, valid padding."""
    # Blurring twice down the columns of the transposed image filters both axes.
    for _ in range(2):
        x = ops.transpose(_blur_columns(x, filter_size, sigma), (0, 2, 1, 3))
    return x


def _blur_columns(x, filter_size, sigma):
    # One product with a banded matrix: every backend multiplies matrices fast, and
    # not every one a depthwise convolution or its gradient.
    _, height, width, channels = ops.shape(x)
    kept = height - filter_size + 1
    step = ops.arange(height) - ops.expand_dims(ops.arange(kept), 1)
    offset = ops.cast(step, "float32") - (filter_size - 1) / 2
    band = ops.where(
        ops.abs(offset) < filter_size / 2, ops.exp(-(offset**2) / (2 * sigma**2)), 0.0
    )
    band = band / ops.sum(band, axis=1, keepdims=True)
    x = ops.matmul(band, ops.reshape(x, (-1, height, width * channels)))
    return ops.reshape(x, (-1, kept, width, channels))

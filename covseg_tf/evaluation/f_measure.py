"""The F-measures of the poster in plain NumPy, as PySODMetrics defines them."""

from collections.abc import Sequence

import numpy as np

BETA_SQUARED = 0.3
LEVELS = 256


def f_measure_curve(
    mask: np.ndarray, probability: np.ndarray, beta_squared: float = BETA_SQUARED
) -> np.ndarray:
    """Returns the F-measure of one image at 256 thresholds.

    `F = (1 + b) P R / (b P + R)` with precision `P`, recall `R` and `b` the
    `beta_squared`; 0 where nothing is shared. An empty mask scores 1 at the
    thresholds that no pixel reaches and 0 at the others.

    Source: Achanta et al. 2009, "Frequency-tuned salient region detection";
    equal to `py_sod_metrics.Fmeasure` without its min-max normalization.

    Args:
        mask: Array `(height, width)`, non-zero is foreground.
        probability: Float array of the same shape, in `[0, 1]`.
        beta_squared: Weight of precision. Defaults to 0.3.

    Returns:
        float64 `(256,)`; element `t` counts a pixel as foreground if
        `floor(255 p) >= t`.

    Raises:
        ValueError: If the shapes differ or a probability is outside `[0, 1]`.
    """
    mask, probability = _check(mask, probability)
    level = (probability * 255).astype(np.uint8)
    hits, painted = (
        np.cumsum(np.bincount(x, minlength=LEVELS)[::-1])[::-1]
        for x in (level[mask], level.ravel())
    )
    size = np.count_nonzero(mask)
    if size == 0:
        return (painted == 0).astype(np.float64)
    precision = hits / np.maximum(painted, 1)
    recall = hits / size
    return _f(precision, recall, beta_squared)


def adaptive_f_measure(
    mask: np.ndarray, probability: np.ndarray, beta_squared: float = BETA_SQUARED
) -> float:
    """Returns the F-measure of one image at twice its mean probability.

    The threshold is at most 1 and counts as reached by an equal pixel. An empty
    mask scores 1 if the map is 0 in 8 bits, else 0. Arguments, source and
    errors as for `f_measure_curve`.
    """
    mask, probability = _check(mask, probability)
    if not mask.any():
        return float(not (probability * 255 >= 1).any())
    painted = probability >= min(2 * probability.mean(), 1)
    hits = np.count_nonzero(painted & mask)
    if hits == 0:
        return 0.0
    precision = hits / np.count_nonzero(painted)
    return float(_f(precision, hits / np.count_nonzero(mask), beta_squared))


def summarize_f_measure(
    masks: Sequence[np.ndarray],
    probabilities: Sequence[np.ndarray],
    protocol: str = "lesions",
    beta_squared: float = BETA_SQUARED,
) -> dict[str, float]:
    """Returns the maximum, mean and adaptive F-measure over images.

    Args:
        masks: One array `(height, width)` per image.
        probabilities: Likewise, in `[0, 1]`.
        protocol: `"lesions"` (default), the images whose mask is not empty, or
            `"all_images"`.
        beta_squared: Weight of precision. Defaults to 0.3.

    Returns:
        Dict of `images`; `f_max`, the maximum of the mean curve, and the level
        `f_max_threshold` it is at, in `[0, 255]`; `f_mean`, the mean of the
        mean curve; `f_adaptive`; and the population standard deviation over
        images of each, `f_max_std` being that at the maximum's level. NaN
        where no image counts.

    Raises:
        ValueError: If the protocol is unknown, or what `f_measure_curve`
            raises.
    """
    if protocol not in ("all_images", "lesions"):
        raise ValueError(
            "`protocol` must be 'all_images' or 'lesions'. "
            f"Received: protocol={protocol!r}"
        )
    pairs = [
        (mask, probability)
        for mask, probability in zip(masks, probabilities, strict=True)
        if protocol == "all_images" or np.any(mask)
    ]
    if not pairs:
        means = ("f_max", "f_mean", "f_adaptive")
        names = (*means, *(f"{name}_std" for name in means), "f_max_threshold")
        return {"images": 0, **dict.fromkeys(names, float("nan"))}
    curves = np.array([f_measure_curve(m, p, beta_squared) for m, p in pairs])
    adaptive = np.array([adaptive_f_measure(m, p, beta_squared) for m, p in pairs])
    best = int(curves.mean(axis=0).argmax())
    means = curves.mean(axis=1)
    return {
        "images": len(pairs),
        "f_max": float(curves[:, best].mean()),
        "f_max_std": float(curves[:, best].std()),
        "f_max_threshold": best,
        "f_mean": float(means.mean()),
        "f_mean_std": float(means.std()),
        "f_adaptive": float(adaptive.mean()),
        "f_adaptive_std": float(adaptive.std()),
    }


def _f(precision, recall, beta_squared):
    top = (1 + beta_squared) * precision * recall
    return top / np.where(top == 0, 1, beta_squared * precision + recall)


def _check(mask, probability):
    mask, probability = np.asarray(mask) > 0, np.asarray(probability)
    if mask.shape != probability.shape:
        raise ValueError(
            "mask and probability must have one shape. Received: "
            f"{mask.shape} and {probability.shape}"
        )
    if probability.size and not (0 <= probability.min() <= probability.max() <= 1):
        raise ValueError(
            "Probabilities must lie in [0, 1]. Received values in "
            f"[{probability.min()}, {probability.max()}]"
        )
    return mask, probability

"""The metrics in plain NumPy: the reference, and what evaluation reports."""

from collections.abc import Mapping, Sequence

import numpy as np


def image_scores(
    mask: np.ndarray, probability: np.ndarray, threshold: float = 0.5
) -> dict[str, float]:
    """Scores one probability map against one mask.

    Args:
        mask: Array `(height, width)`, non-zero is foreground.
        probability: Array of the same shape, in `[0, 1]`.
        threshold: Foreground is above it. Defaults to 0.5.

    Returns:
        Dict of `dice`, `iou` (two empty masks score 1), `mae` (on the soft
        map), and `mask_pixels`, `predicted_pixels`.

    Raises:
        ValueError: If the shapes differ.
    """
    mask = np.asarray(mask) > 0
    probability = np.asarray(probability, dtype=np.float64)
    if mask.shape != probability.shape:
        raise ValueError(
            "mask and probability must have one shape. Received: "
            f"{mask.shape} and {probability.shape}"
        )
    guess = probability > threshold
    both = int(np.count_nonzero(mask & guess))
    truth, painted = int(np.count_nonzero(mask)), int(np.count_nonzero(guess))
    sizes = truth + painted
    return {
        "dice": 2.0 * both / sizes if sizes else 1.0,
        "iou": both / (sizes - both) if sizes else 1.0,
        "mae": float(np.abs(probability - mask).mean()),
        "mask_pixels": truth,
        "predicted_pixels": painted,
    }


def summarize(
    rows: Sequence[Mapping[str, float]], protocol: str = "all_images"
) -> dict[str, float]:
    """Returns mean and standard deviation over images, and their number.

    Args:
        rows: Results of `image_scores`.
        protocol: `"all_images"`, or `"lesions"` for the images whose mask is
            not empty.

    Returns:
        Dict `{"images": n, "dice": mean, "dice_std": ..., "iou": ..., ...}`;
        the standard deviation is that of the population. NaN where no image
        counts.

    Raises:
        ValueError: If the protocol is unknown.
    """
    if protocol not in ("all_images", "lesions"):
        raise ValueError(
            "`protocol` must be 'all_images' or 'lesions'. "
            f"Received: protocol={protocol!r}"
        )
    if protocol == "lesions":
        rows = [row for row in rows if row["mask_pixels"] > 0]
    summary: dict[str, float] = {"images": len(rows)}
    for key in ("dice", "iou", "mae"):
        values = np.array([row[key] for row in rows], dtype=np.float64)
        summary[key] = float(values.mean()) if len(values) else float("nan")
        summary[f"{key}_std"] = float(values.std()) if len(values) else float("nan")
    return summary

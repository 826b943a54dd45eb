"""Where a presence gate might close: scores on validation images."""

from collections.abc import Callable, Sequence

import numpy as np

from covseg_tf.data.load_sample import load_sample
from covseg_tf.data.sample import Sample
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.evaluation.rows import summarize_rows
from covseg_tf.evaluation.scores import image_scores


def presence_operating_points(
    gated_logits: Callable[[np.ndarray, Sequence[float]], np.ndarray],
    samples: Sequence[Sample],
    spec: PreprocessingSpec,
    shifts: Sequence[float],
    thresholds: Sequence[float] = (0.5,),
) -> list[dict]:
    """Scores a gated network for shifts of its presence logit, in one pass.

    A positive shift lets the gate close less often: fewer missed lesions, fewer
    healthy images left empty.

    Args:
        gated_logits: Takes prepared pixels, uint8 `(height, width)`, and shifts,
            and gives the infection logits `(shifts, height, width)`; from
            `covseg_tf.training.gated_logits`.
        samples: Validation images, never those of a test.
        spec: How pixels are prepared.
        shifts: Logits to add to the presence.
        thresholds: Probabilities above which a pixel is foreground; in (0, 1).

    Returns:
        One dict per shift and threshold: `shift`, `threshold`, `lesions` and
        `all_images` (mean infection Dice), `left_empty` (share by finding).

    Raises:
        ValueError: If a threshold is out of range.
    """
    points = [(float(s), float(t)) for s in shifts for t in thresholds]
    if any(not 0 < threshold < 1 for _, threshold in points):
        raise ValueError(f"`thresholds` must be in (0, 1). Received: {thresholds}")
    rows: dict = {point: [] for point in points}
    for sample in samples:
        pixels, _, mask = load_sample(sample, spec)
        logits = dict(
            zip(map(float, shifts), gated_logits(pixels, shifts), strict=True)
        )
        for shift, threshold in points:
            painted = logits[shift] > np.log(threshold / (1 - threshold))
            scores = image_scores(mask, painted)
            rows[shift, threshold].append(
                {"finding": sample.finding}
                | {f"infection_{key}": value for key, value in scores.items()}
            )
    return [
        {"shift": shift, "threshold": threshold} | _summary(rows[shift, threshold])
        for shift, threshold in points
    ]


def _summary(rows):
    summary = summarize_rows(rows)
    return {
        "lesions": summary["infection"]["lesions"]["dice"],
        "all_images": summary["infection"]["all_images"]["dice"],
        "left_empty": summary["left_empty"],
    }

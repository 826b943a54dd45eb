"""Fits the line from a map's share of a lung to the extent that readers give it."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from covseg_tf.data.load_sample import load_sample
from covseg_tf.data.sample import Sample
from covseg_tf.edge.prediction import Prediction
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.edge.readers import ReadersScale
from covseg_tf.evaluation.agreement import as_pairs


def readers_shares(
    run: Callable[[np.ndarray], dict[str, np.ndarray]],
    samples: Sequence[Sample],
    spec: PreprocessingSpec,
    scale: float = 1.0,
    offset: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the soft share of each lung that was scored, and its score.

    Args:
        run: From prepared pixels, uint8 `(height, width)`, to levels: probability
            times 256, by flow; `Segmenter.run`.
        samples: Any. Those with `extents` give their scores, healthy ones
            (`infection_free`) 0 for both lungs; others are left out, and so is a
            film on which the network finds no two lungs.
        spec: How pixels are prepared.
        scale: Of the logit, see `ReadersScale`.
        offset: Added to it.

    Returns:
        `(shares, extents)`, float64 `(lungs,)` each, for `fit_readers_scale`.
    """
    readers = ReadersScale(scale, offset, (0.0, 1.0), (0.0, 4.0))
    pairs = []
    for sample in samples:
        scores = (0.0, 0.0) if sample.infection_free else sample.extents
        if not scores:
            continue
        pixels = load_sample(sample, spec)[0]
        levels = run(pixels)
        found = Prediction(pixels.shape, levels["lung"], levels["infection"])
        for lung, score in zip(found.sides or (), scores, strict=False):
            if score is not None:
                pairs.append((readers.share(levels["infection"], lung), score))
    shares, extents = np.array(pairs, float).reshape(-1, 2).T
    return shares, extents


def fit_readers_scale(
    shares: ArrayLike,
    extents: ArrayLike,
    scale: float = 1.0,
    offset: float = 0.0,
    knots: int = 12,
) -> ReadersScale:
    """Returns the line from soft shares of lungs to readers' extents.

    Lungs are grouped by share, as many in each group; a knot is the mean of a group,
    and no knot lies below an earlier one.

    Args:
        shares: One per lung, in `[0, 1]`: the mean over it of
            `sigmoid(scale * z + offset)`, see `ReadersScale.share`.
        extents: What readers gave, in `[0, 4]`; 0 for healthy lungs.
        scale: Of the logit.
        offset: Added to it.
        knots: Number of groups, at least 2. Defaults to 12.

    Raises:
        ValueError: If the lengths differ, there are fewer lungs than groups, or all
            shares are one.
    """
    first, second = as_pairs(shares, extents)
    if not 2 <= knots <= len(first):
        raise ValueError(
            f"`knots` must be between 2 and the number of lungs, {len(first)}. "
            f"Received: {knots}"
        )
    groups = np.array_split(np.argsort(first, kind="stable"), knots)
    means = np.array([(first[g].mean(), second[g].mean()) for g in groups])
    line, kept = np.unique(means[:, 0], return_index=True)
    values = np.maximum.accumulate(means[kept, 1])
    return ReadersScale(float(scale), float(offset), tuple(line), tuple(values))

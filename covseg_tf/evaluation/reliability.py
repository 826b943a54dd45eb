"""Are the probabilities what they say? Reliability, calibration error, Brier score."""

from typing import NamedTuple

import numpy as np

from covseg_tf.evaluation.level_counts import LevelCounts


class ReliabilityCurve(NamedTuple):
    """Stated probability against observed frequency, bin by bin.

    Attributes:
        pixels: Number of pixels in each bin; a part of one where bins of equal
            size cut through a level.
        stated: Mean probability of each bin's pixels; NaN in an empty bin.
        observed: Share of them that is foreground; NaN in an empty bin.
    """

    pixels: np.ndarray
    stated: np.ndarray
    observed: np.ndarray


def reliability_curve(
    counts: LevelCounts, bins: int = 15, equal_size: bool = False
) -> ReliabilityCurve:
    """Returns the reliability diagram of counted pixels.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks"; bins of
    equal size: Nguyen and O'Connor 2015, "Posterior calibration and exploratory
    analysis for natural language processing models".

    Args:
        counts: The pixels. A level goes to the bin of its mean probability: exact
            for integer maps, and to 1/256 for float ones.
        bins: Number of bins, at least 1. Defaults to 15.
        equal_size: `False` (default): bins of equal width, `[0, 1 / bins)` and so
            on, the last one closed. `True`: bins of equally many pixels, from the
            lowest probability to the highest; the pixels of one level are alike,
            so a level that is cut gives each bin its share.

    Raises:
        ValueError: If there is no pixel or `bins` is below 1.
    """
    if bins < 1:
        raise ValueError(f"`bins` must be at least 1. Received: {bins}")
    if not counts.totals.sum():
        raise ValueError("No pixel was counted; give at least one image.")
    share = (_equal_size if equal_size else _equal_width)(counts, bins)
    pixels = share @ counts.totals
    divisor = np.where(pixels > 0, pixels, np.nan)
    return ReliabilityCurve(
        pixels, share @ counts.sums / divisor, share @ counts.positives / divisor
    )


def expected_calibration_error(
    counts: LevelCounts, bins: int = 15, equal_size: bool = False
) -> float:
    """Returns the mean gap of stated and observed, weighted by pixels.

    In `[0, 1]`, 0 is perfect. Many pixels that are trivially right, the background,
    make it small: count inside the lung mask to see the others. Source, errors and
    arguments: as for `reliability_curve`.
    """
    pixels, stated, observed = reliability_curve(counts, bins, equal_size)
    return float(np.nansum(pixels * np.abs(stated - observed)) / pixels.sum())


def maximum_calibration_error(counts: LevelCounts, bins: int = 15) -> float:
    """Returns the largest gap of stated and observed over the bins that hold pixels.

    In `[0, 1]`; bins of equal width. Source, errors and arguments: as for
    `reliability_curve`.
    """
    _, stated, observed = reliability_curve(counts, bins)
    return float(np.nanmax(np.abs(stated - observed)))


def brier_score(counts: LevelCounts) -> float:
    """Returns the mean squared difference of probability and truth, in `[0, 1]`.

    Source: Brier 1950, "Verification of forecasts expressed in terms of
    probability". Exact for integer maps; for float ones every pixel has its level's
    mean probability, an error below 1e-5.

    Args:
        counts: The pixels.

    Raises:
        ValueError: If there is no pixel.
    """
    total = counts.totals.sum()
    if not total:
        raise ValueError("No pixel was counted; give at least one image.")
    mean = counts.sums / np.maximum(counts.totals, 1)
    negatives = counts.totals - counts.positives
    return float(
        (counts.positives * (1 - mean) ** 2 + negatives * mean**2).sum() / total
    )


def fit_temperature(counts: LevelCounts, threshold: float = 0.5) -> float:
    """Returns what logits are to be divided by, so that probabilities come true.

    That of the lowest cross-entropy among 81 between a quarter and 4; logits are
    taken from the threshold's on, so that what is foreground stays foreground.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".

    Args:
        counts: Pixels of held-out images.
        threshold: Probability in (0, 1) that stays where it is, at 0.5 afterwards.

    Raises:
        ValueError: If there is no pixel, or the threshold is out of range.
    """
    if not counts.totals.sum() or not 0 < threshold < 1:
        raise ValueError(
            "Need a pixel, and a threshold in (0, 1). Received: "
            f"{counts.totals.sum()} pixels, {threshold}"
        )
    stated = counts.sums / np.maximum(counts.totals, 1)
    stated = np.clip(stated, 1 / 512, 1 - 1 / 512)
    logits = np.log(stated / (1 - stated)) - np.log(threshold / (1 - threshold))
    temperatures = np.geomspace(0.25, 4.0, 81)
    scaled = logits / temperatures[:, None]
    costs = counts.totals * np.logaddexp(0, scaled) - counts.positives * scaled
    return float(temperatures[np.argmin(costs.sum(axis=1))])


def area_under_roc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Returns the chance that a positive scores above a negative; ties count half.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a receiver
    operating characteristic (ROC) curve".

    Args:
        labels: `(n,)`, non-zero is positive.
        scores: `(n,)`, higher is more likely positive; of any scale.

    Returns:
        In `[0, 1]`; 0.5 is chance.

    Raises:
        ValueError: If the lengths differ or all labels are alike.

    Example:

    >>> area_under_roc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    labels, scores = np.asarray(labels) != 0, np.asarray(scores, float)
    positives = np.count_nonzero(labels)
    if labels.shape != scores.shape or not 0 < positives < len(labels):
        raise ValueError(
            "Need one score per label, and labels of both kinds. Received: "
            f"{labels.shape} labels, {positives} positive, {scores.shape} scores"
        )
    _, index, ties = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[index]  # mean rank of the tied
    excess = ranks[labels].sum() - positives * (positives + 1) / 2
    return float(excess / (positives * (len(labels) - positives)))


def _equal_width(counts, bins):
    """Share of each level in each bin, `(bins, levels)`: here 0 or 1."""
    mean = counts.sums / np.maximum(counts.totals, 1)
    number = np.minimum((mean * bins).astype(int), bins - 1)
    return (number == np.arange(bins)[:, None]).astype(float)


def _equal_size(counts, bins):
    ends = np.cumsum(counts.totals).astype(float)
    starts, edges = ends - counts.totals, np.linspace(0, ends[-1], bins + 1)
    low = np.maximum(starts, edges[:-1, None])
    high = np.minimum(ends, edges[1:, None])
    return np.maximum(high - low, 0) / np.maximum(counts.totals, 1)

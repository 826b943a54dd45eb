"""How far numbers agree with what readers gave: correlation, error, detection."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Estimate(NamedTuple):
    """A figure with its interval.

    Attributes:
        value: The figure on all images.
        low: Lower end of the interval.
        high: Upper end of the interval.
        images: Number of images.
    """

    value: float
    low: float
    high: float
    images: int


def pearson(given: ArrayLike, wanted: ArrayLike) -> float:
    """Returns the linear correlation of `given` and `wanted`, in `[-1, 1]`.

    NaN where one of them is constant.
    """
    first, second = as_pairs(given, wanted)
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def spearman(given: ArrayLike, wanted: ArrayLike) -> float:
    """Returns the correlation of the ranks of `given` and `wanted`.

    In `[-1, 1]`; equal values share a rank.
    """
    return pearson(*map(_ranks, as_pairs(given, wanted)))


def mean_error(given: ArrayLike, wanted: ArrayLike) -> float:
    """Returns the mean absolute difference of `given` and `wanted`."""
    first, second = as_pairs(given, wanted)
    return float(np.abs(first - second).mean())


def bootstrap(
    figure: Callable[[np.ndarray, np.ndarray], float],
    given: ArrayLike,
    wanted: ArrayLike,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Returns a figure of paired values with a percentile bootstrap interval.

    Resamples on which the figure is not defined (one class only, no spread) are
    left out. Images are drawn one by one: right where no patient has several.

    Args:
        figure: `pearson`, `spearman`, `mean_error` or the like: two arrays to a
            number.
        given: One value per image.
        wanted: What the readers say of it.
        resamples: Number of bootstrap samples. Defaults to 2000.
        confidence: Share of the distribution inside the interval, in `(0, 1)`.
        seed: Seed of the resampling.

    Raises:
        ValueError: If the lengths differ, a value is NaN, or there is no image.

    Example:

    >>> bootstrap(mean_error, [1, 2, 3, 4], [1, 2, 3, 6]).value
    0.5
    """
    first, second = as_pairs(given, wanted)
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(
            "`confidence` must be in (0, 1) and `resamples` at least 1. Received: "
            f"{confidence}, {resamples}"
        )
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        drawn = rng.integers(len(first), size=len(first))
        with np.errstate(all="ignore"):
            values.append(_or_nan(figure, first[drawn], second[drawn]))
    tail = (1 - confidence) / 2
    known = np.array(values)[~np.isnan(values)]
    low, high = np.quantile(known, [tail, 1 - tail]) if len(known) else (np.nan, np.nan)
    value = _or_nan(figure, first, second)
    return Estimate(float(value), float(low), float(high), len(first))


def _or_nan(figure, given, wanted):
    try:
        return figure(given, wanted)
    except ValueError:
        return float("nan")


def as_pairs(given: ArrayLike, wanted: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Returns two float lists of one length.

    Args:
        given: One number per image.
        wanted: Likewise.

    Raises:
        ValueError: If the lengths differ, a number is NaN, or there is none.
    """
    given, wanted = np.asarray(given, float), np.asarray(wanted, float)
    if given.ndim != 1 or given.shape != wanted.shape or not len(given):
        raise ValueError(
            "Need as many values as readers' values, at least one. Received the "
            f"shapes {given.shape} and {wanted.shape}"
        )
    if np.isnan(given).any() or np.isnan(wanted).any():
        raise ValueError("A value is NaN; leave images without a number out of both.")
    return given, wanted


def _ranks(values):
    """Ranks from 1; equal values have their mean rank."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[index]

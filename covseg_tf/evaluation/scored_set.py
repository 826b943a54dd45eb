"""One pass of a network over a set of images, and what a report needs of it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from covseg_tf.data.sample import Sample
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.evaluation.error_regions import describe_errors
from covseg_tf.evaluation.level_counts import LevelCounts
from covseg_tf.evaluation.rows import score_images


class ScoredSet(NamedTuple):
    """One pass of a network over a set of images.

    Attributes:
        title: What the set is called.
        threshold: Foreground is above it.
        rows: Per image `name`, `finding`, `patient`, the scores of `evaluate`, and
            the entries of `describe_errors`.
        infection: Per image, the infection map's pixels.
        inside: Per image, those of them inside the lung mask.
        lung: The lung maps' pixels, of all images; none without a lung map.
    """

    title: str
    threshold: float
    rows: list[dict]
    infection: list[LevelCounts]
    inside: list[LevelCounts]
    lung: LevelCounts


def score_set(
    predict: Callable[[np.ndarray], dict[str, np.ndarray]],
    samples: Sequence[Sample],
    spec: PreprocessingSpec,
    threshold: float = 0.5,
    title: str = "images",
) -> ScoredSet:
    """Runs a network over a set once, and keeps what every part of a report needs.

    Args:
        predict: As for `evaluate`; must give an infection map.
        samples: The set.
        spec: How pixels are prepared.
        threshold: Foreground is above it. Defaults to 0.5.
        title: What the set is called.

    Returns:
        A `ScoredSet`; a few kB per image, no pixel.

    Raises:
        ValueError: If there is no sample, or what `load_sample` raises.
    """
    if not samples:
        raise ValueError(f"{title}: there is no image to score.")
    rows, counts, inside, of_lung = [], [], [], LevelCounts.none()
    for row, masks, maps in score_images(predict, samples, spec, threshold):
        lung, infection = masks["lung"], masks["infection"]
        painted = maps["infection"] > threshold
        rows.append(row | describe_errors(lung, infection, painted))
        counts.append(LevelCounts.of(infection, maps["infection"]))
        inside.append(LevelCounts.of(infection, maps["infection"], lung))
        if "lung" in maps:
            of_lung += LevelCounts.of(lung, maps["lung"])
    return ScoredSet(title, threshold, rows, counts, inside, of_lung)

"""Where to cut a map, and how sure it may say that it is: of held-out films."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from covseg_tf.data.load_sample import load_sample
from covseg_tf.data.sample import Sample
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.evaluation.level_counts import LevelCounts
from covseg_tf.evaluation.operating_point import choose_operating_point, operating_grid
from covseg_tf.evaluation.reliability import fit_temperature
from covseg_tf.evaluation.scored_set import score_set


class Outline(NamedTuple):
    """How infection logits `z` are cut and cooled: `(z - logit) / temperature`.

    Attributes:
        threshold: Probability above which a pixel is foreground before it is moved.
        temperature: See `fit_temperature`.
    """

    threshold: float = 0.5
    temperature: float = 1.0

    @property
    def logit(self) -> float:
        """The threshold's logit."""
        return math.log(self.threshold / (1 - self.threshold))


def fit_outline(
    predict: Callable[[np.ndarray], dict[str, np.ndarray]],
    samples: Sequence[Sample],
    spec: PreprocessingSpec,
) -> Outline:
    """Chooses the threshold of best Dice, and the temperature of the map inside lungs.

    Dice over all images, so that a missed lesion and a painted healthy film both
    count. The temperature is the one that makes probabilities come true, or a higher
    one where that would leave the brightest twentieth of the lungs of half the healthy
    films below level 1 of 256: readers' extents tell faint from none by such levels.

    Args:
        predict: As for `evaluate`.
        samples: Held-out films; those with an outline, or known to be free of
            infection, are used.
        spec: How pixels are prepared.

    Returns:
        The outline; where no film can be used, the map is left as it is.
    """
    known = [s for s in samples if s.infection_mask is not None or s.infection_free]
    if not known:
        return Outline()
    scored = score_set(predict, known, spec)
    grid = operating_grid(scored.infection, [sample.finding for sample in known])
    point = choose_operating_point([grid])
    # A threshold of 0 or above the highest level has no logit.
    threshold = min(max(point.threshold, 1 / 256), 255 / 256)
    inside = sum(scored.inside, start=LevelCounts.none())
    outline = Outline(threshold, fit_temperature(inside, threshold))
    healthy = [sample for sample in known if sample.infection_free]
    faint = _faint_logits(predict, healthy, spec)
    if not faint:
        return outline
    lowest = math.log(1 / 255)  # the logit of level 1
    coolest = (float(np.median(faint)) - outline.logit) / lowest
    return outline._replace(temperature=max(outline.temperature, coolest))


def _faint_logits(predict, healthy, spec):
    """What the brightest twentieth of the lungs reaches, film by film."""
    logits = []
    for sample in healthy:
        maps = predict(load_sample(sample, spec)[0])
        lung = maps["lung"] > 0.5
        if lung.any():
            infection = np.quantile(maps["infection"][lung], 0.95)
            infection = np.clip(float(infection), 1e-9, 1 - 1e-9)
            logits.append(math.log(infection / (1 - infection)))
    return logits

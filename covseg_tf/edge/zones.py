"""Severity numbers in the words of chest radiology: extent scores and lung zones."""

import dataclasses

import numpy as np

THIRDS = ("upper", "middle", "lower")
_SIDES = ("right", "left")


@dataclasses.dataclass(frozen=True)
class Zones:
    """Six lung zones of a frontal chest X-ray, and how many are involved.

    Each lung's own height is cut into three equal parts. Left and right are the
    patient's.

    Attributes:
        percents: Percent of each zone's area that is covered by infection,
            `[0, 100]`, under `"right_upper"`, `"right_middle"`, `"right_lower"`,
            `"left_upper"`, `"left_middle"`, `"left_lower"`. A third in which no
            lung was found counts as 0.
        threshold: Percent above which a zone counts as involved. Defaults to 5: a
            choice of ours, below which an outline that is off by a pixel or two
            would decide.
    """

    percents: dict[str, float]
    threshold: float = 5.0

    @property
    def count(self) -> int:
        """Number of involved zones, 0 to 6."""
        return sum(percent > self.threshold for percent in self.percents.values())


def measure_zones(
    infection: np.ndarray, sides: tuple[np.ndarray, np.ndarray], threshold: float = 5.0
) -> Zones:
    """Measures the zones of two lungs.

    Args:
        infection: bool `(height, width)`.
        sides: Masks of the patient's right and left lung, likewise; not empty.
        threshold: Percent above which a zone counts, see `Zones`.

    Returns:
        The zones.
    """
    percents = {}
    for name, lung in zip(_SIDES, sides, strict=True):
        rows = np.flatnonzero(lung.any(axis=1))
        top, height = int(rows[0]), int(rows[-1]) + 1 - int(rows[0])
        for number, third in enumerate(THIRDS):
            part = slice(top + height * number // 3, top + height * (number + 1) // 3)
            percents[f"{name}_{third}"] = percent_of(infection[part], lung[part])
    return Zones(percents, threshold)


def extent_score(percent: float) -> int:
    """Returns the score of one lung's geographic extent, 0 to 4.

    0: none; 1: below 25 %; 2: 25 to 50 %; 3: above 50 % to 75 %; 4: above 75 %.
    Source: the extent part of the RALE adaptation of Wong et al. 2020,
    doi:10.1148/radiol.2020201160, also used by Cohen et al. 2020, arXiv:2005.11856.
    Readers estimate it by eye; this is the same scale on a measured percentage.

    Args:
        percent: Percent of the lung's projected area, `[0, 100]`.
    """
    if percent <= 0:
        return 0
    if percent < 25:
        return 1
    return 2 if percent <= 50 else 3 if percent <= 75 else 4


def percent_of(infection: np.ndarray, lung: np.ndarray) -> float:
    """Returns the percent of `lung` that `infection` covers; 0 for no lung."""
    area = np.count_nonzero(lung)
    return float(100.0 * np.count_nonzero(infection & lung) / area) if area else 0.0

"""Which threshold, and which smallest area, to report: chosen on validation."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from covseg_tf.evaluation.level_counts import LEVELS, LevelCounts

_PROTOCOLS = ("lesions", "all_images")


class OperatingPoint(NamedTuple):
    """What a threshold and a smallest area give.

    Attributes:
        threshold: Foreground is above it, in `[0, 1)`.
        area: An image with fewer pixels above `seed` is reported as empty.
        seed: The probability for that rule; equal to `threshold` if it had none of
            its own.
        lesions: Mean Dice over the images with infection; NaN without any.
        all_images: Mean Dice over all images; an empty mask left empty scores 1,
            painted 0.
        left_empty: Finding to the share of its images without infection on which
            nothing is reported, in `[0, 1]`.
    """

    threshold: float
    area: int
    seed: float
    lesions: float
    all_images: float
    left_empty: dict[str, float]


@dataclasses.dataclass(frozen=True)
class OperatingGrid:
    """The scores at every threshold and smallest area; from `operating_grid`.

    Attributes:
        areas: The smallest areas, in pixels of the map.
        seed: The probability above which pixels count for the area; `None`: the
            threshold itself.
        lesions: Mean Dice over the images with infection, `(256, areas)`; row `t`
            is the threshold `t / 256`.
        all_images: Mean Dice over all images, likewise.
        left_empty: Finding to the share of its images without infection on which
            nothing is reported, likewise.
        images: Number of images.
    """

    areas: tuple[int, ...]
    seed: float | None
    lesions: np.ndarray = dataclasses.field(repr=False)
    all_images: np.ndarray = dataclasses.field(repr=False)
    left_empty: Mapping[str, np.ndarray] = dataclasses.field(repr=False)
    images: int

    def at(self, threshold: float, area: int = 0) -> OperatingPoint:
        """Returns one point of the grid.

        Args:
            threshold: In `[0, 1)`; lowered to a multiple of 1/256, which changes
                nothing for a map of that step.
            area: One of `areas`.

        Raises:
            ValueError: If the threshold is out of range or the area not in the
                grid.
        """
        if not 0 <= threshold < 1 or area not in self.areas:
            raise ValueError(
                f"Need a threshold in [0, 1) and an area of {self.areas}. "
                f"Received: {threshold}, {area}"
            )
        return self._point(int(threshold * LEVELS), self.areas.index(area))

    def _point(self, level, column):
        return OperatingPoint(
            level / LEVELS,
            self.areas[column],
            level / LEVELS if self.seed is None else self.seed,
            float(self.lesions[level, column]),
            float(self.all_images[level, column]),
            {k: float(v[level, column]) for k, v in self.left_empty.items()},
        )


def operating_grid(
    counts: Sequence[LevelCounts],
    findings: Sequence[str],
    areas: Sequence[int] = (0,),
    seed: float | None = None,
) -> OperatingGrid:
    """Scores every threshold with every smallest area, exactly.

    The rule: pixels above the threshold are painted; if fewer pixels than the
    smallest area are above the seed, the image is reported as empty. Without a seed
    that is a rule on the painted area; a seed above the threshold asks for a core
    that the network is sure of, and leaves the outline alone.

    Two thresholds: after Canny 1986, "A Computational Approach to Edge Detection",
    there per connected piece, here per image.

    Args:
        counts: The infection map of each image, all of its pixels.
        findings: The finding of each image.
        areas: Smallest areas to try, in pixels of the map; 0 is no rule.
        seed: Probability in `[0, 1)`, lowered to a multiple of 1/256; `None`
            (default): the threshold.

    Returns:
        An `OperatingGrid`.

    Raises:
        ValueError: If there is no image, the lengths differ, an area is below 0 or
            the seed is out of range.

    Example: two films, one of two infected pixels and one of none.

    >>> films = [LevelCounts.of([1, 1], [0.9, 0.4]), LevelCounts.of([0, 0], [0.6, 0])]
    >>> grid = operating_grid(films, ["COVID-19", "Normal"], areas=(0, 2))
    >>> grid.at(0.25).all_images, grid.at(0.25, area=2).all_images
    (0.5, 1.0)
    """
    if not len(counts) or len(counts) != len(findings):
        raise ValueError(
            "Need a finding for each image, and an image. Received: "
            f"{len(counts)} images, {len(findings)} findings"
        )
    if not len(areas) or min(areas) < 0:
        raise ValueError(f"`areas` must be numbers of pixels. Received: {areas}")
    if seed is not None and not 0 <= seed < 1:
        raise ValueError(f"`seed` must be in [0, 1). Received: {seed}")
    size = np.array([of.positives.sum() for of in counts])[:, None, None]
    painted, hits = (
        np.array(x)[:, :, None] for x in zip(*(c.above() for c in counts), strict=True)
    )
    level = None if seed is None else int(seed * LEVELS)
    core = painted if level is None else painted[:, level : level + 1]
    reported = core >= np.asarray(areas)  # (images, 256 or 1, areas)
    painted, hits = painted * reported, hits * reported
    dice = np.where(painted + size, 2 * hits / np.maximum(painted + size, 1), 1.0)
    ill, names = size[:, 0, 0] > 0, np.asarray(findings)
    return OperatingGrid(
        tuple(int(area) for area in areas),
        None if level is None else level / LEVELS,
        dice[ill].mean(axis=0) if ill.any() else np.full(dice.shape[1:], np.nan),
        dice.mean(axis=0),
        {
            str(finding): (painted[~ill & (names == finding)] == 0).mean(axis=0)
            for finding in np.unique(names[~ill])
        },
        len(counts),
    )


def choose_operating_point(
    grids: Sequence[OperatingGrid],
    protocol: str = "all_images",
    left_empty: Mapping[str, float] | None = None,
) -> OperatingPoint:
    """Returns the point of the highest mean Dice. Use it on validation images only.

    Args:
        grids: From `operating_grid`, one per seed, of the same images; images that
            will not be reported on.
        protocol: Which mean, `"all_images"` (default) or `"lesions"`.
        left_empty: Finding to the share of its images without infection that must
            stay empty, in `[0, 1]`; `None` (default) for no such condition.

    Returns:
        The point. Of several that are equally good, that of the simplest rule: no
        seed before a low one before a high one, then the threshold nearest to 0.5,
        then the smallest area.

    Raises:
        ValueError: If there is no grid, the protocol is unknown, has no image, or a
            finding has no image without infection; or if no point meets the
            condition.
    """
    if protocol not in _PROTOCOLS or not len(grids):
        raise ValueError(
            f"`protocol` must be one of {_PROTOCOLS} and at least one grid be given. "
            f"Received: protocol={protocol!r}, {len(grids)} grids"
        )
    best, chosen = -np.inf, None
    for grid in sorted(grids, key=lambda g: -1.0 if g.seed is None else g.seed):
        score = _allowed(grid, protocol, left_empty or {})
        if score.max() > best:
            best = score.max()
            level, column = min(
                zip(*np.nonzero(score == best), strict=True),
                key=lambda at: (abs(at[0] - LEVELS // 2), grid.areas[at[1]], at[0]),
            )
            chosen = grid._point(int(level), int(column))
    if chosen is None:
        raise ValueError(f"No threshold and area leaves so many empty: {left_empty}")
    return chosen


def _allowed(grid, protocol, left_empty):
    """The scores, minus infinity where too few images are left empty."""
    score = np.array(getattr(grid, protocol))
    if np.isnan(score).any():
        raise ValueError("No image has infection; there is no Dice over lesions.")
    for finding, share in left_empty.items():
        if finding not in grid.left_empty:
            raise ValueError(
                f"No image without infection has the finding {finding!r}. There are: "
                f"{', '.join(grid.left_empty) or 'none'}"
            )
        score[grid.left_empty[finding] < share] = -np.inf
    return score

"""The thresholds that validation images would choose, and what they give elsewhere."""

from collections.abc import Mapping, Sequence

import numpy as np

from covseg_tf.evaluation.level_counts import LEVELS, LevelCounts
from covseg_tf.evaluation.operating_point import choose_operating_point, operating_grid
from covseg_tf.evaluation.scored_set import ScoredSet

# Smallest areas to try, as shares of the image: 25 to 3000 pixels of 256x256.
_AREAS = tuple(
    n / 65536 for n in (25, 50, 100, 200, 400, 800, 1200, 1600, 2000, 2500, 3000)
)
_SEEDS = (None, 0.75, 0.875, 0.9375, 0.96875, 0.984375)
# Name of a criterion: protocol, and the share of films that must stay empty.
CRITERIA: dict[str, tuple[str, dict[str, float]]] = {
    "all_images": ("all_images", {}),
    "lesions": ("lesions", {}),
    "lesions, Normal 95 % empty": ("lesions", {"Normal": 0.95}),
}


def operating_points(
    held_out: ScoredSet,
    reported: Sequence[ScoredSet],
    areas: Sequence[int] | None = None,
    criteria: Mapping[str, tuple[str, Mapping[str, float]]] | None = None,
) -> dict:
    """Chooses thresholds on one set and states what they give on others.

    Three rules are tried: the threshold alone; with a smallest area; with a smallest
    area above a seed (see `operating_grid`).

    Args:
        held_out: Images of the training split that were not trained on.
        reported: Sets that have no part in the choice; share no image with it.
        areas: Smallest areas in pixels; `None` (default): eleven up to 5 % of the
            image. No rule, 0, is always among them.
        criteria: Name to the arguments of `choose_operating_point` after the grids;
            `None` (default): `CRITERIA`.

    Returns:
        JSON-ready dict of `chosen_on`, its `images`, the `pixels` of a map, and
        `points`: a list of dicts of `rule`, `criterion`, `threshold`, `area`, `seed`
        and `sets`, title to the scores there; the first is the threshold in use,
        chosen by no criterion. A criterion that needs a finding that is not there
        is left out.

    Raises:
        ValueError: If no image of `held_out` has infection.
    """
    pixels = int(held_out.infection[0].totals.sum())
    areas = [round(share * pixels) for share in _AREAS] if areas is None else areas
    areas = sorted({0, *areas})
    sets = [held_out, *reported]
    in_use = int(held_out.threshold * LEVELS) / LEVELS
    points: list[tuple] = [("in use", "none", in_use, 0, None)]
    rules = {
        "threshold": [operating_grid(*_maps(held_out))],
        "threshold and area": [operating_grid(*_maps(held_out), areas)],
        "threshold, area and seed": [
            operating_grid(*_maps(held_out), areas, seed) for seed in _SEEDS
        ],
    }
    for rule, grids in rules.items():
        for criterion, (protocol, empty) in (criteria or CRITERIA).items():
            if set(empty) <= set(grids[0].left_empty):
                point = choose_operating_point(grids, protocol, empty)
                seed = None if point.seed == point.threshold else point.seed
                points.append((rule, criterion, point.threshold, point.area, seed))
    return {
        "chosen_on": held_out.title,
        "images": len(held_out.rows),
        "pixels": pixels,
        "points": [
            {
                "rule": rule,
                "criterion": criterion,
                "threshold": threshold,
                "area": area,
                "seed": seed,
                "sets": {of.title: _at(of, threshold, area, seed) for of in sets},
            }
            for rule, criterion, threshold, area, seed in points
        ],
    }


def _maps(scored) -> tuple[Sequence[LevelCounts], list[str]]:
    return scored.infection, [row["finding"] for row in scored.rows]


def _at(scored, threshold, area, seed):
    point = operating_grid(*_maps(scored), (area,), seed).at(threshold, area)
    return {
        "lesions": None if np.isnan(point.lesions) else point.lesions,
        "all_images": point.all_images,
        "left_empty": point.left_empty,
    }

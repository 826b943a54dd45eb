"""What a model card states of a network on a set: scores and calibration."""

from collections.abc import Sequence

import numpy as np

from covseg_tf.evaluation.failures import summarize_failures
from covseg_tf.evaluation.intervals import paired_bootstrap
from covseg_tf.evaluation.level_counts import LEVELS, LevelCounts
from covseg_tf.evaluation.operating_report import operating_points
from covseg_tf.evaluation.reliability import (
    area_under_roc,
    brier_score,
    expected_calibration_error,
    maximum_calibration_error,
    reliability_curve,
)
from covseg_tf.evaluation.rows import json_ready, summarize_rows
from covseg_tf.evaluation.scored_set import ScoredSet


def report_sets(
    own: ScoredSet,
    others: Sequence[ScoredSet] = (),
    held_out: ScoredSet | None = None,
    cases: int = 5,
) -> dict:
    """Returns what the sections of a model card are made of.

    Args:
        own: The set that is reported on.
        others: Sets of other origin.
        held_out: Images that choose thresholds; `None` (default) leaves them out.
        cases: Int >= 0, worst images of each kind.

    Returns:
        JSON-ready dict of `sets`, `calibration`, `failures` and, with `held_out`,
        `operating_points`.

    Raises:
        ValueError: What `operating_points` raises.
    """
    report = {
        "sets": [summarize_set(scored) for scored in (own, *others)],
        "calibration": calibration_summary(own),
        "failures": summarize_failures(own.rows, cases),
    }
    if held_out is not None:
        report["operating_points"] = operating_points(held_out, [own, *others])
    return report


def summarize_set(scored: ScoredSet) -> dict:
    """Returns the scores per protocol, with intervals, and per finding.

    The intervals hold 95 % of the means of sets drawn at random from these images,
    whole patients where they are known (see `paired_bootstrap`).

    Args:
        scored: From `score_set`.

    Returns:
        JSON-ready dict of `title`, `images`, `patients` (`None` where one is not
        known), `threshold`; `scores`, as
        `summarize_rows`, each protocol with `dice_low` and `dice_high`; and
        `findings`, a list of dicts with `finding`, `images`, and of them `lesions`
        (those with infection), `lung_dice`, `lesions_dice` and their `_std`,
        `lesions_nothing_painted` (share of films with infection), and
        `left_empty` (share of films without), `None` where no image counts.
    """
    scores = json_ready(summarize_rows(scored.rows))
    for flow in ("lung", "infection"):
        for protocol, score in scores.get(flow, {}).items():
            rows = [
                row
                for row in scored.rows
                if protocol == "all_images" or row[f"{flow}_mask_pixels"]
            ]
            score |= _interval(rows, flow)
    findings = sorted({row["finding"] for row in scored.rows})
    patients = {row["patient"] for row in scored.rows}
    return {
        "title": scored.title,
        "images": len(scored.rows),
        "patients": len(patients) if all(patients) else None,
        "threshold": scored.threshold,
        "scores": scores,
        "findings": [
            _finding(f, [row for row in scored.rows if row["finding"] == f])
            for f in findings
        ],
    }


def calibration_summary(scored: ScoredSet) -> dict:
    """Returns how far the probabilities may be taken at their word.

    Args:
        scored: From `score_set`.

    Returns:
        JSON-ready dict of `infection_in_lung` (pixels inside the lung masks),
        `infection_in_lung_lesions` (those of the films with infection),
        `infection`, `lung` (all pixels), each with `pixels`, `prevalence`, `stated`
        (the mean probability), `ece` (15 bins of equal width), `ece_equal_size`,
        `mce`, `brier`, `curve` (15 bins) and `coarse` (5 bins); and `film`: the
        same of the highest probability of each film against whether it has
        infection, with the `auroc` of `highest`, `mean` and `area` painted, over
        all films and against those of each finding without infection; `None` where
        there is no such film.
    """
    ill = np.array([bool(row["infection_mask_pixels"]) for row in scored.rows])
    inside_ill = [of for of, is_ill in zip(scored.inside, ill, strict=True) if is_ill]
    summary = {
        "infection_in_lung": _calibration(*scored.inside),
        "infection_in_lung_lesions": _calibration(*inside_ill),
        "infection": _calibration(*scored.infection),
        "lung": _calibration(scored.lung),
    }
    scores = {
        "highest": np.array(
            [np.flatnonzero(of.totals).max() / LEVELS for of in scored.infection]
        ),
        "mean": np.array([of.sums.sum() / of.totals.sum() for of in scored.infection]),
        "area": np.array([row["infection_predicted_pixels"] for row in scored.rows]),
    }
    film = _calibration(LevelCounts.of(ill, scores["highest"]))
    findings = np.array([row["finding"] for row in scored.rows])
    groups = {"all": np.ones(len(ill), bool)} | {
        str(f): ill | (findings == f) for f in np.unique(findings[~ill])
    }
    film["auroc"] = {
        name: {
            group: area_under_roc(ill[of], score[of])
            if 0 < ill.sum() < len(ill)
            else None
            for group, of in groups.items()
        }
        for name, score in scores.items()
    }
    return summary | {"film": film}


def _interval(rows, flow):
    if len(rows) < 2:
        return {"dice_low": None, "dice_high": None}
    of = paired_bootstrap(
        [row[f"{flow}_dice"] for row in rows],
        np.zeros(len(rows)),
        [row["patient"] or row["name"] for row in rows],
        resamples=2000,
    )
    return {"dice_low": of.low, "dice_high": of.high}


def _finding(finding, rows):
    ill = [row for row in rows if row["infection_mask_pixels"]]
    healthy = [row for row in rows if not row["infection_mask_pixels"]]
    found = {"finding": finding, "images": len(rows), "lesions": len(ill)}
    for key, values in (
        ("lung_dice", [row["lung_dice"] for row in rows if "lung_dice" in row]),
        ("lesions_dice", [row["infection_dice"] for row in ill]),
    ):
        found[key] = float(np.mean(values)) if values else None
        found[f"{key}_std"] = float(np.std(values)) if values else None
    for key, group in (("lesions_nothing_painted", ill), ("left_empty", healthy)):
        empty = [row["infection_predicted_pixels"] == 0 for row in group]
        found[key] = float(np.mean(empty)) if empty else None
    return found


def _calibration(*images):
    counts = sum(images, LevelCounts.none())
    pixels = int(counts.totals.sum())
    if not pixels:
        return None
    return {
        "pixels": pixels,
        "prevalence": float(counts.positives.sum() / pixels),
        "stated": float(counts.sums.sum() / pixels),
        "ece": expected_calibration_error(counts),
        "ece_equal_size": expected_calibration_error(counts, equal_size=True),
        "mce": maximum_calibration_error(counts),
        "brier": brier_score(counts),
        "curve": _curve(counts, 15),
        "coarse": _curve(counts, 5),
    }


def _curve(counts, bins):
    """Dicts of the bins that hold pixels: JSON has no NaN."""
    curve = zip(*reliability_curve(counts, bins), strict=True)
    total = counts.totals.sum()
    return [
        {
            "from": number / bins,
            "to": (number + 1) / bins,
            "pixels": int(pixels),
            "share": float(pixels / total),
            "stated": float(stated),
            "observed": float(observed),
        }
        for number, (pixels, stated, observed) in enumerate(curve)
        if pixels
    ]

"""How good a network is, in numbers: NumPy and OpenCV, whatever gave the maps."""

from covseg_tf.evaluation.agreement import (
    Estimate,
    bootstrap,
    mean_error,
    pearson,
    spearman,
)
from covseg_tf.evaluation.error_regions import describe_errors, lung_regions
from covseg_tf.evaluation.f_measure import (
    adaptive_f_measure,
    f_measure_curve,
    summarize_f_measure,
)
from covseg_tf.evaluation.failures import summarize_failures
from covseg_tf.evaluation.intervals import PairedDifference, paired_bootstrap
from covseg_tf.evaluation.level_counts import LevelCounts
from covseg_tf.evaluation.model_report import (
    calibration_summary,
    report_sets,
    summarize_set,
)
from covseg_tf.evaluation.operating_point import (
    OperatingGrid,
    OperatingPoint,
    choose_operating_point,
    operating_grid,
)
from covseg_tf.evaluation.operating_report import operating_points
from covseg_tf.evaluation.outline import Outline, fit_outline
from covseg_tf.evaluation.panel import draw_panel, mark_errors, pick_cases
from covseg_tf.evaluation.readers_scale import fit_readers_scale, readers_shares
from covseg_tf.evaluation.reliability import (
    ReliabilityCurve,
    area_under_roc,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    maximum_calibration_error,
    reliability_curve,
)
from covseg_tf.evaluation.rows import (
    evaluate,
    evaluate_with_curve,
    score_images,
    score_maps,
    summarize_rows,
    with_curve,
    write_rows,
)
from covseg_tf.evaluation.score_run import score_run
from covseg_tf.evaluation.scored_set import ScoredSet, score_set
from covseg_tf.evaluation.scores import image_scores, summarize

__all__ = [
    "Estimate",
    "LevelCounts",
    "OperatingGrid",
    "OperatingPoint",
    "Outline",
    "PairedDifference",
    "ReliabilityCurve",
    "ScoredSet",
    "adaptive_f_measure",
    "area_under_roc",
    "bootstrap",
    "brier_score",
    "calibration_summary",
    "choose_operating_point",
    "describe_errors",
    "draw_panel",
    "evaluate",
    "evaluate_with_curve",
    "expected_calibration_error",
    "f_measure_curve",
    "fit_outline",
    "fit_readers_scale",
    "fit_temperature",
    "image_scores",
    "lung_regions",
    "mark_errors",
    "maximum_calibration_error",
    "mean_error",
    "operating_grid",
    "operating_points",
    "paired_bootstrap",
    "pearson",
    "pick_cases",
    "readers_shares",
    "reliability_curve",
    "report_sets",
    "score_images",
    "score_maps",
    "score_run",
    "score_set",
    "spearman",
    "summarize",
    "summarize_f_measure",
    "summarize_failures",
    "summarize_rows",
    "summarize_set",
    "with_curve",
    "write_rows",
]

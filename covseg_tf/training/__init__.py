"""model.fit and evaluation, done once and well, for every recipe."""

from covseg_tf.training.average import average_checkpoints
from covseg_tf.training.batch_norm import recalibrate_batch_norm
from covseg_tf.training.distillation import Distiller, soft_target_loss
from covseg_tf.training.distribution import (
    join_workers,
    same_on_all_workers,
    shard_batches,
    synchronize_batch_norm,
)
from covseg_tf.training.error_regions import describe_errors, lung_regions
from covseg_tf.training.evaluation import (
    evaluate,
    evaluate_with_curve,
    score_images,
    summarize_rows,
    write_rows,
)
from covseg_tf.training.failures import summarize_failures
from covseg_tf.training.fit import compile_segmenter, fit_segmenter, resume_epoch
from covseg_tf.training.level_counts import LevelCounts
from covseg_tf.training.model_report import (
    calibration_summary,
    report_sets,
    summarize_set,
)
from covseg_tf.training.operating_point import (
    OperatingGrid,
    OperatingPoint,
    choose_operating_point,
    operating_grid,
)
from covseg_tf.training.operating_report import operating_points
from covseg_tf.training.options import (
    RunOptions,
    TrainingOptions,
    parse_options,
    run_recipe,
)
from covseg_tf.training.panel import draw_panel, mark_errors, pick_cases
from covseg_tf.training.presence import (
    presence_operating_points,
    set_infection_threshold,
    shift_presence,
)
from covseg_tf.training.pseudo_labels import draw_pseudo_lungs
from covseg_tf.training.reliability import (
    ReliabilityCurve,
    area_under_roc,
    brier_score,
    expected_calibration_error,
    maximum_calibration_error,
    reliability_curve,
)
from covseg_tf.training.scored_set import ScoredSet, score_set
from covseg_tf.training.setup import float32_copy, set_up, warmup_cosine
from covseg_tf.training.single_run import score_segmenter, train_segmenter
from covseg_tf.training.statistics import PairedDifference, paired_bootstrap
from covseg_tf.training.transfer import freeze_encoder, transfer_weights

__all__ = [
    "Distiller",
    "LevelCounts",
    "OperatingGrid",
    "OperatingPoint",
    "PairedDifference",
    "ReliabilityCurve",
    "RunOptions",
    "ScoredSet",
    "TrainingOptions",
    "area_under_roc",
    "average_checkpoints",
    "brier_score",
    "calibration_summary",
    "choose_operating_point",
    "compile_segmenter",
    "describe_errors",
    "draw_panel",
    "draw_pseudo_lungs",
    "evaluate",
    "evaluate_with_curve",
    "expected_calibration_error",
    "fit_segmenter",
    "float32_copy",
    "freeze_encoder",
    "join_workers",
    "lung_regions",
    "mark_errors",
    "maximum_calibration_error",
    "operating_grid",
    "operating_points",
    "paired_bootstrap",
    "parse_options",
    "pick_cases",
    "presence_operating_points",
    "reliability_curve",
    "recalibrate_batch_norm",
    "report_sets",
    "resume_epoch",
    "run_recipe",
    "same_on_all_workers",
    "score_images",
    "score_segmenter",
    "score_set",
    "set_infection_threshold",
    "set_up",
    "shard_batches",
    "shift_presence",
    "soft_target_loss",
    "summarize_failures",
    "summarize_rows",
    "summarize_set",
    "synchronize_batch_norm",
    "train_segmenter",
    "transfer_weights",
    "warmup_cosine",
    "write_rows",
]

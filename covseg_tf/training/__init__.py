"""model.fit and evaluation, done once and well, for every recipe."""

from covseg_tf.training.average import average_checkpoints
from covseg_tf.training.distillation import Distiller, soft_target_loss
from covseg_tf.training.distribution import (
    join_workers,
    same_on_all_workers,
    shard_batches,
    synchronize_batch_norm,
)
from covseg_tf.training.evaluation import (
    evaluate,
    evaluate_with_curve,
    summarize_rows,
    write_rows,
)
from covseg_tf.training.fit import compile_segmenter, fit_segmenter, resume_epoch
from covseg_tf.training.options import (
    RunOptions,
    TrainingOptions,
    parse_options,
    run_recipe,
)
from covseg_tf.training.panel import draw_panel, mark_errors, pick_cases
from covseg_tf.training.setup import float32_copy, set_up, warmup_cosine
from covseg_tf.training.single_run import score_segmenter, train_segmenter
from covseg_tf.training.statistics import PairedDifference, paired_bootstrap

__all__ = [
    "Distiller",
    "PairedDifference",
    "RunOptions",
    "TrainingOptions",
    "average_checkpoints",
    "compile_segmenter",
    "draw_panel",
    "evaluate",
    "evaluate_with_curve",
    "fit_segmenter",
    "float32_copy",
    "join_workers",
    "mark_errors",
    "paired_bootstrap",
    "parse_options",
    "pick_cases",
    "resume_epoch",
    "run_recipe",
    "same_on_all_workers",
    "score_segmenter",
    "set_up",
    "shard_batches",
    "soft_target_loss",
    "summarize_rows",
    "synchronize_batch_norm",
    "train_segmenter",
    "warmup_cosine",
    "write_rows",
]

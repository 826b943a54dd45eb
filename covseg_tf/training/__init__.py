"""model.fit and evaluation, done once and well, for every recipe."""

from covseg_tf.training.average import average_checkpoints
from covseg_tf.training.evaluation import evaluate, summarize_rows, write_rows
from covseg_tf.training.fit import compile_segmenter, fit_segmenter

__all__ = [
    "average_checkpoints",
    "compile_segmenter",
    "evaluate",
    "fit_segmenter",
    "summarize_rows",
    "write_rows",
]

"""model.fit, done once and well, for every recipe."""

from covseg_tf.models import set_infection_threshold
from covseg_tf.training.average import average_checkpoints
from covseg_tf.training.batch_norm import recalibrate_batch_norm
from covseg_tf.training.distillation import Distiller, soft_target_loss
from covseg_tf.training.distribution import (
    join_workers,
    same_on_all_workers,
    shard_batches,
    synchronize_batch_norm,
)
from covseg_tf.training.fit import (
    compile_segmenter,
    fit_segmenter,
    resume_epoch,
    with_readers_map,
)
from covseg_tf.training.gate_contrast import gate_contrast
from covseg_tf.training.on_device import DeviceTrainer, matmul_tflops
from covseg_tf.training.options import RunOptions, TrainingOptions
from covseg_tf.training.pseudo_labels import draw_pseudo_lungs
from covseg_tf.training.setup import float32_copy, set_up, warmup_cosine
from covseg_tf.training.single_run import train_segmenter
from covseg_tf.training.transfer import freeze_encoder, transfer_weights

__all__ = [
    "DeviceTrainer",
    "Distiller",
    "RunOptions",
    "TrainingOptions",
    "average_checkpoints",
    "compile_segmenter",
    "draw_pseudo_lungs",
    "fit_segmenter",
    "float32_copy",
    "freeze_encoder",
    "gate_contrast",
    "join_workers",
    "matmul_tflops",
    "recalibrate_batch_norm",
    "resume_epoch",
    "same_on_all_workers",
    "set_infection_threshold",
    "set_up",
    "shard_batches",
    "soft_target_loss",
    "synchronize_batch_norm",
    "train_segmenter",
    "transfer_weights",
    "warmup_cosine",
    "with_readers_map",
]

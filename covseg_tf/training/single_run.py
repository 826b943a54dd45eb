"""The middle of a recipe that trains one network in one go."""

import pathlib
from collections.abc import Mapping, Sequence

import keras

from covseg_tf.data import Sample
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.training.fit import compile_segmenter, fit_segmenter, resume_epoch
from covseg_tf.training.options import TrainingOptions
from covseg_tf.training.setup import warmup_cosine

MONITOR = "val_infection_dice_lesions"


def train_segmenter(
    model: keras.Model,
    options: TrainingOptions,
    spec: PreprocessingSpec,
    samples: Mapping[str, Sequence[Sample]],
    weight_decay: float = 0.01,
    finding_weights: Mapping[str, float] | None = None,
) -> pathlib.Path:
    """Trains a network with warm-up and cosine, and keeps its best weights.

    Writes `log.csv`, `tensorboard/`, `backup/` and `best.keras` into
    `options.out`; called again after a kill, it goes on to the same curve. The
    best epoch is that of the highest infection Dice over the validation images
    that have infection.

    Args:
        model: A `DualFlowSegmenter`; ends with its best epoch's weights.
        options: What the user asked for.
        spec: The preprocessing; it travels with the model.
        samples: `"train"` and `"validation"`.
        weight_decay: Decoupled weight decay. Defaults to 0.01.
        finding_weights: As in `make_dataset`.

    Returns:
        Path of the best checkpoint.

    Raises:
        ValueError: If there are fewer training samples than one batch.
    """
    from covseg_tf.data import make_dataset  # with TensorFlow, which JAX needs not

    training = make_dataset(
        samples["train"],
        spec,
        options.batch_size,
        training=True,
        seed=options.seed,
        finding_weights=finding_weights,
        first_epoch=resume_epoch(options.out),
    )
    steps = options.epochs * (len(samples["train"]) // options.batch_size)
    compile_segmenter(
        model,
        warmup_cosine(options.learning_rate, steps),
        weight_decay,
        # XLA slows a CPU down, so it is never turned on unasked.
        jit_compile=options.jit_compile or "auto",
    )
    best = fit_segmenter(
        model,
        training,
        make_dataset(samples["validation"], spec, options.batch_size),
        options.out,
        options.epochs,
        MONITOR,
        patience=options.patience or None,
    )
    model.load_weights(best)
    return best

"""The mean of several checkpoints of one network."""

import pathlib
from collections.abc import Sequence

import keras
import numpy as np


def average_checkpoints(
    model: keras.Model, checkpoints: Sequence[str | pathlib.Path]
) -> None:
    """Sets a model's weights to the mean of those of checkpoints.

    Checkpoints of one training run, each tuned to another trade-off, average to
    one between them. Source: Wortsman et al. 2022, "Model soups: averaging
    weights of multiple fine-tuned models improves accuracy without increasing
    inference time".

    Args:
        model: A built model; its weights are replaced.
        checkpoints: `.keras` or `.weights.h5` files that fit it, at least one.

    Raises:
        ValueError: If there is no checkpoint, or one does not fit the model.
    """
    if not checkpoints:
        raise ValueError("`checkpoints` must name at least one file. Received none.")
    weights = []
    for path in checkpoints:
        model.load_weights(path)
        weights.append(model.get_weights())
    model.set_weights([np.mean(parts, axis=0) for parts in zip(*weights, strict=True)])

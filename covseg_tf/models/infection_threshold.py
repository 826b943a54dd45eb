"""Moves a network's decision into its weights."""

import math

import keras


def set_infection_threshold(
    model: keras.Model, threshold: float, temperature: float = 1.0
) -> None:
    """Moves the infection logits so that a threshold becomes 0.5, in the weights.

    Args:
        model: A `DualFlowSegmenter` or its `inference_model()`; changed in place.
        threshold: Probability in (0, 1) above which a pixel was foreground so far.
        temperature: What the moved logits are divided by, above 0; of
            `covseg_tf.evaluation.fit_temperature`. Defaults to 1.

    Raises:
        ValueError: If the threshold or the temperature is out of range.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"`threshold` must be in (0, 1). Received: {threshold}")
    if not temperature > 0:
        raise ValueError(f"`temperature` must be above 0. Received: {temperature}")
    head = model.get_layer("infection_logits")
    moved = head.bias - math.log(threshold / (1 - threshold))
    head.kernel.assign(head.kernel / temperature)
    head.bias.assign(moved / temperature)

"""Where a network's presence gate closes, kept in its weights."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from covseg_tf.edge.preprocessing import PreprocessingSpec

_HEAD = "presence_absence"


def gated_logits(
    model: keras.Model, spec: PreprocessingSpec
) -> Callable[[np.ndarray, Sequence[float]], np.ndarray]:
    """Returns what `covseg_tf.evaluation.presence_operating_points` scores.

    Args:
        model: A `DualFlowSegmenter` with `side_outputs=("presence",)`, or its
            `inference_model()`.
        spec: How pixels are prepared.

    Returns:
        A function of pixels, uint8 `(height, width)`, and shifts of the presence
        logit; it gives the infection logits `(shifts, height, width)`, in one pass.

    Raises:
        ValueError: If the network has no presence gate.
    """
    layers = {layer.name: layer for layer in model.layers}
    parts = keras.Model(
        model.inputs[0],
        [layers["infection_logits"].output, _head(model).output],
    )
    slope = -float(ops.convert_to_numpy(layers["presence_slope"].kernel).item())

    def run(pixels, shifts):
        # A constant passes through the bilinear upsampling as it is, so the gate
        # can be applied behind it.
        logits, absence = parts(pixels[None, :, :, None].astype("float32") * spec.scale)
        logits = ops.convert_to_numpy(layers["infection_up"](logits))[0, :, :, 0]
        absence = float(ops.convert_to_numpy(absence).item())
        return np.stack([logits - slope * max(absence - s, 0.0) for s in shifts])

    return run


def shift_presence(model: keras.Model, shift: float) -> None:
    """Adds logits to the presence that a network's gate sees, in its weights.

    Args:
        model: As for `gated_logits`; changed in place.
        shift: Logits; positive lets the gate close less often.

    Raises:
        ValueError: If the network has no presence gate.
    """
    head = _head(model)
    head.bias.assign(head.bias - shift)


def _head(model):
    for layer in model.layers:
        if layer.name == _HEAD:
            return layer
    raise ValueError(
        "The network has no presence gate: build it with side_outputs=('presence',). "
        f"Received: {model.name!r}"
    )

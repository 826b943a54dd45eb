"""Where a network's presence gate closes: chosen on validation, kept in the weights."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from covseg_tf.data.sample import Sample, load_sample
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.metrics.reference import image_scores
from covseg_tf.training.evaluation import summarize_rows

_HEAD = "presence_absence"


def presence_operating_points(
    model: keras.Model,
    samples: Sequence[Sample],
    spec: PreprocessingSpec,
    shifts: Sequence[float],
    thresholds: Sequence[float] = (0.5,),
) -> list[dict]:
    """Scores a gated network for shifts of its presence logit, in one pass.

    A positive shift lets the gate close less often: fewer missed lesions, fewer
    healthy images left empty.

    Args:
        model: A `DualFlowSegmenter` with `presence_gate=True`, or its
            `inference_model()`.
        samples: Validation images, never those of a test.
        spec: How pixels are prepared.
        shifts: Logits to add to the presence.
        thresholds: Probabilities above which a pixel is foreground; in (0, 1).

    Returns:
        One dict per shift and threshold: `shift`, `threshold`, `lesions` and
        `all_images` (mean infection Dice), `left_empty` (share by finding).

    Raises:
        ValueError: If the network has no presence gate, or a threshold is out of
            range.
    """
    layers = {layer.name: layer for layer in model.layers}
    points = [(float(s), float(t)) for s in shifts for t in thresholds]
    if any(not 0 < threshold < 1 for _, threshold in points):
        raise ValueError(f"`thresholds` must be in (0, 1). Received: {thresholds}")
    parts = keras.Model(
        model.inputs[0],
        [layers["infection_logits"].output, _head(model).output],
    )
    slope = -float(ops.convert_to_numpy(layers["presence_slope"].kernel).item())
    rows: dict = {point: [] for point in points}
    for sample in samples:
        pixels, _, mask = load_sample(sample, spec)
        # A constant passes through the bilinear upsampling as it is, so the gate
        # can be applied behind it.
        logits, absence = parts(pixels[None, :, :, None].astype("float32") * spec.scale)
        logits = ops.convert_to_numpy(layers["infection_up"](logits))[0, :, :, 0]
        absence = float(ops.convert_to_numpy(absence).item())
        for shift, threshold in points:
            gated = logits - slope * max(absence - shift, 0.0)
            painted = gated > np.log(threshold / (1 - threshold))
            scores = image_scores(mask, painted)
            rows[shift, threshold].append(
                {"finding": sample.finding}
                | {f"infection_{key}": value for key, value in scores.items()}
            )
    return [
        {"shift": shift, "threshold": threshold} | _summary(rows[shift, threshold])
        for shift, threshold in points
    ]


def shift_presence(model: keras.Model, shift: float) -> None:
    """Adds logits to the presence that a network's gate sees, in its weights.

    Args:
        model: As for `presence_operating_points`; changed in place.
        shift: Logits; positive lets the gate close less often.

    Raises:
        ValueError: If the network has no presence gate.
    """
    head = _head(model)
    head.bias.assign(head.bias - shift)


def set_infection_threshold(model: keras.Model, threshold: float) -> None:
    """Moves the infection logits so that a threshold becomes 0.5, in the weights.

    Args:
        model: A `DualFlowSegmenter` or its `inference_model()`; changed in place.
        threshold: Probability in (0, 1) above which a pixel was foreground so far.

    Raises:
        ValueError: If the threshold is out of range.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"`threshold` must be in (0, 1). Received: {threshold}")
    head = model.get_layer("infection_logits")
    head.bias.assign(head.bias - np.log(threshold / (1 - threshold)))


def _head(model):
    for layer in model.layers:
        if layer.name == _HEAD:
            return layer
    raise ValueError(
        "The network has no presence gate: build it with presence_gate=True. "
        f"Received: {model.name!r}"
    )


def _summary(rows):
    summary = summarize_rows(rows)
    return {
        "lesions": summary["infection"]["lesions"]["dice"],
        "all_images": summary["infection"]["all_images"]["dice"],
        "left_empty": summary["left_empty"],
    }

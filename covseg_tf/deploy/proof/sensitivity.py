"""Which layers of a network suffer from 8 bit?"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from covseg_tf.deploy.flows import FLOWS
from covseg_tf.deploy.proof.runtimes import tflite_predictor
from covseg_tf.deploy.tflite.ai_edge import calibrate_ranges, quantize_in_ranges
from covseg_tf.deploy.tflite.layers import layer_operators
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.evaluation.scores import image_scores


@dataclasses.dataclass(frozen=True)
class LayerSensitivity:
    """What one layer in 8 bit costs, all others in float.

    Attributes:
        layer: Name of the layer, see `layer_tensors`.
        operator: Its TFLite operators, `"CONV_2D"` or `"CONV_2D+LOGISTIC"`.
        dice_lost: Dict from flow to mean Dice lost; negative where it gained.
        map_change: Dict from flow to the mean absolute change of a pixel's
            probability. Unlike Dice it shows what never crosses the threshold.
        bytes_saved: Bytes by which the file is smaller; negative where the
            QUANTIZE and DEQUANTIZE at the border weigh more than the weights.
    """

    layer: str
    operator: str
    dice_lost: dict[str, float]
    map_change: dict[str, float]
    bytes_saved: int

    @property
    def worst(self) -> float:
        """The larger of the losses of the flows."""
        return max(self.dice_lost.values())


def layer_sensitivity(
    model: bytes,
    spec: PreprocessingSpec,
    calibration: Sequence[np.ndarray],
    images: Sequence[np.ndarray],
    masks: Mapping[str, Sequence[np.ndarray]],
) -> list[LayerSensitivity]:
    """Quantizes one layer at a time and measures the Dice that it costs.

    One calibration serves all layers. 119 layers and 49 images of 256x256 took
    46 seconds on one core.

    Args:
        model: Bytes of the float32 TFLite file, see `quantize_with_ai_edge`.
        spec: The preprocessing of the model.
        calibration: Prepared training images, uint8 `(height, width)`.
        images: Prepared images to measure on, others than `calibration`.
        masks: Dict with `"lung"` and `"infection"`: masks `(height, width)`,
            one per image.

    Returns:
        One `LayerSensitivity` per layer, the most sensitive first; equal
        losses in the order of the larger `map_change`.

    Raises:
        ValueError: If images and masks do not fit, or as
            `quantize_with_ai_edge`.
    """
    check_masks(images, masks)
    ranges = calibrate_ranges(model, calibration, spec)
    reference = predict_maps(model, spec, images)
    dice = image_dice(reference, masks)
    operators = layer_operators(model)
    # Written by the quantizer too: it packs the same file tighter.
    float_bytes = len(quantize_in_ranges(model, ranges, list(operators)))
    rows = []
    for layer in operators:
        rest = [name for name in operators if name != layer]
        data = quantize_in_ranges(model, ranges, rest)
        maps = predict_maps(data, spec, images)
        found = image_dice(maps, masks)
        rows.append(
            LayerSensitivity(
                layer=layer,
                operator=operators[layer],
                dice_lost={f: float((dice[f] - found[f]).mean()) for f in FLOWS},
                map_change={
                    flow: float(np.abs(maps[flow] - reference[flow]).mean())
                    for flow in FLOWS
                },
                bytes_saved=float_bytes - len(data),
            )
        )
    return sorted(rows, key=lambda r: (-r.worst, -max(r.map_change.values())))


def to_text(rows: Sequence[LayerSensitivity]) -> str:
    """Returns the report as a table, one layer a line.

    Args:
        rows: From `layer_sensitivity`.
    """
    width = max([len("layer"), *(len(row.layer) for row in rows)])
    lines = [
        f"{'layer':{width}}  Dice lost: lung  infection  map change: lung  infection"
        "  KiB saved  operators"
    ]
    for row in rows:
        lung, infection = (row.dice_lost[flow] for flow in FLOWS)
        change = [row.map_change[flow] for flow in FLOWS]
        lines.append(
            f"{row.layer:{width}}  {lung:15.5f}  {infection:9.5f}  "
            f"{change[0]:16.6f}  {change[1]:9.6f}  {row.bytes_saved / 1024:9.1f}  "
            f"{row.operator}"
        )
    return "\n".join(lines)


def predict_maps(
    model: bytes, spec: PreprocessingSpec, images: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Runs a file on every image.

    Args:
        model: Bytes of the TFLite file.
        spec: The preprocessing of the model.
        images: Prepared images, uint8 `(height, width)`.

    Returns:
        Dict from flow to probabilities `(images, height, width)`.
    """
    predict = tflite_predictor(model, spec)
    found = [predict(pixels) for pixels in images]
    return {flow: np.stack([maps[flow] for maps in found]) for flow in FLOWS}


def image_dice(
    maps: Mapping[str, np.ndarray], masks: Mapping[str, Sequence[np.ndarray]]
) -> dict[str, np.ndarray]:
    """Returns the Dice of every image that counts, threshold 0.5.

    Args:
        maps: From `predict_maps`.
        masks: Dict from flow to masks, one per image; where a mask is empty
            the image does not count (protocol `lesions`).
    """
    dice = {}
    for flow in FLOWS:
        pairs = zip(masks[flow], maps[flow], strict=True)
        rows = [image_scores(mask, probability) for mask, probability in pairs]
        dice[flow] = np.array([row["dice"] for row in rows if row["mask_pixels"]])
    return dice


def check_masks(
    images: Sequence[np.ndarray], masks: Mapping[str, Sequence[np.ndarray]]
) -> None:
    """Refuses images and masks on which a Dice cannot be measured.

    Args:
        images: Prepared images.
        masks: Dict from flow to masks, one per image.

    Raises:
        ValueError: If a flow is missing, the numbers differ, or all masks of a
            flow are empty.
    """
    numbers = {flow: len(masks.get(flow, ())) for flow in FLOWS}
    if not len(images) or any(n != len(images) for n in numbers.values()):
        raise ValueError(
            "Need as many masks of 'lung' and 'infection' as images. Received: "
            f"{len(images)} images and masks {numbers}"
        )
    empty = [flow for flow in FLOWS if not any(np.any(mask) for mask in masks[flow])]
    if empty:
        raise ValueError(
            f"All {len(images)} masks of {' and '.join(empty)} are empty: no Dice "
            "can be lost. Give images with infection."
        )

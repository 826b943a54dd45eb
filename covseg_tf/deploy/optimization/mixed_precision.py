"""Int8 where it is harmless, float where it costs Dice."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from covseg_tf.deploy.flows import FLOWS
from covseg_tf.deploy.proof.sensitivity import (
    LayerSensitivity,
    check_masks,
    image_dice,
    layer_sensitivity,
    predict_maps,
)
from covseg_tf.deploy.tflite.ai_edge import calibrate_ranges, quantize_in_ranges
from covseg_tf.deploy.tflite.contents import check_tflite
from covseg_tf.deploy.tflite.layers import layer_tensors
from covseg_tf.edge.preprocessing import PreprocessingSpec


@dataclasses.dataclass(frozen=True)
class PrecisionStep:
    """One file that the search measured.

    Attributes:
        added: The layer that this step put back into float; `None` in the
            first, where all is in 8 bit.
        dice: Dict from flow to mean Dice.
        dice_lost: Dict from flow to the float file's Dice less this one.
        standard_error: Dict from flow to the standard error of `dice_lost` over
            the images: a smaller loss cannot be told from none.
        model_bytes: Size of the file.
    """

    added: str | None
    dice: dict[str, float]
    dice_lost: dict[str, float]
    standard_error: dict[str, float]
    model_bytes: int

    @property
    def worst(self) -> float:
        """The larger of the losses of the flows."""
        return max(self.dice_lost.values())


@dataclasses.dataclass(frozen=True)
class MixedPrecision:
    """The first file under the bound, and how it was found.

    Attributes:
        model: Bytes of the TFLite file. uint8 input and outputs if no layer
            had to be kept, float32 otherwise.
        kept_float: Names of the layers in float, in the order of their choice.
        float_dice: Dict from flow to mean Dice of the float file.
        max_dice_loss: The bound.
        steps: Every file that was measured; the last is `model`.
        sensitivity: The report that ranked the layers; empty where all-int8
            was good enough.
    """

    model: bytes = dataclasses.field(repr=False)
    kept_float: tuple[str, ...]
    float_dice: dict[str, float]
    max_dice_loss: float
    steps: tuple[PrecisionStep, ...]
    sensitivity: tuple[LayerSensitivity, ...] = dataclasses.field(repr=False)

    def to_text(self) -> str:
        """Returns the steps as a table, one file a line."""
        lung, infection = (self.float_dice[flow] for flow in FLOWS)
        lines = [
            f"Dice of the float file: lung {lung:.4f}, infection {infection:.4f}",
            "Dice lost, standard error: lung            infection     KiB  in float",
        ]
        for step in self.steps:
            lost = "  ".join(
                f"{step.dice_lost[flow]:8.5f} {step.standard_error[flow]:.5f}"
                for flow in FLOWS
            )
            added = f"+ {step.added}" if step.added else "no layer"
            lines.append(f"{lost:>49}  {step.model_bytes / 1024:6.0f}  {added}")
        return "\n".join(lines)


def quantize_mixed_precision(
    model_float: bytes,
    spec: PreprocessingSpec,
    calibration: Sequence[np.ndarray],
    images: Sequence[np.ndarray],
    masks: Mapping[str, Sequence[np.ndarray]],
    max_dice_loss: float,
    max_float_layers: int | None = None,
) -> MixedPrecision:
    """Quantizes to 8 bit and keeps the worst layers in float, until it is good.

    All in 8 bit comes first. If either flow loses more than the bound, the
    layers are ranked by `layer_sensitivity` and go back into float one at a
    time, the most sensitive first; each file is measured, and the first under
    the bound is returned. A layer's output that a later int8 layer reads is
    rounded at its border all the same: where a tensor's range is the trouble,
    the layers on both its sides rank high and both are kept.

    The loss is measured on `images`, so it is a little too kind there: give
    training images that did not calibrate, and report the Dice on others. A
    bound below the standard error of the loss (in the steps) chases noise: give
    more images or a larger bound.

    Args:
        model_float: Bytes of the float32 TFLite file, from
            `export_tflite(model, spec, quantize="float32")`.
        spec: The preprocessing of the model.
        calibration: Prepared training images, uint8 `(height, width)`.
        images: Prepared images to search on, others than `calibration`.
        masks: Dict with `"lung"` and `"infection"`: masks `(height, width)`,
            one per image.
        max_dice_loss: Float >= 0, mean Dice (protocol `lesions`, threshold
            0.5) that either flow may lose against the float file.
        max_float_layers: Int >= 0, at most so many layers in float. Defaults
            to all of them, which loses nothing.

    Returns:
        A `MixedPrecision`. With no layer in float its file takes and gives uint8;
        the Dice in the steps is then that of the same integers with a float
        interface.

    Raises:
        ValueError: If an argument is out of range, the images do not fit, or
            the bound is missed with `max_float_layers` in float.

    Source: Wu et al. 2020, "Integer Quantization for Deep Learning Inference",
    section 5 (partial quantization), https://arxiv.org/abs/2004.09602
    """
    limit = _checked_limits(model_float, max_dice_loss, max_float_layers)
    check_masks(images, masks)
    ranges = calibrate_ranges(model_float, calibration, spec)
    reference = image_dice(predict_maps(model_float, spec, images), masks)

    def measure(kept):
        data = quantize_in_ranges(model_float, ranges, kept)
        dice = image_dice(predict_maps(data, spec, images), masks)
        return data, _step(kept, reference, dice, len(data))

    data, step = measure(())
    steps, kept, ranked = [step], [], []
    if steps[-1].worst > max_dice_loss and limit:
        ranked = layer_sensitivity(model_float, spec, calibration, images, masks)
    for row in ranked[:limit]:
        kept.append(row.layer)
        data, step = measure(kept)
        steps.append(step)
        if step.worst <= max_dice_loss:
            break
    if steps[-1].worst > max_dice_loss:
        raise _missed(steps, limit, max_dice_loss)
    if not kept:
        data = quantize_in_ranges(model_float, ranges, interface="uint8")
        check_tflite(data, spec)
        steps = [dataclasses.replace(step, model_bytes=len(data))]
    return MixedPrecision(
        model=data,
        kept_float=tuple(kept),
        float_dice={flow: float(reference[flow].mean()) for flow in FLOWS},
        max_dice_loss=max_dice_loss,
        steps=tuple(steps),
        sensitivity=tuple(ranked),
    )


def _step(kept, reference, dice, size):
    lost = {flow: reference[flow] - dice[flow] for flow in FLOWS}
    return PrecisionStep(
        added=kept[-1] if kept else None,
        dice={flow: float(dice[flow].mean()) for flow in FLOWS},
        dice_lost={flow: float(lost[flow].mean()) for flow in FLOWS},
        standard_error={
            flow: float(lost[flow].std() / len(lost[flow]) ** 0.5) for flow in FLOWS
        },
        model_bytes=size,
    )


def _checked_limits(model, max_dice_loss, max_float_layers):
    if not max_dice_loss >= 0:
        raise ValueError(
            "`max_dice_loss` is the Dice that may be lost, 0 or more. "
            f"Received: {max_dice_loss}"
        )
    if max_float_layers is None:
        return len(layer_tensors(model))
    if max_float_layers < 0:
        raise ValueError(
            f"`max_float_layers` must be 0 or more. Received: {max_float_layers}"
        )
    return max_float_layers


def _missed(steps, limit, bound):
    best = min(steps, key=lambda step: step.worst)
    lost = ", ".join(f"{flow} {best.dice_lost[flow]:.5f}" for flow in FLOWS)
    return ValueError(
        f"No file loses at most {bound} Dice with up to {limit} layers in float; "
        f"the best of {len(steps)} loses {lost}. Allow more layers or a larger loss."
    )

"""The networks that have a name: presets/NAME.json, and NAME.weights.h5 for some."""

import importlib.resources
import json
from collections.abc import Mapping, Sequence

import keras

from covseg_tf.models.edge_encoder import EdgeEncoder
from covseg_tf.models.efficientnet_lite_encoder import EfficientNetLiteEncoder
from covseg_tf.models.preset_weights import ENDING, load_preset_weights
from covseg_tf.models.pyramid_encoder import pyramid_encoder
from covseg_tf.models.torch_state import imagenet_file, read_torch_state

_FOLDER = importlib.resources.files("covseg_tf.models") / "presets"


def preset_names(with_weights: bool = False) -> list[str]:
    """Returns the names that `DualFlowSegmenter.from_preset` takes.

    Args:
        with_weights: If `True`, those with `load_weights=True` alone.
    """
    ending = ENDING if with_weights else ".json"
    names = (file.name for file in _FOLDER.iterdir())
    return sorted(name.removesuffix(ending) for name in names if name.endswith(ending))


def preset_arguments(preset: str) -> dict:
    """Returns a preset's arguments of `DualFlowSegmenter`, as its file has them.

    The value of `"encoder"` is a dict: the `"kind"` of encoder and its arguments.

    Raises:
        ValueError: If there is no such preset.
    """
    if preset not in preset_names():
        raise ValueError(
            f"`preset` must be one of {preset_names()}. Received: {preset!r}"
        )
    return json.loads((_FOLDER / f"{preset}.json").read_text("utf-8"))


def build_preset(
    cls,
    preset: str,
    input_shape: Sequence[int | None],
    encoder_weights: str | None,
    load_weights: bool,
    changes: Mapping,
) -> keras.Model:
    """Builds a preset: see `DualFlowSegmenter.from_preset`.

    Args:
        cls: `DualFlowSegmenter`.
        preset: A name.
        input_shape: `(height, width, channels)`.
        encoder_weights: Of the encoder alone.
        load_weights: Whether the network gets the shipped weights.
        changes: Arguments that replace the preset's.

    Raises:
        ValueError: As `DualFlowSegmenter.from_preset`.
    """
    arguments = {"name": preset, **preset_arguments(preset), **changes}
    if load_weights and preset not in preset_names(with_weights=True):
        raise ValueError(
            f"The preset {preset!r} has no weights to load; these have: "
            f"{preset_names(with_weights=True)}. Leave `load_weights` out for random "
            "ones."
        )
    if encoder_weights is not None and (load_weights or "encoder" in changes):
        raise ValueError(
            "`encoder_weights` goes neither with `load_weights` nor with an `encoder` "
            f"that has its own. Received: encoder_weights={encoder_weights!r}"
        )
    if "encoder" not in changes:
        arguments["encoder"] = _make_encoder(
            input_shape, encoder_weights, **arguments["encoder"]
        )
    model = cls(**arguments)
    if load_weights:
        source = _FOLDER / f"{preset}{ENDING}"
        with importlib.resources.as_file(source) as path:
            load_preset_weights(model, path)
    return model


def _make_encoder(input_shape, weights, kind, **arguments):
    if kind == "pyramid_encoder":
        return pyramid_encoder(
            input_shape=input_shape, weights=weights, normalize=True, **arguments
        )
    if kind == "EfficientNetLiteEncoder":
        encoder = EfficientNetLiteEncoder(input_shape, **arguments)
        if weights is not None:
            encoder.load_imagenet(read_torch_state(imagenet_file(weights)))
        return encoder
    if weights is not None:
        raise ValueError(
            f"{kind} has no weights of its own; leave `encoder_weights` out. "
            f"Received: encoder_weights={weights!r}"
        )
    return EdgeEncoder(input_shape, **arguments)

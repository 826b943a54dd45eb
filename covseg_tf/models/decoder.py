"""The graph of the dual-flow network, from the encoder's features to the maps."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from covseg_tf.layers import RegionFusionAttention
from covseg_tf.models.heads import (
    absence_logit,
    map_head,
    norm_relu,
    presence_head,
)
from covseg_tf.models.pyramid import stride_of
from covseg_tf.models.side_outputs import PRESENCE_OUTPUT


class Flows:
    """Draws the same decode step into every flow, then the attention.

    Args:
        names: `("lung", "infection")`, or `("infection",)`.
        attention: As of `DualFlowSegmenter`.
        options: Arguments of every `RegionFusionAttention`, `separable` among
            them.
    """

    def __init__(self, names: Sequence[str], attention: str, options: Mapping):
        self.names = names
        self.attention = attention
        self.options = options

    def decode(self, deepest, skips: Sequence, widths: Sequence[int]):
        """Yields each scale's features by flow, coarse to fine.

        Args:
            deepest: Symbolic features of the coarsest level.
            skips: Those of the others, coarse to fine.
            widths: Channels of each scale.
        """
        features = dict.fromkeys(self.names, deepest)
        for scale, (skip, width) in enumerate(zip(skips, widths, strict=True), start=1):
            features = self._step(features, width, f"d{scale}")
            features = self._join(features, skip, f"d{scale}")
            features = self._step(features, width, f"d{scale}_1")
            yield features

    def _step(self, features, width, name):
        features = {
            flow: self._conv(x, width, f"{flow}_{name}") for flow, x in features.items()
        }
        if self.attention == "none":
            return features
        infection = features["infection"]
        lung = (
            features["lung"]
            if self.attention == "region_fusion"
            else ops.ones_like(infection)
        )
        attention = RegionFusionAttention(**self.options, name=f"rfa_{name}")
        return {**features, "infection": attention([lung, infection])}

    def _join(self, features, skip, name):
        joined = {}
        for flow, x in features.items():
            # float32: XLA has no gradient of a half-precision resize.
            up = keras.layers.UpSampling2D(
                2, interpolation="bilinear", dtype="float32", name=f"{flow}_{name}_up"
            )(x)
            concatenate = keras.layers.Concatenate(name=f"{flow}_{name}_skip")
            joined[flow] = concatenate([up, skip])
        return joined

    def _conv(self, x, width, name):
        separable = self.options["separable"]
        if separable:
            x = keras.layers.DepthwiseConv2D(
                3, padding="same", use_bias=False, name=f"{name}_depthwise"
            )(x)
        x = keras.layers.Conv2D(
            width,
            1 if separable else 3,
            padding="same",
            use_bias=False,
            name=f"{name}_conv",
        )(x)
        return norm_relu(x, name)


def with_context(x):
    """Returns the features with the mean over the image, mapped, added everywhere."""
    mean = keras.layers.GlobalAveragePooling2D(keepdims=True, name="context_mean")(x)
    mean = keras.layers.Conv2D(x.shape[-1], 1, name="context_conv")(mean)
    return keras.layers.Add(name="context_add")([x, mean])


def decode(
    image,
    pyramid: Sequence,
    widths: Sequence[int],
    flows: Flows,
    side_outputs: Sequence[str],
    global_context: bool,
) -> dict:
    """Returns the symbolic maps by output name, side outputs last.

    Args:
        image: Symbolic input of the encoder.
        pyramid: As `pyramid_of` returns it.
        widths: As `decoder_widths` returns them.
        flows: Which flows, and their attention.
        side_outputs: As of `DualFlowSegmenter`.
        global_context: As of `DualFlowSegmenter`.
    """
    deepest = with_context(pyramid[-1]) if global_context else pyramid[-1]
    sides = {}
    scales = flows.decode(deepest, pyramid[-2::-1], widths)
    for scale, features in enumerate(scales, start=1):
        stride = stride_of(image, pyramid, scale)
        if "scales" in side_outputs:
            for flow in flows.names:
                name = f"{flow}_side_{scale}"
                sides[name] = map_head(features[flow], stride, name)
    absence = absence_logit(deepest) if "presence" in side_outputs else None
    maps = {
        flow: map_head(
            features[flow], stride, flow, absence if flow == "infection" else None
        )
        for flow in flows.names
    }
    if absence is not None:
        sides[PRESENCE_OUTPUT] = presence_head(absence)
    return maps | sides

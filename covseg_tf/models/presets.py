"""The networks that have a name."""

from covseg_tf.models.edge_encoder import EdgeEncoder
from covseg_tf.models.efficientnet_lite_encoder import EfficientNetLiteEncoder
from covseg_tf.models.pyramid_encoder import pyramid_encoder
from covseg_tf.models.torch_state import imagenet_file, read_torch_state


def _co_era_net_encoder(input_shape, weights):
    return pyramid_encoder("ConvNeXtSmall", input_shape, weights, normalize=True)


def _xray_encoder(input_shape, weights):
    if weights is not None:
        raise ValueError(
            "The encoder of the preset 'xray' has no weights of its own; leave "
            f"`encoder_weights` out. Received: encoder_weights={weights!r}"
        )
    return EdgeEncoder(input_shape, stem_filters=16, filters=(24, 48, 96, 160))


def _lite_encoder(blocks):
    def make(input_shape, weights):
        encoder = EfficientNetLiteEncoder(input_shape, blocks)
        if weights is not None:
            encoder.load_imagenet(read_torch_state(imagenet_file(weights)))
        return encoder

    return make


# Arguments of `DualFlowSegmenter`, beside `make_encoder(input_shape, weights)`.
_PRESETS = {
    "co_era_net": {"make_encoder": _co_era_net_encoder, "deep_supervision": True},
    "poster_baseline": {
        "make_encoder": _co_era_net_encoder,
        "attention": "self",
        "lung_supervision": False,
        "deep_supervision": True,
    },
    "poster_lung_region": {
        "make_encoder": _co_era_net_encoder,
        "attention": "self",
        "deep_supervision": True,
    },
    "no_attention": {
        "make_encoder": _co_era_net_encoder,
        "attention": "none",
        "deep_supervision": True,
    },
    "xray": {
        "make_encoder": _xray_encoder,
        "decoder_filters": (64, 48, 24),
        "separable": True,
    },
}
# The edge family: EfficientNet-Lite0 cut after 6, 10 and 16 of its blocks. The
# attention did not pay in docs/results/ablation.md, and its product is what int8 CPUs
# round in two ways (docs/results/exports.md).
_PRESETS["xray_nano"] = {
    "make_encoder": _lite_encoder(6),
    "decoder_filters": (48, 24),
    "attention": "none",
    "separable": True,
    "global_context": True,
    "presence_gate": True,
}
_PRESETS["xray_small"] = _PRESETS["xray_nano"] | {
    "make_encoder": _lite_encoder(10),
    "decoder_filters": (128, 80),
}
# Every slice that it learns from has infection: there is no presence to learn.
_PRESETS["ct_small"] = _PRESETS["xray_small"] | {
    "decoder_filters": (64, 40),
    "presence_gate": False,
}
_PRESETS["xray_base"] = {
    "make_encoder": _lite_encoder(16),
    "decoder_filters": (96, 64, 40),
    "attention": "none",
    "deep_supervision": True,
    "presence_gate": True,
}
_PRESETS["poster_region_fusion_attention"] = _PRESETS["co_era_net"]


def preset_arguments(preset: str) -> dict:
    """Returns the constructor arguments of a preset, and its `make_encoder`.

    Raises:
        ValueError: If there is no such preset.
    """
    if preset not in _PRESETS:
        raise ValueError(
            f"`preset` must be one of {sorted(_PRESETS)}. Received: {preset!r}"
        )
    return dict(_PRESETS[preset])

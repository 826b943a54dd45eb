"""Who takes part in the frontier: a name, words for the table, a constructor call."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import keras

from benchmarks.frontier import peers
from covseg_tf.models import DualFlowSegmenter
from covseg_tf.models.torch_state import read_torch_state

# Appended to the name of a network that is in the table as its bundle ships it.
BUNDLED = "_bundled"


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that `frontier.py train` can train.

    Attributes:
        title: What the table calls it.
        kind: `"ours"` or `"peer"`.
        start: `"random"` or `"ImageNet"`: what the encoder's weights are before
            training.
        build: Takes the side in pixels and the path of the ImageNet weights, a
            path or `None`; gives the network, not compiled.
    """

    title: str
    kind: str
    start: str
    build: Callable[[int, pathlib.Path | None], keras.Model]


def _random(build):
    return lambda side, imagenet: build(side)


def _lite0(side, imagenet):
    return peers.unet_efficientnet_lite0(side, _state(imagenet))


@functools.cache
def _state(path):
    return None if path is None else read_torch_state(path)


def ours(preset: str, imagenet_weights: bool) -> Network:
    """Returns the entry of a preset of `DualFlowSegmenter`."""

    def build(side, imagenet):
        weights = imagenet if imagenet_weights else None
        return DualFlowSegmenter.from_preset(
            preset, (side, side, 1), encoder_weights=weights
        )

    start = "ImageNet" if imagenet_weights else "random"
    return Network(f"covseg {preset}", "ours", start, build)


OURS = {
    "xray": ours("xray", imagenet_weights=False),
    "xray_nano": ours("xray_nano", imagenet_weights=True),
    "xray_small": ours("xray_small", imagenet_weights=True),
    "xray_base": ours("xray_base", imagenet_weights=True),
}
PEERS = {
    "miniseg_sized": Network(
        "MiniSeg-sized", "peer", "random", _random(peers.miniseg_sized)
    ),
    "unet_mobilenet_v3_small": Network(
        "U-Net MobileNetV3-small",
        "peer",
        "random",
        _random(peers.unet_mobilenet_v3_small),
    ),
    "unet_mobilenet_v2": Network(
        "U-Net MobileNetV2",
        "peer",
        "random",
        _random(peers.unet_mobilenet_v2),
    ),
    "unet_efficientnet_lite0": Network(
        "U-Net EfficientNet-Lite0", "peer", "ImageNet", _lite0
    ),
    "segformer_b0": Network(
        "SegFormer-B0", "peer", "random", _random(peers.segformer_b0)
    ),
    "deeplab_v3_plus": Network(
        "DeepLabV3+ ResNet-18",
        "peer",
        "random",
        _random(peers.deeplab_v3_plus),
    ),
}
NETWORKS = OURS | PEERS


def find(name: str) -> Network:
    """Returns a network by its name, with or without `_bundled`.

    Raises:
        ValueError: If there is none.
    """
    known = name.removesuffix(BUNDLED)
    if known not in NETWORKS:
        raise ValueError(
            f"{name}: no network of this name. Expected one of {', '.join(NETWORKS)}, "
            f"with {BUNDLED} after it for a bundle that ships."
        )
    return NETWORKS[known]


def pairs(words) -> dict[str, str]:
    """Returns the dict of NAME=PATH words; every name is that of a network."""
    models: dict[str, str] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not (name and equals and path) or name in models:
            raise ValueError(
                f"--models takes NAME=PATH words, each name once. Received: {word!r}"
            )
        models[name] = path
    for name in models:
        find(name)
    return models
